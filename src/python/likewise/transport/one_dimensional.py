"""Transport on the line, by sorting, and its mean over random directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_bool, check_random_state, check_scalar_float, check_scalar_int
from .marginals import Vector, check_marginals

__all__ = ["sliced_wasserstein", "wasserstein_1d"]

_BLOCK_VALUES = 1 << 20  # of the projected points that a block of directions holds
_SAFE = 1e150  # p-th powers of differences between 1 / _SAFE and _SAFE need no scaling


def wasserstein_1d(x: Any, y: Any, *, a: Any = None, b: Any = None, p: float = 1.0, power: bool = False) -> float:
    """Exact transport between points on the line, ``W_p = (min sum P_ij |x_i - y_j|^p)^(1/p)``, by sorting them.

    Parameters
    ----------
    x, y : array-like of shapes (n,) and (m,)
        Points.
    a, b : array-like of shapes (n,) and (m,), optional
        Weights >= 0 of equal mass; None: uniform.
    p : float, default 1.0
        At least 1.
    power : bool, default False
        Return ``W_p^p``, which is the cost of the optimal plan.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        Points or weights that are not finite, weights that are negative or of different masses, p < 1.
    FloatingPointError
        The result is beyond float64.

    Notes
    -----
    For p >= 1 the sorted order is optimal: ``W_p^p`` is the integral over q of the p-th power of the difference of both
    quantile functions (Villani, Topics in Optimal Transportation, 2003, section 2.2). O(n log n + m log m).

    Examples
    --------
    >>> import likewise as lw
    >>> round(lw.transport.wasserstein_1d([0, 1, 3], [0.5, 2, 2.5], a=[0.5, 0.3, 0.2], b=[0.4, 0.4, 0.2]), 12)
    0.8
    >>> round(lw.transport.wasserstein_1d([0, 1, 3], [0.5, 2, 2.5], a=[0.5, 0.3, 0.2], b=[0.4, 0.4, 0.2], p=2) ** 2, 12)
    0.85
    """
    left, right = check_array(x, "x", ndim=1), check_array(y, "y", ndim=1)
    order = check_scalar_float(p, "p", minimum=1)
    power = check_bool(power, "power")
    dtype = np.result_type(left, right)
    weights, mass = _weights(a, b, len(left), len(right))
    left, right = left.astype(dtype, copy=False)[None], right.astype(dtype, copy=False)[None]
    return _result(*_powers(left, right, weights, order), mass, order, power)


def sliced_wasserstein(
    x: Any, y: Any, *, a: Any = None, b: Any = None, p: float = 2.0, n_projections: int = 50, random_state: Any = 0
) -> float:
    """The sliced distance: ``W_p^p`` of the points' projections, averaged over random directions, to the power 1/p.

    Parameters
    ----------
    x, y : array-like of shapes (n, d) and (m, d)
        Points.
    a, b : array-like of shapes (n,) and (m,), optional
        Weights >= 0 of equal mass; None: uniform.
    p : float, default 2.0
        At least 1.
    n_projections : int, default 50
        Directions, uniform on the sphere. Those of fewer projections are the first of those of more.
    random_state : int, Generator, RandomState or None, default 0
        Draws the directions.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As `wasserstein_1d`; points of different dimension.
    FloatingPointError
        The result is beyond float64.

    Notes
    -----
    O(n_projections (n d + n log n)), in float64. The standard error falls with the square root of n_projections.

    References
    ----------
    Bonneel, Rabin, Peyre, Pfister, "Sliced and Radon Wasserstein barycenters of measures", JMIV 2015.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> x = np.random.default_rng(0).standard_normal((200, 3))
    >>> round(lw.transport.sliced_wasserstein(x, x + [3, 0, 0], n_projections=2000), 1)  # 3 / sqrt(3)
    1.7
    """
    left, right = check_array(x, "x"), check_array(y, "y")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"y: expected {left.shape[1]} columns, as x has, got {right.shape[1]}")
    order = check_scalar_float(p, "p", minimum=1)
    n_directions = check_scalar_int(n_projections, "n_projections", minimum=1, maximum=2**31 - 1)
    seed = check_random_state(random_state)
    weights, mass = _weights(a, b, len(left), len(right))
    left, right = left.astype(np.float64, copy=False), right.astype(np.float64, copy=False)
    size = max(float(np.abs(left).max()), float(np.abs(right).max()))
    exponent = _exponent(size, order)
    step = max(1, _BLOCK_VALUES // max(len(left), len(right)))
    total = 0.0
    if exponent:
        left, right = np.ldexp(left, -exponent), np.ldexp(right, -exponent)
    for first in range(0, n_directions, step):
        block = _directions(first, min(step, n_directions - first), left.shape[1], seed)
        total += float(_powers(block @ left.T, block @ right.T, weights, order, 0)[0].sum())
    return _result(np.array([total / n_directions]), exponent, mass, order, False)


def _directions(first: int, n: int, d: int, seed: int) -> Vector:
    """Directions `first` to first + n - 1 of the seed's: images of unit vectors under a Gaussian matrix, normalised."""
    directions = np.empty((n, d))
    _core.projection.Projection("gaussian", first + n, d, seed).rows(first, directions)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions


def _weights(a: Any, b: Any, n: int, m: int) -> tuple[tuple[Vector | None, Vector | None], float]:
    """Weights of mass 1, None where they are uniform, and the mass they had."""
    if a is None and b is None:
        return (None, None), 1.0
    sides = check_marginals(a, b, n, m)
    return (None if a is None else sides.a, None if b is None else sides.b), sides.mass


def _exponent(size: float, p: float) -> int:
    """The power of two to divide differences of this size by, so that their p-th powers are within float64."""
    if size == 0 or abs(p * math.log10(size)) <= math.log10(_SAFE):
        return 0
    return min(max(math.frexp(size)[1], -1000), 1020)


def _powers(
    x: NDArray[Any],
    y: NDArray[Any],
    weights: tuple[Vector | None, Vector | None],
    p: float,
    exponent: int | None = None,
) -> tuple[Vector, int]:
    """W_p^p of each row of points, of mass 1, in units of 2^(p exponent), and the exponent."""
    sides: list[NDArray[Any]] = []
    kept: list[Vector | None] = []
    for points, weight in ((x, weights[0]), (y, weights[1])):
        if weight is None:
            sides.append(np.sort(points, axis=1))
            kept.append(None)
        else:
            order = np.argsort(points, axis=1)
            sides.append(np.take_along_axis(points, order, axis=1))
            kept.append(weight[order])
    left, right = sides
    if exponent is None:
        with np.errstate(over="ignore"):
            spread = max(abs(float(left[0, 0]) - float(right[0, -1])), abs(float(left[0, -1]) - float(right[0, 0])))
        exponent = 1020 if math.isinf(spread) else _exponent(spread, p)
    found = _core.transport.sorted_transport(left, right, kept[0], kept[1], p, math.ldexp(1.0, -exponent))
    return found, exponent


def _result(powers: Vector, exponent: int, mass: float, p: float, power: bool) -> float:
    value = float(powers[0]) * mass
    try:
        if exponent == 0:
            result = value if power else value ** (1 / p)
        else:
            distance = math.ldexp(value ** (1 / p), exponent)
            result = distance**p if power else distance
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise FloatingPointError(f"x: expected points whose W_p{'^p' if power else ''} float64 holds with p={p:g}")
    return result
