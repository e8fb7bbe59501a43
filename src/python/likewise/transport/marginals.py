"""The weights of both sides: what can be a distribution, and how much mass it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array

__all__ = ["Marginals", "Weights", "check_equal_mass", "check_marginals", "check_weights"]

Vector = NDArray[np.float64]

# How far two masses may differ, relative to their size, before one of them is a mistake and not a rounding.
_TOLERANCE = {4: 1e-5, 8: 1e-9}


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights >= 0 of finite, positive sum `mass`; `dtype` is that of the argument, None where it was left out."""

    values: Vector
    mass: float
    dtype: np.dtype[Any] | None


@dataclass(frozen=True, eq=False)
class Marginals:
    """Both sides scaled to mass 1, and the mass that they had."""

    a: Vector
    b: Vector
    mass: float
    dtype: np.dtype[Any] | None  # of the wider one; None where both were left out


def check_weights(value: Any, name: str, size: int) -> Weights:
    """Weights of `size` points as float64, unscaled; None: uniform, of mass 1."""
    if value is None:
        return Weights(np.full(size, 1 / size), 1.0, None)
    given = check_array(value, name, ndim=1)
    if len(given) != size:
        raise ValueError(f"{name}: expected {size} weights, one a point, got {len(given)}")
    if given.min() < 0:
        position = int(np.argmax(given < 0))
        raise ValueError(f"{name}: expected weights >= 0, got {given[position]} at position {position}")
    with np.errstate(over="ignore"):
        mass = float(given.sum(dtype=np.float64))
    if not 0 < mass < np.inf:
        raise ValueError(f"{name}: expected weights of a positive, finite sum, got the sum {mass}")
    return Weights(given.astype(np.float64, copy=False), mass, given.dtype)


def check_equal_mass(left: Weights, right: Weights, where: str = "") -> float:
    """The mass of both sides: that of a, or of b where a was left out.

    They may differ by rounding: 1e-9 of their size, 1e-5 if either is float32. `where` says which problem it is.
    """
    if left.dtype is None:
        return right.mass
    if right.dtype is not None:
        tolerance = _TOLERANCE[min(left.dtype.itemsize, right.dtype.itemsize)]
        if abs(left.mass - right.mass) > tolerance * max(left.mass, right.mass):
            raise ValueError(
                f"b{where}: expected the mass of a{where}, {left.mass}, got {right.mass} "
                "[normalise both, or use unbalanced or partial]"
            )
    return left.mass


def check_marginals(a: Any, b: Any, n: int, m: int) -> Marginals:
    """Weights of n and of m points with one mass; a side that is left out is uniform, of the other's mass.

    Where the masses differ by rounding, b is scaled to the mass of a.
    """
    left, right = check_weights(a, "a", n), check_weights(b, "b", m)
    mass = check_equal_mass(left, right)
    dtypes = [weights.dtype for weights in (left, right) if weights.dtype is not None]
    return Marginals(
        left.values / left.mass, right.values / right.mass, mass, np.result_type(*dtypes) if dtypes else None
    )
