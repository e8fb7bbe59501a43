"""Rows in, rows out: the values, and the same bits however the work is cut."""

from __future__ import annotations

import itertools
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from benchmarks.references import projection_numpy as reference
from likewise.projection import RandomProjection

scipy_sparse = pytest.importorskip("scipy.sparse")

METHODS: list[dict[str, Any]] = [
    {"method": "hadamard"},
    {"method": "sjlt", "nnz": 4},
    {"method": "sjlt", "nnz": 16},
    {"method": "countsketch"},
    {"method": "very_sparse"},
    {"method": "achlioptas"},
    {"method": "gaussian"},
    {"method": "srht"},
]
DTYPES = (np.float32, np.float64)


def rows(n: int, d: int, dtype: Any = np.float32, *, share: float = 1.0, seed: int = 0) -> NDArray[Any]:
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n, d)).astype(dtype)
    X[generator.random((n, d)) >= share] = 0
    return X


def dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


@pytest.fixture(params=METHODS, ids=lambda p: "-".join(str(v) for v in p.values()))
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "k"), [(768, 256), (300, 96), (50, 48), (1000, 16)])
def test_it_is_the_product(options: dict[str, Any], d: int, k: int, dtype: Any) -> None:
    X = rows(9, d, dtype)
    p = RandomProjection(k, random_state=1, **options).fit(X)
    Y = p.transform(X)
    assert Y.dtype == dtype and Y.shape == (9, k)
    nnz, method = options.get("nnz", 0), options["method"]
    S = reference.matrix(method, d, k, 1, nnz=nnz)
    scale = np.abs(Y).max()
    np.testing.assert_allclose(Y, X.astype(np.float64) @ S.T, atol=scale * (2e-6 if dtype == np.float32 else 1e-14))
    if method in ("hadamard", "sjlt", "countsketch"):  # whose order of sums is a promise
        assert Y.tobytes() == reference.project(X, method, k, 1, nnz=nnz).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_split_gives_the_same_bits(options: dict[str, Any], dtype: Any) -> None:
    X = rows(67, 200, dtype, share=0.5)
    p = RandomProjection(64, random_state=3, n_threads=1, **options).fit(X)
    Y = p.transform(X)
    assert np.concatenate([p.transform(row[None]) for row in X]).tobytes() == Y.tobytes()
    assert np.concatenate(list(p.transform(iter([X[:30], X[30:31], X[31:]])))).tobytes() == Y.tobytes()
    order = np.random.default_rng(0).permutation(len(X))
    assert p.transform(X[order]).tobytes() == Y[order].tobytes()
    p.set_params(n_threads=2)
    assert p.transform(X).tobytes() == Y.tobytes()
    p.set_params(n_threads=None)
    assert p.transform(np.asfortranarray(X)).tobytes() == Y.tobytes()
    assert p.transform(np.repeat(X, 2, axis=0)[::2]).tobytes() == Y.tobytes()
    assert p.transform(X.astype(X.dtype.newbyteorder())).tobytes() == Y.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("widths", list(itertools.product([np.int32, np.int64], repeat=2)), ids=str)
def test_sparse_rows_give_the_bits_of_dense_ones(
    options: dict[str, Any], dtype: Any, share: float, widths: tuple[Any, Any]
) -> None:
    X = rows(23, 300, dtype, share=share)
    X[5] = 0
    p = RandomProjection(64, random_state=3, **options).fit(X)
    sparse = scipy_sparse.csr_array(X)
    sparse.indptr, sparse.indices = sparse.indptr.astype(widths[0]), sparse.indices.astype(widths[1])
    Y = p.transform(sparse)
    assert isinstance(Y, np.ndarray)
    np.testing.assert_array_equal(Y, p.transform(X))
    assert p.transform(sparse[:0]).shape == (0, 64)
    assert not np.signbit(Y[5]).any() and not Y[5].any()  # exact +0
    q = RandomProjection(64, random_state=3, **options).fit(sparse)
    assert q.transform(X).tobytes() == p.transform(X).tobytes()  # one matrix, whatever it was fitted on


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_every_sparse_format(options: dict[str, Any], kind: str) -> None:
    X = rows(12, 40, share=0.3)
    p = RandomProjection(16, random_state=3, **options).fit(X)
    for make in (scipy_sparse.csr_array, scipy_sparse.csr_matrix):
        np.testing.assert_array_equal(p.transform(make(X).asformat(kind)), p.transform(X))


