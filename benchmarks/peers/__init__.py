"""Contestants: other search engines behind one small interface. See `benchmarks.peers.engine`."""

from __future__ import annotations

from importlib import import_module

from .engine import Engine, MissingPeerError

# Name -> module and class; a module is imported only when its engine takes part.
ENGINES = {
    "likewise": ("benchmarks.peers.likewise_engine", "Likewise"),
    "bm25s": ("benchmarks.peers.bm25s_engine", "Bm25sNumba"),
    "bm25s-numpy": ("benchmarks.peers.bm25s_engine", "Bm25sNumpy"),
    "tantivy": ("benchmarks.peers.tantivy_engine", "Tantivy"),
    "pisa-bmw": ("benchmarks.peers.pisa_engine", "PisaBlockMaxWand"),
    "pisa-bmm": ("benchmarks.peers.pisa_engine", "PisaBlockMaxMaxscore"),
    "pisa-maxscore": ("benchmarks.peers.pisa_engine", "PisaMaxscore"),
    "rank_bm25": ("benchmarks.peers.rank_bm25_engine", "RankBm25"),
    "lucene": ("benchmarks.peers.lucene_engine", "Lucene"),
    "numpy": ("benchmarks.references.numpy_engine", "NumpyReference"),
    "cython": ("benchmarks.references.cython_engine", "CythonReference"),
}


def engine_class(name: str) -> type[Engine]:
    """The class of an engine; a MissingPeerError says how to install what is missing."""
    module, attribute = ENGINES[name]
    found: type[Engine] = getattr(import_module(module), attribute)
    return found


__all__ = ["ENGINES", "Engine", "MissingPeerError", "engine_class"]
