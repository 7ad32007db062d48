"""From a cold process to the first score: ours and sentence-transformers, in turn, same model.

    python benches/bench_start.py [--rounds 5] [--model DIRECTORY]

Each figure is the median over fresh processes. The model is a MiniLM-L6 of real weights under a
random head, unless another directory is given.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"

MEASURE = """
import json, sys, time
start = time.perf_counter()
from {package} import CrossEncoder
imported = time.perf_counter()
model = CrossEncoder(sys.argv[1], {options})
loaded = time.perf_counter()
model.predict([("how many people live in Berlin?", "Berlin had 3.5 million inhabitants.")])
scored = time.perf_counter()
print(json.dumps([imported - start, loaded - imported, scored - loaded, scored - start]))
"""
SIDES = {
    "cherche_rs": MEASURE.format(package="cherche_rs", options=""),
    "sentence_transformers": MEASURE.format(
        package="sentence_transformers", options="device='cpu', model_kwargs={'dtype': 'float32'}"
    ),
}
STEPS = ("import", "load", "first score", "total")


def measure(code, model):
    """Return the seconds of each step in a fresh process."""
    run = subprocess.run(
        [sys.executable, "-c", code, model], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def main():
    """Measure both sides in turn, so that what else the machine does falls on both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            sys.path.insert(0, str(TESTS))
            from tiny_models.build import Zoo

            model = str(Zoo(Path(folder)).path("minilm-l6-random-head"))
        seconds = {side: [] for side in SIDES}
        for _ in range(options.rounds + 1):
            for side, code in SIDES.items():
                seconds[side].append(measure(code, model))
    # The first round warms the file cache.
    medians = {
        side: [statistics.median(step) for step in zip(*rounds[1:], strict=True)]
        for side, rounds in seconds.items()
    }
    print(f"{'':12}{'cherche_rs':>14}{'sentence-transformers':>24}{'ratio':>8}")
    for step, ours, theirs in zip(STEPS, *medians.values(), strict=True):
        print(f"{step:12}{ours:12.3f} s{theirs:22.3f} s{theirs / ours:7.1f}x")


if __name__ == "__main__":
    main()
