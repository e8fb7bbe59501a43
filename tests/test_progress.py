"""progress=None, True, False or a callable."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from typing import Any

import pytest

from likewise import _progress
from likewise._progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def work(progress: Any, stderr: Any, n: int = 10, total: int | None = 10) -> None:
    with contextlib.redirect_stderr(stderr), progress_bar(progress, total, "documents") as bar:
        for _ in range(n):
            bar.update(1)


def test_callable_is_called_at_most_ten_times_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now)
    calls: list[tuple[int, int | None]] = []
    with progress_bar(lambda done, total: calls.append((done, total)), 102, "documents") as bar:
        for _ in range(102):
            now += 0.03
            bar.update(1)
    assert calls[-1] == (102, 102)
    assert len(calls) == 26  # every fourth step of 0.03 s, and the end
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_what_a_callable_raises_ends_the_work() -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        raise Stop

    with pytest.raises(Stop), progress_bar(stop, None, "documents") as bar:
        bar.update(3)


def test_short_work_shows_no_bar_by_default(terminal: Terminal) -> None:
    work(None, terminal)
    assert terminal.getvalue() == ""


def test_long_work_shows_a_bar_by_default(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    work(None, terminal)
    assert "10.0/10.0" in terminal.getvalue() and "documents" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_no_bar_where_none_is_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    monkeypatch.setenv(variable, value)
    work(None, terminal)
    assert terminal.getvalue() == ""
    work(True, terminal)
    assert "10.0/10.0" in terminal.getvalue() and "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_no_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    work(None, stream)
    assert stream is None or stream.getvalue() == ""


def test_false_is_silent(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    work(False, terminal)
    assert terminal.getvalue() == ""


def test_true_always_shows_a_bar(terminal: Terminal) -> None:
    work(True, terminal, n=0, total=0)
    assert terminal.getvalue() != ""


@pytest.mark.parametrize("bad", ["yes", 1, 0.5, []])
def test_anything_else_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="^progress: expected None, True, False or a callable, got "):
        progress_bar(bad, 1, "documents")


def test_tqdm_is_imported_when_a_bar_is_shown() -> None:
    code = (
        "import sys; from likewise._progress import progress_bar\n"
        "with progress_bar(None, 1, 'x') as bar: bar.update()\n"
        "assert 'tqdm' not in sys.modules\n"
        "with progress_bar(True, 1, 'x') as bar: bar.update()\n"
        "assert 'tqdm' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stderr=subprocess.DEVNULL)
