"""`likewise search`: hits as a table, as JSON lines and as a run file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from likewise.cli import main
from likewise.search import Index


def test_search_table(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(index), "vectors of random length", "-k", "2"]) == 0
    out, err = capsys.readouterr()
    hits = Index.open(index).search("vectors of random length", k=2).to_list()
    assert [key for key, _ in hits] == ["p3", "p2"]
    assert out == (
        f"   1 {hits[0][1]:9.4f}  p3\n"
        "      Random projection Vectors keep their distances.\n"
        f"   2 {hits[1][1]:9.4f}  p2\n"
        "      Whitening Vectors with unit covariance.\n"
    )
    assert re.fullmatch(r"likewise: opened 3 documents in [\d.]+ s \(all of it checked; --trust skips that\)\n", err)


def test_search_k_beyond_the_documents(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in ("3", "1000000000000", str(10**30)):
        assert main(["search", str(index), "vectors", "-k", k, "--quiet"]) == 0
        assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[::2]] == ["p2", "p3"]


def test_search_several_queries_and_trust(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(index), "transport", "nothing", "covariance", "--trust"]) == 0
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "transport",
        "",
        "nothing",
        "",
        "covariance",
        "",
    ]
    assert "(header checked)" in err


def test_search_jsonl(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--json"], ["--format", "jsonl"], ["--json", "--format", "jsonl"]):
        assert main(["search", str(index), "vectors", "mass", "--quiet", *options]) == 0
        out, err = capsys.readouterr()
        rows = [json.loads(line) for line in out.splitlines()]
        assert [(row["query_id"], row["query"], row["rank"], row["id"]) for row in rows] == [
            ("1", "vectors", 1, "p2"),
            ("1", "vectors", 2, "p3"),
            ("2", "mass", 1, "p1"),
        ]
        assert rows[2]["highlight"] == "Optimal transport\nMoving <mark>mass</mark> at least cost."
        assert [row["score"] for row in rows[:2]] == Index.open(index).search("vectors").scores.tolist()
        assert err == ""


def test_search_trec_with_a_file_of_queries(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "queries.txt").write_text("q7\tvectors\n\nmass transport\n", encoding="utf-8")
    assert main(["search", str(index), "--queries", str(tmp_path / "queries.txt"), "--format", "trec", "--quiet"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:4] for row in rows] == [["q7", "Q0", "p2", "1"], ["q7", "Q0", "p3", "2"], ["2", "Q0", "p1", "1"]]
    assert {row[5] for row in rows} == {"likewise"}
    assert [float(row[4]) for row in rows[:2]] == pytest.approx(
        Index.open(index).search("vectors").scores.tolist(), rel=1e-7
    )


def test_search_finds_nothing(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for format in ("table", "jsonl", "trec"):
        assert main(["search", str(index), "zebra", "--format", format]) == 1
        out, err = capsys.readouterr()
        assert out == "" and "no document contains a word of the query" in err


def test_search_text_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["evil \x1b]0;title\x07 word \x9b31m <mark>&lt;</mark>"]
    Index.build(texts, ids=["\x1b[2J"], store=True).save(tmp_path / "evil.lw")
    assert main(["search", str(tmp_path / "evil.lw"), "word", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out)
    assert "evil ]0;title word 31m <mark>&lt;</mark>" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "{index}"], "QUERY: expected a query, or --queries FILE, got neither"),
        (["search", "{index}", "x", "--json", "--format", "trec"], "--json is short for --format jsonl"),
        (["search", "{index}", "x", "-k", "0"], "argument -k: expected an integer of at least 1, got '0'"),
        (
            ["search", "{index}", "x", "--threads", "two"],
            "argument --threads: expected an integer of at least 1, got 'two'",
        ),
        (["search", "{index}", "--queries", "{empty}"], "expected a query a line, got an empty file"),
        (["search", "{index}", "x", "--queries", "{twice}", "--format", "trec"], "query_ids: expected"),
        (["search", "{empty}", "x"], "{empty}"),
        (["search", "{index}/no", "x"], "{index}/no: No such file or directory"),
        (["serch"], "invalid choice: 'serch'"),
        ([], "the following arguments are required: COMMAND"),
        (["index", "a.txt"], "the following arguments are required: PATH"),
    ],
)
def test_bad_usage(
    arguments: list[str], message: str, index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "twice").write_text("a\tx\na\ty\n")
    places = {"index": index, "empty": tmp_path / "empty", "twice": tmp_path / "twice"}
    assert main([argument.format(**places) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("likewise: error: ") and message.format(**places) in err
    assert "Traceback" not in err


def test_trec_run_of_cranfield(cranfield: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From files to a run file by the program alone: the figure that the documentation gives."""
    with (tmp_path / "cranfield.jsonl").open("w", encoding="utf-8") as file:
        for key, text in zip(cranfield.ids, cranfield.texts, strict=True):
            file.write(json.dumps({"id": key, "text": text}) + "\n")
    lines = [f"{name}\t{' '.join(query.split())}\n" for name, query in cranfield.queries.items()]
    (tmp_path / "queries.tsv").write_text("".join(lines), encoding="utf-8")
    path = str(tmp_path / "cranfield.lw")
    assert main(["index", str(tmp_path / "cranfield.jsonl"), path, "--id-field", "id", "--no-store", "--quiet"]) == 0
    capsys.readouterr()
    queries = ["--queries", str(tmp_path / "queries.tsv")]
    assert main(["search", path, *queries, "-k", "1000", "--format", "trec", "--quiet"]) == 0
    run: dict[str, list[str]] = {}
    for line in capsys.readouterr().out.splitlines():
        query, _, key, rank, _, _ = line.split()
        assert int(rank) == len(run.setdefault(query, [])) + 1
        run[query].append(key)
    averages = []
    for query, relevant in cranfield.relevant.items():
        ranks = [rank for rank, key in enumerate(run[query], 1) if key in relevant]
        averages.append(sum(found / rank for found, rank in enumerate(ranks, 1)) / len(relevant))
    assert round(sum(averages) / len(averages), 4) == 0.2741
