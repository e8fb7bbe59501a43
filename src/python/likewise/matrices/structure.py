"""The invariants that decide similarity: irreducible factors with their Weyr characteristics, and invariant factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .engines import PRIME, Engine, Polynomial
from .polynomials import multiply, power

M = TypeVar("M")

Weyr = tuple[int, ...]


def conjugate(partition: Sequence[int]) -> tuple[int, ...]:
    """The conjugate partition: from Weyr to Segre and back."""
    return tuple(sum(part >= k for part in partition) for k in range(1, max(partition, default=0) + 1))


def weyr(engine: Engine[M], a: M, n: int, p: Polynomial, multiplicity: int) -> Weyr:
    """(rank p(A)^(k-1) - rank p(A)^k) / deg p for k = 1, 2, ...; its sum is the multiplicity of p in the charpoly."""
    if multiplicity == 1:
        return (1,)
    degree = len(p) - 1
    value = engine.evaluate(p, a)
    # The nullity is at least deg p, and at most that modulo any prime: often one prime settles it.
    if n - engine.rank_modulo(value, PRIME) == degree:
        return (1,) * multiplicity
    found: list[int] = []
    before, current = n, value
    while sum(found) < multiplicity:
        rank = engine.rank(current)
        found.append((before - rank) // degree)
        before = rank
        if found[-1] == 1:  # the parts descend: all that follow are 1
            found += [1] * (multiplicity - sum(found))
        elif sum(found) < multiplicity:
            current = engine.multiply(current, value)
    return tuple(found)


@dataclass(frozen=True)
class Structure:
    """The similarity class of an integer matrix: each irreducible factor with its Weyr characteristic."""

    weyr: dict[Polynomial, Weyr]

    @property
    def invariant_factors(self) -> list[Polynomial]:
        """d_1 | d_2 | ... | d_r without trivial ones; d_r is the minimal polynomial."""
        n_factors = max((w[0] for w in self.weyr.values()), default=0)
        found: list[Polynomial] = []
        for i in range(n_factors - 1, -1, -1):
            product: Polynomial = (1,)
            for p, w in self.weyr.items():
                segre = conjugate(w)
                if i < len(segre):
                    product = multiply(product, power(p, segre[i]))
            found.append(product)
        return found


def structure(engine: Engine[M], a: M, n: int, charpoly: Polynomial) -> Structure:
    """The structure of a matrix from its characteristic polynomial and the ranks of its irreducible factors at A."""
    factors = sorted(engine.factor(charpoly), key=lambda item: (len(item[0]), item[0]))
    return Structure({p: weyr(engine, a, n, p, e) for p, e in factors})
