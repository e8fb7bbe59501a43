"""Entropic optimal transport by Sinkhorn's iterations."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core
from ..errors import ConvergenceError, ConvergenceWarning
from .certificate import certify, dual_value, least_slack
from .marginals import Vector, check_marginals
from .plan import Plan
from .problem import (
    Problem,
    Settings,
    check_epsilon,
    check_ground_cost,
    check_settings,
    check_start,
)
from .results import TransportResult

__all__ = ["constant_result", "make_result", "sinkhorn"]

Potentials = tuple[Vector, Vector]


def sinkhorn(
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
) -> TransportResult:
    """Entropic optimal transport: ``min <P,C> + epsilon KL(P | a b^T)`` over the couplings P of a and b.

    Parameters
    ----------
    a, b : array-like of shapes (n,) and (m,), or None
        Weights >= 0 of equal mass; None: uniform. Zeros are valid.
    cost : array-like of shape (n, m), optional
        Finite, of any sign. Otherwise it is computed from x and y where it is needed, in O(n + m) memory; what fits
        12 MiB may be kept.
    x, y : array-like of shapes (n, d) and (m, d), optional
        Points.
    metric : {'sqeuclidean', 'euclidean', 'cosine'}
        ``|x - y|^2`` (not halved), ``|x - y|``, ``1 - cos(x, y)``.
    epsilon : float, default 0.05
        Strength of the entropy, in units of `epsilon_scale`. The smaller, the nearer to the exact cost and the slower.
    epsilon_scale : {'mean', 'max', 'std', 'absolute'}
        The mean, largest or standard deviation of the cost under the product of the weights; or 1.
    tol : float, default 1e-6
        Bound of the marginal error ``|P 1 - a|_1 + |P^T 1 - b|_1``, relative to the mass, which is verified in float64.
    max_iter : int, default 10 000
        Iterations (an update of f and of g). 0: only evaluates the potentials to start from.
    method : {'auto', 'log', 'kernel', 'sparse'}
        Log-domain sums; a kernel that has absorbed the potentials; the same, truncated. 'auto' picks and may switch.
    anderson : int, default 10
        Memory of the acceleration; 0: plain iterations. With it, Newton's method ends small problems (up to 512
        columns) on which iterations crawl.
    init : (f, g) or TransportResult, optional
        Potentials to start from.
    on_failure : {'warn', 'raise'}
        What to do where `max_iter` comes before `tol`.
    n_threads : int, optional
        The result does not depend on it.

    Returns
    -------
    TransportResult

    Raises
    ------
    ValueError, TypeError
    ConvergenceError
        Not converged, with ``on_failure='raise'``.

    Warns
    -----
    ConvergenceWarning
        Not converged: the result is still finite and its certificate valid.

    References
    ----------
    .. [1] M. Cuturi, Sinkhorn distances, NeurIPS 2013.
    .. [2] G. Peyre, M. Cuturi, Computational optimal transport, 2019.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> x, y = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.0], [2.5]])
    >>> r = lw.transport.sinkhorn([0.5, 0.3, 0.2], [0.4, 0.4, 0.2], x=x, y=y, epsilon=0.1)
    >>> round(r.cost, 4), round(r.regularised_cost, 4), r.converged
    (0.8569, 1.0375, True)
    >>> r.certificate.emd_lower < 0.85 < r.certificate.emd_upper
    True
    """
    settings = check_settings(
        tol=tol, max_iter=max_iter, n_threads=n_threads, method=method, anderson=anderson, on_failure=on_failure
    )
    ground = check_ground_cost(cost, x, y, metric)
    marginals = check_marginals(a, b, *ground.shape)
    start = check_start(init, *ground.shape)
    problem = Problem(
        ground,
        marginals.a,
        marginals.b,
        marginals.mass,
        check_epsilon(epsilon, epsilon_scale, marginals.a, marginals.b, ground, settings.n_threads),
        ground.dtype if marginals.dtype is None else np.result_type(ground.dtype, marginals.dtype),
    )
    return solve(problem, settings, start, name="sinkhorn", stacklevel=3)


def solve(
    problem: Problem, settings: Settings, start: Potentials | None = None, *, name: str, stacklevel: int
) -> TransportResult:
    """The solution of a checked problem, balanced or not; `name` is the function that its warning speaks for."""
    if problem.epsilon == 0:
        return constant_result(problem, settings)
    f, g = _start(problem, settings) if start is None else _centred(problem, *start)
    history = np.empty(settings.max_iter + 1)
    report = _core.transport.sinkhorn(
        a=problem.a,
        b=problem.b,
        **problem.ground.native,
        epsilon=problem.epsilon,
        rho_a=problem.rho_a,
        rho_b=problem.rho_b,
        f=f,
        g=g,
        tol=settings.tol,
        max_iter=settings.max_iter,
        method=settings.method,
        anderson=settings.anderson,
        n_threads=settings.n_threads,
        history=history,
    )
    mass, error = float(report["mass"]), float(report["marginal_error"])
    if not (math.isfinite(mass) and math.isfinite(error)):
        if settings.max_iter == 0:
            raise ValueError("init: expected potentials whose plan float64 holds, got ones where it overflows")
        raise FloatingPointError(
            f"{problem.ground.name}: expected costs whose spread over epsilon {problem.ground.dtype} holds, "
            f"got a plan of mass {mass} [scale them, or raise epsilon]"
        )
    result = make_result(problem, settings, (f, g), report, history[: int(report["n_iter"]) + 1].copy())
    if not result.converged:
        report_failure(result, settings, name, stacklevel + 1)
    return result


def _start(problem: Problem, settings: Settings) -> Potentials:
    """Zeros; where nothing follows, shifted to the smallest cost, so that no entry of their plan is above a_i b_j."""
    n, m = problem.shape
    smallest = 0.0
    if settings.max_iter == 0:
        statistics = _core.transport.cost_statistics(
            a=problem.a, b=problem.b, **problem.ground.native, n_threads=settings.n_threads
        )
        smallest = min(0.0, statistics[3])
    return np.full(n, smallest / 2), np.full(m, smallest / 2)


def _centred(problem: Problem, f: Vector, g: Vector) -> Potentials:
    """The same plan from potentials that stay of the size of the costs: the first f is made from g alone."""
    if not problem.balanced:
        return f, g
    shift = g[problem.b > 0].max()
    return f + shift, g - shift


def make_result(
    problem: Problem, settings: Settings, potentials: Potentials, report: dict[str, Any], history: Vector
) -> TransportResult:
    """What a native solver reports of a problem, whose mass is 1, as a result."""
    f, g = potentials
    mass, error = float(report["mass"]), float(report["marginal_error"])
    return TransportResult(
        cost=problem.mass * float(report["cost"]),
        regularised_cost=problem.mass * dual_value(problem, f, g, mass),
        f=f.astype(problem.dtype),
        g=g.astype(problem.dtype),
        plan=Plan(problem, f, g, settings.n_threads),
        marginal_error=error,
        n_iter=int(report["n_iter"]),
        converged=error <= settings.tol,
        method=str(report["method"]),
        epsilon=problem.epsilon,
        mass=problem.mass * mass,
        history=history,
        potentials=potentials,
        _certify=functools.partial(certify, problem, f, g, mass, settings.n_threads),
    )


def constant_result(problem: Problem, settings: Settings) -> TransportResult:
    """All costs are the same, and so are all couplings: the product of the weights, which any epsilon would choose."""
    n, m = problem.shape
    constant = _core.transport.cost_statistics(
        a=problem.a, b=problem.b, **problem.ground.native, n_threads=settings.n_threads
    )[3]
    any_epsilon = replace(problem, epsilon=1.0)
    f, g = np.full(n, constant / 2), np.full(m, constant / 2)
    g = np.where(problem.b > 0, g, least_slack(problem, f, settings.n_threads))
    f = np.where(problem.a > 0, f, least_slack(problem, g, settings.n_threads, of_rows=True))
    report = {"cost": constant, "mass": 1.0, "marginal_error": 0.0, "n_iter": 0, "method": "log"}
    return replace(make_result(any_epsilon, settings, (f, g), report, np.zeros(1)), epsilon=0.0)


def report_failure(result: Any, settings: Settings, name: str, stacklevel: int) -> None:
    """Warns of, or raises, a result that has not converged."""
    message = (
        f"{name}: not converged in {result.n_iter} iterations: the marginal error is {result.marginal_error:.3g}, "
        f"tol is {settings.tol:.3g} [raise max_iter, epsilon or tol]"
    )
    if settings.on_failure == "raise":
        raise ConvergenceError(message, result)
    warnings.warn(message, ConvergenceWarning, stacklevel=stacklevel)
