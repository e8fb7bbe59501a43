"""What the program writes: results to standard output, everything else to standard error, always in UTF-8."""

import contextlib
import html
import io
import json
import os
import re
import sys
from typing import Any, TextIO

_MARK = re.compile("<mark>|</mark>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HIGHLIGHT, _RESET = "\x1b[1;33m", "\x1b[0m"


class Output:
    """Where a command writes.

    Parameters
    ----------
    json : bool
        Results are JSON, one object a line.
    quiet : bool
        No notes and no progress bars; results and errors only.
    """

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self.quiet = quiet
        self.color = _shows_color(sys.stdout)

    @property
    def progress(self) -> bool | None:
        """The ``progress`` argument for the library: its own default, or none at all when quiet."""
        return False if self.quiet else None

    def result(self, text: str) -> None:
        """Write a line of the result."""
        sys.stdout.write(text + "\n")

    def result_json(self, value: Any) -> None:
        """Write a result as one line of JSON."""
        self.result(json.dumps(value, ensure_ascii=False, allow_nan=False))

    def note(self, text: str) -> None:
        """Tell the user something that is not a result."""
        if not self.quiet:
            sys.stdout.flush()
            sys.stderr.write(f"likewise: {text}\n")
            sys.stderr.flush()

    def marked(self, highlighted: str) -> str:
        """Turn a highlighted, HTML-escaped text into one line for a terminal or a file.

        Control characters become spaces: a document must not be able to move the cursor or set the title.
        """
        pieces = _MARK.split(highlighted)
        for i, piece in enumerate(pieces):
            piece = _CONTROL.sub(" ", html.unescape(piece))
            pieces[i] = f"{_HIGHLIGHT}{piece}{_RESET}" if i % 2 and self.color else piece
        return re.sub(" {2,}", " ", "".join(pieces)).strip()


def plain(text: str) -> str:
    """Replace control characters, so that a name from a file cannot control the terminal."""
    return _CONTROL.sub(" ", text)


def use_utf8() -> None:
    """Make the standard streams write UTF-8, whatever the locale says; one that is closed swallows what it gets."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def discard_output() -> None:
    """After a closed pipe: let the interpreter's last flush go nowhere instead of failing once more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _shows_color(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def human_bytes(n: float) -> str:
    """Write a number of bytes as people read it.

    >>> human_bytes(999), human_bytes(2_500_000)
    ('999 B', '2.5 MB')
    """
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} B" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
