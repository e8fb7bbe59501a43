"""tantivy, through tantivy-py, indexed by one thread; tokens come in as text split at blanks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import ENGLISH_STOP_WORDS, Corpus

from .engine import Engine, Hits, MissingPeerError

try:
    import tantivy
except ImportError as error:
    raise MissingPeerError("pip install tantivy") from error

HEAP_SIZE = 2_000_000_000  # one segment where it can be: fewer segments are searched faster


def english_analyzer() -> Any:
    """tantivy's analysis that is closest to ours: words, lower case, the same stop words, Snowball English."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase())
    builder = builder.filter(tantivy.Filter.custom_stopword(sorted(ENGLISH_STOP_WORDS)))
    return builder.filter(tantivy.Filter.stemmer("english")).build()


def blanks() -> Any:
    """No analysis: words are separated by blanks."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


def new_index(folder: Path | None, analyzer: Any, name: str) -> Any:
    """An empty index of one text field without positions, and a number for each document."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name=name, index_option="freq")
    builder.add_integer_field("number", stored=False, indexed=False, fast=True)
    index = tantivy.Index(builder.build(), path=str(folder)) if folder else tantivy.Index(builder.build())
    index.register_tokenizer(name, analyzer)
    return index


class Tantivy(Engine):
    """tantivy with count off, so that it may skip (block-max WAND); query objects are built outside the timing."""

    name = "tantivy"
    version = tantivy.__version__ if hasattr(tantivy, "__version__") else ""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        path = folder / "tantivy"
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            index = new_index(path, blanks(), "blanks")
            writer = index.writer(heap_size=HEAP_SIZE, num_threads=1)
            for number, words in enumerate(corpus.token_lists()):
                writer.add_document(tantivy.Document(text=" ".join(words), number=number))
            writer.commit()
            writer.wait_merging_threads()
            (path / "complete").touch()
        self._open(path)

    def _open(self, path: Path) -> None:
        self.index = tantivy.Index.open(str(path))
        self.index.register_tokenizer("blanks", blanks())
        self.index.reload()
        self._searcher = self.index.searcher()
        self.schema = self.index.schema
        self.folder = path

    @classmethod
    def open(cls, path: Path) -> Tantivy:
        """The engine over files that are there already."""
        engine = cls.__new__(cls)
        engine._open(path)
        return engine

    def prepare(self, words: Sequence[str]) -> Any:
        should, query = tantivy.Occur.Should, tantivy.Query
        terms = [(should, query.term_query(self.schema, "text", word, index_option="freq")) for word in words]
        return query.boolean_query(terms)

    def prepare_weighted(self, weights: Mapping[str, float]) -> Any:
        """A query whose terms have weights."""
        should, query = tantivy.Occur.Should, tantivy.Query
        terms = []
        for word, weight in weights.items():
            term = query.term_query(self.schema, "text", word, index_option="freq")
            terms.append((should, term if weight == 1 else query.boost_query(term, float(weight))))
        return query.boolean_query(terms)

    def text_searcher(self, k: int) -> Callable[[str], Any]:
        parse, search = self.index.parse_query_lenient, self._searcher.search
        fields = ["text"]
        return lambda text: search(parse(text, fields)[0], k, False)

    def searcher(self, k: int) -> Callable[[Any], Any]:
        search = self._searcher.search
        return lambda query: search(query, k, False)

    def hits(self, result: Any) -> Hits:
        addresses = [address for _, address in result.hits]
        numbers = self._searcher.fast_field_values("number", addresses) if addresses else []
        return np.array(numbers, dtype=np.int64), np.array([score for score, _ in result.hits], dtype=np.float64)


class TantivyText:
    """tantivy over raw texts with its own English analysis, for the benchmarks that start from text."""

    def __init__(self, texts: Sequence[str], folder: Path | None = None) -> None:
        self.index = new_index(folder, english_analyzer(), "english")
        writer = self.index.writer(heap_size=HEAP_SIZE, num_threads=1)
        for number, text in enumerate(texts):
            writer.add_document(tantivy.Document(text=text, number=number))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()

    def text_searcher(self, k: int) -> Callable[[str], Any]:
        """A callable that parses the text of a query and searches."""
        parse, search = self.index.parse_query_lenient, self.index.searcher().search
        fields = ["text"]
        return lambda text: search(parse(text, fields)[0], k, False)
