"""TF-IDF beside a model's ranking, and the reciprocal rank fusion of both (Cormack, Clarke and Buettcher 2009)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_scalar_float, describe
from .vocabulary import Vocabulary

UNKNOWN_RANK = 999.0  # of a word that the model does not know


class Idf:
    """Inverse document frequencies of words, from whatever the user has."""

    def __init__(self, source: object, vocabulary: Vocabulary, counts: NDArray[np.int64] | None) -> None:
        self.knows_others = False  #: whether it says something about words outside the vocabulary
        self._of: Callable[[str], float]
        if source is None:
            if counts is None:
                raise ValueError("idf: expected a mapping, an array or an Index, as the model has no counts, got None")
            with np.errstate(divide="ignore"):
                self._of = self._by_vocabulary(-np.log(counts / counts.sum()), vocabulary)
        elif isinstance(source, Mapping):
            self.knows_others = True
            self._of = lambda word: _from_mapping(source, word)
        elif hasattr(source, "analyzer") and hasattr(source, "idf"):
            self.knows_others = True
            self._of = lambda word: _from_index(source, word)
        else:
            values = np.asarray(check_array(source, "idf", ndim=1), np.float64)
            if len(values) != len(vocabulary):
                raise ValueError(f"idf: expected {len(vocabulary)} entries, one a word, got {len(values)}")
            self._of = self._by_vocabulary(values, vocabulary)

    @staticmethod
    def _by_vocabulary(values: NDArray[np.float64], vocabulary: Vocabulary) -> Callable[[str], float]:
        return lambda word: float(values[vocabulary.ids[word]])

    def __call__(self, words: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self._of(word) for word in words], np.float64)


def _from_mapping(source: Mapping[Any, Any], word: str) -> float:
    try:
        value = source[word]
    except KeyError:
        raise ValueError(f"idf: expected a value for every word of the text, got none for {word!r}") from None
    return check_scalar_float(value, f"idf[{word!r}]")


def _from_index(index: Any, word: str) -> float:
    """``ln(1 + (N - df + 1/2) / (df + 1/2))`` of the rarest term that the index makes of a word; 0 if it has none."""
    terms = [word] if index.analyzer is None else index.analyzer.query_tokens(word)
    found = [df for df in map(index.df, terms) if df > 0]
    if not found:
        return 0.0
    df = min(found)
    return math.log1p((index.n_docs - df + 0.5) / (df + 0.5))


def ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 for the largest; ties in their order."""
    rank = np.empty(len(scores))
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return rank


def fuse(model_ranks: NDArray[np.float64], tfidf: NDArray[np.float64], rrf_k: float) -> NDArray[np.float64]:
    """``1 / (rrf_k + r1) + 1 / (rrf_k + r2)``, r2 the rank by TF-IDF."""
    return 1 / (rrf_k + model_ranks) + 1 / (rrf_k + ranks(tfidf))


def check_fuse(fuse: object) -> bool:
    if fuse not in (None, "tfidf"):
        raise ValueError(f"fuse: expected None or 'tfidf', got {describe(fuse)}")
    return fuse is not None
