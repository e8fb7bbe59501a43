"""Entropic optimal transport of many small problems at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_choice, describe
from ..errors import ConvergenceError, ConvergenceWarning
from .many import check_many_weights, check_parts, join, spread, starts_of
from .marginals import Vector
from .problem import (
    EPSILON_SCALES,
    METHODS,
    METRICS,
    GroundCost,
    Problem,
    Settings,
    check_directions,
    check_settings,
    check_sources,
    check_strength,
    scaled_epsilon,
)
from .results import TransportResult
from .sinkhorn import constant_result, make_result

__all__ = ["BatchResult", "sinkhorn_batch"]


@dataclass(frozen=True, eq=False)
class BatchResult(Sequence[TransportResult]):
    """The results of many problems: arrays over all of them, and by index or iteration a `TransportResult` of each.

    Attributes
    ----------
    cost, regularised_cost, marginal_error, epsilon, mass : ndarray of float64, shape (n_problems,)
        As of `TransportResult`.
    f, g : ndarray of shapes (n_problems, n) and (n_problems, m), or lists of arrays
        The potentials: stacked where the problems came stacked.
    n_iter : ndarray of int64, shape (n_problems,)
    converged : ndarray of bool, shape (n_problems,)
    method : ndarray of str, shape (n_problems,)
        What ran for each problem.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> costs = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [2.0, 0.0]]])
    >>> r = lw.transport.sinkhorn_batch(None, None, costs, epsilon=1, epsilon_scale="absolute")
    >>> r.cost.round(6)
    array([0.268941, 0.238406])
    >>> r[1].plan.dense().round(4)
    array([[0.4404, 0.0596],
           [0.0596, 0.4404]])
    """

    cost: Vector
    regularised_cost: Vector
    f: Any = field(repr=False)
    g: Any = field(repr=False)
    marginal_error: Vector
    n_iter: NDArray[np.int64]
    converged: NDArray[np.bool_]
    method: NDArray[np.str_] = field(repr=False)
    epsilon: Vector
    mass: Vector
    _batch: _Batch = field(repr=False)
    _potentials: tuple[Vector, Vector] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cost)

    def __iter__(self) -> Iterator[TransportResult]:
        return (self._result(k) for k in range(len(self)))

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self._result(i) for i in range(len(self))[k]]
        return self._result(range(len(self))[k])

    def _result(self, k: int) -> TransportResult:
        problem = self._batch.problem(k, float(self.epsilon[k]))
        if problem.epsilon == 0:
            return constant_result(problem, self._batch.settings)
        f, g = (flat[part] for flat, part in zip(self._potentials, self._batch.parts(k), strict=True))
        report = {
            "cost": self.cost[k] / problem.mass,
            "mass": self.mass[k] / problem.mass,
            "marginal_error": self.marginal_error[k],
            "n_iter": self.n_iter[k],
            "method": str(self.method[k]),
        }
        return make_result(problem, self._batch.settings, (f, g), report, self.marginal_error[k : k + 1])

    def __repr__(self) -> str:
        return (
            f"BatchResult({len(self)} problems, largest marginal_error={self.marginal_error.max():.2g}, "
            f"most n_iter={self.n_iter.max()}, converged={int(self.converged.sum())})"
        )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Checked problems, their arrays end to end; weights of mass 1."""

    cost: NDArray[Any] | None
    x: NDArray[Any] | None
    y: NDArray[Any] | None
    metric: str
    n_rows: NDArray[np.int64]
    n_columns: NDArray[np.int64]
    a: Vector
    b: Vector
    mass: Vector
    dtype: np.dtype[Any]
    stacked: bool
    settings: Settings

    def __len__(self) -> int:
        return len(self.n_rows)

    @property
    def name(self) -> str:
        return "cost" if self.cost is not None else "x, y"

    @property
    def native(self) -> dict[str, Any]:
        """The arguments of the native functions that stand for the problems."""
        names = ("n_rows", "n_columns", "a", "b", "cost", "x", "y", "metric")
        return {name: getattr(self, name) for name in names}

    def parts(self, k: int) -> tuple[slice, slice]:
        """Where the rows and the columns of a problem stand."""
        row, column = int(self.n_rows[:k].sum()), int(self.n_columns[:k].sum())
        return slice(row, row + int(self.n_rows[k])), slice(column, column + int(self.n_columns[k]))

    def problem(self, k: int, epsilon: float) -> Problem:
        rows, columns = self.parts(k)
        if self.cost is not None:
            n, m = int(self.n_rows[k]), int(self.n_columns[k])
            start = int(self.n_rows[:k] @ self.n_columns[:k])
            ground = GroundCost(self.cost[start : start + n * m].reshape(n, m), None, None, self.metric)
        else:
            assert self.x is not None and self.y is not None
            ground = GroundCost(None, self.x[rows], self.y[columns], self.metric)
        return Problem(ground, self.a[rows], self.b[columns], float(self.mass[k]), epsilon, self.dtype)


