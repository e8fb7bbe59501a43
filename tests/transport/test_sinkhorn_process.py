"""Sinkhorn in a process that is interrupted, forks, or has little memory: each case in an interpreter of its own."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PRELUDE = """
import os, signal, sys, time
import numpy as np
from likewise.transport import barycenter, partial, sinkhorn
rng = np.random.default_rng(0)
x, y = rng.standard_normal((1500, 3)), rng.standard_normal((1200, 3)) + 1
hard = dict(epsilon=1e-3, tol=1e-13, max_iter=1_000_000)
"""


@pytest.mark.parametrize(
    "call",
    [
        "sinkhorn(None, None, x=x, y=y, **hard)",
        "partial(None, None, x=x, y=y, mass=0.9, **hard)",
        "sinkhorn(None, None, x=x, y=y, epsilon=1.0).plan @ np.ones((1200, 5000))",
    ],
)
def test_ctrl_c(fresh: Any, call: str) -> None:
    program = f"""{PRELUDE}
pressed = []
def press(*_):
    pressed.append(time.perf_counter())
    signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGALRM, press)
signal.setitimer(signal.ITIMER_REAL, 0.7)
try:
    {call}
except KeyboardInterrupt:
    print(time.perf_counter() - pressed[0])
r = sinkhorn(None, None, x=x[:50], y=y[:40])
assert r.converged
"""
    assert float(fresh(program)) < 30  # seconds; 0.5 on a machine that does nothing else


def test_forks(fresh: Any) -> None:
    program = f"""{PRELUDE}
def solve():
    r = sinkhorn(None, None, x=x, y=y, epsilon=0.1, n_threads=2)
    return r.f.tobytes() + r.g.tobytes() + (r.plan @ np.ones(1200)).tobytes()
here = solve()
pid = os.fork()
if pid == 0:
    os._exit(0 if solve() == here else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert fresh(program).split() == ["0"]


def test_memory_from_points(fresh: Any) -> None:
    """O(n + m): 64 bytes a point and 16 MiB above the inputs, where the matrix alone would be 256 MiB."""
    program = """
import numpy as np
from pathlib import Path
from likewise.transport import sinkhorn
rng = np.random.default_rng(0)
x, y = rng.standard_normal((8000, 2), np.float32), rng.standard_normal((8000, 2), np.float32) + 1
sinkhorn(None, None, x=x[:300], y=y[:300], n_threads=1)
def status(key):
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(key))
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
r = sinkhorn(None, None, x=x, y=y, epsilon=1.0, n_threads=1)
r.certificate, r.gradient("x"), r.plan @ np.ones(8000)
print(status("VmHWM") - before)
"""
    assert float(fresh(program)) * 1024 <= 64 * 16_000 + 16 * 2**20
