"""The choice of beta, gamma and the number of components, and the correlations that decide it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.whitening import Moments, TuneResult, Whitening, tune
from likewise.whitening.correlation import average_ranks, kendall, pearson, spearman
from tests.whitening.vectors import cone


def pairs(n: int = 300, d: int = 12, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose likeness lies in the weak directions, so that whitening helps."""
    rng = np.random.default_rng(3)
    a = cone(n, d)
    b = a + 0.5 * (cone(n, d, seed=1) - a.mean(axis=0))
    weak = Whitening().fit(a).components_[d // 2 :]
    scores = -np.linalg.norm((a - b) @ weak.T, axis=1) + 0.1 * rng.standard_normal(n)
    return a.astype(dtype), b.astype(dtype), np.round(scores, 1)


A, B, SCORES = pairs()


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=40))
@settings(deadline=None, max_examples=200)
def test_correlations_equal_scipys(points: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = np.array(points, np.float64).T
    assert average_ranks(x).tolist() == stats.rankdata(x).tolist()
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert all(np.isnan(f(x, y)) for f in (pearson, spearman, kendall))
        return
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_kendall_of_many_numbers() -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = np.random.default_rng(0).standard_normal((2, 5000))
    assert kendall(x, x + y) == pytest.approx(stats.kendalltau(x, x + y).statistic, abs=1e-12)


def by_transform(whitening: Whitening, point: Any, metric: Any) -> float:
    beta, gamma, k, _ = point
    whitening = Whitening(dtype="float64").merge(whitening).set_hyper(beta=beta, gamma=gamma, n_components=int(k))
    x, y = whitening.transform(A), whitening.transform(B)
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return float(metric(cosines.round(13), SCORES))


@pytest.mark.parametrize("metric", ["spearman", "pearson", "kendall"])
@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_every_point_is_what_a_transform_gives(metric: str, dtype: Any, bar: float) -> None:
    function = {"spearman": spearman, "pearson": pearson, "kendall": kendall}[metric]
    whitening = Whitening().fit(A)
    before = whitening.transform(A).tobytes(), whitening.get_params()
    grid = dict(beta=(0, 0.5, 1), gamma=(0, 0.3, 1, 2))
    result = tune(A.astype(dtype), B.astype(dtype), SCORES, whitening=whitening, metric=metric, **grid)
    assert len(result.table) == 3 * 4 * 5 and set(result.table["n_components"]) == {1, 2, 4, 8, 12}
    for point in result.table.tolist():
        assert point[3] == pytest.approx(by_transform(whitening, point, function), abs=bar, nan_ok=True)
    best = result.table[np.nanargmax(result.table["score"])]
    assert result.params == {n: best[n].item() for n in ("beta", "gamma", "n_components")}
    assert result.score == best["score"] > result.baseline
    cosines = (A * B).sum(axis=1) / np.linalg.norm(A, axis=1) / np.linalg.norm(B, axis=1)
    assert result.baseline == pytest.approx(function(cosines, SCORES), abs=bar)
    assert result.params["gamma"] > 0  # the strong directions hide what matters
    assert (whitening.transform(A).tobytes(), whitening.get_params()) == before
    assert whitening.set_hyper(**result.params).n_components_ == result.params["n_components"]
    assert "measure it on others" in str(result) and result.metric == metric


def test_a_metric_of_ones_own() -> None:
    result = tune(A, B, SCORES, metric=lambda cosines, scores: -abs(float(np.mean(cosines))), n_components=4)
    assert result.metric == "<lambda>" and result.score <= 0


def test_statistics_of_the_pairs_themselves() -> None:
    own, same = tune(A, B, SCORES), tune(A, B, SCORES, whitening=Moments().update(A).update(B))
    assert own.table.tobytes() == same.table.tobytes()


def test_ties_go_to_the_smaller() -> None:
    result = tune(A, B, SCORES, metric=lambda cosines, scores: 1.0, n_components=(8, 2, 4), beta=(1, 0.5), gamma=(2, 1))
    assert result.params == {"beta": 0.5, "gamma": 1.0, "n_components": 2}
    assert [p[:3] for p in result.table.tolist()[:4]] == [(0.5, 1, 2), (0.5, 1, 4), (0.5, 1, 8), (0.5, 2, 2)]


def test_a_point_of_constant_cosines_cannot_win() -> None:
    rng = np.random.default_rng(0)
    # Before the mean is subtracted, the first component of every vector points the same way.
    a, b = rng.standard_normal((2, 50, 3)) + np.array([100.0, 0, 0])
    result = tune(a, b, rng.standard_normal(50), beta=0, gamma=1, n_components=(1, 2))
    assert np.isnan(result.table["score"]).tolist() == [True, False] and result.params["n_components"] == 2
    with pytest.raises(ValueError, match="^scores: expected a point of the grid whose cosines differ, got none"):
        tune(a, b, rng.standard_normal(50), beta=0, gamma=1, n_components=1)


def test_no_more_components_than_directions() -> None:
    a, b = (np.pad(x, ((0, 0), (0, 2))) for x in (A, B))
    result = tune(a, b, SCORES, gamma=(0, 1), n_components=(12, 13))
    missing = result.table[np.isnan(result.table["score"])]
    assert set(zip(missing["gamma"].tolist(), missing["n_components"].tolist(), strict=True)) == {(1.0, 13)}
    assert set(tune(a, b, SCORES).table["n_components"]) == {1, 2, 4, 8, 12}


def test_zero_vectors() -> None:
    a = A.copy()
    a[[3, 7]] = 0
    b = B.copy()
    b[3] = 0
    assert tune(a, b, SCORES).n_zero == 2
    scaled = tune(A * 1e100, B * 1e-100, SCORES, whitening=Moments().update(A), n_components=4)
    assert scaled.baseline == pytest.approx(tune(A, B, SCORES, n_components=4).baseline)


def test_without_scores() -> None:
    whitening = Whitening().fit(A)
    result = tune(A, B, whitening=whitening, target=0.9)
    assert result.params["beta"] == result.params["gamma"] == 0 and np.isnan(result.baseline)
    smaller = result.table["score"][result.table["n_components"] < result.params["n_components"]]
    assert result.score >= 0.9 and not (smaller >= 0.9).any() and len(smaller)
    assert tune(A, B, target=1.0, n_components=(4, 12)).params["n_components"] == 12
    with pytest.raises(ValueError, match=r"^target: expected at most 0\.\d+, reached at n_components=\d, got 1.0"):
        tune(A, B, target=1.0, n_components=(1, 2))
    for name in ("beta", "gamma"):
        with pytest.raises(ValueError, match=f"^{name}: expected no grid without scores"):
            tune(A, B, **{name: (0, 1)})
    with pytest.raises(ValueError, match="^metric: expected 'spearman' without scores, got 'kendall'"):
        tune(A, B, metric="kendall")
    assert "with the cosines of the vectors as they are" in str(result)


NAN = np.array([[0.0] * 11 + [np.nan]] * 300)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(vectors_b=B[:5]), ValueError, r"vectors_b: expected shape \(300, 12\) as vectors_a, got \(5, 12\)"),
        (dict(vectors_b=B[:, :5]), ValueError, "vectors_b: expected shape"),
        (dict(vectors_a=NAN), ValueError, "vectors_a: expected finite values, got NaN at row 0, column 11"),
        (dict(vectors_b=NAN), ValueError, "vectors_b: expected finite values, got NaN at row 0, column 11"),
        (dict(scores=SCORES[:4]), ValueError, "scores: expected one for each of 300 pairs, got 4"),
        (dict(scores=SCORES * np.nan), ValueError, "scores: expected finite values, got NaN at position 0"),
        (dict(scores=SCORES * 0), ValueError, "scores: expected values that differ"),
        (dict(scores=SCORES[:, None]), ValueError, "scores: expected a 1-D array"),
        (dict(vectors_b=A), ValueError, "vectors_a: expected pairs whose cosines differ, got the same for all"),
        (dict(beta=()), ValueError, "beta: expected at least one value, got none"),
        (dict(beta=("1",)), TypeError, "beta: expected a finite number, got str '1'"),
        (dict(beta="1"), TypeError, "beta: expected a sequence of numbers"),
        (dict(gamma=(0, 3)), ValueError, "gamma: expected a finite number from 0 to 2, got 3"),
        (dict(n_components=(4, 13)), ValueError, "n_components: expected an integer from 1 to 12, got 13"),
        (dict(n_components=0.5), TypeError, "n_components: "),
        (dict(metric="cosine"), ValueError, "metric: expected one of 'spearman', 'pearson', 'kendall', got 'cosine'"),
        (dict(metric=3), TypeError, "metric: "),
        (dict(target=0), ValueError, "target: "),
        (dict(whitening=3), TypeError, "whitening: expected a Whitening or Moments, got int 3"),
        (dict(whitening=Whitening()), ValueError, "This Whitening instance is not fitted yet"),
        (dict(whitening=Moments()), ValueError, r"whitening: expected statistics of at least 2 rows, got 0 sample"),
        (dict(whitening=Moments().update(A[:, :3])), ValueError, "vectors_a: X has 12 features, but Whitening is"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}"):
        tune(**{"vectors_a": A, "vectors_b": B, "scores": SCORES, **arguments})


def test_too_few_pairs() -> None:
    with pytest.raises(ValueError, match="^vectors_a: expected at least 3 pairs, got 2"):
        tune(A[:2], B[:2], SCORES[:2])


def test_what_it_looks_like() -> None:
    result = tune(A, B, SCORES, n_components=4)
    assert isinstance(result, TuneResult) and "table" not in repr(result)
    assert not result.table.flags.writeable
