"""What the engines compute, one against the other and against numbers that are known."""

from __future__ import annotations

import random

import numpy as np
import pytest

from likewise import matrices
from likewise.matrices import factoring
from likewise.matrices.engines import PRIME, Engine, primes
from likewise.matrices.polynomials import derivative, divide, multiply, power, show, unscale
from likewise.matrices.python_engine import PythonEngine
from tests.conftest import Fresh
from tests.matrices.cases import determinant, product, takes

ENGINE = PythonEngine()


@pytest.fixture(scope="module")
def flint_engine() -> Engine[object]:
    pytest.importorskip("flint", reason="needs python-flint: pip install '.[flint]'")
    from likewise.matrices.flint_engine import FlintEngine

    return FlintEngine()


def draws(n: int, size: int, seed: int) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randint(-size, size) for _ in range(n)] for _ in range(n)]


def singular(n: int, rank: int, size: int, seed: int) -> list[list[int]]:
    a, b = draws(n, size, seed), draws(n, size, seed + 1)
    return product([row[:rank] for row in a], b[:rank])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("size", [1, 9, 10**30])
def test_engines_agree(flint_engine: Engine[object], n: int, size: int) -> None:
    for a in (draws(n, size, n), singular(n, max(1, n // 2), size, n), [[0] * n for _ in range(n)]):
        f = flint_engine.matrix(a)
        assert ENGINE.charpoly(a) == flint_engine.charpoly(f)
        assert ENGINE.charpoly_modulo(a, PRIME) == flint_engine.charpoly_modulo(f, PRIME)
        assert ENGINE.determinant(a) == flint_engine.determinant(f) == determinant(a)
        assert ENGINE.rank(a) == flint_engine.rank(f)
        assert ENGINE.rank_modulo(a, PRIME) == flint_engine.rank_modulo(f, PRIME)
        assert ENGINE.evaluate((1, -2, 3), a) == flint_engine.rows(flint_engine.evaluate((1, -2, 3), f))
        assert ENGINE.krylov(a, [1] * n, 3) == flint_engine.rows(flint_engine.krylov(f, [1] * n, 3))
        for engine, matrix in ((ENGINE, a), (flint_engine, f)):
            kernel = engine.kernel(matrix)  # type: ignore[arg-type]
            assert len(kernel) == n - ENGINE.rank(a)
            for v in kernel:
                assert not any(sum(x * y for x, y in zip(row, v, strict=True)) for row in a)
            if kernel:
                assert ENGINE.rank(kernel) == len(kernel)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_solve(flint_engine: Engine[object], n: int) -> None:
    a, b = draws(n, 7, n + 20), [row[:2] for row in draws(max(n, 2), 5, n)[:n]]
    assert determinant(a)
    for engine in (ENGINE, flint_engine):
        x, d = engine.solve(engine.matrix(a), engine.matrix(b))  # type: ignore[arg-type]
        assert d
        assert product(a, engine.rows(x)) == [[d * y for y in row] for row in b]  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        ENGINE.solve([[1, 2], [2, 4]], [[1], [0]])


def test_factors_agree(flint_engine: Engine[object]) -> None:
    draw = random.Random(3)
    for _ in range(60):
        p: tuple[int, ...] = (1,)
        for _ in range(draw.randint(1, 4)):
            q = (1, *(draw.randint(-4, 4) for _ in range(draw.randint(1, 4))))
            p = multiply(p, power(q, draw.randint(1, 3)))
        assert sorted(ENGINE.factor(p)) == sorted(flint_engine.factor(p))
        assert ENGINE.is_squarefree(p) is flint_engine.is_squarefree(p)
        other = multiply(p, (1, draw.randint(-2, 2)))
        assert ENGINE.gcd(p, other) == flint_engine.gcd(p, other) == p


def test_factors_that_primes_do_not_show() -> None:
    """Modulo every prime it falls apart into factors of degree at most 2 (Swinnerton-Dyer)."""
    p = (1, 0, -40, 0, 352, 0, -960, 0, 576)
    assert ENGINE.factor(p) == [(p, 1)]
    assert ENGINE.factor(multiply(p, (1, 0, 1))) in ([(p, 1), ((1, 0, 1), 1)], [((1, 0, 1), 1), (p, 1)])
    assert sorted(ENGINE.factor((1, *[0] * 11, -1))) == sorted(
        [((1, -1), 1), ((1, 1), 1), ((1, 0, 1), 1), ((1, 1, 1), 1), ((1, -1, 1), 1), ((1, 0, -1, 0, 1), 1)]
    )
    assert sorted(ENGINE.factor((1, 0, 0, 0))) == [((1, 0), 3)]


def test_squarefree_where_a_prime_says_otherwise() -> None:
    p = (1, 0, -PRIME)  # x^2 modulo the first prime
    assert ENGINE.is_squarefree(p)
    assert factoring.gcd(p, derivative(p)) == (1,)
    assert not ENGINE.is_squarefree(multiply(p, p))
    assert factoring.gcd(multiply(p, p), p) == p
    assert factoring.gcd(p, ()) == p


def test_matrices_of_flint_are_read(flint_engine: Engine[object]) -> None:
    import flint

    a, b = flint.fmpz_mat([[1, 2], [3, 4]]), flint.fmpq_mat(2, 2, [-2, -4, 3, 7])
    assert takes([[1, 2], [3, 4]], matrices.similarity_transform(a, b), [[-2, -4], [3, 7]])
    half = flint.fmpq_mat(2, 2, [flint.fmpq(1, 2), 0, 0, 1])
    assert matrices.is_similar(half, [[1, 0], [0, flint.fmpq(1, 2)]])
    assert matrices.is_similar(np.array([[flint.fmpz(1), 2], [3, 4]], dtype=object), a)
    assert matrices.invariants(flint.fmpz_mat(0, 0)).n == 0


def test_primes() -> None:
    stream = primes()
    found = [next(stream) for _ in range(3)]
    assert found == [2**61 - 1, 2**61 - 31, 2**61 - 45]


def test_polynomials() -> None:
    assert divide((1, 0, -1), (1, 1)) == ((1, -1), ())
    assert divide((1, 2), (1, 0, 0)) == ((0,), (1, 2))
    assert show((1, -5, 6)) == "x^2-5x+6"
    assert show((1, 0, 1)) == "x^2+1"
    assert show(unscale((1, -1, 2), 2)) == "x^2-(1/2)x+1/2"
    assert show(()) == "0"


def test_nothing_optional_is_imported_before_it_is_needed(fresh: Fresh) -> None:
    program = """
import sys
import likewise
likewise.matrices
optional = {"flint", "sympy", "scipy", "torch"}
assert not optional & set(sys.modules), optional & set(sys.modules)
assert likewise.matrices.is_similar([[1.0, 2], [3, 4]], [[4.0, 3], [2, 1]])
assert not optional & set(sys.modules), optional & set(sys.modules)
sys.modules["flint"] = None
print(likewise.matrices.is_similar([[1, 2], [3, 4]], [[4, 3], [2, 1]]))
"""
    assert "similar=True" in (found := fresh(program)) and "engine='python'" in found
