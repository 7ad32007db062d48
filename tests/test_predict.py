"""Arguments of the constructor, predict and rank: old names, prompts, limits, results."""

from __future__ import annotations

import copy
import json
import pickle
import shutil

import numpy as np
import pytest
import texts
import torch
from comparison import reference as oracle
from comparison.samples import assert_close

import cherche_rs
from cherche_rs.cross_encoder import arguments

PAIRS = texts.random_pairs(10, seed=21)
LONG = texts.random_pairs(6, shortest=100, longest=200, seed=22)


@pytest.fixture
def model(ours):
    return ours("bert-base")


@pytest.fixture
def folder(zoo, tmp_path):
    """A copy of a model that a test may change."""
    return shutil.copytree(zoo.path("bert-base"), tmp_path / "model")


def _logits(model, pairs, **options):
    return model.predict(pairs, activation_fn=torch.nn.Identity(), **options)


# Old names


OLD_OF_INIT = {
    "automodel_args": {"torch_dtype": "float32"},
    "tokenizer_args": {"model_max_length": 32},
    "tokenizer_kwargs": {"model_max_length": 32},
    "config_args": {"num_labels": 1},
    "cache_dir": "somewhere",
    "default_activation_function": torch.nn.Identity(),
    "classifier_dropout": 0.3,
}


@pytest.mark.parametrize("old", OLD_OF_INIT)
def test_old_name_of_the_constructor(zoo, old):
    with pytest.warns(DeprecationWarning, match=old):
        model = cherche_rs.CrossEncoder(zoo.path("bert-base"), **{old: OLD_OF_INIT[old]})
    assert model.predict(PAIRS).shape == (len(PAIRS),)
    if old.startswith("tokenizer"):
        assert model.max_length == 32
    if old == "default_activation_function":
        np.testing.assert_array_equal(model.predict(PAIRS), _logits(model, PAIRS))


def test_old_name_of_the_model(zoo):
    with pytest.warns(DeprecationWarning, match="model_name_or_path"):
        assert cherche_rs.CrossEncoder(model_name=str(zoo.path("bert-base"))).num_labels == 1


def test_old_positions_of_the_constructor(zoo):
    with pytest.warns(DeprecationWarning) as seen:
        model = cherche_rs.CrossEncoder(
            str(zoo.path("bert-base")), 1, 48, torch.nn.Identity(), "cpu"
        )
    assert len(seen) == 4
    assert model.max_length == 48
    with pytest.raises(TypeError, match="5 arguments"):
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), 1, 48, None, "cpu", 5)


def test_new_name_counts_where_both_are_given(model):
    with pytest.warns(DeprecationWarning, match="sentences"):
        assert model.predict(inputs=PAIRS, sentences=[]).shape == (len(PAIRS),)


def test_old_names_of_predict_and_rank(model):
    expected = model.predict(PAIRS)
    with pytest.warns(DeprecationWarning, match="inputs"):
        np.testing.assert_array_equal(model.predict(sentences=PAIRS), expected)
    with pytest.warns(DeprecationWarning, match="num_workers"):
        np.testing.assert_array_equal(model.predict(PAIRS, num_workers=4), expected)
    with pytest.warns(DeprecationWarning, match="activation_fn"):
        actual = model.predict(PAIRS, activation_fct=torch.nn.Identity())
    np.testing.assert_array_equal(actual, _logits(model, PAIRS))
    for name in ("apply_softmax", "convert_to_numpy", "convert_to_tensor", "num_workers"):
        with pytest.warns(DeprecationWarning, match=name):
            hits = model.rank("a", ["b"], **{name: True})
        assert isinstance(hits[0]["score"], float)


def test_old_names_of_attributes(zoo):
    model = cherche_rs.CrossEncoder(zoo.path("bert-base"))
    assert model.max_seq_length == model.max_length == 128
    model.max_seq_length = 64
    assert model.max_length == 64
    model.activation_fn = torch.nn.Identity()
    assert repr(model.default_activation_function) == "Identity()"
    np.testing.assert_array_equal(model.predict(PAIRS), _logits(model, PAIRS))


