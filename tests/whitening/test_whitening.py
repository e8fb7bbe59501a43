"""The map: numbers made by hand, identities, and what it is equal to."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import RankDeficiencyWarning
from likewise.whitening import Whitening
from likewise.whitening.spectrum import _signs
from tests.whitening.vectors import HAND, cone, reference


@pytest.mark.parametrize(
    ("beta", "gamma", "eigenvalues", "first", "row_0", "row_2"),
    [
        (1, 1, (2.15138782, .34861218), (.95709203, .28978415), (-.19756739, -1.62099778), (1.50260895, .63940051)),
        (1, 0, (2.15138782, .34861218), (.95709203, .28978415), (-.28978415, -.95709203), (2.20396820, .37752373)),
        (.5, .5, (3.38019932, .36980068), (.93472170, .35538056), (.55831376, -1.05504608), (2.46122509, .43079527)),
        (0, 0, (7.11340601, .38659399), (.91350006, .40683858), (1.82700013, -.81367717), (4.46767742, .19964579)),
    ],
)  # fmt: skip
def test_by_hand(beta: float, gamma: float, eigenvalues: Any, first: Any, row_0: Any, row_2: Any) -> None:
    whitening = Whitening(beta=beta, gamma=gamma).fit(HAND)
    assert whitening.mean_.tolist() == [2.0, 1.0]
    assert whitening.eigenvalues_ == pytest.approx(eigenvalues, abs=1e-8)
    assert whitening.components_[0] == pytest.approx(first, abs=1e-8)
    result = whitening.transform(HAND)
    assert result[0] == pytest.approx(row_0, abs=1e-8) and result[2] == pytest.approx(row_2, abs=1e-8)
    if beta == 1:
        assert whitening.components_[1] == pytest.approx((-0.28978415, 0.95709203), abs=1e-8)
        assert result[3].tolist() == [0.0, 0.0]  # the mean itself
    single = Whitening(beta=beta, gamma=gamma).fit(HAND.astype(np.float32)).transform(HAND.astype(np.float32))
    assert single.dtype == np.float32 and single == pytest.approx(result, abs=1e-6)


@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 1e-6), (np.float64, 1e-10)])
def test_the_covariance_of_the_result_is_the_identity(dtype: Any, bar: float) -> None:
    for mean in (0.0, 1.0, 5.0):
        Y = Whitening(n_components=40).fit_transform(cone(10_000, 64, dtype, mean=mean)).astype(np.float64)
        assert np.abs(np.cov(Y, rowvar=False, bias=True) - np.eye(40)).max() <= bar


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.0, 2.0])
@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 2e-5), (np.float64, 1e-10)])
def test_second_moments_of_the_result(beta: float, gamma: float, dtype: Any, bar: float) -> None:
    X = cone(3000, 20, dtype)
    whitening = Whitening(12, beta=beta, gamma=gamma).fit(X)
    Y = whitening.transform(X).astype(np.float64)
    expected = np.diag(whitening.eigenvalues_[:12] ** (1 - gamma))
    assert np.abs(Y.T @ Y / len(Y) - expected).max() <= bar * expected.max()
    assert np.abs(Y - reference(X, beta, gamma, 12)).max() <= 10 * bar * np.abs(Y).max()


@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_a_pure_rotation_keeps_cosines(dtype: Any, bar: float) -> None:
    X = cone(300, 24, dtype)
    Y = Whitening(beta=0, gamma=0).fit_transform(X)
    assert Y.shape == X.shape

    def cosines(Z: np.ndarray) -> np.ndarray:
        Z = Z.astype(np.float64)
        Z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
        return Z @ Z.T

    assert np.abs(cosines(X) - cosines(Y)).max() <= bar


def test_it_equals_scikit_learns_pca() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    X = cone(500, 12)
    pca = decomposition.PCA(5, whiten=True, svd_solver="covariance_eigh").fit(X)
    ours, theirs = Whitening(5).fit(X).transform(X), pca.transform(X) * np.sqrt(500 / 499)
    theirs *= np.sign((ours * theirs).sum(axis=0))
    assert np.abs(ours - theirs).max() < 1e-10


def test_it_equals_numpys_covariance() -> None:
    X = cone(5000, 30, np.float32)
    whitening = Whitening().fit(X)
    expected = np.cov(X.astype(np.float64), rowvar=False, bias=True)
    assert np.abs(whitening.covariance_ - expected).max() <= 1e-6 * np.abs(expected).max()
    assert whitening.eigenvalues_ == pytest.approx(np.linalg.eigvalsh(expected)[::-1], rel=1e-5)
    assert whitening.explained_ratio_.sum() == pytest.approx(1.0)
    assert (whitening.rank_, whitening.n_components_, whitening.n_samples_seen_) == (30, 30, 5000)
    assert whitening.whitening_matrix_.shape == (30, 30) and whitening.components_.shape == (30, 30)
    assert np.array_equal(whitening.moments_.mean, whitening.mean_)


@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_scaling_the_data(scale: float, gamma: float) -> None:
    X = cone(200, 8)
    one, other = Whitening(gamma=gamma).fit_transform(X), Whitening(gamma=gamma).fit_transform(scale * X)
    assert other == pytest.approx(scale ** (1 - gamma) * one, rel=1e-7, abs=1e-9 * scale ** (1 - gamma))


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1e18, 1e25])
def test_values_whose_squares_float32_cannot_hold(scale: float) -> None:
    X = cone(3000, 8, np.float32)
    scaled = (X.astype(np.float64) * scale).astype(np.float32)
    assert Whitening().fit_transform(scaled) == pytest.approx(Whitening().fit_transform(X), abs=1e-4)


def test_turning_the_data_keeps_cosines() -> None:
    X = cone(100, 8)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))[0]
    one = Whitening(4, gamma=0.7, normalize=True).fit_transform(X)
    other = Whitening(4, gamma=0.7, normalize=True).fit_transform(X @ turn)
    assert one @ one.T == pytest.approx(other @ other.T, abs=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.25, 1.0])
def test_a_dead_column_changes_nothing(dtype: Any, gamma: float) -> None:
    X = cone(400, 6, dtype)
    dead = np.insert(X, 3, 0, axis=1)
    with pytest.warns(RankDeficiencyWarning, match="^n_components: expected 7 directions for 7 columns, got 6"):
        found = Whitening(gamma=gamma).fit(dead)
    alive = Whitening(gamma=gamma).fit_transform(X)
    assert found.rank_ == found.n_components_ == 6
    assert found.transform(dead) == pytest.approx(alive, abs=1e-5 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rank_5_in_8_columns(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    X = (rng.standard_normal((3000, 5)) @ rng.standard_normal((5, 8)) + 3).astype(dtype)
    with pytest.warns(RankDeficiencyWarning):
        whitening = Whitening().fit(X)
    assert whitening.rank_ == whitening.n_components_ == 5
    assert whitening.eigenvalues_[5:].max() / whitening.eigenvalues_[0] < 1e-6
    assert Whitening(beta=1, gamma=0).fit(X).n_components_ == 8
    assert Whitening(7, gamma=0).fit(X).transform(X).shape == (3000, 7)
    assert Whitening(0.9999999).fit(X).n_components_ <= 5
    floor = "1e-06" if dtype == np.float32 else r"1\.77636e-15"
    text = rf"^n_components: expected at most 5 \(numerical rank at eigenvalue_floor={floor}\), got 6$"
    with pytest.raises(ValueError, match=text):
        Whitening(6).fit(X)


def test_few_rows() -> None:
    with pytest.warns(RankDeficiencyWarning):
        whitening = Whitening().fit(cone(4, 10))
    assert whitening.n_components_ == 3
    assert np.isfinite(whitening.transform(cone(20, 10))).all()


def test_a_share_of_the_variance() -> None:
    X = np.diag([3.0, 2.0, 1.0]).repeat(2, axis=0) * np.array([1, -1] * 3)[:, None]  # variances 3, 4/3, 1/3
    assert [Whitening(share).fit(X).n_components_ for share in (0.1, 0.6, 0.65, 0.9, 0.95)] == [1, 1, 2, 2, 3]
    capped = Whitening(0.95, eigenvalue_floor=0.2).fit(X)  # the third is .11 of the first
    assert capped.rank_ == capped.n_components_ == 2
    assert capped.set_hyper(gamma=0.0).n_components_ == 3


def test_signs() -> None:
    components = Whitening().fit(cone(300, 9)).components_
    assert (components[np.arange(9), np.abs(components).argmax(axis=1)] > 0).all()
    # Two entries of equal size: the first is positive.
    components = Whitening().fit([[1.0, -1.0], [-1.0, 1.0], [0.1, 0.1], [-0.1, -0.1]]).components_
    assert (components[:, 0] > 0).all()
    assert _signs(np.array([[-0.5, -0.5], [0.5 + 1e-14, 0.6]])).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_set_hyper_equals_a_fresh_fit(dtype: Any) -> None:
    X = cone(700, 10, dtype)
    whitening = Whitening().fit(X)
    changes: list[dict[str, Any]] = [
        {"beta": 0.25}, {"gamma": 0.5}, {"n_components": 4}, {"beta": 0, "gamma": 0, "n_components": None},
    ]  # fmt: skip
    for change in changes:
        assert whitening.set_hyper(**change) is whitening
        fresh = Whitening(**whitening.get_params()).fit(X)
        assert whitening.transform(X).tobytes() == fresh.transform(X).tobytes(), change
    assert (whitening.beta, whitening.gamma, whitening.n_components) == (0, 0, None)


def test_set_params_waits_for_the_next_fit() -> None:
    X = cone(100, 5)
    whitening = Whitening().fit(X)
    before = whitening.transform(X)
    assert np.array_equal(whitening.set_params(gamma=0.0).transform(X), before)
    assert not np.array_equal(whitening.fit(X).transform(X), before)
    lazy = Whitening().partial_fit(X).set_params(gamma=0.0)
    assert lazy.transform(X) == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 1e-6), (np.float64, 1e-10)])
def test_inverse(dtype: Any, bar: float) -> None:
    X = cone(500, 7, dtype)
    for beta, gamma in ((1, 1), (0.5, 0.25), (0, 0)):
        whitening = Whitening(beta=beta, gamma=gamma).fit(X)
        again = whitening.inverse_transform(whitening.transform(X))
        assert again.dtype == dtype
        assert np.abs(again - X).max() <= bar * np.abs(X).max()
    part = Whitening(3).fit(X)
    projected = part.inverse_transform(part.transform(X))
    assert part.inverse_transform(part.transform(projected)) == pytest.approx(projected, abs=1e-5)
    with pytest.raises(ValueError, match="^normalize: expected False for inverse_transform, got True"):
        Whitening(normalize=True).fit(X).inverse_transform(X)
    with pytest.raises(ValueError, match="^Y: X has 7 features, but inverse_transform is expecting 3 features"):
        part.inverse_transform(X)
    with pytest.raises(ValueError, match="^Y: expected finite values, got NaN at row 0, column 1"):
        part.inverse_transform([[0.0, np.nan, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalized_rows(dtype: Any) -> None:
    X = cone(100, 6, dtype)
    X[5] = 0
    whitening = Whitening(beta=0, gamma=0.5, normalize=True).fit(X)
    Y = whitening.transform(X)
    for scale in (1e-25, 1e20):  # squares that float32 cannot hold
        assert whitening.transform(X * dtype(scale)) == pytest.approx(Y, abs=1e-5)
    lengths = np.linalg.norm(Y.astype(np.float64), axis=1)
    assert lengths[5] == 0 and np.delete(lengths, 5) == pytest.approx(1.0, abs=1e-6)


def test_a_row_equal_to_the_mean_stays_zero() -> None:
    for dtype in (np.float32, np.float64):
        Y = Whitening(normalize=True).fit(HAND.astype(dtype)).transform(HAND.astype(dtype))
        assert Y[3].tolist() == [0.0, 0.0] and np.isfinite(Y).all()


@pytest.mark.parametrize(("ratio", "bar"), [(1, 1e-6), (10, 2e-6), (100, 1e-5)])
def test_a_large_mean_costs_few_digits(ratio: int, bar: float) -> None:
    X = cone(4000, 256, np.float32, mean=ratio)
    whitening = Whitening().fit(X)
    exact = (X.astype(np.float64) - whitening.mean_) @ whitening.whitening_matrix_
    assert np.sqrt(np.mean((whitening.transform(X) - exact) ** 2)) <= bar


def test_what_float32_cannot_hold_of_the_mean_is_not_lost() -> None:
    X = (1000 + np.random.default_rng(0).integers(-100, 100, (999, 3)) * 2.0**-13).astype(np.float32)
    whitening = Whitening().fit(X)
    assert (whitening.mean_ != whitening.mean_.astype(np.float32)).all()
    assert np.abs(whitening.transform(X).mean(axis=0, dtype=np.float64)).max() < 1e-6


def test_types_of_results() -> None:
    X = cone(50, 4, np.float32)
    whitening = Whitening().fit(X)
    assert whitening.transform(X).dtype == np.float32 and whitening.transform(X.astype(np.float64)).dtype == np.float64
    assert whitening.transform(X.astype(np.float16)).dtype == np.float32
    assert whitening.transform([[1, 2, 3, 4]]).dtype == np.float64
    wide = Whitening(dtype="float64").fit(X).transform(X)
    assert wide.dtype == np.float64 and wide == pytest.approx(whitening.transform(X), abs=1e-5)
    narrow = Whitening(dtype=np.float32).fit(X).transform(X.astype(np.float64))
    assert narrow.dtype == np.float32 and narrow == pytest.approx(whitening.transform(X), abs=1e-5)
    assert whitening.transform(X[:0]).shape == (0, 4)


def test_out() -> None:
    X = cone(5000, 6, np.float32)
    whitening = Whitening(3).fit(X)
    out = np.empty((5000, 3), np.float32)
    assert whitening.transform(X, out=out) is out and np.array_equal(out, whitening.transform(X))
    with pytest.raises(ValueError, match=r"^out: expected shape .5000, 3. and dtype float32"):
        whitening.transform(X, out=np.empty((5000, 3)))
    square = Whitening().fit(X)
    with pytest.raises(ValueError, match="^out: expected memory of its own"):
        square.transform(X, out=X)
    with pytest.raises(TypeError, match="^out: expected None where X comes in chunks"):
        whitening.transform([X], out=out)


@given(st.integers(2, 30), st.integers(1, 6), st.floats(-1, 2), st.floats(0, 2), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_any_parameters(n: int, d: int, beta: float, gamma: float, seed: int) -> None:
    X = cone(n, d, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        whitening = Whitening(beta=beta, gamma=gamma).fit(X)
    Y = whitening.transform(X)
    assert np.isfinite(Y).all() and Y.shape[0] == n
    expected = whitening.eigenvalues_[: Y.shape[1]] ** (1 - gamma)
    assert Y.T @ Y / n == pytest.approx(np.diag(expected), abs=1e-6 * (1 + expected.max()))
