"""Documents by number in the sparse matrix of any vectorizer, such as scikit-learn's."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import SparseIndex, answers
from .._documents import Document

#: The backend that last used a vectorizer: it gets a copy before another one fits the vectorizer.
_users: weakref.WeakValueDictionary[int, VectorizerBackend] = weakref.WeakValueDictionary()


class VectorizerBackend:
    """A matrix of documents, and the vectorizer that turns queries into its rows."""

    vectorizer: Any

    def __init__(self, vectorizer: Any, texts: list[str], fit: bool) -> None:
        for method in ("fit_transform" if fit else "transform", "transform"):
            if not callable(getattr(vectorizer, method, None)):
                raise TypeError(
                    f"a vectorizer needs the methods fit_transform and transform; "
                    f"{type(vectorizer).__name__} has no {method}"
                )
        other = _users.get(id(vectorizer))
        if fit and other is not None and other.vectorizer is vectorizer:
            other.vectorizer = copy.deepcopy(vectorizer)
        self.vectorizer = vectorizer
        self.removed: list[int] = []
        matrix = (vectorizer.fit_transform if fit else vectorizer.transform)(texts)
        _users[id(vectorizer)] = self
        starts, columns, values = _rows(matrix)
        self.index = SparseIndex(matrix.shape[1])
        self.index.add(starts, columns, values.astype(np.float32, copy=False))

    def __len__(self) -> int:
        """Return the number of documents ever added."""
        return len(self.index)

    def add(self, texts: list[str]) -> None:
        """Add documents after the last one."""
        starts, columns, values = _rows(self.vectorizer.transform(texts))
        self.index.add(starts, columns, values.astype(np.float32, copy=False))

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove documents by number."""
        self.removed.extend(numbers)

    def answers(
        self, queries: list[str], k: int, allowed: Sequence[int] | None, key: str, keys: list[Any]
    ) -> list[list[Document]]:
        """Return the best ``k`` documents of each query, with the keys that their numbers have."""
        for query in queries:
            if not isinstance(query, str):
                raise TypeError(f"a text must be a string, got {type(query).__name__}")
        starts, columns, values = _rows(self.vectorizer.transform(queries))
        mask = None
        if allowed is not None or self.removed:
            mask = np.full(len(self.index), allowed is None)
            mask[np.asarray([] if allowed is None else allowed, dtype=np.intp)] = True
            mask[np.asarray(self.removed, dtype=np.intp)] = False
        ends, documents, scores = self.index.search(
            starts, columns, values.astype(np.float64, copy=False), k, mask
        )
        # What scipy gives for the product of such queries and float32 documents.
        scores = scores.astype(np.result_type(values.dtype, np.float32), copy=False)
        return answers(key, keys, ends, documents, list(scores))

    def __getstate__(self) -> dict[str, Any]:
        return {"vectorizer": self.vectorizer, "parts": self.index.parts(), "removed": self.removed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.vectorizer = state["vectorizer"]
        self.removed = state["removed"]
        self.index = SparseIndex.from_parts(state["parts"])


def _rows(matrix: Any) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
    """Return a matrix as starts of rows, columns and values."""
    if hasattr(matrix, "tocsr"):
        rows = matrix.tocsr()
        return (
            rows.indptr.astype(np.int64, copy=False),
            rows.indices.astype(np.int32, copy=False),
            rows.data,
        )
    dense = np.asarray(matrix)
    if dense.ndim != 2:
        raise TypeError(f"a vectorizer must return a matrix, got {type(matrix).__name__}")
    places = dense.nonzero()
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    return starts.astype(np.int64), places[1].astype(np.int32), dense[places]
