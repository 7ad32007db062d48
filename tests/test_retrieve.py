"""The n-gram retrievers by behaviour."""

import copy
import functools
import pickle
import threading

import numpy as np
import pytest

from cherche_rs import retrieve, sparse

TEXTS = [
    "Paris is the capital of France",
    "Bordeaux is famous for its wine",
    "Lyon, a city of France, and its food",
    "Toulouse builds planes",
    "Paris is the capital of France",
    "",
    "of",
]
DOCUMENTS = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
QUERIES = ["capital of france", "wine", "planes over toulouse", "zzzz", "", "!!"]


@pytest.fixture(params=[retrieve.TfIdf, retrieve.BM25])
def cls(request):
    return request.param


@pytest.fixture
def retriever(cls):
    return cls(key="id", on="text", documents=DOCUMENTS)


def ask(retriever, q=QUERIES, **kwargs):
    return retriever(q, tqdm_bar=False, **kwargs)


def ids(answer):
    return [document["id"] for document in answer]


def test_a_string_gives_a_list_and_a_list_gives_lists(retriever):
    answers = ask(retriever)
    assert [ask(retriever, query) for query in QUERIES] == answers
    assert ask(retriever, tuple(QUERIES)) == answers
    assert ask(retriever, np.array(QUERIES)) == answers
    assert ask(retriever, QUERIES, batch_size=1) == answers
    assert ask(retriever, []) == []
    assert ids(answers[1]) == [1]
    assert answers[3:] == [[], [], []]


def test_answers_of_many_queries_come_in_their_order(cls):
    documents = [{"id": i, "text": f"{i * 7919} wine"} for i in range(2100)]
    retriever = cls(key="id", on="text", documents=documents)
    queries = [document["text"] for document in documents]
    alone = [ask(retriever, query, k=2) for query in queries]
    assert [answer[0]["id"] for answer in alone] == [*range(2100)]
    # Few, a task for each, many for each, and more than are searched at once.
    for count in (5, 10, 300, 2100):
        assert ask(retriever, queries[:count], k=2, batch_size=10**6) == alone[:count]


def test_equal_scores_come_in_the_order_of_the_documents(cls):
    documents = [{"id": 100 - i, "text": "same text"} for i in range(50)]
    retriever = cls(key="id", on="text", documents=documents)
    retriever.add([{"id": "late", "text": "same text"}])
    answer = ask(retriever, "same text", k=99)
    assert ids(answer) == [*range(100, 50, -1), "late"]
    assert len({document["similarity"] for document in answer}) == 1
    assert ids(ask(retriever, "same text", k=7)) == list(range(100, 93, -1))


def test_type_of_scores(retriever, cls):
    kind = np.float32 if cls is retrieve.TfIdf else np.float64
    assert {type(d["similarity"]) for answer in ask(retriever) for d in answer} == {kind}


def test_k(retriever):
    every = ask(retriever, "capital of france")
    assert ask(retriever, "capital of france", k=2) == every[:2]
    assert ask(retriever, "capital of france", k=0) == []
    assert ask(retriever, "capital of france", k=10**30) == every
    assert ask(retriever, "capital of france", k=-1) == every[:-1]
    assert ask(retriever, "zzzz", k=-1) == []
    with pytest.raises(ValueError, match="leaves out more"):
        ask(retriever, "capital of france", k=-100)
    for k in ("2", 1.0):
        with pytest.raises(TypeError):
            ask(retriever, "wine", k=k)


def test_add_skips_known_keys_and_keeps_the_weights(retriever):
    before = ask(retriever)
    assert retriever.add(DOCUMENTS) is retriever
    assert len(retriever) == len(DOCUMENTS)
    assert ask(retriever) == before
    retriever.add([{"id": "new", "text": "the wine of Bordeaux, the WINE"}])
    assert len(retriever) == len(DOCUMENTS) + 1
    assert set(ids(ask(retriever, "wine"))) == {1, "new"}
    assert ask(retriever, "planes over toulouse") == before[2]


def test_many_small_additions_answer_as_one_large(cls):
    rest = [{"id": i, "text": f"{TEXTS[i % 5]} number {i}"} for i in range(10, 200)]
    one = cls("id", "text", DOCUMENTS).add(rest)
    many = cls("id", "text", DOCUMENTS)
    for number, document in enumerate(rest, start=1):
        many.add([document])
        if number in (1, 9, 81):
            # All that was added is in one segment again.
            assert many._backend.index.segments == 2
    assert ask(many) == ask(one)
    assert many._backend.index.segments < 12


