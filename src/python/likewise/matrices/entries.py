"""Reading matrices: what a caller hands over becomes integers over one denominator, or floats."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NoReturn, overload

import numpy as np
from numpy.typing import NDArray

from .._validation import _to_ndarray, _where, check_bool, describe

FloatMatrix = NDArray[Any]  # float64 or complex128


@dataclass(frozen=True)
class ExactMatrix:
    """A rational matrix as integers over one positive denominator: ``entry[i][j] = rows[i][j] / denominator``.

    Similarity does not change when both matrices are multiplied by a number, so that everything exact is computed with
    integers alone.
    """

    rows: list[list[int]]
    denominator: int

    @property
    def n(self) -> int:
        return len(self.rows)

    def scaled(self, denominator: int) -> list[list[int]]:
        """The integer rows over a multiple of the denominator."""
        factor = denominator // self.denominator
        return self.rows if factor == 1 else [[factor * x for x in row] for row in self.rows]

    def floats(self, name: str) -> FloatMatrix:
        """Every entry correctly rounded."""
        try:
            rows = [[x / self.denominator for x in row] for row in self.rows]
        except OverflowError:
            raise ValueError(f"{name}: expected entries that fit float64, got one above 1.8e308") from None
        return np.array(rows, dtype=np.float64).reshape(self.n, self.n)


@dataclass(frozen=True)
class NumericMatrix:
    """A float64 or complex128 matrix, and the rounding unit of the dtype that it came in."""

    array: FloatMatrix
    epsilon: float

    @property
    def n(self) -> int:
        return len(self.array)


def scaled(x: FloatMatrix, exponent: int) -> FloatMatrix:
    """``2^exponent x``, every bit kept where it does not overflow or underflow."""
    if x.dtype.kind == "c":
        return scaled(x.real, exponent) + 1j * scaled(x.imag, exponent)
    found: FloatMatrix = np.ldexp(x, exponent)
    return found


def as_fractions(rows: list[list[int]], denominator: int = 1) -> NDArray[np.object_]:
    """Integer rows over a denominator as an object array of `Fraction`."""
    n_columns = len(rows[0]) if rows else 0
    found = np.empty((len(rows), n_columns), dtype=object)
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            found[i, j] = Fraction(x) if denominator == 1 else Fraction(x, denominator)
    return found


@overload
def read_matrix(value: object, name: str, exact: Literal[True]) -> ExactMatrix: ...
@overload
def read_matrix(value: object, name: str, exact: Literal[False]) -> NumericMatrix: ...
@overload
def read_matrix(value: object, name: str, exact: bool | None = None) -> ExactMatrix | NumericMatrix: ...
def read_matrix(value: object, name: str, exact: bool | None = None) -> ExactMatrix | NumericMatrix:
    """A square matrix of rationals, or of finite floats.

    Parameters
    ----------
    exact : bool or None
        None: rational entries are exact, float and complex ones numeric. True: floats are taken as the dyadic
        rationals that they are. False: rationals are rounded to float64.
    """
    if exact is not None:
        exact = check_bool(exact, "exact")
    array, is_list = _objects_or_array(value, name)
    if array.shape == (0,) and is_list:
        array = array.reshape(0, 0)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        for position, x in enumerate(array.flat):
            if isinstance(x, list | tuple | np.ndarray):
                where = _where(position, array.shape)
                raise ValueError(f"{name}: expected a square matrix, got rows of different lengths{where}")
        raise ValueError(f"{name}: expected a square matrix, got shape {array.shape}")
    kind: str = array.dtype.kind
    if kind in "US":
        raise TypeError(f"{name}: expected a matrix of numbers, got dtype {array.dtype}")
    if kind not in "biufcO" or array.dtype.itemsize > (16 if kind == "c" else 8):
        raise ValueError(f"{name}: expected integers, rationals or float64, got dtype {array.dtype}")
    if kind == "O" and is_list:
        kind = _kind_of_objects(array)
    if kind in "fc":
        return _read_floats(array, value, name, exact, kind)
    if kind in "biu" or set(map(type, array.flat)) <= {int}:
        whole = ExactMatrix([list(map(int, row)) for row in array.tolist()], 1)
        return _round(whole, name) if exact is False else whole
    entries = [[_rational(x, name, (i, j)) for j, x in enumerate(row)] for i, row in enumerate(array.tolist())]
    return _round(_over_one_denominator(entries), name) if exact is False else _over_one_denominator(entries)


def read_polynomial(value: object, name: str) -> tuple[list[Fraction], None] | tuple[None, FloatMatrix]:
    """Coefficients, highest degree first: exact, or floats."""
    array, is_list = _objects_or_array(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a 1-D sequence of coefficients, got shape {array.shape}")
    kind = _kind_of_objects(array) if array.dtype.kind == "O" and is_list else array.dtype.kind
    if kind in "US":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    if kind not in "biufcO":
        raise ValueError(f"{name}: expected integers, rationals or float64, got dtype {array.dtype}")
    if kind in "fc":
        floats = _as_floats(array, name, kind)
        _refuse_non_finite(floats, name)
        return None, floats
    return [Fraction(*_rational(x, name, (i,))) for i, x in enumerate(array.tolist())], None


def _objects_or_array(value: object, name: str) -> tuple[NDArray[Any], bool]:
    """A numpy array; of lists one of objects, because numpy rounds [0, 2**63] to floats."""
    if callable(getattr(value, "nrows", None)) and callable(getattr(value, "table", None)):  # python-flint's matrices
        table: list[list[Any]] = value.table()  # type: ignore[attr-defined]
        n_rows, n_columns = int(value.nrows()), int(value.ncols())  # type: ignore[attr-defined]
        return np.array(table, dtype=object).reshape(n_rows, n_columns), False
    if isinstance(value, list | tuple):
        try:
            return np.array(value, dtype=object), True
        except ValueError:
            raise ValueError(f"{name}: expected a square matrix, got a ragged {describe(value)}") from None
    return _to_ndarray(value, name), False


def _kind_of_objects(array: NDArray[Any]) -> str:
    """ "c" or "f" for a list that holds floats and no rational that is not an integer, "O" for exact ones."""
    kind = "O"
    if set(map(type, array.flat)) <= {int}:  # a short cut: most lists
        return kind
    for x in array.flat:
        if isinstance(x, complex | np.complexfloating):
            kind = "c"
        elif isinstance(x, float | np.floating):
            kind = "f" if kind == "O" else kind
        elif not isinstance(x, int | np.integer | np.bool_):
            return "O"  # a fraction beside a float is refused there, with its position
    return kind


def _read_floats(
    array: NDArray[Any], value: object, name: str, exact: bool | None, kind: str
) -> ExactMatrix | NumericMatrix:
    if exact and kind == "c":
        raise TypeError(f"{name}: expected rational entries with exact=True, got complex ones")
    floats = _as_floats(array, name, kind, keep=bool(exact))
    _refuse_non_finite(floats, name)
    if exact:
        return _over_one_denominator([[_dyadic(x) for x in row] for row in array.tolist()])
    dtype = array.dtype if array.dtype.kind in "fc" else np.asarray(value).dtype
    epsilon = float(np.finfo(dtype).eps) if dtype.kind in "fc" else float(np.finfo(np.float64).eps)
    return NumericMatrix(floats, epsilon)


def _as_floats(array: NDArray[Any], name: str, kind: str, *, keep: bool = False) -> FloatMatrix:
    if array.dtype == object and not keep:
        for position, x in enumerate(array.flat):
            if isinstance(x, int | np.integer) and not _fits_float(int(x)):
                where = _where(position, array.shape)
                raise ValueError(f"{name}: expected integers that float64 holds exactly, got {describe(int(x))}{where}")
    try:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, dtype=np.complex128 if kind == "c" else np.float64)
    except OverflowError:  # an integer above 1.8e308 in a list of floats that is read exactly
        return np.zeros(array.shape)


def _fits_float(x: int) -> bool:
    return x.bit_length() <= 1024 and int(float(x)) == x if x.bit_length() < 1024 else False


def _refuse_non_finite(floats: FloatMatrix, name: str) -> None:
    finite = np.isfinite(floats)
    if not finite.all():
        position = int(np.argmin(finite))
        raise ValueError(f"{name}: expected finite values, got {floats.flat[position]}{_where(position, floats.shape)}")


def _dyadic(x: Any) -> tuple[int, int]:
    p, q = (int(x), 1) if isinstance(x, int | np.integer | np.bool_) else float(x).as_integer_ratio()
    return p, q


def _rational(x: Any, name: str, index: tuple[int, ...]) -> tuple[int, int]:
    """Numerator and denominator of an exact number."""
    if isinstance(x, int | np.integer | np.bool_):
        return int(x), 1
    if isinstance(x, numbers.Rational):  # Fraction, and sympy's numbers, which register themselves
        return int(x.numerator), int(x.denominator)
    if type(x).__module__.partition(".")[0] == "flint":
        if type(x).__name__ == "fmpz":
            return int(x), 1
        if type(x).__name__ == "fmpq":
            return int(x.p), int(x.q)
    _refuse_entry(x, name, index)


def _refuse_entry(x: Any, name: str, index: tuple[int, ...]) -> NoReturn:
    if isinstance(x, list | tuple | np.ndarray):
        raise ValueError(f"{name}: expected a number at index {index}, got {describe(x)}")
    where = f" at row {index[0]}, column {index[1]}" if len(index) == 2 else f" at position {index[0]}"
    raise TypeError(f"{name}: expected integers or rationals, got {describe(x)}{where}")


def _over_one_denominator(entries: list[list[tuple[int, int]]]) -> ExactMatrix:
    denominator = math.lcm(*(q for row in entries for _, q in row))
    return ExactMatrix([[p * (denominator // q) for p, q in row] for row in entries], denominator)


def _round(matrix: ExactMatrix, name: str) -> NumericMatrix:
    return NumericMatrix(matrix.floats(name), float(np.finfo(np.float64).eps))
