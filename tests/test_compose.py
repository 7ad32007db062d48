"""Pipelines, unions, intersections and votes: beyond what cherche does."""

import copy
import pickle
import threading

import pytest
from cherche_replay import PairEncoder, Scripted, VectorEncoder

from cherche_rs import compose, rank, retrieve, utils

TABLE = {
    "one": [[0, 0.9], [1, 0.8], [2, 0.7]],
    "two": [[2, 0.6], [0, 0.5]],
    "none": [],
}
OTHER = {"one": [[2, 0.9], [3, 0.8]], "two": [], "none": []}
DOCUMENTS = [{"id": number, "text": "x" * (number + 1)} for number in range(4)]
BY_ID = {document["id"]: document for document in DOCUMENTS}


def a():
    return Scripted(TABLE)


def b():
    return Scripted(OTHER)


def cross_encoder(fn="len", **options):
    return rank.CrossEncoder(on="text", encoder=PairEncoder(fn), **options)


def encoder():
    return rank.Encoder(on="text", key="id", encoder=VectorEncoder(), k=10)


def ids(answer):
    return [document["id"] for document in answer]


def names(model):
    if hasattr(model, "models"):
        return [type(model).__name__, *map(names, model.models)]
    return type(model).__name__


class Recorder(retrieve.Retriever):
    """A retriever that remembers the arguments of its calls."""

    def __init__(self):
        super().__init__(key="id", on="text", k=None, batch_size=1)
        self.calls = []

    def __call__(self, q, k=None, batch_size=None, tqdm_bar=True, **kwargs):
        self.calls.append({"k": k, "batch_size": batch_size, "tqdm_bar": tqdm_bar, **kwargs})
        return [] if isinstance(q, str) else [[] for _ in q]


# ------------------------------------------------------------------- what + | & * make of models
OPERANDS = {
    "R": lambda: Scripted(TABLE),
    "K": encoder,
    "C": cross_encoder,
    "U": lambda: compose.Union([a(), b()]),
    "I": lambda: compose.Intersection([a(), b()]),
    "V": lambda: compose.Vote([a(), b()]),
    "P": lambda: compose.Pipeline([a(), BY_ID]),
    "PU": lambda: compose.PipelineUnion([a(), b()]),
    "PI": lambda: compose.PipelineIntersection([a(), b()]),
    "PV": lambda: compose.PipelineVote([a(), b()]),
}
PLAIN = {"|": "Union", "&": "Intersection", "*": "Vote"}
OPERATORS = {
    "+": lambda x, y: x + y,
    "|": lambda x, y: x | y,
    "&": lambda x, y: x & y,
    "*": lambda x, y: x * y,
}
KIND = {"U": "Union", "I": "Intersection", "V": "Vote"}


def expected_structure(left, sign, right):
    """The matrix of cherche, and retriever + pipeline joined into one pipeline."""
    x, y = OPERANDS[left](), OPERANDS[right]()
    if sign == "+":
        if left in "KC":
            return ["Pipeline", *(map(names, y.models) if right == "P" else [names(y)]), names(x)]
        if left == "P":
            return ["Pipeline", *map(names, x.models), names(y)]
        rest = map(names, y.models) if left == "R" and right == "P" else [names(y)]
        return ["Pipeline", names(x), *rest]
    kind = PLAIN[sign]
    if left in "RKC":
        rest = map(names, y.models) if KIND.get(right) == kind else [names(y)]
        return [kind, names(x), *rest]
    if kind in names(x)[0]:
        return [names(x)[0], *map(names, x.models), names(y)]
    return [f"Pipeline{kind}", names(x), names(y)]


@pytest.mark.parametrize("right", OPERANDS)
@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("left", OPERANDS)
def test_the_matrix_of_operators(left, sign, right):
    made = OPERATORS[sign](OPERANDS[left](), OPERANDS[right]())
    assert names(made) == expected_structure(left, sign, right)


@pytest.mark.parametrize("left", OPERANDS)
@pytest.mark.parametrize("documents", [DOCUMENTS, tuple(DOCUMENTS)], ids=["list", "tuple"])
def test_documents_behind_everything(left, documents):
    x = OPERANDS[left]()
    made = x + documents
    if left == "C":
        assert made.models == [DOCUMENTS, x]
    else:
        assert made.models[-1] == BY_ID
        assert made.models[:-1] == (x.models if left == "P" else [x])


