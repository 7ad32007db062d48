"""Retrievers as files: the index, and what belongs to it, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable
from typing import Any

from .._core import StoredKeys
from ..sparse import BM25Vectorizer, TfidfVectorizer
from .native import NativeBackend


def write(
    path: str | os.PathLike[str],
    backend: NativeBackend,
    vectorizer: TfidfVectorizer,
    keys: list[Hashable],
    state: dict[str, Any],
) -> None:
    """Write an index, its vectorizer, the keys of its documents and a state that JSON can hold.

    Raises
    ------
    TypeError
        If JSON cannot hold a key.
    """
    for key in keys:
        if not (key is None or type(key) in (str, int, float, bool)):
            raise TypeError(
                f"keys must be strings, numbers, bools or None to be saved, not {key!r}; "
                "pickle the retriever instead"
            )
    words = vectorizer.stop_words
    options = {**vars(vectorizer), "stop_words": words if words is None else list(words)}
    content = {"vectorizer": [type(vectorizer).__name__, options], **state}
    stored = _stored(keys)
    if stored is None:
        content["keys"] = keys
    backend.save(path, json.dumps(content), stored)


def _stored(keys: list[Hashable]) -> StoredKeys | None:
    """Return the keys as an array, which needs no JSON, if they are of one type."""
    if set(map(type, keys)) not in ({int}, {str}):
        return None
    try:
        return StoredKeys(keys)
    except (OverflowError, UnicodeEncodeError):
        return None


def read(
    path: str | os.PathLike[str], mmap: bool, verify: bool
) -> tuple[NativeBackend, TfidfVectorizer, list[Hashable] | StoredKeys, dict[str, Any]]:
    """Return the index, the vectorizer, the keys and the state that :func:`write` wrote."""
    backend, extra, stored = NativeBackend.load(path, mmap, verify)
    content = json.loads(extra)
    kind, options = content.pop("vectorizer")
    options["ngram_range"] = tuple(options["ngram_range"])
    made = {"BM25Vectorizer": BM25Vectorizer, "TfidfVectorizer": TfidfVectorizer}[kind]
    vectorizer = made(**options)
    backend.dtype = NativeBackend.dtype_of(vectorizer)
    return backend, vectorizer, content["keys"] if stored is None else stored, content
