"""The parts: reading documents, writing lines."""

import io
import sys
from collections.abc import Callable

import pytest

from likewise.cli.documents import Documents, InputError, guess_format
from likewise.cli.output import Output, human_bytes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "shown"),
    [
        (Terminal, {}, "a \x1b[1;33mword\x1b[0m"),
        (Terminal, {"NO_COLOR": ""}, "a word"),
        (Terminal, {"TERM": "dumb"}, "a word"),
        (io.StringIO, {}, "a word"),
    ],
)
def test_marks_are_coloured_on_a_terminal_only(
    stream: Callable[[], io.StringIO], variables: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream())
    assert Output(json=False, quiet=False).marked("a <mark>word</mark>") == shown


def test_documents_are_read_in_one_pass() -> None:
    lines = b"".join(b'{"t": "%d"}\n' % i for i in range(1000))
    file = io.BytesIO(lines)
    documents = iter(Documents(file, "jsonl"))
    assert next(documents) == {"t": "0"}
    assert file.tell() < len(lines) / 2
    assert sum(1 for _ in documents) == 999


def test_csv_fields_may_be_long_and_the_limit_is_given_back() -> None:
    import csv

    before = csv.field_size_limit()
    long = "x" * 300_000
    assert list(Documents(io.BytesIO(f"t\n{long}\n".encode()), "csv")) == [{"t": long}]
    assert csv.field_size_limit() == before


def test_formats_by_name() -> None:
    assert [guess_format(name) for name in ("a.jsonl", "A.CSV", "b.ndjson", "c.txt", "-")] == [
        "jsonl",
        "csv",
        "jsonl",
        "txt",
        "jsonl",
    ]
    with pytest.raises(InputError, match="got 'no suffix' \\[give --format\\]"):
        guess_format("papers")


def test_human_bytes() -> None:
    assert [human_bytes(n) for n in (0, 1234, 5.6e6, 7.8e9, 9e12)] == ["0 B", "1.2 kB", "5.6 MB", "7.8 GB", "9000.0 GB"]