def test_remove(retriever):
    retriever.add([{"id": "x", "text": "wine and more wine"}])
    before = ask(retriever, "capital of france")
    assert retriever.remove([0, "x"]) is retriever
    assert len(retriever) == len(DOCUMENTS) - 1
    assert ids(ask(retriever, "wine")) == [1]
    assert ask(retriever, "capital of france") == [d for d in before if d["id"] != 0]
    assert {"id": 0} not in retriever.documents
    with pytest.raises(KeyError, match="no document has the id 'x'"):
        retriever.remove([1, "x"])
    assert ids(ask(retriever, "wine")) == [1], "nothing was removed"
    retriever.add([{"id": 0, "text": TEXTS[0]}])
    assert [d["id"] for d in ask(retriever, "capital of france")][:2] == [4, 0]


def test_update(retriever):
    wine = ask(retriever, "wine")
    retriever.update([{"id": 1, "text": "no more"}, {"id": 3, "text": TEXTS[1]}])
    assert len(retriever) == len(DOCUMENTS)
    assert ask(retriever, "wine") == [{**wine[0], "id": 3}]
    with pytest.raises(TypeError):
        retriever.update([{"id": 3, "text": 5}])
    assert ids(ask(retriever, "wine")) == [3]


def test_filter(retriever):
    every = ask(retriever)
    kept = {2, 4, "unknown"}
    expected = [[d for d in answer if d["id"] in kept] for answer in every]
    assert ask(retriever, filter=kept) == expected
    assert ask(retriever, filter=[]) == [[] for _ in QUERIES]
    assert ask(retriever, "capital of france", k=1, filter={2}) == expected[0][1:]
    with pytest.raises(TypeError, match="set of keys"):
        ask(retriever, filter="abc")


