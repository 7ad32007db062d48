"""Where re-ranking spends its time on a CPU, by Linux's perf.

    python benches/profile_rerank.py [--model DIRECTORY] [--dtype float32 bfloat16 int8]

Samples of a process that does nothing but score the same pairs again and again, one thread, sorted
by what the code they fell into is for. Code without a symbol is oneDNN's, which it writes at run
time: the products, with bias and GELU where they are fused into them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

#: What a sample is for, by its library and symbol; the first match counts.
KINDS = [
    ("products", r"\[JIT\]|^\[unknown\]|dnnl::impl|jit_"),
    ("attention", r"kernels::attention"),
    ("norms", r"kernels::norm"),
    ("8 bits", r"kernels::quantize"),
    ("embeddings", r"kernels::(embed|position|rope)"),
    ("tokenisation", r"tokenizers|unicode|onig|rank::(tokenize|plan|truncate)|hashbrown|daachorse"),
    ("dispatch", r"libtorch|libc10|libgomp"),
    ("copies and memory", r"libc\.so|\[kernel|\[k\]|ld-linux"),
    ("Python and the rest", r""),
]
WORK = """
import json, sys, time
from cherche_rs import CrossEncoder
model = CrossEncoder(sys.argv[1], dtype=sys.argv[2])
pairs = [tuple(pair) for pair in json.load(open(sys.argv[3]))]
model.predict(pairs)
stop = time.process_time() + float(sys.argv[4])
while time.process_time() < stop:
    model.predict(pairs)
"""


def parse():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="default: the MiniLM-L6 of bench_rerank.py")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--seconds", type=float, default=10, help="of each dtype")
    return parser.parse_args()


def kind_of(sample):
    """Return what a line of perf's report, library and symbol, is for."""
    return next(kind for kind, pattern in KINDS if re.search(pattern, sample))


def shares(model, dtype, pairs, seconds):
    """Return the share of samples for each kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "perf.data")
        # The start of the process weighs little after this many seconds.
        command = [sys.executable, "-c", WORK, str(model), dtype, str(pairs), str(seconds)]
        environment = os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        # Seconds of import and load come first.
        record = ["perf", "record", "--quiet", "--delay", "3000", "-F", "499", "-o", data]
        subprocess.run([*record, "--", *command], check=True, env=environment)
        report = ["perf", "report", "-i", data, "--stdio", "--no-children", "-s", "dso,symbol"]
        lines = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    found = Counter()
    for line in lines.splitlines():
        percent, _, sample = line.strip().partition("%")
        if sample and not line.startswith("#"):
            found[kind_of(sample)] += float(percent)
    return {kind: found[kind] / sum(found.values()) for kind, _ in KINDS}


def main():
    """Profile every dtype; print a table."""
    if not shutil.which("perf"):
        sys.exit("perf was not found: install linux-perf (Debian) or linux-tools (Ubuntu)")
    from rerank import models, texts

    options = parse()
    root = Path(__file__).parents[1] / "build" / "bench"
    root.mkdir(parents=True, exist_ok=True)
    model = options.model or models.prepare("minilm-l6", {"torch"}, root) / "torch"
    pairs = root / "profile.json"
    prose = texts.Prose(texts.tokenizer_of(model))
    pairs.write_text(json.dumps(prose.pairs("msmarco", 2, 100)), "utf-8")
    columns = [shares(model, dtype, pairs, options.seconds) for dtype in options.dtype]
    print("| share of the time | " + " | ".join(options.dtype) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for kind, _ in KINDS:
        print(f"| {kind} | " + " | ".join(f"{column[kind]:.1%}" for column in columns) + " |")


if __name__ == "__main__":
    main()
