"""Cyclic decompositions: bases in which an integer matrix is block diagonal with companion matrices.

Vectors v_r, ..., v_1, each killed by its invariant factor d_i(A), span cyclic spaces v, Av, ..., A^(m-1) v with m the
degree of d_i. Where all of these together are independent, they are the basis, since the degrees add up to n. A random
vector of the kernel of d_i(A) is almost always good: in the quotient by the blocks before, a sum of cyclic spaces whose
largest order is d_i, it is a random vector. A rank modulo a prime proves it, and a bad choice is drawn anew.
"""

from __future__ import annotations

import math
import random
from typing import Generic, TypeVar

from .engines import Engine, Polynomial, Rows, primes
from .polynomials import divide

M = TypeVar("M")


def cyclic_basis(engine: Engine[M], a: M, n: int, factors: list[Polynomial], draw: random.Random) -> list[M]:
    """The blocks of rows v, Av, ..., A^(m-1) v, one for each of the invariant factors, in their order.

    Parameters
    ----------
    factors : list of polynomial
        The invariant factors d_1 | d_2 | ... | d_r of A.
    """
    blocks: list[M] = []
    filled = 0
    kernel: _Kernel[M] | None = None
    for factor in reversed(factors):
        if kernel is None or kernel.factor != factor:
            kernel = _Kernel(engine, a, n, factor, factors[-1])
        degree = len(factor) - 1
        filled += degree
        for attempt, prime in enumerate(primes()):
            v = kernel.vector(attempt + bool(blocks), draw)
            longer = [*blocks, engine.krylov(a, v, degree)]
            if engine.rank_modulo(engine.stack(longer), prime) == filled:
                blocks = longer
                break
    return blocks[::-1]


class _Kernel(Generic[M]):
    """Integer vectors killed by a divisor d of the minimal polynomial at A."""

    def __init__(self, engine: Engine[M], a: M, n: int, factor: Polynomial, minpoly: Polynomial) -> None:
        self.engine, self.n, self.factor = engine, n, factor
        self.map: M | None = None
        self.basis: Rows | None = None
        cofactor = divide(minpoly, factor)[0]
        if len(cofactor) == 1:
            return  # all vectors
        if len(engine.gcd(factor, cofactor)) == 1:
            # The image of the cofactor is the kernel, and its vectors are short.
            self.map = engine.evaluate(cofactor, a)
        else:
            self.basis = engine.kernel(engine.evaluate(factor, a))

    def vector(self, spread: int, draw: random.Random) -> list[int]:
        """The first unit vector of the parameters (small numbers grow least), then random ones of growing entries."""
        size = self.n if self.basis is None else len(self.basis)
        unit = [1] + [0] * (size - 1)
        parameters = draw.choices(range(-spread, spread + 1), k=size) if spread else unit
        if self.basis is not None:
            columns = zip(*self.basis, strict=True)
            return _primitive([sum(c * x for c, x in zip(parameters, column, strict=True)) for column in columns])
        if self.map is None:
            return parameters
        image = self.engine.multiply(self.map, self.engine.matrix([[x] for x in parameters]))
        return _primitive([row[0] for row in self.engine.rows(image)])


def _primitive(v: list[int]) -> list[int]:
    content = math.gcd(*v)
    return [x // content for x in v] if content > 1 else v
