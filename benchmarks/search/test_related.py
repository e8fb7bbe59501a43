"""Related documents of every Debian package, both modes; peers get the same queries ready made, on a sample."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale, hand_over, race
from benchmarks.peers.engine import compare_hits
from benchmarks.results import OURS, Record, Row

K = 10


def weighted_queries(arena: Arena, documents: list[int], mode: str) -> list[dict[str, int]]:
    """The query of every document: its keywords, or all its terms with their counts."""
    engine = arena.engine("likewise")
    assert engine is not None
    if mode == "keywords":
        keywords = engine.index.keywords  # type: ignore[attr-defined]
        return [{word: 1 for word, _ in keywords(document, 10, min_df=2)} for document in documents]
    corpus, queries = arena.corpus, []
    for document in documents:
        terms, counts = np.unique(
            corpus.tokens[corpus.indptr[document] : corpus.indptr[document + 1]], return_counts=True
        )
        queries.append({corpus.words[t]: int(c) for t, c in zip(terms.tolist(), counts.tolist(), strict=True)})
    return queries


def peers(arena: Arena, queries: list[dict[str, int]]) -> list[tuple[Contestant, Any]]:
    """Peers with the queries as each takes them; one hit more, because the document itself is among them."""
    tokens = [[word for word, count in query.items() for _ in range(count)] for query in queries]
    found: list[tuple[Contestant, Any]] = []
    bm25s = arena.engine("bm25s")
    if bm25s is not None:
        found.append((Contestant("bm25s", bm25s.batch_searcher(K + 1), [tokens]), bm25s))  # type: ignore[arg-type]
    tantivy = arena.engine("tantivy")
    if tantivy is not None:
        search, make = tantivy.searcher(K + 1), tantivy.prepare_weighted  # type: ignore[attr-defined]
        prepared = [make(query) for query in queries]
        found.append((Contestant("tantivy", lambda items: [search(item) for item in items], [prepared]), tantivy))
    for name in ("pisa-bmm", "pisa-maxscore"):
        pisa = arena.engine(name)
        if pisa is not None:
            batch = [(i, {word: float(count) for word, count in query.items()}) for i, query in enumerate(queries)]
            found.append((Contestant(name, pisa.batch_searcher(K + 1), [batch]), pisa))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
@pytest.mark.parametrize("mode", ["keywords", "full"])
def test_related(arena: Arena, mode: str, scale: Scale, record: Callable[[Record], Record], benchmark: Any) -> None:
    corpus = arena.corpus
    engine = arena.engine("likewise")
    assert engine is not None
    index = engine.index  # type: ignore[attr-defined]
    sample = random.Random(1).sample(range(corpus.n_docs), 100 if scale.quick else 1000)
    ours = np.arange(corpus.n_docs) if not scale.quick else np.array(sample * 10)
    rivals = peers(arena, weighted_queries(arena, sample, mode))
    compare_with_bm25s(arena, index, sample[:20], mode)

    def related(documents: Any) -> Any:
        return index.related(documents, K, mode=mode, n_threads=1)

    contestants = [Contestant("likewise", related, [ours]), *[contestant for contestant, _ in rivals]]
    # Ours runs over every document, so a round of it takes seconds: few rounds, and no warming of the whole.
    related(np.array(sample))
    timings = race(contestants, rounds=3, budget=scale.budget * 3, warm=False)
    rows = []
    for timing in timings.values():
        n_queries = len(ours) if timing.name == OURS else len(sample)
        timing.rounds = [seconds / n_queries for seconds in timing.rounds]
        note = f"all {n_queries}" if timing.name == OURS and not scale.quick else f"sample of {n_queries}, per query"
        rows.append(Row(timing.name, timing.median * 1e6, timing.best * 1e6, len(timing.rounds), note))
    found = Record("related", f"debian, {mode}, k={K}", "us per document", rows)
    found.compare(">= 5x the fastest peer, per query", 5.0)
    hand_over(benchmark, timings, f"related: {mode}")
    record(found)


def compare_with_bm25s(arena: Arena, index: Any, sample: list[int], mode: str) -> None:
    """Fail where bm25s finds other documents for the same query, the document itself left out."""
    bm25s = arena.engine("bm25s")
    if bm25s is None:
        return
    search = bm25s.searcher(K + 1)
    ours = index.related(np.array(sample), K, mode=mode)
    for i, query in enumerate(weighted_queries(arena, sample, mode)):
        ids, scores = bm25s.hits(search([word for word, count in query.items() for _ in range(count)]))
        others = ids != sample[i]
        count = int(ours.n_hits[i])
        hits = (ours.doc_ids[i, :count], ours.scores[i, :count])
        difference = compare_hits(hits, (ids[others][:K], scores[others][:K]))
        assert difference is None, f"related({sample[i]}, mode={mode!r}): {difference}"
