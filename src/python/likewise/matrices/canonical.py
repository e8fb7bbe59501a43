"""The rational canonical form, companion matrices, and the change of basis itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_bool, check_random_state
from .engines import Engine, Polynomial, Rows, exact_engine
from .entries import ExactMatrix, as_fractions, read_matrix, read_polynomial
from .exact import is_invertible
from .frobenius import cyclic_basis
from .polynomials import unscale
from .structure import structure


@dataclass(frozen=True, eq=False)
class RationalForm:
    """The rational canonical form (Frobenius form) of a matrix.

    Attributes
    ----------
    form : ndarray of Fraction of shape (n, n)
        ``diag(C(d_1), ..., C(d_r))`` with companion matrices of the invariant factors, in divisibility order.
    transform : ndarray of Fraction of shape (n, n), or None
        Q with ``form = Q^-1 A Q``; its entries are integers.
    invariant_factors : tuple of tuple of Fraction
        d_1 | d_2 | ... | d_r, coefficients highest degree first.
    """

    form: NDArray[Any]
    transform: NDArray[Any] | None
    invariant_factors: tuple[tuple[Fraction, ...], ...]


def rational_canonical_form(A: Any, *, transform: bool = True, random_state: Any = 0) -> RationalForm:
    """The form that every similar matrix shares, without eigenvalues: companion matrices of the invariant factors.

    Parameters
    ----------
    A : array-like of shape (n, n)
        Rational entries: integers, bool, `fractions.Fraction`, matrices of sympy or python-flint.
    transform : bool, default True
        Whether to compute Q; without it large matrices are much cheaper.
    random_state : int, Generator or None, default 0
        Seeds random vectors. Q depends on it, the form does not.

    Returns
    -------
    RationalForm

    Raises
    ------
    TypeError
        For floats: the form is not continuous, so that it means nothing for rounded entries.

    Examples
    --------
    >>> import likewise as lw
    >>> print(lw.matrices.rational_canonical_form([[2, 0, 0], [0, 2, 0], [0, 0, 3]]).form.astype(int))
    [[ 2  0  0]
     [ 0  0 -6]
     [ 0  1  5]]
    """
    transform = check_bool(transform, "transform")
    draw = random.Random(check_random_state(random_state))
    a = read_matrix(A, "A")
    if not isinstance(a, ExactMatrix):
        hint = "[the form is exact only; for floats, see jordan_form]"
        raise TypeError(f"A: expected integers or rationals, got {a.array.dtype} {hint}")
    if a.n == 0:
        return RationalForm(as_fractions([]), as_fractions([]) if transform else None, ())
    engine = exact_engine()
    matrix = engine.matrix(a.rows)
    factors = invariant_factors(engine, matrix, a.n)
    unscaled = tuple(unscale(p, a.denominator) for p in factors)
    form = np.full((a.n, a.n), Fraction(0), dtype=object)
    first = 0
    for p in unscaled:
        last = first + len(p) - 1
        form[first:last, first:last] = _companion(list(p))
        first = last
    q = as_fractions(rational_basis(engine, matrix, a, factors, draw)) if transform else None
    return RationalForm(form, q, unscaled)


def invariant_factors(engine: Engine[Any], matrix: Any, n: int) -> list[Polynomial]:
    """d_1 | d_2 | ... | d_r of an integer matrix."""
    charpoly = engine.charpoly(matrix)
    return [charpoly] if engine.is_squarefree(charpoly) else structure(engine, matrix, n, charpoly).invariant_factors


def rational_basis(
    engine: Engine[Any], matrix: Any, a: ExactMatrix, factors: list[Polynomial], draw: random.Random
) -> Rows:
    """The columns v, Av, ... of each cyclic space, each multiplied until it is whole."""
    rows: Rows = []
    for block, factor in zip(cyclic_basis(engine, matrix, a.n, factors, draw), factors, strict=True):
        # The rows are v, (dA) v, ..., (dA)^(m-1) v for the denominator d: those of A, times d^(m-1), are integers.
        degree = len(factor) - 1
        rows += [[x * a.denominator ** (degree - 1 - k) for x in row] for k, row in enumerate(engine.rows(block))]
    return [list(column) for column in zip(*rows, strict=True)]


def companion(coefficients: Any) -> NDArray[Any]:
    """The companion matrix of a polynomial: ones below the diagonal, minus the coefficients in the last column.

    Parameters
    ----------
    coefficients : array-like of shape (m + 1,)
        Highest degree first; divided by the first, which must not be 0. m is at least 1.

    Returns
    -------
    ndarray of shape (m, m)
        Object array of `Fraction` for rational coefficients, otherwise float64 or complex128. Its characteristic and
        minimal polynomial are the given one.

    Raises
    ------
    ValueError
        For a leading coefficient of 0, or a constant polynomial.

    Examples
    --------
    >>> import likewise as lw
    >>> print(lw.matrices.companion([1, -5, 6]).astype(int))
    [[ 0 -6]
     [ 1  5]]
    """
    exact, floats = read_polynomial(coefficients, "coefficients")
    n = len(exact) if exact is not None else len(floats)  # type: ignore[arg-type]
    if n < 2:
        raise ValueError(f"coefficients: expected those of a polynomial of degree 1 or more, got {n} coefficient(s)")
    if (exact if exact is not None else floats)[0] == 0:  # type: ignore[index]
        raise ValueError("coefficients: expected a leading coefficient that is not 0, got 0 at position 0")
    if exact is not None:
        return _companion(exact)
    assert floats is not None
    found = np.zeros((n - 1, n - 1), floats.dtype)
    found[np.arange(1, n - 1), np.arange(n - 2)] = 1
    with np.errstate(over="ignore"):
        found[:, -1] = -(floats[:0:-1] / floats[0])
    if not np.isfinite(found).all():
        raise FloatingPointError("coefficients: dividing by the leading coefficient overflows")
    return found


def _companion(coefficients: list[Fraction]) -> NDArray[Any]:
    n = len(coefficients) - 1
    found = np.full((n, n), Fraction(0), dtype=object)
    for i in range(n - 1):
        found[i + 1, i] = Fraction(1)
    for i in range(n):
        found[i, n - 1] = -coefficients[n - i] / coefficients[0]
    return found


def change_basis(A: Any, P: Any, *, exact: bool | None = None) -> NDArray[Any]:
    """``P^-1 A P``: the map A described in the basis of the columns of P.

    Parameters
    ----------
    A, P : array-like of shape (n, n)
        As for `is_similar`.
    exact : bool, optional
        As for `is_similar`.

    Returns
    -------
    ndarray of shape (n, n)
        Object array of `Fraction`, or float64 or complex128.

    Raises
    ------
    ValueError
        If P is singular; for floats, if its condition number is above 1/eps.

    Notes
    -----
    A congruence ``P^T A P``, which is what a linear map does to a covariance matrix, is the same only where P is
    orthogonal.

    Examples
    --------
    >>> import likewise as lw
    >>> print(lw.matrices.change_basis([[1, 2], [3, 4]], [[1, 1], [0, 1]]).astype(int))
    [[-2 -4]
     [ 3  7]]
    """
    a, p = read_matrix(A, "A", exact), read_matrix(P, "P", exact)
    if a.n != p.n:
        raise ValueError(f"P: expected shape {(a.n, a.n)}, as A has, got {(p.n, p.n)}")
    if isinstance(a, ExactMatrix) and isinstance(p, ExactMatrix):
        if a.n == 0:
            return as_fractions([])
        engine = exact_engine()
        # P^-1 A P is the same for a multiple of P.
        matrix, basis = engine.matrix(a.rows), engine.matrix(p.rows)
        if not is_invertible(engine, basis, a.n):
            raise ValueError("P: expected an invertible matrix, got a singular one")
        solution, denominator = engine.solve(basis, engine.multiply(matrix, basis))
        return as_fractions(engine.rows(solution), denominator * a.denominator)
    array = a.floats("A") if isinstance(a, ExactMatrix) else a.array
    columns = p.floats("P") if isinstance(p, ExactMatrix) else p.array
    if a.n == 0:
        return np.zeros((0, 0))
    singular = np.linalg.svd(columns, compute_uv=False)
    if singular[-1] <= np.finfo(np.float64).eps * singular[0]:
        raise ValueError("P: expected an invertible matrix, got one that is singular to the precision of float64")
    with np.errstate(all="ignore"):
        found = np.linalg.solve(columns, array @ columns)
    if not np.isfinite(found).all():
        raise FloatingPointError("P^-1 A P overflows")
    return found
