"""Who solves transport exactly: ours, POT, scipy; each from the arrays that it takes without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arena import Arena
from benchmarks.transport.clouds import CLOUDS, squared_distances

Array = NDArray[np.float64]
Problem = tuple[Array, Array, Array]  # a, b, cost
POT = "pip install 'POT==0.9.7'"


def problem(n: int, cloud: str, weights: str) -> Problem:
    """Squared distances of two clouds of n points; weights uniform, or exponential ones normalised."""
    cost = squared_distances(*CLOUDS[cloud](n))
    rng = np.random.default_rng(n)
    a, b = rng.exponential(size=(2, n)) if weights == "any" else np.ones((2, n))
    return a / a.sum(), b / b.sum(), cost


def pot() -> Any:
    """POT, or None where it is not installed."""
    try:
        import ot
    except ImportError:
        Arena.missing["POT"] = POT
        return None
    return ot


def solvers(n: int, uniform: bool) -> dict[str, Callable[[Problem], float]]:
    """Contestants of one problem; each returns its cost."""
    from likewise.transport import emd

    found: dict[str, Callable[[Problem], float]] = {"likewise": lambda p: emd(*p).cost}
    if (ot := pot()) is not None:
        found["POT emd2"] = lambda p: float(ot.emd2(*p, numItermax=10**9))
    try:
        from scipy.optimize import linear_sum_assignment, linprog
        from scipy.sparse import eye_array, kron, vstack
    except ImportError:
        Arena.missing["scipy"] = "pip install scipy"
        return found
    if uniform:  # an assignment: another algorithm, which knows that all weights are equal

        def assign(p: Problem) -> float:
            rows, columns = linear_sum_assignment(p[2])
            return float(p[2][rows, columns].sum() / n)

        found["scipy assignment"] = assign
    if n <= 100:
        ones = np.ones((1, n))
        sums = vstack([kron(eye_array(n), ones), kron(ones, eye_array(n))]).tocsc()
        found["scipy linprog"] = lambda p: float(
            linprog(p[2].ravel(), A_eq=sums, b_eq=np.concatenate(p[:2]), method="highs").fun
        )
    return found


def emd_task(engine: str, shape: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """One exact problem of n points a side, G2: for the measurement of memory."""
    given = problem(int(shape), "G2", "uniform")
    solve = solvers(int(shape), uniform=False)[engine]
    solve(problem(8, "G2", "uniform"))  # what is loaded or made once does not count
    return lambda: solve(given), lambda result: {"cost_bytes": given[2].nbytes}
