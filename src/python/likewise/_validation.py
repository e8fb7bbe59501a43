"""The one check of arguments: anything reasonable becomes a canonical value, everything else a clear error.

Error texts read ``<argument>: expected <what>, got <what>[ at <position>]``. A wrong kind of object is a `TypeError`, a
wrong value, shape or dtype a `ValueError`. Nothing is converted but what this module documents, and no conversion
changes a value. Canonical arrays pass without a copy.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core

_MAX_BYTES = 2**62
_MAX_SHOWN = 60  # characters of a foreign value that an error text repeats


def describe(value: object) -> str:
    """A value as an error text shows it: short, on one line, never a whole array."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        text = str(value) if isinstance(value, np.number) else _short(value)
        return text if value is None or isinstance(value, np.number) else f"{type(value).__name__} {text}"
    return type(value).__name__


def _short(value: object) -> str:
    if isinstance(value, str | bytes):
        value = value[: _MAX_SHOWN + 1]  # before repr: the text may be huge
    elif isinstance(value, int) and value.bit_length() > 128:
        return f"<{value.bit_length()} bits>"  # str(int) is quadratic, and refused above 4300 digits
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


# --- Scalars ---


def check_scalar_int(value: object, name: str, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """An integer by `operator.index` (numpy integers and 0-d integer arrays pass; bool and float do not)."""
    expected = f"an integer{_bounds(minimum, maximum)}"
    if isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == np.bool_):
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}") from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise ValueError(f"{name}: expected {expected}, got {_short(number)}")
    return number


def check_scalar_float(
    value: object,
    name: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
) -> float:
    """A finite real number as float (bool, str and complex do not pass)."""
    expected = f"a finite number{_bounds(minimum, maximum, exclusive_minimum)}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if (
        not math.isfinite(number)
        or (minimum is not None and number < minimum)
        or (maximum is not None and number > maximum)
        or (exclusive_minimum is not None and number <= exclusive_minimum)
    ):
        raise ValueError(f"{name}: expected {expected}, got {_short(value) if isinstance(value, int) else value}")
    return number


def _bounds(minimum: float | None, maximum: float | None, exclusive_minimum: float | None = None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}"
    if exclusive_minimum is not None:
        return f" > {exclusive_minimum}" + (f" and <= {maximum}" if maximum is not None else "")
    if minimum is not None:
        return f" >= {minimum}"
    return f" <= {maximum}" if maximum is not None else ""


def check_bool(value: object, name: str) -> bool:
    """True or False; nothing else stands for them."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")
    return bool(value)


def check_choice(value: object, name: str, choices: Sequence[str]) -> str:
    """One of the given names."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {describe(value)}")
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {_short(value)}")
    return value


def check_k(value: object, name: str = "k") -> int:
    """A number of results: an integer >= 1. More than there are is no error; the result is shorter."""
    return min(check_scalar_int(value, name, minimum=1), 2**63 - 1)


def check_n_threads(value: object, name: str = "n_threads") -> int:
    """None: all CPUs that this process may use (affinity, cgroup quota, LIKEWISE_NUM_THREADS); or an integer >= 1."""
    if value is None:
        return int(_core.dispatch.available_threads())
    return min(check_scalar_int(value, name, minimum=1), 1024)


def check_float_dtype(value: object, name: str = "dtype") -> np.dtype[np.float32] | np.dtype[np.float64] | None:
    """None, or float32 or float64 by any name that numpy has for them."""
    if value is None:
        return None
    try:
        dtype = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"{name}: expected 'float32', 'float64' or None, got {describe(value)}") from None
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"{name}: expected 'float32', 'float64' or None, got {dtype}")
    return np.dtype(np.float32) if dtype.itemsize == 4 else np.dtype(np.float64)


def check_random_state(value: object, name: str = "random_state") -> int:
    """A 64-bit seed: None draws one from the system, an integer in [0, 2^64) is one, a numpy generator gives one."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little")
    if isinstance(value, np.random.Generator):
        return int(value.integers(0, 2**64, dtype=np.uint64))
    if isinstance(value, np.random.RandomState):
        return int.from_bytes(value.bytes(8), "little")
    return check_scalar_int(value, name, minimum=0, maximum=2**64 - 1)


# --- Texts ---


def check_text(value: object, name: str) -> str:
    """A str without lone surrogates (which no UTF-8 can hold)."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a str, got {describe(value)}")
    _check_encodable(value, name, "")
    return str(value)


def check_path(value: object, name: str = "path") -> str | os.PathLike[str]:
    """A path of text that is not empty (which pathlib would take for the current folder)."""
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise TypeError(f"{name}: expected a str or a path, got {describe(value)}")
    if not text or "\0" in text:
        raise ValueError(f"{name}: expected the path of a file or directory, got {describe(text)}")
    return value


