"""The hand-checkable cases, on both exact engines."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import likewise as lw
from benchmarks.references import matrices_counting
from tests.matrices.cases import companion, diagonal, disguised, jordan, product, takes

matrices = lw.matrices
pytestmark = pytest.mark.usefixtures("engine")


def check(a: Any, b: Any, similar: bool, reason: str = "") -> Any:
    """The verdict, of both orders and without a transform; the transform is checked here again."""
    for x, y in ((a, b), (b, a)):
        verdict = matrices.is_similar(x, y)
        assert verdict.similar is similar
        assert bool(verdict) is similar
        assert matrices.is_similar(x, y, transform=False).similar is similar
        assert (matrices.invariants(x) == matrices.invariants(y)) is similar
        if similar:
            assert verdict.residual == 0.0
            assert takes(x, verdict.transform, y)
        else:
            assert verdict.transform is None
            assert verdict.certificate == "exact"
    verdict = matrices.is_similar(a, b)
    assert reason in verdict.reason
    return verdict


def test_the_engine_is_named(engine: str) -> None:
    assert matrices.is_similar([[1]], [[2]]).engine == engine


def test_companion_and_diagonal() -> None:
    verdict = check([[0, -6], [1, 5]], [[2, 0], [0, 3]], True)
    assert verdict.condition == pytest.approx(np.linalg.cond(verdict.transform.astype(float)))
    assert takes([[0, -6], [1, 5]], [[-3, -2], [1, 1]], [[2, 0], [0, 3]])


def test_change_of_basis() -> None:
    b = matrices.change_basis([[1, 2], [3, 4]], [[1, 1], [0, 1]])
    assert b.tolist() == [[-2, -4], [3, 7]]
    check([[1, 2], [3, 4]], b, True)
    assert matrices.invariants(b).charpoly == (1, -5, -2)


def test_equal_charpoly_minpoly_trace_determinant() -> None:
    a, b = diagonal(jordan(2), jordan(2)), diagonal(jordan(2), jordan(1), jordan(1))
    check(a, b, False, "rank of (x)(A)^1 is 2, of B 1")
    found = matrices.invariants(a), matrices.invariants(b)
    assert [x.charpoly for x in found] == [(1, 0, 0, 0, 0)] * 2
    assert [x.minpoly for x in found] == [(1, 0, 0)] * 2
    assert found[0].invariant_factors == ((1, 0, 0), (1, 0, 0))
    assert found[1].invariant_factors == ((1, 0), (1, 0), (1, 0, 0))
    assert [x.rank for x in found] == [2, 1]
    assert [matrices_counting.nullity(*pair) for pair in ((a, a), (a, b), (b, b))] == [8, 8, 10]


def test_charpoly_minpoly_and_rank_do_not_decide() -> None:
    a, b = diagonal(jordan(3), jordan(3), jordan(1)), diagonal(jordan(3), jordan(2), jordan(2))
    found = matrices.invariants(a), matrices.invariants(b)
    assert found[0].charpoly == found[1].charpoly
    assert found[0].minpoly == found[1].minpoly == (1, 0, 0, 0)
    assert found[0].rank == found[1].rank == 4
    assert [x.structure[(1, 0)] for x in found] == [((3, 2, 2), (3, 3, 1)), ((3, 3, 1), (3, 2, 2))]
    check(disguised(a, 1), disguised(b, 2), False, "rank of (x)(A)^2 is 2, of B 1")
    check(disguised(a, 1), disguised(a, 2), True)
    assert [matrices_counting.nullity(*pair) for pair in ((a, a), (a, b), (b, b))] == [17, 17, 19]


def test_shear_and_identity() -> None:
    a, b = [[1, 1], [0, 1]], [[1, 0], [0, 1]]
    check(a, b, False, "rank of (x-1)(A)^1 is 1, of B 0")
    assert [matrices_counting.nullity(*pair) for pair in ((a, a), (a, b), (b, b))] == [2, 2, 4]


def test_without_rational_roots() -> None:
    a, b = companion(1, 0, 2, 0, 1), diagonal(companion(1, 0, 1), companion(1, 0, 1))
    check(a, b, False, "rank of (x^2+1)(A)^1 is 2, of B 0")
    assert [matrices_counting.nullity(*pair) for pair in ((a, a), (a, b), (b, b))] == [4, 4, 8]
    check([[1, -2], [1, -1]], [[0, -1], [1, 0]], True)
    check([[0, 2], [1, 0]], [[1, 1], [1, -1]], True)
    with pytest.raises(ValueError, match=r"^A: expected rational eigenvalues, got .* x\^2-2 .*rational_canonical_form"):
        matrices.jordan_form([[0, 2], [1, 0]])


def test_rational_form_of_a_diagonal() -> None:
    a = [[2, 0, 0], [0, 2, 0], [0, 0, 3]]
    found = matrices.rational_canonical_form(a)
    assert found.invariant_factors == ((1, -2), (1, -5, 6))
    assert found.form.tolist() == [[2, 0, 0], [0, 0, -6], [0, 1, 5]]
    assert takes(a, found.transform, found.form)
    assert all(isinstance(x, Fraction) for x in found.form.flat)


def test_cospectral_graphs() -> None:
    star = [[int((i == 0) != (j == 0)) for j in range(5)] for i in range(5)]
    square = diagonal([[int((i - j) % 4 in (1, 3)) for j in range(4)] for i in range(4)], [[0]])
    check(star, square, True)
    assert matrices.invariants(star).invariant_factors == ((1, 0), (1, 0), (1, 0, -4, 0))
    assert sorted(np.linalg.eigvalsh(star).round(12)) == sorted(np.linalg.eigvalsh(square).round(12))


def test_modular_trap() -> None:
    check([[1, 0], [0, 8]], [[1, 1], [0, 1]], False, "traces are 9 and 2")
    # Modulo the first prime that is tried the two are equal, and the shear is the identity.
    prime = 2**61 - 1
    check([[1, prime], [0, 1]], [[1, 0], [0, 1]], False)
    check([[1, prime], [0, 1]], [[1, 1], [0, 1]], True)
    check([[0, prime], [1, 0]], [[0, 0], [1, 0]], False, "characteristic polynomials differ")
    check(diagonal([[1, prime], [0, 1]], [[1]]), diagonal([[1, 1], [0, 1]], [[1]]), True)


def test_products_in_both_orders() -> None:
    a, b = [[1, 2], [3, 4]], [[5, -1], [2, 2]]
    check(product(a, b), product(b, a), True)
    a, b = [[0, 1], [0, 0]], [[0, 0], [0, 1]]
    check(product(a, b), product(b, a), False)


def test_jordan_form_with_several_blocks() -> None:
    a = disguised(diagonal(jordan(3, 2), jordan(1, 2), jordan(2, -1), jordan(2, 2)), 5)
    found = matrices.jordan_form(a)
    assert found.blocks == ((-1, 2), (2, 3), (2, 2), (2, 1))
    assert found.form.tolist() == diagonal(jordan(2, -1), jordan(3, 2), jordan(2, 2), jordan(1, 2))
    assert takes(a, found.transform, found.form)
    assert (found.residual, found.reliable, found.reason) == (0.0, True, "")
    assert found.condition is not None and found.condition >= 1


def test_jordan_form_of_fractions() -> None:
    third = Fraction(1, 3)
    a = [[third, Fraction(1, 2), 0], [0, third, Fraction(2, 7)], [0, 0, third]]
    found = matrices.jordan_form(a)
    assert found.blocks == ((third, 3),)
    assert takes(a, found.transform, found.form)


def test_rational_form_of_fractions() -> None:
    a = fractions_of([[1, 2, 0], [3, 4, 1], [0, 1, 1]], 6)
    found = matrices.rational_canonical_form(a)
    assert takes(a, found.transform, found.form)
    assert (found.form[:, -1] == [-c for c in matrices.invariants(a).charpoly[:0:-1]]).all()
    check(a, fractions_of(disguised([[1, 2, 0], [3, 4, 1], [0, 1, 1]], 3), 6), True)
    assert matrices.rational_canonical_form(a, transform=False).transform is None


def fractions_of(rows: Any, denominator: int) -> list[list[Fraction]]:
    return [[Fraction(x, denominator) for x in row] for row in rows]


def test_the_decision_is_independent_of_the_seed() -> None:
    a = diagonal(jordan(2, 1), jordan(1, 1), companion(1, 0, 1))
    transforms = [matrices.similarity_transform(a, disguised(a, 3), random_state=seed).tolist() for seed in (0, 0, 7)]
    assert transforms[0] == transforms[1]
    assert takes(a, transforms[2], disguised(a, 3))


def test_larger_matrices_of_every_kind() -> None:
    blocks = [jordan(4), jordan(2), jordan(2), jordan(1, 1), jordan(3, 1), companion(1, 0, 2, 0, 1), companion(1, 0, 1)]
    a = diagonal(*blocks)
    check(disguised(a, 1), disguised(a, 2), True, "equal invariant factors")
    blocks[1:3] = [jordan(3), jordan(1)]
    check(disguised(a, 1), disguised(diagonal(*blocks), 2), False, "rank of (x)(A)^2")


@pytest.mark.parametrize("n", [2, 5, 9, 14, 20])
def test_transforms_have_short_entries(engine: str, n: int) -> None:
    """With lattice reduction, of the size of the P that was planted; without, of many digits, and as right."""
    draw = random.Random(n)
    a = [[draw.randint(-5, 5) for _ in range(n)] for _ in range(n)]
    b = disguised(a, n)
    verdict = matrices.is_similar(a, b)
    assert takes(a, verdict.transform, b)
    assert verdict.transform is not None
    if engine == "flint":
        assert max(abs(x) for x in verdict.transform.flat) < 100
    assert all(x.denominator == 1 for x in verdict.transform.flat)


def test_short_entries_where_the_planted_transform_is_not_unimodular() -> None:
    a = companion(1, 0, 0, 1, -7, 3)
    p = [[2, 0, 0, 1, 0], [0, 3, 1, 0, 0], [0, 0, 5, 0, 1], [1, 0, 0, 7, 0], [0, 2, 0, 0, 11]]
    b = matrices.change_basis(a, p)
    assert takes(a, matrices.similarity_transform(a, b), b)
    assert takes(b, matrices.similarity_transform(b, a), a)
    # The first unit vector is not cyclic for B.
    b = diagonal([[1]], jordan(2, 2))
    assert takes(disguised(b, 1), matrices.similarity_transform(disguised(b, 1), b), b)


def test_refused_transform_says_why() -> None:
    with pytest.raises(lw.errors.NotSimilarError, match="not similar: traces are 1 and 2") as caught:
        matrices.similarity_transform([[1]], [[2]])
    assert caught.value.verdict.similar is False
    assert isinstance(caught.value, ValueError)


def test_condition_of_huge_entries_is_none() -> None:
    a = [[0, 1], [10**400, 0]]
    b = [[0, 10**400], [1, 0]]
    verdict = check(a, b, True)
    assert verdict.condition is None or verdict.condition >= 1
    assert matrices.is_similar([[1, 10**400], [0, 2]], [[1, 0], [0, 2]]).condition is None
