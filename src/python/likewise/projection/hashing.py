"""Signs of a projection as bits: two rows at an angle theta differ in about theta / pi of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_n_threads, check_scalar_int, describe
from .construction import MAX_COMPONENTS, choose
from .sparse import check_csr, is_sparse

__all__ = ["hamming_distance", "simhash", "simhash_cosine"]

Bits = NDArray[np.uint8]
_BLOCK_VALUES = 1 << 18  # of a projection whose signs are taken


def simhash(
    X: Any, n_bits: int = 256, *, method: str = "auto", random_state: Any = None, n_threads: int | None = None
) -> Bits:
    """Hash each row to the signs of a random projection (Charikar 2002).

    Bit j is set iff ``y_j >= 0`` in the projection y to `n_bits` dimensions. A zero row has all bits set.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
    n_bits : int, default 256
    method : str, default "auto"
        As in `RandomProjection`, but that "auto" is "hadamard" for every input, so that sparse and dense rows have the
        same hash. "gaussian" has bits that are exactly as independent as theory says. The sparse methods leave outputs
        of rows with few nonzeros at 0, whose bits are set: such rows look more alike than they are.
    random_state : int, Generator, RandomState or None
        Hashes can be compared if they come from the same seed, method, n_bits and d.
    n_threads : int or None
        None: every CPU that this process may use.

    Returns
    -------
    ndarray of uint8, shape (n, ceil(n_bits / 8))
        Bit j is bit ``j % 8`` of byte ``j // 8``, least significant first; what is left of the last byte is 0.

    Raises
    ------
    ValueError, TypeError, FloatingPointError
        As in `RandomProjection.transform`.

    References
    ----------
    .. [1] M. Charikar, Similarity estimation techniques from rounding algorithms, STOC 2002.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> X = np.eye(3, 100)
    >>> codes = lw.projection.simhash(X, 64, random_state=0)
    >>> codes.shape, lw.projection.hamming_distance(codes, codes)[0, 0]
    ((3, 8), np.int32(0))
    """
    n_threads = check_n_threads(n_threads)
    n_bits = check_scalar_int(n_bits, "n_bits", minimum=1, maximum=MAX_COMPONENTS)
    rows = check_csr(X, "X") if is_sparse(X) else check_array(X, "X", min_rows=0, finite=False)
    native = choose(
        n_samples=len(rows),
        n_features=rows.shape[1],
        sparse=False,  # so that "auto" does not depend on the format
        n_components=n_bits,
        method=method,
        random_state=random_state,
    ).build()
    codes = np.empty((len(rows), -(-n_bits // 8)), np.uint8)
    if isinstance(rows, np.ndarray):
        bad = _core.projection.simhash(native, rows, codes, n_threads)
    else:
        rows.check_finite("X")
        bad = -1
        step = max(1, _BLOCK_VALUES // n_bits)
        for begin in range(0, len(rows), step):
            part = rows.take(np.arange(begin, min(begin + step, len(rows))))
            images = np.empty((len(part), n_bits), part.data.dtype)
            found = native.transform_csr(part.indptr, part.indices, part.data, images, n_threads)
            if found >= 0:
                bad = begin + found
                break
            codes[begin : begin + step] = np.packbits(images >= 0, axis=1, bitorder="little")
    if bad >= 0:
        if isinstance(rows, np.ndarray):
            check_array(rows, "X")  # raises, naming row and column, unless only a sum has overflowed
        raise FloatingPointError(f"X: expected sums that its dtype holds, got infinity or NaN at row {bad}")
    return codes


def hamming_distance(A: Any, B: Any) -> NDArray[np.int32]:
    """The number of bits in which each row of A differs from each row of B.

    Parameters
    ----------
    A : array-like of uint8, shape (n, b)
    B : array-like of uint8, shape (m, b)

    Returns
    -------
    ndarray of int32, shape (n, m)

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> lw.projection.hamming_distance(np.array([[0b1010]], np.uint8), np.array([[0b0110], [0b1010]], np.uint8))
    array([[2, 0]], dtype=int32)
    """
    left, right = _check_codes(A, "A"), _check_codes(B, "B")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"B: expected {left.shape[1]} bytes a row, as A has, got {right.shape[1]}")
    distances = np.empty((len(left), len(right)), np.int32)
    _core.projection.hamming(left, right, distances, check_n_threads(None))
    return distances


def simhash_cosine(A: Any, B: Any, n_bits: int) -> NDArray[np.float64]:
    """Estimate the cosine of each row of A's data and each of B's from their hashes: ``cos(pi h / n_bits)``.

    Parameters
    ----------
    A : array-like of uint8, shape (n, ceil(n_bits / 8))
    B : array-like of uint8, shape (m, ceil(n_bits / 8))
        What `simhash` gave, with one seed.
    n_bits : int

    Returns
    -------
    ndarray of float64, shape (n, m)

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> X = np.random.default_rng(0).standard_normal((2, 100))
    >>> codes = lw.projection.simhash(np.concatenate([X, -X]), 64, random_state=0)
    >>> lw.projection.simhash_cosine(codes[:1], codes[[0, 2]], 64)
    array([[ 1., -1.]])
    """
    n_bits = check_scalar_int(n_bits, "n_bits", minimum=1, maximum=MAX_COMPONENTS)
    left = _check_codes(A, "A")
    if left.shape[1] != -(-n_bits // 8):
        raise ValueError(f"n_bits: expected a number that fits {left.shape[1]} bytes a row, got {n_bits}")
    angles = hamming_distance(left, B).astype(np.float64)
    angles *= np.pi / n_bits
    return np.cos(angles, out=angles)


def _check_codes(value: Any, name: str) -> Bits:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        raise TypeError(f"{name}: expected an array of uint8, as simhash gives it, got {describe(value)}")
    if value.ndim != 2 or value.shape[1] == 0:
        raise ValueError(f"{name}: expected an array of shape (n, b) with b >= 1, got shape {value.shape}")
    return np.ascontiguousarray(value).view(np.ndarray)
