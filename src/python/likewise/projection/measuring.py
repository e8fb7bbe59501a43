"""What a projection did to the distances of the data at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import check_array, check_indices, check_random_state, check_scalar_int, describe
from .sparse import Csr, check_csr, is_sparse
from .tails import chi2_quantile

__all__ = ["DistortionReport", "distortion"]

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99, 0.9999)
_BLOCK_VALUES = 1 << 20  # of each matrix that a block of pairs holds
Values = NDArray[np.float64]


@dataclass(frozen=True)
class DistortionReport:
    """How far squared distances and cosines of pairs have moved; see `distortion`.

    Attributes
    ----------
    ratio_squared : ndarray of float64, shape (n_pairs,)
        ``|Yi - Yj|^2 / |Xi - Xj|^2`` of each pair; its distance from 1 is the pair's *distortion*.
    cosine_error : ndarray of float64, shape (n_pairs,)
        ``cos(Yi, Yj) - cos(Xi, Xj)``; NaN where a row is zero, which has no cosine.
    quantiles : dict of float to float
        Quantiles of the absolute distortion.
    mean, std, max : float
        Mean and standard deviation of the distortion, and the largest absolute one.
    theory : dict
        ``"gaussian"``: std and quantiles of a Gaussian projection to as many dimensions; ``"orthonormal"``: std of
        orthonormal rows on spread data.
    n_skipped : int
        Pairs of equal rows, which have no ratio and are left out.
    n_features, n_components : int
        The dimensions d and k.
    """

    ratio_squared: Values = field(repr=False)
    cosine_error: Values = field(repr=False)
    n_skipped: int
    n_features: int
    n_components: int
    quantiles: dict[float, float] = field(init=False)
    mean: float = field(init=False)
    std: float = field(init=False)
    max: float = field(init=False)
    theory: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        moved = self.ratio_squared - 1
        size, k, d = np.abs(moved), self.n_components, self.n_features
        orthonormal = math.sqrt(max(0.0, 2 / k * (1 - k / d) * d / (d + 2)))
        derived = {
            "quantiles": {q: float(v) for q, v in zip(QUANTILES, np.quantile(size, QUANTILES), strict=True)},
            "mean": float(moved.mean()),
            "std": float(moved.std()),
            "max": float(size.max()),
            "theory": {
                "gaussian": {"std": math.sqrt(2 / k), "quantiles": {q: chi2_quantile(k, q) for q in QUANTILES}},
                "orthonormal": {"std": orthonormal},
            },
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values of single pairs, as JSON can hold it."""
        gaussian = self.theory["gaussian"]
        return {
            "n_pairs": len(self.ratio_squared),
            "n_skipped": self.n_skipped,
            "n_features": self.n_features,
            "n_components": self.n_components,
            "mean": self.mean,
            "std": self.std,
            "max": self.max,
            "quantiles": {str(q): value for q, value in self.quantiles.items()},
            "theory": {
                "gaussian": {
                    "std": gaussian["std"],
                    "quantiles": {str(q): value for q, value in gaussian["quantiles"].items()},
                },
                "orthonormal": dict(self.theory["orthonormal"]),
            },
        }

    def __str__(self) -> str:
        gaussian = self.theory["gaussian"]
        below = gaussian["quantiles"]
        lines = [
            f"distortion of squared distances, {self.n_features} -> {self.n_components} dimensions, "
            f"{len(self.ratio_squared)} pairs ({self.n_skipped} of equal rows left out)",
            f"{'':12}{'measured':>10}{'gaussian':>10}{'orthonormal':>13}",
            f"{'mean':12}{self.mean:10.4f}{0.0:10.4f}{0.0:13.4f}",
            f"{'std':12}{self.std:10.4f}{gaussian['std']:10.4f}{self.theory['orthonormal']['std']:13.4f}",
            *(f"{f'{100 * q:g}% below':12}{v:10.4f}{below[q]:10.4f}" for q, v in self.quantiles.items()),
            f"{'largest':12}{self.max:10.4f}",
        ]
        return "\n".join(line.rstrip() for line in lines)

    def plot(self, ax: Any = None) -> Any:
        """A histogram of the ratios; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from ..integrations.matplotlib import plot_distortion

        return plot_distortion(self, ax=ax)


def distortion(
    X: Any, Y: Any, *, n_pairs: int = 10_000, pairs: ArrayLike | None = None, random_state: Any = 0
) -> DistortionReport:
    """Measure what a projection, or any other map, did to squared distances and cosines of pairs of rows.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        The rows as they were.
    Y : array-like of shape (n, k), or a fitted estimator
        The rows as they are now; an estimator's ``transform`` is applied to the rows of the pairs, block by block.
    n_pairs : int, default 10 000
        Pairs to draw; all n(n-1)/2 of them where there are not more.
    pairs : array-like of int, shape (m, 2), optional
        These pairs instead.
    random_state : int, Generator, RandomState or None, default 0
        Draws the pairs.

    Returns
    -------
    DistortionReport

    Raises
    ------
    ValueError, TypeError
        Input that is not finite or does not fit together; fewer than two rows; every pair has equal rows.

    Notes
    -----
    Everything is computed in float64, in blocks of pairs, through numpy: on one machine the same call gives the same
    bits.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> X = np.random.default_rng(0).standard_normal((500, 1024), dtype=np.float32)
    >>> p = lw.projection.RandomProjection(256, random_state=0).fit(X)
    >>> report = lw.projection.distortion(X, p)
    >>> report.std < report.theory["gaussian"]["std"]
    True
    """
    before: Csr | NDArray[Any]
    if is_sparse(X):
        before = check_csr(X, "X", min_rows=2)
        before.check_finite("X")
        source = X.tocsr()
    else:
        before = check_array(X, "X", min_rows=2)
        source = X if hasattr(X, "columns") else before  # an estimator that was fitted with names wants them
    n = len(before)
    if hasattr(Y, "transform") and not hasattr(Y, "__array__"):

        def after(rows: NDArray[np.int64]) -> Values:
            images = Y.transform(source.iloc[rows] if hasattr(source, "iloc") else source[rows])
            result = np.asarray(images.toarray() if is_sparse(images) else images, np.float64)
            if result.ndim != 2 or len(result) != len(rows):
                raise ValueError(f"Y: expected transform to return {len(rows)} rows, got {describe(result)}")
            return result
    else:
        given = check_array(Y, "Y", min_rows=0)
        if len(given) != n:
            raise ValueError(f"Y: expected {n} rows, as X has, got {len(given)}")

        def after(rows: NDArray[np.int64]) -> Values:
            return given[rows].astype(np.float64)

    i, j = _pairs(n, n_pairs, pairs, random_state)
    return _measure(before, after, i, j)


def _pairs(n: int, n_pairs: int, pairs: Any, random_state: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if pairs is not None:
        chosen = check_indices(pairs, "pairs", n=n, ndim=2)
        if chosen.shape[1] != 2 or len(chosen) == 0:
            raise ValueError(f"pairs: expected an array of shape (m, 2) with m >= 1, got shape {chosen.shape}")
        return chosen[:, 0], chosen[:, 1]
    wanted = check_scalar_int(n_pairs, "n_pairs", minimum=1, maximum=2**40)
    seed = check_random_state(random_state)
    if n * (n - 1) // 2 <= wanted:
        return np.triu_indices(n, 1)
    generator = np.random.Generator(np.random.PCG64(seed))
    i = generator.integers(n, size=wanted)
    j = generator.integers(n - 1, size=wanted)
    return i, j + (j >= i)


def _measure(
    before: Csr | NDArray[Any],
    after: Callable[[NDArray[np.int64]], Values],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
) -> DistortionReport:
    d = before.shape[1]
    width = d if not isinstance(before, Csr) else max(1, len(before.data) // len(before))
    step = max(1, min(len(i), _BLOCK_VALUES // width))
    products: list[Values] = []
    k = 0
    with np.errstate(all="ignore"):
        for begin in range(0, len(i), step):
            a, b = i[begin : begin + step], j[begin : begin + step]
            rows, places = np.unique(np.concatenate([a, b]), return_inverse=True)
            images = after(rows)
            k = images.shape[1]
            old = (
                _sparse_products(before.take(a), before.take(b))
                if isinstance(before, Csr)
                else _dense_products(before[a].astype(np.float64), before[b].astype(np.float64))
            )
            new = _dense_products(images[places[: len(a)]], images[places[len(a) :]])
            products.append(np.concatenate([old, new]))
    table = np.concatenate(products, axis=1)
    if not np.isfinite(table).all():
        bad = int(np.argmin(np.isfinite(table).all(axis=0)))
        raise FloatingPointError(f"X: expected squares that float64 holds, got rows {i[bad]} and {j[bad]} [scale X]")
    distance, norms, dot, new_distance, new_norms, new_dot = table
    used = distance > 0
    if not used.any():
        raise ValueError(f"X: expected pairs of different rows, got {len(i)} pairs of equal ones")
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = new_distance[used] / distance[used]
        cosine = new_dot[used] / new_norms[used] - dot[used] / norms[used]
    return DistortionReport(ratio, cosine, int(len(i) - used.sum()), d, k)


def _dense_products(a: Values, b: Values) -> Values:
    """Squared distance, product of norms and inner product of each pair: (3, n)."""
    difference = a - b
    return np.stack(
        [
            np.einsum("ij,ij->i", difference, difference),
            np.sqrt(np.einsum("ij,ij->i", a, a)) * np.sqrt(np.einsum("ij,ij->i", b, b)),
            np.einsum("ij,ij->i", a, b),
        ]
    )


def _sparse_products(a: Csr, b: Csr) -> Values:
    """The same of sparse rows: both sides' values meet where pair and column are equal."""
    n = len(a)
    pair = np.concatenate([a.owners(), b.owners()])
    column = np.concatenate([a.indices, b.indices])
    values = np.zeros((len(pair), 2))
    values[: len(a.data), 0] = a.data
    values[len(a.data) :, 1] = b.data
    order = np.lexsort((column, pair))
    pair, column = pair[order], column[order]
    starts = np.flatnonzero(np.diff(pair, prepend=-1) | np.diff(column, prepend=-1))
    if len(starts) == 0:
        return np.zeros((3, n))
    left, right = np.add.reduceat(values[order], starts).T
    owner = pair[starts]

    def total(weights: Values) -> Values:
        return np.bincount(owner, weights, minlength=n).astype(np.float64, copy=False)

    return np.stack(
        [total((left - right) ** 2), np.sqrt(total(left**2)) * np.sqrt(total(right**2)), total(left * right)]
    )
