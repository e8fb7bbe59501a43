"""Single queries: tokens in (query objects built outside the timing) and text in (analysis or parsing included)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from benchmarks import corpora
from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.results import Record

ENGINES = (
    "likewise", "bm25s", "bm25s-numpy", "tantivy", "pisa-bmw", "pisa-bmm", "pisa-maxscore", "lucene", "rank_bm25",
    "numpy", "cython",
)  # fmt: skip
SETTINGS = [
    *[("demo", "short", k) for k in (10, 1000)],
    *[("cranfield", "short", k) for k in (10, 1000)],
    *[("debian", setting, k) for setting in ("short", "long") for k in (10, 1000)],
    *[("1M", setting, k) for setting in ("short", "head", "long") for k in (10, 1000)],
]
BARRED = ("debian", "synthetic")


@pytest.mark.parametrize(("arena", "setting", "k"), SETTINGS, indirect=["arena"])
def test_tokens_in(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    corpus = arena.corpus
    queries = corpus.query_words(setting, scale.queries[setting])
    contestants, notes = [], {}
    for engine in arena.engines(ENGINES):
        notes[engine.name] = arena.check(engine, queries[: min(10 if scale.quick else 30, engine.most_queries)], k)
        items = [engine.prepare(words) for words in queries[: engine.most_queries]]
        contestants.append(Contestant(engine.name, engine.searcher(k), items, engine.warming))
    axes = {"corpus": corpus.name, "setting": setting, "k": k}
    found = contest("queries", f"{corpus.name}, {setting}, k={k}", contestants, notes=notes, axes=axes)
    if corpus.name.startswith(BARRED):
        found.compare(">= 2x the fastest peer", 2.0)
        found.compare(">= 1.5x bm25s", 1.5, "bm25s")
    record(found)


@pytest.mark.parametrize("arena", ["debian"], indirect=True)
@pytest.mark.parametrize("setting", ["short", "long"])
@pytest.mark.parametrize("k", [10, 1000])
def test_text_in_debian(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    """Titles and whole descriptions as text; each engine with its own analysis (words, stop words, Snowball)."""
    from benchmarks.peers.likewise_engine import Likewise
    from benchmarks.peers.tantivy_engine import TantivyText

    texts = query_texts(setting, scale.queries[setting])
    ours = arena.keep("text", lambda: Likewise.of_texts(corpora.debian_texts()))
    contestants = [Contestant("likewise", ours.text_searcher(k), texts)]
    bm25s = arena.engine("bm25s")
    if bm25s is not None:
        search = bm25s.text_searcher(k)
        assert search is not None
        contestants.append(Contestant("bm25s", search, texts))
    if arena.engine("tantivy") is not None:
        tantivy = arena.keep("tantivy-text", lambda: TantivyText(corpora.debian_texts()))
        # To tantivy's parser a colon names a field: it gets words alone, prepared outside the timing.
        words = [" ".join(re.findall(r"\w+", text.lower())) for text in texts]
        contestants.append(Contestant("tantivy", tantivy.text_searcher(k), words))
    axes = {"corpus": "debian", "setting": setting, "k": k}
    found = contest("text queries", f"debian, {setting}, k={k}", contestants, axes=axes)
    found.compare(">= 2x the fastest peer", 2.0)
    record(found)


@pytest.mark.parametrize(
    ("arena", "setting", "k"),
    [("1M", setting, k) for setting in ("short", "head", "long") for k in (10, 1000)],
    indirect=["arena"],
)
def test_text_in_synthetic(
    arena: Arena, setting: str, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    """The same queries as text: words separated by blanks."""
    texts = [" ".join(words) for words in arena.corpus.query_words(setting, scale.queries[setting])]
    contestants = []
    for engine in arena.engines(("likewise", "bm25s", "tantivy")):
        search = engine.text_searcher(k)
        assert search is not None
        contestants.append(Contestant(engine.name, search, texts))
    axes = {"corpus": arena.corpus.name, "setting": setting, "k": k}
    found = contest("text queries", f"{arena.corpus.name}, {setting}, k={k}", contestants, axes=axes)
    found.compare(">= 2x the fastest peer", 2.0)
    record(found)


def query_texts(setting: str, limit: int) -> list[str]:
    """The texts behind the Debian queries: titles (*short*), descriptions of 50 to 200 different words (*long*)."""
    records = corpora.debian_records()
    order = list(range(len(records)))
    random.Random(1).shuffle(order)
    texts: list[str] = []
    for document in order:
        title, text = records[document]["title"], records[document]["text"]
        if setting == "short" and 2 <= len(title.split()) <= 8:
            texts.append(title)
        elif setting == "long" and 50 <= len(set(text.lower().split())) <= 200:
            texts.append(f"{title}\n{text}")
        if len(texts) == limit:
            break
    return texts
