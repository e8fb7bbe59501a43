"""``likewise bench``: which benchmarks run, where, and what is written. Nothing is timed here."""

import json
from pathlib import Path

import pytest

from likewise.cli import bench, main

ROOT = Path(__file__).resolve().parents[2]


def test_finds_the_checkout_from_any_folder_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "tests" / "cli")
    assert bench.find_checkout() == ROOT


def test_elsewhere_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.likewise, "__file__", str(tmp_path / "likewise" / "__init__.py"))
    assert main(["bench"]) == 2
    assert "pip download --no-deps --no-binary likewise likewise==" in capsys.readouterr().err


def test_a_foreign_project_with_benchmarks_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "report.py").touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.likewise, "__file__", str(tmp_path / "likewise" / "__init__.py"))
    assert bench.find_checkout() is None


def test_names() -> None:
    everything = bench.benchmark_files(ROOT, [])
    search = bench.benchmark_files(ROOT, ["search"])
    assert {path.stem for path in everything} > {path.stem for path in search} > {"test_queries", "test_batches"}
    assert [path.stem for path in bench.benchmark_files(ROOT, ["queries"])] == ["test_queries"]
    assert bench.benchmark_files(ROOT, ["search", "queries"]) == search
    folders = {path.parent.name for path in bench.benchmark_files(ROOT, ["projection", "whitening"])}
    assert folders == {"projection", "whitening"}


def test_unknown_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytest_benchmark")
    monkeypatch.chdir(ROOT)
    assert main(["bench", "qeries"]) == 2
    err = capsys.readouterr().err
    assert "NAME: expected one of" in err and "queries" in err and "got 'qeries'" in err


def test_report(tmp_path: Path) -> None:
    """Tables and charts of made-up figures: a bar reached, one missed, one without a peer."""
    pytest.importorskip("matplotlib")
    from benchmarks import report, results

    rows = [results.Row("likewise", 10.0, 9.0, 3), results.Row("bm25s", 35.0, 34.0, 3), results.Row("numpy", 5.0)]
    axes = {"corpus": "debian", "setting": "short", "k": 10}
    queries = results.Record("queries", "debian, short, k=10", "us per query", rows, axes=axes)
    queries.compare(">= 2x the fastest peer", 2.0)  # numpy is a reference, not a peer
    queries.compare(">= 2x tantivy", 2.0, "tantivy")
    queries.limit("<= 5 us", 10.0, 5.0)
    growth = results.Record("growth", "1000 documents", "us", rows, axes={"n_docs": 1000, "setting": "short", "k": 10})
    assert [bar.met for bar in queries.bars] == [True, None, False]
    machine = {
        "date": "2030-01-01", "processor": "P", "cpu_level": "v3", "cores": 2, "memory_gib": 1.0, "system": "S",
        "python": "3.11", "load": 0.0, "versions": {"likewise": "1"},
    }  # fmt: skip
    times = [results.Row("likewise", 1.0), results.Row("sklearn sparse", 30.0), results.Row("read", 0.8)]
    shape = {"n": 100, "d": 64, "k": 16}
    vectors = [
        results.Record("projection", "100 x 64 -> 16", "ms", times, axes=shape),
        results.Record("projection growth", "100 x 64 -> 16", "ms", times, axes={"varies": "n", "size": 100}),
        results.Record("whitening, fit", "100 x 64", "ms", times[:1], axes=shape),
    ]
    results.save([queries, growth, *vectors], tmp_path / "found.json", machine)
    written = {path.name for path in report.write(tmp_path / "found.json", tmp_path / "out")}
    charts = {"queries", "growth", "ratios", "projection", "whitening", "vectors_growth"}
    assert written == {"results.md", "results.json", *(f"{name}.png" for name in charts)}
    assert results.load(tmp_path / "out" / "results.json") == ([queries, growth, *vectors], machine)
    assert json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["records"][0]["bars"][2]["met"] is False
    table = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "| queries | debian, short, k=10 | >= 2x the fastest peer (bm25s) | 3.5 | yes |" in table
    assert "| queries | debian, short, k=10 | <= 5 us | 10 | **no** |" in table
    assert "| queries | debian, short, k=10 | >= 2x tantivy | not measured |  |" in table
