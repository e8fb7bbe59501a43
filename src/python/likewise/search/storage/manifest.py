"""The manifest of a generation: what it says, how it is written, and how it is checked when it is read."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CorruptFileError, UnsupportedFormatError
from ...persistence.container import (
    FEATURES,
    FORMAT_VERSION,
    MAX_COUNT,
    canonical_json,
    is_count,
    parse_canonical,
    xxh3,
)
from ...persistence.files import open_regular

INDEX_KIND = "search.index"
KIND_VERSION = "1"
MAX_MANIFEST = 16 << 20

MANIFEST_NAME = re.compile(r"manifest-([0-9]{20})\.json", re.ASCII)
SEGMENT_NAME = re.compile(r"segment-[0-9a-f]{16}\.safetensors", re.ASCII)
TEMPORARY_NAME = re.compile(r"\.tmp-[0-9a-f]{16}", re.ASCII)
_DIGEST = re.compile(rb"[0-9a-f]{16}")


def manifest_name(generation: int) -> str:
    return f"manifest-{generation:020d}.json"


@dataclass(frozen=True)
class SegmentEntry:
    """What a manifest says of a segment file. A file with tombstones will stand beside it (`deletes`)."""

    file: str
    size: int
    check: int
    n_docs: int


@dataclass(frozen=True)
class Manifest:
    """The checked content of a manifest."""

    path: str
    generation: int
    parent: int | None
    next_doc_id: int
    parameters: dict[str, Any]
    statistics: dict[str, int]
    segments: tuple[SegmentEntry, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    value = {
        "format": "likewise",
        "format_version": FORMAT_VERSION,
        "kind": INDEX_KIND,
        "kind_version": KIND_VERSION,
        "requires": [],
        "generation": manifest.generation,
        "parent": manifest.parent,
        "next_doc_id": manifest.next_doc_id,
        "parameters": manifest.parameters,
        "statistics": manifest.statistics,
        "segments": [
            {"file": s.file, "size": s.size, "check": f"{s.check:016x}", "n_docs": s.n_docs, "deletes": None}
            for s in manifest.segments
        ],
    }
    line = canonical_json(value).encode()
    if len(line) + 18 > MAX_MANIFEST:
        raise ValueError(f"parameters: expected a manifest of at most {MAX_MANIFEST} bytes, got {len(line) + 18}")
    return line + b"\n" + f"{xxh3(line):016x}".encode() + b"\n"


def read_manifest(directory: Path, generation: int) -> Manifest:
    """Read and check the manifest of a generation."""
    path = directory / manifest_name(generation)
    return parse_manifest(_read_small(path, MAX_MANIFEST), path, generation)


def _read_small(path: Path, limit: int) -> bytes:
    try:
        descriptor = open_regular(path, follow=False)
    except OSError as error:
        raise as_corrupt(error, path, "manifest") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise CorruptFileError(path, "manifest", f"expected at most {limit} bytes, got {size}")
        return file.read(limit + 1) or b""


def as_corrupt(error: OSError, path: Path, array: str) -> Exception:
    """A link, a directory or a pipe under a name of ours is damage; other errors are what they are."""
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO):
        return CorruptFileError(path, array, "expected a regular file, not a link, directory or device")
    return error


def parse_manifest(data: bytes, path: str | os.PathLike[str], generation: int) -> Manifest:
    """Check the bytes of a manifest. Nothing in it is trusted."""

    def error(reason: str) -> CorruptFileError:
        return CorruptFileError(path, "manifest", reason)

    line, digest = data[:-18], data[-17:-1]
    if len(data) < 20 or data[-18:-17] != b"\n" or data[-1:] != b"\n" or b"\n" in line or not _DIGEST.fullmatch(digest):
        raise error("expected a line of JSON and a line of 16 hexadecimal digits")
    if f"{xxh3(line):016x}".encode() != digest:
        raise error(f"expected XXH3-64 {digest.decode()} of the line, got {xxh3(line):016x}")
    try:
        value = parse_canonical(line.decode())
    except ValueError as reason:
        raise error(f"expected canonical JSON, got {reason}") from None
    supported = f"an index of format_version {FORMAT_VERSION}"
    if not isinstance(value, dict) or value.get("format") != "likewise":
        raise UnsupportedFormatError(path, "no manifest of likewise", supported)
    found = [value.get("format_version"), value.get("kind"), value.get("kind_version")]
    if found != [FORMAT_VERSION, INDEX_KIND, KIND_VERSION] or type(found[0]) is not int:
        raise UnsupportedFormatError(path, f"format_version, kind, kind_version {str(found)[:80]}", supported)
    requires = value.get("requires")
    if not isinstance(requires, list) or not all(isinstance(name, str) for name in requires):
        raise error("requires: expected a list of strings")
    for name in requires:
        if name not in FEATURES:
            raise UnsupportedFormatError(path, f"the required feature {name[:40]!r}", supported)
    parent, statistics, segments = value.get("parent"), value.get("statistics"), value.get("segments")
    if value.get("generation") != generation or type(value["generation"]) is not int:
        raise error(f"generation: expected {generation} as in the file's name")
    if parent is not None and not (is_count(parent) and parent < generation):
        raise error("parent: expected an earlier generation or null")
    if not isinstance(value.get("parameters"), dict):
        raise error("parameters: expected an object")
    if not isinstance(statistics, dict) or not all(is_count(n) for n in statistics.values()):
        raise error("statistics: expected an object of integers from 0 to 2**62")
    for name in ("n_docs", "n_terms", "n_postings", "n_tokens"):
        if name not in statistics:
            raise error(f"statistics: expected {name}")
    if not isinstance(segments, list) or len(segments) != 1:
        # Several segments are a matter of indexes that grow.
        raise error("segments: expected a list of one segment")
    entries = tuple(_parse_segment(segment, error) for segment in segments)
    if sum(entry.n_docs for entry in entries) != statistics["n_docs"]:
        raise error("segments: expected n_docs that add up to those of the statistics")
    next_doc_id = value.get("next_doc_id", -1)
    if not is_count(next_doc_id) or next_doc_id < statistics["n_docs"]:
        raise error("next_doc_id: expected an integer from n_docs to 2**62")
    return Manifest(os.fspath(path), generation, parent, next_doc_id, value["parameters"], statistics, entries)


def _parse_segment(value: Any, error: Any) -> SegmentEntry:
    if not isinstance(value, dict) or value.get("deletes", 0) is not None:
        raise error("segments: expected objects with deletes of null")
    file, check = value.get("file"), value.get("check")
    if not isinstance(file, str) or not SEGMENT_NAME.fullmatch(file):
        raise error(f"segments: expected a file name segment-<16 hex>.safetensors, got {str(file)[:80]!r}")
    if not isinstance(check, str) or not _DIGEST.fullmatch(check.encode(errors="replace")):
        raise error("segments: expected a check of 16 hexadecimal digits")
    if not is_count(value.get("size")) or not is_count(value.get("n_docs")):
        raise error("segments: expected size and n_docs from 0 to 2**62")
    return SegmentEntry(file, value["size"], int(check, 16), value["n_docs"])


def generations(path: str | os.PathLike[str]) -> list[int]:
    """The generations that have a manifest, newest first."""
    directory = Path(path)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "expected the directory of an index, got a file", str(path))
    matches = (MANIFEST_NAME.fullmatch(name) for name in os.listdir(directory))  # noqa: PTH208
    return sorted((g for g in (int(match[1]) for match in matches if match) if 0 < g <= MAX_COUNT), reverse=True)