def check_texts(value: object, name: str) -> list[str]:
    """A sequence of str as a list. A str, an iterator or any other element is refused, naming its index."""
    items = _as_list(value, name, "a sequence of str")
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(f"{name}: expected a str, got {describe(item)} at index {i}")
        _check_encodable(item, name, f" at index {i}")
    return items


def _as_list(value: object, name: str, expected: str) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str | bytes):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__} [wrap it in a list]")
    if isinstance(value, dict | set | frozenset) or not (hasattr(value, "__len__") and isinstance(value, Iterable)):
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}")
    if isinstance(value, np.ndarray) and value.ndim != 1:
        raise ValueError(f"{name}: expected {expected}, got {describe(value)}")
    return list(value)


def _check_encodable(text: str, name: str, where: str) -> None:
    if text.isascii():  # a flag of the object: free
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: expected valid Unicode, got a lone surrogate U+{ord(text[error.start]):04X}"
            f"{where or ''}{' in' if where else ' at'} character {error.start}"
        ) from None


# --- Arrays ---


def check_array(
    value: object,
    name: str,
    *,
    ndim: int = 2,
    min_rows: int = 1,
    n_features: int | None = None,
    owner: str = "the model",
    finite: bool = True,
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Numbers as a C-contiguous native float32 or float64 array of rank `ndim` (rows first).

    float32 and float64 keep their type, float16 becomes float32, integers and bool become float64 if every value is
    exactly representable. Lists, frames, anything with `__array__` and CPU DLPack producers are taken. NaN and infinity
    are refused unless `finite=False`. `n_features`: the number of columns that `owner` was fitted with.
    """
    given = _to_ndarray(value, name)
    array = _to_float(given, value, name)
    _check_shape(array, name, ndim, min_rows)
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"{name}: X has {array.shape[1]} features, but {owner} is expecting {n_features} features as input"
        )
    array = _canonical(array, array.dtype.newbyteorder("="), name)
    if finite and given.dtype.kind not in "biu":
        _check_finite(array, name)
    return array


def as_strided_floats(value: object, name: str) -> NDArray[Any]:
    """Floats of 16, 32 or 64 bits where they are, of any rank and strides; bfloat16 as uint16, its bits.

    Other numbers are converted as by `check_array`, other byte orders and misaligned numbers copied.
    """
    if "bfloat16" in str(getattr(value, "dtype", "")):
        if isinstance(value, np.ndarray):
            return value.view(np.ndarray).view(np.uint16)
        _refuse_foreign(value, name, bfloat16=True)
        if not hasattr(value, "__dlpack__"):
            raise TypeError(f"{name}: expected an array with __dlpack__, got {describe(value)}")
        return _core.decoding.bfloat16_bits(value.__dlpack__())
    array = _to_ndarray(value, name)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        array = _to_float(array, value, name)
    if array.dtype.isnative and array.flags.aligned:
        return array
    return _canonical(array, array.dtype.newbyteorder("="), name)


def check_indices(
    value: object, name: str, *, n: int | None = None, dtype: type[np.integer[Any]] = np.int64, ndim: int = 1
) -> NDArray[Any]:
    """Integers as a C-contiguous native array of `dtype`, each in [0, n) (without n: whatever the type can hold)."""
    array = _to_ndarray(value, name)
    limits = np.iinfo(dtype)
    low, high = (int(limits.min), int(limits.max)) if n is None else (0, n - 1)
    if isinstance(value, list | tuple) or array.dtype == object:
        # numpy makes float64 of [0, 2**63] and int64 of [0, True]: look at the objects themselves.
        objects = np.asarray(value, dtype=object)
        for position, x in enumerate(objects.flat):
            if isinstance(x, bool) or not isinstance(x, int | np.integer):
                raise TypeError(f"{name}: expected integers, got {describe(x)}{_where(position, objects.shape)}")
            if not low <= x <= high:
                raise _index_error(name, int(x), n, dtype, position, objects.shape)
        array = objects.astype(dtype)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name}: expected a {ndim}-D array of integers, got shape {array.shape}")
    in_range = n is None and array.dtype == dtype  # nothing else fits the type
    if array.size and not in_range and (int(array.min()) < low or int(array.max()) > high):
        position = int(np.argmax((array < low) | (array > high)))
        raise _index_error(name, int(array.flat[position]), n, dtype, position, array.shape)
    return _canonical(array, np.dtype(dtype), name)


def _index_error(
    name: str, value: int, n: int | None, dtype: type[np.integer[Any]], position: int, shape: tuple[int, ...]
) -> ValueError:
    expected = f"integers that fit {np.dtype(dtype)}" if n is None else f"integers from 0 to {n - 1}"
    if n == 0:
        expected = "no index, as there is nothing to point at"
    return ValueError(f"{name}: expected {expected}, got {_short(value)}{_where(position, shape)}")


def check_out(
    out: object, name: str, *, shape: tuple[int, ...], dtype: Any, inputs: Iterable[NDArray[Any]] = ()
) -> NDArray[Any]:
    """An array to write a result into: exact shape and dtype, canonical, writeable, apart from every input."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {describe(out)}")
    if isinstance(out, np.ma.MaskedArray):
        raise ValueError(f"{name}: expected a plain numpy array, got a masked one")
    if out.dtype != dtype or out.shape != shape:
        raise ValueError(f"{name}: expected shape {shape} and dtype {np.dtype(dtype)}, got {describe(out)}")
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable and out.dtype.isnative):
        what = "a C-contiguous" if not flags.c_contiguous else "an aligned" if not flags.aligned else "a writeable"
        raise ValueError(f"{name}: expected {what} array, got one that is not")
    if any(np.may_share_memory(out, x) for x in inputs):
        raise ValueError(f"{name}: expected memory of its own, got an array that overlaps an input [pass a copy]")
    return out if type(out) is np.ndarray else out.view(np.ndarray)  # as numpy: the very array that came in


