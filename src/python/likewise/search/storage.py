"""An index on disk: a directory of immutable segment files, and a manifest for each generation that is its commit.

Files: ``LOCK`` (held by a writer), ``segment-<16 hex>.safetensors``, ``manifest-<20 digits>.json`` (one line of JSON
and the XXH3-64 of that line), ``.tmp-<16 hex>`` (being written). A reader takes no lock: it opens the newest manifest
and the files that it names; nothing is ever changed in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError, IndexLockedError, RecoveredIndexWarning, UnsupportedFormatError
from ..persistence.container import (
    FEATURES,
    FORMAT_VERSION,
    MAX_COUNT,
    Container,
    Prefault,
    Verify,
    canonical_json,
    encode,
    is_count,
    parse_canonical,
    read_container,
    xxh3,
)
from ..persistence.files import Directory, naming_file, open_regular, temporary_name, write_file

__all__ = ["StoredIndex", "generations", "open_index", "read_manifest", "write_index"]

INDEX_KIND = "search.index"
SEGMENT_KIND = "search.segment"
KIND_VERSION = "1"
KEPT_MANIFESTS = 2
MAX_MANIFEST = 16 << 20
MAX_LISTINGS = 20

#: Arrays of a segment and their dtypes, all of rank 1. Those of the second table may be absent.
REQUIRED_ARRAYS = {
    "document_lengths": "u4", "posting_offsets": "u8", "posting_documents": "u4", "posting_frequencies": "u1",
    "large_positions": "u8", "large_frequencies": "u4", "term_offsets": "u8", "term_bytes": "u1", "term_slots": "u4",
}  # fmt: skip
OPTIONAL_ARRAYS = {
    "form_offsets": "u8", "form_bytes": "u1", "text_offsets": "u8", "text_bytes": "u1",
    "key_offsets": "u8", "key_bytes": "u1", "key_values": "i8", "key_slots": "u4",
}  # fmt: skip
#: The first of a group brings the others.
_TOGETHER = (
    ("form_offsets", "form_bytes"),
    ("text_offsets", "text_bytes"),
    ("key_offsets", "key_bytes", "key_slots"),
    ("key_values", "key_slots"),
)

_MANIFEST_NAME = re.compile(r"manifest-([0-9]{20})\.json", re.ASCII)
_SEGMENT_NAME = re.compile(r"segment-[0-9a-f]{16}\.safetensors", re.ASCII)
_TEMPORARY_NAME = re.compile(r"\.tmp-[0-9a-f]{16}", re.ASCII)
_DIGEST = re.compile(rb"[0-9a-f]{16}")


def manifest_name(generation: int) -> str:
    return f"manifest-{generation:020d}.json"


# --- The manifest ----------------------------------------------------------------------------------------------------


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
        raise _as_corrupt(error, path, "manifest") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise CorruptFileError(path, "manifest", f"expected at most {limit} bytes, got {size}")
        return file.read(limit + 1) or b""


def _as_corrupt(error: OSError, path: Path, array: str) -> Exception:
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
    if not isinstance(file, str) or not _SEGMENT_NAME.fullmatch(file):
        raise error(f"segments: expected a file name segment-<16 hex>.safetensors, got {str(file)[:80]!r}")
    if not isinstance(check, str) or not _DIGEST.fullmatch(check.encode(errors="replace")):
        raise error("segments: expected a check of 16 hexadecimal digits")
    if not is_count(value.get("size")) or not is_count(value.get("n_docs")):
        raise error("segments: expected size and n_docs from 0 to 2**62")
    return SegmentEntry(file, value["size"], int(check, 16), value["n_docs"])


# --- Opening ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredIndex:
    """The files of one generation, opened: a snapshot that never changes."""

    path: str
    generation: int
    parameters: dict[str, Any]
    statistics: dict[str, int]
    arrays: dict[str, NDArray[Any]]
    verified: bool
    manifest: Manifest = field(repr=False)
    container: Container = field(repr=False)

    def verify_digests(self) -> None:
        """Compare every array with its digest. Raises `CorruptFileError` for the first that differs."""
        self.container.verify_digests()


def generations(path: str | os.PathLike[str]) -> list[int]:
    """The generations that have a manifest, newest first."""
    directory = Path(path)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    matches = (_MANIFEST_NAME.fullmatch(name) for name in os.listdir(directory))  # noqa: PTH208
    return sorted((g for g in (int(match[1]) for match in matches if match) if 0 < g <= MAX_COUNT), reverse=True)


def open_index(
    path: str | os.PathLike[str],
    *,
    generation: int | None = None,
    mmap: bool = True,
    verify: Verify = "full",
    prefault: Prefault = "none",
    recover: bool = False,
) -> StoredIndex:
    """Open a generation of an index, by default the newest.

    Raises
    ------
    FileNotFoundError
        There is no index at `path`, or not this generation.
    NotADirectoryError
        `path` is a file.
    CorruptFileError
        The generation is damaged. The text says whether an older one would open; `recover=True` opens that one with
        a `RecoveredIndexWarning`. Nothing is changed on disk.
    UnsupportedFormatError
        The index was written by a later version.
    """
    missing = OSError()
    for _ in range(MAX_LISTINGS):
        found = generations(path)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no index in this directory", str(path))
        if generation is not None and generation not in found:
            reason = f"no generation {generation} in this directory, only {', '.join(map(str, found))}"
            raise FileNotFoundError(errno.ENOENT, reason, str(path))
        wanted = found[0] if generation is None else generation
        try:
            return _open_generation(path, wanted, mmap, verify, prefault)
        except FileNotFoundError as error:
            missing = error  # a newer commit may have collected it: list again
        except CorruptFileError as error:
            return _open_older(path, found, wanted, error, recover, mmap, verify, prefault)
    absent = CorruptFileError(missing.filename, None, "expected a file that the manifest names, it is missing")
    return _open_older(path, found, wanted, absent, recover, mmap, verify, prefault)


def _open_generation(
    path: str | os.PathLike[str], generation: int, mmap: bool, verify: Verify, prefault: Prefault
) -> StoredIndex:
    manifest = read_manifest(Path(path), generation)
    container = open_segment(Path(path), manifest.segments[0], mmap, verify, prefault)
    check_arrays(container, manifest.statistics)
    return StoredIndex(
        path=os.fspath(path),
        generation=generation,
        parameters=manifest.parameters,
        statistics=manifest.statistics,
        arrays=container.arrays,
        verified=verify == "full",
        manifest=manifest,
        container=container,
    )


def open_segment(directory: Path, entry: SegmentEntry, mmap: bool, verify: Verify, prefault: Prefault) -> Container:
    """Open a segment file as its manifest describes it."""
    path = directory / entry.file
    try:
        container = read_container(path, mmap=mmap, verify="header", prefault=prefault, follow=False)
    except FileNotFoundError:
        raise
    except UnsupportedFormatError as error:
        # The manifest is sound and of this version, so its files are too, or they are damaged.
        raise CorruptFileError(path, "header", f"expected {error.supported}, got {error.found}") from None
    except OSError as error:
        raise _as_corrupt(error, path, "file") from None
    if container.size != entry.size:
        raise CorruptFileError(path, None, f"expected {entry.size} bytes as the manifest says, got {container.size}")
    if container.check != entry.check:
        reason = f"expected {entry.check:016x} as the manifest says, got {container.check:016x} (another file?)"
        raise CorruptFileError(path, "__check", reason, container.size - 8)
    if verify == "full":
        container.verify_digests()
    return container


def check_arrays(container: Container, statistics: Mapping[str, int] | None) -> None:
    """The arrays that a segment must have, their dtypes, and the numbers that the manifest gives."""
    arrays = container.arrays

    def error(name: str, reason: str) -> CorruptFileError:
        return CorruptFileError(container.path, name, reason, container.offsets.get(name))

    if (container.kind, container.kind_version) != (SEGMENT_KIND, KIND_VERSION):
        found = f"{container.kind[:40]!r} version {container.kind_version[:40]!r}"
        raise error("header", f"expected kind {SEGMENT_KIND!r} version {KIND_VERSION!r}, got {found}")
    for name, code in {**REQUIRED_ARRAYS, **OPTIONAL_ARRAYS}.items():
        if name not in arrays:
            if name in REQUIRED_ARRAYS:
                raise error(name, "expected this array")
        elif arrays[name].dtype != np.dtype(code) or arrays[name].ndim != 1:
            found = f"{arrays[name].dtype} of rank {arrays[name].ndim}"
            raise error(name, f"expected {np.dtype(code)} of rank 1, got {found}")
    n_docs, n_terms = len(arrays["document_lengths"]), len(arrays["term_offsets"]) - 1
    for names in _TOGETHER:
        if names[0] in arrays and not all(name in arrays for name in names):
            raise error(names[0], f"expected {' and '.join(names[1:])} with it")
    if "key_values" in arrays and "key_offsets" in arrays:
        raise error("key_values", "expected keys of one type, got integers and strings")
    lengths = {"form_offsets": n_terms + 1, "text_offsets": n_docs + 1, "key_offsets": n_docs + 1, "key_values": n_docs}
    for name, length in lengths.items():
        if name in arrays and len(arrays[name]) != length:
            raise error(name, f"expected {length} values, got {len(arrays[name])}")
    if statistics is not None:
        counts = {"n_docs": n_docs, "n_terms": n_terms, "n_postings": len(arrays["posting_documents"])}
        for name, count in counts.items():
            if statistics[name] != count:
                raise error("statistics", f"expected {name} {statistics[name]} as the manifest says, got {count}")


def _open_older(
    path: str | os.PathLike[str],
    found: list[int],
    wanted: int,
    error: CorruptFileError,
    recover: bool,
    mmap: bool,
    verify: Verify,
    prefault: Prefault,
) -> StoredIndex:
    """Find the newest older generation that opens, to name it or, if asked, to use it."""
    older = None
    for candidate in (g for g in found if g < wanted):
        with contextlib.suppress(CorruptFileError, UnsupportedFormatError, FileNotFoundError):
            older = _open_generation(path, candidate, mmap, verify, prefault)
            break
    if older is None or not recover:
        hint = f"generation {older.generation} opens [recover=True uses it]" if older else "no older generation opens"
        reason = f"{error.reason}; generation {wanted} is damaged, {hint}"
        raise CorruptFileError(error.path, error.array, reason, error.offset) from None
    try:
        lost = str(read_manifest(Path(path), wanted).statistics["n_docs"] - older.statistics["n_docs"])
    except (ValueError, OSError):
        lost = "an unknown number of"
    warnings.warn(
        f"{os.fspath(path)}: generation {wanted} is damaged ({error}); opened generation {older.generation} instead: "
        f"{wanted - older.generation} generation(s) and {lost} document(s) are lost",
        RecoveredIndexWarning,
        stacklevel=4,
    )
    return older


# --- Writing ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(directory: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold the writer's lock. The kernel frees it when the process dies, so that it is never stale."""
    import fcntl

    path = directory / "LOCK"
    deadline = time.monotonic() + timeout
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A save that failed in a new directory removes the lock file with it: hold the one that has the name.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise IndexLockedError(errno.EAGAIN, "another writer holds the lock of this index", str(path)) from None
            time.sleep(0.01)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may still hold the descriptor
        os.close(descriptor)


