"""`likewise index`: what it builds from what, and what it refuses."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from likewise.cli import main
from likewise.search import Index

RunProgram = Callable[..., subprocess.CompletedProcess[bytes]]


def test_index_jsonl(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, object]]
) -> None:
    path = tmp_path / "out.lw"
    assert main(["index", str(papers), str(path), "--id-field", "id"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(
        rf"{path}: 3 documents, 14 terms, 15 postings, [\d.]+ kB, in [\d.]+ s \(\d+ documents/s\)\n", out
    ), out
    assert err == "likewise: indexing title, abstract (of id, title, abstract, year)\n"
    opened = Index.open(path)
    assert list(opened.ids) == ["p1", "p2", "p3"]
    built = Index.build(rows, ids="id", fields=("title", "abstract"))
    assert opened.search("vectors").to_list() == built.search("vectors").to_list()


def test_index_json_report(papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.lw"
    assert main(["index", str(papers), str(path), "--text-field", "title", "--json", "--quiet", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["n_docs"], report["n_terms"], report["n_postings"]) == (3, 5, 5)
    assert report["n_bytes"] == sum(file.stat().st_size for file in path.glob("segment-*"))
    assert set(report) >= {"path", "seconds", "documents_per_second"}
    assert err == ""


@pytest.mark.parametrize(
    "fields", [["--text-field", "title", "abstract"], ["--text-field", "title", "--text-field", "abstract"]]
)
def test_index_fields_may_be_given_either_way(papers: Path, tmp_path: Path, fields: list[str]) -> None:
    assert main(["index", str(papers), str(tmp_path / "out.lw"), *fields]) == 0
    index = Index.open(tmp_path / "out.lw")
    assert index.search("transport cost").doc_ids.tolist() == [0]
    assert index.search("1984").doc_ids.tolist() == []


def test_index_csv_with_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufeffname,text\r\n"a, b","two\r\nlines"\r\n\r\nc,"a ""quoted"" word"\r\n'
    (tmp_path / "in.csv").write_text(text, encoding="utf-8", newline="")
    assert main(["index", str(tmp_path / "in.csv"), str(tmp_path / "out.lw"), "--id-field", "name"]) == 0
    index = Index.open(tmp_path / "out.lw")
    assert index.search("lines").ids.tolist() == ["a, b"]
    assert index.search("quoted").ids.tolist() == ["c"]


def test_index_txt_keeps_empty_lines_as_documents(tmp_path: Path) -> None:
    # U+2028 and a form feed end no line; a carriage return before the line feed is not text
    (tmp_path / "in.txt").write_bytes("one\r\n\nthree\u2028still\fthree\nfour".encode())
    assert main(["index", str(tmp_path / "in.txt"), str(tmp_path / "out.lw")]) == 0
    index = Index.open(tmp_path / "out.lw")
    assert index.n_docs == 4
    assert index.search("still").doc_ids.tolist() == [2]
    assert index.search("four").doc_ids.tolist() == [3]


def test_index_from_standard_input(tmp_path: Path, run: RunProgram) -> None:
    path = tmp_path / "out.lw"
    done = run("index", "-", path, "--format", "txt", "--quiet", input="zwei Häuser\n北京大学\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert Index.open(path).search("北京").doc_ids.tolist() == [1]


def test_index_without_texts_is_smaller_and_shows_none(
    papers: Path, tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.lw"
    assert main(["index", str(papers), str(path), "--id-field", "id", "--no-store", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["search", str(path), "transport", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["search", str(path), "transport", "--json", "--quiet"]) == 0
    assert "highlight" not in json.loads(capsys.readouterr().out)


def test_index_overwrite(papers: Path, index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file.name: file.read_bytes() for file in index.iterdir()}
    assert main(["index", str(papers), str(index)]) == 2
    assert capsys.readouterr().err == f"likewise: error: {index}: exists already [--overwrite replaces an index]\n"
    assert {file.name: file.read_bytes() for file in index.iterdir()} == before
    assert main(["index", str(papers), str(index), "--text-field", "title", "--overwrite", "--json"]) == 0
    # The replaced index still lies there, but is no part of the new one.
    [new] = {file.name for file in index.glob("segment-*")} - before.keys()
    assert json.loads(capsys.readouterr().out)["n_bytes"] == (index / new).stat().st_size
    assert Index.open(index).n_postings == 5


def test_index_overwrite_replaces_nothing_but_an_index(papers: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("precious")
    assert main(["index", str(papers), str(tmp_path / "letters"), "--overwrite"]) == 2
    assert [file.name for file in (tmp_path / "letters").iterdir()] == ["dear.txt"]


BAD_INPUTS: dict[str, tuple[str, bytes, list[str], str]] = {
    "bad JSON": (
        "jsonl",
        b'{"t": "a"}\n{"t": \n',
        [],
        "line 2: expected a JSON object, got Expecting value at column 7",
    ),
    "no object": ("jsonl", b'{"t": "a"}\n["b"]\n', [], "line 2: expected a JSON object, got a list"),
    "a text": ("jsonl", b'"b"\n', [], "line 1: expected a JSON object, got a string"),
    "deep JSON": ("jsonl", b'{"t": "a"}\n' + b"[" * 100_000 + b"\n", [], "line 2: expected a JSON object"),
    "missing field": ("jsonl", b'{"t": "a"}\n\n{"u": "b"}\n', [], "line 3: expected a field 't', got 'u'"),
    "missing id": ("jsonl", b'{"t": "a"}\n', ["--id-field", "id"], "line 1: expected a field 'id', got 't'"),
    "null": ("jsonl", b'{"t": "a"}\n{"t": null}\n', [], "line 2: field 't': expected a string, got null"),
    "number": ("jsonl", b'{"t": "a"}\n{"t": 1.5}\n', [], "line 2: field 't': expected a string, got a number"),
    "no text field": ("jsonl", b'{"n": 1}\n', [], "line 1: expected a field that holds a text, got 'n'"),
    "id of a wrong kind": (
        "jsonl",
        b'{"t": "a", "id": true}\n',
        ["--id-field", "id"],
        "line 1: field 'id': expected a string or an integer, got a boolean",
    ),
    "id twice": (
        "jsonl",
        b'{"t": "a", "id": 7}\n{"t": "b", "id": 8}\n{"t": "c", "id": 7}\n',
        ["--id-field", "id"],
        "line 3: id 7 is taken by line 1",
    ),
    "ids of two kinds": (
        "jsonl",
        b'{"t": "a", "id": 7}\n{"t": "b", "id": "8"}\n',
        ["--id-field", "id"],
        "line 2: field 'id': expected an integer as before, got a string",
    ),
    "id beyond 64 bits": (
        "jsonl",
        b'{"t": "a", "id": 7}\n{"t": "b", "id": 9223372036854775808}\n',
        ["--id-field", "id"],
        "line 2: field 'id': expected an integer that fits 64 bits, got 9223372036854775808",
    ),
    "half a surrogate pair": ("jsonl", b'{"t": "\\ud83d"}\n', [], "line 1: field 't': expected Unicode text"),
    "not UTF-8": ("jsonl", b'{"t": "a"}\n{"t": "\xe9"}\n', [], "line 2: expected UTF-8, got byte 0xe9 at byte 8"),
    "txt not UTF-8": ("txt", b"a\nb\n\xff\n", [], "line 3: expected UTF-8, got byte 0xff at byte 1"),
    "empty": ("jsonl", b"", [], "expected at least one document, got an empty input"),
    "blank": ("jsonl", b"\n \n", [], "expected at least one document, got an empty input"),
    "empty txt": ("txt", b"", [], "expected at least one document, got an empty input"),
    "csv with a header only": ("csv", b"a,b\n", [], "expected at least one document, got an empty input"),
    "csv with too few columns": (
        "csv",
        b'a,b\n"x\ny",z\nv\n',
        [],
        "line 4: expected 2 columns, as in the header, got 1",
    ),
    "csv with an open quote": ("csv", b'a,b\nx,y\n"v,w\n', [], "line 3: expected CSV, got unexpected end of data"),
    "csv with equal names": ("csv", b"a,a\nx,y\n", [], "line 1: expected a header of distinct names, got a"),
    "fields of txt": ("txt", b"a\n", ["--id-field", "id"], "--text-field, --id-field: a txt file has no fields"),
    "unknown suffix": (
        "parquet",
        b"PAR1",
        [],
        "expected a name that ends in .jsonl, .ndjson, .csv, .txt, got '.parquet'",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_index_refuses_bad_input(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suffix, content, options, message = BAD_INPUTS[name]
    (tmp_path / f"in.{suffix}").write_bytes(content)
    assert main(["index", str(tmp_path / f"in.{suffix}"), str(tmp_path / "out.lw"), *options]) == 2
    out, err = capsys.readouterr()
    [line] = [line for line in err.splitlines() if not line.startswith("likewise: indexing")]
    assert line.startswith("likewise: error: ") and message in line
    assert "Traceback" not in err and out == ""
    assert [file.name for file in tmp_path.iterdir()] == [f"in.{suffix}"]  # nothing half-written


def test_index_refuses_a_bad_place_before_it_reads(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(tmp_path / "no.txt"), str(tmp_path / "no" / "out.lw")]) == 2
    assert capsys.readouterr().err == f"likewise: error: {tmp_path / 'no'}: no such folder\n"
    assert main(["index", str(tmp_path / "no.txt"), str(papers), "--overwrite"]) == 2
    assert capsys.readouterr().err == f"likewise: error: {papers}: exists already, and is no index\n"


def test_index_refuses_a_directory_and_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path), str(tmp_path / "out.lw")]) == 2
    assert capsys.readouterr().err == f"likewise: error: {tmp_path}: Is a directory\n"
    assert main(["index", str(tmp_path / "no.txt"), str(tmp_path / "out.lw")]) == 2
    assert capsys.readouterr().err == f"likewise: error: {tmp_path / 'no.txt'}: No such file or directory\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_index_without_permission(papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert main(["index", str(papers), str(tmp_path / "locked" / "out.lw")]) == 2
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_error_of_the_system_is_one_line(
    code: int, papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), "out.lw")

    monkeypatch.setattr(Index, "save", refuse)
    assert main(["index", str(papers), str(tmp_path / "out.lw"), "--quiet"]) == 2
    assert capsys.readouterr().err == f"likewise: error: out.lw: {os.strerror(code)}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_under_the_results(index: Path, environment: dict[str, str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "likewise", "search", str(index), "transport", "--quiet"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=60)
    assert done.returncode == 2
    assert done.stderr == b"likewise: error: No space left on device\n"
