"""The committed models, checked without transformers: `golden/make_models.py` wrote the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cherche_rs

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
PAIRS = [tuple(pair) for pair in EXPECTED["pairs"]]


@pytest.fixture(scope="module", params=sorted(EXPECTED["models"]))
def model(request):
    return request.param, cherche_rs.CrossEncoder(GOLDEN / "models" / request.param, device="cpu")


def test_golden_logits(model):
    name, cross_encoder = model
    logits = cross_encoder.predict(PAIRS, activation_fn=lambda logits: logits)
    expected = np.array(EXPECTED["models"][name]["logits"], dtype=np.float32)
    np.testing.assert_allclose(logits.reshape(expected.shape), expected, rtol=0, atol=1e-4)


def test_golden_token_ids(model):
    name, cross_encoder = model
    expected = EXPECTED["models"][name]
    assert cross_encoder.max_length == expected["max_length"]
    assert cross_encoder.token_ids(PAIRS, max_length=64) == expected["token_ids"]
