"""bfloat16 and int8 keep the scores of float32, within what their bits allow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comparison.samples import pairs_for

import cherche_rs

#: Models of several widths and activations, and the correlation with float32 each format must keep.
MODELS = ["minilm-l6-random-head", "bert-base", "roberta-base", "modernbert-cls", "deberta-v3-base"]
CORRELATION = {"bfloat16": 0.998, "int8": 0.99}


def logits(path, dtype, pairs):
    model = cherche_rs.CrossEncoder(path, dtype=dtype)
    if model.dtype != dtype:
        pytest.skip(f"this CPU has no instructions for {dtype}")
    return model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)


@pytest.mark.parametrize("dtype", CORRELATION)
@pytest.mark.parametrize("name", MODELS)
def test_scores_follow_float32(zoo, name, dtype):
    pairs = pairs_for(name)
    exact = logits(zoo.path(name), "float32", pairs)
    coarse = logits(zoo.path(name), dtype, pairs)
    assert np.std(exact) > 0.5, "logits that hardly differ would prove nothing"
    assert (coarse != exact).any(), "the other format was not used"
    assert np.corrcoef(exact, coarse)[0, 1] >= CORRELATION[dtype]


@pytest.mark.parametrize("dtype", CORRELATION)
def test_scores_do_not_depend_on_company(zoo, dtype):
    pairs = pairs_for("bert-base")[:16]
    path = zoo.path("bert-base")
    together = logits(path, dtype, pairs)
    alone = [logits(path, dtype, [pair])[0] for pair in pairs[:4]]
    np.testing.assert_allclose(together[:4], alone, rtol=0, atol=2e-2)


def test_auto_is_what_the_cpu_multiplies(zoo):
    model = cherche_rs.CrossEncoder(zoo.path("bert-base"), dtype="auto")
    halved = cherche_rs.CrossEncoder(zoo.path("bert-base"), dtype="bfloat16")
    assert model.dtype == halved.dtype
