"""Many small problems: ours in the lanes of registers, against POT's batched solvers and a loop over exact ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.results import Record

pytestmark = pytest.mark.usefixtures("one_blas_thread")

EPSILON = 0.1  # of each problem's mean cost, which is 1
ITERATIONS = 51
Call = Callable[[Any], Any]


def problems(shapes: list[tuple[int, int]], seed: int = 0) -> list[NDArray[np.float32]]:
    """Squared distances of Gaussian points of the plane, over their mean."""
    rng = np.random.default_rng(seed)
    found = []
    for n, m in shapes:
        x, y = rng.standard_normal((n, 2)), 0.8 * rng.standard_normal((m, 2)) + 0.5
        cost = ((x[:, None] - y) ** 2).sum(axis=-1)
        found.append((cost / cost.mean()).astype(np.float32))
    return found


def ours(costs: Any, **settings: Any) -> Call:
    from likewise.transport import sinkhorn_batch

    settings = {"epsilon": EPSILON, "epsilon_scale": "absolute", "n_threads": 1, **settings}

    def solve(_: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fixed number of iterations need not converge
            return sinkhorn_batch(None, None, costs, **settings)

    return solve


def equal_iterations(costs: Any) -> Call:
    """Plain iterations; few problems meet the default tolerance before the last of them."""
    return ours(costs, anderson=0, max_iter=ITERATIONS)


def pot_batch(costs: NDArray[np.float32]) -> dict[str, Call]:
    """Their batched solver: both domains and types on numpy, and the faster domain on torch, where it is installed."""
    try:
        from ot.batch import solve_batch
    except ImportError:
        Arena.missing["POT"] = "pip install 'POT==0.9.7'"
        return {}

    def solver(values: Any, method: str) -> Call:
        return lambda _: solve_batch(values, EPSILON, max_iter=ITERATIONS, tol=0.0, method=method)

    found = {}
    for dtype in ("float64", "float32"):
        for method, name in (("sinkhorn", "exp"), ("log_sinkhorn", "log")):
            found[f"POT {name} {dtype}"] = solver(costs.astype(dtype), method)
    try:
        import torch

        torch.set_num_threads(1)
        found["POT exp float32, torch"] = solver(torch.from_numpy(costs), "sinkhorn")
    except ImportError:
        Arena.missing["torch"] = "pip install torch"
    return found


def pot_loop(costs: Any) -> dict[str, Call]:
    """One problem after the other: their solver in the exp domain, as many iterations, and the exact one."""
    try:
        import ot
    except ImportError:
        return {}
    doubles = [np.asarray(cost, np.float64) for cost in costs]
    sides = [tuple(np.full(size, 1 / size) for size in cost.shape) for cost in doubles]

    def sinkhorn(_: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                ot.sinkhorn(a, b, cost, EPSILON, numItermax=ITERATIONS, stopThr=0.0, check_marginals=False)
                for (a, b), cost in zip(sides, doubles, strict=True)
            ]

    def exact(_: Any) -> Any:
        return [ot.emd2(a, b, cost) for (a, b), cost in zip(sides, doubles, strict=True)]

    return {"POT exp float64, loop": sinkhorn, "POT emd2, loop": exact}


def check_plans(calls: dict[str, Call], costs: Any) -> None:
    """As many iterations from the same start lead to the same plans; POT's loop updates columns before rows."""
    result = calls["likewise"](None)
    plans = [result[k].plan.dense() for k in range(8)]
    for name, call in calls.items():
        if not name.startswith("POT exp") and not name.startswith("POT log"):
            continue
        found = call(None)
        theirs = found if isinstance(found, list) else np.asarray(found.plan)
        for k, plan in enumerate(plans):
            tolerance = 0.05 if name.endswith("loop") else 1e-4
            np.testing.assert_allclose(theirs[k], plan, rtol=0, atol=tolerance * plan.max(), err_msg=name)


def _iterations(calls: dict[str, Call]) -> dict[str, str]:
    """How many iterations ours took on average, and what the others do."""
    notes = {"POT emd2, loop": "exact"}
    for name, call in calls.items():
        if name.startswith("likewise"):
            notes[name] = f"{call(None).n_iter.mean():.1f} iterations"
    return notes


def test_equal_sizes(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    count = 100 if scale.quick else 1000
    costs = np.array(problems([(20, 20)] * count))
    calls = {"likewise": equal_iterations(costs), **pot_batch(costs), **pot_loop(costs)}
    check_plans(calls, costs)
    calls["likewise, to 1e-6"] = ours(costs)
    calls["likewise, float64"] = equal_iterations(costs.astype(np.float64))
    notes = _iterations(calls)
    found = contest(
        "transport, batch",
        f"{count} problems 20 x 20, {ITERATIONS} iterations",
        [Contestant(name, call, [None]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
        axes={"n": 20, "count": count},
    )
    on_numpy = [name for name in calls if name.startswith("POT") and "torch" not in name and "loop" not in name]
    found.compare(">= 40x POT's best batch on numpy", 40.0, on_numpy)
    found.compare("against POT's batch on torch: no bar", 0.0, "POT exp float32, torch")
    record(found)


def test_ragged(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Sizes from 5 to 60. Peers have equal sizes only: they take the problems one by one, or filled up."""
    count = 100 if scale.quick else 1000
    rng = np.random.default_rng(1)
    shapes = [(int(n), int(m)) for n, m in rng.integers(5, 61, (count, 2))]
    costs = problems(shapes)
    calls = {"likewise": equal_iterations(costs), **pot_loop(costs), **_filled_up(costs)}
    check_plans({name: call for name, call in calls.items() if "filled" not in name}, costs)
    found = contest(
        "transport, batch",
        f"{count} problems of 5 to 60 points, {ITERATIONS} iterations",
        [Contestant(name, call, [None]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=_iterations(calls),
        axes={"n": 0, "count": count},
    )
    found.compare(">= 20x POT's best", 20.0, [name for name in calls if name.startswith("POT exp")])
    record(found)


def _filled_up(costs: list[NDArray[np.float32]]) -> dict[str, Call]:
    """All problems at the largest size, with points of no weight."""
    try:
        from ot.batch import solve_batch
    except ImportError:
        return {}
    size = max(max(cost.shape) for cost in costs)
    wide = np.zeros((len(costs), size, size))
    a, b = np.full((2, len(costs), size), 1e-300)
    for k, cost in enumerate(costs):
        n, m = cost.shape
        wide[k, :n, :m], a[k, :n], b[k, :m] = cost, 1 / n, 1 / m
    return {
        "POT exp float64, filled up": lambda _: solve_batch(
            wide, EPSILON, a, b, max_iter=ITERATIONS, tol=0.0, method="sinkhorn"
        )
    }


@pytest.mark.parametrize("count", [10, 100, 1000, 10_000])
def test_growth(count: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    if scale.quick and count > 1000:
        pytest.skip("a whole run only")
    costs = np.array(problems([(20, 20)] * count))
    calls = {"likewise": ours(costs), **{k: v for k, v in pot_batch(costs).items() if k == "POT exp float64"}}
    record(
        contest(
            "transport, batch growth",
            f"{count} problems 20 x 20",
            [Contestant(name, call, [None]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            axes={"size": count},
        )
    )
