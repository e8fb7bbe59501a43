"""Divergence, unbalanced and partial transport, barycentres: values from closed forms, and other implementations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.references import transport_numpy as reference
from likewise.errors import ConvergenceError, ConvergenceWarning
from likewise.transport import EMDResult, barycenter, partial, sinkhorn, sinkhorn_divergence, unbalanced

X, Y = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.0], [2.5]])
A, B = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
COST = (X - Y.T) ** 2
ABSOLUTE: dict[str, Any] = {"epsilon_scale": "absolute", "tol": 1e-12}


# --- Divergence ---


@pytest.mark.parametrize("epsilon, value", [(1, 0.7310898537), (0.1, 0.8284686367)])
def test_divergence_of_three_points(epsilon: float, value: float) -> None:
    """Each term's certificate is closed to 1e-13."""
    found = sinkhorn_divergence(A, B, x=X, y=Y, epsilon=epsilon, epsilon_scale="absolute", tol=1e-9)
    assert found == pytest.approx(value, abs=1e-9)
    assert sinkhorn_divergence(3 * A, 3 * B, x=X, y=Y, epsilon=epsilon, epsilon_scale="absolute") == pytest.approx(
        3 * value, abs=1e-5
    )


@pytest.mark.parametrize("epsilon, value", [(2, 0.713499570492), (0.5, 0.728601245007), (0.1, 0.729942661682)])
def test_divergence_of_gaussians(epsilon: float, value: float) -> None:
    grid = np.linspace(-8, 8, 601)
    a, b = (np.exp(-((grid - mean) ** 2) / (2 * variance)) for mean, variance in ((0.3, 1), (-0.5, 0.49)))
    found = sinkhorn_divergence(
        a / a.sum(), b / b.sum(), x=grid[:, None], y=grid[:, None], epsilon=epsilon, epsilon_scale="absolute", tol=1e-9
    )
    assert found == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
def test_divergence_is_a_distance_of_sorts(metric: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((30, 3)) + 0.1
    a, b = rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(30))
    options: dict[str, Any] = {"metric": metric, "epsilon": 0.1}
    assert sinkhorn_divergence(a, a, x=x, y=x, **options) == pytest.approx(0, abs=1e-6)
    forth = sinkhorn_divergence(a, b, x=x, y=y, **options)
    assert forth > 0
    assert sinkhorn_divergence(b, a, x=y, y=x, **options) == pytest.approx(forth, rel=1e-6)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
