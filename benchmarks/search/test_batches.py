"""Many queries in one call: against the peers that have one, and against tantivy in a loop; one thread and two."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.peers.engine import compare_hits
from benchmarks.results import Record

BATCHERS = ("likewise", "bm25s", "pisa-bmw", "pisa-bmm", "pisa-maxscore")
SETTINGS = [
    *[("debian", setting, k) for setting in ("short", "long") for k in (10, 1000)],
    *[("1M", setting, k) for setting in ("short", "head", "long") for k in (10, 1000)],
]


@pytest.mark.parametrize(("arena", "setting", "k"), SETTINGS, indirect=["arena"])
def test_one_thread(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    queries = arena.corpus.query_words(setting, scale.queries[setting])
    compare_with_bm25s(arena, queries[:20], k)
    contestants = []
    for engine in arena.engines(BATCHERS):
        search = engine.batch_searcher(k)
        assert search is not None
        contestants.append(Contestant(engine.name, search, [engine.prepare_batch(queries)]))
    tantivy = arena.engine("tantivy")
    if tantivy is not None:
        search = tantivy.searcher(k)
        loop = [tantivy.prepare(words) for words in queries]
        contestants.append(Contestant("tantivy loop", lambda items: [search(item) for item in items], [loop]))
    workload = f"{arena.corpus.name}, {setting}, k={k}"
    axes = {"corpus": arena.corpus.name, "setting": setting, "k": k}
    found = contest("batches", workload, contestants, factor=1e6 / len(queries), axes=axes)
    found.compare(">= 3x the fastest batch call", 3.0, BATCHERS)
    found.compare(">= 2x tantivy in a loop", 2.0, "tantivy loop")
    record(found)


@pytest.mark.parametrize(("arena", "setting", "k"), SETTINGS, indirect=["arena"])
def test_two_threads(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    queries = arena.corpus.query_words(setting, scale.queries[setting])
    engine = arena.engine("likewise")
    assert engine is not None
    one, two = engine.batch_searcher(k, 1), engine.batch_searcher(k, 2)
    assert one is not None and two is not None
    batch = engine.prepare_batch(queries)
    contestants = [Contestant("likewise", two, [batch]), Contestant("likewise, 1 thread", one, [batch])]
    workload = f"{arena.corpus.name}, {setting}, k={k}"
    found = contest("batches, 2 threads", workload, contestants, factor=1e6 / len(queries), n_cores=2)
    found.compare(">= 1.7x of 1 thread", 1.7, "likewise, 1 thread")
    record(found)


def compare_with_bm25s(arena: Arena, queries: list[list[str]], k: int) -> None:
    """Fail where the two batch calls disagree."""
    bm25s, ours = arena.engine("bm25s"), arena.engine("likewise")
    if bm25s is None or ours is None:
        return
    search, search_ours = bm25s.batch_searcher(k), ours.batch_searcher(k)
    assert search is not None and search_ours is not None
    theirs: Any = search(bm25s.prepare_batch(queries))
    hits: Any = search_ours(ours.prepare_batch(queries))
    for i, words in enumerate(queries):
        found = theirs.scores[i] > 0
        other = theirs.documents[i][found].astype("int64"), theirs.scores[i][found]
        count = int(hits.n_hits[i])
        difference = compare_hits((hits.doc_ids[i, :count], hits.scores[i, :count]), other)
        assert difference is None, f"batches differ for {words}: {difference}"
