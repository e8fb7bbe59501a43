"""The arguments that `sample` and `filter_logits` share: checked once for each combination, then remembered."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import (
    as_strided_floats,
    check_array,
    check_bool,
    check_indices,
    check_scalar_float,
    check_scalar_int,
)
from .floor import _MAX_STEP, check_floor

Number = float | ArrayLike
Integer = int | ArrayLike

# name, lower bound, whether it is excluded, upper bound
_RANGES: dict[str, tuple[float, bool, float]] = {
    "temperature": (0.0, False, math.inf),
    "top_p": (0.0, True, 1.0),
    "min_p": (0.0, False, 1.0),
    "typical_p": (0.0, True, 1.0),
}


class Settings(NamedTuple):
    """A native filter, and what must be known of it per call."""

    native: _core.decoding.Filter
    n_rows: int | None  # of arrays; None: only scalars
    name: str  # an argument with that many
    greatest_eos: int  # -1: none
    eos_name: str


def settings(
    temperature: Any,
    top_k: Any,
    top_p: Any,
    min_p: Any,
    typical_p: Any,
    eos_id: Any,
    consistent: Any,
    floor: Any,
) -> Settings:
    """The checked arguments, from memory where they are plain numbers."""
    if isinstance(eos_id, list):
        eos_id = tuple(eos_id)
    try:
        return _remembered(temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor)
    except TypeError as error:
        if not str(error).startswith("unhashable"):
            raise
    return _make(temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor)


def _make(
    temperature: Any,
    top_k: Any,
    top_p: Any,
    min_p: Any,
    typical_p: Any,
    eos_id: Any,
    consistent: Any,
    floor: Any,
) -> Settings:
    values: dict[str, NDArray[Any]] = {
        "temperature": _numbers(temperature, "temperature"),
        "top_k": _counts(top_k, "top_k", 2**63 - 1),
        "top_p": _numbers(top_p, "top_p"),
        "min_p": _numbers(min_p, "min_p"),
        "typical_p": _numbers(typical_p, "typical_p"),
    }
    n_rows, name = None, ""
    for argument, given in zip(values, (temperature, top_k, top_p, min_p, typical_p), strict=True):
        if np.ndim(given) == 0:
            continue
        size = values[argument].size
        if n_rows is not None and size != n_rows:
            raise ValueError(f"{argument}: expected as many values as {name}, {n_rows}, got {size}")
        n_rows, name = size, argument
    eos = end_tokens(eos_id)
    check_bool(consistent, "consistent")
    if check_floor(floor) is not None:
        if eos.size == 0:
            raise ValueError("floor: expected an eos_id that it can raise, got eos_id=None")
        if not consistent:
            raise ValueError("floor: expected consistent=True, got False")
    native = _core.decoding.Filter(
        **{key: value if value.size else _UNUSED[key] for key, value in values.items()},
        eos=eos,
        consistent=bool(consistent),
        epsilon=0.0 if floor is None else floor.epsilon,
        start=0 if floor is None else floor.start,
        skip_masked=floor is not None and floor.masked_eos == "skip",
    )
    return Settings(native, n_rows, name, int(eos.max(initial=-1)), "eos_id")


_remembered = lru_cache(maxsize=64, typed=True)(_make)

# What stands in for the arrays of a call without rows.
_UNUSED: dict[str, NDArray[Any]] = {
    "temperature": np.ones(1),
    "top_k": np.zeros(1, np.int64),
    "top_p": np.ones(1),
    "min_p": np.zeros(1),
    "typical_p": np.ones(1),
}


def _numbers(value: Any, name: str) -> NDArray[np.float64]:
    low, excluded, high = _RANGES[name]
    expected = f"finite numbers >= {low:g}" if high == math.inf else f"numbers {'>' if excluded else '>='} 0 and <= 1"
    if np.ndim(value) == 0:
        bounds: dict[str, Any] = {"exclusive_minimum": low} if excluded else {"minimum": low}
        return np.array([check_scalar_float(value, name, maximum=None if high == math.inf else high, **bounds)])
    array = check_array(value, name, ndim=1, min_rows=0, finite=False).astype(np.float64, copy=False)
    good = (array > low if excluded else array >= low) & (array <= high) & (array < math.inf)
    if not good.all():
        position = int(np.argmin(good))
        raise ValueError(f"{name}: expected {expected}, got {array[position]} at position {position}")
    return array


def _counts(value: Any, name: str, maximum: int) -> NDArray[np.int64]:
    if np.ndim(value) == 0:
        return np.array([check_scalar_int(value, name, minimum=0, maximum=maximum)], np.int64)
    array = check_indices(value, name)
    good = (array >= 0) & (array <= maximum)
    if not good.all():
        position = int(np.argmin(good))
        raise ValueError(f"{name}: expected integers >= 0, got {array[position]} at position {position}")
    return array


def end_tokens(value: Any) -> NDArray[np.int64]:
    """Different ids, in the order given."""
    if value is None:
        return np.zeros(0, np.int64)
    if np.ndim(value) == 0:
        ids = [check_scalar_int(value, "eos_id", minimum=0, maximum=2**63 - 1)]
    else:
        ids = check_indices(value, "eos_id").tolist()
        if not ids:
            raise ValueError("eos_id: expected at least one id, or None, got an empty sequence")
        if min(ids) < 0:
            raise ValueError(f"eos_id: expected ids >= 0, got {min(ids)}")
    return np.array(list(dict.fromkeys(ids)), np.int64)


def steps(step: Any, n_rows: int) -> NDArray[np.int64]:
    """One step, or one for each row."""
    if type(step) is int and 0 <= step <= _MAX_STEP:
        return np.array([step], np.int64)
    array = _counts(step, "step", _MAX_STEP)
    if np.ndim(step) and len(array) != n_rows:
        raise ValueError(f"step: expected one integer, or one for each of {n_rows} rows, got {len(array)}")
    return array


def rows_of(logits: Any, chosen: Settings) -> tuple[NDArray[Any], bool]:
    """The logits as a 2-D array that shares their memory, and whether they were one row without a batch axis."""
    array = logits if type(logits) is np.ndarray else None
    if array is None or array.dtype not in _FLOATS or not array.flags.aligned:
        array = as_strided_floats(logits, "logits")
    single = array.ndim == 1
    if single:
        array = array[None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"logits: expected shape (n_vocabulary,) or (n_rows, n_vocabulary), got {np.shape(logits)}")
    n_rows, n_vocabulary = array.shape
    if n_vocabulary >= 2**31:
        raise ValueError(f"logits: expected fewer than 2^31 columns, got {n_vocabulary}")
    if chosen.n_rows is not None and chosen.n_rows != n_rows:
        raise ValueError(
            f"{chosen.name}: expected one number, or one for each of {n_rows} rows, got {chosen.n_rows} values"
        )
    if chosen.greatest_eos >= n_vocabulary:
        raise ValueError(f"eos_id: expected ids from 0 to {n_vocabulary - 1}, got {chosen.greatest_eos}")
    return array, single


_FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.float64))
