"""How often a squared length strays from its mean: exact tails of the two laws that projections follow.

Both densities are log-concave and peak at the mean once they are written in log t (gamma) or log t/(1-t) (beta). So a
tail is its density where it starts, times the integral of a smooth function that only falls: Gauss-Legendre sums it to
about 14 digits, for a hundred dimensions as for 10^15, however rare the event.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["beta_tail", "chi2_quantile", "chi2_tail"]

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_DEPTH = 45.0  # e^-45 of the first value: less than an ulp of the integral is left out
_N_PANELS = 32
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_POINTS = ((np.arange(_N_PANELS)[:, None] + (_NODES + 1) / 2) / _N_PANELS).ravel()
_POINT_WEIGHTS = np.tile(_WEIGHTS / (2 * _N_PANELS), _N_PANELS)


def chi2_tail(k: int, epsilon: float) -> float:
    """P(|chi2_k / k - 1| > epsilon): how often a Gaussian projection to k dimensions errs by more than epsilon.

    Parameters
    ----------
    k : int
        Degrees of freedom, at least 1.
    epsilon : float
        In (0, infinity); from 1 on, only the upper tail is left.
    """
    a = k / 2
    # The density of log t at its peak, times e^(-a gap(e)) at t = a (1 + e).
    peak = math.sqrt(a / (2 * math.pi)) * math.exp(-_stirling(a))
    total = 0.0
    for sign in (1, -1):
        e = sign * epsilon
        if e <= -1:
            continue
        x = a * (1 + e)

        def fall(v: NDArray[np.float64], sign: int = sign, x: float = x) -> NDArray[np.float64]:
            return a * epsilon * v + x * _exp_rest(sign * v)

        total += math.exp(-a * _log_gap(e)) * _integrate(fall, a * epsilon)
    return min(1.0, peak * total)


def beta_tail(k: int, d: int, epsilon: float) -> float:
    """P(|(d/k) B - 1| > epsilon) for B ~ Beta(k/2, (d-k)/2): the same for k random orthonormal directions of d.

    Parameters
    ----------
    k, d : int
        1 <= k <= d; at k = d nothing is lost and the tail is 0.
    epsilon : float
        In (0, 1).
    """
    if k == d:
        return 0.0
    a, b = k / 2, (d - k) / 2
    peak = math.sqrt(a / (2 * math.pi) * (b / (a + b))) * math.exp(_stirling(a + b) - _stirling(a) - _stirling(b))
    total = 0.0
    for sign in (1, -1):
        e = sign * epsilon
        opposite = -e * (a / b)  # relative change of 1 - t
        if opposite <= -1:
            continue  # more than everything: cannot be
        x = a / (a + b) * (1 + e)

        def fall(v: NDArray[np.float64], sign: int = sign, x: float = x) -> NDArray[np.float64]:
            return a * epsilon * v + (a + b) * (np.log1p(x * np.expm1(sign * v)) - sign * x * v)

        total += math.exp(-a * _log_gap(e) - b * _log_gap(opposite)) * _integrate(fall, a * epsilon)
    return min(1.0, peak * total)


def chi2_quantile(k: int, probability: float) -> float:
    """The epsilon that |chi2_k / k - 1| stays below with this probability."""
    low, high = 0.0, 1.0
    while chi2_tail(k, high) > 1 - probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if chi2_tail(k, middle) > 1 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _integrate(fall: Function, slope: float) -> float:
    """The integral of exp(-fall(v)) from 0 on; fall is convex, 0 at 0 and has this slope there."""
    with np.errstate(over="ignore", invalid="ignore"):
        end = _DEPTH / slope  # a convex function is above its tangent
        while not fall(np.array([end / 2]))[0] <= _DEPTH:  # also where it overflows to inf or NaN
            end /= 2
        return end * float(_POINT_WEIGHTS @ np.exp(-fall(end * _POINTS)))


def _exp_rest(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^v - 1 - v, without cancellation where all v are small."""
    if np.abs(v).max() > 0.25:
        return np.expm1(v) - v
    rest = np.ones_like(v)
    for n in range(14, 2, -1):
        rest = 1 + rest * v / n
    return rest * v * v / 2


def _log_gap(e: float) -> float:
    """e - log(1 + e), without cancellation."""
    if abs(e) > 0.1:
        return e - math.log1p(e)
    return math.fsum((-e) ** n / n for n in range(2, 20))


def _stirling(a: float) -> float:
    """log Gamma(a) minus its leading part (a - 1/2) log a - a + log(2 pi)/2."""
    if a < 10:
        return math.lgamma(a) - ((a - 0.5) * math.log(a) - a + 0.5 * math.log(2 * math.pi))
    r = 1 / (a * a)
    series = 1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))
    return series / a
