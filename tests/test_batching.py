"""A pair's score is its own: no matter the batch, the order, or what else is in the call."""

from __future__ import annotations

import numpy as np
import pytest
import texts
import torch

MODELS = ["bert-base", "roberta-base", "xlmr-base", "bert-12-layers"]
PAIRS = texts.all_pairs()


def _logits(model, pairs, **options):
    return model.predict(pairs, activation_fn=torch.nn.Identity(), **options)


@pytest.mark.parametrize("name", MODELS)
def test_batch_size_does_not_matter(ours, name):
    expected = _logits(ours(name), PAIRS)
    for size in (1, 3, 17, 1000):
        actual = _logits(ours(name), PAIRS, batch_size=size)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_scores_follow_their_pairs(ours, name):
    order = np.random.default_rng(4).permutation(len(PAIRS))
    expected = _logits(ours(name), PAIRS)
    actual = _logits(ours(name), [PAIRS[i] for i in order])
    np.testing.assert_allclose(actual, expected[order], rtol=0, atol=1e-5)


def test_repeated_pairs_score_the_same(ours):
    pairs = [PAIRS[40], PAIRS[3], PAIRS[40], PAIRS[60], PAIRS[40]]
    scores = _logits(ours("bert-base"), pairs)
    assert scores[0] == scores[2] == scores[4]


def test_same_call_same_bits(ours):
    first, second = (_logits(ours("bert-base"), PAIRS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_callers_data_is_left_alone(ours):
    pairs = [["a", "b"], ["c", "d"]]
    documents = ["x", "y"]
    ours("bert-base").predict(pairs)
    ours("bert-base").rank("q", documents, return_documents=True)
    assert pairs == [["a", "b"], ["c", "d"]]
    assert documents == ["x", "y"]
