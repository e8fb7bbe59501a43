"""Moments: by hand, in any split, merged, far from the origin; and what a whitening makes of pieces."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import likewise
from likewise.whitening import Moments, Whitening
from tests.whitening.vectors import HAND, cone


def state(moments: Moments) -> tuple[int, bytes, bytes]:
    return moments.n, moments.mean.tobytes(), moments.scatter.tobytes()


def test_merging_by_hand() -> None:
    a, b = Moments().update(HAND[:2]), Moments().update(HAND[2:])
    assert (a.n, a.mean.tolist(), a.scatter.tolist()) == (2, [1.0, 0.5], [[2.0, -1.0], [-1.0, 0.5]])
    assert (b.n, b.mean.tolist(), b.scatter.tolist()) == (2, [3.0, 1.5], [[2.0, 1.0], [1.0, 0.5]])
    both = a + b
    assert (both.n, both.mean.tolist(), both.scatter.tolist()) == (4, [2.0, 1.0], [[8.0, 2.0], [2.0, 2.0]])
    assert (a.n, b.n) == (2, 2)
    assert repr(both) == "Moments(n=4, n_features=2)"


def test_covariance() -> None:
    X = cone(100, 5)
    moments = Moments().update(X)
    assert moments.covariance() == pytest.approx(np.cov(X, rowvar=False, bias=True))
    assert moments.covariance(ddof=1) == pytest.approx(np.cov(X, rowvar=False))
    for beta in (-1.0, 0.0, 0.3, 2.0):
        shifted = X - beta * X.mean(axis=0)
        assert moments.covariance(beta) == pytest.approx(shifted.T @ shifted / 100)
        assert moments.covariance(beta, ddof=3) == pytest.approx(shifted.T @ shifted / 97)
    with pytest.raises(ValueError, match="^ddof: expected less than the number of rows, 100, got 100"):
        moments.covariance(ddof=100)


ROWS = cone(9000, 3)


@given(st.lists(st.integers(0, 9000), max_size=8), st.sampled_from([np.float32, np.float64]))
@settings(deadline=None, max_examples=40)
def test_any_split_gives_the_same_bits(cuts: list[int], dtype: Any) -> None:
    X = ROWS.astype(dtype)
    pieces = [piece for piece in np.split(X, sorted(cuts)) if len(piece)]
    whole, parts = Moments().update(X), Moments()
    for piece in pieces:
        parts.update(piece)
    assert state(parts) == state(whole) == state(Moments().update(iter(pieces)))
    whitening = Whitening(2)
    for piece in pieces:
        whitening.partial_fit(piece)
    assert whitening.whitening_matrix_.tobytes() == Whitening(2).fit(X).whitening_matrix_.tobytes()


def test_looking_in_between_changes_nothing() -> None:
    looked, not_looked = Moments(), Moments()
    for piece in np.array_split(ROWS, 7):
        looked.update(piece)
        assert looked.scatter.shape == (3, 3)
        not_looked.update(piece)
    assert state(looked) == state(not_looked)
    whitening = Whitening()
    for piece in np.array_split(ROWS, 7):
        whitening.partial_fit(piece).transform(piece)
    assert whitening.components_.tobytes() == Whitening().fit(ROWS).components_.tobytes()


def test_rows_of_two_types() -> None:
    single, double = ROWS[:3000].astype(np.float32), ROWS[3000:]
    moments = Moments().update(double)
    assert not moments.has_float32
    moments.update(single)
    assert moments.has_float32 and moments.n == 9000
    assert moments.covariance() == pytest.approx(np.cov(ROWS, rowvar=False, bias=True), rel=1e-5)
    whitening = Whitening().partial_fit(double)
    assert whitening.eigenvalue_floor_ == 3 * 2.0**-52
    assert whitening.partial_fit(single).eigenvalue_floor_ == 1e-6
    mixed = Moments().update(np.zeros((10, 3), np.float32)).update(double)  # a chunk that begins with float32 rows
    assert mixed.mean == pytest.approx(double.sum(axis=0) / 6010, rel=1e-14)
    exact = Moments(dtype="float64").update(single).update(double)
    assert not exact.has_float32
    assert Moments(dtype="float32").update(double).has_float32


@pytest.mark.parametrize(("dtype", "bar"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_merging_shards(dtype: Any, bar: float) -> None:
    X = cone(20_000, 16, dtype)
    order = np.random.default_rng(2).permutation(len(X))
    a, b, c = (Moments().update(X[part]) for part in np.split(order, [3000, 11_111]))
    whole = Moments().update(X).scatter
    for merged in (a + b + c, c + b + a, a + (b + c), b.copy().merge(a).merge(c)):
        assert merged.n == 20_000
        assert np.abs(merged.scatter - whole).max() <= bar * np.abs(whole).max()
    assert (a + b).scatter == pytest.approx((b + a).scatter, rel=1e-12, abs=1e-12 * np.abs(whole).max())
    twice = a + a
    assert twice.scatter == pytest.approx(2 * a.scatter, rel=1e-12) and twice.n == 6000
    assert state(a.copy().merge(Moments())) == state(a)


@pytest.mark.parametrize("ratio", [0, 10, 100, 1000])
def test_a_large_mean_costs_nothing(ratio: int) -> None:
    X = cone(20_000, 64, np.float32, mean=ratio)
    exact = np.cov(X.astype(np.float64), rowvar=False, bias=True)
    found = Moments().update(X).covariance()
    assert np.linalg.norm(found - exact) <= 1e-6 * np.linalg.norm(exact)
    assert np.abs(found - exact).max() <= 1e-6 * np.abs(exact).max()
    assert np.array_equal(found, found.T)


def test_drift() -> None:
    X = cone(20_000, 32, np.float32)
    X[10_000:] += np.float32(100)
    exact = np.cov(X.astype(np.float64), rowvar=False, bias=True)
    assert np.abs(Moments().update(X).covariance() - exact).max() <= 1e-6 * np.abs(exact).max()


def test_small_values_beside_large_ones() -> None:
    X = cone(4000, 2, np.float32)
    X[:, 0] *= np.float32(1e-22)
    exact = np.cov(X.astype(np.float64), rowvar=False, bias=True)
    assert Moments().update(X).covariance() == pytest.approx(exact, rel=1e-5)


def test_what_is_handed_out_stays_as_it_is() -> None:
    moments = Moments().update(ROWS)
    scatter, mean = moments.scatter, moments.mean
    before = scatter.copy(), mean.copy()
    moments.update(ROWS)
    assert np.array_equal(scatter, before[0]) and np.array_equal(mean, before[1])
    assert not scatter.flags.writeable and not mean.flags.writeable
    copied = moments.copy()
    moments.update(ROWS[:5])
    copied.update(ROWS[5:10])
    assert state(copied) == state(Moments().update([ROWS, ROWS, ROWS[5:10]]))
    assert state(moments) == state(Moments().update([ROWS, ROWS, ROWS[:5]]))


def test_an_error_leaves_everything_as_it_was() -> None:
    bad = ROWS.copy()
    bad[7000, 1] = np.nan
    for first in (5, 2048, 3000):
        moments = Moments().update(ROWS[:first])
        before = state(moments)
        for X in (bad, [ROWS, bad], [ROWS[:100], ROWS[:, :2]]):
            with pytest.raises(ValueError):
                moments.update(X)
            assert state(moments) == before
        whitening = Whitening().partial_fit(ROWS[:first])
        matrix = whitening.whitening_matrix_
        with pytest.raises(ValueError, match="^X: expected finite values, got NaN at row 7000, column 1"):
            whitening.partial_fit(bad)
        with pytest.raises(ValueError, match=r"^X\[1\]: expected finite values, got NaN at row 7000, column 1"):
            whitening.fit([ROWS, bad])
        assert whitening.n_samples_seen_ == first and np.array_equal(whitening.whitening_matrix_, matrix)
        assert state(moments.update(ROWS[first:])) == state(Moments().update(ROWS))


def test_chunks() -> None:
    X = cone(5000, 6, np.float32)
    whole = Whitening(4).fit(X)
    for chunks in ([X[:7], X[7:3000], X[3000:3000], X[3000:]], iter([X[:4000], X[4000:]]), (x for x in np.split(X, 5))):
        assert np.array_equal(Whitening(4).fit(chunks).whitening_matrix_, whole.whitening_matrix_)
    blocks = whole.transform(x for x in np.split(X, 5))
    assert iter(blocks) is blocks
    assert np.concatenate(list(blocks)) == pytest.approx(whole.transform(X), abs=1e-6)
    assert sum(len(y) for y in Whitening().fit_transform([X, X])) == 10_000


def test_memory_mapped_rows(tmp_path: Path) -> None:
    X = cone(5000, 6, np.float32)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(Whitening().fit(mapped).transform(mapped), Whitening().fit(X).transform(X))


def test_merging_whitenings() -> None:
    X = cone(3000, 5)
    whole = Whitening().fit(X)
    parts = [Whitening(beta=0.5).fit(x) for x in np.array_split(X, 3)]
    merged = Whitening().merge(parts[0])
    assert merged.merge(parts[1]).merge(parts[2].moments_) is merged
    assert merged.n_samples_seen_ == 3000 and parts[0].n_samples_seen_ == 1000
    assert merged.transform(X) == pytest.approx(whole.transform(X), abs=1e-11)
    assert merged.beta == 1.0
    twice = Whitening().fit(X)
    assert twice.merge(twice).n_samples_seen_ == 6000
    assert twice.covariance_ == pytest.approx(whole.covariance_, rel=1e-12, abs=1e-14)


def test_feature_names() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(cone(50, 3), columns=["a", "b", "c"])
    whitening = Whitening(2).fit(frame)
    assert whitening.feature_names_in_.tolist() == ["a", "b", "c"]
    assert whitening.get_feature_names_out().tolist() == ["whitening0", "whitening1"]
    with pytest.raises(ValueError, match="same order as they were in fit"):
        whitening.partial_fit(frame[["c", "b", "a"]])
    with pytest.raises(ValueError, match=r"^X\[1\]: expected the columns seen in fit, got others"):
        Whitening().fit([frame, frame[["c", "b", "a"]]])
    assert Whitening().fit([frame, frame]).feature_names_in_.tolist() == ["a", "b", "c"]
    assert pickle.loads(pickle.dumps(whitening)).feature_names_in_.tolist() == ["a", "b", "c"]


def test_memory_does_not_grow_with_the_rows(fresh: Any) -> None:
    program = """if True:
        import sys, tracemalloc
        import numpy as np
        from likewise.whitening import Whitening
        d = 128
        chunk = np.random.default_rng(0).standard_normal((10_000, d)).astype(np.float32)
        list(Whitening().fit_transform([chunk[:1000]]))  # imports
        peaks = []
        for n in (2, 20):
            tracemalloc.start()
            Whitening().fit(chunk for _ in range(n))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < peaks[0] + 50_000, peaks
        assert peaks[1] < 2 * 2048 * d * 4 + 16 * d * d * 8, peaks
    """
    fresh(program)


def test_stored_moments(tmp_path: Path) -> None:
    for X in (ROWS, ROWS[:10], ROWS[:2048], ROWS.astype(np.float32)):
        moments = Moments().update(X)
        moments.save(tmp_path / "m")
        for again in (Moments.load(tmp_path / "m"), likewise.load(tmp_path / "m"), pickle.loads(pickle.dumps(moments))):
            assert state(again) == state(moments)
            assert state(again.update(ROWS)) == state(moments.copy().update(ROWS))
        assert likewise.persistence.check(tmp_path / "m").ok
    with pytest.raises(TypeError, match="expected a file of kind 'whitening', got 'whitening.moments'"):
        Whitening.load(tmp_path / "m")
    with pytest.raises(ValueError, match=r"^Moments: expected at least one row, got 0 sample"):
        Moments(3).save(tmp_path / "m")
