"""Every example of the documentation runs: pages, README, docstrings, examples/, and the build of the pages."""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example, Sybil
from sybil.parsers import markdown, rest

import likewise
from likewise.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.rst"), ROOT / "README.md"])
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Installing, building and fetching is what .ci/run does, in a clean environment; `likewise bench` takes minutes.
NOT_RUN_HERE = (
    "pip ",
    "python -m venv",
    "pytest",
    "ruff ",
    "cmake ",
    "ctest ",
    "./build",
    "likewise bench",
    "sphinx-build",
)


def run_console(example: Example) -> None:
    """Run the lines after `$`, in a folder of the page's own, and compare what they print.

    `$ cat FILE` shows a file that later commands read: it is made to hold what is shown.
    """
    commands: list[tuple[str, list[str]]] = []
    for line in example.parsed.rstrip().splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    for command, expected in commands:
        text = "".join(f"{line}\n" for line in expected)
        if command.startswith("cat "):
            Path(command.removeprefix("cat ")).write_text(text, encoding="utf-8")
        elif not command.startswith(NOT_RUN_HERE):
            run_command(command, text)


def run_command(command: str, expected: str) -> None:
    for part in command.split(" && "):
        program, *arguments = shlex.split(part)
        if program.startswith("LIKEWISE_"):  # read when likewise is imported: only a process of its own sees it
            name, _, value = program.partition("=")
            assert arguments.pop(0) == "likewise"
            child = [sys.executable, "-m", "likewise", *arguments]
            done = subprocess.run(child, capture_output=True, text=True, env=environment() | {name: value})
            code, out, err = done.returncode, done.stdout, done.stderr
        else:
            assert program == "likewise", f"{command}: expected a command of likewise"
            with (
                contextlib.redirect_stdout(io.StringIO()) as stdout,
                contextlib.redirect_stderr(io.StringIO()) as stderr,
            ):
                code = main(arguments)
            out, err = stdout.getvalue(), stderr.getvalue()
        fails = expected.startswith("likewise: error")
        assert code == (2 if fails else 0), f"{part}: exit code {code}, {err}"
    if expected:
        got = err[err.index("likewise: error") :] if fails else out  # notes may stand before it
        want = expected.replace("<BLANKLINE>\n", "\n")
        assert doctest.OutputChecker().check_output(want.rstrip("\n"), got.rstrip("\n"), FLAGS), f"{part}:\n{got}"


