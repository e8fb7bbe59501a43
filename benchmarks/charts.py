"""What the charts of all benchmarks share: colours, panels of bars and of lines, and how a figure is finished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.results import Record

# Okabe and Ito's palette: told apart by readers with any kind of colour vision. Only contestants of different charts
# share a colour.
COLOURS = {
    "likewise": "#0072B2",
    "bm25s": "#E69F00",
    "tantivy": "#009E73",
    "pisa-bmm": "#CC79A7",
    "pisa-bmw": "#D55E00",
    "pisa-maxscore": "#F0E442",
    "lucene": "#56B4E9",
    "read": "#56B4E9",
    "numpy": "#999999",
    "cython": "#000000",
    "sklearn sparse": "#E69F00",
    "sklearn gaussian": "#009E73",
    "sklearn PCA": "#009E73",
    "sklearn IncrementalPCA": "#E69F00",
    "faiss PCAMatrix": "#CC79A7",
    "passagemath": "#009E73",
    "likewise, python": "#56B4E9",
    "likewise, from points": "#56B4E9",
    "likewise, log": "#009E73",
    "likewise, kernel": "#CC79A7",
    "POT exp float32": "#E69F00",
    "POT exp float64": "#D55E00",
    "POT log float64": "#000000",
    "POT exp float32, torch": "#F0E442",
    "POT emd2, loop": "#999999",
    "POT": "#E69F00",
    "POT emd2": "#E69F00",
    "likewise, rows": "#56B4E9",
    "two plain passes": "#999999",
    "table cloned": "#E69F00",
}
HATCHES = {"numpy": "//", "cython": "\\\\"}
MARKERS = dict(zip(COLOURS, "osD^v<P.Xdxsv^DdPPXDsvx^d<ssx^", strict=True))


def draw_bars(
    panel: Any, tables: list[Record], contestants: Iterable[str], labels: list[str], unit: str, title: str
) -> None:
    """A group of bars a table, a bar a contestant; higher is slower."""
    contestants = [name for name in contestants if any(table.row(name) for table in tables)]
    width = 0.8 / len(contestants)
    for place, name in enumerate(contestants):
        rows = [table.row(name) for table in tables]
        panel.bar(
            [i + (place - (len(contestants) - 1) / 2) * width for i in range(len(tables))],
            [row.value if row else float("nan") for row in rows],
            width * 0.92,
            label=name,
            color=COLOURS[name],
            hatch=HATCHES.get(name, ""),
            edgecolor="white",
            linewidth=0.3,
        )
    panel.set_yscale("log")
    panel.set_xticks(range(len(tables)), labels, fontsize=7)
    panel.set_ylabel(unit)
    panel.set_title(f"{title}: less is better", fontsize=10)
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def draw_lines(
    panel: Any, tables: list[Record], contestants: Iterable[str], axis: str, labels: tuple[str, str], title: str = ""
) -> None:
    """A line a contestant against the number that tables hold in an axis; both scales are logarithmic."""
    for name in contestants:
        points = sorted((table.axes[axis], row.value) for table in tables if (row := table.row(name)))
        if points:
            panel.plot(*zip(*points, strict=True), marker=MARKERS[name], label=name, color=COLOURS[name], linewidth=1.6)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(labels[0])
    panel.set_ylabel(labels[1])
    panel.set_title(title, fontsize=10)
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def finish(figure: Any, machine: dict[str, Any], path: Path) -> Path:
    """Write a figure, with the machine and the date below it."""
    import matplotlib.pyplot as plt

    versions = machine["versions"]
    caption = f"{machine['processor']}, one pinned thread, {machine['date']}, likewise {versions.get('likewise', '')}"
    figure.text(0.01, 0.005, caption, fontsize=7, color="#555555")
    figure.tight_layout(rect=(0, 0.025, 1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
