"""Which matrix: parameters checked, choices made. A `Construction` and a seed determine every entry of S."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import _core
from .._validation import check_choice, check_random_state, check_scalar_float, check_scalar_int, describe
from .dimension import min_dim, smallest_epsilon

__all__ = ["METHODS", "SPARSE_METHODS", "VERSION", "Construction", "choose"]

METHODS = ("hadamard", "sjlt", "countsketch", "very_sparse", "achlioptas", "gaussian", "srht")
SPARSE_METHODS = ("sjlt", "countsketch", "very_sparse", "achlioptas")
VERSION = 1  # of the rules that make a matrix of a seed; a file names the version that it was made with

MAX_COMPONENTS = 2**31 - 1
MAX_FEATURES = 2**32 - 1
_WIDE = 65_536  # sparse rows of more columns take sparse signs: most blocks of a fold would be empty but for one entry
_LANES = 16


@dataclass(frozen=True)
class Construction:
    """One implicit matrix S of shape (n_components, n_features)."""

    method: str
    n_features: int
    n_components: int
    nnz: int | None
    density: float | None
    seed: int

    def build(self) -> _core.projection.Projection:
        """The native object that multiplies by it."""
        return _core.projection.Projection(
            self.method, self.n_features, self.n_components, self.seed, self.nnz or 0, self.density or 0.0
        )

    def problem(self) -> str | None:
        """What is wrong with it, as ``<argument>: expected <what>, got <what>``; None if nothing is."""
        k, d = self.n_components, self.n_features
        if d > MAX_FEATURES:
            return f"X: expected at most {MAX_FEATURES} columns, got {d}"
        if self.method == "srht" and k > (padded := 1 << (d - 1).bit_length()):
            return f"n_components: expected at most {padded} for method='srht' with {d} features, got {k}"
        if self.method == "sjlt":
            return _nnz_problem(self.nnz or 0, k)
        return None


def _nnz_problem(nnz: int, k: int) -> str | None:
    if nnz > k:
        return f"nnz: expected at most n_components = {k}, got {nnz}"
    if nnz < _LANES:
        return None
    if k % _LANES:
        low, high = k - k % _LANES, k - k % _LANES + _LANES
        nearest = f"{low} or {high}" if low else f"{high}"
        return f"nnz: expected at most 15, or n_components a multiple of 16 such as {nearest}, got nnz={nnz} for {k}"
    if nnz % _LANES:
        low, high = nnz - nnz % _LANES, nnz - nnz % _LANES + _LANES
        nearest = f"{low} or {high}" if high <= k else f"{low}"
        return f"nnz: expected at most 15 or a multiple of 16 such as {nearest}, got {nnz}"
    return None


def choose(
    *,
    n_samples: int,
    n_features: int,
    sparse: bool,
    n_components: Any,
    method: Any,
    epsilon: float = 0.1,
    delta: float = 0.01,
    density: Any = None,
    nnz: Any = None,
    random_state: Any = None,
    warn: bool = False,
) -> Construction:
    """The construction that these parameters of `RandomProjection` mean for data of this shape.

    With `warn`, a result that is not smaller than the data gives a `UserWarning`.
    """
    check_choice(method, "method", ("auto", *METHODS))
    automatic = method == "auto"
    if automatic:
        method = "sjlt" if sparse and n_features > _WIDE else "hadamard"
    if nnz is not None:
        nnz = check_scalar_int(nnz, "nnz", minimum=1, maximum=MAX_COMPONENTS)
        if method != "sjlt" or automatic:
            raise ValueError(f"nnz: expected None unless method='sjlt', got {nnz}")
    if density is not None:
        density = check_scalar_float(density, "density", minimum=2.0**-31, maximum=1.0)
        if method != "very_sparse":
            raise ValueError(f"density: expected None unless method='very_sparse', got {density}")
    elif method == "very_sparse":
        density = 1 / math.sqrt(n_features)
    k = _n_components(n_components, method, max(2, n_samples), n_features, epsilon, delta)
    if method == "sjlt" and nnz is None:
        nnz = 16 if automatic and k % _LANES == 0 else min(4, k)
    made = partial(Construction, method, n_features, k, nnz, density)
    problem = made(seed=0).problem()
    if problem is not None:
        raise ValueError(problem)
    if warn and k > n_features:
        warnings.warn(
            f"n_components: expected at most n_features = {n_features}, got {k}: nothing is reduced", stacklevel=3
        )
    return made(seed=check_random_state(random_state))


def _n_components(value: Any, method: str, n: int, d: int, epsilon: float, delta: float) -> int:
    if not isinstance(value, str):
        if value is None:
            raise TypeError("n_components: expected 'auto' or an integer >= 1, got None")
        return check_scalar_int(value, "n_components", minimum=1, maximum=MAX_COMPONENTS)
    if value != "auto":
        raise ValueError(f"n_components: expected 'auto' or an integer >= 1, got {describe(value)}")
    if method in ("hadamard", "srht"):
        k = min_dim(n, epsilon, delta, "beta", d)
    else:
        k = min_dim(n, epsilon, delta, "chi2")
        if k > d:
            smallest = smallest_epsilon(n, delta, d)
            hint = f"the smallest epsilon for {d} is {smallest:.4g}" if smallest < 1 else f"no epsilon allows {d}"
            raise ValueError(
                f"n_components: expected at most n_features = {d}, got {k}, which 'auto' needs for {n} rows at "
                f"epsilon={epsilon} [{hint}; or pass a number]"
            )
    return min(-(-k // _LANES) * _LANES, d)
