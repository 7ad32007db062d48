"""What `predict` and `rank` give back."""

from __future__ import annotations

from typing import Any

import numpy as np


def converted(
    scores: np.ndarray, single: bool, to_numpy: bool, to_tensor: bool, device: str
) -> Any:
    """Return scores as an array, a tensor on `device`, or a list of tensors; one of one pair."""
    if not to_tensor and to_numpy:
        return scores[0] if single else scores
    import torch

    tensor = torch.from_numpy(scores)
    result: Any = tensor.to(device) if to_tensor else list(tensor)
    return result[0] if single else result


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the softmax over the labels of scores of shape (n_pairs, n_labels)."""
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def hits(
    scores: np.ndarray, documents: list[str], top_k: int | None, return_documents: bool
) -> list[dict[str, Any]]:
    """Return the `top_k` best documents of one query, equal ones in their order."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [
        {
            "corpus_id": int(i),
            "score": float(scores[i]),
            **({"text": documents[i]} if return_documents else {}),
        }
        for i in order
    ]
