"""Entropic barycentres of histograms on one support."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_choice
from .marginals import Vector, check_weights
from .problem import GroundCost, Settings, check_epsilon, check_ground_cost, check_settings
from .sinkhorn import report_failure

__all__ = ["BarycenterResult", "barycenter"]

_SYMMETRY = 1e-6  # of the largest cost: how far a symmetric one may be off by rounding


@dataclass(frozen=True, eq=False)
class BarycenterResult:
    """A barycentre, and how far its iterations came.

    Attributes
    ----------
    histogram : ndarray of shape (n,)
        Weights of the barycentre, of the histograms' mass.
    marginal_error : float
        Mean over the histograms (with their weights) of ``|P_k 1 - p_k|_1``, relative to the mass; the other marginals
        of the plans are equal to one another. ``'debiased'`` adds the same of the barycentre's plan to itself.
    n_iter : int
    converged : bool
        Whether ``marginal_error <= tol``.
    epsilon : float
        The absolute strength of the entropy.
    method : str
    history : ndarray of float64
        The marginal errors, one an iteration.
    """

    histogram: NDArray[Any] = field(repr=False)
    marginal_error: float
    n_iter: int
    converged: bool
    epsilon: float
    method: str
    history: NDArray[np.float64] = field(repr=False)


def barycenter(
    histograms: Any,
    cost: Any,
    *,
    weights: Any = None,
    method: str = "debiased",
    epsilon: float | None = None,
    epsilon_scale: str = "mean",
    tol: float = 1e-6,
    max_iter: int = 10_000,
    on_failure: str = "warn",
    n_threads: int | None = None,
) -> BarycenterResult:
    """The histogram q with the least weighted sum of entropic transport costs to K others on the same support.

    Parameters
    ----------
    histograms : array-like of shape (K, n)
        Weights >= 0, all rows of one mass.
    cost : array-like of shape (n, n)
        Between the points of the support; symmetric for ``'debiased'``.
    weights : array-like of shape (K,), optional
        Of the histograms, scaled to sum 1; None: equal ones.
    method : {'debiased', 'ibp'}
        ``'ibp'`` measures the entropy against the uniform measure, which blurs (a Gaussian's variance grows by
        epsilon / 2); ``'debiased'`` takes the blur out [2]_.
    epsilon, epsilon_scale
        As for `sinkhorn`, the scale under the weighted mean of the histograms (on both sides).
    tol : float, default 1e-6
        Bound of the marginal error.
    max_iter, on_failure, n_threads
        As for `sinkhorn`.

    Returns
    -------
    BarycenterResult

    Raises
    ------
    ValueError, TypeError, ConvergenceError

    Warns
    -----
    ConvergenceWarning

    References
    ----------
    .. [1] J.-D. Benamou et al., Iterative Bregman projections for regularized transportation problems, SIAM Journal on
       Scientific Computing 2015.
    .. [2] H. Janati, M. Cuturi, A. Gramfort, Debiased Sinkhorn barycenters, ICML 2020.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> grid = np.linspace(-6, 7, 131)
    >>> bumps = np.exp(-((grid - np.array([[-1.0], [2.0]])) ** 2))
    >>> q = lw.transport.barycenter(bumps / bumps.sum(axis=1, keepdims=True), (grid[:, None] - grid) ** 2).histogram
    >>> round(float(q @ grid), 3)
    0.5
    """
    settings = check_settings(tol=tol, max_iter=max_iter, n_threads=n_threads, on_failure=on_failure)
    method = check_choice(method, "method", ("debiased", "ibp"))
    given = check_array(histograms, "histograms")
    k, n = given.shape
    ground = check_ground_cost(cost, None, None, "sqeuclidean")
    if ground.shape != (n, n):
        raise ValueError(f"cost: expected shape ({n}, {n}), as histograms have {n} columns, got {ground.shape}")
    if method == "debiased":
        _check_symmetric(ground)
    marginals, mass = _check_histograms(given)
    shares = check_weights(weights, "weights", k)
    w = shares.values / shares.mass
    mean = w @ marginals
    absolute = check_epsilon(epsilon, epsilon_scale, mean, mean, ground, settings.n_threads, exact="an exact solver")
    if absolute == 0:  # all mass in one place, or no cost at all: the mean is as good as any
        q, errors = mean, [0.0]
    else:
        q, errors = _iterate(marginals, w, ground, absolute, settings, debiased=method == "debiased")
    dtype = np.result_type(ground.dtype, given.dtype)
    result = BarycenterResult(
        (mass * q).astype(dtype), errors[-1], len(errors) - 1, errors[-1] <= settings.tol, absolute, method,
        np.array(errors),
    )  # fmt: skip
    if not result.converged:
        report_failure(result, settings, "barycenter", stacklevel=3)
    return result


def _check_symmetric(ground: GroundCost) -> None:
    cost = ground.cost
    assert cost is not None
    allowed = _SYMMETRY * max(abs(float(cost.max())), abs(float(cost.min())))
    for i in range(len(cost)):
        off = np.abs(cost[i] - cost[:, i])
        if off.max() > allowed:
            j = int(off.argmax())
            raise ValueError(
                f"cost: expected a symmetric matrix for method='debiased', got {cost[i, j]} and {cost[j, i]} "
                f"at row {i}, column {j} and across [use method='ibp']"
            )


def _check_histograms(given: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """The rows scaled to mass 1, and the mass that they had."""
    if given.min() < 0:
        row, column = divmod(int(np.argmax(given < 0)), given.shape[1])
        raise ValueError(f"histograms: expected weights >= 0, got {given[row, column]} at row {row}, column {column}")
    masses = given.sum(axis=1, dtype=np.float64)
    positive = (masses > 0) & np.isfinite(masses)
    if not positive.all():
        row = int(np.argmin(positive))
        raise ValueError(f"histograms: expected rows of a positive, finite sum, got the sum {masses[row]} at row {row}")
    tolerance = 1e-5 if given.dtype.itemsize == 4 else 1e-9
    off = np.abs(masses - masses[0]) > tolerance * masses[0]
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"histograms: expected rows of one mass, {masses[0]}, got {masses[row]} at row {row} [normalise them]"
        )
    return given / masses[:, None], float(masses[0])


def _iterate(
    p: NDArray[np.float64], w: Vector, ground: GroundCost, epsilon: float, settings: Settings, *, debiased: bool
) -> tuple[Vector, list[float]]:
    """Bregman projections in the log domain: u_k = p_k / K v_k, q = d prod (K^T u_k)^w_k, v_k = q / K^T u_k; d = 1, or
    d = sqrt(d q / K d).

    All names that follow stand for logarithms of these.
    """

    def apply(logs: Vector, *, transpose: bool) -> Vector:
        """log K exp(logs), from soft minima."""
        out = np.empty(len(logs))
        _core.transport.soft_min(
            potential=epsilon * logs,
            **ground.native,
            epsilon=epsilon,
            out=out,
            transpose=transpose,
            n_threads=settings.n_threads,
        )
        return out / -epsilon

    with np.errstate(divide="ignore"):
        log_p = np.log(p)
        q = np.log(w @ p)
    u, v = np.zeros_like(p), np.zeros_like(p)
    d = np.zeros(p.shape[1])
    errors: list[float] = []
    for iteration in range(settings.max_iter + 1):
        kv = np.stack([apply(row, transpose=False) for row in v])
        errors.append(float(w @ np.abs(np.exp(u + kv) - p).sum(axis=1)))  # the columns are exact after an iteration
        if debiased:  # at the solution, d K d is a plan between q and itself
            kd = apply(d, transpose=False)
            errors[-1] += float(np.abs(np.exp(d + kd) - np.exp(q)).sum())
        if errors[-1] <= settings.tol or iteration == settings.max_iter:
            break
        u = log_p - kv
        ku = np.stack([apply(row, transpose=True) for row in u])
        q = w @ ku
        if debiased:
            q = q + d
            d = (d + q - kd) / 2
        v = q - ku
    return np.exp(q), errors
