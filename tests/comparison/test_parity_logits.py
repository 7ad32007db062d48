"""Same directory, same pairs, same logits as sentence-transformers, for every model we list."""

from __future__ import annotations

import pytest
import torch
from comparison import reference as oracle
from comparison.samples import assert_close, pairs_for
from tiny_models.catalog import SPECS


def _logits(model, pairs, **options):
    return model.predict(pairs, activation_fn=torch.nn.Identity(), **options)


@pytest.mark.parametrize("name", SPECS)
def test_logits(ours, reference, name):
    pairs = pairs_for(name)
    expected = oracle.logits(reference(name), pairs)
    assert_close(_logits(ours(name), pairs), expected, SPECS[name].tolerance, pairs)


@pytest.mark.parametrize("name", SPECS)
def test_default_activation(ours, reference, name):
    pairs = pairs_for(name)[:24]
    expected = reference(name).predict(pairs, batch_size=8, show_progress_bar=False)
    assert_close(ours(name).predict(pairs), expected, SPECS[name].tolerance, pairs)


@pytest.mark.parametrize("name", SPECS)
def test_token_ids(ours, reference, name):
    pairs = pairs_for(name)
    assert ours(name).token_ids(pairs) == oracle.token_ids(reference(name), pairs)


@pytest.mark.parametrize("name", SPECS)
def test_limits_and_labels(ours, reference, name):
    assert ours(name).max_length == reference(name).max_seq_length
    assert ours(name).num_labels == reference(name).num_labels
