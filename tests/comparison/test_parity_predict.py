"""predict and rank: arguments, activations and result types, next to the reference's."""

from __future__ import annotations

import numpy as np
import pytest
import texts
import torch
from comparison.samples import assert_close

PAIRS = texts.random_pairs(12, seed=5)


def _both(ours, reference, name, pairs=PAIRS, **options):
    expected = reference(name).predict(pairs, show_progress_bar=False, **options)
    return ours(name).predict(pairs, **options), expected


@pytest.mark.parametrize(
    "activation",
    [torch.nn.Identity(), torch.nn.Sigmoid(), torch.nn.Tanh(), lambda logits: 2 * logits + 1],
    ids=["identity", "sigmoid", "tanh", "function"],
)
@pytest.mark.parametrize("name", ["bert-base", "bert-relu-3-labels"])
def test_activation_argument(ours, reference, name, activation):
    actual, expected = _both(ours, reference, name, activation_fn=activation)
    assert_close(actual, expected, 3e-4, PAIRS)


@pytest.mark.parametrize("name", ["bert-base", "bert-relu-3-labels", "roberta-3-labels"])
def test_softmax_only_over_several_labels(ours, reference, name):
    actual, expected = _both(ours, reference, name, apply_softmax=True)
    assert_close(actual, expected, 1e-5, PAIRS)
    if actual.ndim == 2:
        np.testing.assert_allclose(actual.sum(1), 1, atol=1e-6)


def test_a_wide_activation_is_not_flat(ours):
    """The default of one label is a sigmoid: its scores must be inside (0, 1) and differ."""
    scores = ours("bert-base").predict(PAIRS)
    assert ((scores > 0) & (scores < 1)).all()
    assert len(set(scores.tolist())) == len(PAIRS)


@pytest.mark.parametrize("name", ["bert-base", "bert-relu-3-labels"])
def test_result_types(ours, reference, name):
    for options in (
        {},
        {"convert_to_tensor": True},
        {"convert_to_numpy": False},
    ):
        actual, expected = _both(ours, reference, name, **options)
        assert type(actual) is type(expected)
        assert len(actual) == len(expected)
        if isinstance(actual, list):
            assert [t.shape for t in actual] == [t.shape for t in expected]
        else:
            assert actual.shape == expected.shape
            assert actual.dtype == expected.dtype


@pytest.mark.parametrize(
    "one",
    [("a query", "a text"), ["a query", "a text"], np.array(["a query", "a text"])],
    ids=["tuple", "list", "array"],
)
def test_a_single_pair_gives_a_scalar(ours, reference, one):
    actual, expected = _both(ours, reference, "bert-base", pairs=one)
    assert np.shape(actual) == np.shape(expected) == ()
    assert abs(float(actual) - float(expected)) < 1e-5


@pytest.mark.parametrize(
    "many",
    [[("q", "a"), ("q", "b")], (("q", "a"), ("q", "b")), np.array([["q", "a"], ["q", "b"]])],
    ids=["list", "tuple", "array"],
)
def test_batches(ours, reference, many):
    actual, expected = _both(ours, reference, "bert-base", pairs=many)
    assert_close(actual, expected, 1e-4, many)


@pytest.mark.parametrize("options", [{}, {"convert_to_tensor": True}, {"convert_to_numpy": False}])
def test_empty(ours, reference, options):
    actual, expected = _both(ours, reference, "bert-base", pairs=[], **options)
    assert type(actual) is type(expected)
    assert len(actual) == 0


def test_strings_of_numpy(ours):
    plain = ours("bert-base").predict([("q", "a text")])
    assert ours("bert-base").predict([(np.str_("q"), np.str_("a text"))]) == plain


DOCUMENTS = [document for _, document in texts.random_pairs(9, seed=6)]


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"top_k": 50}, {"return_documents": True}])
def test_rank(ours, reference, options):
    expected = reference("bert-base").rank(
        "the museum", DOCUMENTS, show_progress_bar=False, **options
    )
    actual = ours("bert-base").rank("the museum", DOCUMENTS, **options)
    assert [hit["corpus_id"] for hit in actual] == [hit["corpus_id"] for hit in expected]
    assert [hit.get("text") for hit in actual] == [hit.get("text") for hit in expected]
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-4)


def test_rank_keeps_the_order_of_ties(ours):
    hits = ours("bert-base").rank("the museum", ["same", "other words", "same", "same"])
    equal = [hit["corpus_id"] for hit in hits if hit["corpus_id"] != 1]
    assert equal == [0, 2, 3]


def test_rank_needs_one_label(ours):
    with pytest.raises(ValueError, match="label"):
        ours("bert-relu-3-labels").rank("q", ["d"])
