"""Time and memory against the size of the corpus, over three decades."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Record, Row

ENGINES = ("likewise", "bm25s", "tantivy", "pisa-bmm", "numpy", "cython")


SIZES = ("1k", "10k", "100k", "1M")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    option = metafunc.config.getoption
    sizes = SIZES[:3] if option("--quick") else [*SIZES, "5M"] if option("--five-million") else SIZES
    cases = [(size, setting, 10) for size in sizes for setting in ("short", "long")]
    metafunc.parametrize(("arena", "setting", "k"), cases, indirect=["arena"])


def test_growth(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    corpus = arena.corpus
    queries = corpus.query_words(setting, scale.queries[setting])
    contestants = [
        Contestant(engine.name, engine.searcher(k), [engine.prepare(words) for words in queries])
        for engine in arena.engines(ENGINES)
    ]
    axes = {"n_docs": corpus.n_docs, "setting": setting, "k": k}
    workload = f"{corpus.n_docs} documents, {setting}, k={k}"
    record(contest("growth", workload, contestants, axes=axes, budget=scale.budget / 2))
    engine = arena.engine("likewise")
    if setting == "short" and engine is not None:
        index = engine.index  # type: ignore[attr-defined]
        row = Row(OURS, index.nbytes / 1e6, note=f"{index.nbytes / index.n_postings:.2f} B a posting")
        record(Record("growth, index", f"{corpus.n_docs} documents", "MB", [row], axes={"n_docs": corpus.n_docs}))
