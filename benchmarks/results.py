"""What a benchmark found: a table of contestants, ours against the fastest peer, and the bar it should reach."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS = "likewise"
REFERENCES = ("numpy", "cython", "read", "read, plain loop")


@dataclass
class Row:
    """One contestant's figure; ``value`` is the median of the rounds where there are rounds."""

    name: str
    value: float
    best: float | None = None
    rounds: int | None = None
    note: str = ""


@dataclass
class Bar:
    """What a benchmark should reach: a figure, and the value it must have at least (or at most)."""

    text: str
    figure: float | None
    needed: float
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None where there was nothing to compare with."""
        if self.figure is None:
            return None
        return self.figure <= self.needed if self.at_most else self.figure >= self.needed

    def verdict(self) -> str:
        """The bar, the figure and whether that is enough, in one line."""
        if self.figure is None:
            return f"bar: {self.text}: not measured"
        return f"bar: {self.text}: {self.figure:.3g} {'reached' if self.met else 'MISSED'}"


@dataclass
class Record:
    """One table.

    Attributes
    ----------
    group : str
        The benchmark, e.g. ``"queries"``.
    workload : str
        What was done, e.g. ``"debian, short, k=10"``.
    unit : str
        Of the values, e.g. ``"us per query"``.
    rows : list of Row
    bars : list of Bar
    axes : dict
        Where the record lies in a chart (``corpus``, ``setting``, ``k``, ``n_docs``).
    """

    group: str
    workload: str
    unit: str
    rows: list[Row]
    bars: list[Bar] = field(default_factory=list)
    axes: dict[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """The row of a contestant, or None."""
        return next((row for row in self.rows if row.name == name), None)

    def fastest_peer(self, among: Collection[str] | None = None) -> Row | None:
        """The peer with the smallest value; references are not peers."""
        peers = [
            row
            for row in self.rows
            if not row.name.startswith(OURS) and row.name not in REFERENCES and (among is None or row.name in among)
        ]
        return min(peers, key=lambda row: row.value, default=None)

    def compare(self, text: str, needed: float, against: str | Collection[str] | None = None) -> None:
        """Add the bar "so many times faster than": one contestant by name, or the fastest of several, or of all."""
        ours = self.row(OURS)
        other = self.row(against) if isinstance(against, str) else self.fastest_peer(against)
        figure = other.value / ours.value if ours and other else None
        self.bars.append(Bar(f"{text} ({other.name})" if other and other.name != against else text, figure, needed))

    def limit(self, text: str, figure: float, needed: float) -> None:
        """Add the bar "at most"."""
        self.bars.append(Bar(text, figure, needed, at_most=True))


def lines(record: Record) -> Iterable[str]:
    """The record as text."""
    ours = record.row(OURS)
    yield f"{record.group}: {record.workload} ({record.unit})"
    for row in sorted(record.rows, key=lambda row: row.value):
        ratio = f"{row.value / ours.value:7.2f}x" if ours and ours.value > 0 else " " * 8
        best = f"  best {row.best:<10.4g}" if row.best is not None else ""
        rounds = f" of {row.rounds}" if row.rounds else ""
        yield f"  {row.name:<22} {row.value:>12.4g} {ratio}{best}{rounds}  {row.note}".rstrip()
    for bar in record.bars:
        yield f"  {bar.verdict()}"


def save(records: list[Record], path: Path, machine: dict[str, Any]) -> None:
    """Write records and machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"machine": machine, "records": [asdict(record) for record in records]}
    for entry, record in zip(content["records"], records, strict=True):
        for bar_entry, bar in zip(entry["bars"], record.bars, strict=True):
            bar_entry["met"] = bar.met
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[list[Record], dict[str, Any]]:
    """Read what `save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    records = []
    for entry in content["records"]:
        entry["rows"] = [Row(**row) for row in entry["rows"]]
        for bar in entry["bars"]:
            bar.pop("met")
        entry["bars"] = [Bar(**bar) for bar in entry["bars"]]
        records.append(Record(**entry))
    return records, content["machine"]
