"""``likewise keywords``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from likewise.cli import main
from likewise.search import Analyzer, Index
from likewise.whitening import Moments
from tests.keywords.models import small

TEXTS = ["A b a, c z.", "B c b unheard", ""]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps({"key": f"k{i}", "text": text}) for i, text in enumerate(TEXTS)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    small().save(tmp_path / "model.lw")
    return tmp_path / "model.lw"


def run(capsys: Any, *arguments: object) -> str:
    assert main(["keywords", *map(str, arguments)]) == 0
    out: str = capsys.readouterr().out
    return out


def test_tfidf(capsys: Any, documents: Path) -> None:
    out = run(capsys, documents, "--id-field", "key", "--text-field", "text", "-n", 2, "--json")
    index = Index.build(TEXTS)
    expected = [
        {"id": f"k{i}", "keywords": [{"word": w, "score": s} for w, s in index.keywords(i, 2)]} for i in range(3)
    ]
    assert [json.loads(line) for line in out.splitlines()] == expected


def test_word2vec(capsys: Any, documents: Path, model: Path) -> None:
    plain = run(capsys, documents, "--method", "word2vec", "--model", model, "--text-field", "text")
    assert plain == "0\ta, b, c\n1\t" + ", ".join(w for w, _ in small().extract(["b", "c", "b"])) + "\n2\t\n"
    stop = documents.with_name("stop.txt")
    stop.write_text("b\n\nthe\n")
    options = ("--stopwords", stop, "--no-self-term", "--fuse", "tfidf", "--json", "-n", 3)
    out = run(capsys, documents, "--method", "word2vec", "--model", model, "--text-field", "text", *options)
    analyzer = Analyzer(stopwords=None, stem=False)
    index = Index.build(TEXTS, analyzer=analyzer)
    for line, text in zip(out.splitlines(), TEXTS, strict=True):
        found = [(entry["word"], entry["score"]) for entry in json.loads(line)["keywords"]]
        assert found == small().extract(
            analyzer(text), 3, stopwords={"b", "the"}, self_term=False, fuse="tfidf", idf=index
        )
    english = run(
        capsys, documents, "--method", "word2vec", "--model", model, "--stopwords", "english", "--text-field", "text"
    )
    assert english.splitlines()[0] == "0\t" + ", ".join(w for w, _ in small().extract(["b", "c"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "word2vec"], "--model: expected a model, as --method is word2vec"),
        (["--no-self-term"], "--no-self-term: only with --method word2vec"),
        (["--fuse", "tfidf"], "--fuse: only with --method word2vec"),
        (["--method", "word2vec", "--model", "missing.lw"], "missing.lw: No such file or directory"),
        (["--text-field", "title"], "line 1: expected a field 'title'"),
        (["-n", "0"], "-n: "),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: Any, documents: Path) -> None:
    assert main(["keywords", str(documents), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_model_of_another_kind_is_refused(capsys: Any, documents: Path, tmp_path: Path) -> None:
    moments = Moments()
    moments.update([[1.0, 2.0], [3.0, 4.0]])
    moments.save(tmp_path / "moments.lw")
    assert main(["keywords", str(documents), "--method", "word2vec", "--model", str(tmp_path / "moments.lw")]) == 2
    assert "expected a keyword model, got a Moments" in capsys.readouterr().err
