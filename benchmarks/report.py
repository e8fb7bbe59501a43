"""Tables and charts of a run: ``results.md``, ``results.json`` and PNG files in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import results, transport_charts, vector_charts
from benchmarks.charts import COLOURS, draw_bars, draw_lines, finish
from benchmarks.results import OURS, Record

CHARTED = ("likewise", "bm25s", "tantivy", "pisa-bmm", "lucene", "numpy", "cython")


def markdown(records: list[Record], machine: dict[str, Any]) -> str:
    """The whole run as Markdown: machine, bars, then every table."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    clock = " of the CPU time of the process" if machine.get("clock") == "cpu" else ""
    lines = [
        "# Benchmarks",
        "",
        f"{machine['date']}; {machine['processor']} ({machine['cpu_level']}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}; "
        f"load at the end {machine['load']}; {versions}.",
        "",
        "Made by `likewise bench`. Contestants of one table ran in the same process on one pinned thread, their rounds "
        f"interleaved at random; values are medians{clock}. A ratio above 1 means slower than likewise.",
        "",
        "## Bars",
        "",
        "| benchmark | workload | bar | reached |  |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        for bar in record.bars:
            figure = "not measured" if bar.figure is None else f"{bar.figure:.3g}"
            mark = {True: "yes", False: "**no**", None: ""}[bar.met]
            lines.append(f"| {record.group} | {record.workload} | {bar.text} | {figure} | {mark} |")
    for group in dict.fromkeys(record.group for record in records):
        lines += ["", f"## {group[0].upper()}{group[1:]}"]
        for record in records:
            if record.group == group:
                lines += ["", f"{record.workload}", "", *_table(record)]
    return "\n".join(lines) + "\n"


def _table(record: Record) -> list[str]:
    ours = record.row(OURS)
    lines = [f"| contestant | {record.unit} | best round | ratio | note |", "|---|---|---|---|---|"]
    for row in record.rows:
        ratio = f"{row.value / ours.value:.2f}" if ours and ours.value > 0 else ""
        best = f"{row.best:.4g}" if row.best is not None else ""
        lines.append(f"| {row.name} | {row.value:.4g} | {best} | {ratio} | {row.note} |")
    return lines


def charts(records: list[Record], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what there are records for; without matplotlib, nothing."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    drawn = [_queries_chart(records, machine, folder), _growth_chart(records, machine, folder)]
    drawn.append(_ratio_chart(records, machine, folder))
    drawn += vector_charts.draw(records, machine, folder)
    drawn += transport_charts.draw(records, machine, folder)
    drawn.append(_matrices_chart(records, machine, folder))
    drawn.append(_adversarial_chart(records, machine, folder))
    return [path for path in drawn if path is not None]


def _queries_chart(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    """Bars: microseconds of a query, one panel a corpus."""
    import matplotlib.pyplot as plt

    corpora = [name for name in dict.fromkeys(r.axes.get("corpus") for r in records if r.group == "queries")]
    corpora = [name for name in corpora if name and name.startswith(("debian", "synthetic"))]
    if not corpora:
        return None
    figure, panels = plt.subplots(1, len(corpora), figsize=(6.5 * len(corpora), 4.2), squeeze=False)
    for panel, corpus in zip(panels[0], corpora, strict=True):
        tables = [r for r in records if r.group == "queries" and r.axes.get("corpus") == corpus]
        labels = [f"{table.axes['setting']}\nk={table.axes['k']}" for table in tables]
        draw_bars(panel, tables, CHARTED, labels, "microseconds per query", corpus)
    panels[0][0].legend(fontsize=8, frameon=False, ncols=2)
    return finish(figure, machine, folder / "queries.png")


def _growth_chart(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    """Lines: microseconds of a query against the number of documents."""
    import matplotlib.pyplot as plt

    settings = list(dict.fromkeys(r.axes["setting"] for r in records if r.group == "growth"))
    if not settings:
        return None
    figure, panels = plt.subplots(1, len(settings), figsize=(5.5 * len(settings), 4.2), squeeze=False)
    for panel, setting in zip(panels[0], settings, strict=True):
        tables = [r for r in records if r.group == "growth" and r.axes["setting"] == setting]
        title = f"synthetic corpus, {setting} queries, k=10"
        draw_lines(panel, tables, CHARTED, "n_docs", ("documents", "microseconds per query"), title)
    panels[0][0].legend(fontsize=8, frameon=False)
    return finish(figure, machine, folder / "growth.png")


def _matrices_chart(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    """Lines: milliseconds against the size of a pair, decision alone and with the transform."""
    import matplotlib.pyplot as plt

    titles = {"matrices, decide": "decide", "matrices, transform": "decide, transform, check"}
    tables = {group: [r for r in records if r.group == group] for group in titles}
    if not all(tables.values()):
        return None
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.0))
    for panel, (group, title) in zip(panels, titles.items(), strict=True):
        names = ("likewise", "likewise, python", "passagemath")
        draw_lines(panel, tables[group], names, "size", ("n", "milliseconds"), title)
        panel.legend(fontsize=7, frameon=False)
    return finish(figure, machine, folder / "matrices.png")


def _adversarial_chart(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    """Lines: milliseconds of a step against the size of the vocabulary."""
    import matplotlib.pyplot as plt

    tables = [r for r in records if r.group == "adversarial step, growth"]
    if not tables:
        return None
    figure, panel = plt.subplots(figsize=(5.5, 4.0))
    names = ("likewise", "likewise, rows", "two plain passes", "table cloned")
    title = "a step of training on perturbed embeddings"
    draw_lines(panel, tables, names, "size", ("rows of the table", "milliseconds"), title)
    panel.legend(fontsize=7, frameon=False)
    return finish(figure, machine, folder / "adversarial.png")


def _ratio_chart(records: list[Record], machine: dict[str, Any], folder: Path) -> Path | None:
    """Horizontal bars: times faster than the fastest peer, with the bar to reach."""
    import matplotlib.pyplot as plt

    judged = [
        (record, bar)
        for record in records
        for bar in record.bars
        if bar.figure is not None and not bar.at_most and "x " in bar.text and "1 thread" not in bar.text
    ]
    if not judged:
        return None
    figure, panel = plt.subplots(figsize=(10, 0.2 * len(judged) + 1.2))
    places = list(range(len(judged)))[::-1]
    colours = [COLOURS["likewise"] if bar.met else COLOURS["pisa-bmw"] for _, bar in judged]
    panel.barh(places, [bar.figure or 0.0 for _, bar in judged], color=colours, height=0.7)
    for place, (_, bar) in zip(places, judged, strict=True):
        panel.plot([bar.needed] * 2, [place - 0.42, place + 0.42], color="black", linewidth=1.5)
    panel.axvline(1.0, color="#999999", linewidth=0.8)
    labels = [f"{record.group}: {record.workload}: {bar.text}" for record, bar in judged]
    panel.set_yticks(places, labels, fontsize=6)
    panel.set_ylim(-1, len(judged))
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    panel.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "2356" else "")
    panel.set_xlabel("times faster (black: the bar to reach)")
    panel.spines[["top", "right"]].set_visible(False)
    return finish(figure, machine, folder / "ratios.png")


def write(path: Path, folder: Path) -> list[Path]:
    """Tables and charts of the run recorded in ``path``, into ``folder``."""
    records, machine = results.load(path)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "results.md", folder / "results.json"]
    written[0].write_text(markdown(records, machine), encoding="utf-8")
    results.save(records, written[1], machine)
    return written + charts(records, machine, folder)


if __name__ == "__main__":
    import sys

    for written_path in write(Path(sys.argv[1]), Path(sys.argv[2])):
        print(written_path)
