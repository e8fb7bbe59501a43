"""From the projection back to the rows of least norm that project to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.projection import RandomProjection
from likewise.projection import entries as entries_module
from likewise.projection.construction import Construction


def dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def fitted(method: str, d: int, k: int, seed: int = 1, **options: Any) -> RandomProjection:
    return RandomProjection(k, method=method, random_state=seed, **options).fit(np.zeros((1, d)))


@pytest.mark.parametrize("method", ["hadamard", "sjlt", "countsketch", "very_sparse", "achlioptas", "gaussian", "srht"])
@pytest.mark.parametrize(("d", "k"), [(300, 64), (60, 48), (2000, 10)])
def test_it_is_the_pseudo_inverse(method: str, d: int, k: int) -> None:
    p = fitted(method, d, k)
    Y = np.random.default_rng(0).standard_normal((7, k))
    X = p.inverse_transform(Y)
    assert X.shape == (7, d) and X.dtype == np.float64
    S = dense(p.components_)
    np.testing.assert_allclose(X, Y @ np.linalg.pinv(S).T, atol=1e-11 * np.abs(X).max())
    narrow = p.inverse_transform(Y.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, X, atol=1e-5 * np.abs(X).max())


def test_what_is_projected_comes_back_the_same() -> None:
    p = fitted("hadamard", 500, 128)
    Y = np.random.default_rng(0).standard_normal((7, 128))
    np.testing.assert_allclose(p.transform(p.inverse_transform(Y)), Y, atol=1e-12)


@pytest.mark.parametrize("method", ["hadamard", "sjlt", "gaussian"])
def test_more_dimensions_than_before(method: str) -> None:
    with pytest.warns(UserWarning):
        p = fitted(method, 20, 64)
    X = np.random.default_rng(0).standard_normal((5, 20))
    np.testing.assert_allclose(p.inverse_transform(p.transform(X)), X, atol=1e-6)


def test_a_singular_matrix() -> None:
    # countsketch of few columns leaves rows of S empty: S S^T is singular
    p = fitted("countsketch", 40, 32)
    S = dense(p.components_)
    assert np.linalg.matrix_rank(S) < 32
    Y = np.random.default_rng(0).standard_normal((5, 32))
    np.testing.assert_allclose(p.inverse_transform(Y), Y @ np.linalg.pinv(S).T, atol=1e-12)


class Given:
    """Stands for a native projection whose matrix is known."""

    def __init__(self, S: Any) -> None:
        self.columns = np.ascontiguousarray(S.T)

    def rows(self, first: int, out: Any) -> None:
        out[...] = self.columns[first : first + len(out)]


def test_rows_that_are_all_but_equal_count_as_equal() -> None:
    S = np.random.default_rng(0).standard_normal((5, 40))
    S[3] = S[2] + 1e-7 * np.random.default_rng(1).standard_normal(40)
    construction = Construction("gaussian", 40, 5, None, None, 0)
    found = entries_module.invert_gram(construction, Given(S))
    np.testing.assert_allclose(found, np.linalg.pinv(S @ S.T, rcond=1e-12), atol=1e-6)
    assert np.abs(found).max() < 10


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = fitted("sjlt", 300, 32), fitted("sjlt", 300, 32)
    Y = np.random.default_rng(0).standard_normal((5, 32))
    whole, S = p.inverse_transform(Y), p.components_
    monkeypatch.setattr(entries_module, "_BLOCK_BYTES", 7 * 32 * 8)
    np.testing.assert_allclose(q.inverse_transform(Y), whole, atol=1e-13)
    assert (q.components_ != S).nnz == 0
    np.testing.assert_array_equal(fitted("gaussian", 300, 32).components_, fitted("gaussian", 300, 32).components_)


def test_refusals() -> None:
    p = fitted("hadamard", 100, 16)
    for wrong, text in (
        (np.zeros((2, 15)), "Y: X has 15 features, but inverse_transform is expecting 16 features"),
        (np.zeros(16), "Y: expected a 2-D array"),
        (np.full((2, 16), np.nan), "Y: expected finite values, got NaN at row 0, column 0"),
    ):
        with pytest.raises(ValueError, match="^" + text):
            p.inverse_transform(wrong)
    assert p.inverse_transform(np.zeros((0, 16))).shape == (0, 100)
    with pytest.raises(FloatingPointError, match="^Y: expected sums that float32 holds, .* at row 1"):
        square = fitted("hadamard", 16, 16)
        square.inverse_transform((np.array([[0], [3e38]]) * np.sign(square.components_[:, 0])).astype(np.float32))


def test_components_that_are_too_large() -> None:
    p = RandomProjection(1024, random_state=0)
    X = np.zeros((1, 600_000), np.float32)
    with pytest.raises(ValueError, match=r"^components_: expected a matrix of at most 2147483648 bytes, got one of"):
        _ = p.fit(X).components_
