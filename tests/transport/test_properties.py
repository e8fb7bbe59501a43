"""What holds for every problem: bounds, symmetries, invariances. Problems are drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.references import transport_numpy as reference
from likewise.transport import TransportResult, sinkhorn

Array = NDArray[np.float64]
TOL = 1e-11


@dataclass
class Drawn:
    a: Array
    b: Array
    x: Array
    y: Array
    cost: Array
    epsilon: float


@st.composite
def problems(draw: Any) -> Drawn:
    n, m = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a, b = rng.dirichlet(np.full(n, 0.5)) + 1e-3, rng.dirichlet(np.full(m, 0.5)) + 1e-3
    if draw(st.booleans()) and n > 1:
        a[rng.integers(n)] = 0
    x, y = rng.standard_normal((n, 2)), rng.standard_normal((m, 2)) + draw(st.sampled_from([0.0, 1.0]))
    if draw(st.booleans()):
        y[0] = x[0]
    epsilon = draw(st.sampled_from([0.2, 0.5, 1.0, 5.0]))
    return Drawn(a / a.sum(), b / b.sum(), x, y, reference.ground_cost(x, y), epsilon)


def solve(a: Array, b: Array, cost: Array, epsilon: float, **keywords: Any) -> TransportResult:
    return sinkhorn(a, b, cost, epsilon=epsilon, epsilon_scale="absolute", tol=TOL, max_iter=100_000, **keywords)


@given(problems())
@settings(deadline=None, max_examples=60)
def test_values_lie_between_the_exact_and_the_product(p: Drawn) -> None:
    exact, product = reference.wasserstein_lp(p.a, p.b, p.cost), float(p.a @ p.cost @ p.b)
    near, far = solve(p.a, p.b, p.cost, p.epsilon), solve(p.a, p.b, p.cost, 3 * p.epsilon)
    small = 1e-8
    assert exact <= near.cost + small <= near.regularised_cost + 2 * small <= product + 3 * small
    assert near.cost <= far.cost + small and near.regularised_cost <= far.regularised_cost + small
    for r in (near, far):
        c = r.certificate
        assert c.dual <= c.primal and c.dual <= r.regularised_cost <= c.primal + small
        assert c.emd_lower <= exact + 1e-12 and exact - 1e-12 <= c.emd_upper
    p1, p2 = near.plan.dense().sum(axis=1), near.plan.dense().sum(axis=0)
    assert np.abs(p1 - p.a).sum() + np.abs(p2 - p.b).sum() <= 2 * TOL


@given(problems(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_invariances(p: Drawn, seed: int) -> None:
    rng = np.random.default_rng(seed)
    r = solve(p.a, p.b, p.cost, p.epsilon)
    plan = r.plan.dense()
    close = {"rtol": 1e-7, "atol": 1e-9}

    turned = solve(p.b, p.a, np.ascontiguousarray(p.cost.T), p.epsilon)
    np.testing.assert_allclose(turned.plan.dense().T, plan, **close)
    assert turned.regularised_cost == pytest.approx(r.regularised_cost, abs=1e-9)

    i, j = rng.permutation(len(p.a)), rng.permutation(len(p.b))
    mixed = solve(p.a[i], p.b[j], p.cost[i][:, j], p.epsilon)
    np.testing.assert_allclose(mixed.plan.dense(), plan[i][:, j], **close)

    u, v = rng.standard_normal(len(p.a)), rng.standard_normal(len(p.b))
    lifted = solve(p.a, p.b, p.cost + u[:, None] + v, p.epsilon)
    np.testing.assert_allclose(lifted.plan.dense(), plan, **close)
    assert lifted.regularised_cost == pytest.approx(r.regularised_cost + p.a @ u + p.b @ v, abs=1e-9)

    scaled = solve(p.a, p.b, 1e3 * p.cost, 1e3 * p.epsilon)
    np.testing.assert_allclose(scaled.plan.dense(), plan, **close)
    assert scaled.regularised_cost == pytest.approx(1e3 * r.regularised_cost, rel=1e-9, abs=1e-6)

    held = p.a > 0
    fewer = sinkhorn(p.a[held], p.b, p.cost[held], epsilon=0.3, tol=TOL)
    all_points = sinkhorn(p.a, p.b, p.cost, epsilon=0.3, tol=TOL)
    assert fewer.epsilon == pytest.approx(all_points.epsilon, rel=1e-12)
    np.testing.assert_allclose(all_points.plan.dense()[held], fewer.plan.dense(), **close)

    split = np.append(p.a, p.a[0] / 2)  # one point becomes two in the same place
    split[0] /= 2
    twice = solve(split, p.b, np.vstack([p.cost, p.cost[:1]]), p.epsilon)
    assert twice.regularised_cost == pytest.approx(r.regularised_cost, abs=1e-9)
    np.testing.assert_allclose(twice.plan.dense()[0] + twice.plan.dense()[-1], plan[0], **close)


@given(problems(), st.sampled_from(["sqeuclidean", "euclidean", "cosine"]), st.sampled_from([np.float32, np.float64]))
@settings(deadline=None, max_examples=40)
def test_points_and_their_cost_matrix_are_one_problem(p: Drawn, metric: str, dtype: type) -> None:
    x, y = p.x.astype(dtype), p.y.astype(dtype)
    given = sinkhorn(p.a, p.b, reference.ground_cost(x, y, metric), epsilon=0.2, tol=1e-9)
    points = sinkhorn(p.a, p.b, x=x, y=y, metric=metric, epsilon=0.2, tol=1e-9)
    assert points.regularised_cost == pytest.approx(given.regularised_cost, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", ["auto", "log", "kernel", "sparse"])
@pytest.mark.parametrize("points", [True, False])
def test_same_bits_for_any_number_of_threads(method: str, points: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((700, 3)), rng.standard_normal((600, 3))
    where: dict[str, Any] = {"x": x, "y": y} if points else {"cost": reference.ground_cost(x, y)}
    one, two, three = (sinkhorn(None, None, **where, epsilon=0.1, method=method, n_threads=k) for k in (1, 2, 3))
    v = rng.standard_normal((600, 2))
    for other in (two, three):
        assert other.f.tobytes() == one.f.tobytes() and other.g.tobytes() == one.g.tobytes()
        assert (other.cost, other.regularised_cost, other.marginal_error) == (
            one.cost,
            one.regularised_cost,
            one.marginal_error,
        )
        assert (other.plan @ v).tobytes() == (one.plan @ v).tobytes()
        assert (v.T @ other.plan.rows(0, 600).T).shape == (2, 600)
        assert other.certificate == one.certificate


def test_every_cpu_level_agrees(fresh: Any, levels: list[str]) -> None:
    program = """
import numpy as np
from likewise.transport import sinkhorn
rng = np.random.default_rng(0)
x, y = rng.standard_normal((150, 3)).astype(np.float32), rng.standard_normal((130, 3)).astype(np.float32)
for method in ("auto", "log", "kernel", "sparse"):
    for epsilon in (0.2, 0.01):
        r = sinkhorn(None, None, x=x, y=y, epsilon=epsilon, method=method, tol=1e-7)
        print(r.cost, r.regularised_cost)
"""
    found = [np.array(fresh(program, level=level).split(), np.float64) for level in levels]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5)