@pytest.mark.parametrize("mmap", [True, False])
def test_save_and_load(retriever, cls, tmp_path, mmap):
    retriever.add([{"id": "new", "text": "wine"}]).remove([2])
    path = tmp_path / "index"
    retriever.save(path)
    loaded = cls.load(path, mmap=mmap)
    assert ask(loaded) == ask(retriever)
    assert (loaded.documents, loaded.k, repr(loaded)) == (
        retriever.documents,
        retriever.k,
        repr(retriever),
    )
    answers = ask(loaded)
    loaded.add([{"id": "more", "text": "Lyon"}]).remove([1])
    assert ids(ask(loaded, "lyon")) == ["more"]
    assert ask(cls.load(path, mmap=mmap)) == answers, "the file does not change"
    assert [entry.name for entry in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(
    "keys",
    [
        [7, -(2**63), 2**63 - 1, 0],
        [7, 2**63, 8, 9],
        ["a", "", "é\n", "zz"],
        ["a", "\ud800", "b", "c"],
        [True, 2, 0, 5],
        [None, "b", 2.5, 3],
    ],
)
def test_keys_survive_saving(cls, tmp_path, mmap, keys):
    documents = [{"id": key, "text": f"wine {n}"} for n, key in enumerate(keys)]
    retriever = cls("id", "text", documents).remove([keys[1]])
    retriever.save(tmp_path / "index")
    load = functools.partial(cls.load, tmp_path / "index", mmap=mmap)
    left = [keys[0], *keys[2:]]
    loaded = load()
    assert ask(loaded) == ask(retriever)
    assert ids(ask(loaded, "wine")) == left
    assert [type(key) for key in ids(ask(loaded, "wine"))] == list(map(type, left))
    assert len(loaded) == 3
    assert ids(pickle.loads(pickle.dumps(load())).documents) == left
    assert ids(ask(load(), "wine", filter=keys[:3])) == left[:2]
    with pytest.raises(KeyError):
        load().remove([keys[1]])
    again = load().add([documents[1], documents[0]])
    assert ids(ask(again, "wine")) == [*left, keys[1]]
    again.save(tmp_path / "again")
    assert ids(cls.load(tmp_path / "again", mmap=mmap).remove(left[:1]).documents) == [
        *left[1:],
        keys[1],
    ]


def test_damaged_and_foreign_files(retriever, cls, tmp_path):
    path = tmp_path / "index"
    with pytest.raises(FileNotFoundError, match="index"):
        cls.load(path)
    retriever.save(path)
    content = path.read_bytes()
    other = retrieve.BM25 if cls is retrieve.TfIdf else retrieve.TfIdf
    with pytest.raises(ValueError, match=f"not a {other.__name__}"):
        other.load(path)
    for place in (20, 70, 200, len(content) // 2, len(content) - 65):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            cls.load(path)
    for size in (0, 5, 64, 100, len(content) - 64):
        path.write_bytes(content[:size])
        with pytest.raises((ValueError, OSError)):
            cls.load(path)
    path.write_bytes(content[:8] + b"\x63" + content[9:])
    with pytest.raises(ValueError, match="version 99"):
        cls.load(path)
    path.write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match="not an index"):
        cls.load(path)


def test_a_save_that_fails_leaves_the_old_file(retriever, tmp_path):
    path = tmp_path / "index"
    path.mkdir()
    with pytest.raises(OSError):
        retriever.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["index"]
    strange = retrieve.TfIdf("id", "text", [{"id": (1, 2), "text": "wine"}])
    with pytest.raises(TypeError, match="pickle"):
        strange.save(tmp_path / "other")
    assert ids(ask(pickle.loads(pickle.dumps(strange)), "wine")) == [(1, 2)]


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(retriever, protocol):
    retriever.remove([1])
    again = pickle.loads(pickle.dumps(retriever, protocol=protocol))
    assert ask(again) == ask(retriever)
    assert ids(ask(again.add([{"id": 77, "text": "wine"}]), "wine")) == [77]
    assert ask(retriever, "wine") == []


def test_copies_are_independent(retriever):
    twin = copy.deepcopy(retriever)
    twin.remove([1])
    assert ids(ask(retriever, "wine")) == [1]
    assert ask(twin, "wine") == []


def test_several_fields_and_missing_ones(cls):
    documents = [{"id": 0, "a": "wine", "b": "food"}, {"id": 1, "b": "wine"}]
    untouched = copy.deepcopy(documents)
    retriever = cls(key="id", on=["a", "b"], documents=documents)
    assert set(ids(ask(retriever, "wine"))) == {0, 1}
    assert documents == untouched


def test_no_documents(cls):
    retriever = cls(key="id", on="text", documents=[])
    assert ask(retriever) == [[] for _ in QUERIES]
    retriever.add(DOCUMENTS)
    assert ask(retriever, k=5) == [[] for _ in QUERIES]
    assert len(retriever) == len(DOCUMENTS)


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        ([{"id": 99, "text": 3}], TypeError, "must be a string"),
        ([{"text": "a"}], KeyError, "no field 'id'"),
        ([["id", "text"]], TypeError, "must be a dict"),
        ([{"id": [1], "text": "a"}], TypeError, "unhashable"),
        ([{"id": 99, "text": "\ud800"}], ValueError, r"document [01]: .* surrogate"),
        (None, TypeError, "needs documents"),
    ],
)
def test_wrong_documents(cls, retriever, documents, error, message):
    with pytest.raises(error, match=message):
        cls(key="id", on="text", documents=documents)
    if documents is not None:
        with pytest.raises(error, match=message):
            retriever.add([{"id": "x", "text": "wine"}, *documents])
    assert ids(ask(retriever, "wine")) == [1]


