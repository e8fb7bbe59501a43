"""What Python costs: a search above the call of the core, importing, starting the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Clock, Contestant, Scale, race
from benchmarks.results import OURS, Record, Row


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
def test_search_above_core(arena: Arena, scale: Scale, record: Callable[[Record], Record]) -> None:
    engine = arena.engine("likewise")
    assert engine is not None
    index: Any = engine.index  # type: ignore[attr-defined]
    core = index._parts.core
    queries = arena.corpus.query_words("short", scale.queries["short"])
    timings = race(
        [
            Contestant(OURS, lambda words: index.search(words, 10), queries),
            Contestant("core call", lambda words: core.search_tokens(words, -1.0, 10, False), queries),
        ],
        rounds=15,
        budget=scale.budget,
    )
    rows = [Row(t.name, t.median * 1e6, t.best * 1e6, len(t.rounds)) for t in timings.values()]
    difference = (timings[OURS].best - timings["core call"].best) * 1e6
    found = Record("overhead", "search(list) above the core call", "us per query", rows)
    found.limit("<= 4 us more", difference, 4.0)
    record(found)


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
def test_accepted_call(arena: Arena, scale: Scale, record: Callable[[Record], Record]) -> None:
    """A query that finds nothing: all that is left is the way through the walls."""
    engine = arena.engine("likewise")
    assert engine is not None
    index: Any = engine.index  # type: ignore[attr-defined]
    core, words = index._parts.core, ["zzzzunknownzzzz"]
    timings = race(
        [
            Contestant("public method", lambda _: index.search(words, 10), range(2000)),
            Contestant("binding", lambda _: core.search_tokens(words, -1.0, 10, False), range(2000)),
        ],
        rounds=15,
        budget=scale.budget,
    )
    rows = [Row(t.name, t.median * 1e6, t.best * 1e6, len(t.rounds)) for t in timings.values()]
    found = Record("overhead", "a query without a result", "us per call", rows)
    for name, needed in (("public method", 15.0), ("binding", 2.0)):
        found.limit(f"{name} <= {needed:g} us", timings[name].best * 1e6, needed)
    record(found)


def test_import(scale: Scale, record: Callable[[Record], Record], tmp_path: Path) -> None:
    """``import likewise`` beside ``import numpy``, in fresh processes, in turn.

    Importing loads the parts at their first use, so the bars are put to the import with all that a search needs.
    Both come from byte code, as pip installs them: a checkout under PYTHONDONTWRITEBYTECODE would be compiled anew by
    each process, numpy would not.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    programs = {
        "numpy": "import numpy",
        "likewise": "import likewise; likewise.search.Index; likewise.load",
        "likewise alone": "import likewise",
    }

    def seconds(program: str) -> float:
        clock = "process_time" if Clock.name == "cpu" else "perf_counter"
        program = f"from time import {clock} as now; t = now(); {program}; print(now() - t)"
        command = [sys.executable, "-c", program]
        out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return float(out.stdout)

    for program in programs.values():  # leaves the byte code
        seconds(program)
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(5 if scale.quick else 15):
        for name, times in found.items():
            times.append(seconds(programs[name]))
    rows = [Row(m, sorted(t)[len(t) // 2] * 1e3, min(t) * 1e3, len(t)) for m, t in found.items()]
    numpy_time, ours, _ = rows
    table = Record("import", "fresh process", "ms", rows)
    table.limit("<= 1.5x import numpy", ours.value / numpy_time.value, 1.5)
    table.limit("<= 60 ms over it", ours.value - numpy_time.value, 60.0)
    table.limit("<= 200 ms", ours.value, 200.0)
    record(table)


def test_version(scale: Scale, record: Callable[[Record], Record]) -> None:
    """``likewise --version`` from start to end."""
    import time

    times = []
    for _ in range(3 if scale.quick else 9):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "likewise", "--version"], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    row = Row(OURS, sorted(times)[len(times) // 2] * 1e3, min(times) * 1e3, len(times))
    found = Record("program", "likewise --version", "ms", [row])
    found.limit("<= 300 ms", row.value, 300.0)
    record(found)
