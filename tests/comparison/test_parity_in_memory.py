"""A sentence-transformers model taken over from memory scores as it does itself."""

from __future__ import annotations

import pytest
import torch
from comparison import reference as oracle
from comparison.samples import assert_close, pairs_for
from tiny_models.catalog import SPECS

import cherche_rs

#: The first model of each family that runs, and forms that change what lies in memory.
_FIRST = {spec.family: name for name, spec in reversed(SPECS.items()) if spec.kind == "classifier"}
NAMES = [
    *_FIRST.values(),
    "bert-relu-3-labels",
    "bert-keep-accents",
    "bert-truncate-left",
    "xlmr-bf16",
]


@pytest.mark.parametrize("name", NAMES)
def test_logits_from_memory(reference, name):
    theirs = reference(name)
    pairs = pairs_for(name)
    taken = cherche_rs.CrossEncoder.from_sentence_transformers(theirs)
    assert taken.max_length == theirs.max_seq_length
    expected = oracle.logits(theirs, pairs)
    actual = taken.predict(pairs, activation_fn=torch.nn.Identity())
    assert_close(actual, expected, SPECS[name].tolerance, pairs)


@pytest.mark.parametrize("name", ["ettin", "qwen3-yes-no"])
def test_a_model_of_several_modules_is_left_to_its_library(reference, name):
    with pytest.raises(ValueError, match="modules"):
        cherche_rs.CrossEncoder.from_sentence_transformers(reference(name))


def test_the_models_own_limit_and_activation(reference):
    theirs = reference("bert-base", max_length=24, activation_fn=torch.nn.Tanh())
    pairs = pairs_for("bert-base")
    expected = theirs.predict(pairs, show_progress_bar=False)
    taken = cherche_rs.CrossEncoder.from_sentence_transformers(theirs)
    assert_close(taken.predict(pairs), expected, 1e-4, pairs)


def test_the_model_is_left_alone(zoo):
    theirs = oracle.load(zoo.path("bert-base"))
    before = {name: tensor.clone() for name, tensor in theirs.model.state_dict().items()}
    pairs = pairs_for("bert-base")[:8]
    expected = oracle.logits(theirs, pairs)
    cherche_rs.CrossEncoder.from_sentence_transformers(theirs).predict(pairs)
    assert (oracle.logits(theirs, pairs) == expected).all()
    for name, tensor in theirs.model.state_dict().items():
        assert torch.equal(tensor, before[name])
