"""Sinkhorn: values that can be checked by hand, an independent implementation, and what a result says of itself."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.references import transport_numpy as reference
from likewise.errors import ConvergenceError, ConvergenceWarning
from likewise.transport import TransportResult, sinkhorn

X, Y = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.0], [2.5]])
A, B = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
COST = (X - Y.T) ** 2
METHODS = ("auto", "log", "kernel", "sparse")

# epsilon: cost, regularised, emd_lower, f, g
THREE = {
    1: (1.093966394486, 1.452654771472, 0.742508849704,
        (1.83589387, -0.08919463, -0.82430581), (-0.97670821, 1.65737678, 2.27029979)),
    0.5: (0.918698962601, 1.219261599817, 0.775547239009,
          (1.91721848, -0.33825391, -1.23751135), (-1.32393050, 1.74208222, 2.21185055)),
    0.235: (0.856894494638, 1.037482555594, 0.812444683856,
            (2.02146160, -0.60298524, -1.55546976), (-1.60857401, 1.81561836, 2.17961769)),
    0.1: (0.850022240639, 0.930469671523, 0.833905991535,
          (2.08071018, -0.75834974, -1.73807665), (-1.76139546, 1.84997511, 2.14901489)),
}  # fmt: skip
EMD = 0.85


def solve(*arguments: Any, **keywords: Any) -> TransportResult:
    return sinkhorn(*arguments, **{"epsilon_scale": "absolute", "tol": 1e-12, **keywords})


def clouds(n: int, m: int, d: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 0.8 * rng.standard_normal((m, d)) + 0.5


# --- Values ---


@pytest.mark.parametrize(
    "epsilon, cost, regularised",
    [(1, 0.2689414214, 0.3798854930), (0.5, 0.1192029220, 0.2831095848), (0.1, 4.5397868702e-5, 0.0693101782)],
)
@pytest.mark.parametrize("method", METHODS)
def test_two_points(epsilon: float, cost: float, regularised: float, method: str) -> None:
    r = solve([0.5, 0.5], [0.5, 0.5], [[0, 1], [1, 0]], epsilon=epsilon, method=method)
    assert r.cost == pytest.approx(cost, abs=1e-10) == pytest.approx(1 / (1 + math.exp(1 / epsilon)), abs=1e-10)
    assert r.regularised_cost == pytest.approx(regularised, abs=1e-10)
    np.testing.assert_allclose([r.f, r.g], regularised / 2, atol=1e-10)


@pytest.mark.parametrize("epsilon", THREE)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("points", [True, False])
def test_three_points(epsilon: float, method: str, points: bool) -> None:
    cost, regularised, lower, f, g = THREE[epsilon]
    r = solve(A, B, **({"x": X, "y": Y} if points else {"cost": COST}), epsilon=epsilon, method=method)
    assert r.converged and r.marginal_error <= 1e-12
    assert r.cost == pytest.approx(cost, abs=2e-10)
    assert r.regularised_cost == pytest.approx(regularised, abs=1e-11)
    assert r.certificate.emd_lower == pytest.approx(lower, abs=1e-7)
    np.testing.assert_allclose(r.f, f, atol=2e-8 if epsilon > 0.1 else 2e-6)
    np.testing.assert_allclose(r.g, g, atol=2e-8 if epsilon > 0.1 else 2e-6)


def test_three_points_in_their_default_scale() -> None:
    r = sinkhorn(A, B, COST, epsilon=0.1, tol=1e-12)
    assert r.epsilon == pytest.approx(0.235, rel=1e-14)
    assert r.cost == pytest.approx(THREE[0.235][0], abs=1e-10)


def test_plan_and_gradients_of_three_points() -> None:
    r = solve(A, B, x=X, y=Y, epsilon=1)
    expected = [
        [0.36778665, 0.12049256, 0.01172079],
        [0.03218785, 0.21180666, 0.05600549],
        [0.0000255, 0.06770077, 0.13227372],
    ]
    np.testing.assert_allclose(r.plan.dense(), expected, atol=1e-8)
    np.testing.assert_allclose(r.gradient("x")[:, 0], [-0.90836083, -0.55944195, 0.26780278], atol=1e-8)
    assert r.gradient("a") @ [1, -1, 0] == pytest.approx(1.92508850, abs=1e-8)
    assert r.gradient("a").sum() == pytest.approx(0, abs=1e-14)
    np.testing.assert_array_equal(r.gradient("cost"), r.plan.dense())
    entropies = sum(float((w * np.log(w)).sum()) for w in (A, B))
    assert r.regularised_cost + entropies == pytest.approx(-0.631918410578, abs=1e-11)  # the entropy form of others


@pytest.mark.parametrize("epsilon", [0.025, 0.01])
def test_a_problem_that_falls_apart_converges_all_the_same(epsilon: float) -> None:
    """Mass .2 sits on .2: plain iterations crawl; acceleration must not."""
    r = solve(A, B, COST, epsilon=epsilon, tol=1e-9)
    assert r.converged
    assert r.regularised_cost == pytest.approx(EMD + 0.8047189562 * epsilon, abs=1e-9)


def test_a_problem_where_extrapolation_stagnates() -> None:
    a, b = [0.29925058, 0.21667244, 0.15914938, 0.3249276], [0.12486221, 0.44079442, 0.43207187, 0.0022715]
    cost = [
        [0, 1.73957482, 10.42959274, 1.4214302],
        [3.3815348, 6.5094877, 4.76258829, 0.65825663],
        [15.16731415, 6.75225481, 12.09765879, 14.79616913],
        [6.24039274, 3.40668117, 1.5280152, 3.2028414],
    ]
    r = solve(b, a, np.transpose(cost), epsilon=0.05, tol=1e-9)
    assert r.converged and r.certificate.gap < 1e-8


@pytest.mark.parametrize("epsilon, value", [(2, 1.717190607243), (0.5, 1.259667527333), (0.1, 0.912845628756)])
def test_gaussians_on_a_grid(epsilon: float, value: float) -> None:
    grid = np.linspace(-8, 8, 1201)
    a, b = (np.exp(-((grid - mean) ** 2) / (2 * variance)) for mean, variance in ((0.3, 1), (-0.5, 0.49)))
    assert reference.gaussians(0.3, 1, -0.5, 0.49, epsilon) == pytest.approx(value, abs=1e-12)
    r = solve(a / a.sum(), b / b.sum(), x=grid[:, None], y=grid[:, None], epsilon=epsilon, tol=1e-9)
    assert r.regularised_cost == pytest.approx(value, abs=1e-10)


def test_samples_of_gaussians() -> None:
    s1, s2 = np.array([[1, 0.3], [0.3, 0.5]]), np.array([[0.4, -0.1], [-0.1, 0.8]])
    assert reference.gaussians([0.5, 0], s1, [0, -0.25], s2, 0.5) == pytest.approx(1.589598346367, abs=1e-11)
    rng = np.random.default_rng(0)
    x, y = rng.multivariate_normal([0.5, 0], s1, 3000), rng.multivariate_normal([0, -0.25], s2, 3000)
    r = sinkhorn(None, None, x=x, y=y, epsilon=0.5, epsilon_scale="absolute")
    assert r.regularised_cost == pytest.approx(1.5896, abs=0.1)  # 3000^-1/2 is 0.018


# --- An independent implementation ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_plain_numpy(metric: str, method: str, dtype: type) -> None:
    x, y = (points.astype(dtype) for points in clouds(40, 30, 3))
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.ones(40)).astype(dtype), rng.dirichlet(np.ones(30)).astype(dtype)
    cost = reference.ground_cost(x, y, metric)
    r = sinkhorn(a, b, x=x, y=y, metric=metric, epsilon=0.2, tol=1e-9, method=method)
    a64, b64 = a / a.sum(dtype=np.float64), b / b.sum(dtype=np.float64)
    assert r.epsilon == pytest.approx(0.2 * (a64 @ cost @ b64), rel=1e-6 if dtype is np.float32 else 1e-12)
    f, g = reference.iterate(a64, b64, cost, r.epsilon, 5000, tol=1e-13)
    assert r.f.dtype == r.g.dtype == r.plan.dtype == r.plan.dense().dtype == dtype
    scale = float(cost.max())
    close = 1e-6 * scale if dtype is np.float32 else 1e-8 * scale
    np.testing.assert_allclose(r.f, f, atol=close)
    np.testing.assert_allclose(r.g, g, atol=close)
    p = reference.plan(f, g, a64, b64, cost, r.epsilon)
    np.testing.assert_allclose(r.plan.dense(), p, atol=1e-6 / 30 if dtype is np.float32 else 1e-9)
    assert r.cost == pytest.approx((p * cost).sum(), abs=close)
    assert r.regularised_cost == pytest.approx(reference.objective(p, a64, b64, cost, r.epsilon), abs=close)
    measured = reference.marginal_error(*r.potentials, a64, b64, cost, r.epsilon)
    assert r.marginal_error <= 1e-9 and r.marginal_error == pytest.approx(measured, abs=1e-12)


def test_plain_iterations_are_the_textbooks() -> None:
    x, y = clouds(25, 20, 2)
    cost = reference.ground_cost(x, y)
    a, b = np.full(25, 1 / 25), np.full(20, 1 / 20)
    for n_iter in (1, 2, 3, 10):
        with pytest.warns(ConvergenceWarning):
            r = solve(a, b, cost, epsilon=0.1, anderson=0, method="log", max_iter=n_iter)
        f, g = reference.iterate(a, b, cost, 0.1, n_iter)
        assert r.n_iter == n_iter
        np.testing.assert_allclose(r.f, f, atol=1e-12)
        np.testing.assert_allclose(r.g, g, atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.005])
def test_methods_agree(epsilon: float) -> None:
    x, y = clouds(120, 90, 2)
    scale = float(reference.ground_cost(x, y).mean())
    costs = [sinkhorn(None, None, x=x, y=y, epsilon=epsilon, method=method, tol=1e-7).cost for method in METHODS]
    assert max(costs) - min(costs) <= 10 * 1e-7 * scale


# --- The report ---


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 16, 17])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_points_of_few_coordinates(d: int, far: float) -> None:
    """Their squared distances are taken as products: the same potentials as from the matrix of differences."""
    rng = np.random.default_rng(d)
    x, y = rng.standard_normal((83, d)) + far, 0.8 * rng.standard_normal((75, d)) + far + 0.5
    cost = reference.ground_cost(x, y)
    options: dict[str, Any] = {"epsilon": 0.05 * float(cost.mean()), "epsilon_scale": "absolute", "anderson": 0}
    for method in ("log", "kernel"):
        points = sinkhorn(None, None, x=x.astype(np.float32), y=y.astype(np.float32), method=method, **options)
        rounded = reference.ground_cost(x.astype(np.float32), y.astype(np.float32))
        matrix = sinkhorn(None, None, rounded, method="log", **options)
        assert points.n_iter == pytest.approx(matrix.n_iter, abs=2)
        np.testing.assert_allclose(points.potentials[0], matrix.potentials[0], atol=1e-5 * float(cost.max()))
        a, b = np.full(83, 1 / 83), np.full(75, 1 / 75)
        assert reference.marginal_error(*points.potentials, a, b, rounded, points.epsilon) <= 1.001e-6


def test_points_too_far_apart_for_products() -> None:
    """Two places whose distance drowns the differences within them: those are kept."""
    rng = np.random.default_rng(0)
    shifts = np.where(np.arange(60) < 30, 0.0, 1e6)[:, None]
    x, y = rng.standard_normal((60, 2)) + shifts, rng.standard_normal((60, 2)) + shifts
    r = sinkhorn(None, None, x=x, y=y, epsilon=0.5, epsilon_scale="absolute", on_failure="raise")
    assert r.method == "kernel"  # products would have stalled, and float64 had to take over


def test_not_converged() -> None:
    x, y = clouds(50, 40, 2)
    with pytest.warns(
        ConvergenceWarning, match=r"not converged in 2 iterations: the marginal error is .*, tol is 1e-06"
    ):
        r = sinkhorn(None, None, x=x, y=y, epsilon=0.001, max_iter=2)
    assert not r.converged and r.n_iter == 2 and r.marginal_error > 1e-6
    assert np.isfinite(r.plan.dense()).all()
    c = r.certificate
    exact = reference.wasserstein_lp(np.full(50, 1 / 50), np.full(40, 1 / 40), reference.ground_cost(x, y))
    assert c.dual <= c.primal and c.emd_lower <= exact <= c.emd_upper
    with pytest.raises(ConvergenceError) as caught:
        sinkhorn(None, None, x=x, y=y, epsilon=0.001, max_iter=2, on_failure="raise")
    assert isinstance(caught.value.result, TransportResult) and not caught.value.result.converged


@pytest.mark.parametrize("n_iter", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01])
@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
def test_certificate_holds_at_any_iteration(n_iter: int, epsilon: float) -> None:
    x, y = clouds(30, 20, 2)
    rng = np.random.default_rng(2)
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(20))
    cost = reference.ground_cost(x, y)
    exact = reference.wasserstein_lp(a, b, cost)
    best = solve(a, b, cost, epsilon=epsilon, tol=1e-11).regularised_cost
    c = solve(a, b, cost, epsilon=epsilon, max_iter=n_iter).certificate
    assert c.dual <= best + 1e-12 and best - 1e-12 <= c.primal and c.gap == c.primal - c.dual >= 0
    assert c.emd_lower <= exact + 1e-12 and exact - 1e-12 <= c.emd_upper


def test_certificate_is_that_of_the_rounded_plan() -> None:
    x, y = clouds(30, 20, 2)
    cost = reference.ground_cost(x, y)
    a, b = np.full(30, 1 / 30), np.full(20, 1 / 20)
    with pytest.warns(ConvergenceWarning):
        r = solve(a, b, cost, epsilon=0.05, max_iter=3)
    p = reference.rounded(r.plan.dense(), a, b)
    assert r.certificate.primal == pytest.approx(reference.objective(p, a, b, cost, 0.05), rel=1e-12)
    assert r.certificate.emd_upper == pytest.approx((p * cost).sum(), rel=1e-12)
    f, g = r.potentials
    dual = a @ f + b @ g - 0.05 * (r.plan.dense().sum() - 1)
    assert r.certificate.dual == pytest.approx(dual, rel=1e-12) == pytest.approx(r.regularised_cost, rel=1e-12)
    assert r.certificate.emd_lower == pytest.approx(a @ f + b @ (cost - f[:, None]).min(axis=0), rel=1e-12)


def test_result_is_frozen_and_survives_a_pickle() -> None:
    r = solve(A, B, COST, epsilon=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        r.cost = 0.0  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(r))
    assert copy.certificate == r.certificate and (copy.plan.dense() == r.plan.dense()).all()
    assert repr(r).startswith("TransportResult(cost=1.09397, regularised_cost=1.45265, ")


def test_history_is_what_the_loop_saw() -> None:
    r = sinkhorn(A, B, COST, epsilon=0.1)
    assert len(r.history) == r.n_iter + 1
    assert r.history[-1] <= 1e-6 < r.history[0]


# --- Start ---


def test_warm_start_at_the_solution() -> None:
    x, y = clouds(60, 50, 2)
    r = sinkhorn(None, None, x=x, y=y, epsilon=0.05)
    for init in (r, (r.f, r.g), (r.f + 3, r.g - 3)):
        again = sinkhorn(None, None, x=x, y=y, epsilon=0.05, init=init)
        assert again.converged and again.n_iter <= 2
        assert again.cost == pytest.approx(r.cost, rel=1e-5)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6])
def test_any_start_leads_to_the_same(size: float) -> None:
    rng = np.random.default_rng(3)
    r = solve(A, B, COST, epsilon=0.5, init=(size * rng.standard_normal(3), size * rng.standard_normal(3)))
    assert r.converged and r.cost == pytest.approx(THREE[0.5][0], abs=1e-10)


def test_no_iteration_evaluates_the_start() -> None:
    f, g = reference.iterate(A, B, COST, 0.5, 7)
    with pytest.warns(ConvergenceWarning):
        r = solve(A, B, COST, epsilon=0.5, init=(f, g), max_iter=0)
    assert r.n_iter == 0
    assert r.marginal_error == pytest.approx(reference.marginal_error(f, g, A, B, COST, 0.5), rel=1e-9)
    done = solve(A, B, COST, epsilon=0.5)
    assert solve(A, B, COST, epsilon=0.5, init=done, max_iter=0, tol=1e-11).converged
    with pytest.warns(ConvergenceWarning):  # no start: that of the smallest cost, whose plan cannot overflow
        r = solve(A, B, COST - 1e4, epsilon=0.5, max_iter=0)
    assert math.isfinite(r.marginal_error) and r.certificate.dual <= r.certificate.primal


# --- Weights ---


def test_zero_weights() -> None:
    x, y = clouds(20, 15, 2)
    rng = np.random.default_rng(4)
    a, b = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(15))
    a[[0, 7]], b[[3, 14]] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    r = sinkhorn(a, b, x=x, y=y, epsilon=0.1, tol=1e-11)
    p = r.plan.dense()
    assert not p[[0, 7]].any() and not p[:, [3, 14]].any()
    cost = reference.ground_cost(x, y)
    np.testing.assert_allclose(r.f, reference.soft_min_rows(r.g, b, cost, r.epsilon), atol=1e-9)
    np.testing.assert_allclose(r.g, reference.soft_min_rows(r.f, a, cost.T, r.epsilon), atol=1e-9)
    without = sinkhorn(a[a > 0], b[b > 0], x=x[a > 0], y=y[b > 0], epsilon=0.1, tol=1e-11)
    assert r.epsilon == pytest.approx(without.epsilon, rel=1e-13)
    assert r.cost == pytest.approx(without.cost, rel=1e-10)
    assert r.certificate.emd_lower == pytest.approx(without.certificate.emd_lower, rel=1e-8)


def test_mass_scales_the_result() -> None:
    one = solve(A, B, COST, epsilon=0.5)
    five = solve(5 * A, 5 * B, COST, epsilon=0.5)
    assert five.cost == pytest.approx(5 * one.cost, rel=1e-12)
    assert five.regularised_cost == pytest.approx(5 * one.regularised_cost, rel=1e-12)
    assert five.mass == pytest.approx(5, rel=1e-12)
    np.testing.assert_allclose(five.plan.dense(), 5 * one.plan.dense(), rtol=1e-9)
    np.testing.assert_allclose(five.plan @ np.ones(3), 5 * A, rtol=1e-9)
    np.testing.assert_allclose(five.f, one.f, atol=1e-9)
    assert five.certificate.emd_lower == pytest.approx(5 * one.certificate.emd_lower, rel=1e-9)
    counts = solve([5, 3, 2], [4, 4, 2], COST, epsilon=0.5)
    assert counts.cost == pytest.approx(10 * one.cost, rel=1e-12)
    assert solve(5 * A, None, COST, epsilon=0.5).mass == pytest.approx(5, rel=1e-12)


def test_masses_that_differ_by_rounding() -> None:
    r = solve(A, B * (1 + 5e-10), COST, epsilon=0.5)
    assert r.mass == pytest.approx(1, rel=1e-12)
    r = solve(A.astype(np.float32), B.astype(np.float32) * np.float32(1 + 5e-6), COST, epsilon=0.5)
    assert r.mass == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize("cost", [0.0, -3.0, 2.5])
def test_costs_that_do_not_differ(cost: float) -> None:
    a = np.array([0.0, 0.25, 0.75])
    c = np.full((3, 3), cost)
    c[0] = cost + 1  # of a point without weight
    scale = "mean" if cost == 0 else "std"
    r = sinkhorn(a, B, c, epsilon_scale=scale)
    assert r.converged and r.n_iter == 0 and r.epsilon == 0
    assert r.cost == r.regularised_cost == cost
    np.testing.assert_allclose(r.plan.dense(), np.outer(a, B), rtol=1e-15)
    np.testing.assert_allclose(r.f, [cost / 2 + 1, cost / 2, cost / 2])
    assert r.certificate.dual == pytest.approx(cost, abs=1e-12)


@pytest.mark.parametrize("n, m", [(1, 1), (1, 4), (4, 1)])
def test_one_point_leaves_no_choice(n: int, m: int) -> None:
    rng = np.random.default_rng(5)
    a, b, cost = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    r = solve(a, b, cost, epsilon=0.01)
    assert r.n_iter <= 1 and r.converged
    assert r.cost == pytest.approx(a @ cost @ b, rel=1e-12) == r.regularised_cost


# --- The plan as an operator ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plan_is_one_operator_in_many_forms(dtype: type) -> None:
    x, y = (points.astype(dtype) for points in clouds(60, 70, 3))
    plan = sinkhorn(None, None, x=x, y=y, epsilon=0.02).plan
    p = plan.dense()
    assert plan.shape == p.shape == (60, 70)
    np.testing.assert_array_equal(plan.rows(17, 41), p[17:41])
    assert plan.rows(5, 5).shape == (0, 70)
    rng = np.random.default_rng(6)
    close = {"rtol": 1e-5, "atol": 1e-8} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-15}
    for v in (rng.standard_normal(70), rng.standard_normal((70, 3)), np.asfortranarray(rng.standard_normal((70, 2)))):
        np.testing.assert_allclose(plan @ v, p @ v, **close)
    for v in (rng.standard_normal(60), rng.standard_normal((3, 60))):
        np.testing.assert_allclose(v @ plan, v @ p, **close)
    assert (plan @ np.ones(70, np.float32)).dtype == dtype
    sparse = plan.sparse()
    np.testing.assert_array_equal(sparse.dense(), p)
    assert sparse.dropped_mass == 0
    sparse = plan.sparse(1e-5)
    assert sparse.data.dtype == dtype and len(sparse.data) < (p > 0).sum()
    np.testing.assert_array_equal(sparse.dense(), np.where(p > 1e-5, p, 0))
    assert sparse.dropped_mass == pytest.approx(float(p[p <= 1e-5].sum()), rel=1e-5)
    import scipy.sparse

    array = scipy.sparse.csr_array((sparse.data, sparse.indices, sparse.indptr), shape=sparse.shape)
    np.testing.assert_array_equal(array.toarray(), sparse.dense())


# --- Gradients ---


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
@pytest.mark.parametrize("wrt", ["x", "y"])
def test_gradient_by_points(metric: str, wrt: str) -> None:
    x, y = clouds(7, 5, 3)
    a, b = (np.random.default_rng(7).dirichlet(np.ones(k)) for k in (7, 5))
    keywords = dict(metric=metric, epsilon=0.3, tol=1e-13)
    gradient = solve(a, b, x=x, y=y, **keywords).gradient(wrt)
    for i, k in ((0, 0), (3, 2), (4, 1)):
        values = []
        for step in (1e-5, -1e-5):
            moved = {"x": x.copy(), "y": y.copy()}
            moved[wrt][i, k] += step
            values.append(solve(a, b, **moved, **keywords).regularised_cost)
        assert gradient[i, k] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


def test_gradient_far_from_the_origin() -> None:
    x, y = clouds(30, 20, 2)
    near = solve(None, None, x=x, y=y, epsilon=0.3).gradient("x")
    far = solve(None, None, x=x + 1e6, y=y + 1e6, epsilon=0.3).gradient("x")
    np.testing.assert_allclose(far, near, atol=1e-8)


def test_gradient_where_points_meet() -> None:
    x = np.zeros((2, 2))
    gradient = solve(None, None, x=x, y=x, metric="euclidean", epsilon=1).gradient("x")
    np.testing.assert_array_equal(gradient, 0)


def test_gradient_by_weights_and_cost() -> None:
    rng = np.random.default_rng(8)
    a, b, cost = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5)), rng.random((6, 5))

    def value(a: Any, b: Any, cost: Any) -> float:
        return solve(a, b, cost, epsilon=0.2).regularised_cost

    r = solve(a, b, cost, epsilon=0.2)
    step = np.zeros(6)
    step[[1, 4]] = 1e-5, -1e-5
    numeric = (value(a + step, b, cost) - value(a - step, b, cost)) / 2e-5
    assert r.gradient("a")[1] - r.gradient("a")[4] == pytest.approx(numeric, abs=1e-7)
    step = np.zeros(5)
    step[[0, 2]] = 1e-5, -1e-5
    numeric = (value(a, b + step, cost) - value(a, b - step, cost)) / 2e-5
    assert r.gradient("b")[0] - r.gradient("b")[2] == pytest.approx(numeric, abs=1e-7)
    moved = np.zeros((6, 5))
    moved[2, 3] = 1e-5
    numeric = (value(a, b, cost + moved) - value(a, b, cost - moved)) / 2e-5
    assert r.gradient("cost")[2, 3] == pytest.approx(numeric, abs=1e-8)
    for wrt in ("x", "y"):
        with pytest.raises(ValueError, match="wrt: expected 'a', 'b' or 'cost' for a problem given by its cost"):
            r.gradient(wrt)
