"""One entropic problem of growing size: ours from the matrix and from points, POT's, and their memory."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.arena import Arena
from benchmarks.peers import transport_peers as peers
from benchmarks.peers.engine import MissingPeerError
from benchmarks.results import OURS

from .clouds import g2, squared_distances

EPSILON = 0.1  # of the mean cost
POINTS = "likewise, from points"
MATRIX_FORMS = ("likewise, log", "likewise, kernel", "POT exp float64", "POT log float64")
Call = Callable[[Any], Any]


def solvers(n: int) -> dict[str, Call]:
    """To a marginal error of 1e-6; those of the matrix while it fits."""
    found = {POINTS: from_points(n)}
    if n <= 10_000:
        found = {OURS: matrix_form(OURS, n), **found}
    if n <= 3000:
        try:  # their float32 does not get to 1e-6 at the larger sizes
            found["POT exp float64"] = matrix_form("POT exp float64", n)
        except MissingPeerError as error:
            Arena.missing["POT"] = str(error)
    return found


def from_points(n: int, max_iter: int = 10_000) -> Call:
    from likewise.transport import sinkhorn

    x, y = (side.astype(np.float32) for side in g2(n))

    def solve(_: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a limit may come before the tolerance
            return sinkhorn(None, None, x=x, y=y, epsilon=EPSILON, max_iter=max_iter, n_threads=1)

    return solve


def matrix_form(name: str, n: int, max_iter: int = 10_000) -> Call:
    cost = squared_distances(*g2(n))
    if name.startswith("POT"):
        log, dtype = "log" in name, np.float32 if "32" in name else np.float64
        a = np.full(n, 1 / n)
        return peers.pot(a, a, cost, EPSILON * float(cost.mean()), log=log, dtype=dtype)
    from likewise.transport import sinkhorn

    single = cost.astype(np.float32)
    method = {OURS: "auto", "likewise, log": "log", "likewise, kernel": "kernel"}[name]

    def solve(_: Any) -> Any:
        return sinkhorn(None, None, single, epsilon=EPSILON, method=method, max_iter=max_iter, n_threads=1)

    return solve


def sinkhorn_task(engine: str, shape: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """One problem, for the measurement of memory: "4000x10000" is 4000 points a side, at most 10 000 iterations."""
    n, max_iter = map(int, shape.split("x"))

    def make(size: int) -> Call:
        return from_points(size, max_iter) if engine == POINTS else matrix_form(engine, size, max_iter)

    make(8)(None)  # what is loaded or made once does not count
    solve = make(n)
    # What is free again after the making of the inputs goes back to the system, or nothing would seem to grow.
    ctypes.CDLL(None).malloc_trim(0)
    return lambda: solve(None), lambda _: {}