def test_unknown_names_are_type_errors(zoo, model):
    for call in (
        lambda: cherche_rs.CrossEncoder(zoo.path("bert-base"), colour=1),
        lambda: cherche_rs.CrossEncoder(zoo.path("bert-base"), model_kwargs={"colour": 1}),
        lambda: cherche_rs.CrossEncoder(zoo.path("bert-base"), processor_kwargs={"colour": 1}),
        lambda: cherche_rs.CrossEncoder(zoo.path("bert-base"), config_kwargs={"colour": 1}),
        lambda: model.predict(PAIRS, colour=1),
        lambda: model.predict(PAIRS, processing_kwargs={"text": {"colour": 1}}),
        lambda: model.rank("a", ["b"], colour=1),
        lambda: model.rank_many(["a"], [["b"]], colour=1),
    ):
        with pytest.raises(TypeError, match="colour"):
            call()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"backend": "onnx"}, "backend"),
        ({"modules": [torch.nn.Linear(1, 1)]}, "from_sentence_transformers"),
        ({"num_labels": 3}, "num_labels"),
        ({"config_kwargs": {"num_labels": 2}}, "num_labels"),
        ({"model_kwargs": {"device_map": "auto"}}, "device_map"),
        ({"device": ["cpu", "cuda:0"]}, "device"),
        ({"default_prompt_name": "none of them"}, "default_prompt_name"),
    ],
)
def test_what_cannot_be_honoured_is_refused(zoo, options, part):
    with pytest.raises(ValueError, match=part):
        cherche_rs.CrossEncoder(zoo.path("bert-base"), **options)


def test_what_makes_no_difference_is_accepted(zoo):
    model = cherche_rs.CrossEncoder(
        zoo.path("bert-base"),
        device=torch.device("cpu"),
        backend="torch",
        trust_remote_code=True,
        num_labels=1,
        keep_in_fp32_modules=["classifier"],
        model_kwargs={"attn_implementation": "eager", "torch_dtype": torch.float32},
        processor_kwargs={"use_fast": True},
        config_kwargs={"classifier_dropout": 0.1},
    )
    assert model.dtype == "float32"
    assert model.device == "cpu"


def test_dtype_by_every_name(zoo):
    path = zoo.path("bert-base")
    assert cherche_rs.CrossEncoder(path, dtype=torch.bfloat16).dtype == "bfloat16"
    kwargs = {"torch_dtype": "bfloat16"}
    assert cherche_rs.CrossEncoder(path, model_kwargs=kwargs).dtype == "bfloat16"
    assert cherche_rs.CrossEncoder(path, model_kwargs={"dtype": "auto"}).dtype == "float32"
    with pytest.raises(ValueError, match="int7"):
        cherche_rs.CrossEncoder(path, dtype="int7")


def test_devices_have_one_name():
    assert arguments.device_name(0) == "cuda:0"
    assert arguments.device_name(torch.device("cuda", 1)) == "cuda:1"
    assert arguments.device_name(["cpu"]) == "cpu"


# predict


def test_positions_of_predict_are_the_references(model, reference):
    arguments = (PAIRS, None, "who: ", 4, False, torch.nn.Tanh(), False, False, True, "cpu")
    actual, expected = model.predict(*arguments), reference("bert-base").predict(*arguments)
    assert type(actual) is type(expected)
    assert_close(actual.numpy(), expected.numpy(), 1e-4, PAIRS)


def test_positions_of_rank_are_the_references(model, reference):
    documents = [document for _, document in PAIRS]
    arguments = ("a museum", documents, 3, True, None, "who: ", 4, False, torch.nn.Identity())
    actual, expected = model.rank(*arguments), reference("bert-base").rank(*arguments)
    assert [(hit["corpus_id"], hit["text"]) for hit in actual] == [
        (hit["corpus_id"], hit["text"]) for hit in expected
    ]
    assert [hit["score"] for hit in actual] == pytest.approx(
        [hit["score"] for hit in expected], abs=1e-4
    )


@pytest.mark.parametrize("limit", [8, 40])
def test_max_length_of_one_call(model, reference, limit):
    expected = oracle.logits(reference("bert-base", max_length=limit), LONG)
    np.testing.assert_array_equal(
        _logits(model, LONG, max_length=limit),
        _logits(model, LONG, processing_kwargs={"text": {"max_length": limit}}),
    )
    assert_close(_logits(model, LONG, max_length=limit), expected, 1e-4, LONG)
    assert model.max_length == 128


def test_processing_kwargs_as_the_reference(model, reference):
    kwargs = {"text": {"max_length": 30, "truncation": True}}
    expected = reference("bert-base").predict(LONG, processing_kwargs=kwargs)
    assert_close(model.predict(LONG, processing_kwargs=kwargs), expected, 1e-4, LONG)


@pytest.mark.parametrize("name", ["bert-base", "roberta-base"])
def test_only_second_keeps_the_query(ours, reference, name):
    kwargs = {"text": {"max_length": 48, "truncation": "only_second"}}
    pairs = [("who painted the long night of the harbour " * 2, text) for _, text in LONG]
    expected = reference(name).predict(
        pairs, processing_kwargs=kwargs, activation_fn=torch.nn.Identity()
    )
    actual = _logits(ours(name), pairs, max_length=48, truncation="only_second")
    assert_close(actual, expected, 1e-4, pairs)
    assert np.abs(actual - _logits(ours(name), pairs, max_length=48)).max() > 1e-2


