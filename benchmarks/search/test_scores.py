"""Scores of all documents as an array."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Record

SCORERS = ("likewise", "bm25s", "rank_bm25", "numpy", "cython")
SETTINGS = [("debian", "short"), ("debian", "long"), ("1M", "short"), ("1M", "head"), ("1M", "long")]


@pytest.mark.parametrize(("arena", "setting"), SETTINGS, indirect=["arena"])
def test_all_documents(
    arena: Arena, setting: str, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    corpus = arena.corpus
    queries = corpus.query_words(setting, scale.queries[setting])
    contestants, scorers = [], {}
    for engine in arena.engines(SCORERS):
        scorer = engine.scorer()
        assert scorer is not None
        scorers[engine.name] = scorer
        items = [engine.prepare(words) for words in queries[: engine.most_queries]]
        contestants.append(Contestant(engine.name, scorer, items))
    if "bm25s" in scorers:
        for words in queries[:20]:
            np.testing.assert_allclose(scorers["likewise"](words), scorers["bm25s"](words), rtol=1e-5, atol=1e-7)
    workload = f"{corpus.name}, {setting}"
    found = contest("scores", workload, contestants, axes={"corpus": corpus.name, "setting": setting})
    found.compare(">= 3x get_scores of bm25s", 3.0, "bm25s")
    ours = found.row(OURS)
    assert ours is not None
    document_frequencies = np.diff(corpus.postings[0])
    terms = corpus.queries[setting]
    n_postings = float(document_frequencies[terms.tokens[: terms.indptr[len(queries)]]].sum()) / len(queries)
    budget = 1.2e-3 * n_postings + 0.15e-3 * corpus.n_docs  # microseconds
    ours.note = f"budget {budget:.1f} us: {n_postings:.0f} postings"
    found.limit("<= 1.2 ns a posting + .15 ns a document", ours.value / budget, 1.0)
    record(found)
