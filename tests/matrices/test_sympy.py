"""sympy as an independent oracle, and matrices of sympy and python-flint as input."""

from __future__ import annotations

import random

import pytest

from likewise import matrices
from tests.matrices.cases import companion, diagonal, disguised, jordan, takes

sympy = pytest.importorskip("sympy", reason="needs sympy: pip install sympy")
pytestmark = pytest.mark.usefixtures("engine")

CASES = [
    diagonal(jordan(2, 1), jordan(1, 1), jordan(2, -2)),
    diagonal(jordan(2), jordan(1), jordan(1)),
    diagonal(jordan(3, 2), jordan(2, 2)),
    diagonal(companion(1, 0, 1), companion(1, 0, 1), jordan(1)),
    companion(1, 0, 2, 0, 1),
    diagonal(jordan(1, 3), jordan(1, 3), companion(1, -5, 6)),
    [[1, 2, 0], [3, 4, 5], [0, 1, -1]],
]


def sympy_invariant_factors(a: list[list[int]]) -> list[tuple[int, ...]]:
    from sympy.matrices.normalforms import invariant_factors

    x = sympy.symbols("x")
    found = invariant_factors(x * sympy.eye(len(a)) - sympy.Matrix(a), domain=sympy.QQ[x])
    polys = [sympy.Poly(p.as_expr() if hasattr(p, "as_expr") else p, x).monic() for p in found]
    factors = [tuple(int(c) for c in p.all_coeffs()) for p in polys if p.degree() > 0]
    return sorted(factors, key=len)


@pytest.mark.parametrize("a", CASES)
def test_invariant_factors(a: list[list[int]]) -> None:
    a = disguised(a, 4)
    assert [tuple(int(c) for c in p) for p in matrices.invariants(a).invariant_factors] == sympy_invariant_factors(a)


def test_verdicts_of_random_matrices_agree() -> None:
    draw = random.Random(0)
    decided = {True: 0, False: 0}
    for _ in range(15):
        n = draw.randint(1, 4)
        a, b = ([[draw.randint(0, 1) for _ in range(n)] for _ in range(n)] for _ in range(2))
        b = disguised(a, 1) if draw.random() < 0.4 else b
        similar = sympy_invariant_factors(a) == sympy_invariant_factors(b)
        decided[similar] += 1
        assert matrices.is_similar(a, b).similar is similar
    assert min(decided.values()) > 2


@pytest.mark.parametrize("a", CASES[:3])
def test_jordan_forms(a: list[list[int]]) -> None:
    _, expected = sympy.Matrix(disguised(a, 7)).jordan_form()
    found = matrices.jordan_form(disguised(a, 7)).form
    assert matrices.is_similar(found, expected)
    ones = [int(found[i, i + 1]) for i in range(len(a) - 1)]
    assert sorted(ones) == sorted(int(expected[i, i + 1]) for i in range(len(a) - 1))


def test_matrices_of_sympy() -> None:
    a = sympy.Matrix([[1, sympy.Rational(1, 2)], [3, 4]])
    b = matrices.change_basis(a, sympy.Matrix([[1, 1], [0, 1]]))
    assert takes(a.tolist(), matrices.similarity_transform(a, b), b)
    with pytest.raises(TypeError, match="^A: expected integers or rationals, got .* at row 0, column 1"):
        matrices.is_similar(sympy.Matrix([[1, sympy.sqrt(2)], [0, 1]]), b)