def test_query_that_leaves_no_room(model):
    with pytest.raises(ValueError, match="query"):
        model.predict([("museum " * 100, "text")], max_length=16, truncation="only_second")
    with pytest.raises(ValueError, match="shortest_first"):
        model.predict(PAIRS, truncation="shortest_first")


def test_tensor_on_the_models_device(model):
    tensor = model.predict(PAIRS, convert_to_tensor=True)
    assert tensor.device == torch.device("cpu")
    assert tensor.dtype == torch.float32
    listed = model.predict(PAIRS, convert_to_numpy=False)
    assert [float(score) for score in listed] == tensor.tolist()


def test_results_are_the_callers_own(model):
    first = model.predict(PAIRS)
    first[:] = 7
    assert not (model.predict(PAIRS) == 7).any()


def test_several_labels(ours, reference):
    for options in ({}, {"apply_softmax": True}, {"activation_fn": torch.nn.Sigmoid()}):
        expected = reference("bert-relu-3-labels").predict(PAIRS, **options)
        actual = ours("bert-relu-3-labels").predict(PAIRS, **options)
        assert actual.shape == (len(PAIRS), 3)
        assert_close(actual, expected, 1e-4, PAIRS)
    one = ours("bert-relu-3-labels").predict(PAIRS[0], convert_to_tensor=True)
    assert one.shape == (3,)


def test_pool_and_devices_of_predict(model):
    with pytest.raises(ValueError, match="pool"):
        model.predict(PAIRS, pool={"input": 1})
    with pytest.raises(ValueError, match="one device"):
        model.predict(PAIRS, device=["cpu", "cpu"])
    expected = model.predict(PAIRS)
    np.testing.assert_array_equal(model.predict(PAIRS, device=["cpu"], chunk_size=2), expected)
    with pytest.raises(ValueError, match="abacus"):
        model.predict(PAIRS, device="abacus")
    np.testing.assert_array_equal(model.predict(PAIRS), expected)


# Prompts


PROMPTS = {"search": "Given a question, find its answer: ", "none": ""}


@pytest.mark.parametrize("name", ["bert-base", "xlmr-base"])
def test_prompts_as_the_reference(zoo, name):
    path = str(zoo.path(name))
    model = cherche_rs.CrossEncoder(path, prompts=PROMPTS, default_prompt_name="search")
    peer = oracle.load(path, prompts=PROMPTS, default_prompt_name="search")
    plain = model.predict(PAIRS, prompt="")
    for options in ({}, {"prompt_name": "search"}, {"prompt": "other: "}, {"prompt_name": "none"}):
        actual = model.predict(PAIRS, **options)
        assert_close(actual, peer.predict(PAIRS, **options), 1e-4, PAIRS)
        assert np.array_equal(actual, plain) == (options == {"prompt_name": "none"})
    mine = model.rank("a museum", ["paintings", "rain"])
    assert [hit["score"] for hit in mine] == pytest.approx(
        [hit["score"] for hit in peer.rank("a museum", ["paintings", "rain"])], abs=1e-4
    )
    with pytest.raises(ValueError, match="nothing"):
        model.predict(PAIRS, prompt_name="nothing")


def test_saved_prompts_and_activation(zoo, tmp_path):
    """What sentence-transformers saves beside modules.json; without modules.json it is not read."""
    peer = oracle.load(zoo.path("bert-base"), prompts=PROMPTS, default_prompt_name="search")
    peer.activation_fn = torch.nn.Tanh()
    peer.save_pretrained(str(tmp_path))
    model = cherche_rs.CrossEncoder(tmp_path)
    assert model.prompts == PROMPTS
    assert model.default_prompt_name == "search"
    assert_close(model.predict(PAIRS), peer.predict(PAIRS), 1e-4, PAIRS)
    model = cherche_rs.CrossEncoder(tmp_path, prompts={"search": "other: "})
    assert_close(model.predict(PAIRS), peer.predict(PAIRS, prompt="other: "), 1e-4, PAIRS)

    (tmp_path / "modules.json").unlink()
    model, peer = cherche_rs.CrossEncoder(tmp_path), oracle.load(tmp_path)
    assert model.prompts == peer.prompts == {}
    assert_close(model.predict(PAIRS), peer.predict(PAIRS), 1e-4, PAIRS)


def test_prompts_of_a_model_in_memory(zoo):
    peer = oracle.load(zoo.path("bert-base"), prompts=PROMPTS, default_prompt_name="search")
    model = cherche_rs.CrossEncoder.from_sentence_transformers(peer)
    assert_close(model.predict(PAIRS), peer.predict(PAIRS), 1e-4, PAIRS)


# Activations


