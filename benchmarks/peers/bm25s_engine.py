"""bm25s, with its numba backend (its fastest) and with its numpy backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import K1, B, Corpus

from .engine import Engine, Hits, MissingPeerError

try:
    import bm25s
except ImportError as error:
    raise MissingPeerError("pip install 'bm25s[core]' numba") from error


class _Bm25s(Engine):
    version = bm25s.__version__
    exact = True
    can_batch = True
    can_score_all = True
    backend = "numba"

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        if self.backend == "numba":
            try:
                import numba  # noqa: F401
            except ImportError as error:
                raise MissingPeerError("pip install numba") from error
        self.retriever = bm25s.BM25(k1=K1, b=B, method="lucene", backend=self.backend)
        # Its own index() takes minutes for a million documents; the arrays below are the same
        # (benchmarks/search/test_peers.py compares them) and its build is timed by itself.
        offsets, documents, _ = corpus.postings
        self.retriever.scores = {
            "data": corpus.lucene_impacts,
            "indices": documents,
            "indptr": offsets,
            "num_docs": corpus.n_docs,
        }
        self.retriever.vocab_dict = {word: term for term, word in enumerate(corpus.words)}
        self.retriever.unique_token_ids_set = set(self.retriever.vocab_dict.values())
        self.retriever.nonoccurrence_array = None
        self.n_docs = corpus.n_docs
        self.stemmer: Any = None

    def searcher(self, k: int) -> Callable[[Any], Any]:
        retrieve, k = self.retriever.retrieve, min(k, self.n_docs)
        return lambda words: retrieve([words], k=k, show_progress=False, n_threads=0)

    def text_searcher(self, k: int) -> Callable[[str], Any]:
        import Stemmer

        retrieve, k, tokenize = self.retriever.retrieve, min(k, self.n_docs), bm25s.tokenize
        stemmer = Stemmer.Stemmer("english")

        def search(text: str) -> Any:
            tokens = tokenize(text, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
            return retrieve(tokens, k=k, show_progress=False, n_threads=0)

        return search

    def prepare_batch(self, queries: Sequence[Sequence[str]]) -> Any:
        return [list(words) for words in queries]

    def batch_searcher(self, k: int, n_threads: int = 1) -> Callable[[Any], Any]:
        retrieve, k = self.retriever.retrieve, min(k, self.n_docs)
        threads = 0 if n_threads == 1 else n_threads
        return lambda batch: retrieve(batch, k=k, show_progress=False, n_threads=threads)

    def scorer(self) -> Callable[[Any], Any]:
        get_scores: Callable[[Any], Any] = self.retriever.get_scores
        return get_scores

    def hits(self, result: Any) -> Hits:
        documents, scores = result.documents[0], result.scores[0]
        found = scores > 0
        return documents[found].astype(np.int64), scores[found].astype(np.float64)


class Bm25sNumba(_Bm25s):
    """bm25s with its numba backend, compiled ahead of the timing."""

    name = "bm25s"
    backend = "numba"


class Bm25sNumpy(_Bm25s):
    """bm25s with its numpy backend (argpartition meets many equal zeros: slow for short queries)."""

    name = "bm25s-numpy"
    backend = "numpy"
