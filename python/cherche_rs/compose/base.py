"""What pipelines and merges share: the models, the key, and how the models are called."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._documents import Answer, Document, Query
from .operators import Operators, is_kind


@dataclass(frozen=True)
class Limits:
    """How many documents to return and how many to treat at once, by role of the model."""

    k: int | None = None
    batch_size: int | None = None
    k_retriever: int | None = None
    k_ranker: int | None = None
    batch_size_retriever: int | None = None
    batch_size_ranker: int | None = None

    def of(self, model: Any) -> dict[str, int | None]:
        """Return the arguments of one model: those of its role come before the common ones."""
        if isinstance(model, Compose):
            return vars(self)
        k, batch_size = self.k, self.batch_size
        role = role_of(model)
        if role == "retriever":
            k = k if self.k_retriever is None else self.k_retriever
            batch_size = (
                batch_size if self.batch_size_retriever is None else self.batch_size_retriever
            )
        elif role == "ranker":
            k = k if self.k_ranker is None else self.k_ranker
            batch_size = batch_size if self.batch_size_ranker is None else self.batch_size_ranker
        return {"k": k, "batch_size": batch_size}


def role_of(model: Any) -> str | None:
    """Return "retriever", "ranker", or None for anything else (functions, filters).

    A pipeline or merge of cherche's has the role that all its models share.
    """
    if is_kind(model, "Retriever"):
        return "retriever"
    if is_kind(model, "Ranker", "CrossEncoder"):
        return "ranker"
    if is_kind(model, "Compose"):
        roles = {role_of(inner) for inner in model.models if not isinstance(inner, (dict, list))}
        return roles.pop() if len(roles) == 1 else None
    return None


def accepts(model: Any, argument: str) -> bool:
    """Tell whether a model names this argument, or passes it on to models that may."""
    if is_kind(model, "Compose"):
        return True
    try:
        return argument in inspect.signature(model).parameters
    except (TypeError, ValueError):
        return False


class Compose(Operators, abc.ABC):
    """Base class of what is composed of several models.

    Parameters
    ----------
    models
        The models, in order. The key is that of the first model that has one.

    Raises
    ------
    TypeError
        If a model cannot be called.
    """

    key: str

    def __init__(self, models: list[Any]) -> None:
        self.models = list(models)
        for model in self.models:
            self._check(model)
        for model in self.models:
            if hasattr(model, "key"):
                self.key = model.key
                break

    @staticmethod
    def _check(model: Any) -> None:
        if not callable(model):
            raise TypeError(
                f"a {type(model).__name__} cannot be part of this: it takes models (retrievers, "
                "rankers, pipelines, functions); a list of documents is added with +"
            )

    @abc.abstractmethod
    def __call__(self, q: Query, **kwargs: Any) -> Answer:
        """Answer a query, or several."""

    def __repr__(self) -> str:
        return "\n".join(
            "Mapping to documents" if isinstance(model, (dict, list)) else repr(model)
            for model in self.models
        )

    def _then(self, other: Any) -> list[Any]:
        return [self, other]

    def _merged(self, kind: str, other: Any) -> Any:
        from . import merge

        return merge.PIPELINE[kind]([self, other])

    def add(self, documents: list[Document], **kwargs: Any) -> Compose:
        """Add documents to every model that can take some.

        Each model, index and store receives them once, however often it stands in the pipeline. The
        documents mapped by ``+ documents`` stay as they are.

        Parameters
        ----------
        documents
            The new documents.
        kwargs
            Passed to the ``add`` of every model.
        """
        seen: dict[int, Any] = {}
        for model in leaves(self.models):
            parts = [model, getattr(model, "index", None), getattr(model, "store", None)]
            # The parts are kept beside their ids, so that no id is given to another object.
            found = {id(part): part for part in parts if part is not None}
            if seen.keys().isdisjoint(found) and callable(getattr(model, "add", None)):
                model.add(documents=documents, **kwargs)
            seen |= found
        return self

    def reset(self) -> Compose:
        """Call the ``reset`` of every model that has one."""
        for model in leaves(self.models):
            if callable(getattr(model, "reset", None)):
                model.reset()
        return self


def leaves(models: list[Any]) -> Iterator[Any]:
    """Iterate over the models that are not composed themselves, inside out."""
    for model in models:
        if is_kind(model, "Compose"):
            yield from leaves(model.models)
        elif not isinstance(model, (dict, list)):
            yield model
