"""A small index on disk, and what tests of its files share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise import persistence
from likewise.errors import CorruptFileError, UnsupportedFormatError
from likewise.persistence.container import canonical_json, xxh3
from likewise.persistence.files import Directory
from likewise.search.index import Index
from likewise.search.storage import write_index
from tests.search.segments import make_segment

TOY = [list("aba"), list("bc"), list("accd")]
OTHER = [list("xyz"), list("zz")]
REFUSED = (CorruptFileError, UnsupportedFormatError)


def save(path: Path, documents: Any = TOY, *, overwrite: bool = False, directory: Directory | None = None) -> None:
    write_index(path, *make_segment(documents, keys=[f"k{i}" for i in range(len(documents))], texts=True, forms=True),
                overwrite=overwrite, directory=directory)  # fmt: skip


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def segments_of(path: Path) -> list[Path]:
    return sorted(path.glob("segment-*"))


def manifest_of(path: Path, generation: int = 1) -> Path:
    return path / f"manifest-{generation:020d}.json"


def answers(path: Path, **options: Any) -> list[Any]:
    opened = Index.open(path, **options)
    return [opened.search([term]).to_list() for term in "abcdxyz"]


def refuse(path: Path, what: object = "") -> None:
    """Both ways of opening and the check refuse, and nothing on disk changes."""
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    with pytest.raises(REFUSED):
        Index.open(path)
        print("accepted", what)
    with contextlib.suppress(UnsupportedFormatError):
        assert not persistence.check(path).ok
    assert before == {file.name: file.stat().st_mtime_ns for file in path.iterdir()}


def rewrite_manifest(index: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as its author would: the digest is right again."""
    manifest = manifest_of(index)
    value = json.loads(manifest.read_bytes().split(b"\n")[0])
    change(value)
    seal_manifest(manifest, canonical_json(value).encode())


def seal_manifest(manifest: Path, line: bytes) -> None:
    manifest.write_bytes(line + b"\n" + f"{xxh3(line):016x}".encode() + b"\n")
