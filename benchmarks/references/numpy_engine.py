"""The plain numpy way: precomputed impacts, scatter them term by term, select."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import Corpus
from benchmarks.peers.engine import Engine, Hits


class NumpyReference(Engine):
    """Scatter by fancy indexing (a term's documents are distinct), then select among the touched documents."""

    name = "numpy"
    version = np.__version__
    exact = True
    can_score_all = True

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        offsets, self.documents, _ = corpus.postings
        self.impacts = corpus.lucene_impacts
        self.terms = {word: term for term, word in enumerate(corpus.words)}
        self.offsets = offsets.tolist()
        self.n_docs = corpus.n_docs

    def scores(self, words: list[str]) -> Any:
        """Scores of all documents, float32."""
        scores = np.zeros(self.n_docs, dtype=np.float32)
        for word in words:
            term = self.terms[word]
            part = slice(self.offsets[term], self.offsets[term + 1])
            scores[self.documents[part]] += self.impacts[part]
        return scores

    def searcher(self, k: int) -> Callable[[Any], Any]:
        def search(words: list[str]) -> tuple[Any, Any]:
            scores = self.scores(words)
            touched = np.flatnonzero(scores)  # argpartition over many equal zeros is 20 times slower
            best = scores[touched]
            if len(touched) > k:
                selected = np.argpartition(best, len(best) - k)[-k:]
                touched, best = touched[selected], best[selected]
            order = np.lexsort((touched, -best))
            return touched[order], best[order]

        return search

    def scorer(self) -> Callable[[Any], Any]:
        return self.scores

    def hits(self, result: Any) -> Hits:
        return result[0].astype(np.int64), result[1].astype(np.float64)
