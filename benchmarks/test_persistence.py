"""Opening and saving an index, beside safetensors and numpy with the same arrays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.corpora import cache_folder
from benchmarks.measure import Contestant, Scale, Timing, race
from benchmarks.memory import measure
from benchmarks.results import OURS, Bar, Record, Row
from benchmarks.search.test_memory import folder_size, saved_indexes

ROUNDS = 7


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # 2.5 M documents are 500 MB, the size that the bars speak of.
    sizes = ["100k"] if metafunc.config.getoption("--quick") else ["1M", "synthetic-2500000"]
    if metafunc.config.getoption("--five-million"):
        sizes.append("5M")
    metafunc.parametrize("arena", sizes, indirect=True)


class Saved:
    """The same arrays as an index of ours, a safetensors file and npy files."""

    def __init__(self, arena: Arena) -> None:
        from likewise.search.storage import open_index

        self.path = Path(saved_indexes(arena, peers=())[OURS])
        self.arrays = dict(open_index(str(self.path)).arrays)
        self.nbytes = sum(array.nbytes for array in self.arrays.values())
        self.folder = cache_folder() / arena.corpus.name / "npy"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, array in self.arrays.items():
            np.save(self.folder / f"{name}.npy", array)
        self.safetensors = self.folder.parent / "arrays.safetensors"


@pytest.fixture
def saved(arena: Arena) -> Iterator[Saved]:
    kept: Saved = arena.keep("persistence", lambda: Saved(arena))
    yield kept


def table(group: str, workload: str, timings: dict[str, Timing]) -> Record:
    """A record of times in milliseconds."""
    rows = [Row(t.name, t.median * 1e3, t.best * 1e3, len(t.rounds)) for t in timings.values()]
    return Record(group, workload, "ms", rows)


def test_open(arena: Arena, saved: Saved, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Warm: every page of the files has been read before."""
    from likewise import _core
    from likewise.search import Index
    from likewise.search.storage import open_index

    path, paths = str(saved.path), sorted(saved.folder.iterdir())
    level: dict[str, Callable[[Any], Any]] = {
        "likewise": lambda _: Index.open(path),
        "likewise, header": lambda _: Index.open(path, verify="header"),
        "np.load, mapped": lambda _: [np.load(p, mmap_mode="r") for p in paths],
        "np.load": lambda _: [np.load(p) for p in paths],
    }

    def scan_terms(_: Any) -> object:
        found = {p.stem: np.load(p, mmap_mode="r") for p in paths}
        return _core.search.StringTable(*(found[f"term_{name}"] for name in ("offsets", "bytes", "slots")), "term")

    level["np.load, mapped, terms scanned"] = scan_terms
    # As "likewise", but for the structure: both map the file anew and pay for its pages.
    level["digests alone"] = lambda _: open_index(path)
    try:
        from safetensors.numpy import load_file, save_file

        if not saved.safetensors.exists():
            save_file({name: np.ascontiguousarray(array) for name, array in saved.arrays.items()}, saved.safetensors)
        level["safetensors"] = lambda _: load_file(saved.safetensors)
    except ImportError:
        pass
    timings = race([Contestant(name, call, [None]) for name, call in level.items()], rounds=ROUNDS, budget=120)
    size = folder_size(saved.path)
    found = table("open", arena.corpus.name, timings)
    found.compare(">= 5x safetensors.numpy.load_file", 5.0, "safetensors")
    speed = size / timings[OURS].median / 1e9
    found.bars.append(Bar(f">= 10 GB/s, full verification of {size / 1e6:.0f} MB", speed, 10.0))
    found.limit("<= 1.5x the digests alone", timings[OURS].median / timings["digests alone"].median, 1.5)
    header = timings["likewise, header"].median
    found.limit("header level <= 5 ms", header * 1e3, 5.0)
    mapped = timings["np.load, mapped"].median
    scan = timings["np.load, mapped, terms scanned"].median - mapped
    found.limit("header level less its scan of the terms <= 2x mapped np.load", (header - scan) / mapped, 2.0)
    record(found)


def test_first_query(arena: Arena, saved: Saved, record: Callable[[Record], Record]) -> None:
    """The first query after opening derives what its terms need."""
    from likewise.search import Index

    rows = []
    for setting in arena.corpus.queries:
        words = arena.corpus.query_words(setting, 1)[0]
        first: list[float] = []
        second: list[float] = []
        for _ in range(5):
            index = Index.open(str(saved.path), verify="header")
            for times in (first, second):
                started = time.perf_counter()
                index.search(words, 10)
                times.append(time.perf_counter() - started)
        rows.append(Row(f"first, {setting}", sorted(first)[2] * 1e3, min(first) * 1e3, 5))
        rows.append(Row(f"second, {setting}", sorted(second)[2] * 1e3, min(second) * 1e3, 5))
    record(Record("first query after opening", arena.corpus.name, "ms", rows))


def test_private_memory(arena: Arena, saved: Saved, record: Callable[[Record], Record]) -> None:
    for level in ("full", "header"):
        found = measure("open", level, arena.corpus.name)
        row = Row(OURS, found["private"] / 1e6, note=f"{found['grown'] / 1e6:.1f} MB resident, maps included")
        private = Record("open, private memory", f"{arena.corpus.name}, {level}", "MB", [row])
        private.limit("<= 5 MB", row.value, 5.0)
        record(private)


def test_program(arena: Arena, saved: Saved, scale: Scale, record: Callable[[Record], Record]) -> None:
    """``likewise search`` from start to first result, with the whole check of the file and without."""
    words = arena.corpus.query_words("short", 1)[0]
    rows = []
    for name, options in (("likewise", ["--trust"]), ("likewise, full check", [])):
        command = [sys.executable, "-m", "likewise", "search", str(saved.path), " ".join(words), *options]
        times = []
        for _ in range(3 if scale.quick else ROUNDS):
            started = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        rows.append(Row(name, sorted(times)[len(times) // 2] * 1e3, min(times) * 1e3, len(times)))
    found = Record("program", f"likewise search, {arena.corpus.name}", "ms", rows)
    found.limit(f"--trust <= 500 ms, {folder_size(saved.path) / 1e6:.0f} MB", rows[0].value, 500.0)
    record(found)


def test_save(arena: Arena, saved: Saved, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Digests and fsync included, against np.save and fsync of the same bytes."""
    engine = arena.engine("likewise")
    assert engine is not None
    index: Any = engine.index  # type: ignore[attr-defined]
    folder = cache_folder() / arena.corpus.name
    target, plain = folder / "saved.lw", folder / "saved"

    def save(_: Any) -> None:
        shutil.rmtree(target, ignore_errors=True)
        index.save(str(target))

    def save_npy(_: Any) -> None:
        shutil.rmtree(plain, ignore_errors=True)
        plain.mkdir()
        for name, array in saved.arrays.items():
            with (plain / f"{name}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())

    timings = race(
        [Contestant(OURS, save, [None]), Contestant("np.save + fsync", save_npy, [None])],
        rounds=3 if scale.quick else ROUNDS,
        budget=90,
        clock=time.perf_counter,
    )
    ratio = timings[OURS].median / timings["np.save + fsync"].median
    found = table("save", arena.corpus.name, timings)
    found.limit("<= 1.3x np.save + fsync", ratio, 1.3)
    record(found)
    for path in (target, plain):
        shutil.rmtree(path, ignore_errors=True)
