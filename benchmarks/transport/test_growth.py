"""How Sinkhorn's time and memory grow with the number of points, over three decades."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

from .sinkhorn_contestants import MATRIX_FORMS, POINTS, solvers

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize("n", [30, 100, 300, 1000, 3000, 10_000, 30_000])
def test_time(n: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    if scale.quick and n > 3000:
        pytest.skip("large: not with --quick")
    record(
        contest(
            "transport, sinkhorn, growth",
            f"{n} x {n}, G2, epsilon 0.1 of the mean, to 1e-6",
            [Contestant(name, call, [None]) for name, call in solvers(n).items()],
            unit="ms",
            factor=1e3,
            axes={"size": n},
            rounds=3,
            budget=scale.budget,
        )
    )


@pytest.mark.parametrize("n", [100, 1000, 4000, 10_000, 100_000])
def test_memory(n: int, scale: Scale, record: Callable[[Record], Record]) -> None:
    if scale.quick and n > 1000:
        pytest.skip("large: not with --quick")
    # Beyond 10,000 points, to converge would take minutes; the first iteration has everything that the others have.
    iterations = 1 if n > 10_000 else 10_000
    table, ours = [], {}
    for engine in (POINTS, *(MATRIX_FORMS if n <= 4000 else ())):
        if engine.startswith("POT") and not has_pot():
            continue
        found = measure("sinkhorn", engine, f"{n}x{iterations}")
        ours[engine] = found["peak"]
        table.append(Row(engine, found["peak"] / 2**20, note=f"{found['peak'] / (4 * n * n):.2f} of float32 costs"))
    result = Record("transport, sinkhorn, memory", f"{n} x {n}", "MiB beyond the inputs", table, axes={"size": n})
    result.limit("from points: <= 64 bytes (n + m) + 16 MiB", ours[POINTS] / (128 * n + 2**24), 1.0)
    if n == 4000:
        result.limit("log, stored cost: <= 5 % of it", ours["likewise, log"] / (4.0 * n * n), 0.05)
        beside = 512 * 2 * n
        result.limit(
            "kernel: <= the float32 cost + 512 bytes (n + m)", ours["likewise, kernel"] / (4.0 * n * n + beside), 1.0
        )
    record(result)


def has_pot() -> bool:
    try:
        import ot  # noqa: F401
    except ImportError:
        Arena.missing["POT"] = "pip install 'POT==0.9.7'"
        return False
    return True


def test_points_are_the_matrix() -> None:
    """Both ways to the same plan, so that their times may stand beside one another."""
    calls = solvers(300)
    (f, g), (points_f, points_g) = (calls[name](None).potentials for name in (OURS, POINTS))
    np.testing.assert_allclose(points_f, f, atol=1e-4)
    np.testing.assert_allclose(points_g, g, atol=1e-4)
