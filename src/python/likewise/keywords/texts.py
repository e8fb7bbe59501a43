"""Texts as the core takes them: the distinct known words of each, how often they occur, and the candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_choice, check_indices, describe
from .vocabulary import Vocabulary

_FEW = 100_000  # tokens
_SHOWN = 5  # unknown words that an error text lists


@dataclass(frozen=True)
class Bag:
    """Distinct words in the order of their first occurrence, and how often each occurs."""

    ids: NDArray[np.int64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, ids: NDArray[np.int64], counts: NDArray[np.float64] | None = None) -> Bag:
        if len(ids) <= _FEW:  # a dictionary keeps the order and, for a text, beats sorting
            if counts is None:
                found = Counter(ids.tolist())
                return cls(
                    np.fromiter(found, np.int64, len(found)), np.fromiter(found.values(), np.float64, len(found))
                )
            if len(set(ids.tolist())) == len(ids):
                return cls(ids, counts)
        distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return cls(distinct[order], np.bincount(inverse, counts, len(distinct)).astype(np.float64)[order])

    def without(self, ids: frozenset[int]) -> Bag:
        if ids.isdisjoint(self.ids.tolist()):
            return self
        keep = np.array([i not in ids for i in self.ids.tolist()])
        return Bag(self.ids[keep], self.counts[keep])


def check_tokens(tokens: object, name: str = "tokens") -> list[Any] | NDArray[np.int64]:
    """A list of str, or an integer array (of any length, also 0)."""
    if isinstance(tokens, str | bytes):
        raise TypeError(f"{name}: expected a sequence of tokens, got {type(tokens).__name__}; split it first")
    if isinstance(tokens, np.ndarray) and tokens.dtype.kind in "iufb":
        return check_indices(tokens, name)
    if isinstance(tokens, dict | set | frozenset) or not (hasattr(tokens, "__len__") and isinstance(tokens, Iterable)):
        raise TypeError(f"{name}: expected a sequence of tokens, got {describe(tokens)}")
    items = list(tokens)
    if items and all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items):
        return check_indices(items, name)
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(f"{name}: expected a str, got {describe(item)} at index {position}")
    return items


def known_ids(vocabulary: Vocabulary, tokens: list[Any] | NDArray[np.int64], name: str = "tokens") -> NDArray[np.int64]:
    """The ids of the known ones; ids must be known."""
    if isinstance(tokens, np.ndarray):
        return check_indices(tokens, name, n=len(vocabulary))
    get = vocabulary.ids.get
    return np.array([i for i in map(get, tokens) if i is not None], np.int64)


def check_counts(counts: object, n: int) -> NDArray[np.float64]:
    """Multiplicities of n ids: finite, none negative."""
    array = np.asarray(check_array(counts, "counts", ndim=1, min_rows=0), np.float64)
    if len(array) != n:
        raise ValueError(f"counts: expected {n} entries, one an id, got {len(array)}")
    if n and array.min() < 0:
        position = int(np.argmin(array))
        raise ValueError(f"counts: expected no negative values, got {array[position]} at position {position}")
    return array


def candidate_ids(vocabulary: Vocabulary, candidates: object, missing: str) -> NDArray[np.int64]:
    """Words or ids, each once. Unknown words are refused, or left out where `missing` is "ignore"."""
    check_choice(missing, "missing", ("raise", "ignore"))
    items = check_tokens(candidates, "candidates")
    if isinstance(items, list) and missing == "raise":
        unknown = [word for word in items if word not in vocabulary.ids]
        if unknown:
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            shown = ", ".join(map(repr, unknown[:_SHOWN]))
            raise ValueError(f"candidates: expected words of the vocabulary, got {shown}{more} [missing='ignore']")
    ids = known_ids(vocabulary, items, "candidates")
    distinct, first = np.unique(ids, return_index=True)
    if len(distinct) != len(ids):
        position = int(np.setdiff1d(np.arange(len(ids)), first)[0])
        again = vocabulary.words[ids[position]]
        raise ValueError(f"candidates: expected distinct words, got {again!r} again")
    return ids


def offsets(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.fromiter(accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)