def sinkhorn_batch(
    a: Any,
    b: Any,
    cost: Any = None,
    *,
    x: Any = None,
    y: Any = None,
    metric: str = "sqeuclidean",
    epsilon: float | None = None,
    epsilon_scale: str = "mean",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    method: str = "auto",
    anderson: int = 10,
    init: Any = None,
    on_failure: str = "warn",
    n_threads: int | None = None,
) -> BatchResult:
    """Entropic optimal transport of many problems, of one shape or of different ones.

    Small problems are solved side by side, one in each lane of the CPU's registers. Each stops when its own tolerance
    is met, and its result depends on nothing but itself: not on its neighbours, their order or the number of threads.

    Parameters
    ----------
    a, b : sequence of array-likes, arrays of shapes (n_problems, n) and (n_problems, m), or None
        The weights of each problem, as for `sinkhorn`; None: uniform.
    cost : sequence of array-likes of shapes (n_k, m_k), or array of shape (n_problems, n, m), optional
        The costs of each problem.
    x, y : sequences of array-likes of shapes (n_k, d) and (m_k, d), or arrays with one axis more, optional
        Points instead of costs.
    metric, epsilon, epsilon_scale, tol, max_iter, method, n_threads
        As for `sinkhorn`. A relative epsilon is one of each problem's own costs. `method`: 'auto' and 'kernel' solve
        problems of up to 4096 pairs side by side, and others one by one; 'log' and 'sparse' all one by one.
    anderson : int, default 10
        Memory of the acceleration, of which problems that are solved side by side use at most 10; 0: plain iterations.
    init : (f, g) or BatchResult, optional
        Potentials to start from: stacked, or a list of arrays.
    on_failure : {'warn', 'raise'}
        What to do where `max_iter` comes before `tol` in any problem.

    Returns
    -------
    BatchResult
        Arrays of all values and reports; ``result[k]`` is the `TransportResult` of problem k, whose plan is computed
        where it is asked for, and whose history holds the final error only.

    Raises
    ------
    ValueError, TypeError
        As for `sinkhorn`; the text names the problem.
    ConvergenceError
        Not converged, with ``on_failure='raise'``.

    Warns
    -----
    ConvergenceWarning
        Some have not converged; the text names the worst.

    Notes
    -----
    About 16 (AVX-512) or 8 (AVX2) problems share each instruction, in float32 where `tol` allows it: from 1e-6 on, for
    float32 costs or accelerated iterations. All errors are verified in float64, and a problem that float32 cannot
    bring below `tol` goes on in float64. A scaling that leaves the range of the numbers makes its problem take that
    iteration in logarithms, and absorb the potentials into its kernel. For exact costs of problems this small,
    `emd_batch` takes about as long.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 1000, 20, 2))
    >>> r = lw.transport.sinkhorn_batch(None, None, x=x, y=y, epsilon=0.1)
    >>> r.cost.shape, bool(r.converged.all()), r[7].plan.dense().shape
    ((1000,), True, (20, 20))
    """
    settings = check_settings(
        tol=tol, max_iter=max_iter, n_threads=n_threads, method=method, anderson=anderson, on_failure=on_failure
    )
    batch = _check_batch(a, b, cost, x, y, metric, settings)
    epsilons = _epsilons(batch, check_strength(epsilon), check_choice(epsilon_scale, "epsilon_scale", EPSILON_SCALES))
    f, g = _start(batch, init)
    constant = epsilons == 0
    values, counts = _core.transport.sinkhorn_batch(
        **batch.native,
        epsilon=np.where(constant, 1.0, epsilons),
        f=f,
        g=g,
        tol=settings.tol,
        max_iter=settings.max_iter,
        method=settings.method,
        anderson=settings.anderson,
        n_threads=settings.n_threads,
    )
    if (batch.mass != 1).any():
        values[:, [0, 1, 3]] *= batch.mass[:, None]
    result = BatchResult(
        cost=values[:, 0].copy(),
        regularised_cost=values[:, 1].copy(),
        f=_apart(batch, f, batch.n_rows),
        g=_apart(batch, g, batch.n_columns),
        marginal_error=values[:, 2].copy(),
        n_iter=counts[:, 0].copy(),
        converged=values[:, 2] <= settings.tol,
        method=np.array(METHODS)[counts[:, 1]],
        epsilon=epsilons,
        mass=values[:, 3].copy(),
        _batch=batch,
        _potentials=(f, g),
    )
    _enter_constants(result, np.flatnonzero(constant))
    _refuse_overflow(result)
    _report_failures(result)
    return result