def _to_ndarray(value: object, name: str) -> NDArray[Any]:
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            if np.ma.is_masked(value):
                raise ValueError(f"{name}: expected no masked values, got a masked array [call .filled()]")
            return np.asarray(value.data)
        return value.view(np.ndarray)
    if value is None or isinstance(value, str | bytes | dict | set | frozenset):
        raise TypeError(f"{name}: expected an array of numbers, got {describe(value)}")
    _refuse_foreign(value, name)
    if not isinstance(value, list | tuple | int | float | complex | np.generic) and not hasattr(value, "__array__"):
        if hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        if not hasattr(value, "__len__"):
            raise TypeError(f"{name}: expected an array of numbers, got {describe(value)}")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:  # numpy: "inhomogeneous shape", without the argument's name
        raise ValueError(f"{name}: expected a rectangular array of numbers, got a ragged {describe(value)}") from error
    if isinstance(value, list | tuple) and array.dtype == np.float64:  # mixed numbers: integers may have been rounded
        for position, x in enumerate(np.asarray(value, dtype=object).flat):
            if isinstance(x, int | np.integer) and int(float(x)) != x:
                raise _inexact(name, int(x), position, array.shape)
    return array


def _inexact(name: str, value: int, position: int, shape: tuple[int, ...]) -> ValueError:
    where = _where(position, shape)
    return ValueError(f"{name}: expected integers that float64 holds exactly, got {_short(value)}{where}")


def _refuse_foreign(value: Any, name: str, *, bfloat16: bool = False) -> None:
    """Arrays that only their own library can hand over: the error says how."""
    if hasattr(value, "__cuda_array_interface__") or getattr(value, "is_cuda", False) is True:
        raise ValueError(f"{name}: expected an array in main memory, got one on a GPU [call .cpu()]")
    device = getattr(value, "__dlpack_device__", None)
    if getattr(value, "requires_grad", False) is True:
        raise ValueError(f"{name}: expected plain numbers, got a tensor that requires grad [call .detach()]")
    if getattr(value, "is_sparse", False) is True or str(getattr(value, "layout", "")).startswith("torch.sparse"):
        raise ValueError(f"{name}: expected a dense array, got a sparse tensor [call .to_dense()]")
    if not bfloat16 and str(getattr(value, "dtype", "")) == "torch.bfloat16":
        raise ValueError(f"{name}: expected a numpy dtype, got bfloat16 [call .float()]")
    if callable(getattr(value, "is_conj", None)) and (value.is_conj() or value.is_neg()):
        raise ValueError(f"{name}: expected plain numbers, got a lazily conjugated or negated tensor")
    if callable(device) and int(device()[0]) != 1:
        raise ValueError(f"{name}: expected an array in main memory, got one on another device [call .cpu()]")
    if hasattr(value, "tocsr") or (hasattr(value, "nnz") and hasattr(value, "indptr")):
        raise TypeError(f"{name}: expected a dense array, got the sparse {type(value).__name__} [call .toarray()]")


