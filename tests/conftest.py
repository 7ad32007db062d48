"""Fixtures shared by all tests: model directories, and the reference's answers on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The tests run models of a few thousand weights, where a second thread only costs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A test that needs the network is a bug.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def zoo(pytestconfig):
    """Model directories by name: `zoo.path("bert-base")`. Kept between runs in pytest's cache."""
    import torch
    import transformers
    from tiny_models.build import Zoo

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return Zoo(Path(pytestconfig.cache.mkdir("tiny-models")))


@pytest.fixture(scope="session")
def reference(zoo):
    """Load a model directory with sentence-transformers, in the arithmetic we must agree with."""
    from comparison.reference import load

    loaded = {}

    def get(name: str, **options):
        key = (name, *sorted(options.items()))
        if key not in loaded:
            loaded[key] = load(zoo.path(name), **options)
        return loaded[key]

    return get


@pytest.fixture(scope="session")
def ours(zoo):
    """Load a model directory with `cherche_rs.CrossEncoder`."""
    import cherche_rs

    loaded = {}

    def get(name: str, **options):
        key = (name, *sorted(options.items()))
        if key not in loaded:
            loaded[key] = cherche_rs.CrossEncoder(str(zoo.path(name)), device="cpu", **options)
        return loaded[key]

    return get
