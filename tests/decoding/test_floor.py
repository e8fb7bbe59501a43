"""The termination floor: the numbers of its table, budgets, and the bound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import likewise as lw
from likewise.decoding import TerminationFloor, survival_bound


@pytest.mark.parametrize(
    ("epsilon", "greedy", "billionth", "half"),
    [(1e-2, 69, 64, 12), (1e-3, 693, 204, 37), (1e-4, 6932, 644, 118), (1e-5, 69315, 2036, 372)],
)
def test_the_table(epsilon: float, greedy: int, billionth: int, half: int) -> None:
    for start in (0, 7):
        floor = TerminationFloor(epsilon, start=start)
        assert floor.greedy_stop() == start + greedy
        assert floor.quantile(1e-9) == start + billionth
        assert floor.quantile(0.5) == start + half


def test_values_and_the_bound() -> None:
    floor = TerminationFloor(0.1, start=3)
    assert [floor.value(step) for step in range(3)] == [0, 0, 0]
    assert [floor.value(step) for step in (3, 4, 5)] == pytest.approx([0.1, 0.19, 0.271], rel=1e-15)
    assert survival_bound(0.01, 64) == pytest.approx(8.3407e-10, rel=1e-5)
    assert survival_bound(0.01, 63) == pytest.approx(1.5869e-9, rel=1e-4)
    assert survival_bound(0.01, [[64, 0]])[0] == pytest.approx([8.3407e-10, 1.0], rel=1e-5)
    assert survival_bound(0.5, 10**9) == 0.0 and survival_bound(1e-12, 0) == 1.0


def test_budgets() -> None:
    for_budget = TerminationFloor.for_budget
    assert for_budget(512, 1e-9, start=0).epsilon == pytest.approx(1.57785e-4, rel=1e-5)
    assert for_budget(512, 1e-9, start=0).greedy_stop() == 4393
    assert for_budget(512, 1e-9) == for_budget(512, 1e-9, start=256)
    assert for_budget(512, 1e-9).epsilon == pytest.approx(6.29765e-4, rel=1e-5)
    assert for_budget(512, decoding="greedy", start=0).epsilon == pytest.approx(1.35289e-3, rel=1e-5)
    assert for_budget(8, masked_eos="skip").masked_eos == "skip"
    assert lw.decoding.TerminationFloor is TerminationFloor


@given(st.integers(1, 5000), st.floats(1e-15, 1 - 1e-9), st.data())
def test_a_budget_is_kept(budget: int, delta: float, data: Any) -> None:
    start = data.draw(st.integers(0, budget - 1))
    floor = TerminationFloor.for_budget(budget, delta, start=start)
    assert survival_bound(floor.epsilon, budget - start) <= delta
    greedy = TerminationFloor.for_budget(budget, start=start, decoding="greedy")
    assert greedy.value(budget - 1) >= 0.5 and greedy.greedy_stop() <= budget


@given(st.floats(1e-9, 0.999), st.integers(0, 50))
def test_greedy_stop_is_where_the_floor_reaches_a_half(epsilon: float, start: int) -> None:
    floor = TerminationFloor(epsilon, start=start)
    last = floor.greedy_stop() - 1  # step of the last token
    assert floor.value(last) >= 0.5 and (last == start or floor.value(last - 1) < 0.5)
    n = math.ceil(math.log(2) / -math.log1p(-epsilon))
    assert abs(floor.greedy_stop() - start - n) <= 1  # n* where rounding does not decide


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: TerminationFloor(0), ValueError, "epsilon: expected"),
        (lambda: TerminationFloor(1.0), ValueError, "epsilon: expected a number > 0 and < 1, got float 1.0"),
        (lambda: TerminationFloor(float("nan")), ValueError, "epsilon: expected"),
        (lambda: TerminationFloor("0.1"), TypeError, "epsilon: expected"),
        (lambda: TerminationFloor(0.1, start=-1), ValueError, "start: expected"),
        (lambda: TerminationFloor(0.1, start=True), TypeError, "start: expected"),
        (lambda: TerminationFloor(0.1, masked_eos="warn"), ValueError, "masked_eos: expected one of"),
        (lambda: TerminationFloor.for_budget(0), ValueError, "max_new_tokens: expected"),
        (lambda: TerminationFloor.for_budget(8, delta=0.0), ValueError, "delta: expected"),
        (lambda: TerminationFloor.for_budget(8, delta=1.0), ValueError, "delta: expected"),
        (
            lambda: TerminationFloor.for_budget(8, start=8),
            ValueError,
            "start: expected an integer below max_new_tokens=8, got 8",
        ),
        (lambda: TerminationFloor.for_budget(8, decoding="beam"), ValueError, "decoding: expected one of"),
        (lambda: TerminationFloor(0.1).value(-1), ValueError, "step: expected"),
        (lambda: TerminationFloor(0.1).quantile(2.0), ValueError, "delta: expected"),
        (lambda: survival_bound(0.1, -1), ValueError, "n: expected"),
        (lambda: survival_bound(0.1, [1, -1]), ValueError, "n: expected integers >= 0, got -1"),
        (lambda: survival_bound(0.1, 1.5), TypeError, "n: expected"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match="^" + text.replace("(", r"\(")):
        call()
    assert np.ndim(survival_bound(0.5, np.int64(3))) == 0
