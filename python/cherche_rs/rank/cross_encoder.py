"""Ranking by a model that reads the query and the document together."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from .. import encoders
from .._documents import Answer, Query, fields_of, nothing_to_rank, positive, text_of
from ..utils import yield_batch
from .base import RankerOperators, as_array
from .order import descending, with_similarity

Pair = tuple[str, str]


class CrossEncoder(RankerOperators):
    """Rank documents by a cross-encoder, which scores pairs of a query and a text.

    Parameters
    ----------
    on
        Field or fields that make the text of a document.
    encoder
        The name of a model on the Hugging Face hub or a local directory; a
        ``cherche_rs.CrossEncoder`` or its ``predict``; a ``sentence_transformers.CrossEncoder`` or
        its ``predict``, run by the Rust core on the weights it holds in memory; or any function
        from a list of pairs to their scores, called with at most ``batch_size`` pairs. Left out, it
        is the model embedded in the package.
    k
        Number of documents to return; all of them if left out.
    batch_size
        Number of pairs to score at once.
    max_length, truncation, long_documents, stride
        What becomes of a document that is longer than the model reads, as for
        :meth:`cherche_rs.CrossEncoder.predict`: only for models that the Rust core runs. Left out,
        the model's own length, and what is beyond it is cut.

    Raises
    ------
    TypeError
        If the encoder cannot be called.
    ValueError
        If there is no embedded model, or one of the last four is given for an encoder that the Rust
        core does not run.

    Examples
    --------
    >>> from cherche_rs import rank
    >>> ranker = rank.CrossEncoder(on="title", encoder=lambda pairs: [len(t) for _, t in pairs])
    >>> documents = [{"id": 0, "title": "Rome"}, {"id": 1, "title": "Paris"}]
    >>> [document["id"] for document in ranker("capital", documents)]
    [1, 0]

    References
    ----------
    Nogueira and Cho, Passage Re-ranking with BERT, 2019.
    """

    def __init__(
        self,
        on: str | list[str],
        encoder: Any = None,
        k: int | None = None,
        batch_size: int = 64,
        *,
        max_length: int | None = None,
        truncation: str | None = None,
        long_documents: str | None = None,
        stride: int | None = None,
    ) -> None:
        self.on = fields_of(on)
        asked = {
            "max_length": max_length,
            "truncation": truncation,
            "long_documents": long_documents,
            "stride": stride,
        }
        self._length_options: dict[str, Any] = {
            name: value for name, value in asked.items() if value is not None
        }
        self.encoder = encoder
        self.k = k
        self.batch_size = batch_size

    @property
    def encoder(self) -> Any:
        """The encoder: what was given, or the model loaded for a name."""
        return self._encoder

    @encoder.setter
    def encoder(self, encoder: Any) -> None:
        self._encoder = encoders.load(encoder)
        self._resolve()
        if self._native is None:
            encoders.function(self._encoder)  # refuses what cannot be called
            if self._length_options:
                raise ValueError(
                    f"{', '.join(self._length_options)} only apply to models that the Rust core "
                    f"runs, not to {type(self._encoder).__name__}"
                )
        elif self._length_options:
            self._native.report([], **self._length_options)  # refuses unknown options

    def _resolve(self) -> None:
        self._settings = encoders.settings(self._encoder)
        self._native = encoders.native(self._encoder)

    def __getstate__(self) -> dict[str, Any]:
        # The native model is made anew from the encoder: it may share the encoder's memory.
        return {**vars(self), "_native": None, "_settings": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._resolve()

    def __repr__(self) -> str:
        return f"Cross-encoder\n\ton: {', '.join(self.on)}"

    def _with_documents(self, documents: Any) -> list[Any]:
        # A list: no key is known by which they could complete the answer. They are the candidates.
        return [documents, self] if isinstance(documents, list) else [self, documents]

    def __call__(
        self,
        q: Query,
        documents: Any,
        batch_size: int | None = None,
        k: int | None = None,
        tqdm_bar: bool = True,
        **kwargs: Any,
    ) -> Answer:
        """Order the documents of one query, or of several.

        Parameters
        ----------
        q
            One query, or several.
        documents
            A list of documents for one query, a list of such lists for several.
        batch_size
            Number of pairs to score at once.
        k
            Number of documents to return for each query; all for None and 0, all but the worst
            ``-k`` for a negative one.
        tqdm_bar
            Show the progress bar.
        kwargs
            Ignored: they are for other models of a pipeline.

        Returns
        -------
        list
            Copies of the documents with their score as ``similarity``, the highest first, equal
            ones in the order of ``documents``; for several queries a list of such lists.

        Raises
        ------
        TypeError
            If a query or a field is not a string, or the documents do not fit the queries.
        IndexError
            If there are more lists of documents than queries.
        ValueError
            If the encoder does not give one score for each pair.
        """
        single = isinstance(q, str)
        if not single and not hasattr(q, "__len__"):
            raise TypeError(f"q must be a query or a list of queries, got {type(q).__name__}")
        if documents is None or len(documents) == 0:
            return nothing_to_rank(q)
        answers = [documents] if single else documents
        limit = operator.index(k if k is not None else self.k or 0)

        pairs = self._pairs([q] if single else q, answers)
        scores = self._scores(
            pairs, self.batch_size if batch_size is None else batch_size, tqdm_bar
        )
        ranked, start = [], 0
        for answer in answers:
            found = np.array(scores[start : start + len(answer)])
            start += len(answer)
            ranked.append(with_similarity(answer, found, descending(found)[: limit or None]))
        return ranked[0] if single else ranked

    def _pairs(self, queries: Any, answers: Any) -> list[Pair]:
        if len(answers) > len(queries):
            raise IndexError(
                f"{len(answers)} lists of documents for {len(queries)} queries: a list of queries "
                "needs one list of documents for each"
            )
        pairs: list[Pair] = []
        known = False
        for query, answer in zip(queries, answers, strict=False):
            if not isinstance(query, str):
                raise TypeError(f"a query must be a string, got {type(query).__name__}: {query!r}")
            if isinstance(answer, (dict, str)):
                raise TypeError(
                    "a list of queries needs a list of documents for each query, got a "
                    f"{type(answer).__name__} in the place of such a list"
                )
            for document in answer:
                pairs.append((query, text_of(document, self.on)))
                known = known or any(field in document for field in self.on)
        if pairs and not known:
            warnings.warn(
                f"none of the documents to rank has a field of {self.on}: every text is empty; "
                "add the documents in front of the ranker: retriever + documents + ranker",
                UserWarning,
                stacklevel=3,
            )
        return pairs

    def _scores(self, pairs: list[Pair], batch_size: int, tqdm_bar: bool) -> list[Any]:
        """Return one score for each pair."""
        name = f"{self.__class__.__name__} ranker"
        size = positive("batch_size", batch_size)
        if self._settings != encoders.settings(self._encoder):
            self._resolve()
        if self._native is not None:
            # One call: the engine sorts all pairs by length before it cuts its own batches.
            show = name if tqdm_bar else False
            found = self._native.predict(pairs, show_progress_bar=show, **self._length_options)
            return list(one_each(pairs, found))
        call = encoders.function(self._encoder)
        scores: list[Any] = []
        for batch in yield_batch(pairs, size, desc=name, tqdm_bar=tqdm_bar):
            # Element by element: batches may differ in dtype.
            scores.extend(one_each(batch, call(batch)))
        return scores


def one_each(pairs: list[Pair], scores: Any) -> np.ndarray:
    """Return the scores of the pairs as an array of shape (n_pairs,).

    Raises
    ------
    ValueError
        If there is not one score for each pair.
    """
    found = as_array(scores if hasattr(scores, "__len__") else list(scores))
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (len(pairs),):
        raise ValueError(
            f"the encoder answered {len(pairs)} pairs by scores of shape {found.shape}, not one "
            "score for each pair"
            + ("; a model with several labels cannot rank" if found.ndim == 2 else "")
        )
    return found
