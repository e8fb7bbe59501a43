"""The map ``y = (x - beta mu) U_k Lambda_k^(-gamma/2)``, applied block by block."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._estimator import Rows
from .moments import refuse_non_finite

Matrix = NDArray[np.float64]

# Bytes of the rows of a block, which with their images then stay in the cache, and its least number of rows: with fewer
# the matrix product is slower than a whole one, as it rearranges the matrix for each.
_BLOCK_BYTES, _BLOCK_ROWS = 768 << 10, 512


class AffineMap:
    """A fitted map: immutable, so that any number of threads may use it."""

    def __init__(self, mean: Matrix, beta: float, gamma: float, eigenvalues: Matrix, components: Matrix) -> None:
        self.mean, self.beta, self.gamma = mean, beta, gamma
        self.eigenvalues, self.components = eigenvalues, components
        self.offset = beta * mean
        # At gamma = 0 every power is 1: nothing is divided, whatever the eigenvalue.
        self._power = eigenvalues[: len(components)] ** (gamma / 2)
        self.matrix: Matrix = np.ascontiguousarray(components.T / self._power)
        for array in (mean, eigenvalues, components, self.matrix):
            array.setflags(write=False)

    @property
    def n_components(self) -> int:
        return len(self.components)

    def apply(self, X: Rows, out: Rows, name: str, *, normalize: bool) -> None:
        """Write the images of the rows of X into `out`, in its precision."""
        forward = self._forward32 if X.dtype == out.dtype == np.float32 else self._forward64
        _apply(X, out, name, forward, self._forward64, "transform", normalize=normalize)

    def invert(self, Y: Rows, out: Rows, name: str) -> None:
        """Write the rows whose images are nearest to those of Y into `out`."""
        backward = self._backward32 if Y.dtype == out.dtype == np.float32 else self._backward64
        _apply(Y, out, name, backward, self._backward64, "inverse_transform")

    @cached_property
    def _forward64(self) -> _Steps:
        return _Steps(self.matrix, before=self.offset)

    @cached_property
    def _forward32(self) -> _Steps:
        if not _fits_float32(self.matrix, self.offset):
            return self._forward64
        return _Steps(self.matrix.astype(np.float32), before=self.offset)

    @cached_property
    def _backward64(self) -> _Steps:
        return _Steps(self.components * self._power[:, None], after=self.offset)

    @cached_property
    def _backward32(self) -> _Steps:
        steps = self._backward64
        if not _fits_float32(steps.matrix, self.offset):
            return steps
        return _Steps(steps.matrix.astype(np.float32), after=self.offset)


class _Steps:
    """``(x - before) @ matrix + after``, in the precision of the matrix."""

    def __init__(self, matrix: NDArray[Any], *, before: Matrix | None = None, after: Matrix | None = None) -> None:
        dtype = matrix.dtype
        self.matrix = matrix
        self.after = None if after is None else after.astype(dtype)
        self.before = None if before is None else before.astype(dtype)
        if before is not None:
            # What float32 does not hold of a mean is subtracted too: where the mean is large, it shows in the spread.
            self.rest = (before - before.astype(dtype)).astype(dtype)
        # Rows without an entry larger than this have finite images, rounding and all.
        with np.errstate(over="ignore"):
            largest_sum = float(np.abs(matrix).sum(axis=0, dtype=np.float64).max())
        self.limit = float(np.finfo(dtype).max) / 4 / max(1.0, largest_sum)

    def block(self, rows: Rows, scratch: NDArray[Any] | None, out: NDArray[Any]) -> bool:
        """Write the images of some rows into `out`. Returns whether they are known to be finite."""
        dtype, finite = self.matrix.dtype, False
        if self.before is not None and scratch is not None:
            centred = scratch[: len(rows)]
            if rows.dtype == dtype:
                finite = _core.whitening.centre(rows, self.before, self.rest, centred) < self.limit
            else:
                np.subtract(rows, self.before, out=centred)
            rows = centred
        if out.dtype == dtype:
            np.matmul(rows, self.matrix, out=out)
            if self.after is not None:
                out += self.after
            return finite
        product = rows @ self.matrix
        if self.after is not None:
            product += self.after
        out[...] = product
        return False

    def scratch(self, n: int) -> NDArray[Any] | None:
        return None if self.before is None else np.empty((n, len(self.matrix)), self.matrix.dtype)


def _fits_float32(matrix: Matrix, offset: Matrix) -> bool:
    largest = np.abs(matrix).max()
    return bool(1e-30 < largest < 1e30 and np.abs(offset).max() < 1e30)


def _apply(
    X: Rows, out: Rows, name: str, steps: _Steps, steps64: _Steps, what: str, *, normalize: bool = False
) -> None:
    n = len(X)
    n_block = max(1, min(n, max(_BLOCK_ROWS, _BLOCK_BYTES // (X.shape[1] * X.itemsize))))
    scratch = steps.scratch(n_block)
    with np.errstate(all="ignore"):
        for first in range(0, n, n_block):
            rows, result = X[first : first + n_block], out[first : first + n_block]
            if not steps.block(rows, scratch, result):
                flat = result.reshape(-1)
                # A value that is not finite makes its whole row of the product so: no need to look at X.
                if not np.isfinite(np.vdot(flat, flat)) and not np.isfinite(result).all():
                    _recover(rows, result, name, first, steps, steps64, what)
            if normalize:
                _normalize(result)


def _recover(rows: Rows, result: Rows, name: str, first: int, steps: _Steps, steps64: _Steps, what: str) -> None:
    """Name the value of the input that is to blame, or else do without float32."""
    refuse_non_finite(rows, name, first)
    if steps is not steps64:
        steps64.block(rows, steps64.scratch(len(rows)), result)
    finite = np.isfinite(result).all(axis=1)
    if not finite.all():
        bad = (first + np.flatnonzero(~finite)[:3]).tolist()
        raise FloatingPointError(
            f"{name}: expected results within {result.dtype}, got an overflow in {what} of rows {bad}"
        )


def _normalize(rows: Rows) -> None:
    """Divide each row by its 2-norm; a row of zeros stays."""
    squares = np.einsum("ij,ij->i", rows, rows)
    limits = np.finfo(rows.dtype)
    odd = np.flatnonzero((squares < limits.tiny / limits.eps**2) | ~np.isfinite(squares))
    if odd.size:  # squares that the type cannot hold: first divide by the largest entry
        size = np.abs(rows[odd]).max(axis=1, keepdims=True)
        rows[odd] = np.divide(rows[odd], size, out=np.zeros_like(rows[odd]), where=size > 0)
        squares[odd] = np.einsum("ij,ij->i", rows[odd], rows[odd])
    norms = np.sqrt(squares)
    np.divide(rows, norms[:, None], out=rows, where=norms[:, None] > 0)
