"""BM25 in float64, slow and obvious: one document, one term at a time, straight from the formulas.

What the tests and the benchmarks compare with. It shares no code with the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray


class BM25Reference:
    """An index over documents that are sequences of tokens. Parameters as in `likewise.search.Index.build`."""

    def __init__(
        self,
        documents: Sequence[Sequence[str]],
        *,
        variant: str = "lucene",
        k1: float = 1.2,
        b: float = 0.75,
        delta: float | None = None,
        k3: float | None = None,
        nonoccurrence: bool = True,
    ) -> None:
        self.variant, self.k1, self.b, self.k3, self.nonoccurrence = variant, k1, b, k3, nonoccurrence
        self.delta = {"bm25l": 0.5, "bm25+": 1.0}.get(variant, 0.0) if delta is None else delta
        self.n_docs = len(documents)
        self.lengths = [len(document) for document in documents]
        self.average_length = sum(self.lengths) / self.n_docs if documents else 0.0
        self.postings: dict[str, dict[int, int]] = {}
        for d, document in enumerate(documents):
            for term, tf in Counter(document).items():
                self.postings.setdefault(term, {})[d] = tf
        self.mean_odds = sum(self._odds(len(p)) for p in self.postings.values()) / max(1, len(self.postings))

    def _odds(self, n: int) -> float:
        return log((self.n_docs - n + 0.5) / (n + 0.5))

    def idf(self, term: str) -> float:
        n, n_docs = len(self.postings[term]), self.n_docs
        match self.variant:
            case "lucene":
                return log(1 + (n_docs - n + 0.5) / (n + 0.5))
            case "robertson":
                return max(0.0, self._odds(n))
            case "atire":
                return log(n_docs / n)
            case "bm25l":
                return log((n_docs + 1) / (n + 0.5))
            case "bm25+":
                return log((n_docs + 1) / n)
            case "bm25":
                return max(1e-6, self._odds(n))
            case "okapi":
                return self._odds(n) if self._odds(n) >= 0 else max(0.0, 0.25 * self.mean_odds)
        raise ValueError(self.variant)

    def f(self, tf: int, length: int) -> float:
        k1, delta = self.k1, self.delta
        if tf == 0 and not self.nonoccurrence:
            return 0.0
        factor = 1 - self.b + (self.b * length / self.average_length if self.average_length > 0 else 0.0)
        saturation = tf / (tf + k1 * factor) if tf > 0 else 0.0
        if self.variant in ("lucene", "robertson"):
            return saturation
        if self.variant == "bm25+":
            return (k1 + 1) * saturation + delta
        if self.variant == "bm25l":
            c = tf / factor if tf > 0 else 0.0
            return (k1 + 1) * (c + delta) / (k1 + c + delta) if c + delta > 0 else 0.0
        return (k1 + 1) * saturation

    def weights(self, query: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
        if isinstance(query, Mapping):
            weights = dict(query)
        else:
            k3 = self.k3
            counts = Counter(query)
            weights = {t: float(n) if k3 is None else (k3 + 1) * n / (k3 + n) for t, n in counts.items()}
        return {term: weight for term, weight in weights.items() if term in self.postings}

    def scores(self, query: Sequence[str] | Mapping[str, float]) -> NDArray[np.float64]:
        """Scores of all documents."""
        out = np.zeros(self.n_docs)
        for term, weight in self.weights(query).items():
            idf, absent = self.idf(term), self.f(0, 0)
            if absent:
                out += weight * idf * absent
            for d, tf in self.postings[term].items():
                out[d] += weight * idf * (self.f(tf, self.lengths[d]) - absent)
        return out

    def search(self, query: Sequence[str] | Mapping[str, float], k: int) -> list[tuple[int, float]]:
        """The k best (document, score): only documents that gain from some term; ties by ascending number."""
        scores = self.scores(query)
        hits = {
            d
            for term, weight in self.weights(query).items()
            for d, tf in self.postings[term].items()
            if weight * self.idf(term) * (self.f(tf, self.lengths[d]) - self.f(0, 0)) > 0
        }
        return [(d, float(scores[d])) for d in sorted(hits, key=lambda d: (-scores[d], d))[:k]]