@pytest.mark.parametrize("sign", OPERATORS)
def test_functions_and_filters_are_operands(sign):
    top = utils.TopK(1)
    for made in (OPERATORS[sign](a(), top), OPERATORS[sign](a() + DOCUMENTS, top)):
        assert made.models[-1] is top


@pytest.mark.parametrize("sign", ["|", "&", "*"])
@pytest.mark.parametrize("wrong", [DOCUMENTS, BY_ID, None, 3, "text"], ids=repr)
def test_what_cannot_be_merged(sign, wrong):
    with pytest.raises(TypeError, match="cannot be part of this"):
        OPERATORS[sign](a(), wrong)


@pytest.mark.parametrize("wrong", [None, 3, "text", (d for d in DOCUMENTS)], ids=type)
def test_what_cannot_be_added(wrong):
    with pytest.raises(TypeError, match="cannot be part of this"):
        a() + wrong


def test_a_document_without_the_key():
    documents = [{"id": 0}, {"text": "no key"}]
    with pytest.raises(KeyError, match=r"document 1 .*'id'"):
        a() + documents


# --------------------------------------------------------------------------- rankers without a key
@pytest.mark.parametrize("sign", ["|", "&", "*"])
def test_cross_encoders_are_merged_without_a_key(sign):
    merged = OPERATORS[sign](cross_encoder(), cross_encoder("hash"))
    answer = merged("q", documents=DOCUMENTS)
    assert sorted(ids(answer)) == [0, 1, 2, 3]
    assert answer == OPERATORS[sign](WithKey(cross_encoder()), cross_encoder("hash"))(
        "q", documents=DOCUMENTS
    )
    assert merged(["q", "r"], documents=[DOCUMENTS, []]) == [answer, []]


class WithKey:
    """A ranker with a key."""

    def __init__(self, ranker):
        self.ranker, self.key = ranker, "id"

    def __call__(self, **kwargs):
        return self.ranker(**kwargs)

    __or__ = retrieve.Retriever.__or__
    __and__ = retrieve.Retriever.__and__
    __mul__ = retrieve.Retriever.__mul__
    _merged = retrieve.Retriever._merged


def test_documents_without_a_key_may_hold_lists():
    documents = [{"text": "a", "tags": ["x"]}, {"text": "bb", "tags": ["y"]}]
    answer = (cross_encoder() * cross_encoder("const"))("q", documents=documents)
    assert [document["tags"] for document in answer] == [["x"], ["y"]] or [
        document["tags"] for document in answer
    ] == [["y"], ["x"]]
    assert len(answer) == 2


def test_a_pipeline_into_cross_encoders_without_a_key():
    search = a() + DOCUMENTS + (cross_encoder() | cross_encoder("hash"))
    assert sorted(ids(search("one"))) == [0, 1, 2]
    assert [sorted(ids(answer)) for answer in search(["two", "none"])] == [[0, 2], []]


def test_a_cross_encoder_and_documents_rank_these_documents():
    search = cross_encoder() + DOCUMENTS
    assert ids(search("q")) == [3, 2, 1, 0]
    assert [ids(answer) for answer in search(["q", "r"])] == [[3, 2, 1, 0]] * 2
    # Documents that come in are ranked instead.
    assert ids(search("q", documents=DOCUMENTS[:2])) == [1, 0]


def test_a_retriever_before_a_cross_encoder_and_documents():
    search = a() + (cross_encoder() + DOCUMENTS)
    assert search("two") == (a() + DOCUMENTS + cross_encoder())("two")
    assert ids(search("two")) == [2, 0]


def test_a_mapping_without_a_key_is_refused():
    with pytest.raises(TypeError, match="no model of this pipeline has one"):
        compose.Pipeline([cross_encoder(), BY_ID])("q", documents=DOCUMENTS)


