"""Plain Cython loops over the same precomputed impacts, compiled at their first use into the cache folder."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import Corpus, cache_folder
from benchmarks.peers.engine import Engine, Hits, MissingPeerError

from .numpy_engine import NumpyReference

SOURCE = Path(__file__).with_name("bm25_loops.pyx")


@lru_cache(maxsize=1)
def loops() -> Any:
    """The compiled module of bm25_loops.pyx."""
    try:
        import Cython  # noqa: F401
    except ImportError as error:
        raise MissingPeerError("pip install Cython setuptools") from error
    digest = sha256(SOURCE.read_bytes() + version("Cython").encode()).hexdigest()[:12]
    folder = cache_folder() / f"cython-{digest}"
    target = folder / f"bm25_loops{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE, folder / SOURCE.name)
        # In a process of its own: setuptools changes global state. -O3 is what a careful user would ask for.
        program = (
            "from setuptools import Extension, setup; from Cython.Build import cythonize; "
            "setup(script_args=['build_ext', '--inplace'], "
            "ext_modules=cythonize([Extension('bm25_loops', ['bm25_loops.pyx'], extra_compile_args=['-O3'])]))"
        )
        run = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
        if not target.exists():
            raise MissingPeerError(f"pip install Cython setuptools, and a C compiler ({run.stderr[-300:]})")
    spec = importlib.util.spec_from_file_location("bm25_loops", target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CythonReference(Engine):
    """Scatter and scan, one loop each, one thread."""

    name = "cython"
    exact = True
    can_score_all = True

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.loops = loops()
        numpy_reference = NumpyReference(corpus, folder)
        self.terms = numpy_reference.terms
        self.documents, self.impacts = numpy_reference.documents, numpy_reference.impacts
        self.offsets = np.array(numpy_reference.offsets, dtype=np.int64)
        self.n_docs = corpus.n_docs

    def scores(self, words: list[str]) -> Any:
        """Scores of all documents, float32."""
        scores = np.zeros(self.n_docs, dtype=np.float32)
        terms = np.array([self.terms[word] for word in words], dtype=np.int32)
        self.loops.scatter(self.offsets, self.documents, self.impacts, terms, scores)
        return scores

    def searcher(self, k: int) -> Callable[[Any], Any]:
        def search(words: list[str]) -> tuple[Any, Any]:
            scores = self.scores(words)
            best = np.empty(min(k, self.n_docs), dtype=np.int32)
            best = best[: self.loops.top(scores, best)]
            return best, scores[best]

        return search

    def scorer(self) -> Callable[[Any], Any]:
        return self.scores

    def hits(self, result: Any) -> Hits:
        return result[0].astype(np.int64), result[1].astype(np.float64)
