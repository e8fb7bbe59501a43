"""Floats: transforms that hold, proofs that hold, and None where there is neither."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise import matrices
from tests.matrices.cases import conditioned, diagonal, disguised, fractions, jordan

SHEAR = np.array([[1.0, 1.0], [0.0, 1.0]])
THREE = np.array(jordan(3, 2), dtype=float)
EPS = np.finfo(float).eps


def residual(a: Any, p: Any, b: Any) -> float:
    norm = float(np.linalg.norm(a)) or 1.0
    return float(np.linalg.norm(a - p @ b @ np.linalg.inv(p))) / norm


def holds(a: Any, b: Any, verdict: matrices.SimilarityVerdict, tol: float = EPS**0.5, cond_max: float = 1e8) -> None:
    """The transform keeps what a "yes" promises."""
    assert verdict.similar is True
    assert verdict.certificate is None
    assert verdict.transform is not None
    assert verdict.condition is not None
    assert verdict.residual is not None
    assert np.linalg.cond(verdict.transform) <= cond_max * (1 + 1e-6)
    assert verdict.condition == pytest.approx(np.linalg.cond(verdict.transform), rel=1e-3)
    assert verdict.residual <= tol
    rounding = 50 * EPS * len(np.asarray(a)) * verdict.condition
    assert residual(a, verdict.transform, b) <= tol + rounding
    assert np.isrealobj(verdict.transform) or np.iscomplexobj(a) or np.iscomplexobj(b)


# --- The oracles ---


def test_shear_is_not_the_identity() -> None:
    verdict = matrices.is_similar(SHEAR, np.eye(2))
    assert (verdict.similar, verdict.certificate, verdict.transform) == (False, "conditioned", None)


def test_identity_beside_the_shear_is_not_refused() -> None:
    """P = diag(1, 1e8) has a residual of 1e-8 <= 2.1e-8: the definition is not symmetric."""
    assert matrices.is_similar(np.eye(2), SHEAR).similar is not False


def test_traces() -> None:
    verdict = matrices.is_similar(np.diag([1, 2.0]), np.diag([1, 2.001]))
    assert (verdict.similar, verdict.certificate) == (False, "invariant")
    assert "trace" in verdict.reason
    verdict = matrices.is_similar(np.diag([1, 2.0]), np.diag([1, 2 + 1e-9]))
    assert verdict.residual == pytest.approx(4.47e-10, rel=1e-3)
    holds(np.diag([1, 2.0]), np.diag([1, 2 + 1e-9]), verdict)


def test_nearly_defective() -> None:
    b = np.array([[1, 1], [1e-12, 1]])
    verdict = matrices.is_similar(SHEAR, b)
    assert verdict.residual == pytest.approx(5.8e-13, rel=0.01)
    assert np.allclose(verdict.transform, np.eye(2))
    holds(SHEAR, b, verdict)


def test_shears_of_other_strength() -> None:
    weak = np.array([[1, 1e-6], [0, 1]])
    verdict = matrices.is_similar(SHEAR, weak)
    assert verdict.condition == pytest.approx(1e6, rel=0.1)
    holds(SHEAR, weak, verdict)
    weaker = np.array([[1, 1e-10], [0, 1]])
    verdict = matrices.is_similar(SHEAR, weaker)
    assert (verdict.similar, verdict.certificate) == (False, "conditioned")
    holds(SHEAR, weaker, matrices.is_similar(SHEAR, weaker, cond_max=1e11), cond_max=1e11)


def test_jordan_block_and_its_transpose() -> None:
    holds(THREE, THREE.T, matrices.is_similar(THREE, THREE.T))


@pytest.mark.parametrize(
    ("n", "kappa"), [*((n, kappa) for n in (2, 3, 10, 30, 60) for kappa in (1.0, 1e3, 1e5)), (100, 1e3)]
)
def test_random_pairs(n: int, kappa: float) -> None:
    rng = np.random.default_rng(n)
    a, p = rng.normal(size=(n, n)), conditioned(n, kappa, rng)
    b = np.linalg.solve(p, a @ p)
    verdict = matrices.is_similar(a, b)
    assert verdict.similar is not False
    if kappa <= 1e3:
        holds(a, b, verdict)
    assert verdict.residual is not None  # of the nearest, where undecided
    assert matrices.is_similar(a, b, transform=False).transform is None


@pytest.mark.parametrize("n", [3, 10, 30])
@pytest.mark.parametrize("seed", range(4))
def test_unrelated_pairs_of_equal_trace(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, n))
    b += np.eye(n) * (np.trace(a) - np.trace(b)) / n
    assert matrices.is_similar(a, b).similar is False


def test_equal_traces_of_all_powers_but_one() -> None:
    """Eigenvalues with equal sums and sums of squares: the singular values must tell."""
    a, b = np.diag([0.0, 4, 5]), np.diag([1.0, 2, 6])
    verdict = matrices.is_similar(a, b)
    assert (verdict.similar, verdict.certificate) == (False, "conditioned")


@pytest.mark.parametrize("dtype", [float, complex])
def test_symmetric_pairs_get_an_orthogonal_transform(dtype: type) -> None:
    rng = np.random.default_rng(1)
    s = rng.normal(size=(40, 40)).astype(dtype)
    if dtype is complex:
        s = s + 1j * rng.normal(size=s.shape)
    s = s + s.conj().T
    q = np.linalg.qr(s)[0]
    b = q.conj().T @ s @ q
    verdict = matrices.is_similar(s, b)
    holds(s, b, verdict)
    assert verdict.condition == pytest.approx(1, abs=1e-12)
    assert matrices.is_similar(s, b, cond_max=1).similar


def test_defective_pairs_by_the_null_space() -> None:
    rng = np.random.default_rng(2)
    for sizes in ([3, 2, 2], [2, 2, 2, 2, 1], [4, 4]):
        a = np.array(diagonal(*(jordan(size, 1) for size in sizes)), dtype=float)
        p = conditioned(len(a), 20, rng)
        b = np.linalg.solve(p, a @ p)
        holds(a, b, matrices.is_similar(a, b))
        other = np.array(diagonal(*(jordan(1, 1) for _ in range(len(a)))), dtype=float)
        assert matrices.is_similar(b, other).similar is False


@pytest.mark.parametrize("seed", range(3))
def test_defective_pairs_by_jordan_chains(seed: int) -> None:
    """Too large for the null space."""
    rng = np.random.default_rng(seed)
    parts = [jordan(3, 1), jordan(2, 1), jordan(2, 4), jordan(1, 4), *([[value]] for value in range(-14, 0))]
    parts += [[[0, -1], [1, 0]], [[7, -3], [3, 7]]]
    a = np.array(diagonal(*parts), dtype=float)
    p, q = conditioned(len(a), 5, rng), conditioned(len(a), 5, rng)
    a, b = np.linalg.solve(p, a @ p), np.linalg.solve(q, a @ q)
    verdict = matrices.is_similar(a, b)
    holds(a, b, verdict)
    assert "Jordan chains" in verdict.reason
    parts[1:3] = [jordan(1, 1), jordan(1, 1), jordan(1, 4), jordan(1, 4)]
    other = np.array(diagonal(*parts), dtype=float)
    assert matrices.is_similar(a, np.linalg.solve(q, other @ q)).similar is not True


def test_complex_pairs() -> None:
    rng = np.random.default_rng(3)
    a, p = (rng.normal(size=(12, 12)) + 1j * rng.normal(size=(12, 12)) for _ in range(2))
    b = np.linalg.solve(p, a @ p)
    holds(a, b, matrices.is_similar(a, b))
    block = np.array([[1j, 1], [0, 1j]])
    holds(block, block.T, matrices.is_similar(block, block.T))
    assert matrices.is_similar(block, block.conj()).similar is False


def test_float32_has_its_own_tolerance() -> None:
    rng = np.random.default_rng(4)
    a, p = rng.normal(size=(20, 20)), conditioned(20, 10, rng)
    b = np.linalg.solve(p, a @ p).astype(np.float32)
    verdict = matrices.is_similar(a.astype(np.float32), b)
    holds(a.astype(np.float32).astype(float), b.astype(float), verdict, tol=3.46e-4)
    assert matrices.is_similar(a.astype(np.float32), b, tol=1e-12).similar is not True
    assert not matrices.is_similar(np.float32([[1]]), np.float32([[1.001]]))
    assert matrices.is_similar(np.float32([[1]]), np.float32([[1.0001]]))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_scales(scale: float) -> None:
    rng = np.random.default_rng(5)
    a, p = rng.normal(size=(5, 5)), conditioned(5, 10, rng)
    b = np.linalg.solve(p, a @ p)
    holds(a, b, matrices.is_similar(a, b))
    assert matrices.is_similar(a * scale, b * scale).similar is True
    assert matrices.is_similar(SHEAR * scale, np.eye(2) * scale).similar is False


def test_zero() -> None:
    zero = np.zeros((3, 3))
    assert matrices.is_similar(zero, zero).similar is True
    assert matrices.is_similar(zero, -zero).similar is True
    assert matrices.is_similar(zero, THREE - 2 * np.eye(3)).similar is False
    assert matrices.is_similar(THREE - 2 * np.eye(3), zero).similar is False


def test_repeatable() -> None:
    found = [matrices.is_similar(THREE, THREE.T, random_state=seed).transform for seed in (0, 0)]
    assert found[0] is not None
    assert (found[0] == found[1]).all()


# --- Never a wrong yes, never a wrong no ---


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 8),
    seed=st.integers(0, 2**32),
    decades=st.floats(0, 7),
    blocks=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    defective=st.booleans(),
)
def test_planted_pairs_are_never_refused(n: int, seed: int, decades: float, blocks: list[int], defective: bool) -> None:
    """P with kappa up to 1e7 exists, with a residual that rounding alone makes."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n))
    if defective:
        a = np.array(diagonal(*(jordan(size, float(rng.integers(2))) for size in blocks)), dtype=float)
    p = conditioned(len(a), 10**decades, rng)
    b = np.linalg.solve(p, a @ p)
    if residual(a, p, b) > 0.5 * EPS**0.5:
        return  # no longer similar, after rounding
    verdict = matrices.is_similar(a, b)
    assert verdict.similar is not False, verdict.reason
    if verdict.similar:
        holds(a, b, verdict)


