"""Partial transport: only some of the mass moves, the cheapest."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import _core
from .._validation import check_choice, check_scalar_float
from .certificate import Certificate, bounds, least_slack, size_under, soft_min
from .exact import EMDResult, partial_emd
from .marginals import Vector, check_weights
from .plan import Plan
from .problem import EPSILON_SCALES, Problem, Settings, check_epsilon, check_ground_cost, check_settings
from .results import TransportResult
from .sinkhorn import report_failure

__all__ = ["partial"]

_NOTHING = 2000.0  # exp of minus that is 0
_MEMORY = 10  # iterations that the extrapolation looks at
_WORSE = 2.0  # an extrapolation may raise the error by this factor
_RIDGE = 1e-10


def partial(
    a: Any,
    b: Any,
    cost: Any = None,
    *,
    x: Any = None,
    y: Any = None,
    mass: float,
    epsilon: float = 0.0,
    metric: str = "sqeuclidean",
    epsilon_scale: str = "mean",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    on_failure: str = "warn",
    n_threads: int | None = None,
) -> EMDResult | TransportResult:
    """Partial transport: ``min <P,C> + epsilon KL(P | a b^T)`` with ``P 1 <= a``, ``P^T 1 <= b`` and ``sum P = mass``.

    Parameters
    ----------
    a, b : array-like of shapes (n,) and (m,), or None
        Weights >= 0 of any masses; None: uniform, of mass 1.
    cost, x, y, metric
        As for `sinkhorn`.
    mass : float
        What is to move, from 0 to the smaller of both masses.
    epsilon : float, default 0.0
        Strength of the entropy, in units of `epsilon_scale`. 0: exactly, by a network simplex with one more point a
        side, which takes what stays; it needs the (n, m) matrix, and has no use for `tol` and `max_iter`.
    epsilon_scale, tol, max_iter, on_failure, n_threads
        As for `sinkhorn`.

    Returns
    -------
    EMDResult
        For ``epsilon=0``: ``u_i + v_j <= C_ij``, equal where the plan is positive; u and v are highest where the weight
        of a point sets no limit.
    TransportResult
        Otherwise. ``marginal_error`` is how far P is from optimality: what its columns have above b, or, where they
        have a price, below b, relative to `mass`; its rows are exact.

    Raises
    ------
    ValueError, TypeError, ConvergenceError

    Warns
    -----
    ConvergenceWarning

    Notes
    -----
    Each iteration maximises the dual exactly over the prices of the rows and the common one, then over those of the
    columns and the common one; it is accelerated by Anderson's extrapolation, which is dropped where it does harm.

    Examples
    --------
    >>> import likewise as lw
    >>> cost = [[0.25, 4.0, 6.25], [0.25, 1.0, 2.25], [6.25, 1.0, 0.25]]
    >>> round(lw.transport.partial([0.5, 0.3, 0.2], [0.4, 0.4, 0.2], cost, mass=0.6).cost, 12)
    0.15
    >>> r = lw.transport.partial([0.5, 0.3, 0.2], [0.4, 0.4, 0.2], cost, mass=0.6, epsilon=0.01)
    >>> round(r.mass, 6), bool(r.cost < 0.16)
    (0.6, True)
    """
    settings = check_settings(tol=tol, max_iter=max_iter, n_threads=n_threads, on_failure=on_failure)
    ground = check_ground_cost(cost, x, y, metric)
    left, right = check_weights(a, "a", ground.shape[0]), check_weights(b, "b", ground.shape[1])
    total = _check_mass(mass, min(left.mass, right.mass))
    if check_scalar_float(epsilon, "epsilon", minimum=0) == 0:
        check_choice(epsilon_scale, "epsilon_scale", EPSILON_SCALES)
        return partial_emd(left, right, ground.matrix(), total)
    absolute = check_epsilon(
        epsilon, epsilon_scale, left.values / left.mass, right.values / right.mass, ground, settings.n_threads
    )
    if absolute == 0:
        absolute = float(epsilon)
    dtype = np.result_type(ground.dtype, *(w.dtype for w in (left, right) if w.dtype is not None))
    problem = Problem(ground, left.values, right.values, 1.0, absolute, dtype, partial=True)
    return _entropic(problem, total, settings)


def _check_mass(mass: Any, largest: float) -> float:
    total = check_scalar_float(mass, "mass", minimum=0)
    if total > largest * (1 + 1e-9):
        raise ValueError(f"mass: expected at most the smaller of both masses, {largest}, got {mass}")
    return min(total, largest)


def _entropic(problem: Problem, total: float, settings: Settings) -> TransportResult:
    """P_ij = a_i b_j exp((f_i + g_j + common - C_ij) / epsilon) with f, g <= 0."""
    a, b, epsilon, threads = problem.a, problem.b, problem.epsilon, settings.n_threads
    if total:
        f, g, common, history = _iterate(problem, total, settings)
    else:
        smallest = _core.transport.cost_statistics(a=a, b=b, **problem.ground.native, n_threads=threads)[3]
        f, g, common, history = np.zeros(len(a)), np.zeros(len(b)), smallest - _NOTHING * epsilon, [0.0]
    potentials = f + common / 2, g + common / 2
    plan = Plan(problem, *potentials, threads)
    sums = plan.sums()
    dual = float(a @ f + b @ g) + common * total - epsilon * (sums.mass - float(a.sum() * b.sum()))
    result = TransportResult(
        cost=sums.cost,
        regularised_cost=dual,
        f=potentials[0].astype(problem.dtype),
        g=potentials[1].astype(problem.dtype),
        plan=plan,
        marginal_error=history[-1],
        n_iter=len(history) - 1,
        converged=history[-1] <= settings.tol,
        method="log",
        epsilon=epsilon,
        mass=sums.mass,
        history=np.array(history),
        potentials=potentials,
        _certify=functools.partial(_certify, problem, f, g, common, total, dual, threads),
    )
    if not result.converged:
        report_failure(result, settings, "partial", stacklevel=4)
    return result


def _iterate(problem: Problem, total: float, settings: Settings) -> tuple[Vector, Vector, float, list[float]]:
    """f, g, the common price, and the errors on the way there."""
    a, b, epsilon, threads = problem.a, problem.b, problem.epsilon, settings.n_threads
    g = plain = np.zeros(len(b))
    memory: list[tuple[Vector, Vector]] = []  # prices of columns before and after an iteration
    history: list[float] = []
    while True:
        common, f = _fill(a, soft_min(problem, g, n_threads=threads), total, epsilon)
        # The rows are what they should be; the columns tell how far their prices were from it.
        soft = soft_min(problem, f, transpose=True, n_threads=threads)
        with np.errstate(over="ignore"):
            sums = b * np.exp((g + common - soft) / epsilon)
        error = float(np.where(g < 0, np.abs(sums - b), np.maximum(sums - b, 0)).sum()) / total
        stop = error <= settings.tol or len(history) == settings.max_iter
        if memory and g is not plain and error > _WORSE * history[-1] and not stop:
            g = plain
            memory.clear()
            history.append(error)
            continue
        history.append(error)
        if stop:
            return f, g, common, history
        plain = _fill(b, soft, total, epsilon)[1]
        memory.append((g, plain))
        del memory[:-_MEMORY]
        g = _extrapolated(memory, b) if len(memory) > 1 else plain


def _extrapolated(memory: list[tuple[Vector, Vector]], weights: Vector) -> Vector:
    """Anderson's step: the combination of images whose changes cancel the best, among prices <= 0."""
    images = np.stack([after for _, after in memory])
    held = weights > 0
    changes = (images - np.stack([before for before, _ in memory]))[:, held]
    differences = np.diff(changes, axis=0)
    gram = differences @ differences.T
    gram.flat[:: len(gram) + 1] *= 1 + _RIDGE
    last: Vector = images[-1]
    try:
        shares = np.linalg.solve(gram, differences @ changes[-1])
    except np.linalg.LinAlgError:
        return last
    mixed = last - shares @ np.diff(images, axis=0)
    return np.minimum(mixed, 0.0) if np.isfinite(mixed).all() else last


