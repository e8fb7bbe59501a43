"""``likewise demo``: search the documentation that every installation of Python carries.

The documents are the docstrings in the source files of the standard library and of numpy. They are read with `ast`;
nothing is imported, because imports have side effects, and nothing is downloaded.
"""

import argparse
import ast
import importlib.util
import random
import shlex
import statistics
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from likewise.persistence import inspect
from likewise.search import Index

from .indexing import refuse_bad_place, size_on_disk
from .output import Output, human_bytes, plain
from .searching import SNIPPET, print_hit

_N_TIMED = 1000
T = TypeVar("T")

QUERIES = ("shuffle a list in place", "parse a date from a string", "eigenvalues of a symmetric matrix")
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_SKIPPED = {"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"}


class NoSourcesError(FileNotFoundError):
    """The installation has no source files to read."""


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Build, search, save, open, and tell what that took."""
    if arguments.save:
        refuse_bad_place(arguments.save, overwrite=False, hint="")
    output.note("reading the docstrings of the standard library and of numpy")
    with tempfile.TemporaryDirectory(prefix="likewise-demo-") as folder:
        path = arguments.save or str(Path(folder) / "docstrings.lw")
        index, report = _measure(path, arguments, output)
        queries = [_search(index, query) for query in arguments.query or QUERIES]
    if output.json:
        output.result_json(report | {"path": arguments.save, "queries": queries})
        return 0
    _print_queries(queries, output)
    _print_report(report, output)
    if arguments.save:
        output.result(f"\nkept in {arguments.save}; try  likewise search {shlex.quote(arguments.save)} 'random number'")
    return 0


def _measure(path: str, arguments: argparse.Namespace, output: Output) -> tuple[Index, dict[str, float]]:
    """Build an index, save it at `path` and open it again; what that took, in seconds and bytes."""
    (ids, texts), read_seconds = _timed(docstring_corpus)
    n_bytes = sum(len(text.encode()) for text in texts)
    built, build_seconds = _timed(
        lambda: Index.build(texts, ids=ids, store=True, n_threads=arguments.threads, progress=output.progress)
    )
    _, save_seconds = _timed(lambda: built.save(path))
    index, open_seconds = _timed(lambda: Index.open(path))
    _, first_seconds = _timed(lambda: index.search(QUERIES[0]))
    return index, {
        "n_docs": index.n_docs,
        "n_bytes": n_bytes,
        "read_seconds": read_seconds,
        "n_tokens": round(index.avgdl * index.n_docs),
        "n_terms": index.n_terms,
        "n_postings": index.n_postings,
        "build_seconds": build_seconds,
        "build_megabytes_per_second": n_bytes / 1e6 / build_seconds,
        "save_seconds": save_seconds,
        "file_bytes": size_on_disk(path),
        "bytes_per_posting": _bytes_per_posting(path, index.n_postings),
        "open_seconds": open_seconds,
        "first_query_microseconds": first_seconds * 1e6,
        "query_microseconds": _median_seconds(index, texts) * 1e6,
    }


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _bytes_per_posting(path: str, n_postings: int) -> float:
    # Without what is the user's own: the strings of the terms, the ids, the texts.
    own = ("term_bytes", "form_", "key_", "text_")
    arrays = inspect(path)["arrays"]
    n_bytes: int = sum(array["n_bytes"] for array in arrays if not array["name"].startswith(own))
    return n_bytes / max(1, n_postings)


def _median_seconds(index: Index, texts: list[str]) -> float:
    """Search for the first lines of some documents, and take the median of the times, the call included."""
    queries = [text.splitlines()[0] for text in random.Random(1).choices(texts, k=_N_TIMED)]
    seconds = []
    for timed in (False, True):  # the first round derives what later searches use
        for query in queries:
            start = time.perf_counter()
            index.search(query, k=10)
            if timed:
                seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _search(index: Index, query: str) -> dict[str, Any]:
    hits = [
        {"id": key, "score": score, "highlight": index.highlight(query, id=key, max_chars=SNIPPET)}
        for key, score in index.search(query, k=3)
    ]
    return {"query": query, "hits": hits}


def _print_queries(queries: list[dict[str, Any]], output: Output) -> None:
    for query in queries:
        output.result(plain(query["query"]))
        for rank, hit in enumerate(query["hits"], 1):
            print_hit(rank, hit["id"], hit["score"], hit["highlight"], output)
        if not query["hits"]:
            output.result("   no document contains a word of it")
        output.result("")


def _print_report(report: dict[str, float], output: Output) -> None:
    rows = [
        (
            "documents",
            f"{report['n_docs']} docstrings, {human_bytes(report['n_bytes'])}, read in {report['read_seconds']:.1f} s",
        ),
        ("index", f"{report['n_tokens']} tokens, {report['n_terms']} terms, {report['n_postings']} postings"),
        ("build", f"{report['build_seconds']:.3f} s from the texts, {report['build_megabytes_per_second']:.0f} MB/s"),
        (
            "save",
            f"{report['save_seconds'] * 1e3:.0f} ms, {human_bytes(report['file_bytes'])} with the texts, "
            f"{report['bytes_per_posting']:.1f} bytes a posting without words, ids and texts",
        ),
        ("open", f"{report['open_seconds'] * 1e3:.1f} ms, every byte checked"),
        ("first query", f"{report['first_query_microseconds']:.0f} us"),
        ("query", f"{report['query_microseconds']:.0f} us (median of {_N_TIMED}: text in, 10 best out, one thread)"),
    ]
    for name, text in rows:
        output.result(f"{name:12}{text}")


def docstring_corpus() -> tuple[list[str], list[str]]:
    """Collect the docstrings of the standard library and of numpy from their source files.

    Returns
    -------
    ids : list of str
        ``module.qualname``; a second docstring of the same name gets ``#2`` and so on.
    texts : list of str
        The docstrings, without their indentation. The order is that of the module names, then of the lines.

    Raises
    ------
    NoSourcesError
        If no source file with a docstring is found (frozen or stripped installations).

    Examples
    --------
    >>> from likewise.cli.demo import docstring_corpus
    >>> ids, texts = docstring_corpus()
    >>> texts[ids.index("random.Random.shuffle")].splitlines()[0]
    'Shuffle list x in place, and return None.'
    """
    ids: list[str] = []
    texts: list[str] = []
    seen: dict[str, int] = {}
    for module, path in _source_files():
        for name, text in _docstrings(module, path):
            seen[name] = seen.get(name, 0) + 1
            ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
            texts.append(text)
    if not ids:
        raise NoSourcesError(
            "demo: expected source files of Python's standard library or of numpy, found none "
            "[this installation has no .py files; index a file of your own: likewise index --help]"
        )
    return ids, texts


def _source_files() -> Iterator[tuple[str, Path]]:
    roots = [(Path(sysconfig.get_path("stdlib")), "")]
    numpy = importlib.util.find_spec("numpy")
    if numpy is not None:
        roots += [(Path(folder), "numpy") for folder in numpy.submodule_search_locations or ()]
    for root, package in roots:
        found = []
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).parts
            if not _SKIPPED.intersection(parts) and all(part.isidentifier() for part in parts[:-1]):
                names = [package, *parts[:-1], *([] if path.stem == "__init__" else [path.stem])]
                found.append((".".join(filter(None, names)), path))
        yield from sorted(found)


def _docstrings(module: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # unreadable, or not meant for this version of Python
        return
    yield from _walk(module, tree)


def _walk(name: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, (ast.Module, *_DEFINITIONS)):
        text = ast.get_docstring(node)
        if text and text.strip():
            yield name, text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITIONS):
            yield from _walk(f"{name}.{child.name}", child)
        elif isinstance(child, ast.stmt):  # definitions inside `if` and `try`
            yield from _walk(name, child)