def test_unsorted_duplicate_and_zero_entries(options: dict[str, Any]) -> None:
    indptr, indices = np.array([0, 4, 4, 6]), np.array([7, 2, 7, 0, 3, 3])
    data = np.array([1.0, 2.0, 0.5, 0.0, -1.0, 1.0])
    odd = scipy_sparse.csr_array((data, indices, indptr), shape=(3, 40))
    X = np.zeros((3, 40))
    X[0, 7], X[0, 2] = 1.5, 2
    p = RandomProjection(16, random_state=3, **options).fit(X)
    np.testing.assert_allclose(p.transform(odd), p.transform(X), atol=1e-15)
    assert p.transform(odd)[1:].tobytes() == bytes(2 * 16 * 8)
    np.testing.assert_array_equal(odd.indices, [7, 2, 7, 0, 3, 3])  # the caller's arrays stay as they are


def test_duplicated_rows_stay_equal(options: dict[str, Any]) -> None:
    X = rows(4, 100)
    Y = RandomProjection(16, random_state=0, **options).fit_transform(np.repeat(X, 3, axis=0))
    assert (Y.reshape(4, 3, 16) == Y[::3, None]).all()


@given(
    hnp.arrays(np.int64, (3, 40), elements=st.integers(-1000, 1000)),
    st.integers(0, 2**64 - 1),
    st.sampled_from([o for o in METHODS if o["method"] in ("hadamard", "sjlt", "countsketch")]),
)
@settings(max_examples=40, deadline=None)
def test_small_integers_are_projected_linearly(X: NDArray[Any], seed: int, options: dict[str, Any]) -> None:
    p = RandomProjection(16, random_state=seed, **options).fit(X)
    Y = p.transform(np.stack([X[0] + X[1], X[0] - X[2], 4 * X[1], *X]))
    a, b, c = Y[3:]
    scale = p.transform([[1] + [0] * 39])
    unit = np.abs(scale[scale != 0]).min()
    # Sums of integers are exact, and so is the scale where it is a power of two.
    if np.log2(unit) % 1 == 0:
        assert (Y[:3] == np.stack([a + b, a - c, 4 * b])).all()
    else:
        np.testing.assert_allclose(Y[:3], np.stack([a + b, a - c, 4 * b]), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("given_dtype", DTYPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_of_the_result(given_dtype: Any, dtype: str) -> None:
    X = rows(5000, 300, given_dtype)
    p = RandomProjection(32, random_state=0, dtype=dtype).fit(X)
    expected = RandomProjection(32, random_state=0).fit_transform(X.astype(dtype))
    assert p.transform(X).tobytes() == expected.tobytes()
    assert p.transform(scipy_sparse.csr_array(X)).tobytes() == expected.tobytes()
    assert p.components_.dtype == dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, bool, np.float16])
def test_other_numbers(dtype: Any) -> None:
    X = np.arange(60).reshape(3, 20).astype(dtype)
    p = RandomProjection(8, random_state=0).fit(X)
    wanted = np.float32 if dtype == np.float16 else np.float64
    assert p.transform(X).dtype == wanted
    assert p.transform(X).tobytes() == p.transform(X.astype(wanted)).tobytes()


def test_out() -> None:
    X = rows(10, 100)
    p = RandomProjection(32, random_state=0).fit(X)
    out = np.empty((10, 32), np.float32)
    assert p.transform(X, out=out) is out
    assert out.tobytes() == p.transform(X).tobytes()
    for wrong in (np.empty((10, 31), np.float32), np.empty((10, 32)), np.empty((32, 10), np.float32).T, X[:, :32]):
        with pytest.raises(ValueError, match="^out: expected"):
            p.transform(X, out=wrong)
    with pytest.raises(TypeError, match="^out: expected a numpy array"):
        p.transform(X, out=[[0.0] * 32] * 10)
    with pytest.raises(ValueError, match="^out: expected None where X is an iterable of chunks"):
        p.transform(iter([X]), out=out)


def test_a_memory_map(tmp_path: Path) -> None:
    X = rows(1000, 200)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    p = RandomProjection(random_state=0, epsilon=0.5).fit(mapped)
    assert p.transform(mapped).tobytes() == p.transform(X).tobytes()
    assert type(p.transform(mapped)) is np.ndarray