def parsers(page: Path) -> list[Any]:
    if page.suffix == ".md":
        return [
            markdown.PythonCodeBlockParser(),
            markdown.CodeBlockParser(language="console", evaluator=run_console),
        ]
    return [
        rest.DocTestParser(optionflags=FLAGS),
        rest.CodeBlockParser(language="console", evaluator=run_console),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document: Document = Sybil(parsers(page), path=str(page.parent)).parse(page)
    for example in document.examples():
        example.evaluate()


def modules() -> Iterator[str]:
    yield "likewise"
    for module in pkgutil.walk_packages(likewise.__path__, "likewise."):
        if module.name != "likewise.__main__":
            yield module.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    if not hasattr(module, "__file__") or not str(module.__file__).endswith(".py"):
        pytest.skip("native: its docstrings are those of the classes that wrap it")
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def public_objects() -> Iterator[tuple[str, Any]]:
    for name in (
        "likewise.search",
        "likewise.projection",
        "likewise.transport",
        "likewise.whitening",
        "likewise.keywords",
        "likewise.matrices",
        "likewise.adversarial",
        "likewise.decoding",
        "likewise.integrations.gensim",
        "likewise.integrations.llama_cpp",
        "likewise.integrations.matplotlib",
        "likewise.integrations.torch",
        "likewise.integrations.transformers",
        "likewise.persistence",
        "likewise.errors",
    ):
        module = importlib.import_module(name)
        for public in module.__all__:
            thing = getattr(module, public)
            yield f"{name}.{public}", thing
            if isinstance(thing, type):
                for attribute, member in vars(thing).items():
                    if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                        yield f"{name}.{public}.{attribute}", member


def test_everything_public_has_a_docstring() -> None:
    missing = [name for name, thing in public_objects() if not (getattr(thing, "__doc__", None) or "").strip()]
    assert not missing


@pytest.mark.slow
def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees"]
    done = subprocess.run(
        [*command, ROOT / "docs", tmp_path / "html"], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    for page, word in (("searching", "BM25"), ("projection", "hadamard"), ("whitening", "gamma")):
        assert word in (tmp_path / "html" / f"{page}.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "html" / "_images").glob("projection-*.png"))) == 2
    assert len(list((tmp_path / "html" / "_images").glob("whitening-*.png"))) == 2


EXAMPLES = {
    "extract_keywords.py",
    "rank_by_wmd.py",
    "robust_sentiment.py",
    "search_docstrings.py",
    "stop_characters.py",
    "train_emo.py",
    "whiten_sentences.py",
}  # each has a test below


def test_every_example_program_is_tested() -> None:
    assert {path.name for path in ROOT.glob("examples/*.py")} == EXAMPLES


def run_example(name: str, folder: Path, *arguments: object) -> str:
    command = [sys.executable, ROOT / "examples" / name, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_search_docstrings(tmp_path: Path) -> None:
    assert "random" in run_example("search_docstrings.py", tmp_path, "shuffle a list")


@pytest.mark.slow
def test_train_emo(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="pip install torch")
    if not (data / "tinyshakespeare").is_dir():
        pytest.skip(f"no tinyshakespeare in {data}")
    printed = run_example("train_emo.py", tmp_path, data, "--steps", 30, "--seeds", 1)
    rows = re.findall(r"^(MLE|EMO) +([\d.]+) ± \S+ +([\d.]+) ± ", printed, re.M)
    assert [name for name, *_ in rows] == ["MLE", "EMO"]
    # Less than a guess (2500 words, at a cost of about 0.9), and each is best at what it was trained for.
    perplexities, costs = ([float(row[i]) for row in rows] for i in (1, 2))
    assert perplexities[0] < perplexities[1] < 1000 and costs[1] < costs[0] < 0.9
    assert (tmp_path / "train_emo.png").stat().st_size > 10_000


@pytest.mark.slow
def test_robust_sentiment(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="pip install torch")
    if not (data / "sentiment_zh").is_dir():
        pytest.skip(f"no sentiment_zh in {data}")
    small = ("--seeds", 1, "--epochs", 1, "--texts", 640, "--unseen", 64)
    printed = run_example("robust_sentiment.py", tmp_path, data, *small)
    rows = re.findall(r"^(plain|FGM as published|FGM of each|the same)[^(]*? +([\d.]+) \(", printed, re.M)
    assert [name for name, _ in rows] == ["plain", "FGM as published", "FGM of each", "the same"]
    assert all(0.3 < float(clean) <= 1 for _, clean in rows)
    assert (tmp_path / "robust_sentiment.png").stat().st_size > 10_000


@pytest.mark.slow
def test_whiten_sentences(data: Path, tmp_path: Path) -> None:
    """The table of the whitening page is what the program prints."""
    for name in ("stsb-multi-mt", "wikitext2"):
        if not (data / name).is_dir():
            pytest.skip(f"no {name} in {data}")
    printed = run_example("whiten_sentences.py", tmp_path, data)
    assert "raw cosine 44.73" in printed
    page = (ROOT / "docs" / "whitening.rst").read_text(encoding="utf-8")
    cells = [cell.strip("* ") for cell in re.findall(r"^ +(?:\* )?- ?(.*)$", page, re.M)]
    start = cells.index("256")
    table = [cells[start + 11 * row : start + 11 * (row + 1)] for row in range(5)]
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if re.match(r" +\d+  ", line)}
    for k, *shown in table:
        found = [float(value) for value in (*rows[k][:5], *rows[k][-5:])]
        assert found == pytest.approx([float(value) for value in shown], abs=0.02), k
    assert re.search(r"^k=256 +\(1, 1\) +57\.1[56] +66\.54$", printed, re.M)
    assert "without scores: 128 of 256 components" in printed


@pytest.mark.slow
def test_extract_keywords(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("gensim", reason="pip install gensim")
    if not (data / "inspec").is_dir():
        pytest.skip(f"no inspec in {data}")
    printed = run_example("extract_keywords.py", tmp_path, data / "inspec", 1)
    for kind in ("chosen by people", "by TF-IDF", "by word2vec", "fused"):
        rows = re.findall(rf"^  {kind}: +(.+)$", printed, re.M)
        assert len(rows) == 5 and all(len(row.split(", ")) >= 2 for row in rows)


@pytest.mark.slow
def test_stop_characters(data: Path, tmp_path: Path) -> None:
    """The table of the decoding page is what the program prints, and runs agree with the exact probabilities."""
    if not (data / "tinyshakespeare").is_dir():
        pytest.skip(f"no tinyshakespeare in {data}")
    printed = run_example("stop_characters.py", tmp_path, data)
    rows = {line[:24].strip(): line[24:].split() for line in printed.splitlines() if re.search(r"\.\d{6} ", line)}
    assert len(rows) == 11
    page = (ROOT / "docs" / "decoding.rst").read_text(encoding="utf-8")
    for name, cells in rows.items():
        late, run = map(float, cells[1:3])
        assert abs(run - late) <= 5 * max(late * (1 - late) / 2766, 1e-9) ** 0.5, name
        shown = next(line for line in page.splitlines() if line.startswith(name.replace("greedy + floor", "greedy, ")))
        assert shown.split()[-6:] == cells, name
    assert (tmp_path / "stop_characters.png").stat().st_size > 10_000


@pytest.mark.slow
def test_rank_by_wmd(data: Path, tmp_path: Path) -> None:
    if not (data / "cranfield").is_dir():
        pytest.skip(f"no cranfield in {data}")
    printed = run_example("rank_by_wmd.py", tmp_path, data)
    ndcg = {
        line[:24].strip(): float(line[24:].split()[0]) for line in printed.splitlines() if re.search(r"0\.\d{3} ", line)
    }
    assert set(ndcg) == {"Word Mover's Distance", "cosine of mean vectors", "BM25"}
    assert all(0.2 < value < 0.6 for value in ndcg.values())
    assert f"best NDCG@10: {max(ndcg, key=lambda name: ndcg[name])}" in printed


def environment() -> dict[str, str]:
    """What a child needs to import the likewise under test."""
    package = Path(likewise.__file__).parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))}
