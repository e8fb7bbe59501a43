"""Many problems at once: the arrays of each, laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, describe
from .marginals import Vector, Weights, check_equal_mass, check_weights

__all__ = ["check_many_weights", "check_parts", "equal_mass", "join", "spread", "starts_of"]


def check_parts(value: Any, name: str, ndim: int, n_parts: int | None = None) -> Sequence[NDArray[Any]]:
    """The arrays of each problem, which are not yet known to be finite: rows of one array, or a list of arrays."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        stacked = check_array(value, name, ndim=ndim + 1, finite=False)
        if stacked.size == 0:
            raise ValueError(f"{name}: expected at least 1 value a problem, got shape {stacked.shape}")
        parts: Sequence[NDArray[Any]] = stacked  # type: ignore[assignment]
    else:
        if not hasattr(value, "__len__") or isinstance(value, str | bytes | dict | set):
            raise TypeError(f"{name}: expected a sequence of arrays, one a problem, got {describe(value)}")
        parts = [
            part if _is_canonical(part, ndim) else check_array(part, f"{name}[{k}]", ndim=ndim, finite=False)
            for k, part in enumerate(value)
        ]
    if n_parts is not None and len(parts) != n_parts:
        raise ValueError(f"{name}: expected {n_parts} arrays, one a problem, got {len(parts)}")
    if len(parts) == 0:
        raise ValueError(f"{name}: expected at least 1 problem, got 0")
    return parts


def _is_canonical(part: Any, ndim: int) -> bool:
    """What `check_array` would return as it is: a thousand calls of that would cost as much as the solution."""
    return (
        type(part) is np.ndarray
        and part.dtype in (np.float64, np.float32)
        and part.ndim == ndim
        and part.size > 0
        and part.flags.c_contiguous
        and part.flags.aligned
    )


def join(parts: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    """All values end to end, known to be finite."""
    flat = parts.reshape(-1) if isinstance(parts, np.ndarray) else np.concatenate([part.reshape(-1) for part in parts])
    with np.errstate(all="ignore"):
        if not np.isfinite(np.vdot(flat, flat)):
            for k, part in enumerate(parts):
                check_array(part, f"{name}[{k}]", ndim=part.ndim)
    return flat


def starts_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the values of each problem begin."""
    return np.cumsum(sizes) - sizes


def spread(values: Vector, sizes: NDArray[np.int64]) -> Vector:
    """One value of each problem for each of its points."""
    first = int(sizes[0])
    return np.repeat(values, first if (sizes == first).all() else sizes)  # one count for all is much faster


def equal_mass(left: Weights, right: Weights, where: str = "") -> tuple[Vector, Vector]:
    """The weights of both sides, unscaled where the masses agree to 1e-12: whole numbers stay whole."""
    mass = check_equal_mass(left, right, where)
    sides = [side.values * (mass / side.mass) if abs(side.mass - mass) > 1e-12 * mass else side.values
             for side in (left, right)]  # fmt: skip
    return sides[0], sides[1]


def check_many_weights(
    a: Any, b: Any, n_rows: NDArray[np.int64], n_columns: NDArray[np.int64]
) -> tuple[Vector, Vector, np.dtype[Any] | None]:
    """The weights of all problems, as `equal_mass` leaves them, and the wider dtype of those that were given.

    They are checked together, and one by one where that finds anything.
    """
    if a is None and b is None:
        return spread(1 / n_rows, n_rows), spread(1 / n_columns, n_columns), None
    sides, dtypes = [], []
    for value, name, sizes in ((a, "a", n_rows), (b, "b", n_columns)):
        parts = None if value is None else check_parts(value, name, 1, len(sizes))
        if parts is None:
            flat = spread(1 / sizes, sizes)
        elif all(len(part) == size for part, size in zip(parts, sizes.tolist(), strict=True)):
            flat = join(parts, name)
            dtypes.append(flat.dtype)
            flat = flat.astype(np.float64, copy=False)
        else:
            flat = np.zeros(0)
        with np.errstate(over="ignore"):
            masses = np.add.reduceat(flat, starts_of(sizes)) if len(flat) else np.zeros(len(sizes))
        sides.append((parts, flat, masses))
    (lefts, left, left_mass), (rights, right, right_mass) = sides
    dtype = np.result_type(*dtypes) if dtypes else None
    if (
        min(left.min(initial=0), right.min(initial=0)) >= 0
        and left_mass.min() > 0
        and np.isfinite(left_mass).all()
        and (np.abs(left_mass - right_mass) <= 1e-12 * left_mass).all()
    ):
        return left, right, dtype
    pairs = []
    for k, (n, m) in enumerate(zip(n_rows.tolist(), n_columns.tolist(), strict=True)):
        where = f"[{k}]"
        pairs.append(
            equal_mass(
                check_weights(None if lefts is None else lefts[k], f"a{where}", n),
                check_weights(None if rights is None else rights[k], f"b{where}", m),
                where,
            )
        )
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]), dtype