def write_index(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    parameters: dict[str, Any],
    statistics: dict[str, int],
    *,
    overwrite: bool = False,
    directory: Directory | None = None,
) -> None:
    """Store an index: as generation 1 of a new or empty directory, or as the next generation of a sound index.

    Raises
    ------
    FileExistsError
        There is something else at `path`, or an index and not `overwrite`, or a damaged index.
    IndexLockedError
        Another writer is at work there.
    OSError
        As the system gives it, with the path; an index that was there is as it was, and nothing is left over.
    """
    directory = directory or Directory(path)
    root = directory.path
    created = False
    with contextlib.suppress(FileExistsError):
        root.mkdir()
        created = True
    fresh = created or _require_free(root, overwrite)
    try:
        with _locked(root):
            if not fresh:
                _require_sound(root)
            elif _entries(root):
                raise _exists(root, "an index appeared there")
            collect(directory)  # what a writer left that died
            try:
                _commit(directory, arrays, parameters, statistics)
                if created:
                    with naming_file(root.parent):
                        Directory(root.parent).sync()
            except BaseException:
                if fresh and not _entries(root):
                    directory.discard(["LOCK"])
                raise
            if not fresh:
                collect(directory)
    except BaseException:
        if created:
            with contextlib.suppress(OSError):
                root.rmdir()
        raise


