"""rank_bm25: every document is scored in numpy, whatever the query."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import K1, B, Corpus

from .engine import Engine, Hits, MissingPeerError

try:
    from rank_bm25 import BM25Okapi
except ImportError as error:
    raise MissingPeerError("pip install rank_bm25") from error


class RankBm25(Engine):
    """`rank_bm25.BM25Okapi` with a numpy selection of the best."""

    name = "rank_bm25"
    version = version("rank_bm25")
    exact = True
    variant = "okapi"
    can_score_all = True
    most_tokens = 4_000_000
    most_queries = 2

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.model = BM25Okapi(list(corpus.token_lists()), k1=K1, b=B)

    def searcher(self, k: int) -> Callable[[Any], Any]:
        get_scores = self.model.get_scores

        def search(words: list[str]) -> tuple[Any, Any]:
            scores = get_scores(words)
            best = np.argpartition(scores, -min(k, len(scores)))[-k:]
            best = best[np.lexsort((best, -scores[best]))]
            return best, scores[best]

        return search

    def scorer(self) -> Callable[[Any], Any]:
        get_scores: Callable[[Any], Any] = self.model.get_scores
        return get_scores

    def hits(self, result: Any) -> Hits:
        documents, scores = result
        found = scores > 0
        return documents[found].astype(np.int64), scores[found]
