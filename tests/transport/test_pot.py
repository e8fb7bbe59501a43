"""Agreement with POT, an implementation of others: plans, values in its conventions, what it warns of."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likewise.transport import barycenter, emd, partial, sinkhorn, unbalanced

# POT loads whatever else it can compute with: several seconds, and threads that a fork then warns of.
for library in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{library}", "1")
ot = pytest.importorskip("ot", reason="needs POT: pip install POT")

Array = NDArray[np.float64]


def problem(n: int, m: int, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 2)), rng.standard_normal((m, 2)) + 0.5
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), ot.dist(x, y)


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
@pytest.mark.parametrize("n, m", [(40, 30), (7, 90)])
def test_sinkhorn(n: int, m: int, epsilon: float) -> None:
    a, b, cost = problem(n, m)
    r = sinkhorn(a, b, cost, epsilon=epsilon, epsilon_scale="absolute", tol=1e-11)
    p = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", numItermax=20_000, stopThr=1e-12, warn=False)
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-8)
    np.testing.assert_allclose(r.plan.dense().sum(axis=1), a, atol=1e-10)
    solved = ot.solve(cost, a, b, reg=epsilon, reg_type="KL", max_iter=20_000, tol=1e-12)
    assert r.regularised_cost == pytest.approx(solved.value, rel=1e-8)
    assert r.cost == pytest.approx(solved.value_linear, rel=1e-8)
    entropy = float((a * np.log(a)).sum() + (b * np.log(b)).sum())
    theirs = ot.solve(cost, a, b, reg=epsilon, reg_type="entropy", max_iter=20_000, tol=1e-12)
    assert r.regularised_cost + epsilon * entropy == pytest.approx(theirs.value, rel=1e-8)


@pytest.mark.parametrize("rho", [0.5, 5.0])
@pytest.mark.parametrize("mass", [1.0, 2.5])
def test_unbalanced(rho: float, mass: float) -> None:
    a, b, cost = problem(25, 20)
    b = mass * b
    r = unbalanced(a, b, cost, rho=rho, epsilon=0.2, epsilon_scale="absolute", tol=1e-11)
    p = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, 0.2, rho, reg_type="kl", method="sinkhorn", numItermax=20_000, stopThr=1e-13
    )
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-8)
    assert r.mass == pytest.approx(p.sum(), rel=1e-8)


@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_partial(share: float) -> None:
    a, b, cost = problem(15, 12)
    exact = partial(a, b, cost, mass=share)
    assert exact.cost == pytest.approx(ot.partial.partial_wasserstein2(a, b, cost, m=share), rel=1e-8)
    a, b = np.full(15, 1 / 15), np.full(12, 1 / 12)  # theirs is measured against no a b^T
    r = partial(a, b, cost, mass=share, epsilon=0.5, epsilon_scale="absolute", tol=1e-10)
    p = ot.partial.entropic_partial_wasserstein(a, b, cost, 0.5, m=share, numItermax=20_000, stopThr=1e-14)
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-7)


def test_bound_of_the_exact_cost() -> None:
    a, b, cost = problem(60, 50)
    exact = ot.emd2(a, b, cost)
    assert emd(a, b, cost).cost == pytest.approx(exact, rel=1e-9)
    r = sinkhorn(a, b, cost, epsilon=0.01)
    assert r.certificate.emd_lower <= exact <= r.certificate.emd_upper
    assert r.certificate.emd_upper - r.certificate.emd_lower < 0.1 * exact


def test_barycentre_with_unequal_weights() -> None:
    """POT 0.9.7 `method='sinkhorn'` returns a mean of 1.03 here; its `sinkhorn_log` is right."""
    grid = np.linspace(-8, 8, 201)
    bumps = np.exp(-((grid - np.array([[-1.0], [2.0]])) ** 2) / (2 * 0.36))
    bumps /= bumps.sum(axis=1, keepdims=True)
    cost = (grid[:, None] - grid) ** 2
    q = barycenter(bumps, cost, weights=[0.25, 0.75], method="ibp", epsilon=0.3, epsilon_scale="absolute", tol=1e-10)
    theirs = ot.bregman.barycenter(
        bumps.T, cost, 0.3, weights=np.array([0.25, 0.75]), method="sinkhorn_log", numItermax=5000, stopThr=1e-12
    )
    np.testing.assert_allclose(q.histogram, theirs, atol=1e-7)
    assert q.histogram @ grid == pytest.approx(1.25, abs=1e-8)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-2])
def test_where_a_kernel_underflows(epsilon: float) -> None:
    """exp(-C / epsilon) is 0 for whole rows: POT's `sinkhorn` returns a wrong plan with a warning (its issue 34)."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 2)), 0.8 * rng.standard_normal((60, 2)) + 0.5
    cost = ot.dist(x, y)
    options: dict[str, Any] = {"epsilon": epsilon, "tol": 1e-7}
    r = sinkhorn(None, None, cost, **options)
    exact = ot.emd2([], [], cost)
    assert r.converged and math.isfinite(r.cost)
    assert exact - 1e-6 <= r.cost <= exact * (1 + 20 * epsilon)
