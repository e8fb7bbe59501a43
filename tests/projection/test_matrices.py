"""The matrix of a seed: known bits, the slow reference, the identities that the constructions promise."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from benchmarks.references import projection_numpy as reference
from likewise.projection import RandomProjection

SHAPES = [(1, 1), (1, 20), (3, 2), (5, 16), (10, 4), (17, 33), (20, 16), (64, 32), (100, 48), (300, 100), (384, 256)]
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("hadamard", {}),
    ("sjlt", {"nnz": 1}),
    ("sjlt", {"nnz": 4}),
    ("sjlt", {"nnz": 15}),
    ("sjlt", {"nnz": 16}),
    ("sjlt", {"nnz": 32}),
    ("countsketch", {}),
    ("very_sparse", {}),
    ("very_sparse", {"density": 0.3}),
    ("achlioptas", {}),
    ("gaussian", {}),
    ("srht", {}),
]


def fitted(method: str, d: int, k: int, seed: int = 7, dtype: Any = np.float64, **options: Any) -> RandomProjection:
    made = RandomProjection(k, method=method, random_state=seed, **options)
    if k > d:
        with pytest.warns(UserWarning, match="n_components: expected at most n_features"):
            return made.fit(np.zeros((1, d), dtype))
    return made.fit(np.zeros((1, d), dtype))


def dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def possible(method: str, d: int, k: int, options: dict[str, Any]) -> bool:
    nnz = options.get("nnz", 0)
    if method == "srht":
        return k <= 1 << (d - 1).bit_length()
    return nnz <= k and (nnz < 16 or k % 16 == 0)


@pytest.mark.parametrize("seed", [7, 2**64 - 1])
@pytest.mark.parametrize(("method", "options"), METHODS, ids=lambda v: str(v))
def test_components_are_those_of_the_reference(method: str, options: dict[str, Any], seed: int) -> None:
    tried = 0
    for d, k in SHAPES:
        if not possible(method, d, k, options):
            continue
        tried += 1
        found = dense(fitted(method, d, k, seed, **options).components_)
        expected = reference.matrix(method, d, k, seed, **options)
        assert found.shape == (k, d) and found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-300, err_msg=f"{d}, {k}")
        narrow = dense(fitted(method, d, k, seed, np.float32, **options).components_)
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, expected, rtol=1e-6)
    assert tried >= 3


@pytest.mark.parametrize(
    ("d", "k", "digest"),
    [(384, 128, "e332e0034ab67567"), (768, 256, "d1a446a86fe87078"), (300, 100, "aaf2c37217c2bfe1")],
)
def test_signs_of_hadamard(d: int, k: int, digest: str) -> None:
    signs = np.sign(fitted("hadamard", d, k).components_).astype(np.int8)
    assert hashlib.sha256(signs.tobytes()).hexdigest()[:16] == digest


def test_hand_checked_rows_of_hadamard() -> None:
    y = fitted("hadamard", 20, 16).transform([np.arange(1.0, 21)])
    assert (4 * y).tolist() == [[26, 26, 52, -24, -14, -50, -32, 112, -38, -6, -12, -88, 42, 78, 28, -64]]
    assert fitted("hadamard", 10, 4).transform([np.arange(1.0, 11)]).tolist() == [[-0.5, -2.5, 11.5, 16.5]]


def test_bits_of_hadamard_in_float32() -> None:
    X = np.sin(np.arange(1, 4 * 768 + 1)).astype(np.float32).reshape(4, 768)
    y = fitted("hadamard", 768, 256, dtype=np.float32).transform(X)
    assert y[0, :3].tolist() == [np.float32(v) for v in ("1.2928673", "-1.0340549", "-.74660915")]
    assert hashlib.sha256(y.tobytes()).hexdigest()[:16] == "7728ec5bcc100678"


def test_known_entries_of_sparse_signs() -> None:
    def entries(k: int, **options: Any) -> list[list[tuple[int, int]]]:
        s = dense(fitted("sjlt" if options else "countsketch", 20, k, **options).components_)
        return [[(int(r), int(np.sign(s[r, c]))) for r in np.flatnonzero(s[:, c])] for c in range(4)]

    assert entries(8, nnz=2) == [[(0, 1), (7, -1)], [(0, -1), (6, -1)], [(1, -1), (5, -1)], [(0, 1), (4, -1)]]
    assert entries(8) == [[(1, 1)], [(0, -1)], [(2, -1)], [(0, 1)]]
    for found, signs in zip(
        entries(16, nnz=16), ["-+-+++-+---++-++", "-+-+--+-+--+-+--", "---+++-++-+-+-+-"], strict=False
    ):
        assert found == [(r, 1 if sign == "+" else -1) for r, sign in enumerate(signs)]


def test_known_entries_of_gaussian() -> None:
    z = fitted("gaussian", 2, 2).components_ * np.sqrt(2)
    np.testing.assert_allclose(z.T, [[-1.10680803, -0.40815904], [-0.45412476, 0.05891844]], atol=5e-9)
    special = pytest.importorskip("scipy.special")
    words = reference.words(3, 6, np.arange(300), np.arange(7)[:, None]).astype(np.float64)
    expected = special.ndtri((words + 0.5) / 2**32) / np.sqrt(7)
    np.testing.assert_allclose(fitted("gaussian", 300, 7, 3).components_, expected, rtol=1e-13)


@pytest.mark.parametrize(("d", "k"), [(1024, 256), (768, 256), (768, 128), (384, 128)])
def test_rows_of_hadamard_are_orthogonal(d: int, k: int) -> None:
    s = fitted("hadamard", d, k).components_
    np.testing.assert_allclose(s @ s.T, d / k * np.eye(k), atol=1e-12)


def test_hadamard_loses_nothing_where_there_is_room() -> None:
    s = fitted("hadamard", 384, 400).components_
    np.testing.assert_allclose(s.T @ s, np.eye(384), atol=1e-12)


@pytest.mark.parametrize(("d", "k"), [(384, 256), (768, 160), (1000, 96), (20, 16), (100, 4096)])
def test_slots_are_balanced(d: int, k: int) -> None:
    s = fitted("hadamard", d, k).components_
    fold = reference.Fold(d, k, 7)
    counts = np.bincount(fold.slots, minlength=fold.n_slots)
    assert counts.max() - counts.min() <= 1
    # Blocks that meet no slot twice: columns of one block are orthogonal, and of length 1 as 16 divides k.
    for g in range(fold.n_blocks):
        block = s[:, g * fold.block : (g + 1) * fold.block]
        np.testing.assert_allclose(block.T @ block, np.eye(block.shape[1]), atol=1e-12)


def test_the_hadamard_matrix_is_scipys() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    t = np.eye(128)
    reference.butterfly(t)
    np.testing.assert_array_equal(t, linalg.hadamard(128))
    s = fitted("srht", 64, 64).components_
    np.testing.assert_allclose(np.abs(s), 1 / 8, rtol=1e-15)
    np.testing.assert_allclose(s @ s.T, np.eye(64), atol=1e-14)


@pytest.mark.parametrize("nnz", [1, 2, 4, 15, 16, 32, 64])
def test_unit_vectors_keep_their_length(nnz: int) -> None:
    y = fitted("sjlt", 40, 64, nnz=nnz).transform(np.eye(40))
    assert (np.count_nonzero(y, axis=1) == nnz).all()
    lengths = (y**2).sum(axis=1)
    if nnz in (1, 4, 16, 64):
        assert (lengths == 1).all()
    else:
        np.testing.assert_allclose(lengths, 1, rtol=4e-16 * nnz)


@pytest.mark.parametrize(
    ("method", "options", "variance"),
    [
        ("sjlt", {"nnz": 1}, lambda k, q: 2 / k * (1 - q)),
        ("sjlt", {"nnz": 4}, lambda k, q: 2 / k * (1 - q)),
        ("sjlt", {"nnz": 16}, lambda k, q: 2 / k * (1 - q)),
        ("sjlt", {"nnz": 32}, lambda k, q: 2 / k * (1 - q)),
        ("achlioptas", {}, lambda k, q: 2 / k),
        ("very_sparse", {"density": 1 / 8}, lambda k, q: (2 + 5 * q) / k),
        ("gaussian", {}, lambda k, q: 2 / k),
    ],
    ids=lambda v: str(v) if not callable(v) else "",
)
def test_distortion_has_the_moments_of_theory(method: str, options: dict[str, Any], variance: Any) -> None:
    d, k, n_seeds = 64, 32, 1500
    x = np.random.default_rng(5).standard_normal(d)
    q = (x**4).sum() / (x**2).sum() ** 2
    ratios = np.array(
        [(fitted(method, d, k, seed, **options).transform(x[None]) ** 2).sum() for seed in range(n_seeds)]
    ) / (x @ x)
    expected = variance(k, q)
    assert abs(ratios.mean() - 1) < 4 * np.sqrt(expected / n_seeds)
    assert ratios.var() / expected == pytest.approx(1, abs=0.17)  # 4 standard deviations of a variance
