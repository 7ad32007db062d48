"""The cross-encoder: sentence-transformers' interface over the Rust core."""

from .predict import CrossEncoder, TruncationWarning

__all__ = ["CrossEncoder", "TruncationWarning"]
