"""What users hand in as documents, cut into blocks that native code scans."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._validation import describe

Surfaces = Callable[[str], list[str]]

_BLOCK_TEXTS = 8192
_BLOCK_CHARACTERS = 1 << 21
_CALLED_TEXTS = 256
_EXPECTED = "a sequence of texts"


class TextBlock:
    """Strings, `n_parts` a document."""

    def __init__(self, texts: list[str], n_parts: int = 1) -> None:
        self._texts = texts
        self._n_parts = n_parts

    def scan(self, scanner: Any, store: Any, position: int, argument: str, surfaces: Surfaces | None) -> Iterator[int]:
        """Scans a few megabytes at a time, and yields the number of documents of each piece."""
        texts, at = self._texts, 0
        if surfaces is not None:
            yield from _scan_surfaces(self._joined(), scanner, store, position, argument, surfaces)
            return
        while at < len(texts):
            after = scanner.scan(
                texts, at, n_parts=self._n_parts, first_position=position, argument=argument, store=store
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

    def scan(self, scanner: Any, store: Any, position: int, argument: str, surfaces: Surfaces | None) -> Iterator[int]:
        """As `TextBlock.scan`; the tokens are taken as they are."""
        documents, at = self._documents, 0
        while at < len(documents):
            after = scanner.scan_tokens(documents, at, first_position=position, argument=argument)
            yield after - at
            at = after


Block = TextBlock | TokenBlock


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
        if isinstance(documents, (str, bytes, bytearray)):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {type(documents).__name__} [wrap it in a list]")
        if isinstance(documents, Mapping):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {type(documents).__name__} [wrap it in a list]")
        if isinstance(documents, np.ma.MaskedArray) and np.ma.is_masked(documents):
            raise ValueError(f"{name}: expected no masked elements, got some")
        if isinstance(documents, np.ndarray):
            if documents.ndim != 1:
                raise ValueError(f"{name}: expected a 1-D array of str, got shape {documents.shape}")
            if documents.dtype.kind not in "UOT":
                raise TypeError(f"{name}: expected an array of str, got dtype {documents.dtype}")
        elif not isinstance(documents, Iterable):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {describe(documents)}")
        return documents

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yields (the position of its first document, the block)."""
        documents = self._documents
        if isinstance(documents, tuple):
            documents = list(documents)
        if isinstance(documents, list) and (not documents or isinstance(documents[0], str)) and not self._tokens:
            self._refuse_names("plain texts")
            yield 0, TextBlock(documents)
            return
        yield from self._blocks_of(_iterate(documents))

    def _blocks_of(self, documents: Iterator[Any]) -> Iterator[tuple[int, Block]]:
        """Blocks of bounded size from anything that can be iterated over."""
        block: list[Any] = []
        start = position = size = 0
        add: Callable[[list[Any], Any, int], int] | None = None
        n_parts = 1
        for document in documents:
            if add is None:
                add, n_parts = self._reader(document)
            size += add(block, document, position)
            position += 1
            if position - start >= _BLOCK_TEXTS or size >= _BLOCK_CHARACTERS:
                yield start, self._block(block, n_parts)
                block, start, size = [], position, 0
        if block or position > start:
            yield start, self._block(block, n_parts)

    def _block(self, block: list[Any], n_parts: int) -> Block:
        return TokenBlock(block) if self._tokens else TextBlock(block, n_parts)

    def _reader(self, first: object) -> tuple[Callable[[list[Any], Any, int], int], int]:
        """How documents like the first one are read, and the number of texts each of them gives."""
        if self._tokens:
            self._refuse_names("sequences of tokens")
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


def _scan_surfaces(
    texts: Iterator[str], scanner: Any, store: Any, position: int, argument: str, surfaces: Surfaces
) -> Iterator[int]:
    """Scans texts whose words a Python callable finds."""
    while True:
        documents: list[Sequence[str]] = []
        kept: list[str] = []
        for text in itertools.islice(texts, _CALLED_TEXTS):
            if not isinstance(text, str):
                raise TypeError(f"{argument}: expected a str, got {describe(text)} at index {position + len(kept)}")
            try:
                documents.append(surfaces(text))
            except Exception as error:
                error.add_note(f"in the document at index {position + len(kept)}")
                raise
            kept.append(text)
        if not kept:
            return
        at = 0
        while at < len(documents):
            after = scanner.scan_tokens(documents, at, first_position=position, argument="tokenizer")
            if store is not None:
                store.add(kept[at:after], first_position=position + at, argument=argument)
            yield after - at
            at = after
        position += len(kept)


def _iterate(documents: Any) -> Iterator[Any]:
    if isinstance(documents, np.ndarray):
        for start in range(0, len(documents), _BLOCK_TEXTS):
            yield from documents[start : start + _BLOCK_TEXTS].tolist()
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
