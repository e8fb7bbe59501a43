"""What the walls cost: validating the arrays of an index, waking the pool for a batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale, race
from benchmarks.results import OURS, Record, Row


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
def test_waking_two_threads(arena: Arena, scale: Scale, record: Callable[[Record], Record]) -> None:
    """A batch of two cheap queries, by one thread and by two: what two cost more is waking, or nothing was split."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    engine = arena.engine("likewise")
    assert engine is not None
    index: Any = engine.index  # type: ignore[attr-defined]
    index.search_batch(arena.corpus.query_words("short", 100), 10, n_threads=2)  # the pool exists
    queries = arena.corpus.query_words("short", 2)
    timings = race(
        [
            Contestant(OURS, lambda _: index.search_batch(queries, 10, n_threads=2), range(500)),
            Contestant("1 thread", lambda _: index.search_batch(queries, 10, n_threads=1), range(500)),
        ],
        rounds=scale.rounds * 2 + 1,
        budget=scale.budget,
        n_cores=2,
    )
    rows = [Row(t.name, t.median * 1e6, t.best * 1e6, len(t.rounds)) for t in timings.values()]
    difference = (timings[OURS].median - timings["1 thread"].median) * 1e6
    found = Record("pool", "2 queries, 2 threads", "us per call", rows)
    found.limit("waking <= 20 us", difference, 20.0)
    record(found)


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
@pytest.mark.parametrize("level", ["header", "full"])
def test_validation(arena: Arena, level: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    """One pass over arrays that are in memory, beside one sum over the same bytes by numpy."""
    from likewise import _core

    engine = arena.engine("likewise")
    assert engine is not None
    index: Any = engine.index  # type: ignore[attr-defined]
    arrays = dict(index._parts.arrays)
    options: dict[str, Any] = {
        "variant": "lucene",
        "k1": 1.2,
        "b": 0.75,
        "delta": 0.0,
        "nonoccurrence": True,
        "float64": False,
    }

    def sums(_: Any) -> list[Any]:
        return [array.sum() for array in arrays.values()]

    timings = race(
        [
            Contestant(OURS, lambda _: _core.search.Index.validate(arrays, **options, full=level == "full"), [None]),
            Contestant("numpy", sums, [None]),
        ],
        rounds=scale.rounds * 2 + 1,
        budget=scale.budget,
    )
    nbytes = sum(array.nbytes for array in arrays.values())
    rows = [
        Row(t.name, t.median * 1e3, t.best * 1e3, len(t.rounds), f"{nbytes / t.median / 1e9:.1f} GB/s")
        for t in timings.values()
    ]
    record(Record("validation", f"debian, {level}", "ms", rows))
