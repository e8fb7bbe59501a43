"""From documents to the arrays of a segment, a few megabytes at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._progress import Progress, progress_bar
from .._validation import check_bool, check_n_threads, describe
from .analyzer import Analyzer
from .documents import Documents, Sink
from .token_batch import TokenBatch

_MAX_LISTED = 3
_INT64 = np.iinfo(np.int64)


@dataclass
class BuiltSegment:
    """What `build_segment` made.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The arrays of the segment, without those of the keys.
    keys : list of str, list of int, or None
        The ids of the documents in order, of one type each; None where none were given. Duplicates are not looked for.
    n_overlong : int
        Occurrences of tokens that ``max_length`` dropped.
    """

    arrays: dict[str, NDArray[Any]]
    keys: list[str] | list[int] | None
    n_overlong: int


def build_segment(
    documents: Any,
    *,
    ids: Any = None,
    fields: Any = None,
    analyzer: Analyzer | None,
    store: bool = False,
    n_threads: int | None = None,
    progress: Progress = None,
) -> BuiltSegment:
    """Analyse documents and invert them: the arrays of a segment, in one pass and bounded memory.

    Parameters
    ----------
    documents : object
        Texts, mappings or frames, in whatever ``Index.build`` takes; with ``analyzer=None`` sequences of tokens.
    ids : str, iterable of str, or iterable of int, optional
        One key a document, or the name of the field that holds them.
    fields : sequence of str, optional
        The fields that are read and joined by line feeds.
    analyzer : Analyzer or None
        What turns a text into tokens.
    store : bool
        Whether the texts are kept.
    n_threads : int, optional
        At most so many threads. The result does not depend on it.
    progress : None, bool or callable
        See ``Index.build``.

    Returns
    -------
    BuiltSegment

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the position.
    """
    n_threads = check_n_threads(n_threads)
    if check_bool(store, "store") and analyzer is None:
        raise ValueError("store: expected False for sequences of tokens, got True")
    source = Documents(
        documents, fields=fields, id_field=ids if isinstance(ids, str) else None, tokens=analyzer is None
    )
    keys = None if ids is None or isinstance(ids, str) else _check_keys(ids)
    if keys is not None and source.total is not None:
        _check_one_each(keys, source.total)
    scanner = _scanner(analyzer)
    builder = _core.search.Builder()
    texts = _core.search.TextStore() if store else None
    with progress_bar(progress, source.total, "documents") as bar:
        for n in _scan(source, scanner, texts, analyzer, n_threads):
            forms = None if analyzer is None or not analyzer.stem else scanner.forms(builder.n_forms)
            builder.add(scanner, None if forms is None or analyzer is None else analyzer.stems_of(forms))
            bar.update(n)
    if source.keys is not None:
        keys = _check_keys(source.keys)
    if keys is not None:
        _check_one_each(keys, builder.n_docs)
    n_overlong = scanner.n_overlong
    arrays = builder.finish(scanner)
    if texts is not None:
        arrays.update(texts.finish())
    return BuiltSegment(arrays, keys, n_overlong)


def tokenize(texts: Any, analyzer: Analyzer, *, n_threads: int | None = None) -> TokenBatch:
    """The tokens of texts as numbers; see `Analyzer.batch`."""
    n_threads = check_n_threads(n_threads)
    scanner = _scanner(analyzer)
    vocabulary: dict[str, int] = {}
    tokens_of_forms = np.empty(0, dtype=np.int32)
    offsets, tokens, total = [np.zeros(1, dtype=np.int64)], np.empty(0, dtype=np.int32), 0
    for _ in _scan(Documents(texts, argument="texts"), scanner, None, analyzer, n_threads):
        forms = scanner.forms(len(tokens_of_forms))
        stems = analyzer.stems_of(forms) if analyzer.stem else forms
        if stems:
            new = np.fromiter(
                (vocabulary.setdefault(stem, len(vocabulary)) for stem in stems or ()), np.int32, len(forms)
            )
            tokens_of_forms = np.concatenate([tokens_of_forms, new])
        indptr, numbers = scanner.take()
        offsets.append(indptr[1:] + total)
        # In place: pieces that are joined at the end would be there twice.
        tokens.resize(total + len(numbers), refcheck=False)
        tokens[total:] = tokens_of_forms[numbers]
        total += len(numbers)
    return TokenBatch(np.concatenate(offsets), tokens, list(vocabulary))


def _scanner(analyzer: Analyzer | None) -> Any:
    if analyzer is not None:
        return _core.search.Scanner(analyzer._core)
    return _core.search.Scanner(
        _core.search.Analyzer(
            words="given", lowercase=False, cjk="whole", min_length=0, max_length=2**32 - 1, stopwords=[]
        )
    )


def _scan(source: Documents, scanner: Any, store: Any, analyzer: Analyzer | None, n_threads: int) -> Iterable[int]:
    surfaces = None if analyzer is None or analyzer.is_native else analyzer.surfaces
    sink = Sink(scanner, store, source.argument, surfaces, n_threads)
    position = 0
    for block in source.blocks():
        for n in block.scan(sink, position):
            yield n
            position += n


def _check_keys(ids: Any) -> list[str] | list[int]:
    """Keys as a list of str or a list of int; numpy's scalars become Python's."""
    if isinstance(ids, np.ndarray) and ids.ndim != 1:
        raise ValueError(f"ids: expected one key a document, got {describe(ids)}")
    if isinstance(ids, (bytes, Mapping, set, frozenset)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids: expected a sequence of str or of int, got {describe(ids)}")
    keys = ids.to_pylist() if hasattr(ids, "to_pylist") else ids.tolist() if hasattr(ids, "tolist") else list(ids)
    if not keys or all(type(key) is str for key in keys) or all(type(key) is int for key in keys):
        return _in_range(keys)
    kind: type | None = None
    own: type
    wrong = []
    for i, key in enumerate(keys):
        if isinstance(key, str):
            keys[i], own = str(key), str
        elif isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            keys[i], own = operator.index(key), int
        else:
            wrong.append(f"{describe(key)} at index {i}")
            continue
        kind = kind or own
        if own is not kind:
            wrong.append(f"{describe(key)} at index {i}")
    if wrong:
        expected = "str or int" if kind is None else kind.__name__
        raise TypeError(f"ids: expected keys of type {expected}, got {', '.join(wrong[:_MAX_LISTED])}")
    return _in_range(keys)


def _in_range(keys: list[Any]) -> list[Any]:
    if keys and isinstance(keys[0], int):
        wrong = [f"{key} at index {i}" for i, key in enumerate(keys) if not _INT64.min <= key <= _INT64.max]
        if wrong:
            raise ValueError(f"ids: expected integers that fit 64 bits, got {', '.join(wrong[:_MAX_LISTED])}")
    return keys


def _check_one_each(keys: list[str] | list[int], n_docs: int) -> None:
    if len(keys) != n_docs:
        raise ValueError(f"ids: expected one key a document, {n_docs} in all, got {len(keys)}")
