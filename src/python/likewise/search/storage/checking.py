"""Looking for damage in an index, and describing it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import _core
from ...errors import CorruptFileError, UnsupportedFormatError
from ...persistence.checking import CheckReport, describe
from ...persistence.container import Container
from ...persistence.kinds import INDEX, resolve
from ..parts import Parts
from ..scoring import Scoring
from .manifest import (
    INDEX_KIND,
    KIND_VERSION,
    SEGMENT_NAME,
    TEMPORARY_NAME,
    Manifest,
    generations,
    manifest_name,
    read_manifest,
)
from .reading import MAX_LISTINGS, MISSING, check_arrays, made, open_segment, open_with, view


def check_index(path: str | os.PathLike[str], *, full: bool) -> CheckReport:
    """Check every generation that is kept; see `likewise.persistence.check`."""
    for _ in range(MAX_LISTINGS):
        found = _require_generations(path)
        report = CheckReport(os.fspath(path), full, is_index=True)
        named: set[str] = set()
        for generation in found:
            problems = list(_generation_problems(Path(path), generation, report, named, full))
            report.problems.extend((Path(p.path).name, p.array or "", p.reason) for p in problems)
            if not problems and report.generation is None:
                report.generation = generation
        if generations(path) == found:
            break  # nobody committed while we looked
    for name in sorted(os.listdir(path)):  # noqa: PTH208
        if (SEGMENT_NAME.fullmatch(name) or TEMPORARY_NAME.fullmatch(name)) and name not in named:
            report.orphans.append(name)
    return report


def _require_generations(path: str | os.PathLike[str]) -> list[int]:
    found = generations(path)
    if not found:
        raise FileNotFoundError(errno.ENOENT, "no index in this directory", os.fspath(path))
    return found


def _generation_problems(
    directory: Path, generation: int, report: CheckReport, named: set[str], full: bool
) -> Iterator[CorruptFileError]:
    """What is wrong with a manifest and with the files that it names."""
    name = manifest_name(generation)
    try:
        report.files.append((name, os.lstat(directory / name).st_size))
        manifest = read_manifest(directory, generation)
    except FileNotFoundError:
        return  # collected by a newer commit
    except CorruptFileError as problem:
        yield problem
        return
    except UnsupportedFormatError as problem:
        if generation == generations(directory)[0]:
            raise
        yield CorruptFileError(directory / name, "manifest", str(problem))
        return
    for entry in manifest.segments:
        named.add(entry.file)
        try:
            report.files.append((entry.file, os.lstat(directory / entry.file).st_size))
            container = open_segment(directory, entry)
        except FileNotFoundError:
            yield CorruptFileError(directory / entry.file, None, MISSING)
        except CorruptFileError as problem:
            yield problem
        else:
            yield from _content_problems(manifest, container, directory, full)


def _content_problems(manifest: Manifest, container: Container, path: Path, full: bool) -> Iterator[CorruptFileError]:
    damaged = False
    for problem in container.problems() if full else ():
        damaged = True
        yield problem
    if damaged:
        return  # the structure of damaged bytes says nothing new
    structure = resolve(INDEX.structure)
    try:
        made(view(manifest, container, path), lambda stored: structure(stored, None, full=full))
    except CorruptFileError as problem:
        yield problem


def segment_problems(container: Container, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with the structure of a segment by itself, without its manifest."""
    scoring = Scoring.check(variant="lucene", k1=1.2, b=0.75, delta=None, k3=None, nonoccurrence=True, dtype="float32")
    arrays = container.arrays
    kind = "str" if "key_offsets" in arrays else "int" if "key_values" in arrays else "none"
    try:
        check_arrays(container, None)
        Parts.from_stored(arrays, kind, scoring, full=full)
    except CorruptFileError as problem:
        yield problem
    except _core.CorruptError as problem:
        yield CorruptFileError(container.path, problem.array, problem.reason, container.offsets.get(problem.array))


def inspect_index(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The newest manifest and the headers of its files; see `likewise.persistence.inspect`."""
    stored = open_with(path, lambda stored: stored, verify="header")
    facts = describe(stored.container)
    return {
        "path": os.fspath(path),
        "kind": INDEX_KIND,
        "kind_version": KIND_VERSION,
        "format_version": facts["format_version"],
        "generation": stored.generation,
        "params": stored.parameters,
        "requires": [],
        "statistics": stored.statistics,
        "n_bytes": sum(entry.size for entry in stored.manifest.segments),
        "files": [{"file": s.file, "n_bytes": s.size, "n_docs": s.n_docs} for s in stored.manifest.segments],
        "arrays": facts["arrays"],
    }


def current_files(path: str | os.PathLike[str]) -> list[Path]:
    """The newest manifest and the files that it names."""
    newest = _require_generations(path)[0]
    manifest = read_manifest(Path(path), newest)
    return [Path(path) / name for name in (manifest_name(newest), *(entry.file for entry in manifest.segments))]
