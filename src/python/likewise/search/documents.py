"""What users hand in as documents, cut into blocks that native code scans."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from .._validation import describe

Surfaces = Callable[[str], list[str]]

_BLOCK_TEXTS = 8192
_BLOCK_CHARACTERS = 1 << 21
_CALLED_TEXTS = 256
_EXPECTED = "a sequence of texts"


@dataclass(frozen=True)
class Sink:
    """Where documents go: the scanner, the store of texts (or None), and how.

    `surfaces` finds the words of a text in Python, if the scanner does not; `argument` is the name in messages.
    """

    scanner: _core.search.Scanner
    store: _core.search.TextStore | None
    argument: str
    surfaces: Surfaces | None
    n_threads: int


class TextBlock:
    """Strings, `n_parts` a document."""

    def __init__(self, texts: list[str], n_parts: int = 1) -> None:
        self._texts = texts
        self._n_parts = n_parts

    def scan(self, sink: Sink, position: int) -> Iterator[int]:
        """Scans a few megabytes at a time, and yields the number of documents of each piece."""
        texts, at = self._texts, 0
        if sink.surfaces is not None:
            yield from _scan_surfaces(self._joined(), sink, position)
            return
        while at < len(texts):
            after = sink.scanner.scan(
                texts,
                at,
                n_parts=self._n_parts,
                first_position=position,
                argument=sink.argument,
                store=sink.store,
                n_threads=sink.n_threads,
            )
            yield (after - at) // self._n_parts
            at = after

    def _joined(self) -> Iterator[str]:
        texts, n = self._texts, self._n_parts
        return iter(texts) if n == 1 else ("\n".join(texts[i : i + n]) for i in range(0, len(texts), n))


class TokenBlock:
    """Documents that are lists or tuples of tokens."""

    def __init__(self, documents: list[Sequence[str]]) -> None:
        self._documents = documents

    def scan(self, sink: Sink, position: int) -> Iterator[int]:
        """As `TextBlock.scan`; the tokens are taken as they are."""
        documents, at = self._documents, 0
        while at < len(documents):
            after = sink.scanner.scan_tokens(documents, at, first_position=position, argument=sink.argument)
            yield after - at
            at = after


class ArrowBlock:
    """Texts of a producer of the Arrow PyCapsule interface, scanned where they lie."""

    def __init__(self, reader: _core.search.ArrowReader, keys: list[Any] | None) -> None:
        self._reader = reader
        self._keys = keys

    def scan(self, sink: Sink, position: int) -> Iterator[int]:
        """As `TextBlock.scan`."""
        while True:
            if sink.surfaces is None:
                n, ids = self._reader.scan(
                    sink.scanner, first_position=position, store=sink.store, n_threads=sink.n_threads
                )
                pieces: Iterable[int] = (n,)
            else:
                texts, ids = self._reader.read(first_position=position)
                n = len(texts)
                pieces = _scan_surfaces(iter(texts), sink, position)
            if n == 0:
                return
            if self._keys is not None:
                self._keys += ids or ()
            yield from pieces
            position += n


Block = TextBlock | TokenBlock | ArrowBlock


class Documents:
    """One pass over documents of any accepted kind.

    Parameters
    ----------
    documents : object
        See ``Index.build``.
    fields : sequence of str, optional
        The keys or columns that hold the text.
    id_field : str, optional
        The key or column that holds the ids.
    tokens : bool
        Whether documents are sequences of tokens.
    argument : str
        How messages call the documents.

    Attributes
    ----------
    keys : list or None
        The ids that were read so far, where `id_field` names them.
    total : int or None
        The number of documents, if it is known before they are read.
    """

    def __init__(
        self,
        documents: Any,
        *,
        fields: object = None,
        id_field: str | None = None,
        tokens: bool = False,
        argument: str = "documents",
    ) -> None:
        self.argument = argument
        self._fields = _check_fields(fields)
        self._id_field = id_field
        self._tokens = tokens
        self.keys: list[Any] | None = None if id_field is None else []
        self._documents = self._check(documents)
        self.total: int | None = len(self._documents) if hasattr(self._documents, "__len__") else None

    def _check(self, documents: Any) -> Any:
        name = self.argument
        if isinstance(documents, (str, bytes, bytearray, Mapping)):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {type(documents).__name__} [wrap it in a list]")
        if isinstance(documents, np.ma.MaskedArray) and np.ma.is_masked(documents):
            raise ValueError(f"{name}: expected no masked elements, got some")
        if isinstance(documents, np.ndarray):
            if documents.ndim != 1:
                raise ValueError(f"{name}: expected a 1-D array of str, got shape {documents.shape}")
            if documents.dtype.kind not in "UOT":
                raise TypeError(f"{name}: expected an array of str, got dtype {documents.dtype}")
        elif not isinstance(documents, Iterable) and not _is_arrow(documents):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {describe(documents)}")
        return documents

    def blocks(self) -> Iterator[Block]:
        """Yields the documents once, in order."""
        documents = self._documents
        if self._tokens:
            self._refuse_names("sequences of tokens")
        elif _is_arrow(documents):
            yield from self._arrow_blocks(documents)
            return
        if isinstance(documents, tuple):
            documents = list(documents)
        if isinstance(documents, list) and (not documents or isinstance(documents[0], str)) and not self._tokens:
            self._refuse_names("plain texts")
            yield TextBlock(documents)
            return
        yield from self._blocks_of(_iterate(documents))

    def _arrow_blocks(self, documents: Any) -> Iterator[Block]:
        """Frames and columns: by Arrow, or from Python's objects where the column holds nothing else."""
        if self._fields is not None and _is_frame(documents):
            columns = list(dict.fromkeys((*self._fields, *([] if self._id_field is None else [self._id_field]))))
            # Only these are handed over: pandas converts what it hands over.
            names = list(documents.columns)
            if all(names.count(column) == 1 for column in columns):
                documents = documents[columns]
        lists = _lists_of_objects(documents)
        if lists is None:
            yield ArrowBlock(self._arrow_reader(documents), self.keys)
        elif isinstance(lists, list):
            self._refuse_names("plain texts")
            yield TextBlock(lists)
        else:
            rows = (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))
            if self._fields is None and len(lists) - (self._id_field is not None) == 1:
                self._fields = tuple(name for name in lists if name != self._id_field)
            yield from self._blocks_of(rows)

    def _arrow_reader(self, documents: Any) -> _core.search.ArrowReader:
        options: Any = {
            "fields": None if self._fields is None else list(self._fields),
            "id_field": self._id_field,
            "argument": self.argument,
            "null_hint": '.fillna("")' if hasattr(documents, "fillna") else '.fill_null("")',
        }
        if hasattr(documents, "__arrow_c_array__"):
            return _core.search.ArrowReader.from_array(*documents.__arrow_c_array__(), **options)
        return _core.search.ArrowReader.from_stream(documents.__arrow_c_stream__(), **options)

    def _blocks_of(self, documents: Iterator[Any]) -> Iterator[Block]:
        """Blocks of bounded size from anything that can be iterated over."""
        block: list[Any] = []
        position = n = size = 0
        add: Callable[[list[Any], Any, int], int] | None = None
        n_parts = 1
        for document in documents:
            if add is None:
                if not self._tokens and _is_arrow(document):
                    for chunk in itertools.chain((document,), documents):
                        if not _is_arrow(chunk):
                            raise TypeError(f"{self.argument}: expected Arrow data as before, got {describe(chunk)}")
                        yield from self._arrow_blocks(chunk)
                    return
                add, n_parts = self._reader(document)
            size += add(block, document, position)
            position, n = position + 1, n + 1
            if n >= _BLOCK_TEXTS or size >= _BLOCK_CHARACTERS:
                yield self._block(block, n_parts)
                block, n, size = [], 0, 0
        if n:
            yield self._block(block, n_parts)

    def _block(self, block: list[Any], n_parts: int) -> Block:
        return TokenBlock(block) if self._tokens else TextBlock(block, n_parts)

    def _reader(self, first: object) -> tuple[Callable[[list[Any], Any, int], int], int]:
        """How documents like the first one are read, and the number of texts each of them gives."""
        if self._tokens:
            return self._add_tokens, 1
        if isinstance(first, Mapping):
            if self._fields is None:
                seen = ", ".join(map(repr, first))
                raise ValueError(f"fields: expected the names of the fields to read, got None [documents have {seen}]")
            return self._add_mapping, len(self._fields)
        self._refuse_names("plain texts")
        return self._add_text, 1

    def _refuse_names(self, kind: str) -> None:
        if self._fields is not None:
            raise ValueError(f"fields: expected None for {kind}, got {self._fields}")
        if self._id_field is not None:
            raise TypeError(f"ids: expected one key a document for {kind}, got the name {self._id_field!r}")

    def _add_text(self, block: list[Any], document: Any, position: int) -> int:
        if not isinstance(document, str):
            raise TypeError(self._wrong(document, "a str", position))
        block.append(document)
        return len(document)

    def _add_tokens(self, block: list[Any], document: Any, position: int) -> int:
        if type(document) is not list and type(document) is not tuple:
            if isinstance(document, (str, bytes, Mapping)) or not isinstance(document, Iterable):
                raise TypeError(self._wrong(document, "a sequence of tokens", position))
            document = document.tolist() if isinstance(document, np.ndarray) else list(document)
        block.append(document)
        return 6 * len(document)

    def _add_mapping(self, block: list[Any], document: Any, position: int) -> int:
        if not isinstance(document, Mapping):
            raise TypeError(self._wrong(document, "a mapping", position))
        size = 0
        for field in self._fields or ():
            try:
                text = document[field]
            except KeyError:
                seen = ", ".join(map(repr, document))
                raise ValueError(
                    f"{self.argument}: expected the field {field!r}, got {seen or 'no field'} at index {position}"
                ) from None
            if not isinstance(text, str):
                raise TypeError(f"{self._wrong(text, 'a str', position)}, field {field!r}")
            block.append(text)
            size += len(text)
        if self.keys is not None:
            try:
                self.keys.append(document[self._id_field])
            except KeyError:
                raise ValueError(f"ids: expected the field {self._id_field!r}, got none at index {position}") from None
        return size

    def _wrong(self, document: object, expected: str, position: int) -> str:
        hint = ""
        if expected == "a str" and isinstance(document, (list, tuple)):
            hint = " [analyzer=None takes sequences of tokens]"
        return f"{self.argument}: expected {expected}, got {describe(document)} at index {position}{hint}"


