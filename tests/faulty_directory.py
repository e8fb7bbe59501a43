"""A directory in which one chosen call fails."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from likewise.persistence.files import Directory

#: The calls that a test lets fail, and how the operating system may say so.
SITES = ("create", "write", "sync_file", "close", "rename", "sync")


class FaultyDirectory(Directory):
    """Counts calls by site; the `at`-th call (from 0) of `site` raises `error`, or writes a part if that is None."""

    def __init__(self, path: str | os.PathLike[str], site: str = "", at: int = -1, error: int | None = None) -> None:
        super().__init__(path)
        self.site, self.at, self.error = site, at, error
        self.calls: Counter[str] = Counter()
        self.n_faults = 0
        self.unlink_fails = False

    def _fails(self, site: str) -> bool:
        index = self.calls[site]
        self.calls[site] += 1
        if site != self.site or index != self.at:
            return False
        self.n_faults += 1
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return True

    def create(self, name: str) -> int:
        self._fails("create")
        return super().create(name)

    def write(self, descriptor: int, data: memoryview) -> int:
        return super().write(descriptor, data[: max(1, len(data) // 2)] if self._fails("write") else data)

    def sync_file(self, descriptor: int) -> None:
        self._fails("sync_file")
        super().sync_file(descriptor)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._fails("close")

    def rename(self, old: str, new: str) -> None:
        self._fails("rename")
        super().rename(old, new)

    def unlink(self, name: str) -> None:
        if self.unlink_fails:
            self.n_faults += 1
            raise OSError(5, os.strerror(5))
        self._fails("unlink")
        super().unlink(name)

    def sync(self) -> None:
        self._fails("sync")
        super().sync()


def calls_of(save: Callable[[Directory], object], path: Path) -> Counter[str]:
    """How often a save that goes well makes each call."""
    directory = FaultyDirectory(path)
    save(directory)
    return directory.calls