def _entries(root: Path) -> list[str]:
    """The files of a directory, without those that a writer leaves that died before its first commit."""
    left = (_SEGMENT_NAME, _TEMPORARY_NAME, re.compile("LOCK"))
    names = os.listdir(root)  # noqa: PTH208
    if any(_MANIFEST_NAME.fullmatch(name) for name in names):
        return names
    return [name for name in names if not any(pattern.fullmatch(name) for pattern in left)]


def _exists(root: Path, reason: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, reason, str(root))


def _require_free(root: Path, overwrite: bool) -> bool:
    """True for an empty directory, False for one with an index that may get a next generation."""
    if not root.is_dir():
        raise _exists(root, "expected a directory or no file")
    if not _entries(root):
        return True
    if not overwrite:
        raise _exists(root, "expected an empty directory or none [overwrite=True replaces an index]")
    if not generations(root):
        raise _exists(root, "expected an index or an empty directory, got a directory with other files")
    return False


def _require_sound(root: Path) -> None:
    try:
        open_index(root)
    except (ValueError, OSError) as error:
        raise _exists(root, f"expected a sound index to replace, got {error}") from error


def _commit(
    directory: Directory, arrays: Mapping[str, NDArray[Any]], parameters: dict[str, Any], statistics: dict[str, int]
) -> int:
    """Publish a generation. The order of the steps is what makes it atomic and durable."""
    found = generations(directory.path)
    parent = found[0] if found else None
    generation = (parent or 0) + 1
    parts = encode(SEGMENT_KIND, KIND_VERSION, {}, arrays)
    n_docs = statistics["n_docs"]
    entry = SegmentEntry(
        file=f"segment-{secrets.token_hex(8)}.safetensors",
        size=sum(map(len, parts)),
        check=int.from_bytes(parts[-1], "little"),
        n_docs=n_docs,
    )
    path = str(directory.path / manifest_name(generation))
    manifest = encode_manifest(Manifest(path, generation, parent, n_docs, parameters, statistics, (entry,)))
    temporary, final = temporary_name(), manifest_name(generation)
    written = [entry.file]
    try:
        write_file(directory, entry.file, parts)
        write_file(directory, temporary, [memoryview(manifest)])
        written.insert(0, temporary)
        with naming_file(directory.path / final):
            directory.sync()  # the segment has its name before the manifest that names it
            directory.rename(temporary, final)
            written[0] = final
            directory.sync()
    except BaseException:
        directory.discard(written)
        raise
    return generation


def collect(directory: Directory) -> None:
    """Remove what no kept manifest names. What cannot be removed now is left for the next writer."""
    kept = generations(directory.path)[:KEPT_MANIFESTS]
    named = {manifest_name(generation) for generation in kept}
    for generation in kept:
        try:
            named.update(entry.file for entry in read_manifest(directory.path, generation).segments)
        except (ValueError, OSError):
            return  # It may name any of the segments: a damaged manifest keeps them all.
    ours = (_MANIFEST_NAME, _SEGMENT_NAME, _TEMPORARY_NAME)
    names = (name for name in directory.names() if any(pattern.fullmatch(name) for pattern in ours))
    directory.discard(sorted(name for name in names if name not in named))
