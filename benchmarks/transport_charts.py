"""Charts of the benchmarks of transport: times of many small problems, time and memory against size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.charts import draw_bars, draw_lines, finish
from benchmarks.results import Record

CONTESTANTS = (
    "likewise", "likewise, from points", "likewise, log", "likewise, kernel", "POT exp float32", "POT exp float64",
    "POT log float64", "POT exp float32, torch", "POT emd2, loop", "POT", "POT emd2",
)  # fmt: skip
GROWTH = {  # a panel each: the group, the label of the axes, the title
    "transport, sinkhorn, growth": (("points a side", "milliseconds"), "Sinkhorn to 1e-6, epsilon 0.1"),
    "transport, batch growth": (("problems of 20 x 20", "milliseconds"), "sinkhorn_batch to 1e-6"),
    "transport, exact, growth": (("points a side", "milliseconds"), "emd"),
    "transport, sinkhorn, memory": (("points a side", "peak MiB beyond the inputs"), "memory of Sinkhorn"),
    "transport, exact, memory": (("points a side", "peak MiB beyond the inputs"), "memory of emd"),
}


def draw(records: list[Record], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what there are records for."""
    return [path for path in (_batch(records, machine, folder), _growth(records, machine, folder)) if path is not None]


def _batch(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    import matplotlib.pyplot as plt

    tables = [record for record in records if record.group == "transport, batch"]
    if not tables:
        return None
    figure, panel = plt.subplots(figsize=(8, 4.4))
    labels = [table.workload.replace(", ", "\n") for table in tables]
    draw_bars(panel, tables, CONTESTANTS, labels, "milliseconds", "many small problems")
    panel.legend(fontsize=7, frameon=False, ncols=2)
    return finish(figure, machine, folder / "transport_batch.png")


def _growth(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    import matplotlib.pyplot as plt

    found = {group: tables for group in GROWTH if (tables := [r for r in records if r.group == group])}
    if not found:
        return None
    figure, panels = plt.subplots(1, len(found), figsize=(4.2 * len(found), 4.0), squeeze=False)
    for panel, (group, tables) in zip(panels[0], found.items(), strict=True):
        labels, title = GROWTH[group]
        draw_lines(panel, tables, CONTESTANTS, "size", labels, title)
        panel.legend(fontsize=7, frameon=False)
    return finish(figure, machine, folder / "transport_growth.png")
