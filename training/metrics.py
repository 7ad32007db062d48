"""nDCG@10, MRR@10 and the paired bootstrap."""

from __future__ import annotations

import numpy as np


def ndcg(ranking: list, relevant: set, depth: int = 10) -> float:
    """Binary normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002)."""
    gains = sum(
        1 / np.log2(rank + 2) for rank, key in enumerate(ranking[:depth]) if key in relevant
    )
    return gains / sum(1 / np.log2(rank + 2) for rank in range(min(depth, len(relevant))))


def mrr(ranking: list, relevant: set, depth: int = 10) -> float:
    """Reciprocal rank of the first relevant document, 0 below `depth`."""
    return next((1 / rank for rank, key in enumerate(ranking[:depth], 1) if key in relevant), 0.0)


def paired_bootstrap(
    system: np.ndarray, baseline: np.ndarray, samples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Resample queries: 95 % interval of the mean difference, and P(difference <= 0).

    Parameters
    ----------
    system, baseline
        One value a query, in the same order, shape (queries,).

    Returns
    -------
    low, high, p
        The p-value is one-sided (Efron & Tibshirani, 1993, chapter 16).
    """
    rng = np.random.default_rng(seed)
    difference = system - baseline
    means = np.array(
        [
            difference[rng.integers(0, len(difference), len(difference))].mean()
            for _ in range(samples)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high), float((np.sum(means <= 0) + 1) / (samples + 1))
