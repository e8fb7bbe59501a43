"""Input that is refused, in words that name the argument; input that is large, small or shifted, and right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from likewise.transport import partial, sinkhorn, sinkhorn_divergence, unbalanced

X, Y = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.0], [2.5]])
A, B = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
COST = (X - Y.T) ** 2


def at(values: Any, position: Any, value: float) -> np.ndarray:
    changed = np.array(values, np.float64)
    changed[position] = value
    return changed


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"a": at(A, 1, -0.3)}, "a: expected weights >= 0, got -0.3 at position 1"),
    "NaN weight": ({"b": at(B, 2, math.nan)}, "b: expected finite values, got NaN at position 2"),
    "infinite weight": ({"a": at(A, 0, math.inf)}, "a: expected finite values, got infinity at position 0"),
    "no mass": ({"a": np.zeros(3)}, "a: expected weights of a positive, finite sum, got the sum 0.0"),
    "too much mass": ({"a": np.full(3, 1e308)}, "a: expected weights of a positive, finite sum, got the sum inf"),
    "masses": (
        {"b": 2 * B},
        r"b: expected the mass of a, 1.0, got 2.0 \[normalise both, or use unbalanced or partial\]",
    ),
    "masses, slightly": ({"b": B * (1 + 2e-9)}, "b: expected the mass of a, 1.0, got 1.000000002"),
    "float32 masses": ({"b": (B * (1 + 2e-5)).astype(np.float32)}, "b: expected the mass of a, 1.0, got 1.0000199"),
    "counts": ({"a": [5, 3, 2], "b": [4, 4, 3]}, "b: expected the mass of a, 10.0, got 11.0"),
    "too few weights": ({"a": A[:2]}, "a: expected 3 weights, one a point, got 2"),
    "no points": ({"cost": np.zeros((0, 3))}, "cost: expected at least 1 row"),
    "no points either": ({"cost": np.zeros((3, 0))}, "cost: expected at least 1 column"),
    "1-D cost": ({"cost": A}, "cost: expected a 2-D array"),
    "2-D weights": ({"a": A[None]}, "a: expected a 1-D array"),
    "shape": ({"cost": COST[:2]}, "a: expected 2 weights, one a point, got 3"),
    "both": ({"x": X, "y": Y}, "cost: expected either cost or x and y, got both"),
    "neither": ({"cost": None}, "cost: expected either cost or x and y, got neither"),
    "only x": ({"cost": None, "x": X}, "cost: expected either cost or x and y, got only x"),
    "1-D points": ({"cost": None, "x": X[:, 0], "y": Y}, "x: expected a 2-D array"),
    "dimensions": ({"cost": None, "x": X, "y": np.ones((3, 2))}, "y: expected 1 columns, as x has, got 2"),
    "NaN cost": ({"cost": at(COST, (1, 2), math.nan)}, "cost: expected finite values, got NaN at row 1, column 2"),
    "infinite cost": (
        {"cost": at(COST, (2, 0), -math.inf)},
        "cost: expected finite values, got -infinity at row 2, col",
    ),
    "NaN point": (
        {"cost": None, "x": at(X, (2, 0), math.nan), "y": Y},
        "x: expected finite values, got NaN at row 2, column 0",
    ),
    "no direction": (
        {"cost": None, "x": Y, "y": X, "metric": "cosine"},
        "y: expected rows that have a direction, got a row of zeros at row 0",
    ),
    "metric": (
        {"metric": "manhattan"},
        "metric: expected one of 'sqeuclidean', 'euclidean', 'cosine', got 'manhattan'",
    ),
    "epsilon 0": ({"epsilon": 0}, r"epsilon: expected a finite number > 0, got 0 \[for no entropy, use emd\]"),
    "epsilon < 0": ({"epsilon": -0.1}, "epsilon: expected a finite number > 0, got -0.1"),
    "epsilon NaN": ({"epsilon": math.nan}, "epsilon: expected a finite number, got nan"),
    "epsilon infinite": ({"epsilon": math.inf}, "epsilon: expected a finite number, got inf"),
    "scale": ({"epsilon_scale": "median"}, "epsilon_scale: expected one of 'mean', 'max', 'std', 'absolute'"),
    "mixed signs": (
        {"cost": COST - 10},
        r"epsilon_scale: expected costs whose mean is positive, got -7.65\d* \[use epsilon_scale='absolute'\]",
    ),
    "mean 0": (
        {"cost": [[1.0, -1], [-1, 1]], "a": None, "b": None},
        "epsilon_scale: expected costs whose mean is positive, got 0.0",
    ),
    "epsilon that vanishes": ({"cost": COST * 1e-300, "epsilon": 1e-100}, "epsilon: expected one that float64 holds"),
    "tol": ({"tol": 1e-15}, "tol: expected at least 1e-14, which is what float64 can verify, got 1e-15"),
    "tol 0": ({"tol": 0.0}, "tol: expected a finite number > 0, got 0.0"),
    "max_iter": ({"max_iter": -1}, "max_iter: expected an integer from 0"),
    "method": ({"method": "newton"}, "method: expected one of 'auto', 'log', 'kernel', 'sparse'"),
    "anderson": ({"anderson": -1}, "anderson: expected an integer from 0"),
    "on_failure": ({"on_failure": "ignore"}, "on_failure: expected one of 'warn', 'raise'"),
    "n_threads": ({"n_threads": 0}, "n_threads: expected an integer >= 1, got 0"),
    "init": ({"init": (A, B[:2])}, r"init: expected potentials of shapes \(3,\) and \(3,\), got \(3,\) and \(2,\)"),
    "NaN init": ({"init": (A, at(B, 1, math.nan))}, "init: expected finite values, got NaN at position 1"),
    "init that overflows": (
        {"init": (np.full(3, 1e6), np.zeros(3)), "max_iter": 0},
        "init: expected potentials whose plan float64 holds",
    ),
}
WRONG_KIND: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"cost": "0 1"}, "cost: expected an array of numbers, got str '0 1'"),
    "epsilon": ({"epsilon": "0.1"}, "epsilon: expected a finite number, got str '0.1'"),
    "bool": ({"max_iter": True}, "max_iter: expected an integer from 0"),
    "metric": ({"metric": None}, "metric: expected one of"),
    "init": ({"init": 3}, r"init: expected None, a pair \(f, g\) or a previous result, got int 3"),
    "weights": ({"a": ["x", "y", "z"]}, "a: expected an array of numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        sinkhorn(**{"a": A, "b": B, "cost": COST, **change})


@pytest.mark.parametrize("name", WRONG_KIND)
def test_wrong_kind(name: str) -> None:
    change, message = WRONG_KIND[name]
    with pytest.raises(TypeError, match=message):
        sinkhorn(**{"a": A, "b": B, "cost": COST, **change})


@pytest.mark.parametrize("name", ["negative", "no mass", "NaN cost", "neither", "no direction", "scale", "tol"])
def test_refused_by_the_variants(name: str) -> None:
    change, message = REFUSED[name]
    arguments = {"a": A, "b": B, "cost": COST, **change}
    for solver, more in ((unbalanced, {}), (partial, {"mass": 0.5, "epsilon": 0.1})):
        with pytest.raises(ValueError, match=message):
            solver(**{**more, **arguments})
    if name == "no direction":
        with pytest.raises(ValueError, match=message):
            sinkhorn_divergence(A, B, x=Y, y=X, metric="cosine")


# --- Sizes of costs ---


@pytest.mark.parametrize(
    "factor, dtype",
    [(1e300, np.float64), (1e-300, np.float64), (1e30, np.float32), (1e-30, np.float32), (1e8, np.float64)],
)
@pytest.mark.parametrize("method", ["auto", "log"])
def test_costs_of_any_size(factor: float, dtype: type, method: str) -> None:
    r = sinkhorn(A, B, (factor * COST).astype(dtype), epsilon=0.1, method=method, tol=1e-9)
    close = 1e-5 if dtype is np.float32 else 1e-6
    assert r.converged
    assert r.cost / factor == pytest.approx(0.856894494638, rel=close)
    assert r.regularised_cost / factor == pytest.approx(1.037482555594, rel=close)
    assert r.certificate.dual <= r.certificate.primal


@pytest.mark.parametrize("offset", [1e8, -1e8])
def test_costs_with_an_offset(offset: float) -> None:
    r = sinkhorn(A, B, COST + offset, epsilon=0.235, epsilon_scale="absolute", tol=1e-7)
    assert r.converged and r.cost - offset == pytest.approx(0.856894494638, abs=0.1)  # 1e-9 of the offset
    assert r.certificate.dual <= r.certificate.primal


def test_points_far_from_the_origin() -> None:
    r = sinkhorn(A, B, x=X + 1e6, y=Y + 1e6, epsilon=0.1, tol=1e-9)
    assert r.cost == pytest.approx(0.856894494638, rel=1e-6)
    r = sinkhorn(
        A, B, x=(4 * X + 2**20).astype(np.float32), y=(4 * Y + 2**20).astype(np.float32), epsilon=0.1, tol=1e-9
    )
    assert r.cost / 16 == pytest.approx(0.856894494638, rel=1e-6)


def test_points_so_far_apart_that_their_squares_overflow() -> None:
    with pytest.raises(ValueError, match="x, y: expected costs whose mean float64 holds, got inf"):
        sinkhorn(A, B, x=1e200 * X, y=Y)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-4, 1e4, 1e6])
@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
def test_epsilon_from_end_to_end(epsilon: float) -> None:
    r = sinkhorn(A, B, COST, epsilon=epsilon, max_iter=200)
    assert math.isfinite(r.cost) and np.isfinite(r.plan.dense()).all() and np.isfinite(r.f).all()
    assert r.certificate.dual <= r.certificate.primal and r.certificate.emd_lower <= 0.85 <= r.certificate.emd_upper
