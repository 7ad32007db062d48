"""Rankers: from a query and its candidate documents to their order."""

from .base import Ranker
from .cross_encoder import CrossEncoder
from .encoder import DPR, Embedding, Encoder

__all__ = ["DPR", "CrossEncoder", "Embedding", "Encoder", "Ranker"]