def test_divergence_has_a_gradient(metric: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((6, 2)), rng.standard_normal((5, 2))
    options: dict[str, Any] = {"metric": metric, "epsilon": 0.5, **ABSOLUTE}
    _, *gradients = sinkhorn_divergence(None, None, x=x, y=y, return_grad=True, **options)
    for side, (i, k) in ((0, (2, 1)), (1, (4, 0))):
        values = []
        for step in (1e-5, -1e-5):
            points = [x.copy(), y.copy()]
            points[side][i, k] += step
            values.append(sinkhorn_divergence(None, None, x=points[0], y=points[1], **options))
        assert gradients[side][i, k] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


def test_divergence_of_points_in_one_place() -> None:
    x = np.ones((3, 2))
    assert sinkhorn_divergence(None, None, x=x, y=x) == 0
    value, *gradients = sinkhorn_divergence(None, None, x=x, y=x, return_grad=True)
    assert value == 0 and not any(g.any() for g in gradients)
    circle = np.array([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="epsilon_scale: expected costs that vary"):
        sinkhorn_divergence(None, None, x=circle, y=np.zeros((1, 2)), epsilon_scale="std")


def test_divergence_warns_and_raises() -> None:
    with pytest.warns(ConvergenceWarning, match="sinkhorn_divergence: not converged in 1 iterations") as caught:
        sinkhorn_divergence(A, B, x=X, y=Y, max_iter=1)
    assert all(warning.filename == __file__ for warning in caught)
    with pytest.raises(ConvergenceError):
        sinkhorn_divergence(A, B, x=X, y=Y, max_iter=1, on_failure="raise")


@pytest.mark.parametrize(
    "call",
    [
        lambda: sinkhorn(A, B, COST, max_iter=1),
        lambda: unbalanced(A, B, COST, max_iter=1),
        lambda: partial(A, B, COST, mass=0.9, epsilon=0.01, max_iter=1),
        lambda: barycenter(BUMPS, GRID_COST, max_iter=1),
    ],
)
def test_warnings_point_at_the_caller(call: Any) -> None:
    with pytest.warns(ConvergenceWarning) as caught:
        call()
    assert [warning.filename for warning in caught] == [__file__]


# --- Unbalanced ---


@pytest.mark.parametrize(
    "epsilon, mass, cost, value",
    [(0.5, 0.7123931654, 0.3283509903, 0.7190170865), (0.1, 0.7597083612, None, 0.5046124415)],
)
@pytest.mark.parametrize("points", [True, False])
def test_unbalanced_three_points(epsilon: float, mass: float, cost: float | None, value: float, points: bool) -> None:
    r = unbalanced(A, B, **({"x": X, "y": Y} if points else {"cost": COST}), rho=1, epsilon=epsilon, **ABSOLUTE)
    assert r.mass == pytest.approx(mass, abs=1e-10)
    assert r.regularised_cost == pytest.approx(value, abs=1e-10)
    assert cost is None or r.cost == pytest.approx(cost, abs=1e-10)
    assert r.plan.dense().sum() == pytest.approx(mass, abs=1e-10)
    assert r.certificate.dual <= value + 1e-9 and value - 1e-9 <= r.certificate.primal
    assert r.certificate.gap < 1e-10


def test_unbalanced_single_points() -> None:
    r = unbalanced([1], [2], [[0.5]], rho=1.0, epsilon=0.1, **ABSOLUTE)
    assert r.mass == pytest.approx(1.1331278940, abs=1e-10)
    assert r.regularised_cost == pytest.approx(0.8204314227, abs=1e-10)
    assert math.log(r.mass) == pytest.approx((-0.5 + 1.1 * math.log(2)) / 2.1, abs=1e-12)


@pytest.mark.parametrize("rho", [(1.0, 1.0), (0.1, 3.0), (math.inf, 0.5), (2.0, math.inf), (100.0, 100.0)])
def test_unbalanced_agrees_with_plain_numpy(rho: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((20, 2)) + 1
    a, b = 3 * rng.dirichlet(np.ones(30)), 2 * rng.dirichlet(np.ones(20))
    a[4], b[[0, 9]] = 0, 0
    cost = reference.ground_cost(x, y)
    f, g = reference.iterate(a, b, cost, 0.3, 3000, rho=rho)
    p = reference.plan(f, g, a, b, cost, 0.3)
    r = unbalanced(a, b, x=x, y=y, rho=rho, epsilon=0.3, epsilon_scale="absolute", tol=1e-11)
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-9)
    value = reference.objective(p, a, b, cost, 0.3, rho)
    assert r.regularised_cost == pytest.approx(value, abs=1e-8)
    assert r.certificate.dual <= value + 1e-10 and value - 1e-10 <= r.certificate.primal


@pytest.mark.parametrize("rho", [(1.0, 2.0), (math.inf, 0.5)])
@pytest.mark.parametrize("n_iter", [0, 1, 3])
def test_unbalanced_certificate_holds_at_any_iteration(rho: tuple[float, float], n_iter: int) -> None:
    rng = np.random.default_rng(3)
    a, b, cost = 2 * rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(9)), rng.random((12, 9))
    best = unbalanced(a, b, cost, rho=rho, epsilon=0.05, **ABSOLUTE).regularised_cost
    sharp = unbalanced(a, b, cost, rho=rho, epsilon=1e-3, epsilon_scale="absolute", tol=1e-9).certificate
    with pytest.warns(ConvergenceWarning):
        c = unbalanced(a, b, cost, rho=rho, epsilon=0.05, max_iter=n_iter, **ABSOLUTE).certificate
    assert c.dual <= best <= c.primal
    assert c.emd_lower <= sharp.emd_upper and sharp.emd_lower <= c.emd_upper


def test_unbalanced_without_relaxation_is_sinkhorn() -> None:
    loose, tight = (solver(A, B, COST, epsilon=0.5, **ABSOLUTE) for solver in (unbalanced, sinkhorn))
    assert loose.regularised_cost != pytest.approx(tight.regularised_cost, rel=1e-3)
    both = unbalanced(A, B, COST, rho=math.inf, epsilon=0.5, **ABSOLUTE)
    assert both.regularised_cost == tight.regularised_cost
    with pytest.raises(ValueError, match="b: expected the mass of a"):
        unbalanced(A, 2 * B, COST, rho=math.inf)


@pytest.mark.parametrize("wrt", ["a", "b", "x", "y"])
@pytest.mark.parametrize("rho", [(1.0, 0.5), (math.inf, 0.5)])
def test_unbalanced_gradients(wrt: str, rho: tuple[float, float]) -> None:
    given = {"a": 2 * A, "b": B, "x": X, "y": Y}
    options: dict[str, Any] = {"rho": rho, "epsilon": 0.3, **ABSOLUTE}

    def solve(given: dict[str, Any]) -> Any:
        return unbalanced(given["a"], given["b"], x=given["x"], y=given["y"], **options)

    gradient = solve(given).gradient(wrt)
    for i in range(3):
        values = []
        for step in (1e-5, -1e-5):
            moved = given | {wrt: given[wrt].copy()}
            moved[wrt][i] += step
            values.append(solve(moved).regularised_cost)
        assert float(gradient[i].sum()) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


@pytest.mark.parametrize(
    "rho, message",
    [
        (0, "rho: expected a finite number > 0, got 0"),
        (-1.0, "rho: expected a finite number > 0, got -1.0"),
        (math.nan, "rho: expected a finite number > 0, got nan"),
        ((1, 2, 3), "rho: expected a number or a pair of numbers, got 3 of them"),
        ((1, 0), "rho: expected a finite number > 0, got 0"),
    ],
)
def test_prices_that_are_refused(rho: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unbalanced(A, B, COST, rho=rho)
    with pytest.raises(TypeError, match="rho"):
        unbalanced(A, B, COST, rho="1")


def test_unbalanced_of_costs_that_are_zero() -> None:
    r = unbalanced([1, 1], [3.0], np.zeros((2, 1)))
    p = r.plan.dense()
    assert r.converged and p[0] == pytest.approx(p[1]) and 2 < p.sum() < 3.1


# --- Partial ---


@pytest.mark.parametrize("mass, value", [(0.2, 0.05), (0.6, 0.15), (0.9, 0.45), (1, 0.85)])
def test_partial_entropic_brackets_the_exact_cost(mass: float, value: float) -> None:
    assert reference.wasserstein_lp(A, B, COST, mass=mass) == pytest.approx(value, abs=1e-9)
    r = partial(A, B, COST, mass=mass, epsilon=0.05, epsilon_scale="absolute", tol=1e-5)
    assert r.converged and r.mass == pytest.approx(mass, rel=1e-5)
    c = r.certificate
    assert c.emd_lower <= value + 1e-12 and value - 1e-12 <= c.emd_upper <= value + 0.01
    assert c.dual <= c.primal


@pytest.mark.parametrize("mass", [0, 0.2, 0.6, 0.9, 1])
@pytest.mark.parametrize("metric", [None, "sqeuclidean", "euclidean", "cosine"])
def test_partial_exact(mass: float, metric: str | None) -> None:
    x, y = np.hstack([X, X + 1]), np.hstack([Y, 2 - Y])
    cost = COST if metric is None else reference.ground_cost(x, y, metric)
    r = partial(A, B, **({"cost": cost} if metric is None else {"x": x, "y": y, "metric": metric}), mass=mass)
    assert isinstance(r, EMDResult)
    assert r.cost == pytest.approx(reference.wasserstein_lp(A, B, cost, mass=mass), abs=1e-9)
    p = r.plan.dense()
    assert p.sum() == pytest.approx(mass, abs=1e-12)
    assert (p.sum(axis=1) <= A + 1e-12).all() and (p.sum(axis=0) <= B + 1e-12).all()


@pytest.mark.parametrize("mass", [0.3, 1.0, 1.7])
def test_partial_agrees_with_dykstra(mass: float) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((12, 2)), rng.standard_normal((9, 2)) + 0.5
    a, b = 2 * rng.dirichlet(np.ones(12)), 3 * rng.dirichlet(np.ones(9))
    cost = reference.ground_cost(x, y)
    p = reference.partial_plan(a, b, cost, mass, 0.5, 3000)
    r = partial(a, b, x=x, y=y, mass=mass, epsilon=0.5, epsilon_scale="absolute", tol=1e-11)
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-7)
    value = reference.objective(p, a, b, cost, 0.5)
    assert r.regularised_cost == pytest.approx(value, abs=1e-7)
    assert (r.plan.dense().sum(axis=1) <= a + 1e-9).all() and (r.plan.dense().sum(axis=0) <= b + 1e-9).all()
    assert r.certificate.dual <= value + 1e-7 and value - 1e-7 <= r.certificate.primal
    assert r.certificate.gap < 1e-9


@pytest.mark.parametrize("n_iter", [0, 1, 4])
def test_partial_certificate_holds_at_any_iteration(n_iter: int) -> None:
    rng = np.random.default_rng(5)
    a, b, cost = rng.dirichlet(np.ones(10)), rng.dirichlet(np.ones(8)), rng.random((10, 8))
    exact = reference.wasserstein_lp(a, b, cost, mass=0.7)
    with pytest.warns(ConvergenceWarning, match="partial: not converged"):
        r = partial(a, b, cost, mass=0.7, epsilon=0.02, epsilon_scale="absolute", tol=1e-12, max_iter=n_iter)
    c = r.certificate
    assert r.n_iter == n_iter and c.emd_lower <= exact <= c.emd_upper and c.dual <= c.primal


def test_partial_extrapolation_is_dropped_where_it_does_harm() -> None:
    """Taken at all costs, it does not converge here in thousands of iterations."""
    rng = np.random.default_rng(19)
    n, m = rng.integers(3, 20, 2)
    x, y = rng.standard_normal((n, 2)), rng.standard_normal((m, 2)) + rng.random() * 2
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    mass, epsilon = rng.choice([0.3, 0.6, 0.9, 0.99, 1.0]), rng.choice([0.01, 0.03, 0.1])
    assert partial(a, b, x=x, y=y, mass=mass, epsilon=epsilon, tol=1e-8, max_iter=1000).converged


def test_partial_results_have_no_gradient_by_the_weights() -> None:
    found = partial(None, None, x=np.arange(3.0)[:, None], y=np.arange(4.0)[:, None], mass=0.5, epsilon=0.1)
    for wrt in ("a", "b"):
        with pytest.raises(ValueError, match=f"wrt: expected 'x', 'y' or 'cost' for a partial problem, got '{wrt}'"):
            found.gradient(wrt)
    assert found.gradient("x").shape == (3, 1)


def test_partial_of_no_mass() -> None:
    r = partial(A, B, COST, mass=0, epsilon=0.1)
    assert r.converged and r.cost == r.mass == 0 and not r.plan.dense().any()
    assert np.isfinite(r.f).all() and r.certificate.emd_lower <= 0 <= r.certificate.emd_upper


def test_partial_of_zero_weights() -> None:
    a, b = np.array([0.5, 0, 0.5]), np.array([0, 0.6, 0.4])
    r = partial(a, b, COST, mass=0.5, epsilon=0.1, tol=1e-10)
    p = r.plan.dense()
    assert not p[1].any() and not p[:, 0].any() and p.sum() == pytest.approx(0.5, abs=1e-9)
    assert np.isfinite(r.f).all() and np.isfinite(r.g).all()


@pytest.mark.parametrize("mass", [1.1, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_masses_that_are_refused(mass: float, epsilon: float) -> None:
    with pytest.raises(ValueError, match="mass: expected"):
        partial(A, B, COST, mass=mass, epsilon=epsilon)


# --- Barycentres ---

GRID = np.linspace(-8, 8, 401)
BUMPS = np.exp(-((GRID - np.array([[-1.0], [2.0]])) ** 2) / (2 * 0.36))
BUMPS /= BUMPS.sum(axis=1, keepdims=True)
GRID_COST = (GRID[:, None] - GRID) ** 2


@pytest.mark.parametrize("method, variance", [("ibp", 0.51), ("debiased", 0.36)])
@pytest.mark.parametrize("weights, mean", [((0.5, 0.5), 0.5), ((0.25, 0.75), 1.25), ((1, 3), 1.25)])
def test_barycentre_of_gaussians(method: str, variance: float, weights: Any, mean: float) -> None:
    r = barycenter(BUMPS, GRID_COST, weights=weights, method=method, epsilon=0.3, epsilon_scale="absolute", tol=1e-9)
    q = r.histogram
    assert r.converged and r.marginal_error <= 1e-9 and len(r.history) == r.n_iter + 1
    assert q.sum() == pytest.approx(1, abs=1e-8)
    assert q @ GRID == pytest.approx(mean, abs=1e-6)
    assert q @ GRID**2 - (q @ GRID) ** 2 == pytest.approx(variance, abs=1e-6)


def test_barycentre_of_one_histogram_is_itself() -> None:
    r = barycenter(BUMPS[:1], GRID_COST, epsilon=0.3, epsilon_scale="absolute", tol=1e-8)
    np.testing.assert_allclose(r.histogram, BUMPS[0], atol=1e-6)
    dirac = np.array([[0.0, 2.0, 0.0]])
    r = barycenter(np.repeat(dirac, 2, axis=0), (X - X.T) ** 2)  # nothing moves: no scale to measure epsilon by
    np.testing.assert_array_equal(r.histogram, dirac[0])


def test_barycentre_keeps_mass_and_dtype() -> None:
    p = (5 * BUMPS).astype(np.float32)
    r = barycenter(p, GRID_COST.astype(np.float32), epsilon=0.3, epsilon_scale="absolute")
    assert r.histogram.dtype == np.float32 and r.histogram.sum() == pytest.approx(5, rel=1e-5)


def test_barycentre_reports_failure() -> None:
    for n_iter in (0, 2):
        with pytest.warns(ConvergenceWarning, match=f"barycenter: not converged in {n_iter} iterations"):
            r = barycenter(BUMPS, GRID_COST, max_iter=n_iter)
        assert not r.converged and np.isfinite(r.histogram).all()
    with pytest.raises(ConvergenceError):
        barycenter(BUMPS, GRID_COST, max_iter=1, on_failure="raise")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"histograms": -BUMPS}, r"histograms: expected weights >= 0, got -.* at row 0, column 0"),
        ({"histograms": BUMPS * [[1], [2]]}, r"histograms: expected rows of one mass, .* at row 1 \[normalise them\]"),
        ({"histograms": BUMPS * [[1], [0]]}, "histograms: expected rows of a positive, finite sum, got the sum 0.0 at"),
        ({"histograms": BUMPS[0]}, "histograms: expected a 2-D array"),
        ({"cost": GRID_COST[:, :-1]}, r"cost: expected shape \(401, 401\), as histograms have 401 columns, got"),
        (
            {"cost": np.triu(GRID_COST)},
            r"cost: expected a symmetric matrix for method='debiased', .* \[use method='ibp'",
        ),
        ({"weights": [1, -1]}, "weights: expected weights >= 0, got -1.0 at position 1"),
        ({"weights": [1, 1, 1]}, "weights: expected 2 weights"),
        ({"method": "sinkhorn"}, "method: expected one of 'debiased', 'ibp'"),
        ({"epsilon": 0}, "epsilon: expected a finite number > 0, got 0"),
    ],
)
def test_barycentre_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        barycenter(**{"histograms": BUMPS, "cost": GRID_COST, **change})
