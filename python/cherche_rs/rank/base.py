"""What rankers share: their place in a pipeline, and the store of embeddings."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._documents import Answer, Document, Query, fields_of, text_of
from .._progress import progress
from ..compose import Operators
from ..compose.operators import is_kind
from ..utils import yield_batch
from .order import descending, with_similarity


class RankerOperators(Operators):
    """The operators of a ranker: what is added to it comes in front of it."""

    def _then(self, other: Any) -> list[Any]:
        return [*(other.models if is_kind(other, "Pipeline") else [other]), self]


def as_array(vectors: Any) -> np.ndarray:
    """Return what an encoder answers (array, list of arrays, tensor on any device) as an array."""
    if hasattr(vectors, "detach"):
        vectors = vectors.detach().cpu()
        # numpy has no bfloat16.
        vectors = vectors.float() if str(vectors.dtype) == "torch.bfloat16" else vectors
    return np.asarray(vectors)


class MemoryStore:
    """Embeddings of documents, by key.

    Parameters
    ----------
    key
        Field that identifies a document.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.embeddings: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.embeddings)

    def add(self, embeddings: Iterable[Any], documents: list[Document], **_: Any) -> MemoryStore:
        """Store one embedding for each document; those of known documents are replaced."""
        for document, embedding in zip(documents, embeddings, strict=True):
            self.embeddings[document[self.key]] = embedding
        return self

    def get(
        self, documents: list[list[Document]], **_: Any
    ) -> tuple[list[Any], list[Any], list[Document]]:
        """Return the keys and embeddings of the known documents, and the unknown documents."""
        known, embeddings, unknown = [], [], []
        for answer in documents:
            for document in answer:
                key = document[self.key]
                if key in self.embeddings:
                    known.append(key)
                    embeddings.append(self.embeddings[key])
                else:
                    unknown.append(document)
        return known, embeddings, unknown


class Ranker(RankerOperators, abc.ABC):
    """Base class of rankers that compare embeddings.

    Parameters
    ----------
    key
        Field that identifies a document.
    on
        Field or fields that make the text of a document.
    encoder
        From a list of texts to their embeddings, shape (n_texts, n_dimensions).
    normalize
        Divide the embedding of the query by its norm. The embeddings of the documents are taken as
        they are: the score is a cosine if the encoder normalises.
    batch_size
        Number of documents to encode at once.
    k
        Number of documents to return.
    """

    def __init__(
        self,
        key: str,
        on: str | list[str],
        encoder: Callable[[list[str]], Any] | None,
        normalize: bool,
        batch_size: int,
        k: int | None = None,
    ) -> None:
        self.key = key
        self.on = fields_of(on)
        self.encoder = encoder
        self.store = MemoryStore(key=key)
        self.normalize = normalize
        self.k = k
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__} ranker"
            f"\n\tkey       : {self.key}"
            f"\n\ton        : {', '.join(self.on)}"
            f"\n\tnormalize : {self.normalize}"
            f"\n\tembeddings: {len(self.store)}"
        )

    @abc.abstractmethod
    def __call__(
        self,
        q: Query,
        documents: Any,
        k: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Order the documents of one query, or of several."""

    def add(
        self,
        documents: list[Document],
        batch_size: int = 64,
        tqdm_bar: bool = True,
        **kwargs: Any,
    ) -> Ranker:
        """Encode documents and store their embeddings.

        Parameters
        ----------
        documents
            The documents.
        batch_size
            Number of documents to encode at once.
        tqdm_bar
            Show a progress bar.
        kwargs
            Ignored: they are for other models of a pipeline.
        """
        self.store.add(self._embed(documents, batch_size, tqdm_bar), documents)
        return self

    def rank(
        self,
        embeddings_documents: dict[Any, Any],
        embeddings_queries: Any,
        documents: list[list[Document]],
        k: int | None,
        batch_size: int | None = None,
        tqdm_bar: bool = True,
    ) -> list[list[Document]]:
        """Order the documents of each query by the dot product of the embeddings.

        Parameters
        ----------
        embeddings_documents
            Embeddings of the documents, by key.
        embeddings_queries
            Embeddings of the queries, shape (n_queries, n_dimensions), or of one query.
        documents
            The candidates of each query.
        k
            Number of documents to return for each query.
        batch_size
            Not used here.
        tqdm_bar
            Show the progress bars.
        """
        queries = np.atleast_2d(as_array(embeddings_queries))
        if self.normalize:
            norms = np.linalg.norm(queries, axis=-1, keepdims=True)
            queries = queries / np.where(norms == 0, 1, norms)

        pairs = list(zip(queries, documents, strict=False))
        scores = [
            np.stack([as_array(embeddings_documents[document[self.key]]) for document in answer])
            @ query
            if answer
            else np.empty(0)
            for query, answer in progress(pairs, "Ranker scoring", tqdm_bar)
        ]
        return [
            with_similarity(answer, found, descending(found)[:k])
            for found, (_, answer) in progress(
                list(zip(scores, pairs, strict=True)), "Ranker sorting", tqdm_bar
            )
        ]

    def encode_rank(
        self,
        embeddings_queries: Any,
        documents: list[list[Document]],
        k: int | None,
        batch_size: int | None = None,
        tqdm_bar: bool = True,
    ) -> list[list[Document]]:
        """Order the documents of each query; those not stored are encoded on the way."""
        known, embeddings, unknown = self.store.get(documents=documents)
        if unknown:
            size = self.batch_size if batch_size is None else batch_size
            known = known + [document[self.key] for document in unknown]
            embeddings = embeddings + self._embed(unknown, size, tqdm_bar)
        return self.rank(
            embeddings_documents=dict(zip(known, embeddings, strict=True)),
            embeddings_queries=embeddings_queries,
            documents=documents,
            k=k,
            tqdm_bar=tqdm_bar,
        )

    def _embed(self, documents: list[Document], batch_size: int, tqdm_bar: bool) -> list[Any]:
        if self.encoder is None:
            raise TypeError(f"this {self.__class__.__name__} has no encoder")
        embeddings: list[Any] = []
        name = f"{self.__class__.__name__} ranker"
        for batch in yield_batch(documents, batch_size, desc=name, tqdm_bar=tqdm_bar):
            found = as_array(self.encoder([text_of(document, self.on) for document in batch]))
            if len(found) != len(batch):
                raise ValueError(
                    f"the encoder of the {name} answered {len(batch)} texts by {len(found)} "
                    "embeddings"
                )
            embeddings.extend(found)
        return embeddings

    def _limit(self, k: int | None) -> int:
        """Return how many documents to keep: as many as are stored, where nothing else is said."""
        k = self.k if k is None else k
        return len(self) if k is None else k
