"""Mean and scatter of a stream of rows: one pass, mergeable, float64-accurate at the speed of float32 products."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .._estimator import Rows, is_chunks, iterate_chunks
from .._validation import check_array, check_float_dtype, check_path, check_scalar_float, check_scalar_int, describe
from ..errors import CorruptFileError

CHUNK = 2048  # rows of one matrix product

Matrix = NDArray[np.float64]


class Moments:
    """Number of rows, mean, and scatter ``M = sum((x - mean)^T (x - mean))`` of rows that come in pieces.

    Rows are taken in chunks of 2048: the chunk's own mean is subtracted, one matrix product in the precision of the
    rows is made, and the rest is float64. For float32 rows this is as fast as the plain float32 product, and its error
    is about 1e-7 of the scatter however large the mean is. Rows are kept until a chunk is full, so any split of the
    same sequence of rows gives the same bits on one machine.

    Parameters
    ----------
    n_features : int, optional
        Number of columns; None: that of the first rows.
    dtype : {"float32", "float64"}, optional
        The precision in which rows are multiplied; None: their own.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter.

    Notes
    -----
    Memory: at most 2048 rows and three matrices of ``(d, d)`` float64, however many rows there were. Two sets of
    moments add up exactly (Chan, Golub, LeVeque 1979), so rows on several machines are one ``a + b`` away from a
    common mean and covariance.

    Examples
    --------
    >>> from likewise.whitening import Moments
    >>> a = Moments().update([[2.0, 0.0], [0.0, 1.0]])
    >>> b = Moments().update([[4.0, 2.0], [2.0, 1.0]])
    >>> (a + b).mean, (a + b).scatter
    (array([2., 1.]), array([[8., 2.],
           [2., 2.]]))
    """

    _KIND: ClassVar[str] = "whitening.moments"

    def __init__(self, n_features: int | None = None, *, dtype: Any = None) -> None:
        self.n_features = None if n_features is None else check_scalar_int(n_features, "n_features", minimum=1)
        self.dtype = check_float_dtype(dtype)
        self._sums: _Sums | None = None  # of the rows that filled chunks
        self._pending: Rows | None = None  # room for a chunk, of which the first _n_pending rows count
        self._n_pending = 0
        self._has_float32 = False
        self._all: _Sums | None = None  # of all rows, where it has been asked for
        self._lock = threading.RLock()
        self._owns_sums = False  # of a draft: nobody else holds _sums, so that it may be added to in place

    # --- Adding rows ---

    def update(self, X: Any) -> Self:
        """Add rows.

        Parameters
        ----------
        X : array-like of shape (m, d), or an iterable of such arrays
            float32 or float64; integers count as float64.

        Returns
        -------
        Moments
            Itself. After an error it is as it was.

        Raises
        ------
        ValueError
            NaN or infinity (with its position), or another number of columns.
        FloatingPointError
            The squares of the values do not fit into float64.
        """
        with self._lock:
            draft = self._draft()
            for rows, name in _arrays_of(X, "X"):
                draft._append(rows, name, "Moments")
            if draft.n == self.n and is_chunks(X):
                raise ValueError("X: expected chunks with rows, got none")
            self._become(draft)
        return self

    def merge(self, other: Any) -> Self:
        """Add the rows that another `Moments` has seen; `other` is unchanged.

        ``merge`` with itself counts every row twice.
        """
        if not isinstance(other, Moments):
            raise TypeError(f"other: expected Moments, got {describe(other)}")
        theirs = other._complete()
        if theirs is None:
            return self
        with self._lock:
            draft = self._draft()
            draft._check_width(theirs.mean.shape[0], "other", "Moments")
            draft._own_sums(flush=True).merge(theirs)
            draft._has_float32 |= other._has_float32
            self._become(draft)
        return self

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        return self.copy().merge(other)

    def copy(self) -> Moments:
        """Moments of the same rows; what is added to one is not added to the other."""
        made = self._draft()
        made._lock = threading.RLock()
        if made._pending is not None:
            made._pending = made._pending.copy()
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    # --- What is known ---

    @property
    def n(self) -> int:
        """Number of rows."""
        return (0 if self._sums is None else self._sums.n) + self._n_pending

    @property
    def mean(self) -> Matrix:
        """Mean of the rows: float64, shape (d,), read-only."""
        return self._required().mean

    @property
    def scatter(self) -> Matrix:
        """Sum of ``(x - mean)^T (x - mean)``: float64, shape (d, d), read-only."""
        return self._required().scatter

    def covariance(self, beta: float = 1.0, ddof: int = 0) -> Matrix:
        """``(1 / (n - ddof)) sum((x - beta mean)^T (x - beta mean))``.

        Parameters
        ----------
        beta : float, default 1.0
            How much of the mean is subtracted. Any value follows from the moments alone.
        ddof : int, default 0
            1: the unbiased estimate (at ``beta=1``).

        Returns
        -------
        ndarray of float64, shape (d, d)
        """
        beta = check_scalar_float(beta, "beta")
        ddof = check_scalar_int(ddof, "ddof", minimum=0)
        sums = self._required()
        if sums.n <= ddof:
            raise ValueError(f"ddof: expected less than the number of rows, {sums.n}, got {ddof}")
        return sums.covariance(beta) * (sums.n / (sums.n - ddof)) if ddof else sums.covariance(beta)

    def __repr__(self) -> str:
        return f"Moments(n={self.n}, n_features={self.n_features})"

    @property
    def has_float32(self) -> bool:
        """Whether any of the rows was multiplied in float32, which bounds what the small eigenvalues can mean."""
        return self._has_float32

    # --- Storage ---

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Store the moments, and the rows that fill no chunk yet, as one file.

        Raises
        ------
        ValueError
            No rows yet.
        FileExistsError, OSError
        """
        from .. import persistence

        target = check_path(path)
        persistence.write_container(target, self._KIND, "1", *self._to_container(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True, verify: str = "full") -> Moments:
        """Open what `save` stored. Parameters and errors are those of `likewise.load`."""
        from .. import persistence

        container = persistence.read_container(check_path(path), mmap=mmap, verify=verify)
        persistence.expect_kind(container, cls._KIND)
        return cls._from_container(container)

    def _to_container(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        self._required()
        return {"dtype": None if self.dtype is None else self.dtype.name}, self._to_arrays()

    def _to_arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"has_float32": np.array([self._has_float32])}
        if self._pending is not None and self._n_pending:
            arrays["pending"] = self._pending[: self._n_pending]
        if self._sums is not None:
            arrays |= {
                "scatter": self._sums.scatter,
                "scatter_mean": self._sums.mean,
                "scatter_n": np.array([self._sums.n], np.int64),
            }
        return arrays

    @classmethod
    def _from_container(cls, container: Any) -> Moments:
        try:
            made = cls(dtype=container.params.get("dtype"))
        except (TypeError, ValueError) as error:
            raise CorruptFileError(container.path, "params", str(error)) from None
        made._from_arrays(container)
        return made

    def _from_arrays(self, container: Any) -> None:
        """Take over the arrays of `_to_arrays`, whose author nobody knows."""

        def refuse(name: str, expected: str) -> CorruptFileError:
            return CorruptFileError(container.path, name, f"expected {expected}")

        arrays = container.arrays
        flag, pending, scatter = arrays.get("has_float32"), arrays.get("pending"), arrays.get("scatter")
        if flag is None or flag.dtype != np.bool_ or flag.shape != (1,):
            raise refuse("has_float32", "one boolean")
        self._has_float32 = bool(flag[0])
        if scatter is not None:
            mean, n = arrays.get("scatter_mean"), arrays.get("scatter_n")
            d = len(scatter) if scatter.ndim == 2 else 0
            if d == 0 or scatter.shape != (d, d) or scatter.dtype != np.float64:
                raise refuse("scatter", "a square float64 matrix")
            if mean is None or mean.dtype != np.float64 or mean.shape != (d,) or not np.isfinite(mean).all():
                raise refuse("scatter_mean", f"{d} finite float64 values")
            if n is None or n.dtype != np.int64 or n.shape != (1,) or not 0 < n[0] < 2**62:
                raise refuse("scatter_n", "one number of rows")
            if not np.isfinite(scatter).all() or scatter.diagonal().min() < 0 or not np.array_equal(scatter, scatter.T):
                raise refuse("scatter", "finite values, symmetric, not negative on the diagonal")
            self._sums = _Sums(d)
            self._sums.n, self._sums.mean, self._sums.scatter = int(n[0]), mean, scatter
            self.n_features = d
        if pending is not None:
            if pending.ndim != 2 or pending.dtype not in (np.float32, np.float64) or not 0 < len(pending) < CHUNK:
                raise refuse("pending", f"fewer than {CHUNK} rows of float32 or float64")
            if pending.shape[1] < 1 or self.n_features not in (None, pending.shape[1]):
                raise refuse("pending", f"{self.n_features} columns")
            if not np.isfinite(pending).all():
                raise refuse("pending", "finite values")
            self.n_features = pending.shape[1]
            self._pending, self._n_pending = np.empty((CHUNK, self.n_features), pending.dtype), len(pending)
            self._pending[: len(pending)] = pending
        if self.n_features is None:
            raise refuse("scatter", "moments of at least one row")

    # --- Inside ---

    def _draft(self) -> Moments:
        """Moments to change and then `_become`, or drop: rows are added behind those that count for us."""
        draft = Moments.__new__(Moments)
        vars(draft).update(vars(self))
        draft._owns_sums = False
        return draft

    def _become(self, draft: Moments) -> None:
        if draft._sums is not None:
            draft._sums.drop_room()
        vars(self).update(vars(draft))

    def _check_width(self, width: int, name: str, owner: str) -> None:
        if self.n_features is None:
            self.n_features = width
        elif width != self.n_features:
            raise ValueError(
                f"{name}: X has {width} features, but {owner} is expecting {self.n_features} features as input"
            )

    def _own_sums(self, *, flush: bool = False) -> _Sums:
        """Sums that nobody else sees, with what is pending if it is to be `flush`ed."""
        assert self.n_features is not None
        if self._sums is None:
            self._sums = _Sums(self.n_features)
        elif not self._owns_sums:
            self._sums = self._sums.copy()
        self._owns_sums = True
        self._all = None
        if flush and self._pending is not None and self._n_pending:
            self._sums.add(self._pending[: self._n_pending], "X", 0)
            self._pending, self._n_pending = None, 0
        return self._sums

    def _append(self, X: Any, name: str, owner: str) -> None:
        """Add rows to a draft."""
        rows = check_array(refuse_sparse(X, name), name, finite=False)
        self._check_width(rows.shape[1], name, owner)
        if self.dtype is not None and rows.dtype != self.dtype:
            with np.errstate(over="ignore"):  # infinity, which is then refused
                rows = rows.astype(np.float64) if rows.dtype == np.float32 else rows.astype(np.float32)
        self._has_float32 |= rows.dtype == np.float32
        if self._pending is not None and self._n_pending and self._pending.dtype != rows.dtype:
            self._own_sums(flush=True)  # a chunk is of one type: where it changes, the chunk ends
        done = 0
        while done < len(rows):
            take = min(CHUNK - self._n_pending, len(rows) - done)
            if take == CHUNK:
                self._own_sums().add(rows[done : done + CHUNK], name, done)
            else:
                self._keep(rows[done : done + take], name, done)
            done += take

    def _keep(self, rows: Rows, name: str, first: int) -> None:
        """Note rows until a chunk is full."""
        refuse_non_finite(rows, name, first)
        if self._n_pending == 0 or self._pending is None:
            self._pending, self._n_pending = np.empty((CHUNK, rows.shape[1]), rows.dtype), 0
        self._pending[self._n_pending : self._n_pending + len(rows)] = rows
        self._n_pending += len(rows)
        self._all = None
        if self._n_pending == CHUNK:
            self._own_sums(flush=True)

    def _complete(self) -> _Sums | None:
        """The sums of all rows; a chunk that is not full is added to a copy."""
        if self._n_pending == 0:
            return self._sums
        if self._all is None:
            self._all = self._draft()._own_sums(flush=True)
        return self._all

    def _required(self) -> _Sums:
        sums = self._complete()
        if sums is None:
            raise ValueError("Moments: expected at least one row, got 0 sample(s) [call update first]")
        sums.freeze()
        return sums


class _Room:
    """Where chunks are worked on: memory that is new for each costs a tenth of the time."""

    def __init__(self, n_features: int, dtype: Any) -> None:
        self.rows: Rows = np.empty((CHUNK, n_features), dtype)
        self.product: Rows = np.empty((n_features, n_features), dtype)
        # A float64 product has been added by the time that this is needed.
        self.outer: Any = self.product if dtype == np.float64 else np.empty((n_features, n_features))


class _Sums:
    """Count, mean and scatter of whole chunks, and the arithmetic of adding to them."""

    def __init__(self, n_features: int) -> None:
        self.n = 0
        self.mean: Matrix = np.zeros(n_features)
        self.scatter: Matrix = np.zeros((n_features, n_features))
        self._room: _Room | None = None

    def copy(self) -> _Sums:
        made = _Sums.__new__(_Sums)
        made.n, made.mean, made.scatter = self.n, self.mean.copy(), self.scatter.copy()
        made._room, self._room = self._room, None
        return made

    def drop_room(self) -> None:
        self._room = None

    def freeze(self) -> None:
        """Make the arrays read-only, as they are handed out."""
        self.drop_room()
        self.mean.setflags(write=False)
        self.scatter.setflags(write=False)

    def covariance(self, beta: float) -> Matrix:
        result: Matrix = self.scatter / self.n
        if beta != 1.0:
            shift = self.mean * abs(1.0 - beta)
            result += shift[:, None] * shift
        return result

    def merge(self, other: _Sums) -> None:
        """Add the moments of other rows."""
        np.add(self.scatter, other.scatter, out=self.scatter)
        self._move(other.n, other.mean, np.empty_like(self.scatter))

    def _move(self, n: int, mean: Matrix, room: Matrix) -> None:
        """Let the mean take in that of n more rows, and the scatter what lies between the two."""
        total = self.n + n
        delta = mean - self.mean
        between = delta * np.sqrt(self.n / total * n)
        np.multiply(between[:, None], between, out=room)
        self.scatter += room
        self.mean = self.mean + delta * (n / total) if self.n else mean.copy()
        self.n = total

    def add(self, rows: Rows, name: str, first: int) -> None:
        """Add one chunk. Its matrix product is in the precision of the rows, everything else in float64."""
        m = len(rows)
        room = self._room
        if room is None or room.rows.dtype != rows.dtype:
            room = self._room = _Room(rows.shape[1], rows.dtype)
        with np.errstate(all="ignore"):
            # The mean of a chunk in its own precision is near the true one; what it misses is in `rest`, exactly.
            shift = np.add.reduce(rows, axis=0) / rows.dtype.type(m)
            centred = np.subtract(rows, shift, out=room.rows[:m])
            rest = _exact_sums(centred)
            # numpy takes the symmetric product of BLAS: half of the work.
            product = np.matmul(centred.T, centred, out=room.product)
            diagonal = product.diagonal()
            usable = bool(np.isfinite(diagonal).all() and np.isfinite(rest).all())
        if not usable or (rows.dtype == np.float32 and _has_underflow(diagonal, centred)):
            refuse_non_finite(rows, name, first)
            if rows.dtype == np.float32:
                self.add(rows.astype(np.float64), name, first)
                return
            raise FloatingPointError(
                f"{name}: expected values whose squares add up in float64, got an overflow in the scatter of rows "
                f"{first} to {first + m - 1}"
            )
        np.add(self.scatter, product, out=self.scatter)
        error = rest / np.sqrt(m)
        if (error * error > np.finfo(rows.dtype).eps / 1024 * diagonal).any():  # else the product's rounding hides it
            np.multiply(error[:, None], error, out=room.outer)
            self.scatter -= room.outer
        self._move(m, shift + rest / m, room.outer)


_TINY = 1e-30  # a sum of float32 squares below this may have lost squares that float32 cannot hold


def _has_underflow(diagonal: Rows, centred: Rows) -> bool:
    return bool(diagonal.min() < _TINY) and bool(centred[:, diagonal < _TINY].any())


def _exact_sums(centred: Rows) -> Matrix:
    """Sums of columns in float64. Of float32 values 16 at a time are first added as they are: that is twice as fast,
    and costs 1e-9 of their spread, as they are centred."""
    m, d = centred.shape
    parts = centred
    if centred.dtype == np.float32 and m % 16 == 0:
        parts = np.add.reduce(centred.reshape(m // 16, 16, d), axis=1)
    sums: Matrix = np.add.reduce(parts, axis=0, dtype=np.float64)
    return sums


def refuse_sparse(X: Any, name: str) -> Any:
    """X itself; centring a sparse matrix would make it dense."""
    if hasattr(X, "tocsr") or (hasattr(X, "nnz") and hasattr(X, "indptr")):
        raise TypeError(
            f"{name}: expected a dense array, got the sparse {type(X).__name__}: Sparse data is not supported, as "
            "centring would make it dense [project it first, with likewise.projection.RandomProjection]"
        )
    return X


def refuse_non_finite(rows: Rows, name: str, first: int = 0) -> None:
    """Raise for the first NaN or infinity; `first` is the number of the first row."""
    flat = rows.reshape(-1)
    with np.errstate(all="ignore"):
        if np.isfinite(np.vdot(flat, flat)):  # one fast pass; a sum that overflows proves nothing
            return
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = divmod(int(np.argmin(finite)), rows.shape[1])
        bad = rows[row, column]
        text = "NaN" if np.isnan(bad) else "infinity" if bad > 0 else "-infinity"
        raise ValueError(f"{name}: expected finite values, got {text} at row {first + row}, column {column}")


def _arrays_of(X: Any, name: str) -> Iterator[tuple[Any, str]]:
    """X itself, or its chunks, each with the name that errors give it."""
    if is_chunks(X):
        for chunk_name, chunk in iterate_chunks(X, name):
            yield chunk, chunk_name
    else:
        yield X, name


def check_moments(container: Any, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with the content of a file of moments."""
    try:
        Moments._from_container(container)
    except CorruptFileError as error:
        yield error
