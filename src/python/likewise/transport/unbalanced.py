"""Entropic transport between weights of different mass: marginals at a price."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._validation import check_scalar_float
from .marginals import check_marginals, check_weights
from .problem import EPSILON, Problem, check_epsilon, check_ground_cost, check_settings, check_start
from .results import TransportResult
from .sinkhorn import solve

__all__ = ["unbalanced"]


def unbalanced(
    a: Any,
    b: Any,
    cost: Any = None,
    *,
    x: Any = None,
    y: Any = None,
    rho: float | tuple[float, float] = 1.0,
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
    """Unbalanced transport: ``min <P,C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b)``.

    Parameters
    ----------
    a, b : array-like of shapes (n,) and (m,), or None
        Weights >= 0 of any masses; None: uniform, of mass 1.
    cost, x, y, metric
        As for `sinkhorn`.
    rho : float or (float, float), default 1.0
        Price of a marginal that is not met, in units of the cost. ``inf`` makes it a constraint; both ``inf`` is
        `sinkhorn`.
    epsilon, epsilon_scale, tol, max_iter, method, anderson, init, on_failure, n_threads
        As for `sinkhorn`. Where the scale of the cost is 0, epsilon counts as absolute.

    Returns
    -------
    TransportResult
        ``regularised_cost`` is the whole objective; ``marginal_error`` is ``|P 1 - a exp(-f / rho_a)|_1`` and the same
        of the columns, relative to ``mass``, the sum of the plan.

    Raises
    ------
    ValueError, TypeError, ConvergenceError

    Warns
    -----
    ConvergenceWarning

    References
    ----------
    .. [1] L. Chizat, G. Peyre, B. Schmitzer, F.-X. Vialard, Scaling algorithms for unbalanced optimal transport
       problems, Mathematics of Computation 2018.

    Examples
    --------
    >>> import likewise as lw
    >>> r = lw.transport.unbalanced([1.0], [2.0], [[0.5]], rho=1.0, epsilon=0.1, epsilon_scale="absolute")
    >>> round(r.mass, 6), round(r.regularised_cost, 6)
    (1.133128, 0.820431)
    """
    settings = check_settings(
        tol=tol, max_iter=max_iter, n_threads=n_threads, method=method, anderson=anderson, on_failure=on_failure
    )
    rho_a, rho_b = check_rho(rho)
    ground = check_ground_cost(cost, x, y, metric)
    start = check_start(init, *ground.shape)
    balanced = rho_a == rho_b == math.inf
    if balanced:
        marginals = check_marginals(a, b, *ground.shape)
        left, right, mass = marginals.a, marginals.b, marginals.mass
        dtypes = [ground.dtype, *([marginals.dtype] if marginals.dtype is not None else [])]
    else:
        both = check_weights(a, "a", ground.shape[0]), check_weights(b, "b", ground.shape[1])
        left, right, mass = both[0].values, both[1].values, 1.0
        dtypes = [ground.dtype, *(w.dtype for w in both if w.dtype is not None)]
    absolute = check_epsilon(epsilon, epsilon_scale, left / left.sum(), right / right.sum(), ground, settings.n_threads)
    if absolute == 0 and not balanced:
        absolute = EPSILON if epsilon is None else float(epsilon)
    problem = Problem(ground, left, right, mass, absolute, np.result_type(*dtypes), rho_a, rho_b)
    return solve(problem, settings, start, name="unbalanced", stacklevel=3)


def check_rho(rho: Any) -> tuple[float, float]:
    """Two prices > 0, infinity among them."""
    pair = rho if isinstance(rho, tuple | list) else (rho, rho)
    if len(pair) != 2:
        raise ValueError(f"rho: expected a number or a pair of numbers, got {len(pair)} of them")
    prices = [
        math.inf if isinstance(price, float | np.floating) and price == math.inf
        else check_scalar_float(price, "rho", exclusive_minimum=0)
        for price in pair
    ]  # fmt: skip
    return prices[0], prices[1]
