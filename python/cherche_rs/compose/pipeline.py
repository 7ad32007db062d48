"""Models one behind the other: each receives the answer of the one before."""

from __future__ import annotations

from typing import Any

from .._documents import Answer, Document, Query
from .base import Compose, Limits
from .operators import by_key

__all__ = ["Pipeline"]


class Pipeline(Compose):
    """Models called one behind the other.

    Parameters
    ----------
    models
        The models, in order. A dict of documents by key completes the answer by their fields. A
        list of documents, of which no key was known when it was added, stands for the candidates
        if no answer comes in; if one does, it completes it like a dict once a key is known.

    Examples
    --------
    >>> from cherche_rs import compose
    >>> def retriever(q, **kwargs):
    ...     return [{"id": 1, "similarity": 0.5}]
    >>> retriever.key = "id"
    >>> search = compose.Pipeline([retriever, {1: {"id": 1, "title": "Paris"}}])
    >>> search("paris")
    [{'id': 1, 'title': 'Paris', 'similarity': 0.5}]
    """

    @staticmethod
    def _check(model: Any) -> None:
        if not isinstance(model, (dict, list)):
            Compose._check(model)

    def _then(self, other: Any) -> list[Any]:
        return [*self.models, other]

    def _with_documents(self, documents: dict[Any, Document] | list[Document]) -> list[Any]:
        return [*self.models, documents]

    def __call__(
        self,
        q: Query,
        k: int | None = None,
        batch_size: int | None = None,
        documents: Any = None,
        *,
        k_retriever: int | None = None,
        k_ranker: int | None = None,
        batch_size_retriever: int | None = None,
        batch_size_ranker: int | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Answer a query by a list of documents, a list of queries by a list of lists.

        Parameters
        ----------
        q
            One query, or several.
        k
            Number of documents each model returns.
        batch_size
            Number of queries, documents or pairs each model treats at once.
        documents
            What the first model receives: documents to rank, if it is a ranker.
        k_retriever, k_ranker
            Come before ``k`` for retrievers and rankers.
        batch_size_retriever, batch_size_ranker
            Come before ``batch_size`` for retrievers and rankers.
        kwargs
            Passed to every model.
        """
        limits = Limits(
            k, batch_size, k_retriever, k_ranker, batch_size_retriever, batch_size_ranker
        )
        answer = documents
        for model in self.models:
            if isinstance(model, dict):
                answer = self._complete(answer, model)
            elif isinstance(model, list):
                answer = self._candidates(q, answer, model)
            else:
                answer = model(q=q, documents=answer, **limits.of(model), **kwargs)
        return answer

    def _candidates(self, q: Query, answer: Any, documents: list[Document]) -> Any:
        if answer is None:
            return documents if isinstance(q, str) else [documents for _ in q]
        key = getattr(self, "key", None)
        return answer if key is None else self._complete(answer, by_key(documents, key))

    def _complete(self, answer: Any, documents: dict[Any, Document]) -> Any:
        """Give the documents of an answer their fields; those unknown stay bare."""
        if not answer:
            return answer
        key = getattr(self, "key", None)
        if key is None:
            raise TypeError(
                "documents are completed by their key, and no model of this pipeline has one; "
                "build it from a retriever, or give a model the attribute `key`"
            )

        def complete(found: list[Document]) -> list[Document]:
            return [
                {
                    **documents.get(document[key], {}),
                    key: document[key],
                    "similarity": document["similarity"],
                }
                for document in found
            ]

        if isinstance(answer[0], dict):
            return complete(answer)
        return [complete(found) for found in answer]
