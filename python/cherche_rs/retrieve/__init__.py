"""Retrievers: from a query to the documents that match it."""

from .base import Retriever
from .bm25 import BM25
from .tfidf import TfIdf

__all__ = ["BM25", "Retriever", "TfIdf"]
