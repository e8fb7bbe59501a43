"""What is to be transported at which cost: the ground cost, the strength of the entropy, when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import (
    check_array,
    check_choice,
    check_n_threads,
    check_scalar_float,
    check_scalar_int,
    check_size,
    describe,
)
from .marginals import Vector

__all__ = [
    "GroundCost",
    "Problem",
    "Settings",
    "check_directions",
    "check_epsilon",
    "check_ground_cost",
    "check_settings",
    "check_sources",
    "check_start",
    "check_strength",
    "scaled_epsilon",
]

METRICS = ("sqeuclidean", "euclidean", "cosine")
EPSILON_SCALES = ("mean", "max", "std", "absolute")
METHODS = ("auto", "log", "kernel", "sparse")
EPSILON = 0.05
SMALLEST_TOL = 1e-14  # two sums of n float64 terms agree to no less


@dataclass(frozen=True, eq=False)
class GroundCost:
    """The cost between n and m points: a matrix, or the points themselves and a metric."""

    cost: NDArray[Any] | None
    x: NDArray[Any] | None
    y: NDArray[Any] | None
    metric: str

    @property
    def shape(self) -> tuple[int, int]:
        if self.cost is not None:
            return self.cost.shape[0], self.cost.shape[1]
        assert self.x is not None and self.y is not None
        return len(self.x), len(self.y)

    @property
    def dtype(self) -> np.dtype[Any]:
        held = self.x if self.cost is None else self.cost
        assert held is not None
        return held.dtype

    @property
    def name(self) -> str:
        """The argument to name in an error."""
        return "cost" if self.cost is not None else "x, y"

    @property
    def native(self) -> dict[str, Any]:
        """The arguments of the native functions that stand for it."""
        return {"cost": self.cost, "x": self.x, "y": self.y, "metric": self.metric}

    def matrix(self) -> NDArray[Any]:
        """The (n, m) costs; of points, in float64."""
        if self.cost is not None:
            return self.cost
        assert self.x is not None and self.y is not None
        check_size(len(self.x) * len(self.y), 8, "cost")
        x, y = self.x.astype(np.float64), self.y.astype(np.float64)
        if self.metric == "cosine":
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            y /= np.linalg.norm(y, axis=1, keepdims=True)
        else:  # products must not cancel for clouds far from the origin
            center = y.mean(axis=0)
            x -= center
            y -= center
        squares = np.maximum((x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T, 0)
        if self.metric == "cosine":
            squares /= 2
        costs: NDArray[Any] = np.sqrt(squares) if self.metric == "euclidean" else squares
        return costs


def check_sources(cost: Any, x: Any, y: Any) -> None:
    """Exactly one of costs and points of two sides is given."""
    if cost is not None:
        if x is not None or y is not None:
            raise ValueError("cost: expected either cost or x and y, got both")
    elif x is None or y is None:
        missing = "neither" if x is None and y is None else f"only {'y' if x is None else 'x'}"
        raise ValueError(f"cost: expected either cost or x and y, got {missing}")


def check_directions(points: NDArray[Any], name: str) -> None:
    """No row is all zeros: its cosine with others would be none."""
    nonzero = points.any(axis=1)
    if not nonzero.all():
        row = int(np.argmin(nonzero))
        raise ValueError(f"{name}: expected rows that have a direction, got a row of zeros at row {row}")


def check_ground_cost(cost: Any, x: Any, y: Any, metric: Any) -> GroundCost:
    """Exactly one of a cost matrix and two sets of points; points of two dtypes become float64."""
    metric = check_choice(metric, "metric", METRICS)
    check_sources(cost, x, y)
    if cost is not None:
        return GroundCost(check_array(cost, "cost"), None, None, metric)
    left, right = check_array(x, "x"), check_array(y, "y")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"y: expected {left.shape[1]} columns, as x has, got {right.shape[1]}")
    if metric == "cosine":
        for points, name in ((left, "x"), (right, "y")):
            check_directions(points, name)
    dtype = np.result_type(left, right)
    return GroundCost(None, left.astype(dtype, copy=False), right.astype(dtype, copy=False), metric)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that a solution depends on.

    Balanced (both rho infinite): a and b have mass 1, results are those times `mass`. Otherwise a and b are as they
    came, and `mass` is 1.
    """

    ground: GroundCost
    a: Vector
    b: Vector
    mass: float
    epsilon: float
    dtype: np.dtype[Any]
    rho_a: float = math.inf
    rho_b: float = math.inf
    partial: bool = False  # the marginals are at most a and b

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.a), len(self.b)

    @property
    def balanced(self) -> bool:
        return self.rho_a == self.rho_b == math.inf

    def native(self, f: Vector, g: Vector) -> dict[str, Any]:
        """The arguments of the native functions that read the plan of these potentials."""
        return {"f": f, "g": g, "a": self.a, "b": self.b, **self.ground.native, "epsilon": self.epsilon}


