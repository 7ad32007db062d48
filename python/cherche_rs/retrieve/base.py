"""What all retrievers have in common."""

from __future__ import annotations

import abc
from typing import Any

from .._documents import Answer, Document, Query, fields_of
from ..compose import Operators

__all__ = ["Retriever"]


class Retriever(Operators, abc.ABC):
    """Base class of retrievers.

    Parameters
    ----------
    key
        Field that identifies a document.
    on
        Field or fields in which the query is searched.
    k
        Number of documents to return.
    batch_size
        Number of queries to treat at once.
    """

    #: The documents by their key field alone; None before any were given.
    documents: list[Document] | None = None

    def __init__(self, key: str, on: str | list[str], k: int | None, batch_size: int) -> None:
        self.key = key
        self.on = fields_of(on)
        self.k = k
        self.batch_size = batch_size

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__} retriever"
            f"\n\tkey      : {self.key}"
            f"\n\ton       : {', '.join(self.on)}"
            f"\n\tdocuments: {len(self)}"
        )

    def __len__(self) -> int:
        return 0 if self.documents is None else len(self.documents)

    @abc.abstractmethod
    def __call__(
        self, q: Query, k: int | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Answer:
        """Answer a query by a list of documents, a list of queries by a list of lists."""
