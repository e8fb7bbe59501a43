"""Peak memory of a fit, each contestant in a process of its own: it does not grow with the number of rows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from benchmarks.measure import Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

SHAPES = ["2048x768x768", "20480x768x768", "204800x768x768", "2048000x768x768"]


def test_memory(scale: Scale, record: Callable[[Record], Record]) -> None:
    peaks = []
    for shape in SHAPES[:2] if scale.quick else SHAPES:
        n, d, _ = map(int, shape.split("x"))
        table = []
        for engine in (OURS, "sklearn IncrementalPCA"):
            if engine != OURS and (importlib.util.find_spec("sklearn") is None or n > 100_000):
                continue  # minutes
            found = measure("whiten", engine, shape)
            table.append(Row(engine, found["peak"] / 1e6, note=f"{found['seconds']:.1f} s"))
        peaks.append(table[0].value)
        result = Record("whitening, memory", f"{n} x {d}, in chunks", "MB", table, axes={"size": n})
        # The chunk and its centred copy, three d x d matrices of float64, and the workspace of eigh.
        expected = (3 * 2048 * d * 4 + 8 * d * d * 8) / 1e6
        result.limit(f"<= 3 chunks + 8 d x d matrices ({expected:.0f} MB)", table[0].value, expected)
        if len(peaks) > 2:  # one chunk alone needs less: nothing is merged
            result.limit("<= 1.1x that of 20 480 rows", table[0].value / peaks[1], 1.1)
        record(result)
