"""Documents by number in the native n-gram index."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core import NgramIndex, StoredKeys
from .._documents import Document
from ..sparse import BM25Vectorizer, TfidfVectorizer


class NativeBackend:
    """An n-gram index; scores are float32 for tf-idf and float64 for BM25, as in cherche."""

    def __init__(self, index: NgramIndex, dtype: type[np.floating[Any]]) -> None:
        self.index = index
        self.dtype = dtype

    @classmethod
    def fit(
        cls,
        vectorizer: TfidfVectorizer,
        texts: list[str],
        progress: Callable[[int], object] | None = None,
    ) -> NativeBackend:
        """Index ``texts``, cut and weighted as the ``vectorizer`` says.

        ``progress`` is called with the number of texts done, several times a second.
        """
        words = vectorizer.stop_words
        if isinstance(words, str):
            raise TypeError(f"stop_words must be a list of words, got the string {words!r}")
        index = NgramIndex.fit(
            texts,
            analyzer=vectorizer.analyzer,
            ngram_range=_lengths(vectorizer.ngram_range),
            normalize=bool(vectorizer.normalize),
            stop_words=None if words is None else list(words),
            bm25=(
                (vectorizer.k1, vectorizer.b, vectorizer.epsilon)
                if isinstance(vectorizer, BM25Vectorizer)
                else None
            ),
            progress=progress,
        )
        return cls(index, cls.dtype_of(vectorizer))

    @staticmethod
    def dtype_of(vectorizer: TfidfVectorizer) -> type[np.floating[Any]]:
        """Return the type of the scores."""
        return np.float64 if isinstance(vectorizer, BM25Vectorizer) else np.float32

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], mmap: bool, verify: bool
    ) -> tuple[NativeBackend, str, StoredKeys | None]:
        """Read what :meth:`save` wrote, and the text and keys that were saved along."""
        index, extra, keys = NgramIndex.load(path, mmap, verify)
        return cls(index, np.float32), extra, keys

    def save(self, path: str | os.PathLike[str], extra: str, keys: StoredKeys | None) -> None:
        """Write the index, a text and keys to a file."""
        self.index.save(path, extra, keys)

    def __len__(self) -> int:
        """Return the number of documents ever added."""
        return len(self.index)

    def add(self, texts: list[str]) -> None:
        """Add documents after the last one."""
        self.index.add(texts)

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove documents by number."""
        self.index.remove(numbers)

    def answers(
        self,
        queries: list[str],
        k: int,
        allowed: Sequence[int] | None,
        key: str,
        keys: list[Any] | StoredKeys,
    ) -> list[list[Document]]:
        """Return the best ``k`` documents of each query, with the keys that their numbers have."""
        single = self.dtype is np.float32
        return self.index.answers(queries, k, key, keys, single, allowed)

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.index.to_bytes(), "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.index = NgramIndex.from_bytes(state["content"])
        self.dtype = state["dtype"]


def _lengths(ngram_range: Sequence[int]) -> tuple[int, int]:
    """Return the shortest and the longest length as integers that the index can read."""
    try:
        shortest, longest = map(operator.index, ngram_range)
    except (TypeError, ValueError):
        message = f"ngram_range must be two integers, (min, max), got {ngram_range!r}"
        raise TypeError(message) from None
    # What is left to say of them, the index says.
    if min(shortest, longest) < 0:
        raise ValueError(f"ngram_range is {ngram_range!r}: it must be (min, max), 1 <= min <= max")
    return min(shortest, sys.maxsize), min(longest, sys.maxsize)
