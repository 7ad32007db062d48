"""Retrievers: from a query to the documents that match it."""

from .base import Retriever
from .tfidf import BM25, TfIdf

__all__ = ["BM25", "Retriever", "TfIdf"]
