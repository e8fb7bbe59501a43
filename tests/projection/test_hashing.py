"""Signs as bits."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from likewise.projection import RandomProjection, hamming_distance, hashing, sign_hash, simhash, simhash_cosine

scipy_sparse = pytest.importorskip("scipy.sparse")

X = np.random.default_rng(0).standard_normal((30, 200)).astype(np.float32)


@pytest.mark.parametrize("n_bits", [1, 7, 8, 64, 100, 256])
@pytest.mark.parametrize("method", ["auto", "sjlt", "gaussian", "very_sparse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_are_the_signs(n_bits: int, method: str, dtype: Any) -> None:
    x = X.astype(dtype)
    x[3] = 0
    codes = simhash(x, n_bits, method=method, random_state=5)
    assert codes.shape == (30, -(-n_bits // 8)) and codes.dtype == np.uint8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        Y = RandomProjection(n_bits, method=method, random_state=5).fit_transform(x)
    bits = np.unpackbits(codes, axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[:, :n_bits], Y >= 0)
    assert not bits[:, n_bits:].any()
    assert bits[3, :n_bits].all()  # a zero row: 0 >= 0
    np.testing.assert_array_equal(simhash(x, n_bits, method=method, random_state=5, n_threads=1), codes)
    np.testing.assert_array_equal(simhash(scipy_sparse.csr_array(x), n_bits, method=method, random_state=5), codes)
    np.testing.assert_array_equal(simhash(x.astype(dtype), n_bits, method=method, random_state=5)[:0], codes[:0])


def test_wide_sparse_rows() -> None:
    generator = np.random.default_rng(3)
    n, d, nnz = 100, 70_000, 10
    columns = np.sort(generator.integers(d, size=(n, nnz)), axis=1).ravel()
    x = scipy_sparse.csr_array((generator.standard_normal(n * nnz), columns, np.arange(0, n * nnz + 1, nnz)), (n, d))
    codes = simhash(x, 256, random_state=0)
    np.testing.assert_array_equal(codes[:3], simhash(x[:3].toarray(), 256, random_state=0))
    cosines = simhash_cosine(codes[:50], codes[50:], 256)
    assert abs(cosines.mean()) < 0.02  # rows that have nothing in common


def test_blocks_of_sparse_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = simhash(X, 64, random_state=5)
    monkeypatch.setattr(hashing, "_BLOCK_VALUES", 7 * 64)
    np.testing.assert_array_equal(simhash(scipy_sparse.csr_array(X), 64, random_state=5), expected)
    x = X.copy()
    x[23] = 3e38
    with pytest.raises(FloatingPointError, match="at row 23"):
        simhash(scipy_sparse.csr_array(x), 64, random_state=5)


def test_sign_hash_is_its_other_name() -> None:
    assert sign_hash is simhash


def test_rows_at_sixty_degrees_differ_in_a_third_of_the_bits() -> None:
    n_bits = 4096
    generator = np.random.default_rng(1)
    a, b = np.linalg.qr(generator.standard_normal((200, 2)))[0].T
    codes = simhash(np.stack([a, a / 2 + b * np.sqrt(3) / 2]), n_bits, method="gaussian", random_state=2)
    distance = hamming_distance(codes[:1], codes[1:])[0, 0]
    assert abs(distance - n_bits / 3) < 4 * np.sqrt(n_bits * 2 / 9)
    assert simhash_cosine(codes[:1], codes[1:], n_bits)[0, 0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("width", [1, 3, 8, 32, 33, 100])
def test_hamming_distance(width: int) -> None:
    generator = np.random.default_rng(0)
    A, B = (generator.integers(0, 256, (n, width), dtype=np.uint8) for n in (5, 7))
    distances = hamming_distance(A, B)
    assert distances.dtype == np.int32 and distances.shape == (5, 7)
    np.testing.assert_array_equal(distances, np.unpackbits(A[:, None] ^ B[None], axis=2).sum(axis=2))
    assert hamming_distance(A[:0], B).shape == (0, 7)
    assert hamming_distance(A, B[:0]).shape == (5, 0)
    np.testing.assert_array_equal(hamming_distance(np.asfortranarray(A)[::2], B), distances[::2])
    cosines = simhash_cosine(A, B, 8 * width)
    assert cosines.dtype == np.float64
    np.testing.assert_allclose(cosines, np.cos(np.pi * distances / (8 * width)), atol=1e-15)


def test_refusals() -> None:
    codes = simhash(X, 64, random_state=0)
    for call, error, text in (
        (lambda: simhash(X, 0), ValueError, "n_bits: expected an integer from 1"),
        (lambda: simhash(X, 8.0), TypeError, "n_bits: expected an integer"),
        (lambda: simhash(X, 8, method="x"), ValueError, "method: expected one of"),
        (lambda: simhash(X, 8, n_threads=0), ValueError, "n_threads: expected"),
        (lambda: simhash(X, 8, random_state=-1), ValueError, "random_state: expected"),
        (lambda: simhash(X[0], 8), ValueError, "X: expected a 2-D array"),
        (lambda: simhash(np.where(X[2, 5] == X, np.nan, X), 8), ValueError, "X: .* NaN at row 2, column 5"),
        (
            lambda: simhash(scipy_sparse.csr_array(np.where(X[2, 5] == X, np.inf, X)), 8),
            ValueError,
            "X: expected finite values, got infinity at row 2, stored position 405",
        ),
        (lambda: simhash(np.full((2, 200), 3e38, np.float32), 8), FloatingPointError, "X: expected sums"),
        (lambda: hamming_distance(codes, codes[:, :5]), ValueError, "B: expected 8 bytes a row, as A has, got 5"),
        (lambda: hamming_distance(codes.astype(int), codes), TypeError, "A: expected an array of uint8"),
        (lambda: hamming_distance(codes, codes.tolist()), TypeError, "B: expected an array of uint8"),
        (lambda: hamming_distance(codes, codes[0]), ValueError, "B: expected an array of shape"),
        (lambda: simhash_cosine(codes, codes, 65), ValueError, "n_bits: expected a number that fits 8 bytes a row"),
        (lambda: simhash_cosine(codes, codes, 0), ValueError, "n_bits: expected an integer"),
    ):
        with pytest.raises(error, match="^" + text):
            call()
