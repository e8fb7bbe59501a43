"""The map ``y = (x - beta mu) U_k Lambda_k^(-gamma/2)``, applied block by block."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._estimator import Rows
from .moments import refuse_non_finite

Matrix = NDArray[np.float64]

_BLOCK = 1024  # rows: enough for the matrix product to be as fast as a whole one, and few enough for the cache


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
        return _Steps(self.offset, self.matrix, None)

    @cached_property
    def _forward32(self) -> _Steps:
        """Subtract float32(beta mu), multiply, and correct by what float32 could not hold of it, where that shows."""
        if not _fits_float32(self.matrix, self.offset):
            return self._forward64
        shift = self.offset.astype(np.float32)
        rest = (shift - self.offset) @ self.matrix
        # Measured by the spread of each output: an offset below the rounding of float32 is not worth a pass.
        spread = self.eigenvalues[: self.n_components] ** 0.5 / self._power
        shows = bool((np.abs(rest) > 2.0**-22 * spread).any())
        return _Steps(shift, self.matrix.astype(np.float32), rest.astype(np.float32) if shows else None)

    @cached_property
    def _backward64(self) -> _Steps:
        return _Steps(None, self.components * self._power[:, None], self.offset)

    @cached_property
    def _backward32(self) -> _Steps:
        steps = self._backward64
        if not _fits_float32(steps.matrix, self.offset):
            return steps
        return _Steps(None, steps.matrix.astype(np.float32), self.offset.astype(np.float32))


class _Steps:
    """``(x - before) @ matrix + after``, in the precision of the matrix."""

    def __init__(self, before: NDArray[Any] | None, matrix: NDArray[Any], after: NDArray[Any] | None) -> None:
        self.before, self.matrix, self.after = before, matrix, after

    def block(self, rows: Rows, scratch: NDArray[Any] | None, out: NDArray[Any]) -> None:
        if self.before is not None and scratch is not None:
            rows = np.subtract(rows, self.before, out=scratch[: len(rows)])
        if out.dtype == self.matrix.dtype:
            np.matmul(rows, self.matrix, out=out)
            if self.after is not None:
                out += self.after
        else:
            product = rows @ self.matrix
            if self.after is not None:
                product += self.after
            out[...] = product

    def scratch(self, n: int) -> NDArray[Any] | None:
        return None if self.before is None else np.empty((n, len(self.matrix)), self.matrix.dtype)


def _fits_float32(matrix: Matrix, offset: Matrix) -> bool:
    largest = np.abs(matrix).max()
    return bool(1e-30 < largest < 1e30 and np.abs(offset).max() < 1e30)


def _apply(
    X: Rows, out: Rows, name: str, steps: _Steps, steps64: _Steps, what: str, *, normalize: bool = False
) -> None:
    n = len(X)
    n_block = max(1, min(n, _BLOCK))
    scratch = steps.scratch(n_block)
    with np.errstate(all="ignore"):
        for first in range(0, n, n_block):
            rows, result = X[first : first + n_block], out[first : first + n_block]
            steps.block(rows, scratch, result)
            flat = result.reshape(-1)
            # A value that is not finite makes its whole row of the product so: looking there saves a pass over X.
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