def test_transform_takes_no_memory_but_the_result() -> None:
    X = rows(20_000, 256)
    tracemalloc.start()
    try:
        for dtype, spare in ((None, 1 << 18), ("float64", 4 << 20)):
            p = RandomProjection(16, random_state=0, dtype=dtype, n_threads=1).fit(X)
            p.transform(X[:1])
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            Y = p.transform(X)
            assert tracemalloc.get_traced_memory()[1] - before < Y.nbytes + spare < X.nbytes
    finally:
        tracemalloc.stop()


def test_chunks() -> None:
    X = rows(90, 64)
    chunks = [X[:40], X[40:40], X[40:]]
    p = RandomProjection(random_state=0, epsilon=0.5).fit(chunks)
    assert p.n_components_ == RandomProjection(random_state=0, epsilon=0.5).fit(X).n_components_
    blocks = p.transform(chunks)
    assert iter(blocks) is blocks
    assert [len(block) for block in blocks] == [40, 50]
    assert np.concatenate(list(p.fit_transform(chunks))).tobytes() == p.transform(X).tobytes()
    sparse = [scipy_sparse.csr_array(chunk) for chunk in chunks]
    assert np.concatenate(list(p.fit(iter(sparse)).transform(iter(sparse)))).tobytes() == p.transform(X).tobytes()
    with pytest.raises(TypeError, match="^X: expected what can be read twice"):
        p.fit_transform(iter(chunks))
    with pytest.raises(ValueError, match="^X: expected at least 1 row"):
        p.fit(iter([]))
    with pytest.raises(ValueError, match=r"^X\[1\]: expected 64 columns, as the first chunk has, got 63"):
        p.fit([X, X[:, :63]])
    with pytest.raises(ValueError, match=r"^X\[1\]: X has 63 features"):
        list(p.transform(iter([X, X[:, :63]])))
    with pytest.raises(ValueError, match=r"^X\[0\]: .*Reshape your data"):
        p.fit(iter([X[0], X[1]]))


def test_wide_sparse_rows() -> None:
    n, d = 50, 2**32 - 1
    generator = np.random.default_rng(0)
    indices = np.sort(generator.integers(d, size=(n, 20)), axis=1).astype(np.int64).ravel()
    data = generator.standard_normal(20 * n).astype(np.float32)
    X = scipy_sparse.csr_array((data, indices, np.arange(0, 20 * n + 1, 20)), shape=(n, d))
    p = RandomProjection(64, random_state=0).fit(X)
    assert (p.method_, p.nnz_, p.n_features_in_) == ("sjlt", 16, d)
    Y = p.transform(X)
    assert np.isfinite(Y).all()
    lengths = (Y.astype(np.float64) ** 2).sum(axis=1) / (data.reshape(n, 20).astype(np.float64) ** 2).sum(axis=1)
    assert abs(lengths.mean() - 1) < 5 * np.sqrt(2 / 64 / n)
    used = np.unique(indices[:20])
    small = np.zeros((len(used), 64), np.float32)
    for i, column in enumerate(used):
        p._native().rows(int(column), small[i : i + 1])
    np.testing.assert_allclose(data[:20][np.argsort(indices[:20])] @ small, Y[0], atol=1e-5)


def test_one_projection_in_many_threads() -> None:
    X = rows(400, 300)
    p = RandomProjection(64, random_state=0, n_threads=2).fit(X)
    expected, Y = p.transform(X).tobytes(), rows(3, 64)
    back = RandomProjection(64, random_state=0).fit(X).inverse_transform(Y).tobytes()
    loaded = RandomProjection.from_bytes(p.to_bytes())  # builds its matrix at the first use
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: loaded.transform(X).tobytes(), range(40))) == {expected}
        assert set(pool.map(lambda _: loaded.inverse_transform(Y).tobytes(), range(40))) == {back}


def test_a_forked_child(fresh: Any) -> None:
    program = """if True:
        import os, numpy as np, likewise as lw
        X = np.arange(9000.0).reshape(30, 300)
        p = lw.projection.RandomProjection(64, random_state=0, n_threads=2).fit(X)
        expected = p.transform(X).tobytes()
        child = os.fork()
        if not child:
            os._exit(0 if p.transform(X).tobytes() == expected else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert fresh(program, timeout=30).strip() == "0"