def _scan_surfaces(texts: Iterator[str], sink: Sink, position: int) -> Iterator[int]:
    """Scans texts whose words a Python callable finds."""
    assert sink.surfaces is not None
    while True:
        documents: list[Sequence[str]] = []
        kept: list[str] = []
        for text in itertools.islice(texts, _CALLED_TEXTS):
            if not isinstance(text, str):
                raise TypeError(
                    f"{sink.argument}: expected a str, got {describe(text)} at index {position + len(kept)}"
                )
            try:
                documents.append(sink.surfaces(text))
            except Exception as error:
                error.add_note(f"in the document at index {position + len(kept)}")
                raise
            kept.append(text)
        if not kept:
            return
        at = 0
        while at < len(documents):
            after = sink.scanner.scan_tokens(documents, at, first_position=position, argument="tokenizer")
            if sink.store is not None:
                sink.store.add(kept[at:after], first_position=position + at, argument=sink.argument)
            yield after - at
            at = after
        position += len(kept)


def _is_arrow(documents: object) -> bool:
    return hasattr(documents, "__arrow_c_stream__") or hasattr(documents, "__arrow_c_array__")


def _lists_of_objects(documents: Any) -> list[Any] | dict[str, list[Any]] | None:
    """The content of a pandas or polars column or frame that holds Python objects; None if Arrow can read it.

    Their export of such columns would guess a type, or fail in its own words.
    """
    if _is_frame(documents):
        columns = {name: documents[name] for name in documents.columns}
        if not any(_holds_objects(column) for column in columns.values()):
            return None
        return {name: _to_list(column) for name, column in columns.items()}
    return _to_list(documents) if _holds_objects(documents) else None


