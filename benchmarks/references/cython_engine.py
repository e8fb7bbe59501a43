"""Plain Cython loops over the same precomputed impacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import Corpus
from benchmarks.peers.engine import Engine, Hits

from .compiled import compiled
from .numpy_engine import NumpyReference


class CythonReference(Engine):
    """Scatter and scan, one loop each, one thread."""

    name = "cython"
    exact = True
    can_score_all = True

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.loops = compiled("bm25_loops")
        numpy_reference = NumpyReference(corpus, folder)
        self.terms = numpy_reference.terms
        self.documents, self.impacts = numpy_reference.documents, numpy_reference.impacts
        self.offsets = np.array(numpy_reference.offsets, dtype=np.int64)
        self.n_docs = corpus.n_docs

    def scores(self, words: list[str]) -> Any:
        """Scores of all documents, float32."""
        scores = np.zeros(self.n_docs, dtype=np.float32)
        terms = np.array([self.terms[word] for word in words], dtype=np.int32)
        self.loops.scatter(self.offsets, self.documents, self.impacts, terms, scores)
        return scores

    def searcher(self, k: int) -> Callable[[Any], Any]:
        def search(words: list[str]) -> tuple[Any, Any]:
            scores = self.scores(words)
            best = np.empty(min(k, self.n_docs), dtype=np.int32)
            best = best[: self.loops.top(scores, best)]
            return best, scores[best]

        return search

    def scorer(self) -> Callable[[Any], Any]:
        return self.scores

    def hits(self, result: Any) -> Hits:
        return result[0].astype(np.int64), result[1].astype(np.float64)
