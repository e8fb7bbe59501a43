"""``likewise search``: the best documents for each query."""

import argparse
import time
from typing import Any

from likewise.search import Index

from .documents import InputError, open_binary, read_lines
from .output import Output, plain

_SNIPPET = 160  # characters of text below a hit


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Search for every query, and print the hits."""
    format = arguments.format or ("jsonl" if output.json else "table")
    if output.json and format != "jsonl":
        raise InputError("--json, --format: --json is short for --format jsonl")
    queries = [(str(number), query) for number, query in enumerate(arguments.query, 1)]
    if arguments.queries:
        queries += _read_queries(arguments.queries)
    if not queries:
        raise InputError("QUERY: expected a query, or --queries FILE, got neither")
    start = time.perf_counter()
    index = Index.open(arguments.path, verify="header" if arguments.trust else "full")
    how = "header checked" if arguments.trust else "all of it checked; --trust skips that"
    output.note(f"opened {index.n_docs} documents in {time.perf_counter() - start:.3f} s ({how})")

    stored = index.params["stored"]
    found = False
    batch = index.search_batch([query for _, query in queries], arguments.k, n_threads=arguments.threads)
    for number, (name, query) in enumerate(queries):
        hits = batch[number]
        found = found or len(hits) > 0
        if format == "table" and len(queries) > 1:
            output.result(f"{'' if number == 0 else chr(10)}{plain(query)}")
        for rank, (key, score) in enumerate(hits, 1):
            if format == "trec":
                output.result(f"{name} Q0 {_trec_word(key)} {rank} {score:.9g} likewise")
            elif format == "jsonl":
                row: dict[str, Any] = {"query_id": name, "query": query, "rank": rank, "id": key, "score": score}
                if stored:
                    row["highlight"] = index.highlight(query, id=key, max_chars=_SNIPPET)
                output.result_json(row)
            else:
                output.result(f"{rank:4} {score:9.4f}  {plain(str(key))}")
                if stored:
                    output.result("      " + output.marked(index.highlight(query, id=key, max_chars=_SNIPPET)))
    if not found:
        output.note("no document contains a word of the query" if len(queries) == 1 else "no query found a document")
    return 0 if found else 1


def _read_queries(path: str) -> list[tuple[str, str]]:
    queries = []
    with open_binary(path) as file:
        for number, line in enumerate(read_lines(file), 1):
            line = line.rstrip("\r\n")
            if not line:
                continue
            name, tab, query = line.partition("\t")
            queries.append((_trec_word(name), query) if tab else (str(number), line))
    if not queries:
        raise InputError(f"{path}: expected a query a line, got an empty file")
    return queries


def _trec_word(key: str | int) -> str:
    word = str(key)
    if not word or any(character.isspace() for character in word):
        raise InputError(f"id {word!r}: trec files need ids without spaces")
    return word
