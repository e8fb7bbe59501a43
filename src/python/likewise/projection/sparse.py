"""Sparse rows: what scipy and others hand over, recognised by attributes, as checked CSR arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_indices

__all__ = ["Csr", "check_csr", "is_sparse"]


@dataclass(frozen=True)
class Csr:
    """Row i stores ``data[p]`` in column ``indices[p]`` for p in ``indptr[i] .. indptr[i+1]-1``; duplicates add up."""

    indptr: NDArray[Any]
    indices: NDArray[Any]
    data: NDArray[np.float32] | NDArray[np.float64]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, rows: NDArray[np.int64]) -> Self:
        """These rows, in this order."""
        begin = self.indptr[rows].astype(np.int64)
        lengths = self.indptr[rows + 1] - begin
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.repeat(begin - indptr[:-1], lengths) + np.arange(indptr[-1])
        return type(self)(indptr, self.indices[positions], self.data[positions], (len(rows), self.shape[1]))

    def owners(self) -> NDArray[np.int64]:
        """The row of each stored value."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def check_finite(self, name: str) -> None:
        """Raise `ValueError` naming the first value that is not finite."""
        with np.errstate(all="ignore"):
            if np.isfinite(np.vdot(self.data, self.data)):  # overflows at most, never hides a NaN or an infinity
                return
        finite = np.isfinite(self.data)
        if not finite.all():
            position = int(np.argmin(finite))
            row = int(np.searchsorted(self.indptr, position, side="right")) - 1
            bad = self.data[position]
            text = "NaN" if np.isnan(bad) else "infinity" if bad > 0 else "-infinity"
            raise ValueError(f"{name}: expected finite values, got {text} at row {row}, stored position {position}")


def is_sparse(X: object) -> bool:
    """Whether X looks like a sparse matrix or array of scipy."""
    return hasattr(X, "tocsr") and hasattr(X, "shape")


def check_csr(X: Any, name: str, *, n_features: int | None = None, owner: str = "the model", min_rows: int = 0) -> Csr:
    """A sparse X as CSR; other formats are converted, canonical arrays are not copied, nothing points out of bounds.

    Data become float32 or float64 as in `check_array`. Values that are not finite pass: see `Csr.check_finite`.
    """
    shape = tuple(X.shape)
    if len(shape) != 2:
        raise ValueError(f"{name}: expected a 2-D matrix, got shape {shape}. Reshape your data")
    n, d = (int(size) for size in shape)
    if n_features is not None and d != n_features:
        raise ValueError(f"{name}: X has {d} features, but {owner} is expecting {n_features} features as input")
    if n < min_rows:
        raise ValueError(
            f"{name}: expected at least {min_rows} row{'s' if min_rows > 1 else ''}, "
            f"got {n} sample(s) (shape={shape}) while a minimum of {min_rows} is required"
        )
    if d == 0:
        raise ValueError(
            f"{name}: expected at least 1 column, got 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    stored = getattr(X, "format", "csr")
    if stored != "csr":
        _check_before_conversion(X, stored, name, n, d)
        X = X.tocsr()
    indptr = _check_indptr(X.indptr, name, n)
    indices = check_indices(X.indices, f"{name}.indices", n=d, dtype=_width(X.indices))
    data = check_array(X.data, f"{name}.data", ndim=1, min_rows=0, finite=False)
    if not len(indices) == len(data) >= int(indptr[-1]):
        raise ValueError(f"{name}: expected {int(indptr[-1])} indices and values, got {len(indices)} and {len(data)}")
    return Csr(indptr, indices[: int(indptr[-1])], data[: int(indptr[-1])], (n, d))


def _width(indices: Any) -> type[np.integer[Any]]:
    return np.int32 if getattr(indices, "dtype", None) == np.int32 else np.int64


def _check_indptr(indptr: Any, name: str, n: int) -> NDArray[Any]:
    checked = check_indices(indptr, f"{name}.indptr", dtype=_width(indptr))
    if len(checked) != n + 1:
        raise ValueError(f"{name}.indptr: expected {n + 1} values for {n} rows, got {len(checked)}")
    if checked[0] != 0:
        raise ValueError(f"{name}.indptr: expected 0, got {checked[0]} at position 0")
    falls = checked[1:] < checked[:-1]
    if falls.any():
        at = int(np.argmax(falls)) + 1
        raise ValueError(
            f"{name}.indptr: expected no fall, got {checked[at]} after {checked[at - 1]}, at position {at}"
        )
    return checked


def _check_before_conversion(X: Any, stored: str, name: str, n: int, d: int) -> None:
    """scipy converts without looking: a wrong index would write out of bounds."""
    if stored == "coo":
        for indices, size in ((X.row, n), (X.col, d)):
            check_indices(indices, f"{name}.coords", n=size, dtype=_width(indices))
        if not len(X.row) == len(X.col) == len(X.data):
            raise ValueError(
                f"{name}: expected as many indices as values, got {len(X.row)}, {len(X.col)} and {len(X.data)}"
            )
    elif stored in ("csc", "bsr"):
        rows, columns = X.blocksize if stored == "bsr" else (1, 1)
        outer, inner = (n // rows, d // columns) if stored == "bsr" else (d, n)
        indptr = _check_indptr(X.indptr, name, outer)
        check_indices(X.indices, f"{name}.indices", n=inner, dtype=_width(X.indices))
        if not len(X.indices) == len(X.data) >= int(indptr[-1]):
            raise ValueError(
                f"{name}: expected {int(indptr[-1])} indices and values, got {len(X.indices)} and {len(X.data)}"
            )
