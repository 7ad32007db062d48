"""The oracle examined: its logits spread, and no mistake of the list goes unseen."""

from __future__ import annotations

import numpy as np
import pytest
import texts
from comparison import reference as oracle
from comparison.mutations import MUTATIONS
from tiny_models.catalog import SPECS

#: How many tolerances a mistake must move a logit.
VISIBLE = 100


def _pairs():
    return texts.random_pairs(16) + texts.length_pairs()


@pytest.mark.parametrize("name", ["bert-base", "xlmr-base", "deberta-v3-base", "modernbert-cls"])
def test_logits_of_ordinary_pairs_spread(reference, name):
    logits = oracle.logits(reference(name), texts.random_pairs(64, seed=3))
    assert 1.5 < logits.std() < 4


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.model}: {m.mistake}")
def test_mistake_is_seen(zoo, reference, tmp_path, mutation):
    pairs = _pairs()
    right = oracle.logits(reference(mutation.model), pairs)
    wrong = oracle.logits(mutation.load(zoo, tmp_path), pairs)
    moved = np.abs(right - wrong).max()
    assert moved >= VISIBLE * SPECS[mutation.model].tolerance
