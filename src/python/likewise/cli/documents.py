"""Reads the documents that ``likewise index`` is given: JSON lines, CSV, or text with a document a line.

Everything is read in one pass, so that standard input works, and whatever is wrong is reported with its line. Lines
end at a line feed alone (not at U+2028 or a form feed), which is what the three formats and other tools mean by it.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

FORMATS = ("jsonl", "csv", "txt")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "txt"}


class InputError(ValueError):
    """What is wrong with the input, and where.

    Parameters
    ----------
    reason : str
        What is wrong.
    line : int, optional
        The line, counted from 1.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line


def guess_format(path: str) -> str:
    """Name the format of a file by its suffix; standard input is taken for JSON lines."""
    if path == "-":
        return "jsonl"
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise InputError(f"{path}: expected a name that ends in {known}, got {suffix or 'no suffix'!r} [give --format]")
    return _SUFFIXES[suffix]


@contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for "-", for reading bytes."""
    if path == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed")
        yield sys.stdin.buffer
    else:
        with Path(path).open("rb") as file:
            yield file


def read_lines(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line feeds; a byte order mark at the start is dropped."""
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise InputError(f"expected UTF-8, got byte 0x{byte:02x} at byte {error.start + 1}", number) from None
        yield line.removeprefix("\ufeff") if number == 1 else line


class Documents:
    """The documents of one file, in order; iterate once.

    Parameters
    ----------
    file : binary file
        Where the bytes come from.
    format : {"jsonl", "csv", "txt"}
        How they are to be understood.
    text_fields : sequence of str, optional
        The fields whose text is indexed. Default: those that hold a string in the first document, without the id.
    id_field : str, optional
        The field that identifies a document. Default: documents are numbered from 0.

    Attributes
    ----------
    fields : tuple of str or None
        The fields that are read; None for plain text.
    available : tuple of str
        All fields of the first document.

    Raises
    ------
    InputError
        With the number of the line that is wrong.
    """

    def __init__(
        self,
        file: BinaryIO,
        format: str,
        *,
        text_fields: Sequence[str] | None = None,
        id_field: str | None = None,
    ) -> None:
        if format == "txt" and (text_fields or id_field is not None):
            raise InputError("--text-field, --id-field: a txt file has no fields, only a document a line")
        readers: dict[str, Callable[[BinaryIO], Iterator[tuple[int, Any]]]]
        readers = {"jsonl": _read_json, "csv": _read_csv, "txt": _read_text}
        rows = readers[format](file)
        self._id_field = id_field
        self._rows = rows
        try:
            self._first: tuple[int, Any] | None = next(rows)
        except StopIteration:
            raise InputError("expected at least one document, got an empty input") from None
        self.available: tuple[str, ...] = ()
        self.fields: tuple[str, ...] | None = None
        if format != "txt":
            line, row = self._first
            self.available = tuple(row)
            self.fields = tuple(dict.fromkeys(text_fields or ())) or self._default_fields(line, row)

    def _default_fields(self, line: int, row: dict[str, Any]) -> tuple[str, ...]:
        fields = tuple(name for name, value in row.items() if isinstance(value, str) and name != self._id_field)
        if not fields:
            raise InputError(f"expected a field that holds a text, got {_listed(row)}", line)
        return fields

    def __iter__(self) -> Iterator[str | dict[str, Any]]:
        assert self._first is not None, "documents can be read once"
        line, row = self._first
        self._first = None
        if self.fields is None:
            yield row
            for _, row in self._rows:
                yield row
            return
        lines_of_ids: dict[str | int, int] = {}
        yield self._checked(line, row, lines_of_ids)
        for line, row in self._rows:
            yield self._checked(line, row, lines_of_ids)

    def _checked(self, line: int, row: dict[str, Any], lines_of_ids: dict[str | int, int]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for name in self.fields or ():
            value = _field(line, row, name)
            if not isinstance(value, str):
                raise InputError(f"field {name!r}: expected a string, got {_kind(value)}", line)
            document[name] = value
        if self._id_field is not None:
            key = _field(line, row, self._id_field)
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise InputError(f"field {self._id_field!r}: expected a string or an integer, got {_kind(key)}", line)
            first = next(iter(lines_of_ids), key)
            if type(key) is not type(first):
                raise InputError(f"field {self._id_field!r}: expected {_kind(first)} as before, got {_kind(key)}", line)
            if isinstance(key, int) and not -(2**63) <= key < 2**63:
                raise InputError(f"field {self._id_field!r}: expected an integer that fits 64 bits, got {key}", line)
            earlier = lines_of_ids.setdefault(key, line)
            if earlier != line:
                raise InputError(f"id {key!r} is taken by line {earlier}", line)
            document[self._id_field] = key
        return document


def _read_text(file: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_lines(file), 1):
        yield number, line.removesuffix("\n").removesuffix("\r")


def _read_json(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_lines(file), 1):
        if line.isspace():
            continue
        try:
            row = json.loads(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            raise InputError(f"expected a JSON object, got {error.msg} at column {error.colno}", number) from None
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits, lists in lists in lists
            raise InputError(f"expected a JSON object, got {error}", number) from None
        if not isinstance(row, dict):
            raise InputError(f"expected a JSON object, got {_kind(row)}", number)
        if "\\ud" in line.lower():  # only such an escape can bring in half of a surrogate pair
            _check_surrogates(row, number)
        yield number, row


def _check_surrogates(row: dict[str, Any], line: int) -> None:
    for name, value in row.items():
        for text in (name, value):
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                shown = name.encode("ascii", "backslashreplace").decode()
                raise InputError(f"field '{shown}': expected Unicode text, got half of a surrogate pair", line)


def _read_csv(file: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
    # csv's own limit of 128 KiB a field is a setting of the process; it is given back when the reading ends.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(read_lines(file), strict=True)
        names: list[str] | None = None
        line = 1
        try:
            for row in reader:
                if names is None:
                    names = row
                    _check_header(names, line)
                elif row:  # csv gives an empty list for an empty line
                    if len(row) != len(names):
                        raise InputError(f"expected {len(names)} columns, as in the header, got {len(row)}", line)
                    yield line, dict(zip(names, row, strict=True))
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"expected CSV, got {error}", line) from None
    finally:
        csv.field_size_limit(limit)


def _check_header(names: list[str], line: int) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise InputError(f"expected a header of distinct names, got {', '.join(repeated) or 'nothing'}", line)


def _field(line: int, row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise InputError(f"expected a field {name!r}, got {_listed(row)}", line)
    return row[name]


def _listed(row: dict[str, Any]) -> str:
    names = list(row)
    return ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "") if names else "no fields"


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
