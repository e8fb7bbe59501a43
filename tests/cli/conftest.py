"""Shared by the tests of the program: a small file of papers, its index, and the program as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import likewise
from likewise.cli import main

ROWS = [
    {"id": "p1", "title": "Optimal transport", "abstract": "Moving mass at least cost.", "year": 2013},
    {"id": "p2", "title": "Whitening", "abstract": "Vectors with unit covariance.", "year": 2021},
    {"id": "p3", "title": "Random projection", "abstract": "Vectors keep their distances.", "year": 1984},
]


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def index(papers: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = papers.with_suffix(".lw")
    assert main(["index", str(papers), str(path), "--id-field", "id", "--quiet"]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return ROWS


@pytest.fixture
def environment() -> dict[str, str]:
    """What a child needs to import the likewise under test."""
    package = Path(likewise.__file__).parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the program as a process of its own; keywords change its environment."""

    def run_program(*arguments: object, input: bytes = b"", **changes: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "likewise", *map(str, arguments)]
        return subprocess.run(command, input=input, capture_output=True, env=environment | changes, timeout=120)

    return run_program
