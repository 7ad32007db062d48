"""What `predict` and `rank` take: pairs of texts, queries and their documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def as_pairs(inputs: Any) -> tuple[list[Any], bool]:
    """Return a list of pairs, and whether the input was one pair (sentence-transformers' rule).

    Raises
    ------
    ValueError
        If the input is not a list, tuple, array of strings or column of a data set.
    """
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind not in ("U", "O") and inputs.size:
            raise ValueError(f"inputs must be pairs of texts, got an array of {inputs.dtype}")
        single = inputs.size > 0 and inputs.ndim < 2
        listed = inputs.tolist()
        return ([listed] if single else [tuple(pair) for pair in listed]), single
    if not isinstance(inputs, (list, tuple)):
        # datasets.Column is a sequence of rows; importing datasets to ask would cost a second.
        if type(inputs).__module__.partition(".")[0] == "datasets":
            return list(inputs), False
        raise ValueError(
            f"inputs must be a list of pairs (query, document), got {type(inputs).__name__}"
        )
    if len(inputs) > 0 and not isinstance(inputs[0], (list, tuple)):
        if len(inputs) != 2 or isinstance(inputs[0], np.ndarray):
            return [tuple(pair) if isinstance(pair, np.ndarray) else pair for pair in inputs], False
        return [tuple(inputs)], True
    return list(inputs), False


def with_prompt(pairs: list[Any], prompt: str | None) -> list[Any]:
    """Return the pairs with the prompt in front of each query; what is no pair is left alone."""
    if not prompt:
        return pairs
    return [
        (prompt + pair[0], *pair[1:])
        if isinstance(pair, (list, tuple)) and pair and isinstance(pair[0], str)
        else pair
        for pair in pairs
    ]


def as_documents(documents: Iterable[str], what: str = "documents") -> list[str]:
    """Return the documents as a list.

    Raises
    ------
    TypeError
        If they are one string, or cannot be gone through.
    """
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Iterable):
        raise TypeError(f"{what} must be a list of texts, got {type(documents).__name__}")
    return list(documents)
