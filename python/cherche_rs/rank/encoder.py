"""Rankers that compare embeddings: of one encoder, of two, or given by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._documents import Answer, Document, Query, nothing_to_rank
from .base import Ranker, as_array


class Encoder(Ranker):
    """Rank by the similarity of embeddings, one encoder for queries and documents.

    Parameters
    ----------
    on
        Field or fields that make the text of a document.
    key
        Field that identifies a document.
    encoder
        From a list of texts to their embeddings, shape (n_texts, n_dimensions).
    normalize
        Divide the embedding of the query by its norm.
    k
        Number of documents to return; the number of stored embeddings if left out.
    batch_size
        Number of documents to encode at once.
    """

    def __init__(
        self,
        on: str | list[str],
        key: str,
        encoder: Callable[[list[str]], Any],
        normalize: bool = True,
        k: int | None = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__(
            key=key, on=on, encoder=encoder, normalize=normalize, batch_size=batch_size, k=k
        )

    def _encode_queries(self, queries: Any) -> Any:
        assert self.encoder is not None
        return self.encoder(queries)

    def __call__(
        self,
        q: Query,
        documents: Any,
        k: int | None = None,
        batch_size: int | None = None,
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
        k
            Number of documents to return for each query.
        batch_size
            Number of documents to encode at once.
        tqdm_bar
            Show the progress bars.
        kwargs
            Ignored: they are for other models of a pipeline.
        """
        single = isinstance(q, str)
        if not documents and (single or isinstance(q, list)):
            return nothing_to_rank(q)
        ranked = self.encode_rank(
            embeddings_queries=self._encode_queries([q] if single else q),
            documents=[documents] if single else documents,
            k=self._limit(k),
            batch_size=batch_size,
            tqdm_bar=tqdm_bar,
        )
        return ranked[0] if single else ranked


class DPR(Encoder):
    """Rank by the similarity of embeddings, one encoder for documents and one for queries.

    Parameters
    ----------
    on
        Field or fields that make the text of a document.
    key
        Field that identifies a document.
    encoder
        From a list of texts of documents to their embeddings, shape (n_texts, n_dimensions).
    query_encoder
        From a list of queries to their embeddings, shape (n_queries, n_dimensions).
    normalize
        Divide the embedding of the query by its norm.
    k
        Number of documents to return; the number of stored embeddings if left out.
    batch_size
        Number of documents to encode at once.

    References
    ----------
    Karpukhin et al., Dense Passage Retrieval for Open-Domain Question Answering, 2020.
    """

    def __init__(
        self,
        on: str | list[str],
        key: str,
        encoder: Callable[[list[str]], Any],
        query_encoder: Callable[[list[str]], Any],
        normalize: bool = True,
        k: int | None = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__(on, key, encoder, normalize, k, batch_size)
        self.query_encoder = query_encoder

    def _encode_queries(self, queries: Any) -> Any:
        return self.query_encoder(queries)


class Embedding(Ranker):
    """Rank by the similarity of embeddings given by hand, for documents and queries.

    Parameters
    ----------
    key
        Field that identifies a document.
    normalize
        Divide the embedding of the query by its norm.
    k
        Number of documents to return; the number of stored embeddings if left out.
    batch_size
        Kept for cherche's signature.
    """

    def __init__(
        self, key: str, normalize: bool = True, k: int | None = None, batch_size: int = 1024
    ) -> None:
        super().__init__(
            key=key, on="", encoder=None, normalize=normalize, batch_size=batch_size, k=k
        )

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__} ranker"
            f"\n\tkey      : {self.key}"
            f"\n\tdocuments: {len(self)}"
            f"\n\tnormalize: {self.normalize}"
        )

    def add(  # type: ignore[override]
        self, documents: list[Document], embeddings_documents: Any, **kwargs: Any
    ) -> Embedding:
        """Store the embeddings of documents, shape (n_documents, n_dimensions)."""
        self.store.add(as_array(embeddings_documents), documents)
        return self

    def __call__(  # type: ignore[override]
        self,
        q: np.ndarray,
        documents: Any,
        k: int | None = None,
        batch_size: int | None = None,
        tqdm_bar: bool = True,
        **kwargs: Any,
    ) -> Answer:
        """Order the documents of one query, or of several.

        Parameters
        ----------
        q
            Embedding of one query, shape (n_dimensions,), or of several, (n_queries, n_dimensions).
        documents
            A list of documents for one query, a list of such lists for several.
        k
            Number of documents to return for each query.
        batch_size
            Kept for cherche's signature.
        tqdm_bar
            Show the progress bars.
        kwargs
            Ignored: they are for other models of a pipeline.

        Raises
        ------
        KeyError
            If a document has no stored embedding.
        """
        queries = as_array(q)
        single = queries.ndim == 1
        candidates = [documents] if single else documents
        known, embeddings, unknown = self.store.get(documents=candidates)
        if unknown:
            raise KeyError(
                f"no embedding is stored for {len(unknown)} of the documents to rank, first "
                f"{unknown[0][self.key]!r}; give them to add() first"
            )
        ranked = self.rank(
            embeddings_documents=dict(zip(known, embeddings, strict=True)),
            embeddings_queries=queries,
            documents=candidates,
            k=self._limit(k),
            tqdm_bar=tqdm_bar,
        )
        return ranked[0] if single else ranked
