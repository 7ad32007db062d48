"""What a low precision does to scores, and to the order of each query's documents."""

from __future__ import annotations

import numpy as np

TOP = 10


def compare(scores: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare scores with those of float32.

    Parameters
    ----------
    scores, reference
        Logits of shape (queries, documents).

    Returns
    -------
    dict
        ``max`` and ``mean`` absolute difference of the logits; ``tau``, Kendall's tau-b, and
        ``top10``, the share of the ten best documents that are kept, both as means over queries;
        ``correlation`` over all pairs.

    References
    ----------
    Kendall, The treatment of ties in ranking problems, 1945.
    """
    from scipy.stats import kendalltau

    difference = np.abs(scores - reference)
    best, wanted = (np.argsort(-s, axis=1, kind="stable")[:, :TOP] for s in (scores, reference))
    kept = [len(set(a) & set(b)) / len(b) for a, b in zip(best, wanted, strict=True)]
    taus = [kendalltau(a, b).statistic for a, b in zip(scores, reference, strict=True)]
    return {
        "max": float(difference.max()),
        "mean": float(difference.mean()),
        "tau": float(np.mean(taus)),
        "top10": float(np.mean(kept)),
        "correlation": float(np.corrcoef(scores.ravel(), reference.ravel())[0, 1]),
    }
