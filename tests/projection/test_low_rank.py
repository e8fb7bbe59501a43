"""Singular values from a sketch, against LAPACK and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.projection import randomized_range_finder, randomized_svd

scipy_sparse = pytest.importorskip("scipy.sparse")


def matrix(n: int, d: int, *, decay: float, dtype: Any = np.float64) -> Any:
    generator = np.random.default_rng(0)
    u, v = (np.linalg.qr(generator.standard_normal((size, min(n, d))))[0] for size in (n, d))
    return ((u * decay ** np.arange(min(n, d))) @ v.T).astype(dtype)


@pytest.mark.parametrize("shape", [(80, 50), (50, 80), (200, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_range(shape: tuple[int, int], dtype: Any) -> None:
    M = matrix(*shape, decay=0.5, dtype=dtype)
    Q = randomized_range_finder(M, 12, random_state=0)
    assert Q.shape == (shape[0], 12) and Q.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(Q.T @ Q, np.eye(12), atol=tolerance)
    assert np.linalg.norm(M - Q @ (Q.T @ M), 2) < 1.1 * 0.5**12 + tolerance
    np.testing.assert_array_equal(randomized_range_finder(M, 12, random_state=0), Q)
    assert (randomized_range_finder(M, 12, random_state=1) != Q).any()
    plain = randomized_range_finder(M, 12, n_iter=0, random_state=0)
    assert np.linalg.norm(M - plain @ (plain.T @ M), 2) < 20 * 0.5**12 + tolerance


@pytest.mark.parametrize("make", [np.asarray, scipy_sparse.csr_array, scipy_sparse.csc_matrix, lambda M: M.tolist()])
@pytest.mark.parametrize("shape", [(80, 50), (50, 80)])
def test_singular_values(make: Any, shape: tuple[int, int]) -> None:
    M = matrix(*shape, decay=0.7)
    U, s, Vt = randomized_svd(make(M), 8, random_state=0)
    assert (U.shape, s.shape, Vt.shape) == ((shape[0], 8), (8,), (8, shape[1]))
    exact = np.linalg.svd(M, full_matrices=False)
    np.testing.assert_allclose(s, exact.S[:8], rtol=1e-10)
    np.testing.assert_allclose((U * s) @ Vt, (exact.U[:, :8] * exact.S[:8]) @ exact.Vh[:8], atol=1e-6)
    assert (U[np.abs(U).argmax(axis=0), np.arange(8)] > 0).all()


def test_as_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.utils.extmath")
    M = matrix(120, 90, decay=0.9)
    U, s, Vt = randomized_svd(M, 10, n_iter=7, random_state=0)
    other = sklearn.randomized_svd(M, 10, n_iter=7, random_state=0)
    np.testing.assert_allclose(s, other[1], rtol=1e-6)
    np.testing.assert_allclose((U * s) @ Vt, (other[0] * other[1]) @ other[2], atol=1e-3)


def test_all_of_them_and_low_rank() -> None:
    M = matrix(20, 10, decay=0.5)
    _, s, _ = randomized_svd(M, 10, random_state=0)
    np.testing.assert_allclose(s, 0.5 ** np.arange(10), rtol=1e-10)
    one = np.outer(np.arange(20.0), np.ones(10))
    U, s, Vt = randomized_svd(one, 3, random_state=0)
    np.testing.assert_allclose((U * s) @ Vt, one, atol=1e-12)
    assert (randomized_svd(np.zeros((5, 4)), 2, random_state=0)[1] == 0).all()
    assert randomized_svd(M.astype(np.float32), 3, random_state=0)[0].dtype == np.float32


def test_refusals() -> None:
    M = np.ones((6, 4))
    for call, error, text in (
        (lambda: randomized_svd(M, 5), ValueError, "n_components: expected an integer from 1 to 4, got 5"),
        (lambda: randomized_svd(M, 0), ValueError, "n_components: expected an integer"),
        (lambda: randomized_svd(M, 2, n_oversamples=-1), ValueError, "n_oversamples: expected an integer >= 0"),
        (lambda: randomized_svd(M, 2, n_iter=-1), ValueError, "n_iter: expected an integer >= 0"),
        (lambda: randomized_svd(M, 2, random_state="a"), TypeError, "random_state: expected"),
        (lambda: randomized_range_finder(M, 5), ValueError, "size: expected an integer from 1 to 4, got 5"),
        (lambda: randomized_range_finder(M, True), TypeError, "size: expected an integer"),
        (lambda: randomized_range_finder([1.0, 2], 1), ValueError, "M: expected a 2-D array"),
        (lambda: randomized_range_finder(M * np.nan, 1), ValueError, "M: expected finite values"),
        (lambda: randomized_range_finder(scipy_sparse.csr_array(M * np.nan), 1), ValueError, "M: expected finite"),
        (lambda: randomized_range_finder(np.full((3, 300), 1e308), 1), FloatingPointError, "M: expected products"),
    ):
        with pytest.raises(error, match="^" + text):
            call()
