"""Opening a generation of an index. A reader takes no lock and changes nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ...errors import CorruptFileError, RecoveredIndexWarning, UnsupportedFormatError
from ...persistence.container import Container, check_choices, read_container
from .manifest import KIND_VERSION, Manifest, SegmentEntry, as_corrupt, generations, read_manifest

T = TypeVar("T")

SEGMENT_KIND = "search.segment"
MAX_LISTINGS = 20
MISSING = "expected a file that the manifest names, it is missing"

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


@dataclass(frozen=True)
class StoredIndex:
    """The files of one generation, opened: a snapshot that never changes."""

    path: str
    generation: int
    parameters: dict[str, Any]
    statistics: dict[str, int]
    arrays: dict[str, NDArray[Any]]
    manifest: Manifest = field(repr=False)
    container: Container = field(repr=False)
    #: Where postings are being verified: whoever checks their structure calls it before each range (begin, end).
    before_block: Callable[[int, int], None] | None = field(repr=False, default=None)

    def verify_digests(self) -> None:
        """Compare every array with its digest. Raises `CorruptFileError` for the first that differs."""
        self.container.verify_digests()


def open_index(
    path: str | os.PathLike[str],
    *,
    generation: int | None = None,
    mmap: bool = True,
    verify: str = "full",
    prefault: str = "none",
    recover: bool = False,
) -> StoredIndex:
    """Open the files of a generation, by default the newest; see `open_with`."""

    def itself(stored: StoredIndex) -> StoredIndex:
        return stored

    return open_with(path, itself, generation=generation, mmap=mmap, verify=verify, prefault=prefault, recover=recover)


def open_with(
    path: str | os.PathLike[str],
    make: Callable[[StoredIndex], T],
    *,
    generation: int | None = None,
    mmap: bool = True,
    verify: str = "full",
    prefault: str = "none",
    recover: bool = False,
) -> T:
    """Open a generation of an index, by default the newest, and make something of it.

    What `make` raises as `CorruptFileError`, or the core as `CorruptError`, counts as damage of that generation.

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
    check_choices(verify=verify, prefault=prefault)

    def attempt(generation: int) -> T:
        stored = open_generation(path, generation, mmap=mmap, prefault=prefault)
        return verified(stored, make) if verify == "full" else made(stored, make)

    missing = OSError()
    for _ in range(MAX_LISTINGS):
        found = generations(path)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no index in this directory", str(path))
        if generation is not None and generation not in found:
            reason = f"no generation {generation!r:.40} in this directory, only {', '.join(map(str, found))}"
            raise FileNotFoundError(errno.ENOENT, reason, str(path))
        wanted = found[0] if generation is None else generation
        try:
            return attempt(wanted)
        except FileNotFoundError as error:
            missing = error  # a newer commit may have collected it: list again
        except CorruptFileError as error:
            return _fall_back(path, found, wanted, error, recover, attempt)
    absent = CorruptFileError(missing.filename, None, MISSING)
    return _fall_back(path, found, wanted, absent, recover, attempt)


def made(stored: StoredIndex, make: Callable[[StoredIndex], T]) -> T:
    """What `make` makes; the core's refusal of an array becomes an error that knows the file."""
    try:
        return make(stored)
    except _core.CorruptError as error:
        container = stored.container
        raise CorruptFileError(container.path, error.array, error.reason, container.offsets.get(error.array)) from None


def verified(stored: StoredIndex, make: Callable[[StoredIndex], T]) -> T:
    """What `make` makes, after every digest has been compared.

    The postings, nearly all of an index, are digested block by block while `make` checks their structure: each block
    then comes from memory once, and from the cache the second time.
    """
    container = stored.container
    container.verify_digests(without=PostingDigests.NAMES)
    postings = PostingDigests(container)
    try:
        result = made(replace(stored, before_block=postings.add), make)
    except CorruptFileError:
        container.verify_digests()  # damage explains a broken structure better than the structure itself
        raise
    postings.verify()
    return result


