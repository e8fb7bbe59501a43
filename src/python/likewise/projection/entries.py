"""The entries of an implicit matrix, written out in blocks: for looking at it, and for going back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_size
from .construction import SPARSE_METHODS, Construction

__all__ = ["components", "inverse", "invert_gram"]

_BLOCK_BYTES = 8 << 20
_MOST_BYTES = 2 << 30  # of a matrix written out
_CUT = 1e-12  # of the largest eigenvalue of S S^T: what is below counts as zero


def _blocks(construction: Construction, projection: Any, dtype: Any) -> Iterator[tuple[int, NDArray[Any]]]:
    """S^T (d, k) in blocks of rows, each with the number of its first row; a block is overwritten by the next."""
    d, k = construction.n_features, construction.n_components
    step = max(1, min(d, _BLOCK_BYTES // (k * np.dtype(dtype).itemsize)))
    buffer = np.empty((step, k), dtype)
    for first in range(0, d, step):
        rows = buffer[: min(step, d - first)]
        projection.rows(first, rows)
        yield first, rows


def components(construction: Construction, projection: Any, dtype: Any) -> Any:
    """S (k, d): an array, or CSR of scipy for the sparse methods. Refuses more than 2 GiB."""
    d, k = construction.n_features, construction.n_components
    item = np.dtype(dtype).itemsize
    if construction.method not in SPARSE_METHODS:
        _refuse(k * d * item)
        full = np.empty((k, d), dtype)
        for first, rows in _blocks(construction, projection, dtype):
            full[:, first : first + len(rows)] = rows.T
        return full
    try:
        from scipy.sparse import csc_array
    except ImportError as error:
        raise ImportError("components_ of a sparse method needs scipy; pip install scipy") from error
    lengths, indices, data = [np.zeros(1, np.int64)], [], []
    n_bytes = 0
    for _, rows in _blocks(construction, projection, dtype):
        column, row = np.nonzero(rows)
        n_bytes += len(row) * (item + 8)
        _refuse(n_bytes)
        lengths.append(np.count_nonzero(rows, axis=1))
        indices.append(row)
        data.append(rows[column, row])
    by_column = (np.concatenate(data), np.concatenate(indices), np.cumsum(np.concatenate(lengths)))
    return csc_array(by_column, shape=(k, d)).tocsr()


def _refuse(n_bytes: int) -> None:
    if n_bytes > _MOST_BYTES:
        raise ValueError(f"components_: expected a matrix of at most {_MOST_BYTES} bytes, got one of {n_bytes} or more")


def invert_gram(construction: Construction, projection: Any) -> NDArray[np.float64]:
    """The inverse of S S^T (k, k) by Cholesky; where that is singular, its pseudo-inverse by eigenvalues."""
    k = construction.n_components
    check_size(k * k, 8, "n_components")
    gram = np.zeros((k, k))
    for _, rows in _blocks(construction, projection, np.float64):
        gram += rows.T @ rows
    if k <= construction.n_features:
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            pass
        else:
            pivots = np.diagonal(factor)
            if pivots.min() > 1e-4 * pivots.max():  # far from singular; otherwise the eigenvalues decide
                half: NDArray[np.float64] = np.linalg.inv(factor)
                return half.T @ half
    values, vectors = np.linalg.eigh(gram)
    kept = values > _CUT * values[-1]
    pseudo: NDArray[np.float64] = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return pseudo


def inverse(
    construction: Construction, projection: Any, inverse_gram: NDArray[np.float64], Y: NDArray[Any]
) -> NDArray[Any]:
    """Y pinv(S)^T (n, d) in the dtype of Y, computed in float64."""
    result = np.empty((len(Y), construction.n_features), Y.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # told from the result
        solved = Y.astype(np.float64) @ inverse_gram
        for first, rows in _blocks(construction, projection, np.float64):
            result[:, first : first + len(rows)] = solved @ rows.T
    return result