def _fill(weights: Vector, soft: Vector, total: float, epsilon: float) -> tuple[float, Vector]:
    """The common price, and those of the points, with ``sum_i weights_i min(1, exp((common - soft_i) / epsilon))`` =
    total: points are full in the order of their soft minima, the others share the rest."""
    held = np.flatnonzero(weights > 0)
    order = held[np.argsort(soft[held], kind="stable")]
    levels = soft[order]
    full = np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])  # mass of the points before
    shares = np.log(weights[order]) - levels / epsilon
    rest = np.logaddexp.accumulate(shares[::-1])[::-1]  # of this point and all after
    with np.errstate(divide="ignore", invalid="ignore"):
        common = epsilon * (np.log(total - full) - rest)
    # The first point that stays below its weight tells the price; there is none where all are full.
    open_points = np.flatnonzero(common < levels)
    price = float(common[open_points[0]]) if len(open_points) else float(levels[-1])
    return price, np.minimum(soft - price, 0.0)


def _certify(
    problem: Problem, f: Vector, g: Vector, common: float, total: float, dual: float, n_threads: int, plan: Plan
) -> Certificate:
    free_g = np.minimum(least_slack(problem, f + common, n_threads), 0.0)
    lower = float(problem.a @ f + problem.b @ free_g) + common * total
    size = size_under(problem.a, f) + size_under(problem.b, g) + size_under(problem.b, free_g) + abs(common) * total
    return bounds(problem, plan, dual, lower, size, total)
