"""``likewise bench``: run the benchmarks of a checkout, and write their tables and charts."""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import likewise

from .output import Output

_HOW_TO_GET_ONE = (
    "no benchmarks here: they run from a checkout or an unpacked source distribution. "
    f"Get one by  pip download --no-deps --no-binary likewise likewise=={likewise.__version__}  , unpack it, "
    "and run  likewise bench  in its folder"
)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Run the named benchmarks and write ``benchmarks/results/``.

    A whole run writes into that folder itself; a quick or partial one into a folder below it, so that it never
    replaces the figures of a whole one.
    """
    checkout = find_checkout()
    if checkout is None:
        raise FileNotFoundError(_HOW_TO_GET_ONE)
    if importlib.util.find_spec("pytest_benchmark") is None:
        raise ModuleNotFoundError(f"the benchmarks need the extra 'bench': pip install '.[bench]' in {checkout}")
    paths = benchmark_files(checkout, arguments.names)
    label = "-".join([*(["quick"] if arguments.quick else []), *arguments.names])
    folder = checkout / "benchmarks" / "results" / label
    with tempfile.TemporaryDirectory(prefix="likewise-bench-") as temporary:
        found = Path(temporary) / "found.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            *map(str, paths),
            f"--results={found}",
            "--benchmark-columns=min,median,rounds",
        ]
        if arguments.quick:
            command.append("--quick")
        # With --json standard output is for the result alone.
        stream = sys.stderr if output.json or output.quiet else None
        code = subprocess.run(command, cwd=checkout, stdout=stream, check=False).returncode
        if code not in (0, 1) or not found.exists():
            output.note(f"pytest ended with code {code}")
            return 1
        write = [sys.executable, "-m", "benchmarks.report", str(found), str(folder)]
        written = subprocess.run(write, cwd=checkout, capture_output=True, text=True, check=True).stdout.splitlines()
        if output.json:
            output.result_json(json.loads(found.read_text(encoding="utf-8")))
    for path in written:
        output.note(f"wrote {path}")
    return code


def find_checkout() -> Path | None:
    """The checkout or unpacked source distribution around the current folder, or the one this package runs from."""
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(likewise.__file__).resolve().parents):
        project = folder / "pyproject.toml"
        has_both = (folder / "benchmarks" / "report.py").is_file() and project.is_file()
        if has_both and 'name = "likewise"' in project.read_text(encoding="utf-8"):
            return folder
    return None


def benchmark_files(checkout: Path, names: list[str]) -> list[Path]:
    """The files of the named benchmarks, of all without names; ``search`` names all of its folder.

    Raises
    ------
    ValueError
        For an unknown name, listing those there are.
    """
    files = sorted((checkout / "benchmarks").rglob("test_*.py"))
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.stem.removeprefix("test_"), []).append(path)
        if path.parent.name != "benchmarks":
            by_name.setdefault(path.parent.name, []).append(path)
    for name in names:
        if name not in by_name:
            raise ValueError(f"NAME: expected one of {', '.join(sorted(by_name))}, got {name!r}")
    chosen = {path for name in names for path in by_name[name]} if names else set(files)
    return [path for path in files if path in chosen]