class PostingDigests:
    """Digests of the postings, taken block by block."""

    NAMES = ("posting_documents", "posting_frequencies")

    def __init__(self, container: Container) -> None:
        import xxhash

        self._container = container
        self._parts = [(name, container.arrays[name].data, xxhash.xxh3_64()) for name in self.NAMES]
        self._done = 0

    def add(self, begin: int, end: int) -> None:
        """Take in the next range."""
        if begin == self._done:
            for _, data, state in self._parts:
                state.update(data[begin:end])
            self._done = end

    def verify(self) -> None:
        """Compare the digests, after taking in what nobody announced. Raises `CorruptFileError`."""
        self.add(self._done, len(self._container.arrays[self.NAMES[0]]))
        for name, _, state in self._parts:
            if state.intdigest() != self._container.digests[name]:
                raise self._container.wrong_digest(name, state.intdigest())


def open_generation(path: str | os.PathLike[str], generation: int, *, mmap: bool, prefault: str) -> StoredIndex:
    """Open the files of one generation, at header level."""
    manifest = read_manifest(Path(path), generation)
    container = open_segment(Path(path), manifest.segments[0], mmap=mmap, prefault=prefault)
    return view(manifest, container, path)


def view(manifest: Manifest, container: Container, path: str | os.PathLike[str]) -> StoredIndex:
    """The opened files as an index."""
    check_arrays(container, manifest.statistics)
    return StoredIndex(
        path=os.fspath(path),
        generation=manifest.generation,
        parameters=manifest.parameters,
        statistics=manifest.statistics,
        arrays=container.arrays,
        manifest=manifest,
        container=container,
    )


def open_segment(directory: Path, entry: SegmentEntry, *, mmap: bool = True, prefault: str = "none") -> Container:
    """Open a segment file as its manifest describes it, at header level."""
    path = directory / entry.file
    try:
        container = read_container(path, mmap=mmap, verify="header", prefault=prefault, follow=False)
    except FileNotFoundError:
        raise
    except UnsupportedFormatError as error:
        # The manifest is sound and of this version, so its files are too, or they are damaged.
        raise CorruptFileError(path, "header", f"expected {error.supported}, got {error.found}") from None
    except OSError as error:
        raise as_corrupt(error, path, "file") from None
    if container.size != entry.size:
        raise CorruptFileError(path, None, f"expected {entry.size} bytes as the manifest says, got {container.size}")
    if container.check != entry.check:
        reason = f"expected {entry.check:016x} as the manifest says, got {container.check:016x} (another file?)"
        raise CorruptFileError(path, "__check", reason, container.size - 8)
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


def _fall_back(
    path: str | os.PathLike[str],
    found: list[int],
    wanted: int,
    error: CorruptFileError,
    recover: bool,
    attempt: Callable[[int], T],
) -> T:
    """Find the newest older generation that opens, to name it or, if asked, to use it."""
    older, hint = 0, "no older generation opens"
    for candidate in (g for g in found if g < wanted):
        with contextlib.suppress(CorruptFileError, UnsupportedFormatError, FileNotFoundError):
            opened = attempt(candidate)
            older, hint = candidate, f"generation {candidate} opens [recover=True uses it]"
            break
    if not (older and recover):
        reason = f"{error.reason}; generation {wanted} is damaged, {hint}"
        raise CorruptFileError(error.path, error.array, reason, error.offset) from None
    try:
        counts = [read_manifest(Path(path), generation).statistics["n_docs"] for generation in (wanted, older)]
        lost = str(max(0, counts[0] - counts[1]))
    except (ValueError, OSError):
        lost = "an unknown number of"
    warnings.warn(
        f"{os.fspath(path)}: generation {wanted} is damaged ({error}); opened generation {older} instead: "
        f"{wanted - older} generation(s) and {lost} document(s) are lost",
        RecoveredIndexWarning,
        stacklevel=4,
    )
    return opened
