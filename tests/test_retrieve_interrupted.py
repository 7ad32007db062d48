"""What interrupted builds, additions and saves leave behind, and retrievers across a fork."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from cherche_rs import retrieve

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

MAKE = """
import json, os, random, resource, signal, sys, time
from cherche_rs import retrieve
rng = random.Random(0)
def documents(count, first=0, words=60):
    return [
        {"id": i, "text": " ".join(f"w{rng.randrange(10**6)}" for _ in range(words))}
        for i in range(first, first + count)
    ]
def say(*values):
    print(*values, flush=True)
def interrupt(work, after, most):
    # An interrupt that waits for the end of the work takes as long as the whole.
    begin = time.monotonic()
    work()
    whole = time.monotonic() - begin
    say("ready", whole * after)
    begin = time.monotonic()
    try:
        work()
    except KeyboardInterrupt:
        say("stopped")
    took = time.monotonic() - begin
    say(took / whole < most or (took, whole))
"""


def start(script, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", MAKE + textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **kwargs,
    )


def interrupted(script, delay=None):
    """Send SIGINT ``delay`` seconds after "ready"; return what follows, and the seconds it took.

    Without a delay, the script says after "ready" how long it should be.
    """
    process = start(script)
    try:
        ready, *wait = process.stdout.readline().split()
        assert ready == "ready"
        time.sleep(float(*wait) if delay is None else delay)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert process.stdout.readline() == "stopped\n", "the work was over, or went on"
        seconds = time.monotonic() - begin
        return process.stdout.read(), seconds
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["TfIdf", "BM25"])
def test_ctrl_c_stops_a_build(name):
    rest, seconds = interrupted(
        f"""
        many = documents(80_000)
        interrupt(lambda: retrieve.{name}("id", "text", many), after=0.2, most=0.7)
        say(retrieve.{name}("id", "text", many[:9])(many[3]["text"])[0]["id"])
        """
    )
    assert seconds < 5  # of a machine that may have other work
    assert rest == "True\n3\n"


def test_ctrl_c_leaves_the_retriever_as_it_was():
    rest, seconds = interrupted(
        """
        old, new = documents(500), documents(120_000, first=1000)
        retriever = retrieve.TfIdf("id", "text", old)
        queries = [document["text"] for document in old[:50]]
        ask = lambda: json.dumps(retriever(queries, tqdm_bar=False), default=float)
        before = ask()
        say("ready")
        try:
            retriever.add(new, batch_size=10**9)
        except KeyboardInterrupt:
            say("stopped")
        say(ask() == before, len(retriever), len(retriever.documents))
        retriever.add(new[:2])
        say(len(retriever), retriever(new[1]["text"])[0]["id"] == new[1]["id"])
        """,
        delay=0.3,
    )
    assert seconds < 5  # of a machine that may have other work
    assert rest == "True 500 500\n502 True\n"


def test_ctrl_c_stops_few_but_long_queries():
    rest, _ = interrupted(
        """
        retriever = retrieve.TfIdf("id", "text", documents(3_000))
        queries = [d["text"] for d in documents(8, words=100_000)]
        interrupt(lambda: retriever(queries, tqdm_bar=False), after=0.1, most=0.8)
        """
    )
    assert rest == "True\n"


def test_ctrl_c_in_an_update_leaves_one_version(monkeypatch):
    old = [{"id": i, "text": f"an old wine, {i}"} for i in range(5)]
    retriever = retrieve.TfIdf("id", "text", old)
    add = retriever._backend.add

    def seen_late(texts):
        add(texts)
        raise KeyboardInterrupt

    monkeypatch.setattr(retriever._backend, "add", seen_late)
    with pytest.raises(KeyboardInterrupt):
        retriever.update([{"id": 1, "text": "old bread"}, {"id": 7, "text": "bread"}])
    assert len(retriever) == 6
    assert sorted(d["id"] for d in retriever("old")) == [0, 1, 2, 3, 4]
    assert next(d["id"] for d in retriever("old bread")) == 1


def test_other_threads_run_during_a_build():
    documents = [{"id": i, "text": f"{i} wine and {i * 7919}"} for i in range(60_000)]
    ticks, over = [], threading.Event()

    def count():
        while not over.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    retrieve.TfIdf("id", "text", documents)
    over.set()
    thread.join()
    assert len(ticks) > 10


@pytest.fixture
def saved(tmp_path):
    retriever = retrieve.TfIdf("id", "text", [{"id": 1, "text": "the old file"}])
    path = tmp_path / "index"
    retriever.save(path)
    return path


def test_a_killed_save_leaves_the_old_file(saved):
    process = start(
        f"""
        retriever = retrieve.TfIdf("id", "text", documents(20_000))
        say("ready")
        while True:
            retriever.save({str(saved)!r})
        """
    )
    try:
        assert process.stdout.readline() == "ready\n"
        temporary: list[str] = []
        deadline = time.monotonic() + 60
        # Kill it while the temporary file is being written.
        while time.monotonic() < deadline:
            temporary = [entry for entry in os.listdir(saved.parent) if entry.endswith(".tmp")]
            if temporary:
                process.kill()
                break
        process.wait()
        assert temporary
    finally:
        process.kill()
        process.wait()
    assert len(retrieve.TfIdf.load(saved)) in (1, 20_000)
    retrieve.TfIdf("id", "text", [{"id": 1, "text": "wine"}]).save(saved)
    assert os.listdir(saved.parent) == ["index"], "the next save clears away what was left"


def test_a_full_disk_leaves_the_old_file(saved):
    content = saved.read_bytes()
    process = start(
        f"""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        retriever = retrieve.TfIdf("id", "text", documents(2000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            retriever.save({str(saved)!r})
        except OSError as error:
            say("failed", error)
        say(retriever("w1") is not None)
        """
    )
    out, _ = process.communicate(timeout=60)
    assert out.startswith("failed") and os.strerror(errno.EFBIG) in out and out.endswith("True\n")
    assert saved.read_bytes() == content
    assert os.listdir(saved.parent) == ["index"]


def test_saves_of_one_path_by_many_threads_leave_one_whole_file(saved):
    retrievers = [
        retrieve.TfIdf("id", "text", [{"id": i, "text": f"wine {i}"} for i in range(size)])
        for size in (10, 2000)
    ]
    errors = []

    def work(retriever):
        try:
            for _ in range(20):
                retriever.save(saved)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(retriever,)) for retriever in retrievers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(retrieve.TfIdf.load(saved)) in (10, 2000)
    assert os.listdir(saved.parent) == ["index"]


def _answers(retriever, queries, pipe):
    retriever.add([{"id": "child", "text": "only the child has this"}])
    pipe.send((retriever(queries, tqdm_bar=False), len(retriever)))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("mapped", [True, False])
def test_a_forked_child_answers(tmp_path, mapped):
    documents = [{"id": i, "text": f"wine number {i} of {i * 31}"} for i in range(3000)]
    retriever = retrieve.BM25("id", "text", documents)
    if mapped:
        retriever.save(tmp_path / "index")
        retriever = retrieve.BM25.load(tmp_path / "index")
    queries = [document["text"] for document in documents[:40]]
    expected = retriever(queries, tqdm_bar=False)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_answers, args=(retriever, queries, theirs))
    child.start()
    assert ours.poll(60), "the child hangs"
    answers, size = ours.recv()
    child.join()
    assert json.dumps(answers, default=float) == json.dumps(expected, default=float)
    assert (size, len(retriever)) == (3001, 3000)


def test_many_readers_while_documents_are_added():
    documents = [{"id": i, "text": f"wine number {i}"} for i in range(2000)]
    retriever = retrieve.TfIdf("id", "text", documents[:1000])
    failures, over = [], threading.Event()

    def read(number):
        try:
            while not over.is_set():
                query = documents[number]["text"]
                if retriever(query, k=5)[0]["id"] != number:
                    failures.append(number)
                lists = retriever([query] * 8, k=5, tqdm_bar=False)
                if any(answer != lists[0] for answer in lists):
                    failures.append(number)
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read, args=(i * 100,)) for i in range(6)]
    for reader in readers:
        reader.start()
    for first in range(1000, 2000, 50):
        retriever.add(documents[first : first + 50])
    over.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert retriever(documents[1999]["text"])[0]["id"] == 1999


def test_a_bar_is_shown_only_on_long_builds(capsys, monkeypatch):
    from cherche_rs import _progress
    from cherche_rs._progress import late_counter

    retrieve.TfIdf("id", "text", [{"id": 1, "text": "wine"}])
    assert capsys.readouterr().err == ""
    clock = iter([0.0, 0.5, 1.5, 2.0])
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock, 3.0))
    with late_counter(10, "TfIdf index", True) as advance:
        advance(2)
        assert capsys.readouterr().err == ""
        advance(5)
    shown = capsys.readouterr().err
    assert "TfIdf index" in shown and "10/10" in shown
    with late_counter(10, "TfIdf index", False) as advance:
        assert advance is None


def test_a_build_tells_how_far_it_is():
    from cherche_rs._core import NgramIndex

    texts = [f"{i} wine and {i * 7919} " * 10 for i in range(60_000)]
    told = []
    NgramIndex.fit(texts, "char", (3, 7), True, progress=told.append)
    assert told and told == sorted(told) and told[-1] <= len(texts)

    def fail(done):
        raise RuntimeError("no bar today")

    with pytest.raises(RuntimeError, match="no bar today"):
        NgramIndex.fit(texts, "char", (3, 7), True, progress=fail)
