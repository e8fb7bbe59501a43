"""Exact transport: one problem, many small ones, the line, slices; time and memory against size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

from .clouds import squared_distances
from .exact_contestants import pot, problem, solvers

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize("weights", ["uniform", "any"])
@pytest.mark.parametrize("cloud", ["G2", "U300"])
@pytest.mark.parametrize("n", [50, 100, 1000, 4000])
def test_one_problem(
    n: int, cloud: str, weights: str, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    if scale.quick and n == 4000:
        pytest.skip("a whole run measures it")
    given = problem(n, cloud, weights)
    calls = solvers(n, weights == "uniform")
    if n <= 1000:
        expected = calls[OURS](given)
        for name, call in calls.items():
            np.testing.assert_allclose(call(given), expected, rtol=1e-9, err_msg=name)
    found = contest(
        "transport, exact",
        f"{n} x {n}, {cloud}, {weights} weights",
        [Contestant(name, call, [given]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        axes={"n": n, "cloud": cloud, "weights": weights},
    )
    found.compare(">= 1x POT", 1.0, "POT emd2")
    record(found)


@pytest.mark.parametrize("size", ["5", "10", "20", "50", "5 to 60"])
def test_many_problems(
    size: str, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    """A thousand problems, uniform weights: stacked in one array, or of different shapes in a list."""
    from likewise.transport import emd, emd_batch

    rng = np.random.default_rng(0)
    n_problems = 200 if scale.quick else 1000
    sizes = rng.integers(5, 61, (n_problems, 2)) if "to" in size else np.full((n_problems, 2), int(size))
    costs = [
        squared_distances(rng.standard_normal((n, 2)), 0.8 * rng.standard_normal((m, 2)) + 0.5)
        for n, m in sizes.tolist()
    ]
    lefts = [np.full(n, 1 / n) for n, _ in sizes]
    rights = [np.full(m, 1 / m) for _, m in sizes]
    stacked = None if "to" in size else (np.array(lefts), np.array(rights), np.array(costs))
    expected = emd_batch(lefts, rights, costs, n_threads=1).cost
    calls: dict[str, Callable[[Any], Any]] = {}
    if stacked is not None:
        calls[OURS] = lambda _: emd_batch(*stacked, n_threads=1)
        calls["likewise, lists"] = lambda _: emd_batch(lefts, rights, costs, n_threads=1)
    else:
        calls[OURS] = lambda _: emd_batch(lefts, rights, costs, n_threads=1)
    calls["likewise, emd in a loop"] = lambda _: [emd(*p) for p in zip(lefts, rights, costs, strict=True)]
    if (ot := pot()) is not None:
        calls["POT emd2 in a loop"] = lambda _: [ot.emd2(*p) for p in zip(lefts, rights, costs, strict=True)]
        np.testing.assert_allclose(calls["POT emd2 in a loop"](None), expected, rtol=1e-9, atol=1e-14)
    found = contest(
        "transport, exact, many",
        f"{n_problems} problems, {size} points a side",
        [Contestant(name, call, [None]) for name, call in calls.items()],
        unit="us per problem",
        factor=1e6 / n_problems,
        axes={"size": size},
    )
    bar = 5.0 if size in ("5", "10", "20") else 1.0
    found.compare(f">= {bar:g}x a loop over POT's emd2", bar, "POT emd2 in a loop")
    record(found)


@pytest.mark.parametrize("n", [10**k for k in range(2, 7)])
def test_line(n: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Points on the line, uniform weights, p = 1: two sorts are what it cannot do without."""
    from likewise.transport import wasserstein_1d

    if scale.quick and n > 10**5:
        pytest.skip("a whole run measures it")
    rng = np.random.default_rng(n)
    points = (rng.standard_normal(n), 0.8 * rng.standard_normal(n) + 0.5)
    calls: dict[str, Callable[[Any], Any]] = {
        OURS: lambda p: wasserstein_1d(*p),
        "numpy": lambda p: (np.sort(p[0]), np.sort(p[1])),
    }
    expected = calls[OURS](points)
    if (ot := pot()) is not None:
        calls["POT"] = lambda p: ot.wasserstein_1d(*p, p=1)
    try:
        from scipy.stats import wasserstein_distance

        calls["scipy"] = lambda p: wasserstein_distance(*p)
    except ImportError:
        Arena.missing["scipy"] = "pip install scipy"
    for name in calls.keys() - {OURS, "numpy"}:
        np.testing.assert_allclose(calls[name](points), expected, rtol=1e-9, err_msg=name)
    found = contest(
        "transport, line",
        f"{n} points a side",
        [Contestant(name, call, [points]) for name, call in calls.items()],
        unit="us",
        notes={"numpy": "two sorts, nothing else"},
        axes={"size": n},
    )
    sorts, ours = found.row("numpy"), found.row(OURS)
    assert sorts is not None and ours is not None
    if n == 10**5:
        found.limit("<= 1.3x two sorts", ours.value / sorts.value, 1.3)
    record(found)


def test_slices(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    from likewise.transport import sliced_wasserstein

    rng = np.random.default_rng(0)
    n = 1000 if scale.quick else 10_000
    points = (rng.standard_normal((n, 10)), 0.8 * rng.standard_normal((n, 10)) + 0.5)
    calls: dict[str, Callable[[Any], Any]] = {OURS: lambda p: sliced_wasserstein(*p, n_projections=50)}
    if (ot := pot()) is not None:
        calls["POT"] = lambda p: ot.sliced_wasserstein_distance(*p, n_projections=50, seed=0)
        np.testing.assert_allclose(calls["POT"](points), calls[OURS](points), rtol=0.2)  # other directions
    found = contest(
        "transport, slices",
        f"{n} points of 10 dimensions, 50 directions",
        [Contestant(name, call, [points]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
    )
    found.compare(">= 1x POT", 1.0, "POT")
    record(found)


def test_growth(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Time of one problem against its size, over three decades of points."""
    for n in (4, 12, 40, 120, 400, 1200, 4000)[: 5 if scale.quick else 7]:
        given = problem(n, "G2", "uniform")
        calls = {name: call for name, call in solvers(n, uniform=False).items() if name != "scipy linprog"}
        record(
            contest(
                "transport, exact, growth",
                f"{n} x {n}",
                [Contestant(name, call, [given]) for name, call in calls.items()],
                unit="ms",
                factor=1e3,
                axes={"size": n},
                budget=scale.budget / 3,
            )
        )


@pytest.mark.parametrize("n", [40, 400, 4000])
def test_memory(n: int, scale: Scale, record: Callable[[Record], Record]) -> None:
    if scale.quick and n == 4000:
        pytest.skip("a whole run measures it")
    table = []
    for engine in (OURS, *(["POT emd2"] if pot() is not None else [])):
        found = measure("emd", engine, str(n))
        beyond = found["peak"] / found["cost_bytes"]
        table.append(Row(engine, found["peak"] / 2**20, note=f"{beyond:.2f} of the cost matrix"))
        if engine == OURS:
            ours = 1 + beyond
    result = Record("transport, exact, memory", f"{n} x {n}", "MiB beyond the inputs", table, axes={"size": n})
    if n >= 400:  # below, the interpreter's own pages are larger than the matrix
        result.limit("<= 2x the cost matrix, with it", ours, 2.0)
    record(result)
