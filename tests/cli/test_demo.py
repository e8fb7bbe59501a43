"""`likewise demo` and its corpus."""

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from likewise.cli import demo, main
from likewise.search import Index


def test_docstring_corpus() -> None:
    ids, texts = demo.docstring_corpus()
    assert len(ids) == len(texts) == len(set(ids)) > 5000
    assert texts[ids.index("random.Random.shuffle")].startswith("Shuffle list x in place")
    assert any(name.startswith("numpy.linalg.") for name in ids)
    assert not any(".tests." in name or name.startswith("test.") for name in ids)
    assert all(text.strip() for text in texts)


def test_docstrings_of_odd_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "escapes.py").write_text('"""A \\d escape."""\nif True:\n    class C:\n        def f(self): "Inner."\n')
    (tmp_path / "old.py").write_text('"""For Python 2."""\nprint "hello"\n')
    (tmp_path / "latin.py").write_bytes(
        b'# coding: latin-1\n"""Gr\xf6\xdfe."""\ndef g(): "Twice."\ndef g(): "Twice."\n'
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.py").write_text('"""A test."""\n')
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ids, texts = demo.docstring_corpus()
    assert ids == ["escapes", "escapes.C.f", "latin", "latin.g", "latin.g#2"]
    assert texts == ["A \\d escape.", "Inner.", "Größe.", "Twice.", "Twice."]


def test_docstring_corpus_imports_nothing(environment: dict[str, str]) -> None:
    program = (
        "import sys; from likewise.cli.demo import docstring_corpus; before = set(sys.modules); docstring_corpus(); "
        "new = set(sys.modules) - before; "
        "print(sorted(name for name in new if not name.startswith(('encodings.', '_sysconfigdata'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demo, "docstring_corpus", lambda: (["m.a", "m.b", "m.c"], ["Shuffle a list.", "Parse.", "Eigen."])
    )
    assert main(["demo", "shuffled lists", "zebra", "--save", str(tmp_path / "kept.lw")]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^shuffled lists\n   1 +[\d.]+  m\.a\n      Shuffle a list\.\n\nzebra\n   no document", out)
    for name in ("documents", "index", "build", "save", "open", "first query", "query"):
        assert re.search(rf"^{name} ", out, re.M), name
    assert "reading the docstrings" in err
    assert Index.open(tmp_path / "kept.lw").n_docs == 3
    assert main(["demo", "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["n_docs"] == 3 and len(report["queries"]) == len(demo.QUERIES)
    assert all(value > 0 for name, value in report.items() if name not in ("queries", "path"))
    assert err == ""


def test_demo_without_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["demo"]) == 2
    err = capsys.readouterr().err
    assert "likewise: error: demo: expected source files" in err and "Traceback" not in err


def test_demo_refuses_an_existing_path_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here").touch()
    assert main(["demo", "--save", str(tmp_path / "here")]) == 2
    assert "exists already" in capsys.readouterr().err
