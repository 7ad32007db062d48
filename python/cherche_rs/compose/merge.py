"""Several models asked the same question, their answers merged: union, intersection, vote.

Every document scores ``count * sum(1 / (position + 1))``: how often it stands in the models'
answers, put one behind the other, and at which positions.
"""

from __future__ import annotations

import abc
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from .._documents import Answer, Document, Query
from .base import Compose, Limits, accepts


@dataclass(slots=True)
class Entry:
    """A document among the concatenated answers of all models."""

    first: Document
    last: Document
    count: int = 0
    reciprocal: float = 0.0

    @property
    def score(self) -> float:
        """The score of the document in the merged answer."""
        return self.count * self.reciprocal


def tally(documents: list[Document], key: str | None) -> list[Entry]:
    """Count each document of the concatenated answers, in order of first appearance."""
    entries: dict[Hashable, Entry] = {}
    for position, name in enumerate(identities(documents, key)):
        document = documents[position]
        entry = entries.get(name)
        if entry is None:
            entry = entries[name] = Entry(document, document)
        entry.last = document
        entry.count += 1
        entry.reciprocal += 1 / (position + 1)
    return list(entries.values())


def identities(documents: list[Document], key: str | None) -> list[Hashable]:
    """Return what makes each document this one: its key or, where none is known, its content."""
    if key is None:
        return [content(document) for document in documents]
    try:
        return [document[key] for document in documents]
    except KeyError:
        odd = next(document for document in documents if key not in document)
        raise KeyError(
            f"a merged document has no {key!r}, the key of the first model: {odd!r:.200}"
        ) from None


def content(document: Document) -> Hashable:
    """Return the fields of a document, its score left out, as something to compare by."""
    fields = [
        (field, document[field]) for field in sorted(document, key=str) if field != "similarity"
    ]
    try:
        hash(found := tuple(fields))
        return found
    except TypeError:
        return repr(fields)


def scored(document: Document, score: float) -> Document:
    """Return a copy of the document with its new score, in the last place."""
    copy = dict(document)
    copy.pop("similarity", None)
    copy["similarity"] = score
    return copy


class Merge(Compose):
    """Base class of unions, intersections and votes."""

    #: Name of the kind of merge, for the operators.
    kind: str
    #: Title in the repr; the name of the class if empty.
    title = ""
    #: Whether models receive keyword arguments that are not known here.
    forwards = True

    def __repr__(self) -> str:
        title = self.title or self.__class__.__name__
        return f"{title}\n-----\n{super().__repr__()}\n-----"

    def _merged(self, kind: str, other: Any) -> Any:
        if kind == self.kind:
            return type(self)([*self.models, other])
        return super()._merged(kind, other)

    @abc.abstractmethod
    def _select(self, entries: list[Entry]) -> list[Document]:
        """Choose and order the documents of one query."""

    def __call__(
        self,
        q: Query,
        batch_size: int | None = None,
        k: int | None = None,
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
        batch_size
            Number of queries, documents or pairs each model treats at once.
        k
            Number of documents each model returns; their merged list is not cut.
        documents
            What every model receives: documents to rank, if they are rankers.
        k_retriever, k_ranker
            Come before ``k`` for retrievers and rankers.
        batch_size_retriever, batch_size_ranker
            Come before ``batch_size`` for retrievers and rankers.
        kwargs
            A vote and the pipeline forms pass all of them to every model, a union and an
            intersection only ``tqdm_bar``, and only to models that have it.
        """
        limits = Limits(
            k, batch_size, k_retriever, k_ranker, batch_size_retriever, batch_size_ranker
        )
        single = isinstance(q, str)
        queries = [q] if single else q
        if single and documents is not None:
            documents = [documents]

        found: list[list[Document]] = [[]] if single else []
        for model in self.models:
            passed = kwargs if self.forwards else bar_only(kwargs, model)
            answers = model(q=queries, documents=documents, **limits.of(model), **passed)
            for number, answer in enumerate(answers or []):
                if isinstance(answer, dict):
                    raise TypeError(
                        f"{type(model).__name__} answered a list of {len(queries)} queries by a "
                        "list of documents; it must give a list of documents for each query"
                    )
                if number == len(found):
                    found.append([])
                found[number].extend(answer)

        key = getattr(self, "key", None)
        merged = [self._select(tally(answer, key)) for answer in found]
        return merged[0] if single else merged


def bar_only(kwargs: dict[str, Any], model: Any) -> dict[str, Any]:
    """Keep the choice of a progress bar, where the model knows such a choice."""
    if "tqdm_bar" in kwargs and accepts(model, "tqdm_bar"):
        return {"tqdm_bar": kwargs["tqdm_bar"]}
    return {}


class _UnionRule(Merge):
    kind = "Union"

    def _select(self, entries: list[Entry]) -> list[Document]:
        return [scored(entry.first, entry.score) for entry in entries]


class _IntersectionRule(Merge):
    kind = "Intersection"

    def _select(self, entries: list[Entry]) -> list[Document]:
        everywhere = [entry for entry in entries if entry.count == len(self.models)]
        return [scored(entry.first, entry.score) for entry in everywhere]


class _VoteRule(Merge):
    kind = "Vote"

    def _select(self, entries: list[Entry]) -> list[Document]:
        ordered = sorted(entries, key=lambda entry: entry.score, reverse=True)
        return [scored(entry.last, entry.score) for entry in ordered]


class Union(_UnionRule):
    """All documents the models find, in order of first appearance.

    Parameters
    ----------
    models
        The models.
    """

    forwards = False


class Intersection(_IntersectionRule):
    """The documents that stand in the answers as often as there are models.

    Parameters
    ----------
    models
        The models.
    """

    forwards = False


class Vote(_VoteRule):
    """All documents the models find, ordered by their score.

    Parameters
    ----------
    models
        The models.
    """


class PipelineUnion(_UnionRule):
    """A union in which composed models take part."""

    title = "Union Pipeline"


class PipelineIntersection(_IntersectionRule):
    """An intersection in which composed models take part."""

    title = "Intersection Pipeline"


class PipelineVote(_VoteRule):
    """A vote in which composed models take part."""

    title = "Voting Pipeline"


#: What ``|``, ``&`` and ``*`` make of retrievers and rankers.
PLAIN: dict[str, type[Merge]] = {"Union": Union, "Intersection": Intersection, "Vote": Vote}
#: What they make as soon as the left side is composed itself.
PIPELINE: dict[str, type[Merge]] = {
    "Union": PipelineUnion,
    "Intersection": PipelineIntersection,
    "Vote": PipelineVote,
}
