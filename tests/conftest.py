"""Real data, and the CPU levels of this machine."""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real texts: LIKEWISE_DATA, by default ../shared/data beside the checkout."""
    folder = Path(os.environ.get("LIKEWISE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no data at {folder}: set LIKEWISE_DATA to the folder that holds cranfield, debian-descriptions, ..."
        )
    return folder


@dataclass(frozen=True)
class Cranfield:
    """Cyril Cleverdon's collection: abstracts, questions, and which abstracts answer which question."""

    ids: list[str]
    texts: list[str]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


@pytest.fixture(scope="session")
def cranfield(data: Path) -> Cranfield:
    folder = data / "cranfield"

    def elements(name: str, text: str) -> list[str]:
        return [html.unescape(m) for m in re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)]

    documents = elements("doc", (folder / "cran.all.1400.xml").read_text(encoding="utf-8"))
    topics = elements("top", (folder / "cran.qry.xml").read_text(encoding="utf-8"))
    # The judgements name the queries by their position in the file, from 1, not by <num>.
    queries = {str(i): elements("title", topic)[0] for i, topic in enumerate(topics, 1)}
    relevant: dict[str, set[str]] = {}
    for line in (folder / "cranqrel.1-112.trec.txt").read_text(encoding="utf-8").splitlines():
        query, _, document, grade = line.split()
        if int(grade) > 0:
            relevant.setdefault(query, set()).add(document)
    ids = [elements("docno", document)[0].strip() for document in documents]
    texts = [(elements("text", document) or [""])[0] for document in documents]
    return Cranfield(ids, texts, queries, relevant)


@pytest.fixture(scope="session")
def debian_records(data: Path) -> list[dict[str, str]]:
    """The descriptions of 64 512 packages: id, title, text."""
    with gzip.open(data / "debian-descriptions" / "packages.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def debian_texts(debian_records: list[dict[str, str]]) -> list[str]:
    return [f"{record['title']}\n{record['text']}" for record in debian_records]


@pytest.fixture(scope="session")
def levels() -> list[str]:
    """The CPU levels that this machine can run."""
    from likewise import _core

    return list(_core.dispatch.levels()["available"])


class Fresh:
    """Runs programs in fresh interpreters, warnings being errors, within a hard time limit."""

    def __call__(self, program: str, *arguments: str, level: str | None = None, timeout: float = 120) -> str:
        import likewise

        environment = dict(os.environ)
        # The very package that the tests run on, from wherever it was imported.
        package = str(Path(likewise.__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join([package, str(ROOT), environment.get("PYTHONPATH", "")])
        environment.pop("LIKEWISE_CPU_LEVEL", None)
        if level is not None:
            environment["LIKEWISE_CPU_LEVEL"] = level
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def fresh() -> Fresh:
    """Call with a program's text: what it prints in a fresh interpreter, at a CPU level if one is named."""
    return Fresh()


SCIKIT_LEARN_CHECK = (
    "a check of scikit-learn's, of"  # the name under which such a test records the class that it checks
)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """State how many of scikit-learn's own checks each class passed."""
    counts = {
        outcome: Counter(
            value
            for report in terminalreporter.getreports(outcome)
            for name, value in getattr(report, "user_properties", ())
            if name == SCIKIT_LEARN_CHECK
        )
        for outcome in ("passed", "skipped", "failed")
    }
    for checked in sorted(set().union(*counts.values())):
        figures = ", ".join(f"{counts[outcome][checked]} {outcome}" for outcome in counts)
        terminalreporter.write_line(f"scikit-learn's checks of {checked}: {figures}")
