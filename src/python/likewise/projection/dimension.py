"""How many dimensions keep all distances of N points: the bounds of Johnson-Lindenstrauss, and exact answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import check_choice, check_scalar_float, check_scalar_int, describe
from .tails import beta_tail, chi2_tail

__all__ = ["METHODS", "check_fraction", "min_dim", "smallest_epsilon"]

METHODS = ("chi2", "beta", "dasgupta-gupta", "su", "entropy")
_MOST = 2**53  # dimensions and points up to here are exact as floats


@overload
def min_dim(
    n_samples: int,
    epsilon: float = ...,
    delta: float | None = ...,
    method: str = ...,
    n_features: int | None = ...,
) -> int: ...


@overload
def min_dim(
    n_samples: ArrayLike,
    epsilon: ArrayLike = ...,
    delta: ArrayLike | None = ...,
    method: str = ...,
    n_features: ArrayLike | None = ...,
) -> int | NDArray[np.int64]: ...


def min_dim(
    n_samples: Any, epsilon: Any = 0.1, delta: Any = 0.01, method: str = "chi2", n_features: Any = None
) -> int | NDArray[np.int64]:
    """The number of dimensions in which all squared distances of N points are within a factor 1 +- epsilon.

    Where N(N-1)/2 pairs each go wrong with probability p, all are right with probability at least 1 - N(N-1)/2 p: the
    answer is the smallest k at which that product is at most `delta`. A *typical* pair needs far fewer dimensions:
    ``n_samples=2`` is the answer for one pair.

    Parameters
    ----------
    n_samples : int or array of int
        N, at least 2.
    epsilon : float or array of float, default 0.1
        In (0, 1): the relative error of a squared distance that is allowed.
    delta : float, array of float or None, default 0.01
        In (0, 1): how probable it may be that any pair is worse. None: "dasgupta-gupta" as scikit-learn has it, which
        is sure to succeed with probability 1/N only, and "su" as in its source, 1 - 1/N.
    method : {"chi2", "beta", "dasgupta-gupta", "su", "entropy"}, default "chi2"
        - "chi2": with the exact probability of a Gaussian projection.
        - "beta": with that of orthonormal rows, which never needs more than n_features; for "hadamard" and "srht" it is
          supported by measurement.
        - "dasgupta-gupta": ``ceil(ln(N(N-1)/delta) / (epsilon^2/4 - epsilon^3/6))``; without delta scikit-learn's
          ``floor(4 ln N / (epsilon^2/2 - epsilon^3/3))``.
        - "su": ``ceil(8 ln(N(N-1)/delta) / epsilon^2)``; without delta ``floor(24 ln N / epsilon^2) + 1``.
        - "entropy": ``ceil(8.33 ln N)``, a rule of thumb for the size of an embedding; knows no epsilon.
    n_features : int, array of int or None
        The dimension d that the points have; needed by "beta".

    Returns
    -------
    int, or ndarray of int64
        The dimension; an array of the common shape if any argument is one.

    Raises
    ------
    ValueError, TypeError
        An argument is out of its range or of another kind.

    References
    ----------
    .. [1] S. Dasgupta, A. Gupta, An elementary proof of a theorem of Johnson and Lindenstrauss, 2003.
    .. [2] Su Jianlin, https://kexue.fm/archives/8679 ("su") and https://kexue.fm/archives/7695 ("entropy").

    Examples
    --------
    >>> import likewise as lw
    >>> lw.projection.min_dim(10_000, 0.2)
    2206
    >>> lw.projection.min_dim(10_000, 0.2, method="beta", n_features=768)
    580
    >>> lw.projection.min_dim(2, 0.1)
    1330
    >>> lw.projection.min_dim([100, 10_000], 0.5)
    array([222, 411])
    """
    check_choice(method, "method", METHODS)
    if delta is None and method in ("chi2", "beta"):
        raise ValueError(f"delta: expected a number in (0, 1) for method={method!r}, got None")
    if n_features is None and method == "beta":
        raise ValueError("n_features: expected the number of features for method='beta', got None")
    given = [n_samples, epsilon, delta, n_features]
    if not any(isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.ndim > 0) for x in given):
        return _min_dim(n_samples, epsilon, delta, method, n_features)
    names = ("n_samples", "epsilon", "delta", "n_features")
    columns = [_as_objects(value, name) for value, name in zip(given, names, strict=True)]
    try:
        table = np.broadcast(*columns)
    except ValueError:
        shapes = ", ".join(str(column.shape) for column in columns)
        raise ValueError(f"n_samples: expected arguments of shapes that broadcast, got {shapes}") from None
    answers = np.empty(table.size, np.int64)
    for i, (n, e, p, d) in enumerate(table):
        answers[i] = _min_dim(n, e, p, method, d)
    return answers.reshape(table.shape)


def _as_objects(value: Any, name: str) -> NDArray[np.object_]:
    """Each element as it came, so that 10 and 10.5 keep their kinds."""
    try:
        array = np.asarray(value)
        return array if array.dtype == object else np.asarray(value, dtype=object)
    except ValueError:
        raise ValueError(f"{name}: expected a rectangular array of numbers, got a ragged {describe(value)}") from None


def _min_dim(n_samples: Any, epsilon: Any, delta: Any, method: str, n_features: Any) -> int:
    n = check_scalar_int(n_samples, "n_samples", minimum=2, maximum=_MOST)
    e = check_fraction(epsilon, "epsilon")
    p = None if delta is None else check_fraction(delta, "delta")
    d = None if n_features is None else check_scalar_int(n_features, "n_features", minimum=1, maximum=_MOST)
    if method == "entropy":
        return math.ceil(8.33 * math.log(n))
    if method == "su":
        needed = 24 * math.log(n) / e**2 if p is None else 8 * math.log(n * (n - 1) / p) / e**2
        return _whole(math.floor(_fits(needed)) + 1 if p is None else math.ceil(_fits(needed)))
    if method == "dasgupta-gupta":
        if p is None:
            return _whole(math.floor(_fits(4 * math.log(n) / (e**2 / 2 - e**3 / 3))))
        return _whole(math.ceil(_fits(math.log(n * (n - 1) / p) / (e**2 / 4 - e**3 / 6))))
    assert p is not None
    # Dasgupta and Gupta bound the same event from above: a place to start from.
    guess = _fits(math.log(n * (n - 1) / p) / (e**2 / 4 - e**3 / 6))
    allowed = p / (n * (n - 1) / 2)
    if method == "chi2":
        return _smallest(lambda k: chi2_tail(k, e) <= allowed, round(guess), _MOST)
    assert d is not None
    return _smallest(lambda k: beta_tail(k, d, e) <= allowed, round(1 / (1 / guess + 1 / d)), d)


def _smallest(holds: Callable[[int], bool], guess: int, most: int) -> int:
    """The smallest k in [1, most] for which `holds`, which stays true once it is."""
    high = max(1, min(guess, most))
    while high < most and not holds(high):
        high = min(2 * high, most)
    low, step = high, 1  # holds(high) from here on; look for a low that does not
    while low > 0 and holds(low):
        high, low, step = low, max(0, low - step), 4 * step
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def smallest_epsilon(n_samples: int, delta: float, k: int) -> float:
    """The epsilon that k dimensions allow for all pairs of n_samples points, by the exact chi-square tail."""
    allowed = delta / (n_samples * (n_samples - 1) / 2)
    low, high = 0.0, 1.0
    while chi2_tail(k, high) > allowed:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if chi2_tail(k, middle) > allowed else (low, middle)
    return high


def check_fraction(value: object, name: str) -> float:
    """A number in (0, 1)."""
    if isinstance(value, float | np.floating) and not 0 < value < 1:  # NaN too
        raise ValueError(f"{name}: expected a number in (0, 1), got {value}")
    number = check_scalar_float(value, name)
    if not 0 < number < 1:
        raise ValueError(f"{name}: expected a number in (0, 1), got {number:g}")
    return number


def _fits(needed: float) -> float:
    if not needed < _MOST:
        raise ValueError(f"epsilon: expected a value that needs fewer than 2**53 dimensions, got one for {needed:.3g}")
    return needed


def _whole(k: int) -> int:
    return max(1, k)
