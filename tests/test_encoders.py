"""A ranker gives one model's scores, in whatever form the model is handed over."""

import copy
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
import types
import weakref

import numpy as np
import pytest
import texts
from hub_stand_in import HubStandIn

import cherche_rs
from cherche_rs import encoders, rank

MODEL = "bert-base"
DOCUMENTS = [{"id": i, "text": text} for i, text in enumerate(texts.NASTY[:20])]
QUERIES = ["what is the capital of France?", "fashion", "où est le café ?"]
LISTS = [DOCUMENTS, DOCUMENTS[:3], DOCUMENTS[5:]]


def by_id(answers):
    return [
        {document["id"]: float(document["similarity"]) for document in found} for found in answers
    ]


def assert_same_scores(answers, expected, tolerance=1e-4):
    for found, wanted in zip(by_id(answers), by_id(expected), strict=True):
        assert found.keys() == wanted.keys()
        for key, score in wanted.items():
            assert abs(found[key] - score) <= tolerance


@pytest.fixture(scope="module")
def theirs(reference):
    return reference(MODEL)


@pytest.fixture(scope="module")
def expected(theirs):
    """What the reference's scores make of the documents, called like any function."""
    answers = rank.CrossEncoder(on="text", encoder=lambda pairs: theirs.predict(pairs))
    return answers(QUERIES, LISTS)


@pytest.fixture
def native_calls(monkeypatch):
    """The pairs of every call of the native model."""
    calls = []
    predict = cherche_rs.CrossEncoder.predict

    def recorded(self, pairs, **options):
        calls.append(pairs)
        return predict(self, pairs, **options)

    recorded.__name__ = "predict"
    monkeypatch.setattr(cherche_rs.CrossEncoder, "predict", recorded)
    return calls


