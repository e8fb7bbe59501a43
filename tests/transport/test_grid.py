"""No NaN anywhere: sizes, epsilons, metrics, dtypes, weights and clouds, each result checked in float64 by numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.references import transport_numpy as reference
from likewise.transport import sinkhorn

EPSILONS = tuple(np.geomspace(1e-4, 10, 9))
WEIGHTS = ("uniform", "dirichlet", "zeros")
CLOUDS = ("gaussian", "clustered", "identical", "collinear", "offset")


def weights(kind: str, n: int, rng: np.random.Generator) -> NDArray[np.float64] | None:
    if kind == "uniform":
        return None
    a = rng.dirichlet(np.full(n, 0.1 if kind == "dirichlet" else 1.0))
    if kind == "zeros" and n > 1:
        a[rng.permutation(n)[: n // 3 + 1]] = 0
        a[np.argmax(a)] += a.sum() == 0
    return a / a.sum()


def cloud(kind: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    points = rng.standard_normal((n, 3))
    match kind:
        case "clustered":
            return 0.01 * points + rng.integers(-3, 4, (n, 3)) + 0.5
        case "identical":
            return np.full((n, 3), 0.7)
        case "collinear":
            return points[:, :1] * [1.0, 2.0, -1.0] + 0.1
        case "offset":
            return points + 1e6
    return points


def check(n: int, m: int, epsilon: float, metric: str, dtype: type, kind: str, shape: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = weights(kind, n, rng), weights(kind, m, rng)
    x, y = cloud(shape, n, rng).astype(dtype), cloud(shape, m, rng).astype(dtype)
    r = sinkhorn(a, b, x=x, y=y, metric=metric, epsilon=epsilon, max_iter=60)
    a = np.full(n, 1 / n) if a is None else a / a.sum()
    b = np.full(m, 1 / m) if b is None else b / b.sum()
    cost = reference.ground_cost(x, y, metric)
    for value in (r.cost, r.regularised_cost, r.marginal_error, r.mass):
        assert math.isfinite(value)
    assert np.isfinite(r.f).all() and np.isfinite(r.g).all()
    assert r.converged == (r.marginal_error <= 1e-6)
    if r.epsilon:
        largest = max(float(cost.max()), 1e-300)
        # What rounding in the cost alone can do to the sums: the plan moves by that over epsilon.
        rounding = (
            1e-9 + 1e-13 * largest / r.epsilon + 1e-15 * float((x.astype(np.float64) ** 2).sum(1).max()) / r.epsilon
        )
        measured = reference.marginal_error(*r.potentials, a, b, cost, r.epsilon)
        assert r.marginal_error == pytest.approx(measured, rel=1e-3, abs=rounding)
        p = reference.plan(*r.potentials, a, b, cost, r.epsilon)
        assert r.cost == pytest.approx((p * cost).sum(), rel=1e-6, abs=rounding * largest)
    if n * m <= 1e4:
        dense = r.plan.dense()
        assert np.isfinite(dense).all() and not dense[a == 0].any() and not dense[:, b == 0].any()
        c = r.certificate
        assert all(math.isfinite(v) for v in (c.dual, c.primal, c.emd_lower, c.emd_upper))
        assert c.dual <= c.primal and c.emd_lower <= c.emd_upper


SMALL = list(
    itertools.product([(1, 1), (2, 17), (17, 2), (17, 100)], EPSILONS[::2], ["sqeuclidean", "euclidean", "cosine"])
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", CLOUDS)
@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
def test_small_sizes(dtype: type, shape: str) -> None:
    for seed, ((n, m), epsilon, metric) in enumerate(SMALL):
        check(n, m, epsilon, metric, dtype, WEIGHTS[seed % 3], shape, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
def test_the_grid(dtype: type) -> None:
    """All pairs of sizes with all epsilons; metrics, weights and clouds take turns, so that all combinations occur."""
    sizes = (1, 2, 17, 100, 1000)
    turns = itertools.cycle(itertools.product(("sqeuclidean", "euclidean", "cosine"), WEIGHTS, CLOUDS))
    for seed, (n, m, epsilon) in enumerate(itertools.product(sizes, sizes, EPSILONS)):
        for _ in range(1 if n * m > 1e5 else 3):
            metric, kind, shape = next(turns)
            check(n, m, epsilon, metric, dtype, kind, shape, seed)
