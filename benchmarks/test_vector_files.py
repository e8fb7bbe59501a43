"""``likewise project`` and ``likewise whiten apply`` on files: throughput and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import vectors
from benchmarks.corpora import CHECKOUT
from benchmarks.measure import Scale, pinned
from benchmarks.results import OURS, Bar, Record, Row

pytestmark = pytest.mark.usefixtures("one_blas_thread")

D, K = 768, 256
# The whole program in a process that tells its highest resident memory at the end.
PROGRAM = """
import sys
from pathlib import Path
from likewise.cli import main
from benchmarks.measure import pinned
with pinned():
    code = main(sys.argv[1:])
[line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(int(line.split()[1]) * 1024)
sys.exit(code)
"""


def run(*arguments: object) -> tuple[dict[str, Any], int]:
    """The report of the program and its peak memory in bytes."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--threads", "1", "--json", "--quiet"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    report, peak = done.stdout.splitlines()
    return json.loads(report), int(peak)


@pytest.mark.parametrize("command", ["project", "whiten apply"])
def test_program(command: str, tmp_path: Path, scale: Scale, record: Callable[[Record], Record]) -> None:
    from likewise.cli.vectors import BLOCK_BYTES
    from likewise.projection import RandomProjection
    from likewise.whitening import Whitening

    n = 20_000 if scale.quick else 200_000
    few = vectors.cone(4_000, D)
    for name, n_rows in (("one", 1), ("all", n)):
        file = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (n_rows, D))
        for start in range(0, n_rows, len(few)):
            file[start : start + len(few)] = few[: n_rows - start]
        file.flush()
    model: Any
    if command == "project":
        model = RandomProjection(K, random_state=0, n_threads=1).fit(few)
        arguments: list[object] = ["--components", K, "--seed", 0]
        words: list[object] = ["project"]
    else:
        model = Whitening(K, n_threads=1).fit(few)
        model.save(tmp_path / "model")
        arguments, words = [], ["whiten", "apply", tmp_path / "model"]
    _, idle = run(*words, tmp_path / "one.npy", tmp_path / "out.npy", *arguments)
    seconds, peaks = [], []
    for _ in range(3):
        report, peak = run(*words, tmp_path / "all.npy", tmp_path / "out.npy", *arguments)
        seconds.append(report["seconds"])
        peaks.append(peak)
    transforming, in_memory = [], []
    with pinned():
        for _ in range(3):
            started = time.perf_counter()
            rows = np.load(tmp_path / "all.npy")
            loaded = time.perf_counter()
            result = model.transform(rows)
            transforming.append(time.perf_counter() - loaded)
            with (tmp_path / "out.npy").open("wb") as file:
                np.save(file, result)
                file.flush()
                os.fsync(file.fileno())
            in_memory.append(time.perf_counter() - started)
    table = [
        Row(OURS, min(seconds) * 1e3, rounds=3, note="in blocks, fsync included"),
        Row("np.load, transform, np.save", min(in_memory) * 1e3, rounds=3, note="the whole in memory, fsync included"),
        Row("transform alone", min(transforming) * 1e3, rounds=3),
    ]
    found = Record("vector files", f"likewise {command}, {rows.nbytes / 1e6:.0f} MB", "ms", table)
    found.bars.append(Bar(">= 0.7 of the throughput in memory", min(in_memory) / min(seconds), 0.7))
    found.limit("peak <= 2 blocks over a file of one row, blocks", (max(peaks) - idle) / BLOCK_BYTES, 2.0)
    record(found)
