"""Rankers: what they are given, what they call, what they answer, what they refuse."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from cherche_replay import PairEncoder, VectorEncoder

from cherche_rs import encoders, rank

DOCUMENTS = [
    {"id": 0, "title": "aaa", "body": "first"},
    {"id": 1, "title": "bb", "body": "second one"},
    {"id": 2, "title": "c", "body": "third"},
]


def lengths(pairs):
    return np.array([len(text) for _, text in pairs], dtype=np.float32)


def ids(answer):
    return [document["id"] for document in answer]


def cross_encoder(encoder=lengths, **options):
    return rank.CrossEncoder(on="title", encoder=encoder, **options)


# --------------------------------------------------------------- the order of a cross-encoder
def test_equal_scores_keep_the_order_of_the_documents():
    many = [{"id": i, "title": "same" if i % 2 else "longer one"} for i in range(40)]
    even, odd = list(range(0, 40, 2)), list(range(1, 40, 2))
    assert ids(cross_encoder()("q", many)) == even + odd
    assert ids(cross_encoder()("q", many, k=25)) == even + odd[:5]


def test_nan_comes_first_where_it_is_seen():
    scores = [1.0, float("nan"), 2.0]
    answer = cross_encoder(lambda pairs: scores)("q", DOCUMENTS)
    assert ids(answer) == [1, 2, 0]


@pytest.mark.parametrize(
    ("k", "expected"),
    [(None, 3), (0, 3), (1, 1), (2, 2), (99, 3), (-1, 2), (-3, 0), (-99, 0), (np.int64(2), 2)],
)
def test_k(k, expected):
    best = [0, 1, 2]
    assert ids(cross_encoder()("q", DOCUMENTS, k=k)) == best[:expected]
    assert ids(cross_encoder(k=k)("q", DOCUMENTS)) == best[:expected]


@pytest.mark.parametrize("k", ["2", 1.0, [1]])
def test_k_that_is_no_integer(k):
    with pytest.raises(TypeError):
        cross_encoder()("q", DOCUMENTS, k=k)


def test_documents_given_are_not_changed():
    documents = copy.deepcopy(DOCUMENTS)
    documents[0]["similarity"] = 5
    before = copy.deepcopy(documents)
    answer = cross_encoder()("q", documents)
    answer[0]["title"] = "changed"
    assert documents == before


@pytest.mark.parametrize("q", [("q", "r"), np.array(["q", "r"])], ids=["tuple", "array"])
def test_other_sequences_of_queries(q):
    assert [ids(found) for found in cross_encoder()(q, [DOCUMENTS, DOCUMENTS[1:]])] == [
        [0, 1, 2],
        [1, 2],
    ]


# -------------------------------------------------------------------- functions as encoders
ANSWERS = {
    "float32": lambda s: np.array(s, dtype=np.float32),
    "float64": lambda s: np.array(s, dtype=np.float64),
    "integers": lambda s: [int(x) for x in s],
    "list": list,
    "generator": lambda s: (x for x in s),
    "column": lambda s: np.array(s)[:, None],
    "list of columns": lambda s: [np.array([x]) for x in s],
    "tensor": lambda s: torch.tensor(s),
    "tensor with gradient": lambda s: torch.tensor(s, requires_grad=True),
    "bfloat16": lambda s: torch.tensor(s, dtype=torch.bfloat16),
    "list of tensors": lambda s: [torch.tensor(x) for x in s],
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("batch_size", [2, 64])
def test_what_an_encoder_may_answer(kind, batch_size):
    def encoder(pairs):
        return ANSWERS[kind](lengths(pairs).tolist())

    answer = cross_encoder(encoder)("q", DOCUMENTS, batch_size=batch_size)
    assert [float(document["similarity"]) for document in answer] == [3, 2, 1]
    assert all(isinstance(document["similarity"], np.number) for document in answer)


def test_batches_go_across_queries():
    encoder = PairEncoder("len")
    cross_encoder(encoder)(["q", "r"], [DOCUMENTS, DOCUMENTS[:1]], batch_size=3)
    assert encoder.calls == [[("q", "aaa"), ("q", "bb"), ("q", "c")], [("r", "aaa")]]


@pytest.mark.parametrize(
    ("scores", "shape"),
    [
        ([1.0, 2.0], r"\(2,\)"),
        ([1.0] * 4, r"\(4,\)"),
        (np.zeros((3, 2)), r"\(3, 2\)"),
        (np.zeros((1, 3)), r"\(1, 3\)"),
        (1.0, None),
        (None, None),
    ],
    ids=["fewer", "more", "labels", "row", "number", "none"],
)
def test_what_an_encoder_must_not_answer(scores, shape):
    with pytest.raises((ValueError, TypeError), match=shape):
        cross_encoder(lambda pairs: scores)("q", DOCUMENTS)


def test_an_error_of_the_encoder_reaches_the_caller():
    def encoder(pairs):
        raise RuntimeError("no memory")

    ranker = cross_encoder(encoder)
    with pytest.raises(RuntimeError, match="no memory"):
        ranker("q", DOCUMENTS)
    ranker.encoder = lengths
    assert ids(ranker("q", DOCUMENTS)) == [0, 1, 2]


@pytest.mark.parametrize("encoder", [3, 1.5, ["a"], {"a": 1}, object()], ids=type)
def test_what_is_no_encoder(encoder):
    with pytest.raises(TypeError, match="an encoder must be"):
        cross_encoder(encoder)


def test_no_encoder_and_no_embedded_model(monkeypatch, tmp_path):
    monkeypatch.setattr(encoders, "DEFAULT_MODEL", tmp_path / "absent")
    with pytest.raises(ValueError, match="no encoder was given"):
        rank.CrossEncoder(on="title")


# ---------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("on", [("title",), ["title", 3], None, 3])
def test_fields_that_are_no_names(on):
    with pytest.raises(TypeError, match="on must be"):
        rank.CrossEncoder(on=on, encoder=lengths)


def test_a_tuple_of_fields_says_how_to_write_it():
    with pytest.raises(TypeError, match=r"write on=\['title', 'body'\]"):
        rank.CrossEncoder(on=("title", "body"), encoder=lengths)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one(batch_size):
    for call in (
        lambda: cross_encoder()("q", DOCUMENTS, batch_size=batch_size),
        lambda: cross_encoder(batch_size=batch_size)("q", DOCUMENTS),
        lambda: embedding_ranker(k=2)("q", DOCUMENTS, batch_size=batch_size),
    ):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            call()


@pytest.mark.parametrize(
    ("q", "documents", "error", "message"),
    [
        ("q", [{"title": 4}], TypeError, "'title'.*int: 4"),
        ("q", [{"title": None}], TypeError, "'title'.*NoneType"),
        ("q", ["text"], TypeError, "a document must be a dict"),
        ("q", [DOCUMENTS], TypeError, "a document must be a dict"),
        (["q"], DOCUMENTS, IndexError, "3 lists of documents for 1 queries"),
        (["q", "r", "s"], DOCUMENTS, TypeError, "a list of documents for each query"),
        (["q"], [DOCUMENTS, DOCUMENTS], IndexError, "2 lists of documents for 1 queries"),
        ([None], [DOCUMENTS], TypeError, "a query must be a string"),
        (3, DOCUMENTS, TypeError, "q must be"),
    ],
)
def test_arguments_that_do_not_fit(q, documents, error, message):
    ranker = cross_encoder()
    with pytest.raises(error, match=message):
        ranker(q, documents)
    assert ids(ranker("q", DOCUMENTS)) == [0, 1, 2], "still usable"


def test_documents_without_any_field_warn():
    with pytest.warns(UserWarning, match=r"retriever \+ documents \+ ranker"):
        cross_encoder()("q", [{"id": 0}, {"id": 1}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_encoder()("q", [{"id": 0}, DOCUMENTS[1]])
        cross_encoder()("q", [])
        cross_encoder()(["q"], [[]])


# ------------------------------------------------------------------------ rankers of embeddings
def embedding_ranker(**options):
    return rank.Encoder(on="title", key="id", encoder=VectorEncoder(), **options)


def test_vectors_of_torch():
    plain = embedding_ranker(k=3)
    tensors = rank.Encoder(
        on="title", key="id", k=3, encoder=lambda texts: torch.tensor(VectorEncoder()(texts))
    )
    expected = plain("q", DOCUMENTS)
    assert ids(tensors("q", DOCUMENTS)) == ids(expected)
    assert tensors.add(DOCUMENTS)(["q"], [DOCUMENTS]) == [expected]


def test_equal_embeddings_keep_the_order_of_the_documents():
    ranker = rank.Encoder(on="title", key="id", k=9, encoder=lambda texts: np.ones((len(texts), 2)))
    assert ids(ranker("q", DOCUMENTS)) == [0, 1, 2]


def test_a_query_without_direction_scores_zero():
    ranker = rank.DPR(
        on="title",
        key="id",
        k=9,
        encoder=lambda texts: np.ones((len(texts), 2)),
        query_encoder=lambda texts: np.zeros((len(texts), 2)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [document["similarity"] for document in ranker("q", DOCUMENTS)] == [0, 0, 0]


def test_an_encoder_that_answers_too_few_vectors():
    ranker = rank.Encoder(on="title", key="id", encoder=lambda texts: np.ones((1, 2)))
    with pytest.raises(ValueError, match="3 texts by 1 embeddings"):
        ranker.add(DOCUMENTS)


def test_embeddings_given_by_hand():
    ranker = rank.Embedding(key="id")
    assert ranker.add(DOCUMENTS, np.array([[1.0, 0], [0, 1], [0.6, 0.8]])) is ranker
    assert repr(ranker) == "Embedding ranker\n\tkey      : id\n\tdocuments: 3\n\tnormalize: True"
    one = ranker(np.array([0.0, 2.0]), DOCUMENTS)
    assert [(d["id"], d["similarity"]) for d in one] == [(1, 1.0), (2, 0.8), (0, 0.0)]
    assert ranker(np.array([[0.0, 2.0]]), [DOCUMENTS], k=1) == [one[:1]]
    with pytest.raises(KeyError, match="no embedding is stored for 1"):
        ranker(np.array([0.0, 2.0]), [*DOCUMENTS, {"id": 9}])


def test_embeddings_that_do_not_fit_the_documents():
    with pytest.raises(ValueError):
        rank.Embedding(key="id").add(DOCUMENTS, np.ones((2, 2)))


# ------------------------------------------------------------------------------- copies, threads
RANKERS = {
    "CrossEncoder": lambda: cross_encoder(PairEncoder("hash")),
    "Encoder": lambda: embedding_ranker(k=3).add(DOCUMENTS),
    "DPR": lambda: rank.DPR("title", "id", VectorEncoder(1), VectorEncoder(2), k=3),
}


@pytest.mark.parametrize("name", RANKERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(name, protocol):
    ranker = RANKERS[name]()
    again = pickle.loads(pickle.dumps(ranker, protocol=protocol))
    assert repr(again) == repr(ranker)
    assert again("q", DOCUMENTS) == ranker("q", DOCUMENTS)


@pytest.mark.parametrize("name", RANKERS)
def test_deepcopy(name):
    ranker = RANKERS[name]()
    again = copy.deepcopy(ranker)
    assert again.encoder is not ranker.encoder
    assert again("q", DOCUMENTS) == ranker("q", DOCUMENTS)


@pytest.mark.parametrize("name", RANKERS)
def test_one_ranker_from_many_threads(name):
    ranker = RANKERS[name]()
    expected = {q: ranker(q, DOCUMENTS) for q in "abcdef"}
    wrong = []

    def ask():
        for q in "abcdef" * 5:
            if ranker(q, DOCUMENTS, tqdm_bar=False) != expected[q]:
                wrong.append(q)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