def _to_float(array: NDArray[Any], value: object, name: str) -> NDArray[Any]:
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize in (4, 8):
        return array
    if kind == "f" and array.dtype.itemsize == 2:
        check_size(array.size, 4, name)
        return array.astype(np.float32)
    if kind == "O":
        array = _numbers_of_objects(array, name)
        kind = array.dtype.kind
        if kind == "f":
            return array
    if kind in "biu":
        check_size(array.size, 8, name)
        converted = array.astype(np.float64)
        wide = kind != "b" and array.dtype.itemsize == 8 and array.size > 0
        if wide and not (array.min() >= -(2**53) and array.max() <= 2**53):
            # 2^63 and 2^64 are no values of the integer types: casting them back would be undefined.
            in_range = converted < (2.0**63 if kind == "i" else 2.0**64)
            exact = in_range & (np.where(in_range, converted, 0).astype(array.dtype) == array)
            if not exact.all():
                position = int(np.argmin(exact))
                raise _inexact(name, int(array.flat[position]), position, array.shape)
        return converted
    if kind == "c":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}: Complex data not supported")
    if kind in "US":
        raise TypeError(f"{name}: expected an array of numbers, got dtype {array.dtype}")
    hint = " [call .astype(numpy.float64)]" if kind == "f" else ""
    raise ValueError(f"{name}: expected float32, float64 or integers, got dtype {array.dtype}{hint}")


def _numbers_of_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    for position, x in enumerate(array.flat):
        if isinstance(x, list | tuple | np.ndarray):
            raise ValueError(
                f"{name}: expected a rectangular array of numbers, got {describe(x)}{_where(position, array.shape)}"
            )
        if not isinstance(x, int | float | np.integer | np.floating | np.bool_):
            where = _where(position, array.shape)
            raise TypeError(
                f"{name}: expected numbers, got {describe(x)}{where}: "
                "argument must be neither a string nor any other object, but a number"
            )
        if isinstance(x, int) and (abs(x) >= 2**1024 or int(float(x)) != x):
            raise _inexact(name, x, position, array.shape)
    return array.astype(np.float64)


def _check_shape(array: NDArray[Any], name: str, ndim: int, min_rows: int) -> None:
    shape = array.shape
    if array.ndim != ndim:
        hint = ""
        if ndim == 2 and array.ndim < 2:
            hint = ". Reshape your data [call .reshape(1, -1) for one sample, .reshape(-1, 1) for one feature]"
        raise ValueError(f"{name}: expected a {ndim}-D array, got shape {shape}{hint}")
    if shape[0] < min_rows:
        raise ValueError(
            f"{name}: expected at least {min_rows} row{'s' if min_rows > 1 else ''}, "
            f"got {shape[0]} sample(s) (shape={shape}) while a minimum of {min_rows} is required."
        )
    if ndim == 2 and shape[1] == 0:
        raise ValueError(
            f"{name}: expected at least 1 column, got 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )


def _canonical(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """The array itself if it is canonical, otherwise one copy with equal values."""
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    check_size(array.size, dtype.itemsize, name)
    return array.astype(dtype, order="C", copy=True)


def check_size(n_items: int, item_size: int, name: str) -> None:
    """Refuses a copy that cannot be, before it is tried: an overcommitting system would kill us while we fill it."""
    n_bytes = int(n_items) * item_size
    limit = _MAX_BYTES
    if n_bytes > 2**30:  # below that the question costs more than the answer is worth
        try:
            import resource

            soft = resource.getrlimit(resource.RLIMIT_AS)[0]
            if soft != resource.RLIM_INFINITY:
                limit = min(limit, int(0.95 * soft))
        except ImportError:  # not on Windows
            pass
    if n_bytes > limit:
        raise ValueError(f"{name}: expected an array that fits into memory, got one of {n_bytes} bytes")


def _check_finite(array: NDArray[Any], name: str) -> None:
    # A NaN or an infinity survives any sum of squares, and BLAS takes that in one fast pass (measured 1.4-2 times as
    # fast as isfinite().all() on float32, 3-5 times on float64). One that overflows proves nothing: a second pass.
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        if np.isfinite(np.vdot(flat, flat)):
            return
    finite = np.isfinite(array)
    if not finite.all():
        position = int(np.argmin(finite))
        bad = array.flat[position]
        text = "NaN" if np.isnan(bad) else "infinity" if bad > 0 else "-infinity"
        raise ValueError(f"{name}: expected finite values, got {text}{_where(position, array.shape)}")


def _where(position: int, shape: tuple[int, ...]) -> str:
    """Where a flat position lies: rows and columns count from 0."""
    if len(shape) == 0:
        return ""
    if len(shape) == 1:
        return f" at position {position}"
    index = [int(i) for i in np.unravel_index(position, shape)]
    if len(shape) == 2:
        return f" at row {index[0]}, column {index[1]}"
    return f" at index {tuple(index)}"
