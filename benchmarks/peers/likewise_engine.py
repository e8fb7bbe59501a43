"""likewise itself, as a contestant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import likewise
from benchmarks.corpora import K1, B, Corpus
from likewise.search import Index

from .engine import Engine, Hits


class Likewise(Engine):
    """`likewise.search.Index`, called as a user calls it."""

    name = "likewise"
    version = likewise.__version__
    exact = True
    can_batch = True
    can_score_all = True

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.index = self._build(corpus, "lucene")

    @staticmethod
    def _build(corpus: Corpus, variant: str) -> Index:
        if corpus.load_texts is None:  # words of letters and digits, so that this index answers text as well
            texts = (" ".join(words) for words in corpus.token_lists())
            return Index.build(texts, analyzer="default", variant=variant, k1=K1, b=B, n_threads=1)
        return Index.build(corpus.token_lists(), analyzer=None, variant=variant, k1=K1, b=B, n_threads=1)

    @classmethod
    def of_variant(cls, corpus: Corpus, variant: str) -> Likewise:
        """The engine over an index of another formula."""
        engine = cls.__new__(cls)
        engine.index = cls._build(corpus, variant)
        return engine

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Likewise:
        """The engine over an index of raw texts, with the default analyzer."""
        engine = cls.__new__(cls)
        engine.index = Index.build(list(texts), k1=K1, b=B, n_threads=1)
        return engine

    def searcher(self, k: int) -> Callable[[Any], Any]:
        search = self.index.search
        return lambda words: search(words, k)

    def text_searcher(self, k: int) -> Callable[[str], Any]:
        search = self.index.search
        return lambda text: search(text, k)

    def batch_searcher(self, k: int, n_threads: int = 1) -> Callable[[Any], Any]:
        search = self.index.search_batch
        return lambda batch: search(batch, k, n_threads=n_threads)

    def scorer(self) -> Callable[[Any], Any]:
        scores: Callable[[Any], Any] = self.index.scores
        return scores

    def hits(self, result: Any) -> Hits:
        return result.doc_ids, result.scores
