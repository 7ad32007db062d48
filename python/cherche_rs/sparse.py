"""How the native retrievers cut texts into n-grams, in the words of LeNLP's vectorizers.

Pass one of these as ``tfidf`` of :class:`cherche_rs.retrieve.TfIdf` or as ``count_vectorizer`` of
:class:`cherche_rs.retrieve.BM25` where a pipeline passes the class of the same name of
``lenlp.sparse``: scores are the same, and the index is the native one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["BM25Vectorizer", "TfidfVectorizer"]


@dataclass(frozen=True)
class TfidfVectorizer:
    """Tf-idf weights of n-grams.

    Parameters
    ----------
    analyzer
        What n-grams are made of: ``"word"``, ``"char"``, or ``"char_wb"``, which means ``"char"``
        as it does in LeNLP.
    ngram_range
        Lengths of the shortest and of the longest n-grams, in words or characters.
    normalize
        Transliterate texts to ASCII, lowercase them, delete punctuation, trim.
    stop_words
        Words to drop before n-grams are cut.
    """

    analyzer: str = "word"
    ngram_range: tuple[int, int] = (1, 1)
    normalize: bool = True
    stop_words: Iterable[str] | None = None


@dataclass(frozen=True)
class BM25Vectorizer(TfidfVectorizer):
    """BM25 weights of n-grams [1]_; texts are compared by the cosine of their weights.

    Parameters
    ----------
    analyzer, ngram_range, normalize, stop_words
        As for :class:`TfidfVectorizer`.
    k1
        How slowly the weight of an n-gram saturates with its frequency in a text.
    b
        How much long texts are penalised, from 0 to 1.
    epsilon
        Added to the weight of each n-gram of a text, before its idf.

    References
    ----------
    .. [1] Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """

    k1: float = 1.5
    b: float = 0.75
    epsilon: float = 0.0
