"""Small pieces of pipelines: keeping the first documents, and cutting work into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ._documents import Answer, positive
from ._progress import progress

__all__ = ["TopK", "yield_batch", "yield_batch_single"]


class TopK:
    """Keep the first documents of each answer.

    Parameters
    ----------
    k
        Number of documents to keep for each query.

    Examples
    --------
    >>> from cherche_rs import utils
    >>> utils.TopK(k=1)(documents=[{"id": 0}, {"id": 1}])
    [{'id': 0}]
    """

    def __init__(self, k: int) -> None:
        self.k = k

    def __repr__(self) -> str:
        return f"Filter {self.__class__.__name__}\n\tk: {self.k}"

    def __call__(self, documents: Answer, **kwargs: Any) -> Answer:
        """Return the first ``k`` documents of one answer, or of each answer of a list."""
        if not documents:
            return []
        if isinstance(documents[0], list):
            return [answer[: self.k] for answer in documents]
        return documents[: self.k]


def yield_batch(
    array: str | Sequence[Any], batch_size: int, desc: str, tqdm_bar: bool = True
) -> Iterator[Any]:
    """Iterate over ``array`` by slices of ``batch_size``; a string is one batch of one string.

    Parameters
    ----------
    array
        What to cut: anything with a length and slices.
    batch_size
        Length of the slices; the last one may be shorter.
    desc
        Name of the progress bar.
    tqdm_bar
        Show a progress bar, one step for each batch; a string never has one.

    Raises
    ------
    ValueError
        If ``batch_size`` is below 1.
    """
    size = positive("batch_size", batch_size)
    if isinstance(array, str):
        return iter([[array]])
    batches = [array[start : start + size] for start in range(0, len(array), size)]
    return iter(progress(batches, desc, tqdm_bar))


def yield_batch_single(
    array: str | Sequence[Any], desc: str, tqdm_bar: bool = True
) -> Iterator[Any]:
    """Iterate over the elements of ``array``; a string is one element.

    Parameters
    ----------
    array
        The elements.
    desc
        Name of the progress bar.
    tqdm_bar
        Show a progress bar, one step for each element; a string never has one.
    """
    if isinstance(array, str):
        return iter([array])
    return iter(progress(array, desc, tqdm_bar))
