"""From raw text to an index ready to search: time, peak memory; and the analysis by itself in MB/s."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import corpora
from benchmarks.measure import Clock, Contestant, Scale
from benchmarks.memory import ContestantError, measure
from benchmarks.results import OURS, Record, Row

BUILDERS = ("likewise", "bm25s", "tantivy")


@pytest.mark.parametrize("name", ["debian", "1M"])
def test_build(name: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Every contestant in a process of its own, texts loaded before; the rounds go round in turn."""
    if scale.quick and name == "1M":
        name = "100k"
    if name == "debian" and corpora.data_folder() is None:
        pytest.skip("the Debian corpus is absent: set LIKEWISE_DATA")
    runs: dict[str, list[dict[str, Any]]] = {}
    rounds = 3 if name == "debian" and not scale.quick else 1
    for _ in range(rounds):
        for engine in BUILDERS:
            try:
                runs.setdefault(engine, []).append(measure("build", engine, name))
            except ContestantError as error:
                if engine == OURS:
                    raise
                print(f"{engine} sits out: {error}")
                runs.pop(engine, None)
    seconds = "cpu_seconds" if Clock.name == "cpu" else "seconds"
    rows = [Row(engine, median([run[seconds] for run in found]), None, rounds) for engine, found in runs.items()]
    times = Record("build", f"{name}, raw text", "seconds", rows, axes={"corpus": name})
    times.compare(">= 5x bm25s", 5.0, "bm25s")
    times.compare(">= 2x tantivy", 2.0, "tantivy")
    record(times)
    rows = [
        Row(engine, max(run["peak"] for run in found) / 1e6, None, rounds, f"index {found[0]['nbytes'] / 1e6:.1f} MB")
        for engine, found in runs.items()
    ]
    memory = Record("build, peak memory", f"{name}, raw text", "MB above the input", rows, axes={"corpus": name})
    share = max(run["peak"] / run["nbytes"] for run in runs[OURS])
    memory.limit("< 1.5x the bytes of the finished index", share, 1.5)
    record(memory)


def median(values: list[float]) -> float:
    """The middle value."""
    return sorted(values)[len(values) // 2]


def _megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_analysis(language: str, scale: Scale, contest: Callable[..., Record], record: Callable[..., Record]) -> None:
    """Texts to token ids, one thread. Times are seconds; throughput is recorded beside them."""
    from likewise.search import Analyzer

    try:
        texts = corpora.debian_texts() if language == "english" else corpora.chinese_texts()
    except corpora.MissingCorpusError as error:
        pytest.skip(str(error))
    if scale.quick:
        texts = texts[:20_000]
    analyzer = Analyzer()
    contestants = [Contestant("likewise", lambda texts: analyzer.batch(texts, n_threads=1), [texts])]
    try:
        import pyarrow

        arrow = pyarrow.array(texts)
        contestants.append(Contestant("likewise, Arrow in", lambda array: analyzer.batch(array, n_threads=1), [arrow]))
    except ImportError:
        pass
    try:
        import bm25s
        import Stemmer

        stemmer = Stemmer.Stemmer("english")
        contestants.append(
            Contestant(
                "bm25s", lambda t: bm25s.tokenize(t, stopwords="en", stemmer=stemmer, show_progress=False), [texts]
            )
        )
        contestants.append(
            Contestant("bm25s, plain", lambda t: bm25s.tokenize(t, stopwords=None, show_progress=False), [texts])
        )
    except ImportError:
        pass
    try:
        from benchmarks.peers.tantivy_engine import english_analyzer

        analyze = english_analyzer().analyze
        contestants.append(Contestant("tantivy", lambda t: [analyze(text) for text in t], [texts]))
    except RuntimeError:
        pass
    find = re.compile(r"\w\w+").findall
    contestants.append(Contestant("re.findall", lambda t: [find(text.lower()) for text in t], [texts]))
    contestants.append(Contestant("str.split", lambda t: [text.lower().split() for text in t], [texts]))
    found = contest("analysis", f"{language}, {_megabytes(texts):.1f} MB", contestants, unit="seconds", factor=1.0)
    size = _megabytes(texts)
    for row in found.rows:
        row.note = f"{size / row.value:.1f} MB/s"
        if language == "chinese" and row.name in ("bm25s", "bm25s, plain", "tantivy"):
            row.note += ", one token a sentence or clause"
    if language == "english":
        found.compare(">= 8x bm25s.tokenize with stop words and stems", 8.0, "bm25s")
        found.compare(">= 4x tantivy with stop words and stems", 4.0, "tantivy")
    ours, through_arrow = found.row(OURS), found.row("likewise, Arrow in")
    if ours and through_arrow:
        found.limit("Arrow <= 1.1x list[str]", through_arrow.value / ours.value, 1.1)
    record(found)
