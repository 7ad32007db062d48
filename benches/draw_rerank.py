"""Charts of a measurement, as SVG, for the README.

    python benches/draw_rerank.py [JSON] [FOLDER]

Draws for each model `MODEL-throughput.svg` (pairs per second for each profile of lengths) and, of
MS-MARCO-like lengths, `MODEL-latency.svg` and `MODEL-cold.svg`; peers in grey, ours in colour.
"""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
OURS, PEERS = "#c2410c", "#94a3b8"
# Text and lines that can be read on a light and on a dark page.
INK = "#7d8590"
plt.rcParams.update(
    {
        "svg.fonttype": "none",
        # Same input, same file.
        "svg.hashsalt": "cherche-rs",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def bars(axes, values, unit, digits):
    """Draw one horizontal bar for each name."""
    names = list(values)
    colours = [OURS if name.startswith("cherche-rs") else PEERS for name in names]
    drawn = axes.barh(names, list(values.values()), color=colours)
    axes.bar_label(drawn, fmt=f"%.{digits}f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)


def chart(panels, unit, digits, path):
    """Draw panels (title -> name -> value) side by side."""
    rows = max(len(values) for values in panels.values())
    size = (1.8 + 3.4 * len(panels), 0.7 + 0.27 * rows)
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True)
    for at, (axes, (title, values)) in enumerate(zip(grid[0], panels.items(), strict=True)):
        bars(axes, values, unit, digits)
        axes.set_title(title, fontsize=9)
        if at:
            # The shared axis was turned by the first panel.
            axes.invert_yaxis()
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    print(path)


def medians(sides, of):
    """Return the median of `of(side)` for each side."""
    return {name: statistics.median(of(side)) for name, side in sides.items()}


def draw(cells, model, folder):
    """Draw the charts of one model."""
    panels = {}
    for cell in cells:
        pairs = cell["queries"] * cell["documents"]
        title = f"{cell['profile']}, mean {cell['tokens_mean']:.0f} tokens"
        seconds = medians(cell["throughput"]["sides"], lambda side: side["wall"])
        panels[title] = {name: pairs / value for name, value in seconds.items()}
    chart(panels, "pairs/s", 0, folder / f"{model}-throughput.svg")
    for cell in cells:
        if cell.get("latency"):
            panels = {
                f"1 query x {count} documents": medians(
                    sides, lambda side: [1000 * wall for wall in side["wall"]]
                )
                for count, sides in cell["latency"].items()
            }
            chart(panels, "ms, median", 0, folder / f"{model}-latency.svg")
        if "cold" in cell:
            seconds = medians(cell["cold"], lambda runs: [run["seconds"] for run in runs])
            title = "a process: import, load, 100 pairs"
            chart({title: seconds}, "seconds", 1, folder / f"{model}-cold.svg")


def main():
    """Draw every model of the file."""
    given = [Path(argument) for argument in sys.argv[1:]]
    file, folder = [*given, *[ROOT / "build/bench/rerank.json", ROOT / "docs/charts"][len(given) :]]
    cells = json.loads(file.read_text("utf-8"))["cells"]
    folder.mkdir(parents=True, exist_ok=True)
    for model in dict.fromkeys(cell["model"] for cell in cells):
        draw([cell for cell in cells if cell["model"] == model], model, folder)


if __name__ == "__main__":
    main()
