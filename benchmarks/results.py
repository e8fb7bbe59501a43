"""What a benchmark found: a table of contestants, ours against the fastest peer, and the bar it should reach."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS = "likewise"
REFERENCES = ("numpy", "cython")


@dataclass
class Row:
    """One contestant's figure; ``value`` is the median of the rounds where there are rounds."""

    name: str
    value: float
    best: float | None = None
    rounds: int | None = None
    note: str = ""


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
    bar : str
        The bar in words, empty where there is none.
    ratio, needed : float or None
        The figure that the bar speaks of and what it must reach.
    at_most : bool
        The ratio must stay below `needed` rather than reach it.
    axes : dict
        Where the record lies in a chart (``corpus``, ``setting``, ``k``, ``n_docs``).
    """

    group: str
    workload: str
    unit: str
    rows: list[Row]
    bar: str = ""
    ratio: float | None = None
    needed: float | None = None
    at_most: bool = False
    axes: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None without a bar or without a contestant to compare with."""
        if self.ratio is None or self.needed is None:
            return None
        return self.ratio <= self.needed if self.at_most else self.ratio >= self.needed

    def row(self, name: str) -> Row | None:
        """The row of a contestant, or None."""
        return next((row for row in self.rows if row.name == name), None)

    def fastest_peer(self) -> Row | None:
        """The peer with the smallest value; references are not peers."""
        peers = [row for row in self.rows if not row.name.startswith(OURS) and row.name not in REFERENCES]
        return min(peers, key=lambda row: row.value, default=None)

    def verdict(self) -> str:
        """The bar, the ratio reached and whether that is enough, in one line."""
        if not self.bar:
            return ""
        if self.ratio is None:
            return f"bar: {self.bar}: not measured"
        return f"bar: {self.bar}: {self.ratio:.3g} {'reached' if self.met else 'MISSED'}"


def lines(record: Record) -> Iterable[str]:
    """The record as text."""
    ours = record.row(OURS)
    yield f"{record.group}: {record.workload} ({record.unit})"
    for row in sorted(record.rows, key=lambda row: row.value):
        ratio = f"{row.value / ours.value:7.2f}x" if ours and ours.value > 0 else " " * 8
        best = f"  best {row.best:<10.4g}" if row.best is not None else ""
        rounds = f" of {row.rounds}" if row.rounds else ""
        yield f"  {row.name:<22} {row.value:>12.4g} {ratio}{best}{rounds}  {row.note}".rstrip()
    if record.bar:
        yield f"  {record.verdict()}"


def save(records: list[Record], path: Path, machine: dict[str, Any]) -> None:
    """Write records and machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "records": [asdict(record) | {"met": record.met} for record in records]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[list[Record], dict[str, Any]]:
    """Read what `save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    records = []
    for entry in content["records"]:
        entry.pop("met")
        entry["rows"] = [Row(**row) for row in entry["rows"]]
        records.append(Record(**entry))
    return records, content["machine"]
