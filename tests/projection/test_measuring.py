"""What `distortion` measures, against loops over pairs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from likewise.projection import DistortionReport, RandomProjection, distortion, measuring

scipy_sparse = pytest.importorskip("scipy.sparse")

generator = np.random.default_rng(0)
X = generator.standard_normal((40, 100))
X[generator.random(X.shape) < 0.7] = 0
P = RandomProjection(16, random_state=0).fit(X)
Y = P.transform(X)
ALL = np.array([(i, j) for i in range(40) for j in range(i + 1, 40)])


def cosine(a: Any, b: Any) -> float:
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def test_it_is_what_loops_give() -> None:
    report = distortion(X, Y, pairs=ALL)
    ratios = [((Y[i] - Y[j]) ** 2).sum() / ((X[i] - X[j]) ** 2).sum() for i, j in ALL]
    np.testing.assert_allclose(report.ratio_squared, ratios, rtol=1e-12)
    errors = [cosine(Y[i], Y[j]) - cosine(X[i], X[j]) for i, j in ALL]
    np.testing.assert_allclose(report.cosine_error, errors, atol=1e-12)
    moved = np.array(ratios) - 1
    assert report.mean == pytest.approx(moved.mean())
    assert report.std == pytest.approx(moved.std())
    assert report.max == pytest.approx(np.abs(moved).max())
    assert report.quantiles == pytest.approx(
        {q: np.quantile(np.abs(moved), q) for q in (0.01, 0.05, 0.5, 0.95, 0.99, 0.9999)}
    )
    assert (report.n_skipped, report.n_features, report.n_components) == (0, 100, 16)


@pytest.mark.parametrize("block", [1, 300, 1 << 20])
@pytest.mark.parametrize("make", [np.asarray, scipy_sparse.csr_array, scipy_sparse.coo_matrix, lambda x: x.tolist()])
def test_every_kind_of_input_and_block(make: Any, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_BLOCK_VALUES", block)
    expected = distortion(X, Y, pairs=ALL)
    for report in (distortion(make(X), Y, pairs=ALL.tolist()), distortion(make(X), P, pairs=ALL)):
        np.testing.assert_allclose(report.ratio_squared, expected.ratio_squared, rtol=1e-12)
        np.testing.assert_allclose(report.cosine_error, expected.cosine_error, atol=1e-12)


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"c{i}" for i in range(100)])
    p = RandomProjection(16, random_state=0).fit(frame).set_output(transform="pandas")
    expected = distortion(X, Y, pairs=ALL)
    np.testing.assert_allclose(distortion(frame, p, pairs=ALL).ratio_squared, expected.ratio_squared, rtol=1e-12)


@pytest.mark.parametrize("make", [np.asarray, scipy_sparse.csr_array])
def test_projections_of_scikit_learn(make: Any) -> None:
    sklearn = pytest.importorskip("sklearn.random_projection")
    for other in (sklearn.SparseRandomProjection, sklearn.GaussianRandomProjection):
        theirs = other(16, random_state=0).fit(X)
        S = theirs.components_
        expected = distortion(X, X @ (S.toarray() if hasattr(S, "toarray") else S).T)
        found = distortion(make(X), theirs)
        np.testing.assert_allclose(found.ratio_squared, expected.ratio_squared, rtol=1e-9)


def test_duplicate_sparse_entries_add_up() -> None:
    doubled = scipy_sparse.csr_array((np.array([1.0, 2, 5]), np.array([3, 3, 0]), np.array([0, 2, 3])), shape=(2, 4))
    report = distortion(doubled, np.array([[3.0, 0], [0, 5]]))
    assert report.ratio_squared.tolist() == [1.0]


def test_pairs_that_are_drawn() -> None:
    X = generator.standard_normal((300, 20))
    p = RandomProjection(16, random_state=0).fit(X)
    report = distortion(X, p, n_pairs=500)
    assert len(report.ratio_squared) == 500
    assert distortion(X, p, n_pairs=500).ratio_squared.tobytes() == report.ratio_squared.tobytes()
    assert distortion(X, p, n_pairs=500, random_state=1).ratio_squared.tobytes() != report.ratio_squared.tobytes()
    assert len(distortion(X[:5], p).ratio_squared) == 10  # all there are
    i, j = measuring._pairs(300, 10_000, None, 0)
    assert (i != j).all() and i.min() == j.min() == 0 and i.max() == j.max() == 299


def test_equal_rows_are_left_out() -> None:
    Z = np.concatenate([X[:3], X[:1], np.zeros((1, 100))])
    report = distortion(Z, P.transform(Z))
    assert report.n_skipped == 1 and len(report.ratio_squared) == 9
    assert np.isnan(report.cosine_error).sum() == 4  # a zero row has no cosine
    sparse = distortion(scipy_sparse.csr_array(Z), P)
    assert sparse.n_skipped == 1
    np.testing.assert_allclose(sparse.cosine_error, report.cosine_error, atol=1e-12)
    with pytest.raises(ValueError, match="^X: expected pairs of different rows, got 3 pairs of equal ones"):
        distortion(np.ones((3, 4)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="^X: expected pairs of different rows, got 1 pairs"):
        distortion(X, Y, pairs=[[4, 4]])


def test_theory() -> None:
    report = distortion(X, Y)
    assert report.theory["gaussian"]["std"] == math.sqrt(2 / 16)
    stats = pytest.importorskip("scipy.stats")
    for q, value in report.theory["gaussian"]["quantiles"].items():
        tail = stats.chi2.sf(16 * (1 + value), 16) + stats.chi2.cdf(16 * (1 - value), 16)
        assert tail == pytest.approx(1 - q)
    assert report.theory["orthonormal"]["std"] == pytest.approx(math.sqrt(2 / 16 * (1 - 16 / 100) * 100 / 102))
    same = distortion(X, X)
    assert same.max == 0 and same.theory["orthonormal"]["std"] == 0


def test_what_it_looks_like() -> None:
    report = distortion(X, Y)
    assert isinstance(report, DistortionReport)
    text = str(report)
    assert text.startswith("distortion of squared distances, 100 -> 16 dimensions, 780 pairs")
    assert "99.99% below" in text and len(text.splitlines()) == 11
    assert json.loads(json.dumps(report.to_dict()))["quantiles"]["0.9999"] == report.quantiles[0.9999]
    assert "array" not in repr(report)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((X, Y[:5]), {}, ValueError, "Y: expected 40 rows, as X has, got 5"),
        ((X[:1], Y[:1]), {}, ValueError, "X: expected at least 2 rows"),
        ((scipy_sparse.csr_array(X[:1]), Y[:1]), {}, ValueError, "X: expected at least 2 rows"),
        ((np.full((2, 2), np.nan), Y[:2]), {}, ValueError, "X: expected finite values"),
        ((X, np.full((40, 2), np.inf)), {}, ValueError, "Y: expected finite values"),
        ((X, None), {}, TypeError, "Y: expected an array of numbers"),
        ((X, Y), {"n_pairs": 0}, ValueError, "n_pairs: expected an integer"),
        ((X, Y), {"n_pairs": 1.5}, TypeError, "n_pairs: expected an integer"),
        ((X, Y), {"pairs": [[0, 40]]}, ValueError, "pairs: expected integers from 0 to 39, got 40 at row 0, column 1"),
        ((X, Y), {"pairs": [[0, -1]]}, ValueError, "pairs: expected integers from 0 to 39"),
        ((X, Y), {"pairs": [[0, 1, 2]]}, ValueError, r"pairs: expected an array of shape \(m, 2\)"),
        ((X, Y), {"pairs": np.empty((0, 2), int)}, ValueError, r"pairs: expected an array of shape \(m, 2\)"),
        ((X, Y), {"pairs": [0, 1]}, ValueError, "pairs: expected a 2-D array"),
        ((X, Y), {"pairs": [[0.0, 1.0]]}, TypeError, "pairs: expected integers"),
        ((X, Y), {"random_state": "a"}, TypeError, "random_state: expected"),
    ],
)
def test_refusals(arguments: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match="^" + text):
        distortion(*arguments, **options)


def test_squares_that_overflow() -> None:
    with pytest.raises(FloatingPointError, match="^X: expected squares that float64 holds, got rows 0 and 1"):
        distortion(np.array([[1e200, 0], [0, 1]]), np.array([[1.0], [0]]))
