"""The ids that users give to documents, and the way from them to doc_ids and back."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_indices, describe
from ..errors import CorruptFileError

Id = str | int
_MAX_LISTED = 5
_INT64 = np.iinfo(np.int64)


class Keys:
    """Ids of an index that was given none: a document's id is its doc_id, 0 to `n_docs` - 1."""

    __slots__ = ("n_docs",)
    kind = "none"

    def __init__(self, n_docs: int) -> None:
        self.n_docs = n_docs

    def __len__(self) -> int:
        return self.n_docs

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that are stored with the index."""
        return {}

    def __contains__(self, key: object) -> bool:
        return _is_integer(key) and self._find(operator.index(key)) >= 0  # type: ignore[arg-type]

    def doc_id(self, key: object, name: str = "id") -> int:
        """The doc_id of one id. `KeyError` if there is none, `TypeError` if it is no id at all."""
        if not _is_integer(key):
            raise TypeError(f"{name}: expected an int, got {describe(key)}")
        found = self._find(operator.index(key))  # type: ignore[arg-type]
        if found < 0:
            raise KeyError(f"{name}: expected an id of the index, got {describe(key)}")
        return found

    def doc_ids(self, keys: object, name: str = "ids") -> NDArray[np.int64]:
        """The doc_ids of many ids. `KeyError` lists the first 5 unknown ones."""
        wanted = check_indices(keys, name)
        return _all_known(self._find_all(wanted), wanted.tolist, name)

    def is_single(self, value: object) -> bool:
        """Whether a value stands for one id rather than many."""
        return isinstance(value, str) or _is_integer(value) or not hasattr(value, "__len__")

    def key(self, doc_id: int) -> Id:
        """The id of one document."""
        return doc_id

    def take(self, doc_ids: NDArray[np.int64]) -> NDArray[Any]:
        """The ids of documents, in an array of the same shape; what stands for -1 is -1 (None for str ids)."""
        return doc_ids.copy()

    def all(self) -> NDArray[Any]:
        """The ids of all documents."""
        return self.take(np.arange(self.n_docs, dtype=np.int64))

    def check(self) -> None:
        """Raise the core's `CorruptError` unless every id is found under itself."""

    def _find(self, key: int) -> int:
        return key if 0 <= key < self.n_docs else -1

    def _find_all(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where((keys >= 0) & (keys < self.n_docs), keys, -1)


class IntegerKeys(Keys):
    """Unique integers, found through a hash table that is stored with them."""

    __slots__ = ("_slots", "_table", "_values")
    kind = "int"

    def __init__(self, values: NDArray[np.int64], slots: NDArray[np.uint32]) -> None:
        super().__init__(len(values))
        self._values, self._slots = values, slots
        self._table = _core.search.IntegerTable(values, slots, "key")

    @classmethod
    def make(cls, values: NDArray[np.int64]) -> IntegerKeys:
        """Hash unique values."""
        slots, duplicate = _core.search.hash_integers(values)
        if duplicate >= 0:
            raise _duplicates(values.tolist())
        return cls(values, slots)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"key_slots": self._slots, "key_values": self._values}

    def key(self, doc_id: int) -> Id:
        return int(self._values[doc_id])

    def take(self, doc_ids: NDArray[np.int64]) -> NDArray[Any]:
        if len(self._values) == 0:
            return np.full(doc_ids.shape, -1, dtype=np.int64)
        return np.where(doc_ids < 0, -1, self._values[doc_ids])

    def all(self) -> NDArray[Any]:
        return self._values.copy()

    def check(self) -> None:
        self._table.check()

    def _find(self, key: int) -> int:
        return self._table.find(key) if _INT64.min <= key <= _INT64.max else -1

    def _find_all(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._table.find_all(keys)


class StringKeys(Keys):
    """Unique strings, found through a hash table that is stored with them."""

    __slots__ = ("_bytes", "_offsets", "_path", "_slots", "_table")
    kind = "str"

    def __init__(
        self,
        offsets: NDArray[np.uint64],
        bytes_: NDArray[np.uint8],
        slots: NDArray[np.uint32],
        *,
        path: str = "<memory>",
    ) -> None:
        super().__init__(len(offsets) - 1)
        self._path = path
        self._offsets, self._bytes, self._slots = offsets, bytes_, slots
        self._table = _core.search.StringTable(offsets, bytes_, slots, "key")

    @classmethod
    def make(cls, strings: list[str]) -> StringKeys:
        """Hash unique strings."""
        offsets, bytes_, slots, duplicate = _core.search.pack_strings(strings)
        if duplicate >= 0:
            raise _duplicates(strings)
        return cls(offsets, bytes_, slots)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"key_bytes": self._bytes, "key_offsets": self._offsets, "key_slots": self._slots}

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._table.find(key) >= 0

    def doc_id(self, key: object, name: str = "id") -> int:
        if not isinstance(key, str):
            raise TypeError(f"{name}: expected a str, got {describe(key)}")
        found = self._table.find(key)
        if found < 0:
            raise KeyError(f"{name}: expected an id of the index, got {describe(key)}")
        return found

    def doc_ids(self, keys: object, name: str = "ids") -> NDArray[np.int64]:
        if isinstance(keys, str | bytes | Mapping) or not (hasattr(keys, "__len__") and isinstance(keys, Iterable)):
            raise TypeError(f"{name}: expected a sequence of str, got {describe(keys)}")
        # pyarrow iterates over objects of its own
        wanted: list[str] = keys.to_pylist() if hasattr(keys, "to_pylist") else list(keys)
        for position, key in enumerate(wanted):
            if not isinstance(key, str):
                raise TypeError(f"{name}: expected a str, got {describe(key)} at position {position}")
        return _all_known(self._table.find_all(wanted), lambda: wanted, name)

    def key(self, doc_id: int) -> Id:
        try:
            return self._table.get(doc_id)
        except _core.CorruptError as error:
            raise self._damaged(error) from None

    def take(self, doc_ids: NDArray[np.int64]) -> NDArray[Any]:
        try:
            strings = self._table.take(np.ascontiguousarray(doc_ids).reshape(-1))
        except _core.CorruptError as error:
            raise self._damaged(error) from None
        return np.array(strings, dtype=object).reshape(doc_ids.shape)

    def _damaged(self, error: _core.CorruptError) -> CorruptFileError:
        """The error that knows the file. Opened without a full check, the text of the keys has not been looked at."""
        return CorruptFileError(self._path, error.array, error.reason)

    def check(self) -> None:
        self._table.check()


