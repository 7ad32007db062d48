"""Print the parity table of the README: every model directory, its family, the largest difference.

Run from the root of the repository: ``python tests/comparison/report.py [--full]``. Without
``--full`` one line per family and form that runs, with it one line per directory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import transformers
from comparison import reference
from comparison.samples import pairs_for
from tiny_models.build import Zoo
from tiny_models.catalog import SPECS

import cherche_rs


def difference(folder: Path, name: str) -> tuple[float, float, int]:
    """Largest difference in a logit, the spread of the logits, and how many were compared."""
    pairs = pairs_for(name)
    expected = reference.logits(reference.load(folder), pairs)
    ours = cherche_rs.CrossEncoder(folder, device="cpu")
    actual = ours.predict(pairs, activation_fn=torch.nn.Identity())
    return float(np.abs(actual - expected).max()), float(expected.std()), expected.size


def full_table(results: dict) -> list[str]:
    lines = [
        "| model directory | family | layers | form | labels | logits | spread | max difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (worst, spread, count) in results.items():
        spec = SPECS[name]
        form = ", ".join(spec.forms) or ("no tokenizer.json" if spec.tokenizer_source else "")
        labels = spec.config.get("num_labels", 1)
        lines.append(
            f"| {name} | {spec.family} | {spec.layers} | {form} | {labels} | {count} "
            f"| {spread:.1f} | {worst:.1e} |"
        )
    return lines


def family_table(results: dict) -> list[str]:
    lines = [
        "| family | models on the hub | directories | logits compared | max difference |",
        "|---|---|---|---|---|",
    ]
    for family in dict.fromkeys(SPECS[name].family for name in results):
        names = [name for name in results if SPECS[name].family == family]
        hub = "; ".join(dict.fromkeys(SPECS[n].hub for n in names if SPECS[n].hub))
        shallow = [results[n][0] for n in names if SPECS[n].layers < 12]
        deep = [results[n][0] for n in names if SPECS[n].layers >= 12]
        worst = f"{max(shallow):.1e}" + (f" ({max(deep):.1e} at 12 layers)" if deep else "")
        count = sum(results[n][2] for n in names)
        lines.append(f"| {family} | {hub} | {len(names)} | {count} | {worst} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="one line per directory")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        zoo = Zoo(Path(folder))
        results = {name: difference(zoo.path(name), name) for name in SPECS}
    print("\n".join((full_table if options.full else family_table)(results)))
    return int(any(worst > SPECS[name].tolerance for name, (worst, _, _) in results.items()))


if __name__ == "__main__":
    sys.exit(main())
