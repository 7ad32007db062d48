"""The tables of a measurement, in markdown."""

from __future__ import annotations

import statistics
from typing import Any

Cell = dict[str, Any]
_NAMES = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}


def is_ours(name: str) -> bool:
    """Whether a side is this project's."""
    return name.startswith("cherche-rs")


def operations(cell: Cell, name: str) -> float:
    """Operations of a pass: ours leaves out what the head never reads, peers do not."""
    return cell["needed_operations" if is_ours(name) else "plain_operations"]


def speedup(of: list[float], over: list[float]) -> float:
    """Median over rounds of how many times less time `of` took than `over`."""
    return statistics.median(b / a for a, b in zip(of, over, strict=True))


def rates_line(cell: Cell) -> str:
    """Say what products reach."""
    rates = cell["throughput"]["rates"]
    listed = ", ".join(f"{_NAMES[dtype]} {rate / 1e9:.0f}" for dtype, rate in rates.items())
    return f"Products (packed weights, M=1024), GFLOP per CPU-second and thread: {listed}."


def throughput(cell: Cell) -> str:
    """Pairs per second, ratios, CPU time, share of the products' rate."""
    sides = cell["throughput"]["sides"]
    pairs = cell["queries"] * cell["documents"]
    reference = sides.get("sentence-transformers fp32")
    ours = {side["dtype"]: side for name, side in sides.items() if is_ours(name)}
    rows = []
    for name, side in sides.items():
        wall, cpu = (statistics.median(side[key]) for key in ("wall", "cpu"))
        rate = cell["throughput"]["rates"].get(side["dtype"])
        work = operations(cell, name)
        own = None if is_ours(name) else ours.get(side["dtype"])
        rows.append(
            [
                name,
                f"{pairs / wall:.1f}",
                _times(speedup(side["wall"], reference["wall"]) if reference else None),
                _times(speedup(own["wall"], side["wall"]) if own else None),
                f"{1000 * cpu / pairs:.2f}",
                _times(speedup(own["cpu"], side["cpu"]) if own else None),
                _percent(work / wall / (rate * cell["threads"]) if rate else None),
                _percent(work / cpu / rate if rate else None),
                _settings(side["settings"]),
            ]
        )
    header = [
        "",
        "pairs/s",
        "x s-t",
        "ours is faster",
        "CPU ms/pair",
        "ours, in CPU",
        "of products, wall",
        "of products, CPU",
        "settings",
    ]
    return _table(header, rows)


def orders(cell: Cell) -> str:
    """What each precision does to scores and orders."""
    rows = [
        [
            name,
            f"{found['max']:.2g}",
            f"{found['mean']:.2g}",
            f"{found['tau']:.4f}",
            f"{found['top10']:.3f}",
            f"{found['correlation']:.4f}",
        ]
        for name, found in cell["orders"]["sides"].items()
    ]
    header = [
        f"{cell['orders']['queries']} x 100 pairs",
        "max diff.",
        "mean diff.",
        "Kendall tau",
        "top-10 overlap",
        "correlation",
    ]
    return _table(header, rows)


def latency(cell: Cell) -> str:
    """Milliseconds of one query with so many documents, warm."""
    blocks = []
    for documents, sides in cell["latency"].items():
        ours = sides.get("cherche-rs fp32")
        rows = []
        for name, side in sides.items():
            wall = sorted(side["wall"])
            p50, p99 = statistics.median(wall), wall[min(int(0.99 * len(wall)), len(wall) - 1)]
            rows.append(
                [
                    name,
                    f"{1000 * p50:.1f}",
                    f"{1000 * p99:.1f}",
                    f"{1000 * statistics.median(side['cpu']):.1f}",
                    _times(p50 / statistics.median(ours["wall"]) if ours else None),
                    _settings(side["settings"]),
                ]
            )
        header = [f"1 x {documents}", "p50 ms", "p99 ms", "CPU ms", "/ ours fp32", "settings"]
        blocks.append(_table(header, rows))
    return "\n\n".join(blocks)


def cold(cell: Cell) -> str:
    """A whole process, and its memory."""
    reference = cell["cold"].get("sentence-transformers fp32")
    rows = []
    for name, runs in cell["cold"].items():
        seconds, cpu, load, rss = (
            [run[key] for run in runs] for key in ("seconds", "cpu_seconds", "load", "peak_rss")
        )
        others = [run["seconds"] for run in reference] if reference else None
        rows.append(
            [
                name,
                f"{statistics.median(seconds):.2f}",
                f"{statistics.median(load):.2f}",
                f"{statistics.median(cpu):.2f}",
                _times(speedup(seconds, others) if others else None),
                f"{statistics.median(rss) / 2**20:.0f}",
            ]
        )
    header = ["process, 100 pairs", "s", "of it load", "CPU s", "x s-t", "peak RSS MiB"]
    return _table(header, rows)


def cell(found: Cell, title: str) -> str:
    """Everything about one model on one profile."""
    pairs = found["queries"] * found["documents"]
    parts = [
        f"### {title}: {found['profile']}",
        f"{found['queries']} queries x {found['documents']} documents = {pairs} pairs; tokens: "
        f"mean {found['tokens_mean']:.0f}, p95 {found['tokens_p95']:.0f}; GFLOP per pair: "
        f"{found['plain_operations'] / pairs / 1e9:.2f}, needed "
        f"{found['needed_operations'] / pairs / 1e9:.2f}; {found['threads']} threads; medians of "
        f"{found['plan']['rounds']} interleaved rounds. {rates_line(found)}",
        throughput(found),
    ]
    further = (("orders", orders), ("latency", latency), ("cold", cold))
    parts += [write(found) for key, write in further if found.get(key)]
    parts += [f"Not measured: {name}: {why}" for name, why in found["absent"].items()]
    return "\n\n".join(parts)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _settings(settings: dict[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
