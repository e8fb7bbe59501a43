"""Singular vectors from a random sketch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_random_state, check_scalar_int
from .construction import Construction
from .sparse import check_csr, is_sparse

__all__ = ["randomized_range_finder", "randomized_svd"]


def randomized_range_finder(M: Any, size: int, *, n_iter: int = 4, random_state: Any = None) -> NDArray[Any]:
    """Orthonormal columns that nearly span what M maps to: those of M S, sharpened by power iterations.

    Parameters
    ----------
    M : array-like or sparse matrix of shape (n, d)
    size : int
        Columns wanted, from 1 to min(n, d).
    n_iter : int, default 4
        Power iterations, each a product with M^T and one with M, with a QR decomposition after either.
    random_state : int, Generator, RandomState or None
        The seed of the Gaussian S (d, size).

    Returns
    -------
    ndarray of shape (n, size)
        Q with orthonormal columns and ``Q Q^T M`` close to M, in the dtype of M.

    Raises
    ------
    ValueError, TypeError

    References
    ----------
    .. [1] N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, SIAM Review 2011, algorithm 4.4.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> M = np.outer(np.arange(50.0), np.ones(20))
    >>> Q = lw.projection.randomized_range_finder(M, 2, random_state=0)
    >>> bool(np.allclose(Q @ (Q.T @ M), M))
    True
    """
    return _range(*_check_matrix(M), size, "size", n_iter, random_state)


def randomized_svd(
    M: Any, n_components: int, *, n_oversamples: int = 10, n_iter: int = 4, random_state: Any = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The largest singular values of M and their vectors, nearly: ``M ~ U diag(s) Vt``.

    Parameters
    ----------
    M : array-like or sparse matrix of shape (n, d)
    n_components : int
        From 1 to min(n, d).
    n_oversamples : int, default 10
        Columns of the sketch beyond these.
    n_iter : int, default 4
        Power iterations; more sharpen a spectrum that falls slowly.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    U : ndarray of shape (n, n_components)
        The entry of largest size in each column is positive.
    s : ndarray of shape (n_components,)
    Vt : ndarray of shape (n_components, d)

    Raises
    ------
    ValueError, TypeError

    References
    ----------
    .. [1] N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, SIAM Review 2011.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> U, s, Vt = lw.projection.randomized_svd(np.diag([3.0, 2.0, 1.0, 0.0]), 2, random_state=0)
    >>> s.round(6)
    array([3., 2.])
    """
    matrix, shape, dtype = _check_matrix(M)
    k = check_scalar_int(n_components, "n_components", minimum=1, maximum=min(shape))
    extra = check_scalar_int(n_oversamples, "n_oversamples", minimum=0)
    q = _range(matrix, shape, dtype, min(k + extra, *shape), "n_components", n_iter, random_state)
    # M^T Q rather than Q^T M: a sparse M multiplies from the left.
    u, s, vt = np.linalg.svd(_product(matrix.T, q).T, full_matrices=False)
    u = q @ u[:, :k]
    largest = np.abs(u).argmax(axis=0)
    signs = np.where(u[largest, np.arange(k)] < 0, -1, 1).astype(u.dtype)
    return u * signs, s[:k], vt[:k] * signs[:, None]


def _check_matrix(M: Any) -> tuple[Any, tuple[int, int], np.dtype[Any]]:
    """M as something that can be multiplied by arrays."""
    if not is_sparse(M):
        dense = check_array(M, "M")
        return dense, dense.shape, dense.dtype
    rows = check_csr(M, "M", min_rows=1)
    rows.check_finite("M")
    # Its own class multiplies, and keeps the dtype of what it holds.
    parts = (rows.data, rows.indices, rows.indptr)
    return type(M.tocsr())(parts, shape=rows.shape), rows.shape, rows.data.dtype


def _range(
    matrix: Any,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    size: Any,
    name: str,
    n_iter: Any,
    random_state: Any,
) -> NDArray[Any]:
    n, d = shape
    size = check_scalar_int(size, name, minimum=1, maximum=min(n, d))
    n_iter = check_scalar_int(n_iter, "n_iter", minimum=0)
    seed = check_random_state(random_state)
    sketch = np.empty((d, size), dtype)
    Construction("gaussian", d, size, None, None, seed).build().rows(0, sketch)
    q: NDArray[Any] = np.linalg.qr(_product(matrix, sketch))[0]
    for _ in range(n_iter):
        q = np.linalg.qr(_product(matrix.T, q))[0]
        q = np.linalg.qr(_product(matrix, q))[0]
    return q


def _product(matrix: Any, factor: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # told from the product
        product: NDArray[Any] = matrix @ factor
    if not np.isfinite(product).all():
        raise FloatingPointError(f"M: expected products that {product.dtype} holds, got infinity or NaN [scale M]")
    return product
