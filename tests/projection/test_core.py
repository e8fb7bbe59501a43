"""The native projections against numbers worked out elsewhere, and against their definition."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.references.projection_numpy import matrix
from likewise import _core
from tests.conftest import Fresh

Projection = _core.projection.Projection
Array = NDArray[Any]

# Every construction, in every layout: method, d, k, nnz, density.
CASES: list[tuple[str, int, int, int, float]] = [
    ("hadamard", 1, 1, 0, 0.0),
    ("hadamard", 20, 16, 0, 0.0),
    ("hadamard", 10, 4, 0, 0.0),
    ("hadamard", 33, 40, 0, 0.0),
    ("hadamard", 100, 17, 0, 0.0),
    ("hadamard", 300, 100, 0, 0.0),
    ("hadamard", 512, 256, 0, 0.0),
    ("hadamard", 520, 130, 0, 0.0),
    ("hadamard", 768, 160, 0, 0.0),
    ("hadamard", 60, 300, 0, 0.0),
    ("sjlt", 50, 8, 2, 0.0),
    ("sjlt", 50, 100, 7, 0.0),
    ("sjlt", 300, 40, 15, 0.0),
    ("sjlt", 300, 32, 16, 0.0),
    ("sjlt", 70, 112, 48, 0.0),
    ("sjlt", 33, 64, 64, 0.0),
    ("countsketch", 300, 8, 0, 0.0),
    ("very_sparse", 300, 24, 0, 0.06),
    ("very_sparse", 40, 7, 0, 1.0),
    ("achlioptas", 90, 21, 0, 0.0),
    ("gaussian", 90, 21, 0, 0.0),
    ("gaussian", 40, 32, 0, 0.0),
    ("srht", 1, 1, 0, 0.0),
    ("srht", 90, 21, 0, 0.0),
    ("srht", 64, 64, 0, 0.0),
]
DTYPES = (np.float32, np.float64)
SEEDS = (7, 2**64 - 1)


def project(p: Any, x: Array, n_threads: int = 1) -> Array:
    out = np.empty((len(x), p.n_components), x.dtype)
    assert p.transform(x, out, n_threads) == -1
    return out


def components(p: Any, dtype: Any = np.float64) -> Array:
    out = np.empty((p.n_features, p.n_components), dtype)
    p.rows(0, out)
    return out.T


def csr(x: Array, index: Any = np.int64, offset: Any = np.int64) -> tuple[Array, Array, Array]:
    rows, columns = np.nonzero(x)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(x)))])
    return indptr.astype(offset), columns.astype(index), np.ascontiguousarray(x[rows, columns])


def project_csr(p: Any, arrays: tuple[Array, Array, Array], n_threads: int = 1) -> Array:
    out = np.empty((len(arrays[0]) - 1, p.n_components), arrays[2].dtype)
    assert p.transform_csr(*arrays, out, n_threads) == -1
    return out


def digest(x: Array) -> str:
    return hashlib.sha256(x.tobytes()).hexdigest()[:16]


def rows_with_gaps(n: int, d: int, dtype: Any, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.4)
    x[n // 2] = 0
    return x.astype(dtype)


def test_a_row_of_sixteen_outputs_worked_out_by_hand() -> None:
    y = project(Projection("hadamard", 20, 16, 7), np.arange(1.0, 21)[None])
    expected = [26, 26, 52, -24, -14, -50, -32, 112, -38, -6, -12, -88, 42, 78, 28, -64]
    assert (y * 4 == expected).all()


def test_a_row_whose_outputs_are_sampled() -> None:
    y = project(Projection("hadamard", 10, 4, 7), np.arange(1.0, 11)[None].astype(np.float32))
    assert y.tolist() == [[-0.5, -2.5, 11.5, 16.5]]


@pytest.mark.parametrize(
    ("d", "k", "expected"),
    [(384, 128, "e332e0034ab67567"), (768, 256, "d1a446a86fe87078"), (300, 100, "aaf2c37217c2bfe1")],
)
def test_the_signs_of_the_fold(d: int, k: int, expected: str) -> None:
    s = components(Projection("hadamard", d, k, 7))
    assert digest(np.sign(s).astype(np.int8)) == expected


@pytest.mark.parametrize(
    ("d", "k", "expected"),
    [
        (384, 256, [0, 2, 3, 13, 12, 7, 14, 10, 1, 9, 5, 8, 11, 6, 4, 15, 3, 5, 12, 14, 2, 0, 10, 11]),
        (768, 160, [0, 2, 3, 6, 8, 7, 4, 5, 1, 9, 3, 5, 8, 7, 2, 0, 1, 6, 9, 4, 2, 3, 7, 8]),
    ],
)
def test_the_slots_of_the_fold(d: int, k: int, expected: list[int]) -> None:
    # Column 128 b of S is nonzero in the slots of block b. Row i of the Hadamard matrix is all ones for i = 0 only:
    # the vector of a slot follows from the correlation of the block's columns with those of the Hadamard matrix.
    s = components(Projection("hadamard", d, k, 7))
    for b in range(len(expected) // 8):
        used = {int(r) // 16 for r in np.flatnonzero(s[:, 128 * b])}
        assert used == set(expected[8 * b : 8 * b + 8])
    reference = matrix("hadamard", d, k, 7)
    assert np.array_equal(np.sign(s), np.sign(reference))


def test_the_bits_of_float32() -> None:
    x = np.sin(np.arange(1.0, 4 * 768 + 1)).astype(np.float32).reshape(4, 768)
    y = project(Projection("hadamard", 768, 256, 7), x)
    assert y[0, :3].tolist() == [np.float32(v) for v in (1.2928673, -1.0340549, -0.74660915)]
    assert digest(y) == "7728ec5bcc100678"


def test_sjlt_columns() -> None:
    s = components(Projection("sjlt", 4, 8, 7, nnz=2)) * math.sqrt(2)
    expected = np.zeros((8, 4))
    for c, entries in enumerate(({0: 1, 7: -1}, {0: -1, 6: -1}, {1: -1, 5: -1}, {0: 1, 4: -1})):
        for r, value in entries.items():
            expected[r, c] = value
    assert np.allclose(s, expected, rtol=1e-15)
    s = components(Projection("countsketch", 4, 8, 7))
    assert [(int(np.flatnonzero(c)[0]), c.sum()) for c in s.T] == [(1, 1), (0, -1), (2, -1), (0, 1)]


def test_slotted_sjlt_columns() -> None:
    s = components(Projection("sjlt", 3, 32, 7, nnz=16))
    signs = ["".join("-" if v < 0 else "+" for v in s[:16, c]) for c in range(3)]
    assert signs == ["-+-+++-+---++-++", "-+-+--+-+--+-+--", "---+++-++-+-+-+-"]
    assert not s[16:].any() and (np.abs(s[:16]) == 0.25).all()


def test_gaussian_entries() -> None:
    s = components(Projection("gaussian", 2, 2, 7)) * math.sqrt(2)
    assert np.allclose(s.T, [[-1.10680803, -0.40815904], [-0.45412476, 0.05891844]], rtol=0, atol=5e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("method", "d", "k", "nnz", "density"), CASES)
def test_the_matrix_is_the_one_defined(method: str, d: int, k: int, nnz: int, density: float, seed: int) -> None:
    expected = matrix(method, d, k, seed, nnz=nnz, density=density)
    p = Projection(method, d, k, seed, nnz, density)
    assert (p.method, p.n_features, p.n_components) == (method, d, k)
    for dtype, rtol in ((np.float32, 1e-7), (np.float64, 4e-16 if method != "gaussian" else 1e-14)):
        s = components(p, dtype)
        assert np.array_equal(np.sign(s), np.sign(expected))
        assert np.allclose(s, expected, rtol=rtol, atol=0)
        x = rows_with_gaps(5, d, dtype)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        assert np.allclose(project(p, x), x.astype(np.float64) @ expected.T, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("method", "d", "k", "nnz", "density"), CASES)
def test_batches_threads_and_sparsity_do_not_change_a_bit(
    method: str, d: int, k: int, nnz: int, density: float, dtype: Any
) -> None:
    p = Projection(method, d, k, 7, nnz, density)
    x = rows_with_gaps(37, d, dtype)
    y = project(p, x)
    for n_threads in (0, 2, 5):
        assert y.tobytes() == project(p, x, n_threads=n_threads).tobytes()
    assert y.tobytes() == np.concatenate([project(p, row[None]) for row in x]).tobytes()
    assert y.tobytes() == np.concatenate([project(p, x[:5]), project(p, x[5:36]), project(p, x[36:])]).tobytes()
    for index in (np.int32, np.int64):
        for offset in (np.int32, np.int64):
            assert y.tobytes() == project_csr(p, csr(x, index, offset)).tobytes()
    for n_threads in (0, 2, 5):
        assert y.tobytes() == project_csr(p, csr(x), n_threads=n_threads).tobytes()
    assert y[18].tobytes() == bytes(y[18].nbytes)  # the zero row: +0.0
    order = np.random.default_rng(1).permutation(37)
    assert y[order].tobytes() == project(p, x[order]).tobytes()


def test_many_pieces_and_threads_do_not_change_a_bit() -> None:
    for method, k, nnz in (("hadamard", 256, 0), ("sjlt", 64, 16), ("sjlt", 64, 4), ("gaussian", 48, 0)):
        p = Projection(method, 768, k, 3, nnz)
        x = rows_with_gaps(3000, 768, np.float32)
        y = project(p, x)
        assert y.tobytes() == project(p, x, n_threads=2).tobytes()
        assert y.tobytes() == np.concatenate([project(p, x[i : i + 7]) for i in range(0, 3000, 7)]).tobytes()
        assert y.tobytes() == project_csr(p, csr(x), n_threads=2).tobytes()


PROGRAM = """
import numpy as np, sys, hashlib
from benchmarks.references.projection_numpy import matrix
from likewise import _core
from tests.projection.test_core import CASES, project, project_csr, csr, rows_with_gaps
print(_core.dispatch.level())
whole = hashlib.sha256()
for method, d, k, nnz, density in CASES + [("hadamard", 768, 256, 0, 0), ("gaussian", 200, 70, 0, 0)]:
    p = _core.projection.Projection(method, d, k, 11, nnz, density)
    for dtype in (np.float32, np.float64):
        x = rows_with_gaps(30, d, dtype, 5)
        whole.update(project(p, x).tobytes())
        whole.update(project_csr(p, csr(x)).tobytes())
        codes = np.empty((30, (k + 7) // 8), np.uint8)
        _core.projection.simhash(p, x, codes, 1)
        whole.update(codes.tobytes())
print(whole.hexdigest())
"""


def test_every_level_gives_the_same_bits(fresh: Fresh, levels: list[str]) -> None:
    printed = [fresh(PROGRAM, level=level).split() for level in levels]
    assert [level for level, _ in printed] == levels
    assert len({bits for _, bits in printed}) == 1


@pytest.mark.parametrize(("d", "k"), [(1024, 256), (768, 256), (768, 128), (384, 128)])
def test_rows_are_orthogonal_where_blocks_fill_the_slots(d: int, k: int) -> None:
    s = components(Projection("hadamard", d, k, 5))
    assert np.abs(s @ s.T - np.eye(k) * d / k).max() < 1e-12


def test_nothing_is_lost_where_nothing_is_reduced() -> None:
    s = components(Projection("hadamard", 384, 400, 5))
    assert np.abs(s.T @ s - np.eye(384)).max() < 1e-12


def test_sums_of_small_integers_are_exact() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.integers(-9, 9, (2, 6, 300)).astype(np.float32)
    for method, nnz in (("hadamard", 0), ("sjlt", 4), ("sjlt", 16), ("countsketch", 0)):
        p = Projection(method, 300, 64, 9, nnz)
        assert np.array_equal(project(p, x) + project(p, y), project(p, x + y))


@pytest.mark.parametrize(("method", "d", "k", "nnz", "density"), CASES)
def test_rows_that_are_not_finite_are_named(method: str, d: int, k: int, nnz: int, density: float) -> None:
    p = Projection(method, d, k, 7, nnz, density)
    for dtype in DTYPES:
        for value in (np.nan, np.inf, -np.inf):
            for column in {0, d // 2, d - 1}:
                x = rows_with_gaps(20, d, dtype)
                x[13, column] = x[17, column] = value
                out = np.empty((20, k), dtype)
                assert p.transform(x, out, 1) == p.transform(x, out, 2) == 13
                assert p.transform_csr(*csr(x), out, 1) == 13
                codes = np.empty((20, (k + 7) // 8), np.uint8)
                assert _core.projection.simhash(p, x, codes, 1) == 13


def test_a_sum_that_overflows_is_named() -> None:
    p = Projection("hadamard", 256, 256, 7)
    x = np.ones((3, 256), np.float32)
    x[1] = 3e38
    assert p.transform(x, np.empty((3, 256), np.float32), 1) == 1


def test_signs() -> None:
    for k in (1, 7, 64, 100):
        p = Projection("hadamard", 90, k, 7)
        x = rows_with_gaps(11, 90, np.float64)
        codes = np.empty((11, (k + 7) // 8), np.uint8)
        assert _core.projection.simhash(p, x, codes, 2) == -1
        assert np.array_equal(codes, np.packbits(project(p, x) >= 0, axis=1, bitorder="little"))
        distances = np.empty((11, 4), np.int32)
        _core.projection.hamming(codes, codes[:4].copy(), distances, 2)
        bits = np.unpackbits(codes, axis=1)
        assert np.array_equal(distances, (bits[:, None] != bits[None, :4]).sum(axis=2))


@pytest.mark.parametrize(("method", "nnz"), [("hadamard", 0), ("sjlt", 4), ("sjlt", 16), ("gaussian", 0), ("srht", 0)])
def test_unsorted_and_duplicate_columns_are_accepted(method: str, nnz: int) -> None:
    p = Projection(method, 300, 32, 7, nnz)
    rng = np.random.default_rng(4)
    indices = rng.integers(0, 300, 90).astype(np.int32)
    indptr = np.array([0, 40, 40, 90], np.int32)
    values = rng.standard_normal(90)
    dense = np.zeros((3, 300))
    for row in range(3):
        np.add.at(dense[row], indices[indptr[row] : indptr[row + 1]], values[indptr[row] : indptr[row + 1]])
    assert np.allclose(project_csr(p, (indptr, indices, values)), project(p, dense), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("bad", [-1, 20, 2**31 - 1, -(2**31)])
def test_columns_outside_are_refused_with_their_position(index: Any, bad: int) -> None:
    p = Projection("sjlt", 20, 8, 7, nnz=4)
    indices = np.array([0, 19, bad], index)
    message = rf"^X: expected column indices from 0 to 19, got {bad} at stored position 2 \(row 1\)$"
    with pytest.raises(ValueError, match=message):
        p.transform_csr(np.array([0, 1, 3], index), indices, np.ones(3), np.empty((2, 8)), 1)


@pytest.mark.parametrize(
    ("indptr", "message"),
    [
        ([1, 2, 3], r"^X: expected indptr to start at 0, got 1$"),
        ([0, 2, 1, 3], r"^X: expected indptr that does not decrease, got 1 after 2 at position 2$"),
        ([0, 2, 4], r"^X: expected indptr to end at the number of stored values \(3\), got 4$"),
        ([0, 2], r"^X: expected indptr to end at the number of stored values \(3\), got 2$"),
        ([0, -1, 3], r"^X: expected indptr that does not decrease, got -1 after 0 at position 1$"),
        ([0, 2**62, 3], r"^X: expected indptr that does not decrease"),
        ([-(2**63), 0, 3], r"^X: expected indptr to start at 0"),
        ([], r"^X: expected indptr to start at 0, got none$"),
    ],
)
def test_offsets_that_break_their_rules_are_refused(indptr: list[int], message: str) -> None:
    p = Projection("hadamard", 20, 8, 7)
    out = np.empty((max(0, len(indptr) - 1), 8))
    with pytest.raises(ValueError, match=message):
        p.transform_csr(np.array(indptr, np.int64), np.array([0, 1, 2], np.int32), np.ones(3), out, 1)


def test_arrays_of_unequal_length_are_refused() -> None:
    p = Projection("hadamard", 20, 8, 7)
    with pytest.raises(ValueError, match=r"^X: expected as many stored values as column indices \(3\), got 2$"):
        p.transform_csr(np.array([0, 3]), np.array([0, 1, 2]), np.ones(2), np.empty((1, 8)), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sparse", 9, 4, 0), "^method: expected hadamard, "),
        (("hadamard", 0, 4, 0), "^n_features: expected an integer from 1 to 4294967295, got 0"),
        (("hadamard", 2**32, 4, 0), "^n_features: "),
        (("hadamard", 9, 0, 0), "^n_components: expected an integer from 1 "),
        (("hadamard", 9, 2**31, 0), "^n_components: "),
        (("sjlt", 9, 4, 0, 0), r"^nnz: expected an integer from 1 to n_components \(4\), got 0"),
        (("sjlt", 9, 4, 0, 5), r"^nnz: expected an integer from 1 to n_components \(4\), got 5"),
        (("sjlt", 9, 64, 0, 17), r"^nnz: .* \[nearest: 16 or 32\], got 17"),
        (("sjlt", 9, 40, 0, 16), r"^n_components: .* \[nearest: 32 or 48\], got 40"),
        (("very_sparse", 9, 4, 0, 0, 0.0), "^density: "),
        (("very_sparse", 9, 4, 0, 0, 1.5), "^density: "),
        (("very_sparse", 9, 4, 0, 0, math.nan), "^density: "),
        (("srht", 9, 17, 0), r"^n_components: expected at most 16 with method='srht' and 9 features, got 17"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Projection(*arguments)


def test_very_wide_matrices() -> None:
    for method, nnz, density in (("sjlt", 16, 0.0), ("sjlt", 4, 0.0), ("very_sparse", 0, 1e-4), ("gaussian", 0, 0.0)):
        d = 2**32 - 1
        p = Projection(method, d, 32, 7, nnz, density)
        columns = np.array([0, 5, d - 1], np.int64)
        y = project_csr(p, (np.array([0, 3]), columns, np.array([1.0, -2.0, 3.0])))
        expected = np.zeros(32)
        for c, value in zip(columns, (1.0, -2.0, 3.0), strict=True):
            row = np.empty((1, 32))
            p.rows(int(c), row)
            expected += value * row[0]
        assert np.allclose(y, expected, rtol=1e-14)


def test_entries_that_are_not_kept_are_the_same() -> None:
    """Beyond 64 MiB the entries are drawn when they are needed."""
    for method, d, k, nnz, density in (
        ("gaussian", 70_000, 256, 0, 0.0),
        ("achlioptas", 200_000, 256, 0, 0.0),
        ("sjlt", 2_200_000, 16, 8, 0.0),
    ):
        p = Projection(method, d, k, 7, nnz, density)
        x = np.zeros((2, d), np.float32)
        columns = np.sort(np.random.default_rng(0).choice(d, 40, replace=False))
        x[0, columns] = x[1, columns[::-1]] = np.arange(1, 41)
        y = np.empty((2, k), np.float32)
        p.transform_csr(*csr(x), y, 1)
        few = np.empty((40, k), np.float64)
        for i, c in enumerate(columns):
            p.rows(int(c), few[i : i + 1])
        assert np.allclose(y, x[:, columns].astype(np.float64) @ few, rtol=1e-5, atol=1e-5)
        assert y.tobytes() == project(p, x).tobytes()