# --------------------------------------------------------------------------------------- answers
@pytest.mark.parametrize("kind", ["Union", "Intersection", "Vote"])
@pytest.mark.parametrize("form", ["", "Pipeline"])
def test_models_that_all_find_nothing(kind, form):
    def nothing(q, **kwargs):
        return []

    merged = getattr(compose, form + kind)([nothing, nothing])
    assert merged("one") == []
    found_none = getattr(compose, form + kind)([a(), b()])
    assert found_none("none") == []
    assert found_none(["none", "none"]) == [[], []]


@pytest.mark.parametrize("kind", ["Union", "Intersection", "Vote"])
def test_answers_of_models_are_not_changed(kind):
    kept = [{"id": 0, "similarity": 0.5}, {"id": 1, "similarity": 0.4}]

    def cached(q, **kwargs):
        return [kept]

    cached.key = "id"
    merged = getattr(compose, kind)([cached, cached])
    first = merged("one")
    assert kept == [{"id": 0, "similarity": 0.5}, {"id": 1, "similarity": 0.4}]
    assert merged("one") == first


@pytest.mark.parametrize("kind", ["Union", "Intersection", "Vote"])
def test_the_new_score_is_the_last_field(kind):
    def model(q, **kwargs):
        return [[{"similarity": 0.5, "id": 0, "text": "a"}]]

    model.key = "id"
    (document,) = getattr(compose, kind)([model])("q")
    assert list(document.items()) == [("id", 0), ("text", "a"), ("similarity", 1.0)]


def test_documents_are_not_changed_by_a_mapping():
    documents = copy.deepcopy(DOCUMENTS)
    answer = (a() + documents)("one")
    answer[0]["text"] = "changed"
    answer[0]["new"] = 1
    assert documents == DOCUMENTS


def test_models_given_are_not_changed_by_operators():
    union = a() | b()
    models = list(union.models)
    _ = union | a(), union + DOCUMENTS, a() | union
    pipeline = a() + DOCUMENTS
    _ = pipeline + cross_encoder(), cross_encoder() + pipeline
    assert union.models == models
    assert len(pipeline.models) == 2


def test_a_document_of_another_key_in_a_union():
    other = Scripted({"one": [[0, 0.5]]}, key="uri")
    with pytest.raises(KeyError, match="'id'"):
        (a() | other)("one")


def test_a_model_that_answers_a_list_by_one_answer():
    def flat(q, **kwargs):
        return [{"id": 0, "similarity": 1.0}]

    with pytest.raises(TypeError, match="a list of documents for each query"):
        (a() | flat)("one")


# --------------------------------------------------------------- the choice of k and of batch_size
def ranker_calls(search, *args, **kwargs):
    """Return the k and batch_size that the ranker in a pipeline receives."""
    seen = []

    class Spy(rank.CrossEncoder):
        def __call__(self, q, documents, batch_size=None, k=None, **options):
            seen.append((k, batch_size))
            return super().__call__(q, documents, batch_size, k, **options)

    spy = Spy(on="text", encoder=PairEncoder("len"))
    answer = (search + spy)(*args, **kwargs)
    return answer, seen


def test_k_of_the_retriever_and_of_the_ranker():
    retriever = a()
    answer, seen = ranker_calls(retriever + DOCUMENTS, "one", k_retriever=2, k_ranker=1)
    assert ids(answer) == [1]
    assert [call["k"] for call in retriever.seen] == [2]
    assert seen == [(1, None)]


def test_they_come_before_the_common_k():
    retriever = a()
    answer, seen = ranker_calls(
        retriever + DOCUMENTS, "one", k=1, k_retriever=3, batch_size=5, batch_size_ranker=7
    )
    assert [(call["k"], call["batch_size"]) for call in retriever.seen] == [(3, 5)]
    assert seen == [(1, 7)]
    assert ids(answer) == [2]


@pytest.mark.parametrize("sign", ["|", "&", "*"])
def test_they_reach_into_merges_and_pipelines(sign):
    first, second, third = Recorder(), Recorder(), Recorder()
    inner = OPERATORS[sign](first + DOCUMENTS + cross_encoder(), second)
    search = OPERATORS[sign](inner, third) + DOCUMENTS
    search(["one"], k=9, batch_size=8, k_retriever=2, batch_size_retriever=4, k_ranker=1)
    for model in (first, second, third):
        (call,) = model.calls
        assert (call["k"], call["batch_size"]) == (2, 4)
        assert not [name for name in call if name.endswith(("_ranker", "_retriever"))]


