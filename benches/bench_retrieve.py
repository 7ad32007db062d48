"""TfIdf and BM25 beside cherche, scikit-learn and bm25s, on the same texts in the same run.

    python benches/bench_retrieve.py                 # 64,000 one-line documents
    python benches/bench_retrieve.py --characters 500 --documents 20000
    python benches/bench_retrieve.py --growth        # 10^3 to 10^6 lines, 10^5 paragraphs

Each figure is the median of interleaved rounds, and the ratio is theirs over ours. Documents go in
as dicts and answers come out as dicts; every peer runs in a process of its own for its memory. On
disk our file counts whole, but of a peer its pickled matrix and vocabulary alone; the time is that
from opening the file to a first answer.
"""
# ruff: noqa: B023 - functions made in loops are called before the loop goes on

from __future__ import annotations

import argparse
import glob
import json
import os
import pickle
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

K = 100
QUERIES = 512


# ---------------------------------------------------------------------------------- texts
def debian_descriptions():
    """One-line descriptions and long names of packages, from apt's lists where there are any."""
    for path in sorted(glob.glob("/var/lib/apt/lists/*_Packages*")):
        open_ = {".lz4": ["lz4", "-dc"], ".xz": ["xz", "-dc"], ".gz": ["gzip", "-dc"]}
        command = open_.get(Path(path).suffix, ["cat"])
        helper = "/usr/lib/apt/apt-helper"
        if os.path.exists(helper):
            command = [helper, "cat-file"]
        try:
            out = subprocess.run([*command, path], capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        name = ""
        for line in out.decode("utf-8", "replace").splitlines():
            if line.startswith("Package: "):
                name = line[9:]
            elif line.startswith("Description: "):
                yield f"{name} {line[13:]}"


def source_lines():
    """Comments and docstrings, and other long lines, of the installed Python packages."""
    for folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for path in sorted(Path(folder).rglob("*.py")):
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            yield from (line.strip() for line in lines if 40 <= len(line.strip()) <= 100)


def zipf_lines():
    """Words of a made-up language with Zipf's frequencies: for a machine without texts."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(50_000)]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    while True:
        yield " ".join(rng.choices(words, weights, k=rng.randint(6, 13)))


def corpus(count, length=None):
    """``count`` distinct texts: lines as they are, or joined to paragraphs of about ``length``."""
    seen, texts, paragraph = set(), [], ""
    for source in (debian_descriptions(), source_lines(), zipf_lines()):
        for line in source:
            if line in seen:
                continue
            seen.add(line)
            if length is not None:
                paragraph = f"{paragraph} {line}".strip()
                if len(paragraph) < length:
                    continue
                line, paragraph = paragraph, ""
            texts.append(line)
            if len(texts) == count:
                random.Random(1).shuffle(texts)
                return texts


def documents_of(texts):
    return [{"id": i, "text": text} for i, text in enumerate(texts)]


# ---------------------------------------------------------------------------------- contenders
def contenders():
    from cherche import retrieve as theirs

    from cherche_rs import retrieve as ours

    def of(cls):
        return lambda documents: cls(key="id", on="text", documents=documents, k=K)

    def sklearn(documents):
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(3, 7), smooth_idf=True)
        return theirs.TfIdf(key="id", on="text", documents=documents, k=K, tfidf=vectorizer)

    return {
        "ours TfIdf": of(ours.TfIdf),
        "cherche TfIdf": of(theirs.TfIdf),
        "ours BM25": of(ours.BM25),
        "cherche BM25": of(theirs.BM25),
        "sklearn TfIdf": sklearn,
        "ours words": ours_words,
        "bm25s words": Bm25s,
    }


def ours_words(documents):
    from cherche_rs import retrieve, sparse

    return retrieve.BM25(
        key="id", on="text", documents=documents, k=K, count_vectorizer=sparse.BM25Vectorizer()
    )


class Bm25s:
    """bm25s on words, with documents in and out as dicts."""

    def __init__(self, documents):
        import bm25s

        self.bm25s = bm25s
        self.keys = [document["id"] for document in documents]
        tokens = bm25s.tokenize([d["text"] for d in documents], stopwords=None, show_progress=False)
        self.index = bm25s.BM25()
        self.index.index(tokens, show_progress=False)

    def __call__(self, q, tqdm_bar=False):
        queries = [q] if isinstance(q, str) else q
        tokens = self.bm25s.tokenize(queries, stopwords=None, show_progress=False)
        found, scores = self.index.retrieve(tokens, k=K, show_progress=False)
        answers = [
            [
                {"id": self.keys[i], "similarity": s}
                for i, s in zip(row, values, strict=True)
                if s > 0
            ]
            for row, values in zip(found.tolist(), scores, strict=True)
        ]
        return answers[0] if isinstance(q, str) else answers


# ---------------------------------------------------------------------------------- measures
def resident():
    """Bytes of memory of this process: now, and at its highest."""
    status = Path("/proc/self/status").read_text()
    kilobytes = {
        line.split(":")[0]: int(line.split()[1])
        for line in status.splitlines()
        if line.startswith(("VmRSS", "VmHWM"))
    }
    return kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def worker(name, count, length, texts_path):
    """One contender in its own process: reads a command per line, answers with its seconds."""
    with open(texts_path, "rb") as file:
        texts, queries, extra = pickle.load(file)
    documents = documents_of(texts)
    added = [{"id": f"new{i}", "text": text} for i, text in enumerate(extra)]
    make = contenders()[name]
    make(documents[:100])(["warm up"], tqdm_bar=False)
    before, _ = resident()
    Path("/proc/self/clear_refs").write_text("5")
    retriever = None
    for line in sys.stdin:
        command = line.strip()
        if command == "build":
            retriever = None
            processor = time.process_time()
            seconds, retriever = timed(lambda: make(documents))
            processor = time.process_time() - processor
            result = {"seconds": seconds, "cpu": processor, "bytes": resident()[1] - before}
        elif command == "batch":
            seconds, _ = timed(lambda: retriever(queries, tqdm_bar=False))
            result = {"seconds": seconds / len(queries)}
        elif command == "single":
            some = queries[:128]
            seconds, _ = timed(lambda: [retriever(query) for query in some])
            result = {"seconds": seconds / len(some)}
        elif command == "add":
            # To a copy, so that every round adds to the same state; in use, as it would be.
            copy = pickle.loads(pickle.dumps(retriever))
            copy(queries[:32], tqdm_bar=False)
            seconds, _ = timed(lambda: copy.add(added))
            result = {"seconds": seconds}
        elif command == "disk":
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "index"
                if name.startswith("ours"):
                    retriever.save(path)
                    load = type(retriever).load
                    size = path.stat().st_size
                else:
                    path.write_bytes(pickle.dumps(retriever))
                    # Without the documents' keys, which it holds twice: what no index could lack.
                    size = len(pickle.dumps((retriever.matrix, retriever.tfidf.vocabulary)))

                    def load(path):
                        return pickle.loads(path.read_bytes())

                seconds, _ = timed(lambda: load(path)(queries[0]))
                result = {"seconds": seconds, "bytes": size}
        print(json.dumps(result), flush=True)


class Process:
    def __init__(self, name, texts_path):
        command = [sys.executable, __file__, "--worker", name, "--texts", texts_path]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(count, rounds, length):
    texts = corpus(count + 1000 + QUERIES, length)
    texts, extra, queries = texts[:count], texts[count : count + 1000], texts[count + 1000 :]
    queries = queries if length is None else [query[:60] for query in queries]
    print(
        f"{count:,} documents of {statistics.mean(map(len, texts)):.0f} characters on average, "
        f"{len(queries)} others, or their beginnings, as queries, k={K}, {os.cpu_count()} cores, "
        f"median of {rounds} rounds (builds: {min(rounds, 3)})"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "texts.pickle")
        with open(path, "wb") as file:
            pickle.dump((texts, queries, extra), file)
        pairs = [
            ("ours TfIdf", "cherche TfIdf", ["build", "batch", "single", "disk", "add"]),
            ("ours BM25", "cherche BM25", ["build", "batch", "single", "disk", "add"]),
            ("ours TfIdf", "sklearn TfIdf", ["build", "batch", "single"]),
            ("ours words", "bm25s words", ["build", "batch", "single"]),
        ]
        for ours, theirs, commands in pairs:
            print(f"\n{ours} | {theirs}")
            processes = {name: Process(name, path) for name in (ours, theirs)}
            for command in commands:
                times = rounds if command != "build" else min(rounds, 3)
                results = {name: [] for name in processes}
                for _ in range(times):
                    for name, process in processes.items():
                        results[name].append(process(command))
                report(command, *results.values())
            for process in processes.values():
                process.close()


def report(command, ours, theirs):
    if None in ours or None in theirs:
        print(f"  {command:8} one of the two failed")
        return
    a, b = (statistics.median(r["seconds"] for r in results) for results in (ours, theirs))
    print(f"  {command:8} {a * 1e3:10.3f} ms {b * 1e3:10.3f} ms   x{b / a:.1f}", end="")
    if "bytes" in ours[0]:
        a, b = ours[0]["bytes"], theirs[0]["bytes"]
        print(f"   {a / 1e6:.1f} MB {b / 1e6:.1f} MB   x{b / a:.1f}", end="")
    print(flush=True)


def growth(largest, peer_largest):
    """Cost by number and length of documents, the median of three rounds for queries."""
    for length, share in ((None, 1), (500, 10), (4000, 100)):
        limit, peer_limit = largest // share, peer_largest // share
        texts = corpus(limit + QUERIES, length)
        queries = [text[:60] for text in texts[limit:]]
        print(
            f"\n{'lines' if length is None else f'paragraphs of {length} characters'}\n"
            "  documents         build s   (CPU)   us/doc   disk bytes/doc   peak bytes/doc   "
            "batch us   single us   cherche: build s   batch us   single us"
        )
        count = 1000
        while count <= limit:
            for name in ("TfIdf", "BM25"):
                grown(name, texts[:count], queries, count <= peer_limit)
            count *= 10


def grown(name, texts, queries, with_peer):
    """Print a row of what a number of documents costs."""
    count = len(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "texts.pickle")
        with open(path, "wb") as file:
            pickle.dump((texts, queries, []), file)
        ours = Process(f"ours {name}", path)
        build, disk, batch, single = costs(ours, "build", "disk", "batch", "single")
        print(
            f"  {count:9,} {name:5} {build['seconds']:9.3f} {build['cpu']:7.2f} "
            f"{build['seconds'] / count * 1e6:8.2f} {disk['bytes'] / count:16.0f} "
            f"{build['bytes'] / count:16.0f} {batch['seconds'] * 1e6:10.1f} "
            f"{single['seconds'] * 1e6:11.1f}",
            end="",
            flush=True,
        )
        if with_peer:
            peer = Process(f"cherche {name}", path)
            build, batch, single = costs(peer, "build", "batch", "single")
            print(
                f"   {build['seconds']:16.2f} {batch['seconds'] * 1e6:10.0f} "
                f"{single['seconds'] * 1e6:11.0f}",
                end="",
            )
        print(flush=True)


def costs(process, *commands):
    """Return what commands cost, the median of three rounds but for builds and files."""
    results = []
    for command in commands:
        rounds = [process(command) for _ in range(3 if command in ("batch", "single") else 1)]
        results.append(sorted(rounds, key=lambda result: result["seconds"])[len(rounds) // 2])
    process.close()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=64_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--characters", type=int, help="of paragraphs; lines without it")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--peer-largest", type=int, default=100_000, help="of cherche, in lines")
    parser.add_argument("--worker")
    parser.add_argument("--texts")
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, None, None, arguments.texts)
    elif arguments.growth:
        growth(arguments.largest, arguments.peer_largest)
    else:
        compare(arguments.documents, arguments.rounds, arguments.characters)


if __name__ == "__main__":
    main()
