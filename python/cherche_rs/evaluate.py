"""Precision, recall, F1 and R-precision of a search over queries whose answers are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._documents import Document

__all__ = ["evaluation"]


class _Mean:
    """A mean updated value by value, which rounds like cherche's, so that the figures agree."""

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def update(self, value: float) -> None:
        self.count += 1
        self.value += 1 / self.count * (value - self.value)


def evaluation(
    search: Any,
    query_answers: Sequence[tuple[str, list[Document]]],
    hits_k: Iterable[int] = range(1, 6),
    batch_size: int | None = None,
    k: int | None = None,
) -> dict[str, str]:
    """Measure how well a search finds the known answers of queries.

    Parameters
    ----------
    search
        A retriever or a pipeline; it must have a ``key``.
    query_answers
        Queries, each with its relevant documents, of which only the key counts.
    hits_k
        Ranks at which precision, recall and F1 are measured; 0 is left out.
    batch_size
        Passed to the search.
    k
        Number of documents the search returns for each query.

    Returns
    -------
    dict
        Percentages such as ``"63.69%"``: Precision@k (relevant among the first k documents of all
        queries), Recall@k (mean over queries of the share of relevant documents among the first
        k), F1@k (of these two), and R-Precision (mean over queries of the share of relevant
        documents among as many first documents as there are relevant ones).

    Raises
    ------
    TypeError
        If the search has no key.

    Examples
    --------
    >>> from cherche_rs import evaluate
    >>> def search(q, **kwargs):
    ...     return [[{"id": 0}, {"id": 1}] for _ in q]
    >>> search.key = "id"
    >>> evaluate.evaluation(search, [("paris", [{"id": 1}])], hits_k=[2])
    {'Precision@2': '50.00%', 'Recall@2': '100.00%', 'F1@2': '66.67%', 'R-Precision': '0.00%'}
    """
    key = getattr(search, "key", None)
    if key is None:
        raise TypeError("the search has no `key` to recognise the relevant documents by")
    ranks = [rank for rank in hits_k if rank != 0]
    precision = {rank: _Mean() for rank in ranks}
    recall = {rank: _Mean() for rank in ranks}
    r_precision = _Mean()

    answers = search(q=[query for query, _ in query_answers], batch_size=batch_size, k=k)

    for (_, relevant), answer in zip(query_answers, answers, strict=False):
        golds = {document[key] for document in relevant}
        hits = [document[key] in golds for document in answer]
        for rank in ranks:
            for hit in hits[:rank]:
                precision[rank].update(hit)
            recall[rank].update(_share(sum(hits[:rank]), len(golds)))
        r_precision.update(_share(sum(hits[: len(golds)]), len(golds)))

    scores = {f"Precision@{rank}": precision[rank].value for rank in ranks}
    scores |= {f"Recall@{rank}": recall[rank].value for rank in ranks}
    scores |= {f"F1@{rank}": _f1(precision[rank].value, recall[rank].value) for rank in ranks}
    scores["R-Precision"] = r_precision.value
    return {name: f"{score:.2%}" for name, score in scores.items()}


def _share(hits: int, golds: int) -> float:
    return hits / golds if hits else 0.0


def _f1(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0
