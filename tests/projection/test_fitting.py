"""What `fit` chooses, and what it refuses; everything that a user may get wrong."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from likewise.errors import NotFittedError
from likewise.projection import RandomProjection, min_dim

scipy_sparse = pytest.importorskip("scipy.sparse")

X = np.random.default_rng(0).standard_normal((100, 300))


def wide(n: int = 20, d: int = 100_000) -> Any:
    return scipy_sparse.random_array((n, d), density=1e-3, format="csr", rng=np.random.default_rng(0))


# --- Choices ---


def test_the_automatic_method() -> None:
    assert RandomProjection(32).fit(X).method_ == "hadamard"
    assert RandomProjection(32).fit(wide(d=65_536)).method_ == "hadamard"
    p = RandomProjection(32).fit(wide(d=65_537))
    assert (p.method_, p.nnz_) == ("sjlt", 16)
    p = RandomProjection(30).fit(wide())
    assert (p.method_, p.nnz_) == ("sjlt", 4)
    p = RandomProjection(3).fit(wide())
    assert (p.method_, p.nnz_) == ("sjlt", 3)


def test_defaults_of_methods() -> None:
    p = RandomProjection(32, method="sjlt").fit(X)
    assert (p.nnz_, p.density_) == (4, None)
    p = RandomProjection(32, method="very_sparse").fit(X)
    assert (p.nnz_, p.density_) == (None, 1 / math.sqrt(300))
    assert RandomProjection(32, method="very_sparse", density=1).fit(X).density_ == 1.0


def test_the_automatic_dimension() -> None:
    p = RandomProjection(epsilon=0.5).fit(X)
    assert p.n_components_ == 16 * math.ceil(min_dim(100, 0.5, 0.01, "beta", 300) / 16)
    assert type(p.n_components_) is int
    assert RandomProjection().fit(X).n_components_ == 300  # rounded up, and not above d
    assert RandomProjection().fit(X[:1]).n_components_ == RandomProjection().fit(X[:2]).n_components_
    p = RandomProjection(method="sjlt", epsilon=0.9, delta=0.5).fit(np.tile(X, 2))
    assert p.n_components_ == 16 * math.ceil(min_dim(100, 0.9, 0.5) / 16)
    with pytest.raises(
        ValueError,
        match=rf"^n_components: expected at most n_features = 300, got {min_dim(100, 0.1)}, which 'auto' needs for "
        r"100 rows at epsilon=0.1 \[the smallest epsilon for 300 is 0\.4223; or pass a number\]",
    ):
        RandomProjection(method="gaussian").fit(X)
    with pytest.raises(ValueError, match=r"\[no epsilon allows 5; or pass a number\]"):
        RandomProjection(method="gaussian").fit(X[:, :5])


def test_seeds() -> None:
    a, b = (RandomProjection(8).fit(X) for _ in range(2))
    assert isinstance(a.seed_, np.uint64) and a.seed_ != b.seed_
    again = RandomProjection(8, random_state=int(a.seed_)).fit(X)
    assert again.transform(X).tobytes() == a.transform(X).tobytes()
    assert RandomProjection(8, random_state=2**64 - 1).fit(X).seed_ == 2**64 - 1
    for state in (np.random.RandomState(0), np.random.default_rng(0)):
        first = RandomProjection(8, random_state=state).fit(X)
        assert first.seed_ != RandomProjection(8, random_state=state).fit(X).seed_  # it goes on
    assert (a.components_ != RandomProjection(8, random_state=1).fit(X).components_).any()


def test_more_dimensions_than_before() -> None:
    for method in ("hadamard", "sjlt", "countsketch", "very_sparse", "achlioptas", "gaussian"):
        p = RandomProjection(400, method=method, random_state=0)
        with pytest.warns(UserWarning, match="^n_components: expected at most n_features = 300, got 400") as caught:
            p.fit(X)
        assert len(caught) == 1 and caught[0].filename == __file__
        assert p.transform(X).shape == (100, 400)
    with pytest.warns(UserWarning):
        assert RandomProjection(512, method="srht").fit(X).transform(X).shape == (100, 512)


def test_a_failed_fit_changes_nothing() -> None:
    p = RandomProjection(8, random_state=0).fit(X)
    Y = p.transform(X)
    p.set_params(n_components=-1)
    with pytest.raises(ValueError):
        p.fit(X[:, :50])
    assert p.transform(X).tobytes() == Y.tobytes()


def test_parameters_stay_as_they_came() -> None:
    given = dict(n_components="auto", method="sjlt", nnz=np.int64(4), epsilon=0.9, delta=0.5, dtype=np.float32)
    p = RandomProjection(**given).fit(np.tile(X, 2))
    assert all(p.get_params()[name] is value for name, value in given.items())


def test_names_of_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"c{i}" for i in range(300)])
    p = RandomProjection(8, random_state=0).fit(frame)
    assert p.feature_names_in_.tolist() == list(frame.columns)
    assert p.get_feature_names_out().tolist() == [f"randomprojection{i}" for i in range(8)]
    with pytest.raises(ValueError, match="same order"):
        p.transform(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        p.transform(scipy_sparse.csr_array(X))
    with pytest.raises(ValueError, match=r"^X\[1\]: expected the columns seen in fit, got others"):
        p.fit([frame, frame[frame.columns[::-1]]])
    framed = p.set_output(transform="pandas").transform(frame)
    assert list(framed.columns) == p.get_feature_names_out().tolist()


# --- Refusals ---


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        (dict(n_components=0), ValueError, "n_components: expected an integer from 1 to .*, got 0"),
        (dict(n_components=-3), ValueError, "n_components: expected an integer"),
        (dict(n_components=10**30), ValueError, "n_components: expected an integer"),
        (dict(n_components=True), TypeError, "n_components: expected an integer .*, got bool True"),
        (dict(n_components=2.0), TypeError, "n_components: expected an integer .*, got float 2.0"),
        (dict(n_components=None), TypeError, "n_components: expected 'auto' or an integer"),
        (dict(n_components="foo"), ValueError, "n_components: expected 'auto' or an integer >= 1, got str 'foo'"),
        (dict(method="qr"), ValueError, "method: expected one of 'auto', 'hadamard'"),
        (dict(method=None), TypeError, "method: expected one of"),
        (dict(epsilon=0.0), ValueError, r"epsilon: expected a number in \(0, 1\), got 0.0"),
        (dict(epsilon=1), ValueError, r"epsilon: expected a number in \(0, 1\), got 1"),
        (dict(epsilon=math.nan), ValueError, r"epsilon: expected a number in \(0, 1\), got nan"),
        (dict(epsilon="x"), TypeError, "epsilon: expected a finite number"),
        (dict(delta=1.5), ValueError, r"delta: expected a number in \(0, 1\), got 1.5"),
        (dict(nnz=4), ValueError, "nnz: expected None unless method='sjlt', got 4"),
        (dict(nnz=1, method="countsketch"), ValueError, "nnz: expected None unless method='sjlt', got 1"),
        (dict(nnz=0, method="sjlt"), ValueError, "nnz: expected an integer from 1"),
        (dict(nnz=2.0, method="sjlt"), TypeError, "nnz: expected an integer"),
        (dict(nnz=9, method="sjlt", n_components=8), ValueError, "nnz: expected at most n_components = 8, got 9"),
        (dict(nnz=20, method="sjlt"), ValueError, "nnz: .* a multiple of 16 such as 16 or 32, got 20"),
        (dict(nnz=40, method="sjlt", n_components=48), ValueError, "nnz: .* such as 32 or 48, got 40"),
        (
            dict(nnz=16, method="sjlt", n_components=40),
            ValueError,
            "nnz: .* n_components a multiple of 16 such as 32 or 48, got nnz=16 for 40",
        ),
        (dict(density=0.5), ValueError, "density: expected None unless method='very_sparse', got 0.5"),
        (dict(density=0.0, method="very_sparse"), ValueError, "density: expected"),
        (dict(density=-1.0, method="very_sparse"), ValueError, "density: expected"),
        (dict(density=1.01, method="very_sparse"), ValueError, "density: expected"),
        (dict(density=math.nan, method="very_sparse"), ValueError, "density: expected"),
        (dict(density="auto", method="very_sparse"), TypeError, "density: expected"),
        (
            dict(method="srht", n_components=513),
            ValueError,
            "n_components: expected at most 512 for method='srht' with 300 features, got 513",
        ),
        (dict(random_state=-1), ValueError, "random_state: expected an integer"),
        (dict(random_state=2**64), ValueError, "random_state: expected an integer"),
        (dict(random_state=1.0), TypeError, "random_state: expected an integer"),
        (dict(dtype="float16"), ValueError, "dtype: expected"),
        (dict(dtype="int32"), ValueError, "dtype: expected"),
        (dict(dtype=1.5), TypeError, "dtype: expected"),
        (dict(n_threads=0), ValueError, "n_threads: expected an integer >= 1"),
        (dict(n_threads=True), TypeError, "n_threads: expected an integer"),
    ],
    ids=str,
)
def test_wrong_parameters(parameters: dict[str, Any], error: type[Exception], text: str) -> None:
    p = RandomProjection(**{"n_components": 32, **parameters})
    with pytest.raises(error, match="^" + text):
        p.fit(X)
    assert not p.__sklearn_is_fitted__()


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (np.zeros((0, 3)), ValueError, r"X: expected at least 1 row, got 0 sample\(s\)"),
        (np.zeros((3, 0)), ValueError, r"X: expected at least 1 column, got 0 feature\(s\)"),
        (scipy_sparse.csr_array((0, 3)), ValueError, r"X: expected at least 1 row, got 0 sample\(s\)"),
        (np.zeros(3), ValueError, "X: expected a 2-D array.*Reshape your data"),
        (np.zeros((2, 2, 2)), ValueError, "X: expected a 2-D array"),
        ([[1.0, np.nan]], ValueError, "X: expected finite values, got NaN at row 0, column 1"),
        (np.array([[1.0, 2], [-np.inf, 0]]), ValueError, "X: expected finite values, got -infinity at row 1, column 0"),
        (np.zeros((2, 2), complex), ValueError, "X: .*Complex data not supported"),
        (scipy_sparse.csr_array(np.zeros((2, 2), complex)), ValueError, "X.*Complex data not supported"),
        ([["a", "b"]], TypeError, "X: expected an array of numbers"),
        (None, TypeError, "X: expected an array of numbers, got None"),
        ("text", TypeError, "X: expected an array of numbers"),
        ([[1, 2], [3]], ValueError, "X: expected a rectangular array"),
        ([[2**53 + 1]], ValueError, "X: expected integers that float64 holds exactly"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_wrong_data(wrong: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match="^" + text):
        RandomProjection(1).fit(wrong)


def test_what_transform_refuses() -> None:
    p = RandomProjection(8, random_state=0)
    for call in (p.transform, p.inverse_transform):
        with pytest.raises(NotFittedError, match="This RandomProjection instance is not fitted yet"):
            call(X)
    assert not hasattr(p, "components_")
    p.fit(X)
    for x in (X[:, :3], scipy_sparse.csr_array(X[:, :3])):
        with pytest.raises(ValueError, match="X has 3 features, but RandomProjection is expecting 300 features as inp"):
            p.transform(x)
    assert p.transform(np.empty((0, 300), np.float32)).shape == (0, 8)
    assert p.transform(np.empty((0, 300), np.float32)).dtype == np.float32
    assert p.transform(scipy_sparse.csr_array((0, 300))).shape == (0, 8)
    p.n_threads = -1
    with pytest.raises(ValueError, match="^n_threads: expected"):
        p.transform(X)


@pytest.mark.parametrize("method", ["hadamard", "sjlt", "countsketch", "very_sparse", "achlioptas", "gaussian", "srht"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_that_is_not_finite_is_found_anywhere(method: str, dtype: Any) -> None:
    d = 70
    p = RandomProjection(5, method=method, random_state=0).fit(np.ones((1, d), dtype))
    for column in range(d):
        for bad, text in ((np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "-infinity")):
            x = np.ones((3, d), dtype)
            x[1, column] = bad
            with pytest.raises(ValueError, match=f"^X: expected finite values, got {text} at row 1, column {column}$"):
                p.transform(x)
            sparse = scipy_sparse.csr_array(x)
            where = f"row 1, stored position {d + column}"
            with pytest.raises(ValueError, match=f"^X: expected finite values, got {text} at {where}$"):
                p.transform(sparse)
            with pytest.raises(ValueError, match=f"^X: expected finite values, got {text} at {where}$"):
                p.fit(sparse)


@pytest.mark.parametrize("method", ["hadamard", "sjlt", "gaussian", "srht"])
def test_sums_that_overflow(method: str) -> None:
    p = RandomProjection(16, method=method, random_state=0).fit(np.ones((1, 1000), np.float32))
    x = np.ones((6, 1000), np.float32)
    S = p.components_
    x[[1, 3, 4, 5]] = np.sign((S.toarray() if method == "sjlt" else S)[0]) * np.float32(3e38)
    x[x == 0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (x, scipy_sparse.csr_array(x)):
            with pytest.raises(
                FloatingPointError, match=r"^X: expected sums that float32 holds, .* rows 1, 3, 4, ... \[pass float64\]"
            ):
                p.transform(given)
    assert np.isfinite(p.transform(x.astype(np.float64))).all()
    p.set_params(dtype="float32")
    # Converted block by block, where the dtype is another one: rows of any block are found.
    x = np.ones((900, 1000))
    x[[500, 899]] = 1e300
    with pytest.raises(FloatingPointError, match="^X: expected sums that float32 holds, .* at rows 500, 899 "):
        p.transform(x)


# --- Malformed sparse matrices ---


class Foreign:
    """CSR of somebody else: attributes alone."""

    def __init__(self, indptr: Any, indices: Any, data: Any, shape: tuple[int, ...] = (2, 4)) -> None:
        self.indptr, self.indices, self.data, self.shape = indptr, indices, data, shape

    def tocsr(self) -> Foreign:
        return self


I32, I64 = np.int32, np.int64


@pytest.mark.parametrize(
    ("indptr", "indices", "data", "text"),
    [
        ([1, 1, 2], [0, 1], [1.0, 2], "X.indptr: expected 0, got 1 at position 0"),
        ([0, 2, 1], [0, 1], [1.0, 2], "X.indptr: expected no fall, got 1 after 2, at position 2"),
        ([0, 1, 3], [0, 1], [1.0, 2], "X: expected 3 indices and values, got 2 and 2"),
        ([0, 1, 2**62], [0, 1], [1.0, 2], "X: expected 4611686018427387904 indices"),
        ([0, 1], [0, 1], [1.0, 2], "X.indptr: expected 3 values for 2 rows, got 2"),
        ([0, 1, 2, 2], [0, 1], [1.0, 2], "X.indptr: expected 3 values"),
        ([0, -1, 2], [0, 1], [1.0, 2], "X.indptr: expected no fall, got -1"),
        ([0, 1, 2], [0, 4], [1.0, 2], "X.indices: expected integers from 0 to 3, got 4 at position 1"),
        ([0, 1, 2], [0, -1], [1.0, 2], "X.indices: expected integers from 0 to 3, got -1 at position 1"),
        ([0, 1, 2], [0, 2**32 + 1], [1.0, 2], "X.indices: expected integers from 0 to 3"),
        ([0, 1, 2], [0], [1.0, 2], "X: expected 2 indices and values, got 1 and 2"),
        ([0, 1, 2], [0, 1], [1.0], "X: expected 2 indices and values, got 2 and 1"),
        ([0, 1, 2], [0, 1], [1.0, np.nan], "X: expected finite values, got NaN at row 1, stored position 1"),
        ([0.0, 1.0, 2.0], [0, 1], [1.0, 2], "X.indptr: expected integers"),
        ([0, 1, 2], [0.0, 1.0], [1.0, 2], "X.indices: expected integers"),
        ([[0, 1, 2]], [0, 1], [1.0, 2], "X.indptr: expected a 1-D array"),
    ],
)
@pytest.mark.parametrize("width", [I32, I64])
def test_malformed_csr(indptr: Any, indices: Any, data: Any, text: str, width: Any) -> None:
    parts = [np.asarray(part) for part in (indptr, indices)]
    if width is I32:
        if any(part.dtype.kind == "i" and np.abs(part).max() >= 2**31 for part in parts):
            pytest.skip("does not fit int32")
        parts = [part.astype(I32) if part.dtype.kind == "i" else part for part in parts]
    foreign = Foreign(*parts, np.asarray(data))
    p = RandomProjection(2, random_state=0).fit(np.ones((2, 4)))
    for call in (p.transform, p.fit):
        with pytest.raises((ValueError, TypeError), match="^" + text):
            call(foreign)


@pytest.mark.parametrize("kind", ["csc", "coo", "bsr"])
def test_malformed_matrices_are_refused_before_they_are_converted(kind: str) -> None:
    p = RandomProjection(2, random_state=0).fit(np.ones((6, 4)))
    for value in (-1, 100, 2**30):
        matrix = scipy_sparse.csr_array(np.ones((6, 4))).asformat(kind)
        (matrix.coords[1] if kind == "coo" else matrix.indices)[-1] = value
        with pytest.raises(ValueError, match=r"^X\.(indices|coords): expected integers from 0"):
            p.transform(matrix)
    if kind != "coo":
        matrix = scipy_sparse.csr_array(np.ones((6, 4))).asformat(kind)
        matrix.indptr[-1] = 2**30
        with pytest.raises(ValueError, match="^X: expected 1073741824 indices and values"):
            p.transform(matrix)


def test_what_is_no_matrix() -> None:
    p = RandomProjection(2, random_state=0).fit(np.ones((2, 4)))
    with pytest.raises(ValueError, match="^X: expected a 2-D matrix"):
        p.transform(Foreign(np.array([0]), np.array([0]), np.array([1.0]), shape=(4,)))
    with pytest.raises(ValueError, match="^X: expected at most 4294967295 columns, got 4294967296"):
        RandomProjection(2).fit(scipy_sparse.csr_array((1, 2**32)))


def test_a_matrix_that_does_not_fit_into_memory(fresh: Any) -> None:
    program = """if True:
        import resource, likewise as lw
        from scipy.sparse import csr_array
        X = csr_array((1, 2**32 - 1))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
        try:
            lw.projection.RandomProjection(256, method="srht").fit(X)
        except MemoryError as error:
            print(error)
    """
    assert fresh(program).strip() == "expected more memory than this process can have"
