"""The retrievers against cherche, LeNLP and scikit-learn on the same texts."""

import random
import sys
import zlib

import numpy as np
import pytest

from cherche_rs import _core, retrieve, sparse

cherche = pytest.importorskip("cherche.retrieve")
lenlp_sparse = pytest.importorskip("lenlp.sparse")
lenlp_normalizer = pytest.importorskip("lenlp.normalizer")
text_features = pytest.importorskip("sklearn.feature_extraction.text")

WORDS = [
    "le",
    "la",
    "les",
    "vin",
    "rouge",
    "Bordeaux",
    "château",
    "Paris",
    "ville",
    "d'été",
    "naïve",
    "日本",
    "Москва",
    "x",
    "the",
    "of",
    "a",
]
ODD = [
    "",
    " ",
    "a",
    "ab",
    "abc",
    "abcabcabcabc",
    "aaaa" * 20,
    "½ € ß",
    "!!!",
    "日本語 東京",
    "\tx\n",
]


def texts(count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(0, 14))) for _ in range(count)]


CORPUS = texts(300, seed=1) + ODD
ADDED = texts(40, seed=2) + ODD
QUERIES = texts(40, seed=3) + ODD + ["château de bordeaux", "unknownunknown"]


def documents(corpus, start=0):
    return [{"id": start + i, "text": text} for i, text in enumerate(corpus)]


def scores(retriever):
    """All scores of all queries as a dense matrix."""
    every = np.zeros((len(QUERIES), len(CORPUS) + len(ADDED)))
    for row, query in enumerate(QUERIES):
        for document in retriever(query, k=10**6):
            every[row, document["id"]] = document["similarity"]
    return every


def assert_same(ours, theirs):
    ours.add(documents(ADDED, start=len(CORPUS)))
    theirs.add(documents(ADDED, start=len(CORPUS)))
    # Their sums are float32.
    np.testing.assert_allclose(scores(ours), scores(theirs), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", ["TfIdf", "BM25"])
def test_defaults(name):
    ours = getattr(retrieve, name)(key="id", on="text", documents=documents(CORPUS))
    theirs = getattr(cherche, name)(key="id", on="text", documents=documents(CORPUS))
    assert_same(ours, theirs)


OPTIONS = [
    {"analyzer": "word"},
    {"analyzer": "word", "ngram_range": (1, 3)},
    {"analyzer": "word", "ngram_range": (2, 2), "stop_words": ["le", "la"]},
    {"analyzer": "char", "ngram_range": (1, 1)},
    {"analyzer": "char", "ngram_range": (2, 9)},
    {"analyzer": "char", "ngram_range": (1, 4), "normalize": False},
    {"analyzer": "char_wb", "ngram_range": (3, 7), "stop_words": ["the", "of"]},
    {"analyzer": "char", "ngram_range": (3, 12), "stop_words": []},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_native_options_are_those_of_lenlp(options):
    ours = retrieve.TfIdf("id", "text", documents(CORPUS), tfidf=sparse.TfidfVectorizer(**options))
    theirs = cherche.TfIdf(
        "id", "text", documents(CORPUS), tfidf=lenlp_sparse.TfidfVectorizer(**options)
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("bm25", [{}, {"k1": 0.9, "b": 0.4, "epsilon": 0.2}, {"b": 0.0}])
def test_native_bm25_options_are_those_of_lenlp(options, bm25):
    options = {**options, **bm25}
    ours = retrieve.BM25("id", "text", documents(CORPUS), sparse.BM25Vectorizer(**options))
    theirs = cherche.BM25("id", "text", documents(CORPUS), lenlp_sparse.BM25Vectorizer(**options))
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: text_features.TfidfVectorizer(),
        lambda: text_features.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 7)),
        lambda: text_features.CountVectorizer(),
        lambda: text_features.HashingVectorizer(n_features=64),
        lambda: lenlp_sparse.TfidfVectorizer(analyzer="char", ngram_range=(3, 5)),
        lambda: lenlp_sparse.BM25Vectorizer(),
    ],
)
def test_vectorizers_of_others(make):
    ours = retrieve.TfIdf("id", "text", documents(CORPUS), tfidf=make())
    theirs = cherche.TfIdf("id", "text", documents(CORPUS), tfidf=make())
    assert_same(ours, theirs)
    pairs = zip(ours("le vin rouge"), theirs("le vin rouge"), strict=True)
    assert {type(a["similarity"]) is type(b["similarity"]) for a, b in pairs} == {True}


def test_a_vectorizer_fitted_before():
    def fitted():
        return text_features.TfidfVectorizer().fit(CORPUS + ADDED)

    ours = retrieve.TfIdf("id", "text", documents(CORPUS), tfidf=fitted(), fit=False)
    theirs = cherche.TfIdf("id", "text", documents(CORPUS), tfidf=fitted(), fit=False)
    assert_same(ours, theirs)


def test_two_retrievers_may_share_a_vectorizer():
    shared = text_features.TfidfVectorizer()
    first = retrieve.TfIdf("id", "text", documents(CORPUS), tfidf=shared)
    before = scores(first)
    second = retrieve.TfIdf("id", "text", documents(["other words altogether"]), tfidf=shared)
    np.testing.assert_array_equal(scores(first), before)
    assert len(second("altogether")) == 1


def test_foreign_removal_filter_and_pickle():
    import pickle

    ours = retrieve.TfIdf("id", "text", documents(CORPUS), tfidf=text_features.TfidfVectorizer())
    every = ours("le vin rouge")
    gone, kept = every[0]["id"], every[1]["id"]
    assert ours("le vin rouge", filter={kept}) == [every[1]]
    ours.remove([gone])
    again = pickle.loads(pickle.dumps(ours))
    for retriever in (ours, again):
        assert retriever("le vin rouge") == every[1:]
        assert retriever("le vin rouge", filter={gone, kept}) == [every[1]]


def test_normalisation_of_every_character():
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    blocks = [
        "".join(f"x{c}y" for c in characters[i : i + 64]) for i in range(0, len(characters), 64)
    ]
    ours = [_core.normalize(block) for block in blocks]
    assert ours == lenlp_normalizer.normalize(blocks)
    # The same without LeNLP: what its tables were when this was written.
    assert zlib.crc32("\n".join(ours).encode()) == 1157556967


def test_normalisation_trims_as_lenlp_does():
    for code in range(0x3100):
        text = f"{chr(code)}a{chr(code)}"
        assert _core.normalize(text) == lenlp_normalizer.normalize([text])[0], hex(code)