@pytest.mark.parametrize(
    "entry",
    [
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}},
        {
            "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"},
            "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
        },
        {},
    ],
    ids=["old", "new", "both", "none"],
)
def test_activation_of_the_configuration(folder, entry):
    config = json.loads((folder / "config.json").read_text())
    config.pop("sentence_transformers", None)
    (folder / "config.json").write_text(json.dumps({**config, **entry}))
    expected = oracle.load(folder).predict(PAIRS)
    assert_close(cherche_rs.CrossEncoder(folder).predict(PAIRS), expected, 1e-4, PAIRS)


def test_activation_that_is_not_torchs_is_never_imported(folder):
    config = json.loads((folder / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "os.getcwd"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"os\.getcwd"):
        cherche_rs.CrossEncoder(folder)
    cherche_rs.CrossEncoder(folder, activation_fn=torch.nn.Sigmoid())


# rank and rank_many


def test_rank_many_is_rank_of_each(model):
    queries = ["the museum", "a river", "nothing to rank", "chess"]
    documents = [[d for _, d in PAIRS], [d for _, d in LONG], [], [PAIRS[0][1], "chess", "chess"]]
    many = model.rank_many(queries, documents, top_k=4, return_documents=True)
    assert [len(hits) for hits in many] == [4, 4, 0, 3]
    for query, texts_, hits in zip(queries, documents, many, strict=True):
        alone = model.rank(query, texts_, top_k=4, return_documents=True)
        assert [h["corpus_id"] for h in hits] == [h["corpus_id"] for h in alone]
        assert [h["text"] for h in hits] == [texts_[h["corpus_id"]] for h in hits]
        assert [h["score"] for h in hits] == pytest.approx([h["score"] for h in alone], abs=1e-5)
    assert model.rank_many([], []) == []


def test_rank_takes_documents_in_any_list_but_no_string(model):
    expected = model.rank("a", ["b", "c"])
    for documents in (("b", "c"), np.array(["b", "c"]), iter(["b", "c"])):
        assert model.rank("a", documents) == expected
    with pytest.raises(TypeError, match="list of texts"):
        model.rank("a", "bc")
    with pytest.raises(TypeError, match="query 1"):
        model.rank_many(["a", "b"], [["c"], "d"])
    with pytest.raises(TypeError, match="queries"):
        model.rank_many("ab", [["c"], ["d"]])
    with pytest.raises(ValueError, match="2 queries"):
        model.rank_many(["a", "b"], [["c"]])


def test_rank_of_nothing(model, reference):
    assert model.rank("a", []) == reference("bert-base").rank("a", []) == []
    assert model.rank("a", ["b"], top_k=0) == reference("bert-base").rank("a", ["b"], top_k=0) == []


def test_scores_of_langchain(model):
    assert model.score(PAIRS) == model.predict(PAIRS).tolist()


# Once each


def test_equal_pairs_are_scored_once(model):
    """And a text is tokenised once, however many queries it is paired with."""
    queries = [f"query {i}" for i in range(5)]
    documents = [f"the text of document {i}" for i in range(7)]
    pairs = [(q, d) for q in queries for d in documents]
    report = model.report(pairs + pairs[::-1])
    assert report.pairs == 2 * 35
    assert report.sequences == 35
    assert report.texts == 12
    np.testing.assert_array_equal(
        model.predict(pairs + pairs[::-1]), np.concatenate([model.predict(pairs)] * 2)[_mirror(35)]
    )


def _mirror(count):
    return np.concatenate([np.arange(count), np.arange(count)[::-1]])


# Copies


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(zoo, protocol):
    model = cherche_rs.CrossEncoder(
        zoo.path("bert-base"),
        max_length=40,
        activation_fn=torch.nn.Tanh(),
        prompts=PROMPTS,
        default_prompt_name="search",
        processor_kwargs={"do_lower_case": False},
    )
    twin = pickle.loads(pickle.dumps(model, protocol))
    np.testing.assert_array_equal(twin.predict(LONG), model.predict(LONG))
    assert twin.max_length == 40
    assert twin.prompts == PROMPTS
    assert len(pickle.dumps(model, protocol)) < 4000


def test_pickle_of_a_model_in_memory(zoo):
    peer = oracle.load(zoo.path("bert-base"))
    model = cherche_rs.CrossEncoder.from_sentence_transformers(peer)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(PAIRS), model.predict(PAIRS))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_are_independent(zoo, duplicate):
    model = cherche_rs.CrossEncoder(zoo.path("bert-base"))
    twin = duplicate(model)
    twin.max_length = 16
    twin.activation_fn = torch.nn.Identity()
    assert model.max_length == 128
    assert repr(model.activation_fn) == "Sigmoid()"
    np.testing.assert_array_equal(twin.predict(PAIRS, max_length=128), _logits(model, PAIRS))
