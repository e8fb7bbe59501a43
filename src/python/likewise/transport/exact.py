"""Exact optimal transport: the linear program, by a network simplex."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_n_threads, check_scalar_int
from ..errors import ConvergenceWarning
from .many import check_many_weights, check_parts, equal_mass, join
from .marginals import Vector, Weights, check_weights
from .sparse_plan import SparsePlan

__all__ = ["EMDBatchResult", "EMDResult", "emd", "emd_batch", "partial_emd"]

_NO_LIMIT = 2**64 - 1
_SHRINK = 64  # powers of two by which costs are made smaller whose sums float64 does not hold


@dataclass(frozen=True, eq=False)
class EMDResult:
    """An optimal plan and the potentials that prove it.

    Attributes
    ----------
    cost : float
        ``<P, C>``.
    plan : SparsePlan
        The positive entries of P, at most n + m - 1, in the arrays of a CSR matrix (float64).
    u, v : ndarray of float64, shapes (n,) and (m,)
        Potentials: ``u_i + v_j <= C_ij`` everywhere, with equality where the plan is positive (both to rounding), and
        ``<a, u> = <b, v>``. Points without weight have finite ones too.
    n_iter : int
        Pivots of the simplex method.
    gap : float
        ``cost - <a, u> - <b, v>``: the most that `cost` can be above the optimum; 0 but for rounding.
    converged : bool
        False only where `max_iter` came before the optimum.
    """

    cost: float
    plan: SparsePlan = field(repr=False)
    u: Vector = field(repr=False)
    v: Vector = field(repr=False)
    n_iter: int
    gap: float
    converged: bool


@dataclass(frozen=True, eq=False)
class EMDBatchResult(Sequence[EMDResult]):
    """The results of many problems: arrays over all of them, and by index or iteration an `EMDResult` of each.

    Attributes
    ----------
    cost, gap : ndarray of float64, shape (n_problems,)
    n_iter : ndarray of int64, shape (n_problems,)
    converged : ndarray of bool, shape (n_problems,)
    """

    cost: Vector
    gap: Vector = field(repr=False)
    n_iter: NDArray[np.int64] = field(repr=False)
    converged: NDArray[np.bool_] = field(repr=False)
    _shapes: NDArray[np.int64] = field(repr=False)
    _starts: NDArray[np.int64] = field(repr=False)
    _arrays: dict[str, NDArray[Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cost)

    def __iter__(self) -> Iterator[EMDResult]:
        return (self._result(k) for k in range(len(self)))

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self._result(i) for i in range(len(self))[k]]
        return self._result(range(len(self))[k])

    def _result(self, k: int) -> EMDResult:
        (n, m), (row, column) = self._shapes[k].tolist(), self._starts[k].tolist()
        return _result_of(self._arrays, k, n, m, row, column)


def _result_of(found: dict[str, NDArray[Any]], k: int, n: int, m: int, row: int, column: int) -> EMDResult:
    """Problem k, whose weights begin at `row` and `column`."""
    first = row + column
    entries = slice(first, first + int(found["n_entries"][k]))
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(found["row_entries"][row : row + n], out=indptr[1:])
    return EMDResult(
        cost=float(found["cost"][k]),
        plan=SparsePlan(found["masses"][entries].copy(), found["columns"][entries].copy(), indptr, (n, m), 0.0),
        u=found["u"][row : row + n].copy(),
        v=found["v"][column : column + m].copy(),
        n_iter=int(found["n_iter"][k]),
        gap=float(found["gap"][k]),
        converged=bool(found["optimal"][k]),
    )


def emd(a: Any, b: Any, cost: Any, *, max_iter: int | None = None, n_threads: int | None = None) -> EMDResult:
    """Exact optimal transport, the earth mover's distance: ``min <P, C>`` over P >= 0 with ``P 1 = a``, ``P^T 1 = b``.

    Parameters
    ----------
    a, b : array-like of shapes (n,) and (m,), or None
        Weights >= 0 of equal mass; None: uniform. Zeros are valid. Weights below 2^-61 of the mass count as 0.
    cost : array-like of shape (n, m)
        Finite, of any sign.
    max_iter : int, optional
        Most pivots; None: as many as the optimum takes.
    n_threads : int, optional
        For uniformity: one problem is one thread's work. `emd_batch` shares problems out.

    Returns
    -------
    EMDResult

    Raises
    ------
    ValueError, TypeError
        Weights that are negative, not finite, or of different masses; a cost that is not finite or does not fit.

    Warns
    -----
    ConvergenceWarning
        `max_iter` came before the optimum; cost and plan are then feasible, and `gap` bounds the error.

    Notes
    -----
    A primal network simplex whose bases are strongly feasible spanning trees (Cunningham 1976), so that ties of mass
    cannot make it cycle. Flows are counted in integers (whole weights as they are, others in units of 2^-60 of the
    mass), potentials are float64, read off the tree anew at each pivot. The cost matrix is read in place; beside it,
    memory is O(n + m). The number of pivots grows a little faster than n + m on usual problems (n = m = 1000: some
    15,000), each with a look at one row or a few.

    References
    ----------
    Cunningham, "A network simplex method", Mathematical Programming 11, 1976. Bonneel, van de Panne, Paris, Heidrich,
    "Displacement interpolation using Lagrangian mass transport", SIGGRAPH Asia 2011.

    Examples
    --------
    >>> import likewise as lw
    >>> r = lw.transport.emd([0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [[0.25, 4, 6.25], [0.25, 1, 2.25], [6.25, 1, 0.25]])
    >>> round(r.cost, 12)
    0.85
    >>> r.plan.dense()
    array([[0.4, 0.1, 0. ],
           [0. , 0.3, 0. ],
           [0. , 0. , 0.2]])
    """
    costs = check_array(cost, "cost")
    n, m = costs.shape
    left, right = equal_mass(check_weights(a, "a", n), check_weights(b, "b", m))
    limit = _check_max_iter(max_iter)
    if n_threads is not None:
        check_n_threads(n_threads)
    found = _solve(left, right, costs.reshape(-1), np.array([[n, m]]), limit, 1)
    _report_failures(found, "emd")
    return _result_of(found, 0, n, m, 0, 0)


def emd_batch(
    a: Any, b: Any, cost: Any, *, max_iter: int | None = None, n_threads: int | None = None
) -> EMDBatchResult:
    """Exact optimal transport of many problems, of one shape or of different ones.

    Parameters
    ----------
    a, b : sequence of array-likes, array of shape (n_problems, n) and (n_problems, m), or None
        The weights of each problem, as for `emd`; None: uniform.
    cost : sequence of array-likes of shapes (n_k, m_k), or array of shape (n_problems, n, m)
        The costs of each problem.
    max_iter : int, optional
        Most pivots of each problem.
    n_threads : int, optional
        Threads that share the problems. The result does not depend on it.

    Returns
    -------
    EMDBatchResult
        Arrays of all costs, gaps and iterations; ``result[k]`` is the `EMDResult` of problem k.

    Raises
    ------
    ValueError, TypeError
        As for `emd`; the text names the problem.

    Warns
    -----
    ConvergenceWarning

    Examples
    --------
    >>> import likewise as lw
    >>> r = lw.transport.emd_batch(None, None, [[[0.0, 1.0], [1.0, 0.0]], [[3.0, 5.0]]])
    >>> r.cost
    array([0., 4.])
    >>> r[1].plan.dense()
    array([[0.5, 0.5]])
    """
    limit, threads = _check_max_iter(max_iter), check_n_threads(n_threads)
    costs = check_parts(cost, "cost", 2)
    flat = join(costs, "cost")
    shapes = np.array([part.shape for part in costs], np.int64)
    left, right, _ = check_many_weights(a, b, shapes[:, 0], shapes[:, 1])
    found = _solve(left, right, flat, shapes, limit, threads)
    _report_failures(found, "emd_batch")
    starts = np.zeros_like(shapes)
    np.cumsum(shapes[:-1], axis=0, out=starts[1:])
    return EMDBatchResult(
        found["cost"], found["gap"], found["n_iter"], found["optimal"].astype(bool), shapes, starts, found
    )


def partial_emd(left: Weights, right: Weights, cost: NDArray[Any], mass: float) -> EMDResult:
    """The cheapest transport of `mass` with ``P 1 <= a``, ``P^T 1 <= b``: balanced, with one more point a side.

    The added points take what stays, for nothing. Potentials are feasible and tight, as those of `emd`; a point whose
    weight sets no limit has the highest, half of the price of mass.
    """
    n, m = cost.shape
    wide = np.zeros((n + 1, m + 1))
    inner = wide[:n, :m]
    inner[...] = cost
    least = float(inner.min())
    inner -= least  # costs >= 0: to send anything from one added point to the other cannot pay
    wide[n, m] = max(float(inner.max()), 1.0)
    a = np.append(left.values, max(right.mass - mass, 0.0))
    b = np.append(right.values, max(left.mass - mass, 0.0))
    b *= a.sum() / b.sum()
    found = _result_of(_solve(a, b, wide.reshape(-1), np.array([wide.shape]), _NO_LIMIT, 1), 0, n + 1, m + 1, 0, 0)
    rows = np.repeat(np.arange(n + 1), np.diff(found.plan.indptr))
    kept = (rows < n) & (found.plan.indices < m)
    rows, columns, masses = rows[kept], found.plan.indices[kept], found.plan.data[kept]
    value = float(masses @ cost[rows, columns].astype(np.float64))
    # u_i <= -v[m] and v_j <= -u[n], those of the added points: what a point's weight limits is the difference.
    half = float(least - found.v[m] - found.u[n]) / 2
    u, v = found.u[:n] + found.v[m], found.v[:m] + found.u[n]
    bound = float(left.values @ u + right.values @ v) + 2 * half * mass
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    plan = SparsePlan(masses, columns, indptr, (n, m), 0.0)
    return EMDResult(value, plan, u + half, v + half, found.n_iter, value - bound, found.converged)


def _solve(
    a: Vector, b: Vector, cost: NDArray[Any], shapes: NDArray[np.int64], max_iter: int, n_threads: int
) -> dict[str, NDArray[Any]]:
    """What native code finds for problems of these shapes, laid end to end."""
    problems: dict[str, Any] = dict(
        n_rows=np.ascontiguousarray(shapes[:, 0]),
        n_columns=np.ascontiguousarray(shapes[:, 1]),
        a=a,
        b=b,
        max_iter=max_iter,
        n_threads=n_threads,
    )
    found = _core.transport.emd(**problems, cost=cost)
    if not all(np.isfinite(found[name]).all() for name in ("gap", "u", "v")):  # potentials are sums of many costs
        found = _core.transport.emd(**problems, cost=np.ldexp(cost, -_SHRINK))
        for name in ("cost", "gap", "u", "v"):
            with np.errstate(over="ignore"):
                found[name] = np.ldexp(found[name], _SHRINK)
            if not np.isfinite(found[name]).all():
                size = max(float(cost.max()), -float(cost.min()))
                raise ValueError(f"cost: expected costs whose sums float64 holds, got one of size {size} [scale them]")
    return found


def _check_max_iter(max_iter: Any) -> int:
    return _NO_LIMIT if max_iter is None else min(check_scalar_int(max_iter, "max_iter", minimum=0), _NO_LIMIT)


def _report_failures(found: dict[str, NDArray[Any]], name: str) -> None:
    if found["optimal"].all():
        return
    failed = np.flatnonzero(found["optimal"] == 0)
    n_problems, k = len(found["optimal"]), int(failed[0])
    which = "" if n_problems == 1 else f" in {len(failed)} of {n_problems} problems, the first of them {k},"
    warnings.warn(
        f"{name}: max_iter={found['n_iter'][k]} came before the optimum{which} at a cost of {found['cost'][k]:.6g}, "
        f"at most {found['gap'][k]:.2g} above it [raise max_iter]",
        ConvergenceWarning,
        stacklevel=3,
    )
