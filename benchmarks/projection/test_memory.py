"""Peak memory of a projection, each contestant in a process of its own, over three decades of rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.measure import Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

from .contestants import sklearn_projections

SHAPES = ["100x768x256", "1000x768x256", "10000x768x256", "100000x768x256"]


@pytest.mark.parametrize("shape", SHAPES)
def test_memory(shape: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    if scale.quick and shape == SHAPES[-1]:
        pytest.skip("a whole run measures it")
    table = []
    for engine in (OURS, "numpy", *sklearn_projections(8)):
        found = measure("project", engine, shape)
        beyond = found["peak"] - found["output"]
        table.append(Row(engine, found["peak"] / 1e6, note=f"{beyond / 1e6:.2f} MB beyond the result"))
        if engine == OURS:
            extra = beyond
    n = int(shape.split("x")[0])
    result = Record("projection, memory", shape.replace("x", " x "), "MB", table, axes={"size": n})
    result.limit("<= output + 1 MiB", extra / 2**20, 1.0)
    record(result)
