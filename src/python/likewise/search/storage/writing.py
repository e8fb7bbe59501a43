"""Saving an index: the commit protocol, the writer's lock, and the removal of what nobody needs any more."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import IndexLockedError
from ...persistence.container import encode
from ...persistence.files import Directory, naming_file, temporary_name, write_file
from .manifest import (
    KIND_VERSION,
    MANIFEST_NAME,
    SEGMENT_NAME,
    TEMPORARY_NAME,
    Manifest,
    SegmentEntry,
    encode_manifest,
    generations,
    manifest_name,
    read_manifest,
)
from .reading import SEGMENT_KIND, open_index

KEPT_MANIFESTS = 2
_logger = logging.getLogger("likewise")


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
                generation = _commit(directory, arrays, parameters, statistics)
                if created:
                    with naming_file(root.parent):
                        Directory(root.parent).sync()
            except BaseException:
                if fresh and not _entries(root):
                    directory.discard(["LOCK"])
                raise
            _logger.info("committed generation %d of %s", generation, root)
            if not fresh:
                collect(directory)
    except BaseException:
        if created:
            with contextlib.suppress(OSError):
                root.rmdir()
        raise


def _entries(root: Path) -> list[str]:
    """The files of a directory, without those that a writer leaves that died before its first commit."""
    left = (SEGMENT_NAME, TEMPORARY_NAME, re.compile("LOCK"))
    names = os.listdir(root)  # noqa: PTH208
    if any(MANIFEST_NAME.fullmatch(name) for name in names):
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
        file=f"segment-{os.urandom(8).hex()}.safetensors",
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
    found = generations(directory.path)
    kept = found[:KEPT_MANIFESTS]
    for generation in found[KEPT_MANIFESTS:]:
        try:
            directory.unlink(manifest_name(generation))
        except OSError:
            kept.append(generation)  # a manifest that stays keeps its files
    named: set[str] = set()
    for generation in kept:
        try:
            named.update(entry.file for entry in read_manifest(directory.path, generation).segments)
        except (ValueError, OSError):
            return  # It may name any of the segments: a damaged manifest keeps them all.
    ours = (name for name in directory.names() if SEGMENT_NAME.fullmatch(name) or TEMPORARY_NAME.fullmatch(name))
    directory.discard(sorted(name for name in ours if name not in named))
