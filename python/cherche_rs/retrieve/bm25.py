"""The retriever with BM25's weights."""

from __future__ import annotations

from typing import Any

from .._documents import Document
from ..sparse import BM25Vectorizer, TfidfVectorizer
from .tfidf import TfIdf

__all__ = ["BM25"]


class BM25(TfIdf):
    """Retrieve documents by the cosine of BM25 weights of n-grams.

    Parameters
    ----------
    key
        Field that identifies a document.
    on
        Field or fields in which the query is searched; they are joined by a space.
    documents
        The documents to fit the weights on and to index. They are neither kept nor changed.
    count_vectorizer
        How texts become weighted n-grams: as ``tfidf`` of :class:`TfIdf`, by default
        :class:`cherche_rs.sparse.BM25Vectorizer` over characters 3 to 5 of normalised text.
    k
        Number of documents to return; by default as many as were given, so all that match.
    batch_size
        Number of queries to answer between two steps of the progress bar.
    fit
        Fit the vectorizer; otherwise it must be fitted already.
    tqdm_bar
        Show a progress bar if building the index takes longer than a second.

    References
    ----------
    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """

    def __init__(
        self,
        key: str,
        on: str | list[str],
        documents: list[Document],
        count_vectorizer: Any = None,
        k: int | None = None,
        batch_size: int = 1024,
        fit: bool = True,
        tqdm_bar: bool = True,
    ) -> None:
        super().__init__(
            key=key,
            on=on,
            documents=documents,
            tfidf=count_vectorizer,
            k=k,
            batch_size=batch_size,
            fit=fit,
            tqdm_bar=tqdm_bar,
        )

    @staticmethod
    def _default_vectorizer() -> TfidfVectorizer:
        return BM25Vectorizer(normalize=True, ngram_range=(3, 5), analyzer="char_wb")
