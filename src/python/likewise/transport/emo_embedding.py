"""Cosines between rows of an embedding, as the EMO loss needs them: one row of them for each distinct target."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._blas_threads import blas_threads
from .._validation import check_array, check_choice, check_indices, check_n_threads, check_scalar_int, check_size

__all__ = ["FixedEmbeddingCache"]

Floats = NDArray[Any]


class Embedding:
    """An embedding with one over the norms of its rows (0 for a zero row), and the cosines that are kept."""

    def __init__(self, embedding: ArrayLike, zero_norm: str, n_threads: int, dtype: Any = None) -> None:
        check_choice(zero_norm, "zero_norm", ("raise", "orthogonal"))
        rows: Floats = check_array(embedding, "embedding", finite=False)
        if dtype is not None:
            rows = rows.astype(np.result_type(rows, dtype), copy=False)
        self.rows, self.inverse_norms = normalisation(rows, zero_norm, n_threads)
        self.cached: Floats = np.empty((0, len(rows)), rows.dtype)
        self.place: NDArray[np.int64] | None = None  # of each label in `cached`, or -1

    def cosines(self, labels: NDArray[np.int64], out: Floats) -> None:
        """``out[i, j]``: the cosine of rows labels[i] and j times the norm of row j."""
        np.matmul(self.rows[labels] * self.inverse_norms[labels, None], self.rows.T, out=out)
        # A cosine above 1 is a cost of exactly 0: what rounding left of a target's cost to itself must not be mixed in.
        own = self.inverse_norms[labels]
        out[np.arange(len(labels)), labels] = np.divide(2, own, out=np.zeros_like(own), where=own > 0)

    def cosines_of(self, targets: NDArray[np.int64], kept: NDArray[np.bool_], out: Floats) -> NDArray[np.int64]:
        """Fills the first rows of `out` with cosines and says which row each token needs; -1: it does not count.

        Rows are numbered by first occurrence, so that none lies behind its tokens: going through the tokens backwards,
        each row is needed no more when its place gets a gradient. Those behind all of `out` are in `cached`.
        """
        rows = np.full(len(targets), -1)
        missing = kept
        if self.place is not None:
            place = self.place[targets]
            found = kept & (place >= 0)
            missing = kept & ~found
            rows[found] = len(out) + place[found]
            self._count(int(np.count_nonzero(found)), int(np.count_nonzero(kept)))
        labels, first_at, which = np.unique(targets[missing], return_index=True, return_inverse=True)
        order = np.argsort(first_at)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        rows[missing] = rank[which]
        if len(labels) > 0:
            self.cosines(labels[order], out[: len(labels)])
        return rows

    def soft_cosines(self, p: Floats, out: Floats) -> None:
        """``out[i, j]``: the inner product of the mean unit row under p[i] and row j."""
        mean = np.zeros((len(p), self.rows.shape[1]), self.rows.dtype)
        width = max(1, (1 << 20) // max(1, len(p)))  # of the columns of p that are copied at a time
        for first in range(0, p.shape[1], width):
            part = slice(first, first + width)
            mean += (p[:, part] * self.inverse_norms[part]) @ self.rows[part]
        np.matmul(mean, self.rows.T, out=out)

    def _count(self, n_hits: int, n_tokens: int) -> None:
        """Called with the numbers of tokens whose cosines were kept, and that count."""


class FixedEmbeddingCache(Embedding):
    """An embedding that no longer changes, with the cosines of its most frequent targets, for `emo_loss`.

    Stands for the embedding in `emo_loss`. Tokens whose target is among the kept ones cost no matrix product. A copy of
    the embedding is kept, so that later changes of the array that came in change nothing.

    Parameters
    ----------
    embedding : array_like, shape (n_vocabulary, n_hidden)
        float32 or float64; logits must have the same dtype.
    targets_hist : array_like of integers, shape (n_vocabulary,)
        How often each token is expected to be a target; those of count 0 are not kept.
    max_bytes : int
        The most that the kept cosines may take: a row of ``n_vocabulary`` numbers for each target.
    zero_norm : {'raise', 'orthogonal'}
        As in `emo_loss`.
    n_threads : int, optional
        Threads to use for the making; None is all CPUs that this process may use.

    Attributes
    ----------
    n_rows : int
        How many targets are kept.
    nbytes : int
        Memory of the kept cosines.
    hit_rate : float
        Share of the tokens so far whose cosines were kept; NaN before the first.

    Raises
    ------
    ValueError
        The embedding has a zero row, or the histogram does not fit it or has negative counts.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.transport import FixedEmbeddingCache, emo_loss
    >>> embedding = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> cache = FixedEmbeddingCache(embedding, [90, 10, 0], max_bytes=24)
    >>> loss, grad = emo_loss(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), [0, 1], cache, mixing="none")
    >>> round(loss, 6), cache.n_rows, cache.hit_rate
    (0.350918, 1, 0.5)
    """

    def __init__(
        self,
        embedding: ArrayLike,
        targets_hist: ArrayLike,
        *,
        max_bytes: int = 2**28,
        zero_norm: str = "raise",
        n_threads: int | None = None,
    ) -> None:
        limit = check_scalar_int(max_bytes, "max_bytes", minimum=0)
        super().__init__(embedding, zero_norm, check_n_threads(n_threads))
        if self.rows is embedding or np.may_share_memory(self.rows, np.asarray(embedding)):
            self.rows = self.rows.copy()
        counts = check_indices(targets_hist, "targets_hist")
        n = len(self.rows)
        if len(counts) != n:
            raise ValueError(f"targets_hist: expected a count for each row of the embedding, {n}, got {len(counts)}")
        if counts.min() < 0:
            where = int(np.argmin(counts))
            raise ValueError(f"targets_hist: expected counts >= 0, got {counts[where]} at position {where}")
        n_rows = min(int(np.count_nonzero(counts)), limit // (n * self.rows.itemsize))
        check_size(n_rows * n, self.rows.itemsize, "max_bytes")
        labels = np.argsort(-counts, kind="stable")[:n_rows]
        self.place = np.full(n, -1)
        self.place[labels] = np.arange(n_rows)
        self.cached = np.empty((n_rows, n), self.rows.dtype)
        with blas_threads(n_threads):
            self.cosines(labels, self.cached)
        self._lock = threading.Lock()
        self._n_hits = self._n_tokens = 0

    def __repr__(self) -> str:
        return f"FixedEmbeddingCache({len(self.rows)} tokens, {self.n_rows} kept, {self.nbytes / 2**20:.1f} MiB)"

    @property
    def n_rows(self) -> int:
        """How many targets are kept."""
        return len(self.cached)

    @property
    def nbytes(self) -> int:
        """Memory of the kept cosines."""
        return self.cached.nbytes

    @property
    def hit_rate(self) -> float:
        """Share of the tokens so far whose cosines were kept; NaN before the first."""
        with self._lock:
            return self._n_hits / self._n_tokens if self._n_tokens > 0 else float("nan")

    def _count(self, n_hits: int, n_tokens: int) -> None:
        with self._lock:
            self._n_hits += n_hits
            self._n_tokens += n_tokens


def normalisation(e: Floats, zero_norm: str, n_threads: int) -> tuple[Floats, Floats]:
    """The embedding and one over the norms of its rows."""
    squares = np.empty(len(e))
    _core.transport.row_squares(e, squares, n_threads)
    norms = np.sqrt(squares)
    low, high = (1e-15, 1e15) if e.itemsize == 4 else (1e-140, 1e140)
    if not ((norms >= low) & (norms <= high)).all():
        e = check_array(e, "embedding")  # names the value that is not finite
        largest = np.abs(e).max(axis=1).astype(np.float64)
        zero = largest == 0
        if zero_norm == "raise" and zero.any():
            raise ValueError(
                f"embedding: expected no zero row, which has no cosine, got one at row {int(np.argmax(zero))} "
                "[zero_norm='orthogonal' takes it as orthogonal to all]"
            )
        if not ((norms >= low) & (norms <= high) | zero).all():
            # Products with such rows leave the range of the type: this once, a scaled copy.
            exponent = np.frexp(np.where(zero, 1.0, largest))[1]
            e = np.ldexp(e, -exponent[:, None]).astype(e.dtype, copy=False)
            norms = np.sqrt(np.einsum("ij,ij->i", e, e, dtype=np.float64))
        norms = np.where(zero, np.inf, norms)
    return e, (1 / norms).astype(e.dtype)
