"""Keys and texts of documents."""

from __future__ import annotations

from collections.abc import Hashable

from .._core import read_documents
from .._documents import Document, key_of, text_of


def keys_and_texts(
    documents: list[Document], key: str, fields: list[str]
) -> tuple[list[Hashable], list[str]]:
    """Return the key of each document, and its text as :func:`text_of` does."""
    read = read_documents(documents, key, fields)
    if read is not None:
        return read
    # Documents out of the ordinary. Of one that is none, this tells what is wrong.
    keys = [key_of(document, key) for document in documents]
    return keys, [text_of(document, fields) for document in documents]
