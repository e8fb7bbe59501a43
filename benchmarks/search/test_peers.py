"""Checks of the contestants themselves: no times here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import corpora
from benchmarks.corpora import K1, B, Corpus
from benchmarks.peers import MissingPeerError, engine_class
from benchmarks.peers.engine import compare_hits


@pytest.fixture(scope="module")
def small() -> Corpus:
    return corpora.load("1k")


def test_synthetic_is_the_corpus_of_the_specification(request: pytest.FixtureRequest) -> None:
    """Counts of the first million within 1 %: 43.9 M postings, 497 k terms, mean length 49.8."""
    if request.config.getoption("--quick"):
        pytest.skip("takes half a minute")
    corpus = corpora.load("1M")
    assert corpus.n_tokens / corpus.n_docs == pytest.approx(49.8, rel=0.01)
    assert len(np.unique(corpus.tokens)) == pytest.approx(497_000, rel=0.01)
    assert len(corpus.postings[1]) == pytest.approx(43.9e6, rel=0.01)


def test_bm25s_has_the_index_that_it_builds_itself(small: Corpus) -> None:
    """The benchmarks hand bm25s its arrays; here they are compared with those of its own build."""
    bm25s = pytest.importorskip("bm25s")
    own = bm25s.BM25(k1=K1, b=B, method="lucene")
    own.index(list(small.token_lists()), show_progress=False)
    ours = engine_class("bm25s-numpy")(small, corpora.cache_folder() / small.name)
    for words in small.query_words("short", 50):
        np.testing.assert_allclose(
            ours.retriever.get_scores(words),  # type: ignore[attr-defined]
            own.get_scores(words),
            rtol=2e-6,
        )


@pytest.mark.parametrize("name", ["bm25s", "numpy", "cython"])
def test_exact_contestants_agree(small: Corpus, name: str) -> None:
    """All that claim the formula `lucene` find the same documents with the same scores."""
    reference = engine_class("bm25s-numpy")(small, corpora.cache_folder() / small.name)
    try:
        engine = engine_class(name)(small, corpora.cache_folder() / small.name)
    except MissingPeerError as error:
        pytest.skip(str(error))
    for setting in small.queries:
        for words in small.query_words(setting, 20):
            hits = engine.hits(engine.searcher(10)(engine.prepare(words)))
            assert compare_hits(hits, reference.hits(reference.searcher(10)(words))) is None


def test_compare_hits_sees_differences() -> None:
    ids, scores = np.array([3, 1, 2]), np.array([2.0, 1.0, 1.0])
    assert compare_hits((ids, scores), (np.array([3, 2, 1]), scores)) is None
    assert compare_hits((ids, scores), (np.array([3, 1, 7]), scores)) is None  # tied at the cut
    assert "document at rank 0" in str(compare_hits((ids, scores), (np.array([1, 3, 2]), scores)))
    assert "score at rank 0" in str(compare_hits((ids, scores), (ids, scores * 1.001)))
    assert "3 hits against 2" in str(compare_hits((ids, scores), (ids[:2], scores[:2])))
