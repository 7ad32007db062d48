"""Texts of documents, read by the engine where it can."""

from __future__ import annotations

from .._core import texts_of_field
from .._documents import Document, text_of


def texts_of(documents: list[Document], fields: list[str]) -> list[str]:
    """Return the text of each document, as :func:`text_of` does."""
    if len(fields) == 1:
        texts = texts_of_field(documents, fields[0])
        if texts is not None:
            return texts
        # The loop below tells what is wrong.
    return [text_of(document, fields) for document in documents]
