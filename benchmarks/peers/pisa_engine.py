"""PISA, through the extension module of pyterrier_pisa, without PyTerrier and Java."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.corpora import K1, B, Corpus

from .engine import Engine, Hits, MissingPeerError

INSTALL = "pip install --no-deps pyterrier_pisa && pip install 'tbb<2021'"
ENCODING = "block_simdbp"


@lru_cache(maxsize=1)
def pisathon() -> Any:
    """The extension module `_pisathon`, loaded by its file: importing its package would start PyTerrier."""
    package = importlib.util.find_spec("pyterrier_pisa")
    folders = list(package.submodule_search_locations or []) if package else []
    paths = [path for folder in folders for path in sorted(Path(folder).glob("_pisathon.*.so"))]
    if not paths:
        raise MissingPeerError(INSTALL)
    # The wheel of tbb puts its library where the loader does not look; a system's own libtbb serves as well.
    with suppress(OSError):
        ctypes.CDLL(str(Path(sys.prefix) / "lib" / "libtbb.so.2"), mode=ctypes.RTLD_GLOBAL)
    try:
        loader = importlib.machinery.ExtensionFileLoader("_pisathon", str(paths[0]))
        spec = importlib.util.spec_from_file_location("_pisathon", paths[0], loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise MissingPeerError(f"{INSTALL} ({error})") from error
    return module


@contextmanager
def silence() -> Iterator[None]:
    """Send what native code prints (PISA: progress in thousands of lines) to /dev/null."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(null, number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(null)


def write_inverted_files(corpus: Corpus, folder: Path) -> None:
    """PISA's plain inverted files: uint32 sequences, each led by its length, terms ascending by bytes."""
    offsets, documents, frequencies = corpus.postings
    counts = np.diff(offsets)
    words = corpus.words
    used = sorted(np.flatnonzero(counts).tolist(), key=lambda term: words[term].encode())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "inv.docs").open("wb") as docs, (folder / "inv.freqs").open("wb") as freqs:
        np.array([1, corpus.n_docs], dtype=np.uint32).tofile(docs)
        for term in used:
            part = slice(offsets[term], offsets[term + 1])
            length = np.uint32(counts[term]).tobytes()
            docs.write(length + documents[part].astype(np.uint32).tobytes())
            freqs.write(length + frequencies[part].astype(np.uint32).tobytes())
    lengths = np.diff(corpus.indptr).astype(np.uint32)
    np.concatenate(([np.uint32(corpus.n_docs)], lengths)).astype(np.uint32).tofile(folder / "inv.sizes")
    (folder / "fwd.terms").write_text("".join(f"{words[term]}\n" for term in used), encoding="utf-8")
    (folder / "fwd.documents").write_text("".join(f"{doc}\n" for doc in range(corpus.n_docs)), encoding="utf-8")
    for name in ("term", "doc"):
        source = {"term": "fwd.terms", "doc": "fwd.documents"}[name]
        pisathon().build_binlex(str(folder / source), str(folder / f"fwd.{name}lex"))


class _Pisa(Engine):
    exact = True
    variant = "bm25"
    can_batch = True
    algorithm: ClassVar[str]

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        module = pisathon()
        type(self).version = version("pyterrier_pisa")
        path = folder / "pisa"
        if not (path / "complete").exists():
            write_inverted_files(corpus, path)
            (path / "complete").touch()
        self.context = module.RetrievalContext()
        with silence():
            module.prepare_index(self.context, str(path), ENCODING, "bm25", "", bm25_k1=K1, bm25_b=B)
        self.retrieve = module.retrieve
        self.folder = path

    def prepare(self, words: Sequence[str]) -> Any:
        return [(0, dict.fromkeys(words, 1.0))]

    def prepare_batch(self, queries: Sequence[Sequence[str]]) -> Any:
        return [(number, dict.fromkeys(words, 1.0)) for number, words in enumerate(queries)]

    def searcher(self, k: int) -> Callable[[Any], Any]:
        retrieve, context, algorithm = self.retrieve, self.context, self.algorithm
        # The result arrays are made once: an argument in PISA's favour.
        queries = np.empty(k, dtype=np.int32)
        names = np.empty(k, dtype=object)
        ranks = np.empty(k, dtype=np.int32)
        scores = np.empty(k, dtype=np.float32)

        def search(query: Any) -> Any:
            count = retrieve(
                context, algorithm, query, k, 1, pretokenised=1, query_weighted=0, result_qidxs=queries,
                result_docnos=names, result_ranks=ranks, result_scores=scores,
            )  # fmt: skip
            return names, scores, count

        return search

    def batch_searcher(self, k: int, n_threads: int = 1) -> Callable[[Any], Any]:
        retrieve, context, algorithm = self.retrieve, self.context, self.algorithm
        arrays: dict[int, tuple[Any, ...]] = {}

        def search(batch: Any) -> Any:
            size = len(batch) * k
            if size not in arrays:
                arrays[size] = (
                    np.empty(size, dtype=np.int32), np.empty(size, dtype=object), np.empty(size, dtype=np.int32),
                    np.empty(size, dtype=np.float32),
                )  # fmt: skip
            queries, names, ranks, scores = arrays[size]
            count = retrieve(
                context, algorithm, batch, k, n_threads, pretokenised=1, query_weighted=0, result_qidxs=queries,
                result_docnos=names, result_ranks=ranks, result_scores=scores,
            )  # fmt: skip
            return names, scores, count

        return search

    def hits(self, result: Any) -> Hits:
        names, scores, count = result
        return np.array([int(name) for name in names[:count]], dtype=np.int64), scores[:count].astype(np.float64)


class PisaBlockMaxWand(_Pisa):
    """PISA's block-max WAND."""

    name = "pisa-bmw"
    algorithm = "block_max_wand"


class PisaBlockMaxMaxscore(_Pisa):
    """PISA's block-max MaxScore."""

    name = "pisa-bmm"
    algorithm = "block_max_maxscore"


class PisaMaxscore(_Pisa):
    """PISA's MaxScore."""

    name = "pisa-maxscore"
    algorithm = "maxscore"
