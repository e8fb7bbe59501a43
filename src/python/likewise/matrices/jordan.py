"""The Jordan form: exact where the eigenvalues are rational, estimated for floats."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_scalar_float
from .conditioning import exact_condition
from .engines import Engine, Polynomial, Rows, exact_engine
from .entries import ExactMatrix, as_fractions, read_matrix
from .frobenius import cyclic_basis
from .numeric_jordan import numeric_jordan_form
from .polynomials import divide, power, show, unscale
from .structure import Structure, conjugate, structure


@dataclass(frozen=True, eq=False)
class JordanForm:
    """The Jordan form of a matrix.

    Attributes
    ----------
    form : ndarray of shape (n, n)
        J with ones on the superdiagonal; blocks by eigenvalue (ascending real part, then imaginary), then size
        descending. Object array of `Fraction`, or float64 or complex128.
    transform : ndarray of shape (n, n)
        P with ``J = P^-1 A P``; the columns of a block are its Jordan chain.
    blocks : tuple of (eigenvalue, size)
    residual : float
        ``||A - P J P^-1||_F / ||A||_F``; 0.0 if exact.
    reliable : bool
        True if exact. False for floats when a rank was decided by singular values less than a factor of 10 apart, or
        kappa_2(P) is above 1e8, or the residual above `tol`.
    reason : str
        Why it is not reliable; empty if it is.
    """

    form: NDArray[Any]
    transform: NDArray[Any]
    blocks: tuple[tuple[Any, int], ...]
    residual: float
    reliable: bool
    reason: str
    _condition: float | None = None

    @property
    def condition(self) -> float | None:
        """kappa_2(P); None above 1.8e308."""
        return exact_condition(self.transform) if self.transform.dtype == object else self._condition


def jordan_form(A: Any, *, exact: bool | None = None, tol: float | None = None) -> JordanForm:
    """The Jordan canonical form with its transform.

    Exact only where all eigenvalues are rational. For floats, eigenvalues are gathered in clusters and the sizes of the
    blocks estimated from singular values.

    The Jordan form is not continuous: the eigenvalues of [[1, 1], [1e-12, 1]] are 1 + 1e-6 and 1 - 1e-6, those of
    [[1, 1], [0, 1]] are 1 and 1, in one block. A float matrix near a defective one has forms of both kinds near it;
    what is returned is one whose residual and condition are stated. To compare matrices use `is_similar`.

    Parameters
    ----------
    A : array-like of shape (n, n)
        As for `is_similar`.
    exact : bool, optional
        As for `is_similar`.
    tol : float, optional
        Of floats: the relative residual up to which the form is reliable, and the relative size up to which a singular
        value may be a zero; default sqrt(eps) of the dtype.

    Returns
    -------
    JordanForm

    Raises
    ------
    ValueError
        If exact, and an eigenvalue is not rational; the text lists the irreducible factors.

    Examples
    --------
    >>> import likewise as lw
    >>> found = lw.matrices.jordan_form([[3, 1], [-1, 1]])
    >>> print(found.form.astype(int))
    [[2 1]
     [0 2]]
    """
    tol = None if tol is None else check_scalar_float(tol, "tol", minimum=0)
    a = read_matrix(A, "A", exact)
    if not isinstance(a, ExactMatrix):
        found = numeric_jordan_form(a.array, a.epsilon**0.5 if tol is None else tol)
        return JordanForm(
            found.form, found.transform, found.blocks, found.residual, not found.reason, found.reason, found.condition
        )
    if tol is not None:
        raise ValueError("tol: expected None for an exact matrix, got a number [pass exact=False]")
    if a.n == 0:
        return JordanForm(as_fractions([]), as_fractions([]), (), 0.0, True, "")
    engine = exact_engine()
    matrix = engine.matrix(a.rows)
    found_structure = structure(engine, matrix, a.n, engine.charpoly(matrix))
    irrational = [p for p in found_structure.weyr if len(p) > 2]
    if irrational:
        shown = ", ".join(show(unscale(p, a.denominator)) for p in found_structure.weyr)
        raise ValueError(
            f"A: expected rational eigenvalues, got the irreducible factors {shown} "
            "[rational_canonical_form needs none, exact=False takes floats]"
        )
    return _exact(engine, matrix, a, found_structure)


def _exact(engine: Engine[Any], matrix: Any, a: ExactMatrix, found: Structure) -> JordanForm:
    chains = _chains(engine, matrix, a, found)
    columns: Rows = []
    blocks: list[tuple[Fraction, int]] = []
    form = np.full((a.n, a.n), Fraction(0), dtype=object)
    for eigenvalue, size, chain in sorted(chains, key=lambda item: (item[0], -item[1])):
        first = len(columns)
        for i in range(size):
            form[first + i, first + i] = eigenvalue
            if i:
                form[first + i - 1, first + i] = Fraction(1)
        columns += chain
        blocks.append((eigenvalue, size))
    p = [list(row) for row in zip(*columns, strict=True)]
    return JordanForm(form, as_fractions(p), tuple(blocks), 0.0, True, "")


def _chains(engine: Engine[Any], matrix: Any, a: ExactMatrix, found: Structure) -> list[tuple[Fraction, int, Rows]]:
    """Eigenvalue, length and columns of each Jordan chain, by taking the cyclic spaces apart.

    A cyclic vector v of order prod (x - l_i)^(s_i) gives the chain ((A - l)^(s-1) u, ..., u) for each l, where u is v
    times the other powers at A.
    """
    d = a.denominator
    factors = found.invariant_factors
    chains: list[tuple[Fraction, int, Rows]] = []
    for block, (i, factor) in zip(
        cyclic_basis(engine, matrix, a.n, factors, random.Random(0)), enumerate(factors), strict=True
    ):
        krylov = engine.rows(block)
        for p, w in found.weyr.items():
            segre = conjugate(w)
            rank_from_last = len(factors) - 1 - i
            if rank_from_last >= len(segre):
                continue
            size = segre[rank_from_last]
            cofactor = divide(factor, power(p, size))[0]
            u = _combine(krylov, cofactor, a.n)
            chain = [u]
            for _ in range(size - 1):
                u = _apply(a.rows, u, p[1])
                chain.append(u)
            # chain[j] is (dA - dl)^j u; a factor d^(size-1-j) makes the columns those of A, and integers.
            columns = [[x * d ** (size - 1 - j) for x in chain[j]] for j in range(size - 1, -1, -1)]
            chains.append((Fraction(-p[1], d), size, columns))
    return chains


def _combine(krylov: Rows, p: Polynomial, n: int) -> list[int]:
    """p(A) v from v, Av, A^2 v, ...; the degree of p is less than their number."""
    found = [0] * n
    for c, row in zip(reversed(p), krylov, strict=False):
        if c:
            found = [x + c * y for x, y in zip(found, row, strict=True)]
    return found


def _apply(rows: Rows, u: list[int], constant: int) -> list[int]:
    """(A + constant) u."""
    return [sum(map(int.__mul__, row, u)) + constant * x for row, x in zip(rows, u, strict=True)]
