"""The exact engines: what the algorithms need of integer matrices and polynomials, from python-flint or from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

Rows = list[list[int]]
Polynomial = tuple[int, ...]  # coefficients, highest degree first

M = TypeVar("M")


class Engine(Protocol[M]):
    """Integer matrices of type M, which only the engine looks into. Polynomials have integer coefficients."""

    @property
    def name(self) -> Literal["flint", "python"]:
        """What verdicts call it."""

    def matrix(self, rows: Rows) -> M:
        """A matrix of at least one row."""

    def rows(self, a: M) -> Rows:
        """Its entries."""

    def multiply(self, a: M, b: M) -> M:
        """The product."""

    def transpose(self, a: M) -> M:
        """The transpose."""

    def stack(self, blocks: Sequence[M]) -> M:
        """The blocks below one another."""

    def krylov(self, a: M, v: list[int], n: int) -> M:
        """The rows v, Av, ..., A^(n-1) v."""

    def evaluate(self, p: Polynomial, a: M) -> M:
        """p(A)."""

    def solve(self, a: M, b: M) -> tuple[M, int]:
        """X and d != 0 with A X = d B, for a square A of full rank."""

    def kernel(self, a: M) -> Rows:
        """A basis of the vectors v with A v = 0, integers without a common divisor."""

    def reduce(self, rows: Rows) -> Rows | None:
        """A reduced basis of the lattice of the rows (LLL); None where the engine has no such algorithm."""

    def determinant(self, a: M) -> int:
        """The determinant."""

    def rank(self, a: M) -> int:
        """The rank over the rationals."""

    def rank_modulo(self, a: M, prime: int) -> int:
        """The rank modulo a prime: a lower bound of the rank."""

    def charpoly(self, a: M) -> Polynomial:
        """The characteristic polynomial."""

    def charpoly_modulo(self, a: M, prime: int) -> Polynomial:
        """The characteristic polynomial modulo a prime."""

    def is_squarefree(self, p: Polynomial) -> bool:
        """Whether a monic p has no repeated factor."""

    def gcd(self, p: Polynomial, q: Polynomial) -> Polynomial:
        """The monic greatest common divisor of monic polynomials."""

    def factor(self, p: Polynomial) -> list[tuple[Polynomial, int]]:
        """The monic irreducible factors of a monic p with their multiplicities."""


@cache
def exact_engine() -> Engine[Any]:
    """python-flint where it is installed, Python otherwise."""
    from .flint_engine import FlintEngine
    from .python_engine import PythonEngine

    try:
        return FlintEngine()
    except ImportError:
        return PythonEngine()


def primes() -> Iterator[int]:
    """Primes of 61 bits, from the largest one down."""
    candidate = 2**61 - 1
    while True:
        if _is_prime(candidate):
            yield candidate
        candidate -= 2


PRIME = 2**61 - 1


@cache
def _is_prime(n: int) -> bool:
    """Miller-Rabin with the bases that decide below 3.3e24 (Sorenson and Webster 2015)."""
    odd, exponent = n - 1, 0
    while odd % 2 == 0:
        odd, exponent = odd // 2, exponent + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41):
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(exponent - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True
