"""The process: help, exit codes, encodings, closed pipes, interrupts."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import likewise
from likewise.cli import main
from likewise.search import Index

COMMANDS = ["index", "search", "project", "whiten", "check", "info", "bench", "demo"]
RunProgram = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.mark.parametrize("command", [*(c for c in COMMANDS if c != "whiten"), "whiten fit", "whiten apply"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"example:\n  likewise {command} " in out and err == ""
    for option in ("--json", "--quiet", "--threads", "--debug"):
        assert option in out


def test_version_and_program_name(capsys: pytest.CaptureFixture[str], run: RunProgram) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"likewise {likewise.__version__}\n"
    assert run("--version").stdout.decode() == f"likewise {likewise.__version__}\n"
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^ +{command} ", out, re.M) for command in COMMANDS)


def test_debug_shows_the_traceback(papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path / "no.txt"), str(tmp_path / "out.lw"), "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("likewise: error: ")


def test_warnings_as_errors_change_nothing(papers: Path, tmp_path: Path, run: RunProgram) -> None:
    strict = {"PYTHONWARNINGS": "error"}
    assert run("index", papers, tmp_path / "out.lw", "--id-field", "id", **strict).returncode == 0
    done = run("search", tmp_path / "out.lw", "transport", "--quiet", **strict)
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("check", tmp_path / "out.lw", **strict).returncode == 0
    assert run("info", **strict).returncode == 0


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_output_is_utf8_whatever_the_locale(locale: dict[str, str], tmp_path: Path, run: RunProgram) -> None:
    Index.build(["北京大学 Größe"], ids=["ключ"], store=True).save(tmp_path / "out.lw")
    (tmp_path / "queries").write_text("大学\n", encoding="utf-8")
    done = run("search", tmp_path / "out.lw", "--queries", tmp_path / "queries", "--quiet", **locale)
    assert done.returncode == 0, done.stderr
    assert "ключ\n      北京大学 Größe\n" in done.stdout.decode("utf-8")


def test_closed_pipe_is_quiet(tmp_path: Path, environment: dict[str, str]) -> None:
    Index.build(["word"] * 20_000).save(tmp_path / "out.lw")
    command = [sys.executable, "-m", "likewise", "search", str(tmp_path / "out.lw"), "word", "-k", "20000", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"   1 ")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_closed_standard_streams(index: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m likewise"
    done = subprocess.run(
        f"{command} search {index} transport >&- && {command} index - {tmp_path / 'out.lw'} <&-",
        shell=True,
        capture_output=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == b"likewise: error: standard input is closed"


def test_interrupt(tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "likewise", "index", "-", str(tmp_path / "out.lw"), "--format", "txt"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"a document\n" * 100_000)  # more than a pipe holds: when this returns, it is reading
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == (b"", b"likewise: error: interrupted\n")
    assert not (tmp_path / "out.lw").exists()


def test_interrupt_inside_a_command(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Index, "open", interrupt)
    assert main(["search", str(index), "x"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_starts_quickly_enough_to_be_used(run: RunProgram) -> None:
    """A limit that catches a heavy import, not a measurement."""
    start = time.perf_counter()
    assert run("--version").returncode == 0
    assert time.perf_counter() - start < 10
