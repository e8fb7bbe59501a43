"""The transport plan as an operator: computed from the potentials where it is asked for, never held as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_scalar_float, check_scalar_int, check_size
from .marginals import Vector
from .problem import Problem
from .sparse_plan import SparsePlan

__all__ = ["Plan"]

_BLOCK_VALUES = 1 << 18  # of the plan that a block of rows holds


@dataclass(frozen=True, eq=False)
class Sums:
    """Of Q_ij = alpha_i P_ij beta_j + left_i right_j, for a plan P without the factor of its mass."""

    mass: float
    cost: float  # <Q, C>
    size: float  # <Q, |C|>
    entropy: float  # sum Q log(Q / (a b))
    rows: Vector
    columns: Vector


class Plan:
    """The coupling ``P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)`` of a result, times the mass M (with a, b of
    mass 1).

    It holds potentials and weights, O(n + m), and reads the cost matrix or the points that the call was given: leave
    those unchanged while the plan is in use. ``plan @ v`` and ``v @ plan`` cost about what an iteration costs.

    Attributes
    ----------
    shape : tuple of int
        (n, m).
    dtype : numpy dtype
        Of what `dense`, `rows` and `sparse` return.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> plan = lw.transport.sinkhorn(None, None, [[0.0, 1.0], [1.0, 0.0]], epsilon=1, epsilon_scale="absolute").plan
    >>> plan.dense().round(4)
    array([[0.3655, 0.1345],
           [0.1345, 0.3655]])
    >>> plan @ np.ones(2)
    array([0.5, 0.5])
    """

    __array_ufunc__ = None  # v @ plan is ours to compute

    def __init__(self, problem: Problem, f: NDArray[np.float64], g: NDArray[np.float64], n_threads: int) -> None:
        self.problem = problem
        f.flags.writeable = g.flags.writeable = False
        self._f, self._g = f, g
        self.n_threads = n_threads
        self.shape = problem.shape
        self.dtype = problem.dtype

    def __repr__(self) -> str:
        return f"Plan(shape={self.shape}, dtype={self.dtype})"

    def rows(self, i0: int, i1: int) -> NDArray[Any]:
        """Rows i0 to i1 - 1.

        Parameters
        ----------
        i0, i1 : int
            ``0 <= i0 <= i1 <= n``.

        Returns
        -------
        ndarray of shape (i1 - i0, m)
        """
        i0 = check_scalar_int(i0, "i0", minimum=0, maximum=self.shape[0])
        i1 = check_scalar_int(i1, "i1", minimum=i0, maximum=self.shape[0])
        return self._rows(i0, i1, self.dtype)

    def _rows(self, i0: int, i1: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        check_size((i1 - i0) * self.shape[1], dtype.itemsize, "plan")
        out = np.empty((i1 - i0, self.shape[1]), dtype)
        problem = self.problem
        _core.transport.plan_rows(**problem.native(self._f, self._g), i0=i0, i1=i1, out=out, n_threads=self.n_threads)
        if problem.mass != 1:
            out *= problem.mass
        return out

    def dense(self) -> NDArray[Any]:
        """The whole plan.

        Returns
        -------
        ndarray of shape (n, m)
        """
        return self._rows(0, self.shape[0], self.dtype)

    def sparse(self, threshold: float = 0.0) -> SparsePlan:
        """The entries above a threshold.

        Parameters
        ----------
        threshold : float, default 0.0
            An absolute mass: entries up to it are left out, and their sum is reported.

        Returns
        -------
        SparsePlan
        """
        threshold = check_scalar_float(threshold, "threshold", minimum=0)
        data, indices, counts, dropped = [], [], [np.zeros(1, np.int64)], 0.0
        n, m = self.shape
        step = max(1, _BLOCK_VALUES // m)
        for i0 in range(0, n, step):
            rows = self._rows(i0, min(n, i0 + step), self.dtype)
            kept = rows > threshold
            row, column = np.nonzero(kept)
            counts.append(np.bincount(row, minlength=len(rows)))
            indices.append(column)
            values = rows[kept]
            if threshold:
                dropped += float(rows.sum(dtype=np.float64) - values.sum(dtype=np.float64))
            data.append(values)
        indptr = np.cumsum(np.concatenate(counts), dtype=np.int64)
        return SparsePlan(
            np.concatenate(data), np.concatenate(indices).astype(np.int64), indptr, self.shape, max(0.0, dropped)
        )

    def __matmul__(self, v: Any) -> NDArray[Any]:
        return self._apply(v, "v", transpose=False)

    def __rmatmul__(self, v: Any) -> NDArray[Any]:
        return self._apply(np.transpose(v), "v", transpose=True).T

    def _apply(self, v: Any, name: str, *, transpose: bool) -> NDArray[Any]:
        """P v or P^T v in the wider of the dtypes of the plan and of v; computed in float64."""
        vector = np.ndim(v) == 1
        given = check_array(v, name, ndim=1 if vector else 2)
        n, m = self.shape
        size_in = n if transpose else m
        if len(given) != size_in:
            raise ValueError(f"{name}: expected {size_in} values to go with a plan of shape {self.shape}, "
                             f"got shape {given.shape}")  # fmt: skip
        result = self.apply(given.astype(np.float64, copy=False).reshape(size_in, -1), transpose=transpose)
        return (result[:, 0] if vector else result).astype(np.result_type(self.dtype, given.dtype), copy=False)

    def apply(self, v: NDArray[np.float64], *, transpose: bool = False) -> NDArray[np.float64]:
        """P v, or P^T v, for columns of float64; O((n + m) r) memory.

        Parameters
        ----------
        v : ndarray of float64, shape (m, r), or (n, r) to transpose
        transpose : bool, default False

        Returns
        -------
        ndarray of float64, shape (n, r) or (m, r)
        """
        problem = self.problem
        out = np.empty((self.shape[1 if transpose else 0], v.shape[1]))
        _core.transport.plan_apply(
            **problem.native(self._f, self._g),
            v=np.ascontiguousarray(v),
            out=out,
            transpose=transpose,
            n_threads=self.n_threads,
        )
        if problem.mass != 1:
            out *= problem.mass
        return out

    def sums(
        self,
        alpha: Vector | None = None,
        beta: Vector | None = None,
        left: Vector | None = None,
        right: Vector | None = None,
    ) -> Sums:
        """Mass, cost, entropy, rows and columns of the plan, with rows and columns scaled, and a product added."""
        (n, m), problem = self.shape, self.problem
        rows, columns = np.empty(n), np.empty(m)
        mass, cost, size, entropy = _core.transport.plan_sums(
            **problem.native(self._f, self._g),
            alpha=np.ones(n) if alpha is None else alpha,
            beta=np.ones(m) if beta is None else beta,
            left=np.zeros(n) if left is None else left,
            right=np.zeros(m) if right is None else right,
            rows=rows,
            columns=columns,
            n_threads=self.n_threads,
        )
        return Sums(mass, cost, size, entropy, rows, columns)

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
