"""One whole process: import, load, score; what it took is printed as JSON.

python -m rerank.cold SIDE FOLDER THREADS SETTINGS PAIRS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .engines import SIDES, Settings, Side, load
from .texts import Pair


def run(
    side: Side, folder: Path, threads: int, settings: Settings, pairs: Path
) -> dict[str, float]:
    """Start such a process.

    Returns
    -------
    dict
        ``seconds`` from its start to its end, as seen from here; ``cpu_seconds`` of it; ``load``,
        seconds of import and load; ``peak_rss``, bytes.
    """
    arguments = [side.name, str(folder), str(threads), json.dumps(settings), str(pairs)]
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "rerank.cold", *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{side.name}, cold start:\n{process.stderr}")
    return {"seconds": seconds, **json.loads(process.stdout.splitlines()[-1])}


def _inside(side: str, folder: str, threads: str, settings: str, pairs: str) -> dict[str, Any]:
    loaded: list[Pair] = [tuple(pair) for pair in json.loads(Path(pairs).read_text("utf-8"))]
    start = time.perf_counter()
    engine = load(next(s for s in SIDES if s.name == side), Path(folder), int(threads))
    ready = time.perf_counter()
    engine.score(loaded, json.loads(settings))
    times = os.times()
    return {
        "load": ready - start,
        "first_pairs": time.perf_counter() - ready,
        "cpu_seconds": times.user + times.system,
        "peak_rss": _peak_rss(),
    }


def _peak_rss() -> int:
    # Not getrusage: its maximum counts the process this one was forked from.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    print(json.dumps(_inside(*sys.argv[1:])), flush=True)