def exact_residual(a: np.ndarray, p: np.ndarray, b: np.ndarray) -> float:
    """||A - P B P^-1||_F / ||A||_F of the floats as they are, without rounding."""
    a, p, b = (fractions(x) for x in (a, p, b))
    error = a - p.dot(b).dot(inverse_of(p))
    squares = [sum((x * x for x in y.flat), Fraction(0)) for y in (error, a)]
    return float(squares[0] / squares[1]) ** 0.5


def inverse_of(p: np.ndarray) -> np.ndarray:
    """By Cayley and Hamilton."""
    charpoly = matrices.invariants(p).charpoly
    found = fractions(np.zeros(p.shape, int))
    for c in charpoly[:-1]:
        found = found.dot(p) + c * fractions(np.eye(len(p), dtype=int))
    return -found / charpoly[-1]


def test_verdicts_hold_without_rounding() -> None:
    """Pairs around the tolerance: a yes holds in exact arithmetic, and no planted P refutes a no."""
    rng = np.random.default_rng(11)
    found: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for _ in range(120):
        n = int(rng.integers(2, 5))
        a = rng.normal(size=(n, n))
        if rng.random() < 0.4:
            a = np.array(diagonal(jordan(n - 1, 1.0), jordan(1, float(rng.integers(3)))), dtype=float)
        p = conditioned(n, 10 ** rng.uniform(0, 6), rng)
        tol, cond_max = float(rng.choice([1e-12, 1e-8, 1e-4])), float(rng.choice([10, 1e4, 1e8]))
        b = np.linalg.solve(p, a @ p)
        b += rng.normal(size=b.shape) * tol * 10 ** rng.uniform(-4, 1) * np.linalg.norm(b) / n
        verdict = matrices.is_similar(a, b, tol=tol, cond_max=cond_max)
        found[verdict.similar] += 1
        if verdict.similar:
            assert verdict.transform is not None
            assert exact_residual(a, verdict.transform, b) <= tol * (1 + 1e-9)
            assert np.linalg.cond(verdict.transform) <= cond_max * (1 + 1e-6)
        elif verdict.similar is False:
            for candidate in (p, np.eye(n)):
                assert exact_residual(a, candidate, b) > tol or np.linalg.cond(candidate) > cond_max
    assert min(found.values()) > 5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.floats(-7, 0), parts=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_pairs_apart_are_never_accepted(seed: int, size: float, parts: list[int]) -> None:
    """Integer matrices of other structure, and traces apart: a yes would have to come with a P that holds."""
    rng = np.random.default_rng(seed)
    a = np.array(diagonal(*(jordan(part, 1) for part in parts)), dtype=float)
    b = disguised(diagonal(*(jordan(1, 1) for _ in a)), seed)
    b = np.array(b, dtype=float)
    verdict = matrices.is_similar(a, b)
    assert verdict.similar is (max(parts) == 1)
    moved = a + np.eye(len(a)) * 10**size
    assert matrices.is_similar(a, moved).similar is False
    c = rng.normal(size=a.shape)
    verdict = matrices.is_similar(a, c)
    if verdict.similar:
        holds(a, c, verdict)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.integers(-3, 3), min_size=n, max_size=n), min_size=n, max_size=n)
    ),
    seed=st.integers(0, 2**32),
)
def test_exact_and_numeric_agree(rows: list[list[int]], seed: int) -> None:
    other = disguised(rows, seed)
    verdict = matrices.is_similar(rows, other, exact=False)
    assert verdict.similar is not False
    flipped = [[x + (i == j == 0) for j, x in enumerate(row)] for i, row in enumerate(other)]
    assert matrices.is_similar(rows, flipped, exact=False).similar is False
    assert matrices.is_similar(rows, flipped).similar is False