def make_keys(keys: Sequence[Id] | NDArray[Any] | None, n_docs: int) -> Keys:
    """Keys of what `ids` gave: None, str of which each is unique, or int of which each is unique and fits 64 bits.

    Errors name the first 3 positions at fault: `ValueError` for a wrong number of ids or duplicates, `TypeError` for
    mixed types, bool and anything that is neither str nor int.
    """
    if keys is None:
        return Keys(n_docs)
    if len(keys) != n_docs:
        raise ValueError(f"ids: expected one id a document ({n_docs}), got {len(keys)}")
    if isinstance(keys, np.ndarray) and keys.dtype.kind in "iu":
        return IntegerKeys.make(check_indices(keys, "ids"))
    values: list[Any] = keys.tolist() if isinstance(keys, np.ndarray) else list(keys)
    if all(isinstance(key, str) for key in values):
        return StringKeys.make(values)
    wanted = str if isinstance(values[0], str) else int
    bad = [i for i, key in enumerate(values) if not (_is_integer(key) if wanted is int else isinstance(key, str))]
    if bad:
        shown = ", ".join(f"{describe(values[i])} at position {i}" for i in bad[:3])
        raise TypeError(f"ids: expected unique str or unique int ids, got {shown}")
    numbers = [operator.index(key) for key in values]
    beyond = [i for i, key in enumerate(numbers) if not _INT64.min <= key <= _INT64.max]
    if beyond:
        shown = ", ".join(f"{describe(numbers[i])} at position {i}" for i in beyond[:3])
        raise ValueError(f"ids: expected integers that fit int64, got {shown}")
    return IntegerKeys.make(np.array(numbers, dtype=np.int64))


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _duplicates(keys: Sequence[Id]) -> ValueError:
    """The error that names the first 3 ids that equal an earlier one."""
    seen: dict[Id, int] = {}
    found: list[str] = []
    for position, key in enumerate(keys):
        first = seen.setdefault(key, position)
        if first != position:
            found.append(f"{describe(key)} at position {position} (first at {first})")
            if len(found) == 3:
                break
    return ValueError(f"ids: expected unique ids, got a duplicate {', '.join(found)}")


def _all_known(found: NDArray[np.int64], keys: Any, name: str) -> NDArray[np.int64]:
    unknown = np.flatnonzero(found < 0)
    if unknown.size:
        wanted = keys()
        shown = ", ".join(describe(wanted[i]) for i in unknown[:_MAX_LISTED].tolist())
        more = f" and {unknown.size - _MAX_LISTED} more" if unknown.size > _MAX_LISTED else ""
        raise KeyError(f"{name}: expected ids of the index, got {shown}{more}")
    return found
