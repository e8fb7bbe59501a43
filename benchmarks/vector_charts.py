"""Charts of the benchmarks of vectors: time of each contestant, and time and memory against size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.charts import draw_bars, draw_lines, finish
from benchmarks.results import Record

CONTESTANTS = (
    "likewise", "read", "numpy", "cython", "sklearn sparse", "sklearn gaussian",
    "sklearn PCA", "sklearn IncrementalPCA", "faiss PCAMatrix",
)  # fmt: skip

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


def draw(records: list[Record], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what there are records for."""
    drawn = [_times(name, groups, records, machine, folder) for name, groups in TIMES.items()]
    drawn.append(_growth(records, machine, folder))
    return [path for path in drawn if path is not None]


def _times(
    name: str,
    groups: dict[str, str],
    records: list[Record],
    machine: dict[str, Any],
    folder: Path,
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
        labels = [table.workload.replace(" -> ", "\n-> ").replace(", ", "\n") for table in tables]
        draw_bars(panel, tables, CONTESTANTS, labels, "milliseconds", title)
        panel.legend(fontsize=7, frameon=False, ncols=2)
    return finish(figure, machine, folder / name)


def _growth(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
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
        draw_lines(panel, tables, CONTESTANTS, "size", GROWTH[key])
        panel.legend(fontsize=7, frameon=False)
    return finish(figure, machine, folder / "vectors_growth.png")