def _check_batch(a: Any, b: Any, cost: Any, x: Any, y: Any, metric: Any, settings: Settings) -> _Batch:
    metric = check_choice(metric, "metric", METRICS)
    check_sources(cost, x, y)
    costs = left = right = None
    if cost is not None:
        parts = check_parts(cost, "cost", 2)
        stacked = isinstance(parts, np.ndarray)
        n_rows, n_columns = _sizes(parts), _sizes(parts, axis=1)
        costs = join(parts, "cost")
        dtype = costs.dtype
    else:
        sides = [check_parts(x, "x", 2), check_parts(y, "y", 2, len(x))]
        stacked = all(isinstance(side, np.ndarray) for side in sides)
        d = sides[0][0].shape[1]
        for side, name in zip(sides, "xy", strict=True):
            for k, width in enumerate(_sizes(side, axis=1).tolist()):
                if width != d:
                    raise ValueError(f"{name}[{k}]: expected {d} columns, as x[0] has, got {width}")
        n_rows, n_columns = _sizes(sides[0]), _sizes(sides[1])
        left, right = (join(side, name).reshape(-1, d) for side, name in zip(sides, "xy", strict=True))
        dtype = np.result_type(left, right)
        left, right = left.astype(dtype, copy=False), right.astype(dtype, copy=False)
        if metric == "cosine" and not (left.any(axis=1).all() and right.any(axis=1).all()):
            for side, name in zip(sides, "xy", strict=True):
                for k, points in enumerate(side):
                    check_directions(points, f"{name}[{k}]")
    first, second, weights_dtype = check_many_weights(a, b, n_rows, n_columns)
    mass = np.ones(len(n_rows))
    if weights_dtype is not None:
        mass = np.add.reduceat(first, starts_of(n_rows))
        first = first / spread(mass, n_rows)
        second = second / spread(np.add.reduceat(second, starts_of(n_columns)), n_columns)
        dtype = np.result_type(dtype, weights_dtype)
    return _Batch(costs, left, right, metric, n_rows, n_columns, first, second, mass, dtype, stacked, settings)


def _sizes(parts: Sequence[NDArray[Any]], axis: int = 0) -> NDArray[np.int64]:
    if isinstance(parts, np.ndarray):
        return np.full(len(parts), parts.shape[1 + axis], np.int64)
    return np.array([part.shape[axis] for part in parts], np.int64)


def _epsilons(batch: _Batch, strength: float, scale: str) -> Vector:
    """The absolute epsilon of each problem; 0 where its costs are constant and their scale is 0."""
    if scale == "absolute":
        return np.full(len(batch), strength)
    statistics = _core.transport.cost_statistics_batch(**batch.native, n_threads=batch.settings.n_threads)
    with np.errstate(over="ignore"):
        result = strength * statistics[:, {"mean": 0, "max": 1, "std": 2}[scale]]
    for k in np.flatnonzero(~((result > 0) & np.isfinite(result) & (statistics[:, 3] < statistics[:, 1]))).tolist():
        try:
            result[k] = scaled_epsilon(strength, scale, *statistics[k].tolist(), name=batch.name)
        except ValueError as error:
            raise ValueError(f"{error} in problem {k}") from None
    return result


