"""The exact verdict on two integer matrices, with the transform or the witness."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, TypeVar

from .engines import PRIME, Engine, Polynomial, Rows, primes
from .frobenius import cyclic_basis
from .polynomials import show, unscale
from .short import short_bases
from .structure import structure, weyr

M = TypeVar("M")


@dataclass(frozen=True)
class ExactVerdict:
    """Whether two integer matrices are similar: why, and a primitive integer P with A P = P B."""

    similar: bool
    reason: str
    transform: Rows | None = None


def decide(
    engine: Engine[Any], a_rows: Rows, b_rows: Rows, denominator: int, draw: random.Random, *, transform: bool
) -> ExactVerdict:
    """Compare A and B of one size, each ``denominator`` times the caller's; what is cheap comes first."""
    n = len(a_rows)
    if a_rows == b_rows:
        return ExactVerdict(True, "the matrices are equal", _identity(n) if transform else None)
    trace_a, trace_b = (sum(rows[i][i] for i in range(n)) for rows in (a_rows, b_rows))
    if trace_a != trace_b:
        shown = Fraction(trace_a, denominator), Fraction(trace_b, denominator)
        return ExactVerdict(False, f"traces are {_short(shown[0])} and {_short(shown[1])}")
    a, b = engine.matrix(a_rows), engine.matrix(b_rows)
    differ = "characteristic polynomials differ"
    if engine.charpoly_modulo(a, PRIME) != engine.charpoly_modulo(b, PRIME):
        return ExactVerdict(False, differ)
    charpoly = engine.charpoly(a)
    if charpoly != engine.charpoly(b):
        return ExactVerdict(False, differ)
    if engine.is_squarefree(charpoly):
        factors = [charpoly]
        reason = "equal characteristic polynomials without a repeated factor"
    else:
        found = structure(engine, a, n, charpoly)
        for p, parts in found.weyr.items():
            other = weyr(engine, b, n, p, sum(parts))
            if parts != other:
                return ExactVerdict(False, _witness(p, denominator, n, parts, other))
        factors = found.invariant_factors
        reason = "equal invariant factors"
    if not transform:
        return ExactVerdict(True, reason)
    return ExactVerdict(True, reason, _transform(engine, a, b, n, factors, draw))


def _transform(engine: Engine[M], a: M, b: M, n: int, factors: list[Polynomial], draw: random.Random) -> Rows:
    """P = Q_A Q_B^-1, where Q_A and Q_B take A and B to the same rational form; checked."""
    bases = short_bases(engine, a, b, n, draw) if len(factors) == 1 else None
    if bases is None:
        q_a, q_b = (engine.stack(cyclic_basis(engine, x, n, factors, draw)) for x in (a, b))
    else:
        q_a, q_b = bases
    p_transposed, _ = engine.solve(q_b, q_a)
    p = engine.matrix(_primitive(engine.rows(engine.transpose(p_transposed))))
    if engine.multiply(a, p) != engine.multiply(p, b) or not is_invertible(engine, p, n):
        raise AssertionError("a transform that does not transform")  # no input can bring us here
    return engine.rows(p)


def is_invertible(engine: Engine[M], p: M, n: int) -> bool:
    """Whether det P != 0: proved by one prime that does not divide it, or computed."""
    return any(engine.rank_modulo(p, prime) == n for prime in islice(primes(), 2)) or engine.determinant(p) != 0


def _primitive(rows: Rows) -> Rows:
    """Divided by the common divisor of all entries, the first that is not 0 made positive."""
    content = 0
    for x in (x for row in rows for x in row):
        content = math.gcd(content, x)
        if content == 1:
            break
    first = next((x for row in rows for x in row if x), 1)
    divisor = content if first > 0 else -content
    return rows if divisor == 1 else [[x // divisor for x in row] for row in rows]


def _witness(p: Polynomial, denominator: int, n: int, weyr_a: tuple[int, ...], weyr_b: tuple[int, ...]) -> str:
    degree = len(p) - 1
    rank_a = rank_b = n
    for k in range(1, max(len(weyr_a), len(weyr_b)) + 1):
        rank_a -= degree * (weyr_a[k - 1] if k <= len(weyr_a) else 0)
        rank_b -= degree * (weyr_b[k - 1] if k <= len(weyr_b) else 0)
        if rank_a != rank_b:
            return f"rank of ({show(unscale(p, denominator))})(A)^{k} is {rank_a}, of B {rank_b}"
    raise AssertionError  # they differ


def _identity(n: int) -> Rows:
    return [[int(i == j) for j in range(n)] for i in range(n)]


def _short(x: Fraction) -> str:
    """A number as a reason shows it; str of a huge integer is quadratic, and refused above 4300 digits."""
    bits = x.numerator.bit_length() + x.denominator.bit_length()
    return str(x) if bits <= 256 else f"<{bits} bits>"
