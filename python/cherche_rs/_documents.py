"""What every stage agrees on: the types of documents and answers, their fields, their text."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
#: One list of documents for a single query, a list of such lists for several queries.
Answer: TypeAlias = "list[Document] | list[list[Document]]"
Query: TypeAlias = "str | Sequence[str]"


def fields_of(on: str | list[str]) -> list[str]:
    """Return the fields of ``on`` as a list.

    Raises
    ------
    TypeError
        If ``on`` is neither a string nor a list of strings. A tuple is refused too: cherche takes
        it for the name of one field, which no document has.
    """
    fields = on if isinstance(on, list) else [on]
    if not all(isinstance(field, str) for field in fields):
        raise TypeError(
            f"on must be the name of a field or a list of names, got {on!r}"
            + (f"; write on={list(on)!r}" if isinstance(on, tuple) else "")
        )
    return fields


def text_of(document: Document, fields: list[str]) -> str:
    """Join the ``fields`` of a document by a space; a missing field counts as an empty text.

    Raises
    ------
    TypeError
        If the document is not a dict, or one of the fields is not a string.
    """
    try:
        return " ".join([document.get(field, "") for field in fields])
    except (TypeError, AttributeError):
        pass
    if not isinstance(document, dict):
        raise TypeError(f"a document must be a dict, got {type(document).__name__}: {document!r}")
    for field in fields:
        value = document.get(field, "")
        if not isinstance(value, str):
            raise TypeError(
                f"the field {field!r} of a document must be a string, got "
                f"{type(value).__name__}: {value!r}; the document: {document!r:.200}"
            )
    raise TypeError(f"cannot read the fields {fields} of the document {document!r:.200}")


def key_of(document: Document, key: str) -> Hashable:
    """Return the key of a document.

    Raises
    ------
    KeyError
        If the document has no such field.
    TypeError
        If it is not a dict, or if the key cannot be hashed.
    """
    try:
        value = document[key]
    except KeyError:
        raise KeyError(
            f"a document has no field {key!r}, which is the key: {document!r:.200}"
        ) from None
    except (TypeError, IndexError):
        raise TypeError(
            f"a document must be a dict, got {type(document).__name__}: {document!r:.200}"
        ) from None
    hash(value)
    return value


def nothing_to_rank(q: Query) -> Answer:
    """Return the answer of a ranker without documents: one empty list for a list of queries."""
    one: list[list[Document]] = [[]]
    return one if isinstance(q, list) else []


def positive(name: str, value: int) -> int:
    """Return ``value`` as an int.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number
