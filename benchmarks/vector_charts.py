"""Charts of the benchmarks of vectors: time of each contestant, and time and memory against size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Record

# Okabe and Ito's palette, as in `report`.
COLOURS = {
    "likewise": "#0072B2",
    "read": "#56B4E9",
    "numpy": "#999999",
    "cython": "#000000",
    "sklearn sparse": "#E69F00",
    "sklearn gaussian": "#009E73",
    "sklearn PCA": "#009E73",
    "sklearn IncrementalPCA": "#E69F00",
    "faiss PCAMatrix": "#CC79A7",
}
MARKERS = dict(zip(COLOURS, "o.xv^sDPd", strict=True))
Finish = Callable[[Any, dict[str, Any], Path], Path]

TIMES = {  # a file: the groups that it draws, a panel each
    "projection.png": {"projection": "random projection of dense rows", "projection, csr": "of CSR rows"},
    "whitening.png": {"whitening, fit": "fitting a whitening", "whitening, transform": "transforming"},
}
GROWTH = {  # a panel each: group, what varies, the label of the axes
    ("projection growth", "n"): ("rows of 768 columns", "milliseconds"),
    ("projection growth", "d"): ("columns of 256 rows", "milliseconds"),
    ("whitening growth", "n"): ("rows of 128 columns", "milliseconds"),
    ("projection, memory", None): ("rows of 768 columns", "peak MB, projection"),
    ("whitening, memory", None): ("rows of 768 columns", "peak MB, whitening"),
}


def draw(records: list[Record], machine: dict[str, Any], folder: Path, finish: Finish) -> list[Path]:
    """Draw what there are records for."""
    drawn = [_times(name, groups, records, machine, folder, finish) for name, groups in TIMES.items()]
    drawn.append(_growth(records, machine, folder, finish))
    return [path for path in drawn if path is not None]


def _times(
    name: str,
    groups: dict[str, str],
    records: list[Record],
    machine: dict[str, Any],
    folder: Path,
    finish: Finish,
) -> Path | None:
    import matplotlib.pyplot as plt

    groups = {group: title for group, title in groups.items() if any(r.group == group for r in records)}
    if not groups:
        return None
    widths = [sum(r.group == group for r in records) + 1 for group in groups]
    figure, panels = plt.subplots(
        1, len(groups), figsize=(max(8, 1.6 * sum(widths)), 4.4), squeeze=False, width_ratios=widths
    )
    for panel, (group, title) in zip(panels[0], groups.items(), strict=True):
        tables = [r for r in records if r.group == group]
        names = [contestant for contestant in COLOURS if any(table.row(contestant) for table in tables)]
        width = 0.8 / len(names)
        for place, contestant in enumerate(names):
            rows = [table.row(contestant) for table in tables]
            panel.bar(
                [i + (place - (len(names) - 1) / 2) * width for i in range(len(tables))],
                [row.value if row else float("nan") for row in rows],
                width * 0.92,
                label=contestant,
                color=COLOURS[contestant],
            )
        panel.set_yscale("log")
        labels = [table.workload.replace(" -> ", "\n-> ").replace(", ", "\n") for table in tables]
        panel.set_xticks(range(len(tables)), labels, fontsize=7)
        panel.set_ylabel("milliseconds")
        panel.set_title(f"{title}: less is better", fontsize=10)
        panel.grid(axis="y", alpha=0.3)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=7, frameon=False, ncols=2)
    return finish(figure, machine, folder / name)


def _growth(records: list[Record], machine: dict[str, Any], folder: Path, finish: Finish) -> Path | None:
    import matplotlib.pyplot as plt

    found = {
        (group, varies): tables
        for group, varies in GROWTH
        if (tables := [r for r in records if r.group == group and varies in (None, r.axes.get("varies"))])
    }
    if not found:
        return None
    figure, panels = plt.subplots(1, len(found), figsize=(4.2 * len(found), 4.0), squeeze=False)
    for panel, (key, tables) in zip(panels[0], found.items(), strict=True):
        for contestant, colour in COLOURS.items():
            points = sorted((t.axes["size"], row.value) for t in tables if (row := t.row(contestant)))
            if points:
                panel.plot(
                    *zip(*points, strict=True),
                    marker=MARKERS[contestant],
                    color=colour,
                    label=contestant,
                    linewidth=1.6,
                )
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel(GROWTH[key][0])
        panel.set_ylabel(GROWTH[key][1])
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=7, frameon=False)
    return finish(figure, machine, folder / "vectors_growth.png")
