"""Re-ranking on a CPU: ours and the peers in turn, on the same pairs, in one run.

    python benches/bench_rerank.py [--quick] [--throughput] [--model minilm-l6 ...]
                                   [--lengths msmarco ...] [--peers onnxruntime ...] [--json FILE]

Every implementation runs in a process of its own with two threads (`--threads`); peers at the batch
size, and ONNX Runtime and OpenVINO with one or several parallel lanes, that served them best.
Reported per model and profile of lengths: pairs per second and CPU time per pair, as medians over
rounds; ratios, as medians of the ratios within a round; the share of the rate that products alone
reach in the same run (`rerank/work.py` says what is counted); what a low precision does to the
order; latency; and a whole process from its start to 100 scores, with its memory.

`draw_rerank.py` makes charts of the JSON file.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1] / "build" / "bench"


def parse():
    """Return the options of the command line."""
    from rerank import engines, models, texts

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="MiniLM, msmarco, few pairs")
    parser.add_argument(
        "--throughput",
        action="store_true",
        help="leave out what takes long",
    )
    parser.add_argument("--model", nargs="+", choices=models.MODELS, help="default: all")
    parser.add_argument("--lengths", nargs="+", choices=texts.PROFILES, help="default: all")
    peers = [name for name in engines.ENGINES if name != "cherche-rs"]
    parser.add_argument("--peers", nargs="*", choices=peers, help="default: all")
    parser.add_argument("--threads", type=int, default=2, help="of each implementation")
    parser.add_argument("--json", type=Path, default=ROOT / "rerank.json")
    return parser.parse_args()


def processor():
    """Return what the machine calls its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def use_threads(count):
    """Tell libraries, before any of them asks, and the workers, which inherit it."""
    for variable in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(count)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"


def main():
    """Measure cell by cell; print each and write the JSON file when it is done."""
    options = parse()
    use_threads(options.threads)
    # Here and not above: the workers import this file again.
    from rerank import engines, measure, models, report, texts

    plan = measure.QUICK if options.quick else measure.Plan()
    if options.throughput:
        plan = replace(plan, latency=(), cold_starts=0, budget=plan.budget / 4)
    names = options.model or (["minilm-l6"] if options.quick else list(models.MODELS))
    profiles = options.lengths or (["msmarco"] if options.quick else list(texts.PROFILES))
    peers = list(engines.ENGINES) if options.peers is None else [*options.peers, "cherche-rs"]
    ROOT.mkdir(parents=True, exist_ok=True)
    found = {"processor": processor(), "cores": os.cpu_count(), "cells": []}
    print(f"{found['processor']}, {found['cores']} cores", flush=True)
    for name in names:
        for profile in profiles:
            start = time.perf_counter()
            sides = [side for side in engines.SIDES if side.engine in peers]
            cell = measure.Cell(name, profile, sides, options.threads, plan, ROOT).measure()
            found["cells"].append(cell)
            options.json.write_text(json.dumps(found, indent=1), "utf-8")
            print(f"\n{report.cell(cell, models.MODELS[name])}", flush=True)
            print(f"\n({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"\nwritten: {options.json}")


if __name__ == "__main__":
    main()
