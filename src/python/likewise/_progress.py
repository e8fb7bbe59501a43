"""Progress of long work: `progress=None`, True, False or a callable ``f(done, total)``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

from ._validation import describe

Progress: TypeAlias = "bool | Callable[[int, int | None], object] | None"

PATIENCE = 2.0  # seconds without a bar: shorter work shows none
INTERVAL = 0.1  # seconds between two calls of a callable


class progress_bar:
    """Shows how far a piece of work is; use as a context manager and call `update` with what was done since.

    Parameters
    ----------
    progress : None, bool or callable
        None: a bar on stderr if that is a terminal and the work takes longer than about 2 s. True: always a bar. False:
        none. A callable is called as ``f(done, total)`` from this thread, at most 10 times a second and once at the
        end; what it raises ends the work.
    total : int or None
        How much there is, if known.
    unit : str
        What is counted, such as ``"documents"``.
    """

    def __init__(self, progress: Progress, total: int | None, unit: str) -> None:
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise TypeError(f"progress: expected None, True, False or a callable, got {describe(progress)}")
        self._callback = progress if callable(progress) else None
        self._wants_bar = progress is True or (progress is None and _is_terminal(sys.stderr))
        self._waits = progress is None
        self._total = total
        self._unit = unit
        self._done = 0
        self._reported = -1
        self._bar: Any = None
        self._last = time.monotonic()
        self._started = self._last

    def __enter__(self) -> progress_bar:
        if self._wants_bar and not self._waits:
            self.update(0)  # progress=True shows its bar at once, and even if nothing is counted
        return self

    def update(self, n: int = 1) -> None:
        """Counts `n` more as done."""
        self._done += n
        if self._callback is None and not self._wants_bar:
            return
        now = time.monotonic()
        if self._callback is not None:
            if now - self._last >= INTERVAL:
                self._last = now
                self._reported = self._done
                self._callback(self._done, self._total)
        elif self._bar is not None:
            self._bar.update(self._done - self._bar.n)
        elif not self._waits or now - self._started >= PATIENCE:
            from tqdm import tqdm  # when the first bar is shown: importing the package loads numpy alone

            self._bar = tqdm(
                total=self._total, unit=f" {self._unit}", unit_scale=True, file=sys.stderr, dynamic_ncols=True
            )
            self._bar.start_t -= now - self._started  # the rate counts from the start of the work
            self._bar.update(self._done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._callback is not None and kind is None and self._reported != self._done:
            self._callback(self._done, self._total)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream is not None and stream.isatty()) and not _is_dumb()
    except ValueError:  # closed
        return False


def _is_dumb() -> bool:
    """Jupyter's stderr is no terminal; TERM=dumb and NO_COLOR ask for no escape codes, and a bar is made of them."""
    return os.environ.get("TERM") == "dumb" or "NO_COLOR" in os.environ
