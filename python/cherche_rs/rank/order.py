"""From the scores of candidates to their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._documents import Document


def descending(scores: np.ndarray) -> np.ndarray:
    """Return the positions of ``scores`` from the highest to the lowest.

    Equal scores keep their order, and NaN comes first, where it is seen.
    """
    backwards = np.argsort(scores[::-1], kind="stable")[::-1]
    return len(scores) - 1 - backwards


def with_similarity(
    documents: list[Document], scores: np.ndarray, positions: Any
) -> list[Document]:
    """Return copies of the documents at these positions, with their scores."""
    return [
        {**documents[position], "similarity": score}
        for position, score in zip(positions.tolist(), scores[positions], strict=True)
    ]
