"""``likewise keywords``: the keywords of each document of a file."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from likewise.keywords import NegativeSamplingKeywords, Word2VecKeywords
from likewise.persistence import load
from likewise.search import Analyzer, Index

from .documents import Documents, InputError, guess_format, open_binary, read_lines
from .output import Output, plain

_AT_ONCE = 256  # documents scored in one call


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the keywords of every document."""
    by_model = arguments.method == "word2vec"
    for name in ("model", "stopwords", "no_self_term", "fuse"):
        if getattr(arguments, name) and not by_model:
            raise InputError(f"--{name.replace('_', '-')}: only with --method word2vec")
    if by_model and arguments.model is None:
        raise InputError("--model: expected a model, as --method is word2vec")
    with open_binary(arguments.input) as file:
        format = arguments.format or guess_format(arguments.input)
        documents = Documents(file, format, text_fields=arguments.text_field, id_field=arguments.id_field)
        rows = list(documents)
    texts = [row if isinstance(row, str) else " ".join(row[name] for name in documents.fields or ()) for row in rows]
    keys = [
        row[arguments.id_field] if isinstance(row, dict) and arguments.id_field is not None else number
        for number, row in enumerate(rows)
    ]
    found = _by_word2vec(texts, arguments, output) if by_model else _by_tfidf(texts, arguments, output)
    for key, keywords in zip(keys, found, strict=True):
        if output.json:
            output.result_json({"id": key, "keywords": [{"word": word, "score": score} for word, score in keywords]})
        else:
            output.result(f"{plain(str(key))}\t{', '.join(plain(word) for word, _ in keywords)}")
    return 0


def _by_tfidf(texts: list[str], arguments: argparse.Namespace, output: Output) -> Iterator[list[tuple[str, float]]]:
    index = Index.build(
        texts, analyzer=Analyzer(cjk=arguments.cjk), n_threads=arguments.threads, progress=output.progress
    )
    return (index.keywords(number, arguments.n) for number in range(len(texts)))


def _by_word2vec(texts: list[str], arguments: argparse.Namespace, output: Output) -> Iterator[list[tuple[str, float]]]:
    model = load(arguments.model)
    if not isinstance(model, Word2VecKeywords | NegativeSamplingKeywords):
        raise InputError(f"{arguments.model}: expected a keyword model, got a {type(model).__name__}")
    analyzer = Analyzer(stopwords=None, stem=False, cjk=arguments.cjk)
    options: dict[str, Any] = {"self_term": not arguments.no_self_term, "fuse": arguments.fuse}
    if arguments.stopwords is not None:
        options["stopwords"] = _stopwords(arguments.stopwords)
    if arguments.fuse is not None:
        options["idf"] = Index.build(texts, analyzer=analyzer, n_threads=arguments.threads, progress=output.progress)
    for start in range(0, len(texts), _AT_ONCE):
        tokens = [analyzer(text) for text in texts[start : start + _AT_ONCE]]
        yield from model.extract_batch(tokens, arguments.n, n_threads=arguments.threads, **options)


def _stopwords(name: str) -> set[str]:
    """A shipped list, or a file with a word a line."""
    if name == "english" and not Path(name).exists():
        return set(Analyzer().stopwords)
    with open_binary(name) as file:
        return {line.strip() for line in read_lines(file)} - {""}
