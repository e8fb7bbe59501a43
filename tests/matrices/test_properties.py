"""Identities that hold for every matrix, on planted structures and small random matrices, by both exact engines."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.references import matrices_counting
from likewise import decoding, matrices
from tests.matrices.cases import (
    Rows,
    companion,
    determinant,
    diagonal,
    disguised,
    fractions,
    jordan,
    product,
    takes,
)

pytestmark = pytest.mark.usefixtures("engine")
run = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

BLOCKS = [
    *(jordan(size, value) for size in (1, 2, 3) for value in (0, 1, -2)),
    companion(1, 0, 1),
    companion(1, 0, 2, 0, 1),
    companion(1, 0, -2),
    companion(1, -1, 1),
]
blocks = st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4)
planted = st.builds(lambda parts: diagonal(*parts), blocks)
seeds = st.integers(0, 2**32)


def square(n: int) -> st.SearchStrategy[Rows]:
    return st.lists(st.lists(st.integers(-2, 2), min_size=n, max_size=n), min_size=n, max_size=n)


def small(n_max: int = 4) -> st.SearchStrategy[Rows]:
    return st.integers(1, n_max).flatmap(square)


@run
@given(a=planted, seed=seeds)
def test_a_change_of_basis_is_similar(a: Rows, seed: int) -> None:
    b = disguised(a, seed)
    verdict = matrices.is_similar(a, b)
    assert verdict.similar
    assert takes(a, verdict.transform, b)
    assert matrices.invariants(a) == matrices.invariants(b)
    assert hash(matrices.invariants(a)) == hash(matrices.invariants(b))


@run
@given(a=small(6))
def test_every_matrix_is_similar_to_its_transpose_and_itself(a: Rows) -> None:
    transposed = [list(column) for column in zip(*a, strict=True)]
    verdict = matrices.is_similar(a, transposed)
    assert verdict.similar
    assert takes(a, verdict.transform, transposed)
    assert (matrices.similarity_transform(a, a) == np.eye(len(a), dtype=int)).all()


@run
@given(parts=blocks, others=blocks, seed=seeds)
def test_planted_structures_decide(parts: list[Rows], others: list[Rows], seed: int) -> None:
    """Sums of indecomposable blocks are similar if and only if they hold the same blocks."""
    same = sorted(parts) == sorted(others)
    a, b = diagonal(*parts), diagonal(*others)
    verdict = matrices.is_similar(a, disguised(b, seed))
    assert verdict.similar is same
    assert matrices.is_similar(b, a).similar is same  # symmetric
    assert (matrices.invariants(a) == matrices.invariants(b)) is same


@run
@given(pair=st.integers(1, 4).flatmap(lambda n: st.tuples(square(n), square(n))))
def test_counting_decides_the_same(pair: tuple[Rows, Rows]) -> None:
    a, b = pair
    assert matrices.is_similar(a, b).similar is matrices_counting.are_similar(a, b)


@run
@given(parts=st.lists(st.sampled_from(BLOCKS[:10]), min_size=1, max_size=2), seed=seeds, other=seeds)
def test_counting_decides_the_same_of_equal_charpolys(parts: list[Rows], seed: int, other: int) -> None:
    """The blocks against the same with the largest Jordan block taken apart."""
    a = diagonal(*parts)
    if len(a) > 5:
        return  # too slow to count
    b = [[x if i >= j or j != len(a) - 1 else 0 for j, x in enumerate(row)] for i, row in enumerate(a)]
    a, b = disguised(a, seed), disguised(b, other)
    assert matrices.is_similar(a, b).similar is matrices_counting.are_similar(a, b)


def polynomial_at(p: tuple[Fraction, ...], a: np.ndarray) -> np.ndarray:
    found = fractions(np.zeros(a.shape, int))
    identity = fractions(np.eye(len(a), dtype=int))
    for c in p:
        found = found.dot(a) + c * identity
    return found


def shifted(a: Rows, c: int) -> Rows:
    return [[x + (c if i == j else 0) for j, x in enumerate(row)] for i, row in enumerate(a)]


@settings(run, max_examples=20)
@given(a=planted, other=planted, seed=seeds, c=st.integers(-3, 3))
def test_functions_of_similar_matrices_are_similar(a: Rows, other: Rows, seed: int, c: int) -> None:
    b = disguised(a, seed)
    assert matrices.is_similar(shifted(a, c), shifted(b, c))
    square_a, square_b = product(a, a), product(b, b)
    assert matrices.is_similar(shifted(square_a, c), shifted(square_b, c))
    both = diagonal(a, other), diagonal(other, b)
    if len(both[0]) <= 12:
        assert matrices.is_similar(*both)
    if matrices.invariants(a).determinant:
        identity = np.eye(len(a), dtype=int)
        # P^-1 I is the inverse: change_basis(A, P) with A = P gives P, so the inverse comes from solving by hand.
        inverse = [inverse_of(x, identity) for x in (a, b)]
        assert matrices.is_similar(*inverse)


def inverse_of(a: Rows, identity: np.ndarray) -> np.ndarray:
    """By Cayley and Hamilton: A^-1 = -(A^(n-1) + c_(n-1) A^(n-2) + ... + c_1) / c_0."""
    charpoly = matrices.invariants(a).charpoly
    found = -polynomial_at(charpoly[:-1], fractions(a)) / charpoly[-1]
    assert (found.dot(fractions(a)) == identity).all()
    return found


@run
@given(a=st.one_of(planted, small(5)), seed=seeds)
def test_rational_form(a: Rows, seed: int) -> None:
    a = disguised(a, seed)
    found = matrices.rational_canonical_form(a, random_state=seed)
    assert takes(a, found.transform, found.form)
    invariants = matrices.invariants(a)
    factors = found.invariant_factors
    assert factors == invariants.invariant_factors
    assert sum(len(p) - 1 for p in factors) == len(a)
    total: tuple[Any, ...] = (1,)
    for p, following in zip(factors, [*factors[1:], None], strict=True):
        assert p[0] == 1
        total = tuple(np.polymul(np.array(total, object), np.array(p, object)))
        if following is not None:
            assert not divide(following, p)[1]
    assert total == invariants.charpoly
    assert factors[-1] == invariants.minpoly
    exact = fractions(a)
    assert not polynomial_at(invariants.minpoly, exact).any()
    for p in invariants.structure:  # of no proper divisor A is a root
        assert polynomial_at(tuple(divide(invariants.minpoly, p)[0]), exact).any()


def divide(p: Any, q: Any) -> tuple[list[Fraction], list[Fraction]]:
    """Quotient and remainder, which is [] for 0."""
    rest, quotient = list(p), []
    while len(rest) >= len(q):
        c = rest[0] / Fraction(q[0])
        quotient.append(c)
        rest = [x - c * y for x, y in zip(rest, [*q, *[0] * (len(rest) - len(q))], strict=True)][1:]
    return quotient, rest if any(rest) else []


@run
@given(a=st.one_of(planted, small(5)))
def test_structure(a: Rows) -> None:
    found = matrices.invariants(a)
    assert found.reliable
    assert sum((len(p) - 1) * sum(segre) for p, (_, segre) in found.structure.items()) == len(a)
    exact = fractions(a)
    for p, (weyr, segre) in found.structure.items():
        assert list(weyr) == sorted(weyr, reverse=True)
        assert [sum(x >= k for x in weyr) for k in range(1, weyr[0] + 1)] == list(segre)
        value, power, before = polynomial_at(p, exact), fractions(np.eye(len(a), dtype=int)), len(a)
        for part in weyr:
            power = power.dot(value)
            rank = matrices_counting.rank(power.tolist())
            assert before - rank == (len(p) - 1) * part
            before = rank
    assert found.rank == matrices_counting.rank(exact.tolist())
    assert found.trace == sum(a[i][i] for i in range(len(a)))
    assert found.determinant == determinant(a)


@run
@given(parts=st.lists(st.sampled_from(BLOCKS[:9]), min_size=1, max_size=4), seed=seeds)
def test_jordan_form(parts: list[Rows], seed: int) -> None:
    a = disguised(diagonal(*parts), seed)
    found = matrices.jordan_form(a)
    expected = sorted(((part[0][0], len(part)) for part in parts), key=lambda block: (block[0], -block[1]))
    assert found.blocks == tuple(expected)
    assert found.form.tolist() == diagonal(*(jordan(size, value) for value, size in expected))
    assert takes(a, found.transform, found.form)


@run
@given(a=small(5), denominators=st.tuples(st.integers(1, 6), st.integers(1, 6)), seed=seeds)
def test_fractions(a: Rows, denominators: tuple[int, int], seed: int) -> None:
    """A / d is similar to B / e only where d = e, or the structure does not notice."""
    b = disguised(a, seed)
    d, e = denominators
    x, y = fractions(a) / d, fractions(b) / d
    assert takes(x, matrices.similarity_transform(x, y), y)
    traces = np.trace(fractions(a)) / d, np.trace(fractions(a)) / e
    if traces[0] != traces[1]:
        assert not matrices.is_similar(x, fractions(b) / e)
    found = matrices.rational_canonical_form(x)
    assert takes(x, found.transform, found.form)


@run
@given(a=st.one_of(small(4)), seed=seeds)
def test_change_of_basis(a: Rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.integers(-3, 4, (len(a), len(a)))
    if matrices.invariants(p).determinant == 0:
        return
    b = matrices.change_basis(a, p)
    assert takes(a, p, b)
    assert matrices.is_similar(a, b)


@run
@given(coefficients=st.lists(st.fractions(max_denominator=9), min_size=1, max_size=5), leading=st.integers(1, 4))
def test_companion(coefficients: list[Fraction], leading: int) -> None:
    c = matrices.companion([leading, *coefficients])
    found = matrices.invariants(c)
    assert found.charpoly == found.minpoly == (1, *(x / leading for x in coefficients))
    assert matrices.rational_canonical_form(c).form.tolist() == c.tolist()


@run
@given(seed=seeds, n=st.integers(2, 5), top_k=st.integers(0, 3), consistent=st.booleans())
def test_tokens_by_other_names_are_a_similar_chain_that_stops_alike(
    seed: int, n: int, top_k: int, consistent: bool
) -> None:
    rng = np.random.default_rng(seed)
    # Different counts in a row: renaming tokens would change how ties are broken.
    counts = np.array([rng.permutation(np.arange(1, n + 2)) for _ in range(n + 1)])
    names = rng.permutation(n + 1)
    renamed = np.empty_like(counts)
    renamed[np.ix_(names, names)] = counts
    eos, total = int(rng.integers(n + 1)), int(counts[0].sum())

    def tokens(table: Any, end: int) -> Rows:
        return [[Fraction(int(c), total) for c in row] for row in np.delete(np.delete(table, end, 0), end, 1)]

    assert matrices.is_similar(tokens(counts, eos), tokens(renamed, int(names[eos]))).similar
    start = np.delete(np.arange(n + 1), eos)
    how = dict(top_k=top_k, consistent=consistent)
    expected = decoding.termination_probability(counts / total, eos, start, how)
    found = decoding.termination_probability(renamed / total, int(names[eos]), names[start], how)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
