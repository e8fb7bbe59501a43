"""What may stand for a query: a text, a sequence of tokens, or a mapping of tokens to weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_scalar_float, check_text, describe
from .analyzer import Analyzer

Query = str | Sequence[str] | Mapping[str, float]
UNKNOWN = 0xFFFFFFFF

_Arrays = tuple[NDArray[np.uint32], NDArray[np.float64]]
_BatchArrays = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]


class QueryReader:
    """Turns queries into the terms of one index and their weights.

    `analyzer` is a str where the index needs a tokenizer of that name, which nobody handed in.
    """

    __slots__ = ("_analyzer", "_core", "_k3")

    def __init__(self, core: _core.search.Index, analyzer: Analyzer | str | None, k3: float) -> None:
        self._core, self._analyzer, self._k3 = core, analyzer, k3

    def tokens(self, query: object, name: str = "query") -> list[str]:
        """The tokens of a query that is not a mapping: a text is analysed, a sequence is taken as it is."""
        if isinstance(query, str):
            if self._analyzer is None:
                raise TypeError(
                    f"{name}: expected a sequence of tokens, as the index was built with analyzer=None, got "
                    f"{describe(query)}"
                )
            if isinstance(self._analyzer, str):
                raise ValueError(
                    f"{name}: expected a sequence of tokens, as texts need the tokenizer {self._analyzer!r}, got "
                    f"{describe(query)} [pass tokenizer= to Index.open]"
                )
            return self._analyzer.query_tokens(check_text(query, name))
        if isinstance(query, list):
            return query
        is_sequence = isinstance(query, Sequence) or (hasattr(query, "__array__") and hasattr(query, "__len__"))
        if not is_sequence or isinstance(query, bytes | bytearray | memoryview):
            expected = "a str, a sequence of str tokens or a mapping of tokens to weights"
            raise TypeError(f"{name}: expected {expected}, got {describe(query)}")
        return _listed(query)

    def dropped(self, query: object) -> list[tuple[str, str]]:
        """The distinct words of a text that analysis drops, each with the reason."""
        if not isinstance(query, str) or not isinstance(self._analyzer, Analyzer):
            return []
        return [(word, reason) for word, reason in dict(self._analyzer.reasons(query)).items() if reason is not None]

    def arrays(self, query: object, name: str = "query") -> _Arrays:
        """Distinct known terms in order of first occurrence, and their weights."""
        if isinstance(query, Mapping):
            return self._weighted(query, name)
        tokens = self.tokens(query, name)
        try:
            return self._core.make_query(tokens, self._k3)
        except (TypeError, ValueError):
            refuse_bad_token(tokens, name)
            raise

    def batch(self, queries: object) -> _BatchArrays:
        """The arrays of many queries, one after the other: (offsets, terms, weights)."""
        if isinstance(queries, str | bytes | Mapping):
            kind = type(queries).__name__
            raise TypeError(f"queries: expected a sequence of queries, got {kind} [wrap it in a list]")
        if not (isinstance(queries, Iterable) and hasattr(queries, "__len__")):
            raise TypeError(f"queries: expected a sequence of queries, got {describe(queries)}")
        rows = _listed(queries)
        kinds = set(map(type, rows))  # few, where rows are many
        if any(issubclass(kind, Mapping) for kind in kinds):
            return self._concatenate([self.arrays(row, f"queries[{i}]") for i, row in enumerate(rows)])
        tokens = rows if kinds == {list} else [self.tokens(row, f"queries[{i}]") for i, row in enumerate(rows)]
        try:
            return self._core.make_queries(tokens, self._k3)
        except (TypeError, ValueError):
            for i, row in enumerate(tokens):
                refuse_bad_token(row, f"queries[{i}]")
            raise

    def _weighted(self, query: Mapping[Any, Any], name: str) -> _Arrays:
        tokens = list(query)
        least = 1e-200 if self._core.float64 else 1e-20  # the core's own limit: beyond it scores lose their precision
        weights = np.array([_check_weight(query[token], token, name, least) for token in tokens], dtype=np.float64)
        try:
            terms = self._core.find_terms(tokens)
        except (TypeError, ValueError):
            refuse_bad_token(tokens, name)
            raise
        known = terms != UNKNOWN
        return terms[known], weights[known]

    @staticmethod
    def _concatenate(rows: list[_Arrays]) -> _BatchArrays:
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(terms) for terms, _ in rows], out=offsets[1:])
        terms = np.concatenate([terms for terms, _ in rows]) if rows else np.empty(0, dtype=np.uint32)
        weights = np.concatenate([weights for _, weights in rows]) if rows else np.empty(0, dtype=np.float64)
        return offsets, terms, weights


def _listed(values: Any) -> list[Any]:
    """The elements as Python's objects; pyarrow iterates over its own."""
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def _check_weight(weight: object, token: object, name: str, least: float) -> float:
    if type(weight) is float and (least <= weight <= 1 / least or weight == 0.0):
        return weight
    where = f"{name}[{describe(token)}]"
    number = check_scalar_float(weight, where, minimum=0.0)
    if number != 0.0 and not least <= number <= 1 / least:
        raise ValueError(f"{where}: expected a weight of 0, or from {least:g} to {1 / least:g}, got {describe(weight)}")
    return number


def refuse_bad_token(tokens: list[Any], name: str) -> None:
    """Raise what is wrong with the first token that is no valid str."""
    for position, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"{name}: expected str tokens, got {describe(token)} at position {position}")
        check_text(token, f"{name}[{position}]")
