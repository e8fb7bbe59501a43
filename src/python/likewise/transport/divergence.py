"""The Sinkhorn divergence: entropic transport without its bias."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_bool
from .marginals import Vector, check_marginals
from .problem import GroundCost, Problem, check_epsilon, check_ground_cost, check_settings
from .results import TransportResult
from .sinkhorn import solve

__all__ = ["sinkhorn_divergence"]


def sinkhorn_divergence(
    a: Any,
    b: Any,
    *,
    x: Any,
    y: Any,
    metric: str = "sqeuclidean",
    epsilon: float | None = None,
    epsilon_scale: str = "mean",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    method: str = "auto",
    anderson: int = 10,
    on_failure: str = "warn",
    n_threads: int | None = None,
    return_grad: bool = False,
) -> float | tuple[float, NDArray[Any], NDArray[Any]]:
    """Sinkhorn divergence: ``OT(a, b) - (OT(a, a) + OT(b, b)) / 2`` of regularised costs, with one epsilon for all.

    Parameters
    ----------
    a, b : array-like of shapes (n,) and (m,), or None
        Weights >= 0 of equal mass; None: uniform.
    x, y : array-like of shapes (n, d) and (m, d)
        Points.
    metric, epsilon, epsilon_scale, tol, max_iter, method, anderson, on_failure, n_threads
        As for `sinkhorn`; a relative epsilon is that of the cost between x and y.
    return_grad : bool, default False
        Return the derivatives by x and by y as well.

    Returns
    -------
    value : float
        >= 0 within tol, and 0 where both sides are the same.
    grad_x, grad_y : ndarray of shapes (n, d) and (m, d)
        With ``return_grad=True``; epsilon counts as a constant.

    Raises
    ------
    ValueError, TypeError, ConvergenceError

    Warns
    -----
    ConvergenceWarning
        One of the three problems has not converged.

    References
    ----------
    .. [1] J. Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn divergences, AISTATS 2019.

    Examples
    --------
    >>> import likewise as lw
    >>> x, y = [[0.0], [1.0], [3.0]], [[0.5], [2.0], [2.5]]
    >>> a, b = [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]
    >>> round(lw.transport.sinkhorn_divergence(a, b, x=x, y=y, epsilon=1.0, epsilon_scale="absolute"), 6)
    0.73109
    """
    settings = check_settings(
        tol=tol, max_iter=max_iter, n_threads=n_threads, method=method, anderson=anderson, on_failure=on_failure
    )
    with_grad = check_bool(return_grad, "return_grad")
    ground = check_ground_cost(None, x, y, metric)
    marginals = check_marginals(a, b, *ground.shape)
    absolute = check_epsilon(epsilon, epsilon_scale, marginals.a, marginals.b, ground, settings.n_threads)
    if absolute == 0:
        if epsilon_scale == "std":
            raise ValueError("epsilon_scale: expected costs that vary, got equal ones [use epsilon_scale='mean']")
        return (0.0, np.zeros_like(ground.x), np.zeros_like(ground.y)) if with_grad else 0.0  # all points in one place

    def solved(side: GroundCost, p: Vector, q: Vector) -> TransportResult:
        problem = Problem(side, p, q, marginals.mass, absolute, ground.dtype)
        return solve(problem, settings, name="sinkhorn_divergence", stacklevel=4)

    cross = solved(ground, marginals.a, marginals.b)
    first = solved(GroundCost(None, ground.x, ground.x, ground.metric), marginals.a, marginals.a)
    second = solved(GroundCost(None, ground.y, ground.y, ground.metric), marginals.b, marginals.b)
    value = cross.regularised_cost - (first.regularised_cost + second.regularised_cost) / 2
    if not with_grad:
        return value
    # x moves both sides of its own term, which is symmetric: half of twice one side.
    return value, cross.gradient("x") - first.gradient("x"), cross.gradient("y") - second.gradient("x")
