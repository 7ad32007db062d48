"""The operators ``+ | & *``, written once for retrievers, rankers and what they compose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._documents import Document

if TYPE_CHECKING:
    from .merge import Merge
    from .pipeline import Pipeline


def is_kind(model: object, *names: str) -> bool:
    """Tell whether a model is of one of the named classes, ours or cherche's of the same name.

    cherche itself is never imported: its objects and ours meet in one pipeline.
    """
    return any(
        cls.__name__ in names and cls.__module__.partition(".")[0] in ("cherche", "cherche_rs")
        for cls in type(model).__mro__
    )


def is_documents(operand: object) -> bool:
    """Tell whether an operand is a corpus: a list (or tuple) of documents."""
    return isinstance(operand, (list, tuple))


class Operators:
    """Compose models with ``+`` (pipeline), ``|`` (union), ``&`` (intersection) and ``*`` (vote).

    The rules are cherche's; here they are those of a retriever. Rankers override `_then` (a ranker
    goes behind what is added to it), composed models `_then`, `_with_documents` and `_merged`.
    """

    def __add__(self, other: Any) -> Pipeline:
        """Chain the two in a pipeline; a list of documents completes the answers by their fields.

        Raises
        ------
        KeyError
            If a document lacks the key.
        TypeError
            If the other is neither a list of documents nor something to call.
        """
        from .pipeline import Pipeline

        if is_documents(other):
            return Pipeline(self._with_documents(self._mapping(other)))
        return Pipeline(self._then(other))

    def __or__(self, other: Any) -> Merge:
        """Join the documents of the two, those of the first one in front."""
        return self._merged("Union", other)

    def __and__(self, other: Any) -> Merge:
        """Keep the documents that both find."""
        return self._merged("Intersection", other)

    def __mul__(self, other: Any) -> Merge:
        """Order the documents of the two by how often and how high they stand."""
        return self._merged("Vote", other)

    def _then(self, other: Any) -> list[Any]:
        return [self, *(other.models if is_kind(other, "Pipeline") else [other])]

    def _with_documents(self, documents: dict[Any, Document] | list[Document]) -> list[Any]:
        return [self, documents]

    def _mapping(self, documents: Any) -> dict[Any, Document] | list[Document]:
        """Index the documents by key; without a key they stay a list (see `Pipeline`)."""
        key = getattr(self, "key", None)
        return list(documents) if key is None else by_key(documents, key)

    def _merged(self, kind: str, other: Any) -> Merge:
        from . import merge

        operands = other.models if is_kind(other, kind) else [other]
        return merge.PLAIN[kind]([self, *operands])


def by_key(documents: Any, key: str) -> dict[Any, Document]:
    """Index documents by their ``key``; of documents with equal keys the last one stays.

    Raises
    ------
    KeyError
        If a document has no such field.
    """
    try:
        return {document[key]: document for document in documents}
    except KeyError:
        for position, document in enumerate(documents):
            if key not in document:
                raise KeyError(
                    f"document {position} of the mapping has no {key!r}, the key of the pipeline; "
                    f"its fields: {list(document)}"
                ) from None
        raise