@pytest.mark.parametrize("q", [None, 5, b"wine", {"wine"}, {"wine": 1}, ["wine", None], [b"wine"]])
def test_wrong_queries(retriever, q):
    with pytest.raises(TypeError):
        ask(retriever, q)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_wrong_batch_size(retriever, batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        ask(retriever, batch_size=batch_size)


@pytest.mark.parametrize(
    "options",
    [
        {"analyzer": "sentence"},
        {"ngram_range": (0, 3)},
        {"ngram_range": (5, 3)},
        {"ngram_range": (1, 1000)},
        {"ngram_range": (-1, 3)},
        {"ngram_range": (3, -1)},
        {"ngram_range": (1, 10**30)},
    ],
)
def test_impossible_vectorizers(options):
    with pytest.raises(ValueError, match=r"analyzer must be|ngram_range is"):
        retrieve.TfIdf("id", "text", DOCUMENTS, tfidf=sparse.TfidfVectorizer(**options))


@pytest.mark.parametrize("lengths", [3, None, "ab", (1.0, 2), (1, 2, 3)])
def test_ngram_range_is_two_integers(lengths):
    with pytest.raises(TypeError, match="ngram_range must be two integers"):
        retrieve.TfIdf("id", "text", DOCUMENTS, tfidf=sparse.TfidfVectorizer(ngram_range=lengths))


def test_a_query_with_half_a_character_is_named(retriever):
    with pytest.raises(ValueError, match=r"query 1: .* surrogate"):
        ask(retriever, ["wine", "\ud800"])


@pytest.mark.parametrize("options", [{"k1": -1}, {"b": 1.5}, {"epsilon": float("nan")}])
def test_impossible_bm25(options):
    with pytest.raises(ValueError, match="BM25 needs"):
        retrieve.BM25("id", "text", DOCUMENTS, count_vectorizer=sparse.BM25Vectorizer(**options))


def test_fit_false_needs_a_fitted_vectorizer():
    with pytest.raises(ValueError, match="fit=False"):
        retrieve.TfIdf("id", "text", DOCUMENTS, fit=False)


def test_words_and_stop_words():
    vectorizer = sparse.TfidfVectorizer(analyzer="word", ngram_range=(1, 2), stop_words=["the"])
    retriever = retrieve.TfIdf("id", "text", DOCUMENTS, tfidf=vectorizer)
    assert ask(retriever, "the") == []
    assert ids(ask(retriever, "CAPITAL")) == [0, 4]
    assert ask(retriever, "capita") == []


def test_characters_that_are_not_normalised():
    documents = [{"id": i, "text": text} for i, text in enumerate(["東京都は", "Москва", "москва"])]
    vectorizer = sparse.TfidfVectorizer(analyzer="char", ngram_range=(2, 4), normalize=False)
    retriever = retrieve.TfIdf("id", "text", documents, tfidf=vectorizer)
    assert ids(ask(retriever, "東京")) == [0]
    assert ids(ask(retriever, "Москва")) == [1, 2]
    assert ids(ask(retriever, "moskva")) == []


def test_threads_share_a_retriever(retriever):
    expected = ask(retriever, QUERIES * 20)
    answers = [None] * 8

    def work(place):
        answers[place] = ask(retriever, QUERIES * 20)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8


def _numbered(start, stop):
    return [{"id": i, "text": f"only{i}here and wine"} for i in range(start, stop)]


def test_an_update_that_fails_loses_nothing(cls, monkeypatch):
    retriever = cls("id", "text", _numbered(0, 5))
    expected = retriever("only3here wine")
    for error in (MemoryError, KeyboardInterrupt):

        def fail(texts, error=error):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(retriever._backend, "add", fail)
            with pytest.raises(error):
                retriever.update([{"id": 3, "text": "something else"}, {"id": 9, "text": "new"}])
        assert retriever("only3here wine") == expected
        assert len(retriever) == 5
    retriever.update([{"id": 3, "text": "wine"}])
    assert retriever("wine")[0]["id"] == 3
    assert len(retriever) == 5


def test_writers_at_once_keep_keys_and_texts_together(cls):
    retriever = cls("id", "text", _numbered(0, 100))

    def write(first):
        for start in range(first, first + 200, 10):
            retriever.add(_numbered(start, start + 10))
            retriever.update(_numbered(start, start + 2))

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(retriever) == 900
    # Their own word has no weight, but letters that fitted documents have tell them apart.
    asked = [document for n in range(1, 5) for document in _numbered(1000 * n, 1000 * n + 200)]
    exact = cls("id", "text", _numbered(0, 100)).add(asked)
    queries = [document["text"] for document in asked]
    for ours, alone in zip(
        retriever(queries, k=900, tqdm_bar=False),
        exact(queries, k=900, tqdm_bar=False),
        strict=True,
    ):
        assert {hit["id"]: hit["similarity"] for hit in ours} == {
            hit["id"]: hit["similarity"] for hit in alone
        }


def test_readers_never_get_a_document_without_key(cls):
    retriever = cls("id", "text", _numbered(0, 3000))
    seen = set()
    over = threading.Event()

    def read():
        while not over.is_set():
            for answer in retriever(["wine here"] * 64, k=3000, tqdm_bar=False):
                seen.update(hit["id"] for hit in answer)

    thread = threading.Thread(target=read)
    thread.start()
    for start in range(0, 2900, 100):
        retriever.remove(range(start, start + 100))
    over.set()
    thread.join()
    assert seen <= set(range(3000))
    assert len(retriever) == 100


def test_keys_to_remove_may_come_from_a_generator(cls):
    retriever = cls("id", "text", _numbered(0, 5))
    retriever.remove(key for key in (1, 2))
    assert len(retriever.add(_numbered(1, 2))) == 4
