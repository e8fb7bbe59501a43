"""What two similar matrices have in common."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._validation import check_scalar_float
from .engines import exact_engine
from .entries import ExactMatrix, read_matrix
from .numeric_jordan import estimate_structure
from .polynomials import unscale
from .structure import Structure, conjugate, structure

Coefficients = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class MatrixInvariants:
    """What does not change with the basis. Of exact matrices, ``==`` is the similarity test.

    Polynomials are tuples of coefficients, highest degree first.

    Attributes
    ----------
    n : int
        Rows and columns.
    trace, determinant : Fraction, or float or complex
    rank : int
    charpoly : tuple
        Of the characteristic polynomial, monic.
    minpoly : tuple of Fraction or None
        Of the minimal polynomial; None for floats.
    invariant_factors : tuple of tuple of Fraction, or None
        d_1 | d_2 | ... | d_r, without trivial ones; their product is the characteristic, the last the minimal
        polynomial. None for floats.
    structure : dict
        Irreducible factor -> (Weyr characteristic, Segre characteristic); for floats eigenvalue (the mean of a
        cluster) -> the same, estimated.
    reliable : bool
        True if exact; for floats, whether every rank decision behind `structure` had a gap of at least 10.
    """

    n: int
    trace: Any
    determinant: Any
    rank: int
    charpoly: Coefficients
    minpoly: Coefficients | None
    invariant_factors: tuple[Coefficients, ...] | None
    structure: dict[Any, tuple[tuple[int, ...], tuple[int, ...]]]
    reliable: bool

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MatrixInvariants):
            return NotImplemented
        if self.invariant_factors is None or other.invariant_factors is None:
            raise TypeError("invariants of floats cannot be compared exactly [use is_similar]")
        return self.n == other.n and self.invariant_factors == other.invariant_factors

    def __hash__(self) -> int:
        return hash((self.n, self.invariant_factors))


def invariants(A: Any, *, exact: bool | None = None, tol: float | None = None) -> MatrixInvariants:
    """The invariants of a matrix under changes of basis.

    Parameters
    ----------
    A : array-like of shape (n, n)
        As for `is_similar`.
    exact : bool, optional
        As for `is_similar`.
    tol : float, optional
        Of floats: singular values below ``tol`` times the largest count as zero; default sqrt(eps) of the dtype.

    Returns
    -------
    MatrixInvariants

    Examples
    --------
    >>> import likewise as lw
    >>> found = lw.matrices.invariants([[2, 0, 0], [0, 2, 0], [0, 0, 3]])
    >>> [[int(c) for c in p] for p in found.invariant_factors]
    [[1, -2], [1, -5, 6]]
    >>> found == lw.matrices.invariants([[2, 0, 0], [0, 3, 0], [0, 0, 2]])
    True
    """
    tol = None if tol is None else check_scalar_float(tol, "tol", minimum=0)
    a = read_matrix(A, "A", exact)
    if isinstance(a, ExactMatrix):
        if tol is not None:
            raise ValueError("tol: expected None for an exact matrix, got a number [pass exact=False]")
        return _exact(a)
    tol = a.epsilon**0.5 if tol is None else tol
    found = estimate_structure(a.array, tol)
    with np.errstate(all="ignore"):
        singular = np.linalg.svd(a.array, compute_uv=False)
        trace, determinant = np.trace(a.array), np.linalg.det(a.array)
        charpoly = np.poly(a.array) if a.n else np.ones(1)
    for name, value in (("trace", trace), ("determinant", determinant), ("characteristic polynomial", charpoly)):
        if not np.isfinite(value).all():
            raise FloatingPointError(f"A: the {name} overflows [scale the matrix]")
    largest = singular[0] if a.n else 0.0
    return MatrixInvariants(
        a.n,
        trace.item(),
        determinant.item(),
        int((singular > tol * largest).sum()),
        tuple(charpoly.tolist()),
        None,
        None,
        {cluster.eigenvalue: (cluster.weyr, conjugate(cluster.weyr)) for cluster in found},
        all(cluster.gap >= 10 for cluster in found),
    )


def _exact(a: ExactMatrix) -> MatrixInvariants:
    if a.n == 0:
        one = (Fraction(1),)
        return MatrixInvariants(0, Fraction(0), Fraction(1), 0, one, one, (), {}, True)
    engine = exact_engine()
    matrix = engine.matrix(a.rows)
    charpoly = engine.charpoly(matrix)
    found: Structure = structure(engine, matrix, a.n, charpoly)
    factors = [unscale(p, a.denominator) for p in found.invariant_factors]
    unscaled = unscale(charpoly, a.denominator)
    nullity = found.weyr.get((1, 0), (0,))[0]
    return MatrixInvariants(
        n=a.n,
        trace=-unscaled[1],
        determinant=unscaled[-1] * (-1) ** a.n,
        rank=a.n - nullity,
        charpoly=unscaled,
        minpoly=factors[-1],
        invariant_factors=tuple(factors),
        structure={unscale(p, a.denominator): (w, conjugate(w)) for p, w in found.weyr.items()},
        reliable=True,
    )
