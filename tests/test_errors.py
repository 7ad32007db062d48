"""What goes wrong says what, where and what to do, as an ordinary exception, and breaks nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import texts
from tiny_models import broken

import cherche_rs

PAIR = ("the museum", "keeps paintings")


@pytest.fixture(scope="module")
def model(ours):
    return ours("bert-base")


def _message(raised) -> str:
    text = str(raised.value)
    assert "internal error" not in text
    return text


@pytest.mark.parametrize("name", broken.BROKEN)
def test_broken_directory(zoo, tmp_path, name):
    folder = broken.make(name, zoo.path("bert-base"), tmp_path / name)
    _, kind, parts = broken.BROKEN[name]
    with pytest.raises(kind) as raised:
        # Damage inside the numbers is found when they first meet a text.
        cherche_rs.CrossEncoder(str(folder), device="cpu").predict([PAIR])
    message = _message(raised)
    for part in parts:
        assert part in message
    # A file is named with its directory, but for what a model in memory could also have.
    assert folder.name in message or "config.json" in message or name == "nan-weights"


@pytest.mark.parametrize("name", ["missing-head", "missing-tensor", "nan-weights"])
def test_never_a_score_from_half_a_model(zoo, tmp_path, name):
    """What the reference only reports (or not even that), and then scores with random weights."""
    folder = broken.make(name, zoo.path("bert-base"), tmp_path / name)
    with pytest.raises(ValueError, match=r"bert|classifier"):
        cherche_rs.CrossEncoder(str(folder), device="cpu").predict([PAIR])


def test_directory_that_is_a_file(tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"")
    with pytest.raises((NotADirectoryError, ValueError), match=r"model\.bin"):
        cherche_rs.CrossEncoder(str(file), device="cpu")


def test_empty_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="config"):
        cherche_rs.CrossEncoder(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("device", "part"),
    [("cuda:99", "cuda:99"), ("abacus", "abacus"), ("cuda:x", "cuda:x"), ("", "device")],
)
def test_device_that_does_not_exist(zoo, device, part):
    with pytest.raises((ValueError, RuntimeError), match=part):
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device=device)


@pytest.mark.parametrize("limit", [129, 512, 10**9])
def test_max_length_beyond_the_positions(zoo, limit):
    """The reference accepts it and raises an IndexError deep inside, on the first long pair."""
    with pytest.raises(ValueError, match="128") as raised:
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu", max_length=limit)
    assert str(limit) in _message(raised)


def test_roberta_has_two_positions_less_than_its_table(zoo):
    cherche_rs.CrossEncoder(str(zoo.path("roberta-base")), device="cpu", max_length=128)
    with pytest.raises(ValueError, match="128"):
        cherche_rs.CrossEncoder(str(zoo.path("roberta-base")), device="cpu", max_length=129)


@pytest.mark.parametrize("limit", [0, -1, 2, 2.5, "64", True])
def test_max_length_that_is_no_length(zoo, limit):
    with pytest.raises((ValueError, TypeError), match="max_length"):
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu", max_length=limit).predict(
            [PAIR]
        )


def test_max_length_set_later_is_checked_too(zoo):
    model = cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu")
    with pytest.raises(ValueError, match="max_length"):
        model.max_length = 4096
    assert model.max_length == 128
    assert model.predict([PAIR]).shape == (1,)


WRONG_INPUTS = {
    "generator": lambda: (pair for pair in [PAIR]),
    "None": lambda: None,
    "number": lambda: 3,
    "string": lambda: "the museum",
    "dict": lambda: {"query": "document"},
    "one text": lambda: [("alone",)],
    "three texts": lambda: [("a", "b", "c")],
    "a single text": lambda: ("alone",),
    "three single texts": lambda: ("a", "b", "c"),
    "number in a pair": lambda: [("a", 3)],
    "None in a pair": lambda: [PAIR, ("a", None)],
    "bytes in a pair": lambda: [(b"a", "b")],
    "None among pairs": lambda: [PAIR, None],
    "strings for pairs": lambda: ["ab", "cd", "ef"],
    "lone surrogate": lambda: [("a", "\ud800")],
    "pair of pairs": lambda: [(PAIR, PAIR)],
    "numbers of numpy": lambda: np.zeros((2, 2)),
}


@pytest.mark.parametrize("wrong", WRONG_INPUTS)
def test_wrong_input(model, wrong):
    expected = model.predict([PAIR])
    with pytest.raises((ValueError, TypeError)) as raised:
        model.predict(WRONG_INPUTS[wrong]())
    assert _message(raised)
    np.testing.assert_array_equal(model.predict([PAIR]), expected)


@pytest.mark.parametrize("size", [0, -1, -32])
def test_batch_size_must_be_positive(model, size):
    with pytest.raises(ValueError, match="batch_size"):
        model.predict([PAIR], batch_size=size)


def test_unknown_argument(model, zoo):
    with pytest.raises(TypeError, match="colour"):
        model.predict([PAIR], colour="red")
    with pytest.raises(TypeError, match="colour"):
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), colour="red")


def test_activation_that_fails_reaches_the_caller(model):
    def fails(_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        model.predict([PAIR], activation_fn=fails)
    assert model.predict([PAIR]).shape == (1,)


def test_more_labels_than_the_head_has(zoo):
    with pytest.raises((ValueError, TypeError), match=r"num_labels|classifier"):
        cherche_rs.CrossEncoder(str(zoo.path("bert-base")), device="cpu", num_labels=3)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stops_a_long_call(zoo):
    """SIGINT in a call of minutes: KeyboardInterrupt within a second, and the model still works."""
    script = textwrap.dedent(
        f"""
        import time
        import cherche_rs
        model = cherche_rs.CrossEncoder({str(zoo.path("bert-512"))!r}, device="cpu")
        pairs = [(f"query {{i}}", "word " * 480) for i in range(200_000)]
        print("ready", flush=True)
        try:
            model.predict(pairs)
        except KeyboardInterrupt:
            print("stopped", flush=True)
            print(model.predict(pairs[:2]).shape, flush=True)
        else:
            print("finished", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.stdout.readline() == "stopped\n"
        assert time.monotonic() - start < 1
        assert process.stdout.readline() == "(2,)\n"
    finally:
        process.kill()
        process.wait()


def test_long_text_is_truncated_not_refused(model):
    scores = model.predict([("q", "word " * 200_000), ("word " * 200_000, "")])
    assert np.isfinite(scores).all()


def test_every_awkward_text_scores(model):
    assert np.isfinite(model.predict(texts.nasty_pairs())).all()


@pytest.mark.parametrize(
    "call",
    [
        "cherche_rs.CrossEncoder()",
        "retrieve.TfIdf(key='id', on='text', documents=documents)",
    ],
)
def test_no_memory_left(call):
    """A process that may grow by 2 MB only: a MemoryError, and the process goes on."""
    program = f"""
        import resource
        import cherche_rs
        from cherche_rs import retrieve

        documents = [{{"id": i, "text": f"number {{i}} of many texts"}} for i in range(100_000)]
        retrieve.TfIdf(key="id", on="text", documents=documents[:1_000])  # threads are there
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (2 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            {call}
        except MemoryError as error:
            print("MemoryError:", error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"MemoryError: .*(no memory|allocate memory)", done.stdout), done.stdout
