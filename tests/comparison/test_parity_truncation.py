"""Truncation: the reference's budget and its ties, however the limit is given."""

from __future__ import annotations

import pytest
import texts
import torch
from comparison import reference as oracle
from comparison.samples import assert_close

MODELS = ["bert-base", "roberta-base", "xlmr-base"]
#: From no room for text at all (BERT needs 3 tokens, RoBERTa 4) to nearly all of it.
LIMITS = [4, 5, 6, 9, 16, 33, 64]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", MODELS)
def test_max_length_of_the_constructor(ours, reference, name, limit):
    pairs = texts.length_pairs()
    expected = oracle.logits(reference(name, max_length=limit), pairs)
    actual = ours(name, max_length=limit).predict(pairs, activation_fn=torch.nn.Identity())
    assert_close(actual, expected, 1e-4, pairs)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", MODELS)
def test_truncated_token_ids(ours, reference, name, limit):
    pairs = [(a, b) for a in _words(0, 1, 3, 5, 7, 20) for b in _words(0, 1, 3, 6, 8, 20, 21)]
    expected = reference(name).tokenizer(
        [list(pair) for pair in pairs], truncation="longest_first", max_length=limit
    )
    assert ours(name).token_ids(pairs, max_length=limit) == expected["input_ids"]


def test_max_length_set_later(ours, reference, zoo):
    import cherche_rs

    model = cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu")
    model.max_length = 16
    assert model.max_length == 16
    pairs = texts.length_pairs()
    expected = oracle.logits(reference("bert-base", max_length=16), pairs)
    actual = model.predict(pairs, activation_fn=torch.nn.Identity())
    assert_close(actual, expected, 1e-4, pairs)


def _words(*counts: int) -> list[str]:
    return [" ".join(["paris is the capital"] * count)[: 6 * count].strip() for count in counts]
