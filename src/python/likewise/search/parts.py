"""What an index is made of: its arrays, and the checked objects over them that answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .keys import IntegerKeys, Keys, StringKeys
from .scoring import Scoring

Arrays = dict[str, NDArray[Any]]

_SEGMENT_DTYPES = {
    "document_lengths": np.uint32,
    "posting_offsets": np.uint64,
    "posting_documents": np.uint32,
    "posting_frequencies": np.uint8,
    "large_positions": np.uint64,
    "large_frequencies": np.uint32,
    "term_offsets": np.uint64,
    "term_bytes": np.uint8,
    "term_slots": np.uint32,
}
_STRING_DTYPES = {"offsets": np.uint64, "bytes": np.uint8}
_KEY_DTYPES: dict[str, dict[str, type[np.generic]]] = {
    "none": {},
    "int": {"key_values": np.int64, "key_slots": np.uint32},
    "str": {"key_offsets": np.uint64, "key_bytes": np.uint8, "key_slots": np.uint32},
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The core's index, the documents' keys, and what is optional: display forms of the terms, stored texts."""

    arrays: Arrays
    core: _core.search.Index
    keys: Keys
    forms: _core.search.StringList | None
    texts: _core.search.StringList | None

    @classmethod
    def make(cls, arrays: Arrays, keys: Keys, scoring: Scoring, *, full: bool) -> Parts:
        """Check the arrays of a new index. `keys` adds its own to them."""
        core = _core.search.Index.validate(arrays, **scoring.core_parameters, full=full)
        forms, texts = (_strings(arrays, name, n) for name, n in (("form", core.n_terms), ("text", core.n_docs)))
        return cls({**arrays, **keys.arrays()}, core, keys, forms, texts)

    @classmethod
    def from_stored(cls, arrays: Mapping[str, NDArray[Any]], key_kind: object, scoring: Scoring, *, full: bool) -> Parts:
        """Check arrays that came from a file. Raises the core's `CorruptError` where they break the rules."""
        if not isinstance(key_kind, str) or key_kind not in _KEY_DTYPES:
            raise corrupt("parameters", "expected key_kind none, int or str")
        _require(arrays, _SEGMENT_DTYPES)
        _require(arrays, _KEY_DTYPES[key_kind])
        n_docs = len(arrays["document_lengths"])
        keys: Keys
        if key_kind == "str":
            keys = StringKeys(arrays["key_offsets"], arrays["key_bytes"], arrays["key_slots"])
        elif key_kind == "int":
            keys = IntegerKeys(arrays["key_values"], arrays["key_slots"])
        else:
            keys = Keys(n_docs)
        if len(keys) != n_docs:
            raise corrupt("key_slots", f"expected one key a document ({n_docs}), found {len(keys)}")
        parts = cls.make(dict(arrays), keys, scoring, full=full)
        if full:
            parts._check_strings()
        return parts

    def check(self) -> None:
        """Check all content. Raises the core's `CorruptError` where it breaks the rules."""
        self.core.check()
        self._check_strings()

    def _check_strings(self) -> None:
        self.keys.check()
        for strings in (self.forms, self.texts):
            if strings is not None:
                strings.check()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays and of what searches derive from them."""
        counted_by_core = set(_SEGMENT_DTYPES)
        return self.core.nbytes + sum(a.nbytes for name, a in self.arrays.items() if name not in counted_by_core)


def corrupt(array: str, reason: str) -> _core.CorruptError:
    """The core's own error, for what the core does not see."""
    error = _core.CorruptError(f"{array}: {reason}")
    error.array, error.reason = array, reason
    return error


def _require(arrays: Mapping[str, NDArray[Any]], dtypes: Mapping[str, type[np.generic]]) -> None:
    for name, dtype in dtypes.items():
        array = arrays.get(name)
        if array is None:
            raise corrupt(name, "expected this array, found none")
        if array.dtype != dtype or array.ndim != 1:
            raise corrupt(name, f"expected {np.dtype(dtype)} of rank 1, found {array.dtype} of rank {array.ndim}")


def _strings(arrays: Mapping[str, NDArray[Any]], name: str, size: int) -> _core.search.StringList | None:
    """The optional strings of this name."""
    names = {f"{name}_{part}": dtype for part, dtype in _STRING_DTYPES.items()}
    if not any(part in arrays for part in names):
        return None
    _require(arrays, names)
    return _core.search.StringList(arrays[f"{name}_offsets"], arrays[f"{name}_bytes"], size, name)
