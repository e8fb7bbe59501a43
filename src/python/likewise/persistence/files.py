"""File operations of one directory: few, named, and replaceable, so that a test can let any one of them fail."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["Directory", "open_regular", "replace_file", "write_file"]


def open_regular(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Open a regular file for reading; ``follow=False`` refuses a symbolic link in its last part (ELOOP)."""
    # O_NONBLOCK: a named pipe under the file's name must not block the caller.
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, "expected a regular file" if code == errno.EINVAL else os.strerror(code), os.fspath(path))
    return descriptor


class Directory:
    """What a save may do to its directory. Every method is one system call."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def names(self) -> list[str]:
        return os.listdir(self.path)  # noqa: PTH208 (names, not paths)

    def create(self, name: str) -> int:
        """Create a file that must not exist, open for writing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        return os.open(self.path / name, flags, 0o666)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write a part of the data and return how many bytes were written."""
        return os.write(descriptor, data)

    def sync_file(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; a file of that name is replaced."""
        (self.path / old).replace(self.path / new)

    def unlink(self, name: str) -> None:
        (self.path / name).unlink()

    def sync(self) -> None:
        """Make the names of the directory durable."""
        if os.name == "nt":
            return  # Windows cannot open a directory, and needs no fsync of it.
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def discard(self, names: Iterable[str]) -> None:
        """Remove files as far as possible; whoever calls has a more important error to report."""
        for name in names:
            with contextlib.suppress(OSError):
                self.unlink(name)


# Linux writes at most 2 GiB at a time anyway; a step of this size lets Ctrl-C through.
_STEP = 64 << 20


def write_file(directory: Directory, name: str, parts: Iterable[memoryview], *, durable: bool = True) -> None:
    """Create a file from its parts and fsync it. On an error no file of that name is left."""
    with naming_file(directory.path / name):
        descriptor = directory.create(name)
        try:
            try:
                for part in parts:
                    _write_all(directory, descriptor, part)
                if durable:
                    directory.sync_file(descriptor)
            finally:
                directory.close(descriptor)
        except BaseException:
            directory.discard([name])
            raise


def _write_all(directory: Directory, descriptor: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        written = directory.write(descriptor, data[done : done + _STEP])
        if written <= 0:
            raise OSError(errno.EIO, "a write made no progress")
        done += written


def replace_file(directory: Directory, name: str, parts: Iterable[memoryview], *, overwrite: bool = True) -> None:
    """Put a complete file in the place of `name`, or leave everything as it was.

    The order is the promise: temporary file, fsync, rename, fsync of the directory.
    """
    target = directory.path / name
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    temporary = temporary_name()
    write_file(directory, temporary, parts)
    with naming_file(target):
        try:
            directory.rename(temporary, name)
        except BaseException:
            directory.discard([temporary])
            raise
        directory.sync()


def temporary_name() -> str:
    return f".tmp-{os.urandom(8).hex()}"


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Within the block, an OSError without a file name is about `path`: a descriptor does not know its file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
