"""What is refused, in which words, and what every form of input gives."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise import persistence
from likewise.errors import CorruptFileError, NotFittedError, RankDeficiencyWarning
from likewise.whitening import Moments, Whitening
from tests.whitening.vectors import cone

X = cone(60, 4)
FITTED = Whitening(3).fit(X)


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"n_components": 0}, ValueError, "n_components: expected an integer >= 1, .*, got int 0"),
        ({"n_components": -1}, ValueError, "n_components: expected an integer >= 1"),
        ({"n_components": 5}, ValueError, r"n_components: expected at most 4 \(the number of columns\), got 5"),
        ({"n_components": True}, TypeError, "n_components: expected an integer >= 1, .*, got bool True"),
        ({"n_components": "2"}, TypeError, "n_components: expected an integer >= 1, .*, got str '2'"),
        ({"n_components": 1.0}, ValueError, "n_components: expected an integer >= 1, or a float between 0 and 1"),
        ({"n_components": 0.0}, ValueError, "n_components: "),
        ({"n_components": float("nan")}, ValueError, "n_components: "),
        ({"beta": float("nan")}, ValueError, "beta: expected a finite number, got nan"),
        ({"beta": float("inf")}, ValueError, "beta: "),
        ({"beta": "1"}, TypeError, "beta: expected a finite number, got str '1'"),
        ({"beta": True}, TypeError, "beta: "),
        ({"gamma": -0.1}, ValueError, "gamma: expected a finite number from 0 to 2, got -0.1"),
        ({"gamma": 2.1}, ValueError, "gamma: "),
        ({"gamma": None}, TypeError, "gamma: "),
        ({"eigenvalue_floor": -1e-9}, ValueError, r"eigenvalue_floor: expected 'auto' or a number in \[0, 1\), got"),
        ({"eigenvalue_floor": 1}, ValueError, "eigenvalue_floor: "),
        ({"eigenvalue_floor": float("nan")}, ValueError, "eigenvalue_floor: "),
        ({"eigenvalue_floor": "none"}, TypeError, "eigenvalue_floor: "),
        ({"normalize": 1}, TypeError, "normalize: expected True or False, got int 1"),
        ({"dtype": "int32"}, ValueError, "dtype: expected 'float32', 'float64' or None, got int32"),
        ({"dtype": "float"}, None, ""),
        ({"dtype": "single"}, None, ""),
        ({"dtype": object()}, TypeError, "dtype: "),
        ({"n_threads": 0}, ValueError, "n_threads: expected an integer >= 1, got 0"),
        ({"n_threads": 1.0}, TypeError, "n_threads: "),
    ],
)
def test_parameters(parameters: dict[str, Any], error: type[Exception] | None, text: str) -> None:
    if error is None:
        Whitening(**parameters).fit(X)
        return
    made = Whitening().fit(X)
    before = made.transform(X)
    made.set_params(**parameters)
    for call in (made.fit, made.partial_fit):
        if call == made.partial_fit and parameters.get("n_components") == 5:
            continue  # looked at when the map is needed
        with pytest.raises(error, match=f"^{text}"):
            call(X)
    assert np.array_equal(made.transform(X), before)
    if parameters.keys() <= {"n_components", "beta", "gamma"} and None not in parameters.values():
        good = Whitening().fit(X)
        with pytest.raises(error, match=f"^{text}"):
            good.set_hyper(**parameters)
        assert good.get_params() == Whitening().get_params() and np.array_equal(good.transform(X), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (59, 3), (17, 2)])
def test_values_that_are_not_finite(dtype: Any, bad: float, place: tuple[int, int]) -> None:
    spoiled = X.astype(dtype)
    spoiled[place] = bad
    name = {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(bad)]
    text = f"^X: expected finite values, got {name} at row {place[0]}, column {place[1]}"
    for call in (Whitening().fit, Whitening().partial_fit, FITTED.transform, Moments().update):
        with pytest.raises(ValueError, match=text):
            call(spoiled)
    large = np.concatenate([cone(3000, 4, dtype), spoiled])
    with pytest.raises(ValueError, match=f"at row {3000 + place[0]}, column {place[1]}$"):
        FITTED.transform(large)
    with pytest.raises(ValueError, match=f"at row {3000 + place[0]}, column {place[1]}$"):
        Whitening().fit(large)


def test_finite_values_whose_result_is_not() -> None:
    huge = np.full((3, 4), 1e200)
    with pytest.raises(
        FloatingPointError, match="^X: expected values whose squares add up in float64, got an overflow"
    ):
        Whitening().fit(huge * [[1], [-1], [1]])
    narrow = Whitening(gamma=2, dtype="float32").fit(X * 1e-15)
    with pytest.raises(FloatingPointError, match=r"^X: expected results within float32, got .* of rows \[1, 2\]"):
        narrow.transform(np.array([[1e-15], [1e30], [1e30]]) * np.ones(4))
    wide = Whitening().fit(X.astype(np.float32))
    high = np.full((2, 4), 3e38, np.float32)
    with pytest.raises(FloatingPointError, match="transform of rows"):
        wide.transform(high)
    steep = Whitening(1, gamma=0).fit(X.astype(np.float32))
    assert np.isfinite(steep.transform(high / 8)).all()
    small = Whitening().fit(X.astype(np.float32) / 1000)  # rows far from overflow, which the map takes there
    with pytest.raises(FloatingPointError, match="transform of rows"):
        small.transform(high / 8)


def test_few_rows() -> None:
    for call in (Whitening().fit, lambda X: Whitening().partial_fit(X).transform(X), Whitening().fit_transform):
        with pytest.raises(ValueError, match="1 sample"):
            call(X[:1])
    one = Whitening().partial_fit(X[:1])
    assert one.n_samples_seen_ == 1
    with pytest.raises(ValueError, match="1 sample"):
        _ = one.eigenvalues_
    assert one.partial_fit(X[1:]).transform(X) == pytest.approx(Whitening().fit_transform(X))
    for call in (Whitening().fit, Whitening().partial_fit, Moments().update):
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            call(X[:0])
        with pytest.raises(ValueError, match=r"0 feature\(s\)"):
            call(X[:, :0])


def test_rows_that_are_equal() -> None:
    same = np.full((5, 3), 2.0)
    with pytest.raises(ValueError, match="^X: expected rows that differ, got a covariance of rank 0$"):
        Whitening().fit(same)
    with pytest.warns(RankDeficiencyWarning):
        whitening = Whitening(beta=0.5).fit(same)
    assert whitening.rank_ == 1 and np.isfinite(whitening.transform(X[:, :3])).all()
    assert Whitening(gamma=0).fit(same).transform(same).tolist() == np.zeros((5, 3)).tolist()
    for gamma in (0, 1):
        with pytest.raises(ValueError, match="^X: expected rows that differ or are not zero, got a covariance of rank"):
            Whitening(beta=0, gamma=gamma).fit(same * 0)


def test_shapes_and_kinds() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for call in (Whitening().fit, Whitening().partial_fit, FITTED.transform, Moments().update):
        with pytest.raises(TypeError, match="^X: expected a dense array, got the sparse csr_array: .* centring"):
            call(sparse.csr_array(X))
        with pytest.raises(ValueError, match="Reshape your data"):
            call(X[0])
        with pytest.raises(TypeError, match="^X: "):
            call("text")
        with pytest.raises(TypeError, match="^X: "):
            call(None)
    wrong = X[:, :3]
    for call in (FITTED.transform, Whitening().fit(X).partial_fit):
        with pytest.raises(ValueError, match="^X: X has 3 features, but Whitening is expecting 4 features as input"):
            call(wrong)
    with pytest.raises(ValueError, match="^X: X has 3 features, but Moments is expecting 4 features as input"):
        Moments(4).update(wrong)
    for other in (Whitening().fit(wrong), Moments().update(wrong)):
        made = Whitening().fit(X)
        with pytest.raises(ValueError, match="X has 3 features, but Whitening is expecting 4 features as input"):
            made.merge(other)
        assert made.n_samples_seen_ == 60
    with pytest.raises(TypeError, match="^other: expected a Whitening or Moments, got int 3"):
        Whitening().merge(3)
    with pytest.raises(ValueError, match=r"^other: expected moments of at least one row, got 0 sample"):
        Whitening().merge(Moments())


def test_chunks() -> None:
    for nothing in (iter([]), (x for x in [X[:0]])):
        for call in (Whitening().fit, Whitening().partial_fit, Moments().update):
            with pytest.raises(ValueError, match="^X: expected chunks with rows, got none"):
                call(nothing)
    with pytest.raises(ValueError, match=r"^X\[1\]: X has 3 features, but Whitening is expecting 4 features"):
        Whitening().fit([X, X[:, :3]])
    with pytest.raises(ValueError, match=r"^X\[1\]: expected a 2-D array, got shape \(4,\). Reshape your data"):
        Whitening().fit([X, X[0]])
    blocks = FITTED.transform([X, X[:, :3]])
    next(blocks)
    with pytest.raises(ValueError, match=r"^X\[1\]: X has 3 features"):
        next(blocks)


def test_before_fit() -> None:
    empty = Whitening()
    for call in (
        lambda: empty.transform(X), lambda: empty.transform([X]), lambda: empty.inverse_transform(X),
        lambda: empty.mean_, lambda: empty.set_hyper(), lambda: empty.to_bytes(), lambda: empty.save("x"),
        lambda: empty.get_feature_names_out(), lambda: Whitening().merge(empty), lambda: empty.moments_,
    ):  # fmt: skip
        with pytest.raises(NotFittedError, match="This Whitening instance is not fitted yet"):
            call()
    for name in ("mean_", "covariance_", "components_", "rank_", "n_features_in_", "moments_"):
        assert not hasattr(empty, name)


FORMS = {
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: (y := x.copy(), y.setflags(write=False))[0],
    "misaligned": lambda x: np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
    "unmasked": np.ma.MaskedArray,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forms_of_an_array(form: str, dtype: Any) -> None:
    rows = cone(3000, 4, dtype)
    given = FORMS[form](rows)
    whitening = Whitening(3).fit(rows)
    assert Whitening(3).fit(given).whitening_matrix_.tobytes() == whitening.whitening_matrix_.tobytes()
    assert whitening.transform(given).tobytes() == whitening.transform(rows).tobytes()
    assert whitening.inverse_transform(FORMS[form](rows[:, :3].copy())).tobytes() == (
        whitening.inverse_transform(rows[:, :3].copy()).tobytes()
    )


def test_other_forms() -> None:
    whole = np.arange(12).reshape(4, 3) % 5
    expected = Whitening(2).fit_transform(whole.astype(np.float64))
    for given in (whole, whole.astype(np.uint8), whole.tolist(), whole.astype(object), whole.astype(np.float16)):
        assert Whitening(2).fit_transform(given) == pytest.approx(expected, abs=1e-5)
    for refused in (whole.astype(complex), whole.astype(np.longdouble), whole.astype(str), whole.astype("M8[s]")):
        with pytest.raises((TypeError, ValueError), match="^X: "):
            Whitening().fit(refused)
    with pytest.raises(ValueError, match="^X: expected no masked values"):
        Whitening().fit(np.ma.MaskedArray(X, mask=X > 1))


def test_many_threads_share_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    eigh = np.linalg.eigh

    def counted(matrix: np.ndarray) -> Any:
        calls.append(1)
        time.sleep(0.1)  # the others come meanwhile
        return eigh(matrix)

    monkeypatch.setattr(np.linalg, "eigh", counted)
    rows = cone(4000, 32)
    whitening = Whitening().partial_fit(rows)
    results: list[bytes] = []
    start = threading.Barrier(8)

    def use() -> None:
        start.wait()
        results.append(whitening.transform(rows).tobytes())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1 and len(results) == 8
    assert len(calls) == 1


def test_many_threads_add_rows() -> None:
    rows = np.round(cone(400, 5), 2)
    whitening, moments = Whitening().partial_fit(rows[:1]), Moments().update(rows[:1])

    def add(part: np.ndarray) -> None:
        for row in part:
            whitening.partial_fit(row[None])
            moments.update(row[None])

    threads = [threading.Thread(target=add, args=(part,)) for part in np.array_split(rows[1:], 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whitening.n_samples_seen_ == moments.n == 400
    for found in (whitening.covariance_, moments.covariance()):
        assert found == pytest.approx(np.cov(rows, rowvar=False, bias=True), abs=1e-12)


def test_when_lapack_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(matrix: np.ndarray) -> Any:
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(np.linalg, "eigh", fail)
    text = r"did not converge \(covariance of 60 rows with 4 columns, entries from -?[\d.e-]+ to [\d.e-]+\)"
    with pytest.raises(np.linalg.LinAlgError, match=text):
        Whitening().fit(X)


def test_n_threads() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = threadpoolctl.threadpool_info()
    rows = cone(500, 8)
    one = Whitening(n_threads=1).fit(rows).transform(rows)
    assert one == pytest.approx(Whitening(n_threads=2).fit(rows).transform(rows), abs=1e-12)
    assert threadpoolctl.threadpool_info() == before


def stored(tmp_path: Path, *, drop: tuple[str, ...] = (), params: dict[str, Any] | None = None, **arrays: Any) -> Path:
    """The file of a sound model with other content, whose digests are right."""
    kind_version, good_params, good = Whitening(2, beta=0.5).fit(cone(2100, 4))._to_container()
    content = {k: v for k, v in {**good, **arrays}.items() if k not in drop}
    path = tmp_path / "w"
    persistence.write_container(path, "whitening", kind_version, {**good_params, **(params or {})}, content)
    return path


STATISTICS = ("scatter", "scatter_mean", "scatter_n", "pending", "has_float32")


def test_stored_content_that_makes_no_sense(tmp_path: Path) -> None:
    assert Whitening.load(stored(tmp_path)).n_components_ == 2
    nan = np.full(4, np.nan)
    asymmetric = np.eye(4) + np.eye(4, k=1)
    for name, content in {
        "params": dict(params={"beta": "x"}),
        "mean": dict(mean=nan),
        "eigenvalues": dict(eigenvalues=np.array([1.0, 2.0, 0.5, 0.1])),
        "components": dict(components=np.eye(4)[:0]),
        "counts": dict(counts=np.array([2100, 5])),
        "scatter": dict(scatter=asymmetric),
        "scatter_mean": dict(scatter_mean=nan),
        "scatter_n": dict(scatter_n=np.array([0])),
        "pending": dict(pending=np.full((3, 4), np.nan)),
        "has_float32": dict(has_float32=np.array([1], np.uint8)),
        "feature_names": dict(feature_names=np.frombuffer(b'["a"]', np.uint8)),
    }.items():
        path = stored(tmp_path, **content)  # type: ignore[arg-type]
        with pytest.raises(CorruptFileError, match=f": {name}: expected ") as caught:
            Whitening.load(path)
        assert caught.value.array == name
        assert [array for _, array, _ in persistence.check(path).problems] == [name]
    more: list[dict[str, Any]] = [
        dict(eigenvalues=np.array([2.0, 1.0, 0.5, -0.1])),
        dict(eigenvalues=np.array([2.0, 0.0, 0.0, 0.0])),  # would be divided by
        dict(eigenvalues=np.array([1e-320, 1e-320, 0.0, 0.0]), components=np.full((2, 4), 1e300)),
        dict(counts=np.array([7, 4])),
        dict(counts=np.array([1, 1]), drop=STATISTICS),
        dict(counts=np.array([[9, 4]])),
        dict(components=np.eye(5)[:2]),
        dict(components=np.eye(4, dtype=np.float32)[:2]),
        dict(mean=np.zeros(5)),
        dict(scatter=np.eye(5)),
        dict(scatter=-np.eye(4)),
        dict(scatter_n=np.array([2.0])),
        dict(pending=np.zeros((2048, 4))),
        dict(pending=np.zeros((2, 3))),
        dict(drop=("scatter", "pending")),
        dict(drop=("scatter_mean",)),
        dict(drop=(*STATISTICS, "counts")),
        dict(drop=(*STATISTICS, "mean", "counts", "eigenvalues", "components")),
        dict(feature_names=np.frombuffer(b"[" * 100_000, np.uint8)),
        dict(params={"n_components": [2]}),
    ]
    for content in more:
        path = stored(tmp_path, **content)
        with pytest.raises(CorruptFileError):
            Whitening.load(path)
        assert not persistence.check(path).ok