def test_other_models_receive_the_common_k():
    seen = []

    def function(documents, k, **kwargs):
        seen.append(k)
        return documents

    (a() + function)("one", k=2, k_retriever=3, k_ranker=1)
    assert seen == [2]


# --------------------------------------------------------------------------------- progress bars
@pytest.mark.parametrize("sign", ["|", "&", "*"])
@pytest.mark.parametrize("behind", [False, True])
def test_the_choice_of_a_bar_reaches_every_model(sign, behind):
    first, second = Recorder(), Recorder()
    search = OPERATORS[sign](first, second)
    search = search + DOCUMENTS if behind else search
    search(["one"], tqdm_bar=False)
    assert [call["tqdm_bar"] for call in first.calls + second.calls] == [False, False]


def test_no_bar_is_drawn_if_none_is_wanted(capfd):
    search = a() + DOCUMENTS + encoder() + cross_encoder()
    search(["one", "two"], tqdm_bar=False)
    assert capfd.readouterr().err == ""
    search(["one", "two"])
    drawn = capfd.readouterr().err
    for name in ("Encoder ranker", "Ranker scoring", "Ranker sorting", "CrossEncoder ranker"):
        assert name in drawn


# --------------------------------------------------------------------------------- add and reset
class Counting(Recorder):
    def __init__(self):
        super().__init__()
        self.added, self.resets = [], 0

    def add(self, documents, **kwargs):
        self.added.append((len(documents), kwargs))
        return self

    def reset(self):
        self.resets += 1
        return self


def test_each_model_receives_new_documents_once():
    model, other = Counting(), Counting()
    search = ((model + DOCUMENTS) | (model + cross_encoder())) & (other * model)
    assert search.add(DOCUMENTS, batch_size=3) is search
    assert model.added == other.added == [(4, {"batch_size": 3})]
    assert search.reset() is search
    assert (model.resets, other.resets) == (3, 1)


def test_a_shared_store_is_filled_once():
    first, second = encoder(), encoder()
    second.store = first.store
    (a() + first + second).add(DOCUMENTS)
    assert [len(batch) for batch in first.encoder.calls] == [4]
    assert second.encoder.calls == []


def test_options_of_one_model_do_not_stop_another():
    ranker = encoder()
    search = (a() + ranker).add(DOCUMENTS, tqdm_bar=False, batch_size=3)
    assert len(ranker) == 4
    assert [len(batch) for batch in ranker.encoder.calls] == [3, 1]
    assert len(search("one")) == 3


# ---------------------------------------------------------------- copies, threads
SEARCHES = {
    "pipeline": lambda: a() + DOCUMENTS + cross_encoder(),
    "union": lambda: (a() | b()) + DOCUMENTS,
    "nested": lambda: ((a() + DOCUMENTS) * (b() + DOCUMENTS) & a()) + encoder() + utils.TopK(2),
    "keyless": lambda: (cross_encoder() + DOCUMENTS) | cross_encoder(),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", SEARCHES)
def test_pickle(name, protocol):
    search = SEARCHES[name]()
    again = pickle.loads(pickle.dumps(search, protocol=protocol))
    assert names(again) == names(search)
    assert again(["one", "two"]) == search(["one", "two"])


@pytest.mark.parametrize("name", SEARCHES)
def test_deepcopy(name):
    search = SEARCHES[name]()
    again = copy.deepcopy(search)
    assert again.models[0] is not search.models[0]
    assert again(["one", "two"]) == search(["one", "two"])


def test_one_pipeline_from_many_threads():
    search = ((a() + DOCUMENTS) | (b() + DOCUMENTS)) + cross_encoder() + encoder()
    search.add(DOCUMENTS)
    expected = {query: search(query) for query in TABLE}
    wrong = []

    def ask():
        for query in list(TABLE) * 20:
            if search(query, tqdm_bar=False) != expected[query]:
                wrong.append(query)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
