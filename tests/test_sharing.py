"""One model from many threads, through fork, pickle and copy."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import texts

import cherche_rs

PAIRS = texts.random_pairs(24, shortest=1, longest=60, seed=8)
LIMITS = [16, 32, 64, 128]


@pytest.fixture(scope="module")
def model(ours):
    return ours("bert-base")


def test_eight_threads_give_one_answer(model):
    expected = model.predict(PAIRS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.predict(PAIRS), range(32)))
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_threads_with_different_limits(zoo, ours):
    """Where the reference is silently wrong: its tokenizer holds the limit as shared state.

    Shallow copies share one engine.
    """
    expected = {limit: ours("bert-base", max_length=limit).predict(PAIRS) for limit in LIMITS}
    assert not np.allclose(expected[16], expected[128])
    views = {limit: copy.copy(ours("bert-base")) for limit in LIMITS}
    for limit, view in views.items():
        view.max_length = limit
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        results = []
        for turn in range(6):
            limit = LIMITS[(number + turn) % len(LIMITS)]
            results.append((limit, views[limit].predict(PAIRS)))
        return results

    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(8)):
            for limit, scores in results:
                np.testing.assert_array_equal(scores, expected[limit])


def test_threads_with_different_batches(model):
    singles = {i: model.predict([pair])[0] for i, pair in enumerate(PAIRS)}

    def work(i):
        return i, model.predict([PAIRS[i], PAIRS[(i * 7 + 3) % len(PAIRS)]])[0]

    with ThreadPoolExecutor(8) as pool:
        for i, score in pool.map(work, list(range(len(PAIRS))) * 4):
            assert score == pytest.approx(singles[i], abs=1e-5)


def test_an_error_in_one_thread_is_that_threads_own(model):
    expected = model.predict(PAIRS)

    def work(number):
        if number % 2:
            with pytest.raises((ValueError, TypeError)):
                model.predict([("a", None)])
            return expected
        return model.predict(PAIRS)

    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(work, range(16)):
            np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_score_the_same(zoo, again):
    model = cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu", max_length=32)
    twin = again(model)
    assert twin is not model
    assert twin.max_length == 32
    np.testing.assert_array_equal(twin.predict(PAIRS), model.predict(PAIRS))
    twin.max_length = 64
    assert model.max_length == 32


def _child(model, pairs, queue):
    try:
        queue.put(model.predict(pairs))
    except BaseException as error:
        queue.put(f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_process_scores_or_says_why_not(model, method):
    """Thread pools do not survive fork: the child must answer or raise, never hang."""
    expected = model.predict(PAIRS)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_child, args=(model, PAIRS, queue))
    child.start()
    try:
        answer = queue.get(timeout=60)
    finally:
        child.kill()
        child.join()
    if isinstance(answer, str):
        assert method == "fork"
        assert "fork" in answer
        assert "spawn" in answer
    else:
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.predict(PAIRS), expected)


_FORK = """
import os, sys
import numpy as np
import cherche_rs
model = cherche_rs.CrossEncoder(sys.argv[1])
pairs = [(f"query {i % 3}", "the museum keeps paintings " * (1 + i % 7)) for i in range(40)]
expected = model.predict(pairs), model.predict(pairs[:1])
for _ in range(3):
    child = os.fork()
    if child == 0:
        same = all(
            np.allclose(model.predict(given), scores, rtol=0, atol=1e-6)
            for given, scores in zip((pairs, pairs[:1]), expected)
        )
        os._exit(0 if same else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(model.predict(pairs), expected[0])
print("done")
"""


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("first", ["", "import torch; torch.ones(999, 999) @ torch.ones(999, 999)"])
def test_forked_child_after_its_parent_has_scored(zoo, threads, first):
    """With several threads in libtorch, whose own workers do not survive a fork either."""
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{_FORK}", str(zoo.path("bert-base"))],
        env={
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "RAYON_NUM_THREADS": threads,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "done\n", done.stderr