# --- Forms ---


@pytest.mark.parametrize("seed", range(3))
def test_jordan_form_finds_planted_blocks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = np.array(diagonal(jordan(3, 2), jordan(2, 2), jordan(2, 5), jordan(1, 7), jordan(1, 7)), dtype=float)
    p = conditioned(len(a), 10, rng)
    found = matrices.jordan_form(np.linalg.solve(p, a @ p))
    assert [size for _, size in found.blocks] == [3, 2, 2, 1, 1]
    assert np.allclose([value for value, _ in found.blocks], [2, 2, 5, 7, 7])
    assert found.form.dtype == np.float64
    assert found.reliable, found.reason
    assert found.residual < 1e-9
    assert found.condition is not None and found.condition < 1e8
    assert residual(np.linalg.solve(p, a @ p), found.transform, found.form) < 1e-9


def test_jordan_form_of_distinct_and_complex_eigenvalues() -> None:
    a = np.random.default_rng(6).normal(size=(40, 40))
    found = matrices.jordan_form(a)
    assert found.reliable
    assert found.form.dtype == np.complex128
    assert (np.diagonal(found.form, 1) == 0).all()
    expected = sorted(np.linalg.eigvals(a), key=lambda x: (x.real, x.imag))
    assert np.allclose([value for value, _ in found.blocks], expected)
    assert residual(a, found.transform, found.form) < 1e-10


