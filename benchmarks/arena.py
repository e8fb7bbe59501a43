"""A corpus and the engines that compete on it, made when first asked for and kept while the corpus is in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from benchmarks import corpora
from benchmarks.corpora import Corpus
from benchmarks.peers import Engine, MissingPeerError, engine_class
from benchmarks.peers.engine import compare_hits, overlap


class Arena:
    """The engines of one corpus.

    Attributes
    ----------
    corpus : Corpus
    missing : dict of str to str
        How to install the engines that are not here; shared by all arenas.
    """

    missing: ClassVar[dict[str, str]] = {}

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._engines: dict[str, Engine] = {}
        self._kept: dict[str, Any] = {}

    def engine(self, name: str) -> Engine | None:
        """An engine by name, built at its first use; None if it is not installed or the corpus is too large for it."""
        if name in self._engines:
            return self._engines[name]
        if name in self.missing:
            return None
        try:
            kind = engine_class(name)
            if self.corpus.n_tokens > kind.most_tokens:
                return None
            engine = kind(self.corpus, corpora.cache_folder() / self.corpus.name)
        except MissingPeerError as error:
            self.missing[name] = str(error)
            return None
        self._engines[name] = engine
        return engine

    def engines(self, names: Iterable[str]) -> list[Engine]:
        """Those of the named engines that are installed and fit the corpus."""
        return [engine for engine in map(self.engine, names) if engine is not None]

    def ours(self, variant: str = "lucene") -> Any:
        """Our engine, of a variant: to compare with peers of another formula."""
        key = f"likewise:{variant}"
        if key not in self._engines:
            if variant == "lucene":
                engine = self.engine("likewise")
                assert engine is not None
                return engine
            from benchmarks.peers.likewise_engine import Likewise

            self._engines[key] = Likewise.of_variant(self.corpus, variant)
        return self._engines[key]

    def keep(self, key: str, make: Any) -> Any:
        """Whatever a benchmark wants to make once for this corpus."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def close(self) -> None:
        """Forget the engines, so that the next corpus has the memory."""
        self._engines.clear()
        self._kept.clear()

    def check(self, engine: Engine, queries: list[list[str]], k: int) -> str:
        """Compare an engine's hits with ours: an error where an exact one differs, else a note on the overlap."""
        if engine.name == "likewise":
            return ""
        ours = self.ours(engine.variant if engine.exact else "lucene")
        search, search_ours = engine.searcher(k), ours.searcher(k)
        shares = []
        for words in queries:
            theirs = engine.hits(search(engine.prepare(words)))
            hits = ours.hits(search_ours(ours.prepare(words)))
            if engine.exact:
                difference = compare_hits(hits, theirs)
                if difference:
                    raise AssertionError(f"{engine.name} and likewise differ for {words}, k={k}: {difference}")
            shares.append(overlap(hits, theirs))
        share = sum(shares) / max(len(shares), 1)
        return "same results" if engine.exact else f"overlap@{k} {share:.3f}"
