"""The table of edge cases and bad input, on both exact engines where one takes part."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from likewise import matrices
from likewise.errors import NotSimilarError, UndecidedError
from tests.matrices.cases import takes

pytestmark = pytest.mark.usefixtures("engine")

ONE = [[1, 0], [0, 1]]
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ([[1, 2, 3], [4, 5, 6]], ValueError, "A: expected a square matrix, got shape (2, 3)"),
        ([1, 2], ValueError, "A: expected a square matrix, got shape (2,)"),
        ([[[1]]], ValueError, "A: expected a square matrix, got shape (1, 1, 1)"),
        (5, ValueError, "A: expected a square matrix, got shape ()"),
        ([[1, 2], [3]], ValueError, "A: expected a square matrix, got rows of different lengths"),
        ([[1, 2], 3], ValueError, "A: expected a square matrix, got "),
        ([[]], ValueError, "A: expected a square matrix, got shape (1, 0)"),
        (None, TypeError, "A: expected an array of numbers, got None"),
        ("12", TypeError, "A: expected an array of numbers, got str '12'"),
        ({1: 2}, TypeError, "A: expected an array of numbers, got dict"),
        (iter([1]), TypeError, "A: expected an array of numbers, got list_iterator"),
        ([[1.0, NAN], [0, 1]], ValueError, "A: expected finite values, got nan at row 0, column 1"),
        ([[1, 0], [0, -INF]], ValueError, "A: expected finite values, got -inf at row 1, column 1"),
        (np.array([[1, 2], [3, NAN + 1j]]), ValueError, "A: expected finite values, got "),
        (
            np.array([[1, 2.5], [3, 4]], dtype=object),
            TypeError,
            "A: expected integers or rationals, got float 2.5 at row 0, column 1",
        ),
        (
            np.array([[1, 2], ["3", 4]], dtype=object),
            TypeError,
            "A: expected integers or rationals, got str '3' at row 1, column 0",
        ),
        (
            [[Fraction(1, 2), 0], [0, 0.5]],
            TypeError,
            "A: expected integers or rationals, got float 0.5 at row 1, column 1",
        ),
        ([["1", "2"], ["3", "4"]], TypeError, "A: expected integers or rationals, got str '1' at row 0, column 0"),
        (np.array([["1", "2"], ["3", "4"]]), TypeError, "A: expected a matrix of numbers, got dtype <U1"),
        ([[Decimal(1)]], TypeError, "A: expected integers or rationals, got Decimal at row 0, column 0"),
        ([[None]], TypeError, "A: expected integers or rationals, got None at row 0, column 0"),
        (np.array([["2020-01-01"]], "M8[D]"), ValueError, "A: expected integers, rationals or float64, got dtype date"),
        (np.eye(2, dtype=np.longdouble), ValueError, "A: expected integers, rationals or float64, got dtype float128"),
        (
            np.ma.masked_array(np.eye(2), [[1, 0], [0, 0]]),
            ValueError,
            "A: expected no masked values, got a masked array",
        ),
        ([[0.5, 2**53 + 1], [0, 1]], ValueError, "A: expected integers that float64 holds exactly, got int 900"),
        ([[0.5, 10**400], [0, 1]], ValueError, "A: expected integers that float64 holds exactly, got int <1329 bits>"),
    ],
)
def test_refused_matrices(value: Any, kind: type[Exception], text: str) -> None:
    for call in (
        lambda: matrices.is_similar(value, ONE),
        lambda: matrices.invariants(value),
        lambda: matrices.jordan_form(value),
        lambda: matrices.rational_canonical_form(value),
        lambda: matrices.change_basis(value, ONE),
    ):
        with pytest.raises(kind, match="^" + re.escape(text)) as caught:
            call()
        assert type(caught.value) is kind
    text = text.replace("A:", "B:", 1)
    with pytest.raises(kind, match="^" + re.escape(text)):
        matrices.is_similar(ONE, value)


def test_different_sizes() -> None:
    verdict = matrices.is_similar(np.eye(3, dtype=int), np.eye(4, dtype=int))
    assert (verdict.similar, verdict.reason) == (False, "sizes 3 and 4")
    verdict = matrices.is_similar(np.eye(3), np.eye(4))
    assert (verdict.similar, verdict.reason, verdict.engine) == (False, "sizes 3 and 4", "lapack")


@pytest.mark.parametrize("empty", [[], np.zeros((0, 0), int), np.zeros((0, 0))])
def test_empty(empty: Any) -> None:
    verdict = matrices.is_similar(empty, empty)
    assert verdict.similar
    assert verdict.transform is not None
    assert verdict.transform.shape == (0, 0)
    assert verdict.condition == 1.0
    found = matrices.invariants(empty)
    assert (found.n, found.determinant, found.trace, found.charpoly, found.rank) == (0, 1, 0, (1,), 0)
    assert found.reliable
    assert matrices.jordan_form(empty).form.shape == (0, 0)
    assert matrices.change_basis(empty, empty).shape == (0, 0)
    if not isinstance(empty, np.ndarray) or empty.dtype.kind == "i":
        assert matrices.rational_canonical_form(empty).form.shape == (0, 0)


def test_one_by_one() -> None:
    assert matrices.is_similar([[5]], [[5]])
    assert not matrices.is_similar([[5]], [[6]])
    assert matrices.is_similar([[0]], [[0]])
    assert matrices.is_similar([[5.0]], [[5.0]])
    assert not matrices.is_similar([[5.0]], [[5.1]])
    assert matrices.rational_canonical_form([[7]]).form.tolist() == [[7]]
    assert matrices.jordan_form([[7]]).blocks == ((7, 1),)


def test_scalar_matrices_are_similar_to_themselves_alone() -> None:
    three = [[3, 0], [0, 3]]
    assert matrices.is_similar(three, three)
    assert not matrices.is_similar(three, [[3, 1], [0, 3]])
    assert not matrices.is_similar([[3, 1], [0, 3]], three)
    assert not matrices.is_similar(three, [[2, 0], [0, 4]])


def test_integers_of_any_kind_and_length() -> None:
    huge = [[10**40, 1], [0, 2**63]]
    verdict = matrices.is_similar(huge, [[2**63, 0], [5, 10**40]])
    assert verdict.similar
    assert takes(huge, verdict.transform, [[2**63, 0], [5, 10**40]])
    # In int64 the square of 2^32 is 0, and the determinant of this matrix is 0, not 2^64.
    wide = np.array([[2**32, 0], [0, 2**32]])
    assert matrices.invariants(wide).determinant == 2**64
    assert matrices.invariants(wide.astype(np.uint64)) == matrices.invariants(wide)
    flags = np.array([[True, True], [False, True]])
    assert matrices.is_similar(flags, [[1, 0], [1, 1]]).residual == 0.0
    assert matrices.is_similar([[True, False], [False, True]], ONE)
    for dtype in (np.int8, np.uint8, np.int64, np.uint64, ">i4"):
        assert matrices.is_similar(np.array([[1, 2], [3, 4]], dtype), [[4, 3], [2, 1]])
    assert matrices.is_similar([[2**63, -1], [0, 1]], [[1, -1], [0, 2**63]])


def test_layouts_give_the_same() -> None:
    a = np.arange(16).reshape(4, 4)
    expected = matrices.rational_canonical_form(a).transform
    assert expected is not None
    for same in (np.asfortranarray(a), a.astype(">i8"), a.tolist(), tuple(map(tuple, a.tolist())), a.T.copy().T):
        found = matrices.rational_canonical_form(same).transform
        assert found is not None
        assert (found == expected).all()
    before = a.copy()
    matrices.is_similar(a, a.T)
    assert (a == before).all()


def test_floats_taken_exactly() -> None:
    a = [[0.5, 1], [0, 0.25]]
    verdict = matrices.is_similar(a, [[0.25, 0], [7, 0.5]], exact=True)
    assert verdict.engine != "lapack"
    assert takes(a, verdict.transform, [[0.25, 0], [7, 0.5]])
    assert not matrices.is_similar([[0.1]], [[Fraction(1, 10)]], exact=True)
    assert matrices.is_similar([[0.1]], [[Fraction(3602879701896397, 2**55)]], exact=True)
    assert matrices.invariants(np.float32([[0.1]]), exact=True).trace == Fraction(float(np.float32(0.1)))
    assert matrices.invariants([[0.5, 10**400], [0, 1]], exact=True).charpoly == (1, Fraction(-3, 2), Fraction(1, 2))


def test_exact_rounded_to_floats() -> None:
    verdict = matrices.is_similar([[1, 2], [3, 4]], [[4, 3], [2, 1]], exact=False)
    assert verdict.engine == "lapack"
    assert verdict.similar
    with pytest.raises(ValueError, match=r"^A: expected entries that fit float64, got one above 1\.8e308$"):
        matrices.is_similar([[10**400]], [[1]], exact=False)


def test_exact_beside_float() -> None:
    verdict = matrices.is_similar([[1, 2], [3, 4]], np.array([[4.0, 3], [2, 1]]))
    assert verdict.engine == "lapack"
    assert verdict.reason.endswith("compared as floats, because A is exact and B is not")
    verdict = matrices.is_similar([[4.0, 3], [2, 1]], [[1, 2], [3, 4]])
    assert verdict.reason.endswith("compared as floats, because B is exact and A is not")
    assert matrices.is_similar([[1, 2], [3, 4]], [[4.0, 3], [2, 1]], exact=True).engine != "lapack"


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (dict(tol=-1e-9), ValueError, "tol: expected a finite number >= 0, got -1e-09"),
        (dict(tol=NAN), ValueError, "tol: expected a finite number >= 0, got nan"),
        (dict(tol="1"), TypeError, "tol: expected a finite number >= 0, got str '1'"),
        (dict(cond_max=0.5), ValueError, "cond_max: expected a finite number >= 1, got 0.5"),
        (dict(cond_max=INF), ValueError, "cond_max: expected a finite number >= 1, got inf"),
        (dict(tol=1e-8, exact=True), ValueError, "tol: expected None for exact matrices"),
        (dict(tol=1e-8), ValueError, "tol: expected None for exact matrices"),
        (dict(exact=1), TypeError, "exact: expected True or False, got int 1"),
        (dict(transform=None), TypeError, "transform: expected True or False, got None"),
        (dict(random_state=-1), ValueError, "random_state: expected an integer"),
        (dict(random_state=0.5), TypeError, "random_state: expected an integer"),
    ],
)
def test_refused_options(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match="^" + re.escape(text)):
        matrices.is_similar(ONE, ONE, **options)


def test_complex_is_not_exact() -> None:
    with pytest.raises(TypeError, match="^A: expected rational entries with exact=True, got complex ones"):
        matrices.is_similar([[1j]], [[1j]], exact=True)
    with pytest.raises(TypeError, match="^A: expected rational entries with exact=True, got complex ones"):
        matrices.invariants(np.eye(2, dtype=complex), exact=True)


def test_rational_form_of_floats_is_refused() -> None:
    with pytest.raises(TypeError, match="^A: expected integers or rationals, got float64 .*jordan_form"):
        matrices.rational_canonical_form([[0.5]])


def test_invariants_of_floats_do_not_compare() -> None:
    with pytest.raises(TypeError, match="is_similar"):
        assert matrices.invariants([[0.5]]) == matrices.invariants([[0.5]])
    assert matrices.invariants([[1]]) != 5


def test_refused_bases() -> None:
    with pytest.raises(ValueError, match="^P: expected an invertible matrix, got a singular one"):
        matrices.change_basis(ONE, [[1, 2], [2, 4]])
    with pytest.raises(
        ValueError, match="^P: expected an invertible matrix, got one that is singular to the precision"
    ):
        matrices.change_basis(np.eye(2), [[1.0, 2], [2, 4]])
    with pytest.raises(ValueError, match=r"^P: expected shape \(2, 2\), as A has, got \(3, 3\)"):
        matrices.change_basis(ONE, np.eye(3, dtype=int))
    with pytest.raises(FloatingPointError, match="overflows"):
        matrices.change_basis([[1e308, 1e308], [0, 1]], [[1.0, 1e6], [1e-6, 0]])


def test_results_that_overflow_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="^A: the determinant overflows"):
        matrices.invariants(np.diag([1e200, 1e200]))
    with pytest.raises(FloatingPointError, match="^A: the trace overflows"):
        matrices.invariants(np.diag([1e308, 1e308]))


@pytest.mark.parametrize(
    ("coefficients", "kind", "text"),
    [
        ([0, 1], ValueError, "coefficients: expected a leading coefficient that is not 0"),
        ([0.0, 1], ValueError, "coefficients: expected a leading coefficient that is not 0"),
        ([5], ValueError, "coefficients: expected those of a polynomial of degree 1 or more, got 1 coefficient"),
        ([], ValueError, "coefficients: expected those of a polynomial of degree 1 or more, got 0 coefficient"),
        ([[1, 2]], ValueError, "coefficients: expected a 1-D sequence of coefficients, got shape (1, 2)"),
        ([1, NAN], ValueError, "coefficients: expected finite values, got nan at position 1"),
        ([1, "2"], TypeError, "coefficients: expected integers or rationals, got str '2' at position 1"),
        ("12", TypeError, "coefficients: expected an array of numbers, got str '12'"),
        ([1e-300, 1e300], FloatingPointError, "coefficients: dividing by the leading coefficient overflows"),
    ],
)
def test_refused_coefficients(coefficients: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match="^" + re.escape(text)):
        matrices.companion(coefficients)


def test_companion_of_floats() -> None:
    assert matrices.companion([2.0, -10, 12]).tolist() == [[0, -6], [1, 5]]
    assert matrices.companion([1, 1j]).tolist() == [[-1j]]
    assert matrices.companion([2, 1]).tolist() == [[Fraction(-1, 2)]]


def test_an_undecided_verdict_is_no_condition() -> None:
    verdict = matrices.is_similar(np.eye(2), [[1.0, 1], [0, 1]])
    assert verdict.similar is None
    with pytest.raises(UndecidedError, match="^undecided: no transform") as caught:
        bool(verdict)
    assert caught.value.verdict is verdict
    with pytest.raises(UndecidedError):
        matrices.similarity_transform(np.eye(2), [[1.0, 1], [0, 1]])
    with pytest.raises(NotSimilarError):
        matrices.similarity_transform(np.eye(2), 2 * np.eye(2))
    assert "similar=None" in repr(verdict)