def _start(batch: _Batch, init: Any) -> tuple[Vector, Vector]:
    """Fresh potentials of all problems, those given or zeros."""
    if isinstance(init, BatchResult):
        init = tuple(
            np.split(flat, np.cumsum(sizes)[:-1])
            for flat, sizes in zip(init._potentials, (init._batch.n_rows, init._batch.n_columns), strict=True)
        )
    if init is None:
        f, g = np.zeros(len(batch.a)), np.zeros(len(batch.b))
        if batch.settings.max_iter == 0:  # nothing follows: shifted, so that no entry of the plan is above a_i b_j
            statistics = _core.transport.cost_statistics_batch(**batch.native, n_threads=batch.settings.n_threads)
            half = np.minimum(0, statistics[:, 3]) / 2
            f, g = spread(half, batch.n_rows), spread(half, batch.n_columns)
        return f, g
    if not isinstance(init, tuple | list) or len(init) != 2:
        raise TypeError(f"init: expected None, a pair (f, g) or a previous result, got {describe(init)}")
    found = []
    for side, sizes in zip(init, (batch.n_rows, batch.n_columns), strict=True):
        parts = check_parts(side, "init", 1, len(batch))
        for k, size in enumerate(sizes.tolist()):
            if len(parts[k]) != size:
                raise ValueError(f"init[{k}]: expected {size} potentials, one a point, got {len(parts[k])}")
        found.append(join(parts, "init").astype(np.float64))
    f, g = found
    shift = np.maximum.reduceat(np.where(batch.b > 0, g, -np.inf), starts_of(batch.n_columns))
    return f + spread(shift, batch.n_rows), g - spread(shift, batch.n_columns)


def _apart(batch: _Batch, flat: Vector, sizes: NDArray[np.int64]) -> Any:
    """Potentials as the problems came: stacked, or a list; in the dtype of the results."""
    values = flat.astype(batch.dtype)
    return values.reshape(len(batch), -1) if batch.stacked else np.split(values, np.cumsum(sizes)[:-1])


def _enter_constants(result: BatchResult, problems: NDArray[np.intp]) -> None:
    """Problems whose costs are all the same are solved without an iteration."""
    for k in problems.tolist():
        one = result[k]
        for name in ("cost", "regularised_cost", "marginal_error", "n_iter", "converged", "mass"):
            getattr(result, name)[k] = getattr(one, name)
        result.f[k][...], result.g[k][...] = one.f, one.g


def _refuse_overflow(result: BatchResult) -> None:
    bad = np.flatnonzero(~(np.isfinite(result.mass) & np.isfinite(result.marginal_error)))
    if len(bad) == 0:
        return
    k = int(bad[0])
    if result._batch.settings.max_iter == 0:
        raise ValueError(f"init: expected potentials whose plan float64 holds, got others in problem {k}")
    raise FloatingPointError(
        f"{result._batch.name}: expected costs whose spread over epsilon {result._batch.dtype} holds, "
        f"got a plan of mass {result.mass[k]} in problem {k} [scale them, or raise epsilon]"
    )


def _report_failures(result: BatchResult) -> None:
    failed = np.flatnonzero(~result.converged)
    if len(failed) == 0:
        return
    settings = result._batch.settings
    worst = int(np.argmax(result.marginal_error))
    message = (
        f"sinkhorn_batch: {len(failed)} of {len(result)} problems not converged: the largest marginal error is "
        f"{result.marginal_error[worst]:.3g}, of problem {worst} after {result.n_iter[worst]} iterations, "
        f"tol is {settings.tol:.3g} [raise max_iter, epsilon or tol]"
    )
    if settings.on_failure == "raise":
        raise ConvergenceError(message, result)
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
