"""What the tests of stored indexes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search.stored import save


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The folder of a saved index of three documents."""
    path = tmp_path / "toy.lw"
    save(path)
    return path
