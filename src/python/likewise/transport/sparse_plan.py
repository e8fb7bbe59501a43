"""A transport plan by its entries that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_size

__all__ = ["SparsePlan"]


@dataclass(frozen=True, eq=False)
class SparsePlan:
    """The entries of a plan that count, in the three arrays of a CSR matrix.

    ``scipy.sparse.csr_array((p.data, p.indices, p.indptr), shape=p.shape)`` is one.

    Attributes
    ----------
    data : ndarray of shape (nnz,)
    indices : ndarray of int64, shape (nnz,)
        Columns, ascending within a row.
    indptr : ndarray of int64, shape (n + 1,)
    shape : tuple of int
    dropped_mass : float
        The sum of the entries that were left out.
    """

    data: NDArray[Any]
    indices: NDArray[np.int64]
    indptr: NDArray[np.int64]
    shape: tuple[int, int]
    dropped_mass: float

    def dense(self) -> NDArray[Any]:
        """The (n, m) array, zeros where an entry was left out."""
        check_size(self.shape[0] * self.shape[1], self.data.itemsize, "plan")
        result = np.zeros(self.shape, self.data.dtype)
        result[np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.indices] = self.data
        return result

    def plot(self, ax: Any = None, *, x: Any = None, y: Any = None) -> Any:
        """Draw what goes where: `likewise.integrations.matplotlib.plot_plan`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        x, y : array-like of shapes (n, 2) and (m, 2), optional
            Points of the plane, to draw lines between. Default: the plan is drawn as a matrix.

        Returns
        -------
        matplotlib Axes
        """
        from ..integrations.matplotlib import plot_plan

        return plot_plan(self, ax=ax, x=x, y=y)
