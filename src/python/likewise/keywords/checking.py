"""Arrays of a model: as a user gives them, and as a file holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_indices
from ..errors import CorruptFileError

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_matrix(value: Any, name: str, rows: int | None, columns: int | None, check: bool) -> NDArray[Any]:
    array = check_array(value, name, finite=check)
    if (rows is not None and len(array) != rows) or (columns is not None and array.shape[1] != columns):
        raise ValueError(f"{name}: expected shape ({rows}, {columns}), got {array.shape}")
    return array


def check_word_counts(counts: Any, n_words: int) -> NDArray[np.int64] | None:
    if counts is None:
        return None
    array: NDArray[np.int64] = check_indices(counts, "counts")
    if len(array) != n_words:
        raise ValueError(f"counts: expected {n_words} entries, one a word, got {len(array)}")
    if n_words and array.min() < 0:
        position = int(np.argmin(array))
        raise ValueError(f"counts: expected no negative values, got {array[position]} at position {position}")
    return array


def same_dtype(vectors: NDArray[Any], other: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both in the larger of their types."""
    dtype = np.promote_types(vectors.dtype, other.dtype)
    return vectors.astype(dtype, copy=False), other.astype(dtype, copy=False)


def stored(container: Any, name: str, ndim: int, dtype: Any = None) -> NDArray[Any]:
    found = container.arrays.get(name)
    if found is None or found.ndim != ndim or (found.dtype not in _FLOATS if dtype is None else found.dtype != dtype):
        kind = "float32 or float64" if dtype is None else str(np.dtype(dtype))
        raise CorruptFileError(container.path, name, f"expected a {ndim}-D array of {kind}")
    return found  # type: ignore[no-any-return]


def stored_counts(container: Any, n_words: int) -> NDArray[np.int64] | None:
    if "counts" not in container.arrays:
        return None
    counts = stored(container, "counts", 1, np.int64)
    if len(counts) != n_words or (counts < 0).any():
        raise CorruptFileError(container.path, "counts", "expected one a word, none negative")
    return counts
