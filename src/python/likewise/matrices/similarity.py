"""The question itself: are A and B the same linear map in two bases?"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._validation import check_bool, check_random_state, check_scalar_float
from ..errors import NotSimilarError, UndecidedError
from . import numeric
from .conditioning import exact_condition
from .engines import exact_engine
from .entries import ExactMatrix, NumericMatrix, as_fractions, read_matrix
from .exact import decide


@dataclass(frozen=True, eq=False, repr=False)
class SimilarityVerdict:
    """The answer of `is_similar`.

    In a condition it is True or False; where it is neither, ``bool`` raises `UndecidedError`, so that
    ``if is_similar(A, B)`` cannot be misread.

    Attributes
    ----------
    similar : bool or None
        None: neither a transform nor a proof against one was found (floats only).
    transform : ndarray of shape (n, n) or None
        P with ``B = P^-1 A P`` where similar: exact ones are primitive integers as an object array of `Fraction`.
    residual : float or None
        ``||A - P B P^-1||_F / ||A||_F``; 0.0 for exact transforms, which are checked. Of an undecided pair that of the
        nearest candidate.
    reason : str
        What decided, of an exact "no" the invariant that differs.
    certificate : {"exact", "invariant", "conditioned"} or None
        What proves a "no": an exact invariant; for floats a theorem for every P, or for every P with a condition number
        of at most ``cond_max``.
    engine : {"flint", "python", "lapack"}
        What computed.
    """

    similar: bool | None
    transform: NDArray[Any] | None
    residual: float | None
    reason: str
    certificate: Literal["exact", "invariant", "conditioned"] | None
    engine: Literal["flint", "python", "lapack"]
    _condition: float | None = field(default=None)

    @cached_property
    def condition(self) -> float | None:
        """kappa_2 of the transform, of an undecided pair that of the nearest candidate; None above 1.8e308.

        Of an exact transform it is computed when it is first asked for, from the exact inverse.
        """
        if self.engine == "lapack" or self.transform is None:
            return self._condition
        return exact_condition(self.transform)

    def __bool__(self) -> bool:
        if self.similar is None:
            raise UndecidedError(f"undecided: {self.reason}", self)
        return self.similar

    def __repr__(self) -> str:
        shape = None if self.transform is None else self.transform.shape
        residual = "" if self.residual is None else f", residual={self.residual:.3g}"
        return (
            f"SimilarityVerdict(similar={self.similar}, reason={self.reason!r}, "
            f"transform={'None' if shape is None else f'<{shape[0]} x {shape[1]}>'}{residual}, engine={self.engine!r})"
        )


def is_similar(
    A: Any,
    B: Any,
    *,
    exact: bool | None = None,
    tol: float | None = None,
    cond_max: float = 1e8,
    transform: bool = True,
    random_state: Any = 0,
) -> SimilarityVerdict:
    """Whether ``B = P^-1 A P`` for an invertible P: the same linear map, described in another basis.

    Rational matrices are decided exactly: they are similar if and only if they have equal invariant factors, which
    follow from the characteristic polynomial and the ranks of its irreducible factors at A and B. A "yes" comes with a
    P for which ``A P == P B`` was checked, a "no" with the invariant that differs.

    A float matrix stands for its neighbourhood: similar means that some P with ``kappa_2(P) <= cond_max`` has
    ``||A - P B P^-1||_F <= tol ||A||_F``. True comes with such a P; False with a theorem that there is none; None where
    neither was found, which is a normal answer for an ill-conditioned P, and for clustered spectra with n > 24.

    Parameters
    ----------
    A, B : array-like of shape (n, n)
        Lists, arrays, matrices of sympy or python-flint; integers, bool, `fractions.Fraction`, float or complex.
    exact : bool, optional
        Default: exact where both hold rational numbers alone. True takes each float as the dyadic rational that it is:
        0.1 is not 1/10, and a rounded similar matrix is no longer similar. False rounds rationals to float64.
    tol : float, optional
        Of floats: the relative residual; default sqrt(eps) of the input's dtype, 1.49e-8 for float64.
    cond_max : float, default 1e8
        Of floats: the largest condition number of P.
    transform : bool, default True
        False: the decision alone, much cheaper for large n. Exact transforms of large random matrices have huge entries
        (1500 digits at n = 50), and their cost grows faster than n^5. With python-flint, P is reduced to short entries
        up to n = 20, where the invariant factors are one.
    random_state : int, Generator or None, default 0
        Seeds random vectors. Which P is returned depends on it, no decision does.

    Returns
    -------
    SimilarityVerdict
        Usable as a condition.

    Raises
    ------
    ValueError
        For what is not square, not finite, or `tol` beside exact matrices.
    TypeError
        For entries that are no numbers, or complex ones with ``exact=True``.

    Notes
    -----
    Not the same: equal eigenvalues (wrong for defective matrices), or equal characteristic and minimal polynomials and
    rank (wrong from n = 7). Similarity of matrices says nothing of graphs: adjacency matrices of graphs that are not
    isomorphic can be similar.

    References
    ----------
    Su Jianlin, "Understanding matrices (4): similar matrices", kexue.fm/archives/1777.
    C. Byrnes and M. Gauger, "Characteristic free, improved decidability criteria for the similarity problem", 1977.

    Examples
    --------
    >>> import likewise as lw
    >>> verdict = lw.matrices.is_similar([[0, -6], [1, 5]], [[2, 0], [0, 3]])
    >>> verdict.similar, verdict.residual
    (True, 0.0)
    >>> lw.matrices.is_similar([[1, 1], [0, 1]], [[1, 0], [0, 1]])
    SimilarityVerdict(similar=False, reason='rank of (x-1)(A)^1 is 1, of B 0', transform=None, engine=...)
    >>> lw.matrices.is_similar([[1.0, 2.0], [3.0, 4.0]], [[4.0, 3.0], [2.0, 1.0]]).similar
    True
    """
    transform = check_bool(transform, "transform")
    cond_max = check_scalar_float(cond_max, "cond_max", minimum=1)
    tol = None if tol is None else check_scalar_float(tol, "tol", minimum=0)
    seed = check_random_state(random_state)
    a, b = read_matrix(A, "A", exact), read_matrix(B, "B", exact)
    if isinstance(a, ExactMatrix) and isinstance(b, ExactMatrix):
        if tol is not None:
            raise ValueError("tol: expected None for exact matrices, got a number [pass exact=False]")
        return _exact(a, b, seed, transform)
    note = ""
    if isinstance(a, ExactMatrix) or isinstance(b, ExactMatrix):
        note = "; compared as floats, because A is exact and B is not"
        if isinstance(b, ExactMatrix):
            note = "; compared as floats, because B is exact and A is not"
    return _numeric(a, b, tol, cond_max, seed, transform, note)


def _exact(a: ExactMatrix, b: ExactMatrix, seed: int, transform: bool) -> SimilarityVerdict:
    engine = exact_engine()
    if a.n != b.n:
        return SimilarityVerdict(False, None, None, f"sizes {a.n} and {b.n}", "exact", engine.name)
    denominator = math.lcm(a.denominator, b.denominator)
    found = decide(
        engine, a.scaled(denominator), b.scaled(denominator), denominator, random.Random(seed), transform=transform
    )
    if not found.similar:
        return SimilarityVerdict(False, None, None, found.reason, "exact", engine.name)
    if found.transform is None:
        return SimilarityVerdict(True, None, None, found.reason, None, engine.name)
    return SimilarityVerdict(True, as_fractions(found.transform), 0.0, found.reason, None, engine.name)


def _numeric(
    a: ExactMatrix | NumericMatrix,
    b: ExactMatrix | NumericMatrix,
    tol: float | None,
    cond_max: float,
    seed: int,
    transform: bool,
    note: str,
) -> SimilarityVerdict:
    if a.n != b.n:
        return SimilarityVerdict(False, None, None, f"sizes {a.n} and {b.n}{note}", "invariant", "lapack")
    epsilon = max(x.epsilon for x in (a, b) if isinstance(x, NumericMatrix))
    found = numeric.decide(
        a.floats("A") if isinstance(a, ExactMatrix) else a.array,
        b.floats("B") if isinstance(b, ExactMatrix) else b.array,
        epsilon**0.5 if tol is None else tol,
        cond_max,
        np.random.default_rng(seed),
    )
    p = found.transform if transform else None
    return SimilarityVerdict(
        found.similar, p, found.residual, found.reason + note, found.certificate, "lapack", found.condition
    )


def similarity_transform(
    A: Any,
    B: Any,
    *,
    exact: bool | None = None,
    tol: float | None = None,
    cond_max: float = 1e8,
    random_state: Any = 0,
) -> NDArray[Any]:
    """P with ``B = P^-1 A P``.

    Parameters
    ----------
    A, B, exact, tol, cond_max, random_state
        As for `is_similar`.

    Returns
    -------
    ndarray of shape (n, n)
        Object array of `Fraction` (integers without a common divisor) for exact matrices, otherwise float64 or
        complex128.

    Raises
    ------
    NotSimilarError
        If there is none; the text says why.
    UndecidedError
        If none was found (floats only).

    Examples
    --------
    >>> import numpy as np
    >>> import likewise as lw
    >>> A, B = np.array([[1, 2], [3, 4]]), np.array([[-2, -4], [3, 7]])
    >>> P = lw.matrices.similarity_transform(A, B)
    >>> bool((A @ P == P @ B).all())
    True
    """
    verdict = is_similar(A, B, exact=exact, tol=tol, cond_max=cond_max, random_state=random_state)
    if not verdict:  # raises if undecided
        raise NotSimilarError(f"not similar: {verdict.reason}", verdict)
    assert verdict.transform is not None
    return verdict.transform