FORMS = {
    "directory": lambda folder, theirs: str(folder),
    "path": lambda folder, theirs: folder,
    "ours": lambda folder, theirs: cherche_rs.CrossEncoder(folder),
    "our predict": lambda folder, theirs: cherche_rs.CrossEncoder(folder).predict,
    "theirs": lambda folder, theirs: theirs,
    "their predict": lambda folder, theirs: theirs.predict,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_runs_natively_and_agrees(form, zoo, theirs, expected, native_calls):
    ranker = rank.CrossEncoder(on="text", encoder=FORMS[form](zoo.path(MODEL), theirs))
    answers = ranker(QUERIES, LISTS, batch_size=2)
    assert_same_scores(answers, expected)
    # One call with all pairs: the engine makes its own batches.
    assert [len(pairs) for pairs in native_calls] == [sum(map(len, LISTS))]
    assert_same_scores([ranker(QUERIES[0], DOCUMENTS)], expected[:1])


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_size_below_one(form, zoo, theirs):
    ranker = rank.CrossEncoder(on="text", encoder=FORMS[form](zoo.path(MODEL), theirs))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        ranker("q", DOCUMENTS, batch_size=0)


@pytest.mark.parametrize("form", FORMS)
def test_the_bar_counts_pairs(form, zoo, theirs, capfd):
    ranker = rank.CrossEncoder(on="text", encoder=FORMS[form](zoo.path(MODEL), theirs))
    ranker(QUERIES, LISTS)
    drawn = capfd.readouterr().err
    assert "CrossEncoder ranker: 100%" in drawn
    assert f"{sum(map(len, LISTS))}/{sum(map(len, LISTS))}" in drawn
    ranker(QUERIES, LISTS, tqdm_bar=False)
    assert capfd.readouterr().err == ""


def test_a_name_on_the_hub(zoo, tmp_path):
    folder = zoo.path(MODEL)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    server = HubStandIn({"cross-encoder/tiny": files})
    program = (
        "import sys\n"
        "from cherche_rs import rank\n"
        "ranker = rank.CrossEncoder('text', 'cross-encoder/tiny')\n"
        "local = rank.CrossEncoder('text', sys.argv[1])\n"
        "documents = [{'text': 'a'}, {'text': 'b c'}]\n"
        "assert ranker('q', documents) == local('q', documents) != []\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
    }
    try:
        subprocess.run([sys.executable, "-c", program, str(folder)], env=environment, check=True)
    finally:
        server.stop()


# ------------------------------------------------- models of sentence-transformers in memory
def test_their_settings_are_kept(zoo, reference):
    import torch

    plain = reference(MODEL)
    for options in ({"max_length": 12}, {"activation_fn": torch.nn.Identity()}):
        model = reference(MODEL, **options)
        called = rank.CrossEncoder(on="text", encoder=lambda pairs, m=model: m.predict(pairs))
        wanted = called(QUERIES, LISTS)
        ranker = rank.CrossEncoder(on="text", encoder=model)
        assert_same_scores(ranker(QUERIES, LISTS), wanted)
        other = rank.CrossEncoder(on="text", encoder=plain)(QUERIES, LISTS)
        with pytest.raises(AssertionError):
            assert_same_scores(other, wanted)


def test_settings_changed_later_are_followed(reference, native_calls):
    import torch

    model = copy.deepcopy(reference(MODEL))
    ranker = rank.CrossEncoder(on="text", encoder=model.predict)
    called = rank.CrossEncoder(on="text", encoder=lambda pairs: model.predict(pairs))
    seen = [ranker(QUERIES, LISTS)]
    model.max_seq_length = 12
    assert_same_scores(ranker(QUERIES, LISTS), called(QUERIES, LISTS))
    seen.append(ranker(QUERIES, LISTS))
    model.activation_fn = torch.nn.Identity()
    assert_same_scores(ranker(QUERIES, LISTS), called(QUERIES, LISTS))
    seen.append(ranker(QUERIES, LISTS))
    assert seen[0] != seen[1] != seen[2]
    assert len(native_calls) == 5


def test_their_weights_are_not_copied(zoo, reference):
    import torch

    model = copy.deepcopy(reference(MODEL))
    ranker = rank.CrossEncoder(on="text", encoder=model)
    before = ranker("q", DOCUMENTS)
    with torch.no_grad():
        model.model.classifier.weight.zero_()
        model.model.classifier.bias.fill_(3.0)
    after = ranker("q", DOCUMENTS)
    assert after != before
    scores = [float(document["similarity"]) for document in after]
    np.testing.assert_allclose(scores, model.predict([("q", "a")])[0], atol=1e-5)


def test_their_weights_live_as_long_as_the_ranker(zoo, reference):
    model = copy.deepcopy(reference(MODEL))
    ranker = rank.CrossEncoder(on="text", encoder=model.predict)
    before = ranker("q", DOCUMENTS)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert ranker("q", DOCUMENTS) == before
    del ranker
    gc.collect()
    assert alive() is None


def rename(model):
    model.model.__class__ = type("UnheardOfForSequenceRanking", (type(model.model),), {})


def hook(model):
    model.model.classifier.register_forward_hook(lambda module, inputs, output: -output)


def replace_forward(model):
    forward = model.model.classifier.forward
    model.model.classifier.forward = lambda inputs: -forward(inputs)


def replace_layer(model):
    import torch

    class Opposite(torch.nn.Linear):
        def forward(self, inputs):
            return -super().forward(inputs)

    model.model.classifier.__class__ = Opposite


def two_modules(model):
    import torch

    model.append(torch.nn.Identity())


CHANGES = {
    "UnheardOf": rename,
    "a forward hook in classifier": hook,
    "another forward in classifier": replace_forward,
    "a Opposite in classifier": replace_layer,
    "2 modules": two_modules,
}


@pytest.mark.parametrize("reason", CHANGES)
def test_a_model_we_cannot_run_is_called_with_one_warning(reason, reference, caplog, native_calls):
    model = copy.deepcopy(reference(MODEL))
    CHANGES[reason](model)
    with caplog.at_level(logging.WARNING, logger="cherche_rs"):
        rankers = [rank.CrossEncoder(on="text", encoder=form) for form in (model, model.predict)]
        rankers.append(copy.copy(rankers[0]))
    (record,) = caplog.records
    assert reason in record.getMessage()
    called = rank.CrossEncoder(on="text", encoder=lambda pairs: model.predict(pairs))
    expected = called("q", DOCUMENTS)
    assert [ranker("q", DOCUMENTS) for ranker in rankers] == [expected] * 3
    assert native_calls == []


def test_an_unforeseen_error_does_not_stop_a_model(reference, caplog, monkeypatch):
    def fail(model):
        raise AttributeError("no such part")

    monkeypatch.setattr(cherche_rs.CrossEncoder, "from_sentence_transformers", fail)
    model = copy.deepcopy(reference(MODEL))
    ranker = rank.CrossEncoder(on="text", encoder=model)
    assert "AttributeError('no such part')" in caplog.text
    assert len(ranker("q", DOCUMENTS)) == len(DOCUMENTS)


def test_a_changed_predict_is_called(reference, native_calls):
    model = reference(MODEL)

    class Changed(type(model)):
        def predict(self, pairs, **options):
            return [float(len(text)) for _, text in pairs]

    def predict(self, pairs, **options):
        return Changed.predict(self, pairs)

    of_class, of_instance = copy.copy(model), copy.copy(model)
    of_class.__class__ = Changed
    of_instance.predict = types.MethodType(predict, of_instance)
    forms = (of_class, of_class.predict, of_instance, types.MethodType(predict, model))
    for form in (*forms, of_instance.predict):
        answer = rank.CrossEncoder(on="text", encoder=form)("q", DOCUMENTS, k=1)
        assert answer[0]["similarity"] == max(len(document["text"]) for document in DOCUMENTS)
    assert native_calls == []


def test_other_methods_of_a_model_are_called(zoo, native_calls):
    class Wrapper:
        def __init__(self, model):
            self.model = model

        def predict(self, pairs):
            return [1.0 for _ in pairs]

        def score(self, pairs):
            return [2.0 for _ in pairs]

    wrapper = Wrapper(cherche_rs.CrossEncoder(zoo.path(MODEL)))
    for encoder, score in ((wrapper.predict, 1.0), (wrapper.score, 2.0)):
        answer = rank.CrossEncoder(on="text", encoder=encoder)("q", DOCUMENTS, k=1)
        assert answer[0]["similarity"] == score
    # score() of our own model gives a list of floats: it is called too.
    ours = cherche_rs.CrossEncoder(zoo.path(MODEL))
    answer = rank.CrossEncoder(on="text", encoder=ours.score)("q", DOCUMENTS, k=1)
    assert isinstance(answer[0]["similarity"], np.float64)


def test_a_model_with_several_labels_cannot_rank(zoo):
    ranker = rank.CrossEncoder(on="text", encoder=zoo.path("bert-relu-3-labels"))
    with pytest.raises(ValueError, match="several labels cannot rank"):
        ranker("q", DOCUMENTS)


def test_the_embedded_model_is_the_default(zoo, monkeypatch):
    monkeypatch.setattr(encoders, "DEFAULT_MODEL", zoo.path(MODEL))
    named = rank.CrossEncoder(on="text", encoder=zoo.path(MODEL))
    assert rank.CrossEncoder(on="text")("q", DOCUMENTS) == named("q", DOCUMENTS)


def test_another_encoder_may_be_set(zoo):
    ranker = rank.CrossEncoder(on="text", encoder=lambda pairs: [1.0 for _ in pairs])
    ranker.encoder = zoo.path(MODEL)
    assert ranker("q", DOCUMENTS) == rank.CrossEncoder("text", zoo.path(MODEL))("q", DOCUMENTS)
    assert isinstance(ranker.encoder, cherche_rs.CrossEncoder)


def test_a_directory_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        rank.CrossEncoder(on="text", encoder=tmp_path)


# ------------------------------------------------------------------------------- copies, threads
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(form, protocol, zoo, theirs):
    if protocol < 2 and "their" in form:
        pytest.skip("the tokenizer of their models needs protocol 2")
    ranker = rank.CrossEncoder(on="text", encoder=FORMS[form](zoo.path(MODEL), theirs), k=3)
    again = pickle.loads(pickle.dumps(ranker, protocol=protocol))
    assert again("q", DOCUMENTS) == ranker("q", DOCUMENTS)


@pytest.mark.parametrize("form", FORMS)
def test_deepcopy(form, zoo, theirs):
    ranker = rank.CrossEncoder(on="text", encoder=FORMS[form](zoo.path(MODEL), theirs), k=3)
    assert copy.deepcopy(ranker)("q", DOCUMENTS) == ranker("q", DOCUMENTS)


def test_a_copy_reads_the_weights_of_its_own_model(reference):
    import torch

    ranker = rank.CrossEncoder(on="text", encoder=reference(MODEL))
    before = ranker("q", DOCUMENTS)
    twin = copy.deepcopy(ranker)
    with torch.no_grad():
        twin.encoder.model.classifier.bias.add_(1.0)
    assert twin("q", DOCUMENTS) != before
    assert ranker("q", DOCUMENTS) == before


def test_one_ranker_from_many_threads(zoo, expected):
    ranker = rank.CrossEncoder(on="text", encoder=zoo.path(MODEL))
    failures = []

    def ask():
        try:
            for _ in range(5):
                assert_same_scores(ranker(QUERIES, LISTS, tqdm_bar=False), expected)
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
