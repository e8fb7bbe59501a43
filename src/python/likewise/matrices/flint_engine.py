"""Integer matrices and polynomials by python-flint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from .engines import Polynomial, Rows

Matrix = Any  # flint.fmpz_mat, whose types are incomplete


class FlintEngine:
    """The engine ``"flint"``."""

    name: Literal["flint"] = "flint"

    def __init__(self) -> None:
        import flint  # here: an optional dependency

        self._flint: Any = flint

    def matrix(self, rows: Rows) -> Matrix:
        return self._flint.fmpz_mat(rows)

    def rows(self, a: Matrix) -> Rows:
        return [[int(x) for x in row] for row in a.table()]

    def multiply(self, a: Matrix, b: Matrix) -> Matrix:
        return a * b

    def transpose(self, a: Matrix) -> Matrix:
        return a.transpose()

    def stack(self, blocks: Sequence[Matrix]) -> Matrix:
        if len(blocks) == 1:
            return blocks[0]
        return self._flint.fmpz_mat([row for block in blocks for row in block.table()])

    def krylov(self, a: Matrix, v: list[int], n: int) -> Matrix:
        at = a.transpose()
        row = self._flint.fmpz_mat([v])
        entries = row.entries()
        for _ in range(n - 1):
            row = row * at
            entries += row.entries()
        return self._flint.fmpz_mat(n, len(v), entries)

    def evaluate(self, p: Polynomial, a: Matrix) -> Matrix:
        n = a.nrows()
        if len(p) == 1:
            return self._flint.fmpz_mat(n, n, [p[0] * int(i == j) for i in range(n) for j in range(n)])
        found = p[0] * a
        for k, c in enumerate(p[1:]):
            if k:
                found = found * a
            for i in range(n):
                found[i, i] += c
        return found

    def solve(self, a: Matrix, b: Matrix) -> tuple[Matrix, int]:
        numerators, denominator = a.solve(b).numer_denom()
        return numerators, int(denominator)

    def kernel(self, a: Matrix) -> Rows:
        basis, nullity = a.nullspace()
        vectors = [[int(x) for x in row] for row in basis.transpose().table()[: int(nullity)]]
        return [[x // content for x in v] for v in vectors for content in [math.gcd(*v)]]

    def reduce(self, rows: Rows) -> Rows | None:
        return self.rows(self._flint.fmpz_mat(rows).lll())

    def determinant(self, a: Matrix) -> int:
        return int(a.det())

    def rank(self, a: Matrix) -> int:
        return int(a.rank())

    def rank_modulo(self, a: Matrix, prime: int) -> int:
        return int(self._flint.nmod_mat(a, prime).rank())

    def charpoly(self, a: Matrix) -> Polynomial:
        return _highest_first(a.charpoly())

    def charpoly_modulo(self, a: Matrix, prime: int) -> Polynomial:
        return _highest_first(self._flint.nmod_mat(a, prime).charpoly())

    def is_squarefree(self, p: Polynomial) -> bool:
        f = self._polynomial(p)
        return bool(f.gcd(f.derivative()).degree() < 1)

    def gcd(self, p: Polynomial, q: Polynomial) -> Polynomial:
        return _highest_first(self._polynomial(p).gcd(self._polynomial(q)))

    def factor(self, p: Polynomial) -> list[tuple[Polynomial, int]]:
        _, factors = self._polynomial(p).factor()
        # A factor of a monic polynomial has the leading coefficient 1 or -1.
        return [(_highest_first(f if f[f.degree()] > 0 else -f), int(e)) for f, e in factors]

    def _polynomial(self, p: Polynomial) -> Any:
        return self._flint.fmpz_poly(list(reversed(p)))


def _highest_first(p: Any) -> Polynomial:
    return tuple(int(c) for c in p.coeffs())[::-1]