def _is_frame(documents: object) -> bool:
    """Whether this is a pandas or polars frame; those of other libraries are read by Arrow alone."""
    return hasattr(documents, "columns") and (hasattr(documents, "iloc") or hasattr(documents, "get_columns"))


def _holds_objects(column: Any) -> bool:
    return str(getattr(column, "dtype", "")).lower() == "object"


def _to_list(column: Any) -> list[Any]:
    return list(column.to_list())


def _iterate(documents: Any) -> Iterator[Any]:
    if isinstance(documents, np.ndarray):
        for start in range(0, len(documents), _BLOCK_TEXTS):
            yield from documents[start : start + _BLOCK_TEXTS].tolist()
    elif hasattr(documents, "to_pylist"):  # pyarrow iterates over its own scalars
        yield from documents.to_pylist()
    else:
        yield from documents


def _check_fields(fields: object) -> tuple[str, ...] | None:
    if fields is None:
        return None
    if isinstance(fields, str):
        return (fields,)
    if isinstance(fields, (bytes, Mapping)) or not isinstance(fields, Iterable):
        raise TypeError(f"fields: expected a sequence of str, got {describe(fields)}")
    names = tuple(fields)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"fields: expected a str, got {describe(name)} at index {i}")
    if not names:
        raise ValueError("fields: expected at least one name, got none")
    if len(set(names)) < len(names):
        raise ValueError(f"fields: expected distinct names, got {names}")
    return names
