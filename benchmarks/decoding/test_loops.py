"""Loops of tokens, found after each one: ours, and the scan of all periods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.measure import Contestant, Scale
from benchmarks.references.decoding_scan import find_period
from benchmarks.results import OURS, Record
from likewise.decoding import LoopDetector

SCAN = "scan of all periods"


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize("max_period", [64, 256, 1024])
def test_loops(
    max_period: int, batch_size: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    rng, n_steps = np.random.default_rng(0), 200 if scale.quick else 500
    tokens = rng.integers(0, 50_000, (4 * max_period + n_steps, batch_size))
    detector = LoopDetector(max_period, repeats=4, min_len=2, batch_size=batch_size)
    lists = [column.tolist() for column in tokens[: 4 * max_period].T]
    for row in tokens[: 4 * max_period]:
        detector.push(row)
    looping = np.tile(tokens[:7, :1], (8, 1))  # both find it
    ours = LoopDetector(max_period, repeats=4, min_len=2)
    found_by_us = [int(ours.push(token)[0]) for token in looping]
    assert found_by_us == [find_period(looping[: i + 1, 0].tolist(), max_period, 4) for i in range(len(looping))]

    def scan(row: Any) -> None:
        for history, token in zip(lists, row.tolist(), strict=True):
            history[-1] = token  # appended, the few rows that are shown again and again would become a loop
            find_period(history, max_period, 4)

    steps = list(tokens[4 * max_period :])
    found = contest(
        "loop detector",
        f"max_period {max_period}, {batch_size} sequence{'s' if batch_size > 1 else ''}",
        [Contestant(OURS, detector.push, steps), Contestant(SCAN, scan, steps[:10])],
        unit="ns a token",
        factor=1e9 / batch_size,
    )
    ours_row = found.row(OURS)
    if (max_period, batch_size) == (256, 64) and ours_row is not None:
        found.limit("<= 80 ns a token", ours_row.value, 80)
        found.compare(">= 500x the scan", 500, SCAN)
    record(found)