def test_jordan_form_does_not_merge_what_is_apart() -> None:
    """Beside an entry of 1e5 the eigenvalues 5 and 6 look alike, but their common part is not nilpotent."""
    found = matrices.jordan_form(np.array([[5, 1e5], [0, 6]]))
    assert [size for _, size in found.blocks] == [1, 1]
    assert np.allclose([value for value, _ in found.blocks], [5, 6])
    assert found.reliable
    assert found.condition is not None and found.condition > 1e4


def test_jordan_form_that_is_not_reliable() -> None:
    rng = np.random.default_rng(7)
    a = np.array(jordan(9, 1.0), dtype=float)
    p = conditioned(9, 1e6, rng)
    found = matrices.jordan_form(np.linalg.solve(p, a @ p), tol=1e-13)
    assert not found.reliable
    assert found.reason


def test_jordan_forms_of_all_scales() -> None:
    for scale in (1e-200, 1.0, 1e200):
        found = matrices.jordan_form(THREE * scale)
        assert [size for _, size in found.blocks] == [3]
        assert found.blocks[0][0] == pytest.approx(2 * scale)
        assert found.reliable is (scale == 1.0)  # its ones beside entries of 1e200 need a kappa of 1e400
    assert matrices.jordan_form(np.zeros((3, 3))).blocks == ((0.0, 1), (0.0, 1), (0.0, 1))


def test_invariants_of_floats() -> None:
    rng = np.random.default_rng(8)
    a = np.array(diagonal(jordan(2, 1), jordan(1, 1), jordan(1, 3), jordan(2, 0)), dtype=float)
    p = conditioned(6, 5, rng)
    found = matrices.invariants(np.linalg.solve(p, a @ p))
    assert (found.n, found.rank, found.minpoly, found.invariant_factors) == (6, 5, None, None)
    assert found.reliable
    assert found.trace == pytest.approx(6)
    assert np.allclose(found.charpoly, np.poly(a))
    structure = {round(value.real, 6): parts for value, parts in found.structure.items()}
    assert structure == {0: ((1, 1), (2,)), 1: ((2, 1), (2, 1)), 3: ((1,), (1,))}


def test_covariances_change_by_an_orthogonal_basis() -> None:
    """The whitening of a covariance is an orthogonal similarity; a linear map of the data is a congruence, and not."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    sigma = np.cov(x.T)
    values, vectors = np.linalg.eigh(sigma)
    assert np.abs(matrices.change_basis(sigma, vectors) - np.diag(values)).max() < 1e-13 * values.max()
    q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    rotated = q.T @ sigma @ q
    assert matrices.is_similar(sigma, rotated)
    assert np.abs(np.linalg.eigvalsh(rotated) - values).max() < 1e-13 * values.max()
    w = rng.normal(size=(6, 6))
    assert not matrices.is_similar(sigma, w.T @ sigma @ w)