# --- The strength of the entropy ---


def check_epsilon(
    epsilon: Any, scale: Any, a: Vector, b: Vector, ground: GroundCost, n_threads: int, *, exact: str = "emd"
) -> float:
    """The absolute epsilon; 0.0 where the cost is constant and its scale is 0, so that nothing is to be decided.

    `a` and `b` have mass 1. `exact` is the function to recommend to whom wants none.
    """
    strength = check_strength(epsilon, exact=exact)
    scale = check_choice(scale, "epsilon_scale", EPSILON_SCALES)
    if scale == "absolute":
        return strength
    # The mean alone costs a pass at most; the others, and whether all costs are the same, cost several.
    mean = _core.transport.mean_cost(a=a, b=b, **ground.native, n_threads=n_threads) if scale == "mean" else 0.0
    statistics = (mean, math.nan, math.nan, math.nan)
    if mean == 0:
        statistics = _core.transport.cost_statistics(a=a, b=b, **ground.native, n_threads=n_threads)
    return scaled_epsilon(strength, scale, *statistics, name=ground.name)


def check_strength(epsilon: Any, *, exact: str = "emd") -> float:
    """The number that `epsilon` is, in the units of its scale; `exact` is what to recommend to whom wants none."""
    strength = EPSILON if epsilon is None else check_scalar_float(epsilon, "epsilon")
    if strength <= 0:
        raise ValueError(f"epsilon: expected a finite number > 0, got {epsilon} [for no entropy, use {exact}]")
    return strength


def scaled_epsilon(
    strength: float, scale: str, mean: float, largest: float, std: float, smallest: float, *, name: str
) -> float:
    """The absolute epsilon for costs of these statistics; 0.0 where they are all the same and their scale is 0."""
    size = {"mean": mean, "max": largest, "std": std}[scale]
    if not math.isfinite(size):
        raise ValueError(f"{name}: expected costs whose {scale} float64 holds, got {size} [scale them]")
    if smallest == largest and (size == 0 or scale == "std"):
        return 0.0
    if size > 0:
        absolute = strength * size
        if not 0 < absolute < math.inf:
            raise ValueError(f"epsilon: expected one that float64 holds times the {scale} cost {size}, got {strength}")
        return absolute
    raise ValueError(
        f"epsilon_scale: expected costs whose {scale} is positive, got {size} [use epsilon_scale='absolute']"
    )


# --- When to stop, and how ---


@dataclass(frozen=True)
class Settings:
    """How to iterate, and what to do where that does not converge."""

    tol: float
    max_iter: int
    method: str
    anderson: int
    on_failure: str
    n_threads: int


def check_settings(
    *,
    tol: Any,
    max_iter: Any,
    n_threads: Any,
    method: Any = "auto",
    anderson: Any = 10,
    on_failure: Any = "warn",
) -> Settings:
    tolerance = check_scalar_float(tol, "tol", exclusive_minimum=0)
    if tolerance < SMALLEST_TOL:
        raise ValueError(f"tol: expected at least {SMALLEST_TOL}, which is what float64 can verify, got {tol}")
    return Settings(
        tolerance,
        check_scalar_int(max_iter, "max_iter", minimum=0, maximum=2**31 - 1),
        check_choice(method, "method", METHODS),
        check_scalar_int(anderson, "anderson", minimum=0, maximum=64),
        check_choice(on_failure, "on_failure", ("warn", "raise")),
        check_n_threads(n_threads),
    )


def check_start(init: Any, n: int, m: int) -> tuple[Vector, Vector] | None:
    """Potentials to start from, as float64 copies; a result stands for its own."""
    if init is None:
        return None
    given = getattr(init, "potentials", init)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(f"init: expected None, a pair (f, g) or a previous result, got {describe(init)}")
    f, g = (check_array(part, "init", ndim=1).astype(np.float64) for part in given)
    if len(f) != n or len(g) != m:
        raise ValueError(f"init: expected potentials of shapes ({n},) and ({m},), got {f.shape} and {g.shape}")
    return f, g
