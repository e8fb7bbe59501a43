"""``likewise search``: the best documents for each query."""

import argparse
import sys
import time
from typing import Any

import numpy as np

from likewise.search import Hits, Index

from .documents import InputError, open_binary, read_lines
from .output import Output, plain

SNIPPET = 120  # characters of text below a hit


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Search for every query, and print the hits."""
    format = arguments.format or ("jsonl" if output.json else "table")
    if output.json and format != "jsonl":
        raise InputError("--json, --format: --json is short for --format jsonl")
    queries = [(str(number), query) for number, query in enumerate(arguments.query, 1)]
    if arguments.queries:
        queries += _read_queries(arguments.queries, len(queries) + 1)
    if not queries:
        raise InputError("QUERY: expected a query, or --queries FILE, got neither")
    start = time.perf_counter()
    index = Index.open(arguments.path, verify="header" if arguments.trust else "full")
    how = "header checked" if arguments.trust else "all of it checked; --trust skips that"
    output.note(f"opened {index.n_docs} documents in {time.perf_counter() - start:.3f} s ({how})")

    names = [name for name, _ in queries]
    k = min(arguments.k, max(1, index.n_docs))  # a batch has k places a query, filled or not
    batch = index.search_batch([query for _, query in queries], k, n_threads=arguments.threads)
    if format == "trec":
        batch.to_trec(sys.stdout, "likewise", names)
    else:
        for number, (name, query) in enumerate(queries):
            if format == "jsonl":
                _print_json(index, name, query, batch[number], output)
            else:
                title = plain(query) if len(queries) > 1 else None
                _print_table(index, title, query, batch[number], output)
    found = bool(np.any(batch.n_hits))
    if not found:
        output.note("no document contains a word of the query" if len(queries) == 1 else "no query found a document")
    return 0 if found else 1


def _print_json(index: Index, name: str, query: str, hits: Hits, output: Output) -> None:
    for rank, (key, score) in enumerate(hits, 1):
        row: dict[str, Any] = {"query_id": name, "query": query, "rank": rank, "id": key, "score": score}
        if index.params["store"]:
            row["highlight"] = index.highlight(query, id=key, max_chars=SNIPPET)
        output.result_json(row)


def _print_table(index: Index, title: str | None, query: str, hits: Hits, output: Output) -> None:
    if title is not None:
        output.result(title)
    for rank, (key, score) in enumerate(hits, 1):
        print_hit(
            rank,
            key,
            score,
            index.highlight(query, id=key, max_chars=SNIPPET) if index.params["store"] else "",
            output,
        )
    if title is not None:
        output.result("")


def print_hit(rank: int, key: str | int, score: float, highlighted: str, output: Output) -> None:
    """Write a hit as a line of a table, with its text below if there is any."""
    output.result(f"{rank:4} {score:9.4f}  {plain(str(key))}")
    text = output.marked(highlighted)
    if text:
        output.result(f"      {text}")


def _read_queries(path: str, first: int) -> list[tuple[str, str]]:
    queries: list[tuple[str, str]] = []
    with open_binary(path) as file:
        for line in read_lines(file):
            line = line.rstrip("\r\n")
            name, tab, query = line.partition("\t")
            if tab:
                queries.append((name, query))
            elif line:
                queries.append((str(first + len(queries)), line))
    if not queries:
        raise InputError(f"{path}: expected a query a line, got an empty file")
    return queries
