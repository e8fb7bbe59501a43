"""The loop detector: hand-checked loops, brute force on random strings, rows that come, go and change places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.decoding import LoopDetector


def periods(tokens: Sequence[int], **sizes: int) -> list[int]:
    detector = LoopDetector(**sizes)
    return [int(detector.push([token])[0]) for token in tokens]


def brute(tokens: Sequence[int], max_period: int, repeats: int, min_len: int) -> list[int]:
    found = []
    for end in range(1, len(tokens) + 1):
        period = 0
        for p in range(1, max_period + 1):
            n = max(repeats * p, min_len)
            window = tokens[end - n : end] if n <= end else None
            if window is not None and all(window[i] == window[i - p] for i in range(p, n)):
                period = p
                break
        found.append(period)
    return found


@pytest.mark.parametrize(
    ("tokens", "min_len", "index", "period"),
    [
        ([5, *[1, 2] * 20], 8, 8, 2),
        ([5, *[1, 2] * 20], 16, 16, 2),
        ([7] * 30, 16, 15, 1),
        ([7] * 30, 4, 3, 1),
        ([1, 2, 3] * 10, 16, 15, 3),
        ([1, 2, 3] * 10, 5, 11, 3),
    ],
)
def test_loops_by_hand(tokens: list[int], min_len: int, index: int, period: int) -> None:
    found = periods(tokens, repeats=4, min_len=min_len)
    assert found[:index] == [0] * index and found[index] == period


@given(st.data())
def test_brute_force(data: Any) -> None:
    n_letters = data.draw(st.integers(1, 3))
    tokens = data.draw(st.lists(st.integers(0, n_letters - 1), max_size=120))
    sizes = dict(
        max_period=data.draw(st.integers(1, 40)),
        repeats=data.draw(st.integers(2, 5)),
        min_len=data.draw(st.integers(2, 20)),
    )
    assert periods(tokens, **sizes) == brute(tokens, **sizes)


@pytest.mark.parametrize("period", [1, 15, 16, 17, 63, 64, 100, 255, 256])
def test_long_periods(period: int) -> None:
    rng = np.random.default_rng(period)
    tokens = [*rng.integers(0, 50_000, 300).tolist(), *np.tile(rng.permutation(50_000)[:period], 5).tolist()]
    found = periods(tokens, max_period=256, repeats=4, min_len=16)
    first = 300 + max(4 * period, 16) - 1 if period > 4 else None
    if first is not None:
        assert found[first] == period and not any(found[:first])
    assert brute(tokens[-60:], 20, 4, 16) == periods(tokens[-60:], max_period=20, repeats=4, min_len=16)
    assert periods(tokens, max_period=period, repeats=4, min_len=16)[-1] == (period if period > 4 else found[-1])


def test_rows_are_apart() -> None:
    rng = np.random.default_rng(0)
    tokens, active = rng.integers(0, 2, (200, 5)), rng.random((200, 5)) < 0.7
    together = LoopDetector(8, 3, 4, batch_size=5)
    apart = [LoopDetector(8, 3, 4) for _ in range(5)]
    for step in range(200):
        found = together.push(tokens[step], active[step])
        for row in range(5):
            expected = int(apart[row].push([tokens[step, row]])[0]) if active[step, row] else 0
            assert found[row] == expected


def test_reset_and_reorder() -> None:
    detector = LoopDetector(4, 2, 2, batch_size=3)
    for token in ([1, 5, 1], [2, 5, 2], [1, 5, 3]):
        detector.push(token)
    detector.reorder([1, 1, 0, 2])
    assert detector.batch_size == 4
    assert detector.push([5, 6, 2, 3]).tolist() == [1, 0, 2, 1]
    detector.reset([0, 2])
    assert detector.push([5, 6, 2, 3]).tolist() == [0, 1, 0, 1]
    detector.reset()
    assert detector.push([5, 6, 2, 3]).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LoopDetector(0), ValueError, "max_period: expected"),
        (lambda: LoopDetector(repeats=1), ValueError, "repeats: expected"),
        (lambda: LoopDetector(min_len=1), ValueError, "min_len: expected"),
        (lambda: LoopDetector(batch_size=0), ValueError, "batch_size: expected"),
        (lambda: LoopDetector(2**20, repeats=2**20), ValueError, "repeats: expected"),
        (lambda: LoopDetector(1.5), TypeError, "max_period: expected"),
        (lambda: LoopDetector().push([2**31]), ValueError, "tokens: expected integers that fit int32, got 2147483648"),
        (lambda: LoopDetector().push([-(2**31) - 1]), ValueError, "tokens: expected"),
        (lambda: LoopDetector().push([1, 2]), ValueError, "tokens: expected 1 tokens"),
        (lambda: LoopDetector().push([1.0]), TypeError, "tokens: expected"),
        (lambda: LoopDetector().push([1], active=[1]), TypeError, "active: expected an array of bool"),
        (lambda: LoopDetector().push([1], active=[True, False]), ValueError, "active: expected shape"),
        (lambda: LoopDetector().reset([1]), ValueError, "rows: expected"),
        (lambda: LoopDetector().reorder([-1]), ValueError, "index: expected"),
        (lambda: LoopDetector().reorder([]), ValueError, "index: expected at least one"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}"):
        call()


def test_extreme_tokens_are_tokens() -> None:
    assert periods([-(2**31)] * 4, repeats=2, min_len=2) == [0, 1, 1, 1]
    assert periods([2**31 - 1, 0, 0], repeats=2, min_len=2) == [0, 0, 1]
