"""Many entropic problems at once: each is solved as if it were alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.references import transport_numpy as reference
from likewise.errors import ConvergenceError, ConvergenceWarning
from likewise.transport import BatchResult, TransportResult, sinkhorn, sinkhorn_batch

Array = NDArray[Any]


def clouds(shapes: list[tuple[int, int]], dtype: Any = np.float64, seed: int = 0) -> tuple[list[Array], list[Array]]:
    rng = np.random.default_rng(seed)
    pairs = [(rng.normal(size=(n, 2)), 0.8 * rng.normal(size=(m, 2)) + 0.5) for n, m in shapes]
    return [x.astype(dtype) for x, _ in pairs], [y.astype(dtype) for _, y in pairs]


def weights(sizes: list[int], seed: int, zeros: bool = False) -> list[Array]:
    rng = np.random.default_rng(seed)
    found = [rng.dirichlet(np.ones(size)) for size in sizes]
    for w in found:
        if zeros and len(w) > 2:
            w[:: max(2, len(w) // 3)] = 0
            w /= w.sum()
    return found


def ragged(count: int, seed: int = 1) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [(int(n), int(m)) for n, m in rng.integers(1, 40, (count, 2))]


def check_independently(r: TransportResult, a: Array, b: Array, cost: Array, tol: float) -> None:
    """Potentials of a plan that meets its marginals, and the values that are reported of it."""
    f, g = (np.asarray(p, np.float64) for p in r.potentials)
    plan = reference.plan(f, g, a, b, cost, r.epsilon)
    assert np.isfinite(f).all() and np.isfinite(g).all()
    error = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
    assert r.marginal_error == pytest.approx(error, rel=1e-3, abs=1e-12)
    assert error <= tol * 1.001 and r.converged
    assert r.cost == pytest.approx((plan * cost).sum(), rel=1e-9, abs=1e-12 * float(np.abs(cost).max()))
    assert a @ f == pytest.approx(b @ g, abs=1e-9 * (1 + np.abs(f).max()))


def same(left: BatchResult, i: int, right: BatchResult, k: int) -> bool:
    arrays = zip(left[i].potentials, right[k].potentials, strict=True)
    names = ("cost", "regularised_cost", "marginal_error", "n_iter", "epsilon", "mass")
    return all(x.tobytes() == y.tobytes() for x, y in arrays) and all(
        getattr(left, name)[i] == getattr(right, name)[k] for name in names
    )


# --- The same problem, in company ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon, tol", [(0.5, 1e-6), (0.05, 1e-6), (0.05, 1e-10), (0.01, 1e-6)])
def test_each_problem_meets_its_tolerance(dtype: Any, epsilon: float, tol: float) -> None:
    shapes = ragged(60)
    x, y = clouds(shapes, dtype)
    a, b = weights([n for n, _ in shapes], 2), weights([m for _, m in shapes], 3, zeros=True)
    r = sinkhorn_batch(a, b, x=x, y=y, epsilon=epsilon, tol=tol)
    for k in range(len(shapes)):
        cost = reference.ground_cost(x[k], y[k])
        assert r.epsilon[k] == pytest.approx(epsilon * (a[k] @ cost @ b[k]), rel=1e-6)
        check_independently(r[k], a[k], b[k], cost, tol)


@pytest.mark.parametrize("epsilon", [0.2, 0.02])
def test_values_are_those_of_a_problem_alone(epsilon: float) -> None:
    shapes = ragged(24, seed=4)
    x, y = clouds(shapes)
    r = sinkhorn_batch(None, None, x=x, y=y, epsilon=epsilon, tol=1e-9)
    for k in range(len(shapes)):
        one = sinkhorn(None, None, x=x[k], y=y[k], epsilon=epsilon, tol=1e-9)
        assert r.cost[k] == pytest.approx(one.cost, rel=1e-7)
        assert r.regularised_cost[k] == pytest.approx(one.regularised_cost, rel=1e-9)
        np.testing.assert_allclose(r.f[k], one.f, atol=1e-5 * (1 + np.abs(one.f).max()))


@pytest.mark.parametrize("anderson", [0, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_every_order_neighbour_and_thread(dtype: Any, anderson: int) -> None:
    shapes = [*ragged(70, seed=5), (80, 70), (20, 20), (20, 20)]
    costs = [reference.ground_cost(p, q).astype(dtype) for p, q in zip(*clouds(shapes), strict=True)]
    settings: dict[str, Any] = {"epsilon": 0.04, "anderson": anderson, "max_iter": 700}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # plain iterations are slow here
        whole = sinkhorn_batch(None, None, costs, **settings, n_threads=1)
        order = np.random.default_rng(6).permutation(len(shapes))
        shuffled = sinkhorn_batch(None, None, [costs[k] for k in order], **settings, n_threads=2)
        assert all(same(whole, int(k), shuffled, i) for i, k in enumerate(order))
        for k in (0, 7, 33, 70, 72):
            alone = sinkhorn_batch(None, None, [costs[k]], **settings)
            assert same(whole, k, alone, 0)
        few = sinkhorn_batch(None, None, costs[3:12], **settings)
        assert all(same(whole, k + 3, few, k) for k in range(9))


def test_stacked_problems_are_those_of_a_list() -> None:
    costs = np.random.default_rng(7).random((40, 6, 9))
    a, b = np.array(weights([6] * 40, 8)), np.array(weights([9] * 40, 9))
    stacked, listed = sinkhorn_batch(a, b, costs), sinkhorn_batch(list(a), list(b), list(costs))
    assert stacked.f.shape == (40, 6) and stacked.g.shape == (40, 9) and isinstance(listed.f, list)
    assert all(same(stacked, k, listed, k) for k in range(40))
    np.testing.assert_array_equal(stacked.g, np.array(listed.g))
    strange = sinkhorn_batch(a[:, ::-1][:, ::-1], b, np.asfortranarray(costs))
    assert all(same(stacked, k, strange, k) for k in range(40))


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01, 0.001])
def test_plain_iterations_are_those_of_the_textbook(epsilon: float) -> None:
    shapes = [(1, 5), (5, 1), (7, 9), (20, 20), (33, 12), (3, 3)] * 4
    x, y = clouds(shapes, seed=10)
    costs = [reference.ground_cost(p, q) for p, q in zip(x, y, strict=True)]
    a, b = weights([n for n, _ in shapes], 11), weights([m for _, m in shapes], 12)
    for n_iter in (1, 2, 7):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            r = sinkhorn_batch(a, b, costs, epsilon=epsilon, epsilon_scale="absolute", anderson=0, max_iter=n_iter,
                               tol=1e-13)  # fmt: skip
        for k in range(len(shapes)):
            f, g = reference.iterate(a[k], b[k], costs[k], epsilon, n_iter)
            size = 1e-12 * max(1, np.abs(f).max())
            np.testing.assert_allclose(r[k].potentials[0], f, rtol=0, atol=size)
            np.testing.assert_allclose(r[k].potentials[1], g, rtol=0, atol=size)


def test_the_acceleration_is_one() -> None:
    shapes = [(20, 20)] * 64
    x, y = clouds(shapes, seed=13)
    plain = sinkhorn_batch(None, None, x=x, y=y, epsilon=0.05, anderson=0, max_iter=100_000)
    fast = sinkhorn_batch(None, None, x=x, y=y, epsilon=0.05)
    assert fast.n_iter.mean() < plain.n_iter.mean() / 5
    np.testing.assert_allclose(fast.regularised_cost, plain.regularised_cost, rtol=1e-5)


def test_a_start_at_the_solution_is_kept() -> None:
    shapes = ragged(30, seed=14)
    x, y = clouds(shapes)
    r = sinkhorn_batch(None, None, x=x, y=y)
    again = sinkhorn_batch(None, None, x=x, y=y, init=r)
    assert again.n_iter.max() <= 2 and again.converged.all()
    pair = sinkhorn_batch(None, None, x=x, y=y, init=(r.f, r.g))
    assert pair.n_iter.max() <= 2
    anywhere = [np.full(n, 300.0) for n, _ in shapes], [np.full(m, -7.0) for _, m in shapes]
    far = sinkhorn_batch(None, None, x=x, y=y, init=anywhere)
    np.testing.assert_allclose(far.regularised_cost, r.regularised_cost, rtol=1e-5)


def test_no_iterations_evaluate_the_start() -> None:
    costs = np.random.default_rng(15).normal(size=(5, 4, 6))
    with pytest.warns(ConvergenceWarning):
        r = sinkhorn_batch(None, None, costs, epsilon_scale="std", max_iter=0)
    assert (r.n_iter == 0).all() and not r.converged.any() and np.isfinite(r.marginal_error).all()
    for k in range(5):
        with pytest.warns(ConvergenceWarning):
            one = sinkhorn(None, None, costs[k], epsilon_scale="std", max_iter=0)
        assert r.marginal_error[k] == pytest.approx(one.marginal_error, rel=1e-12)


# --- Numbers at the edges ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-3, 1e-2, 1.0, 1e3])
def test_no_problem_gives_nan(dtype: Any, epsilon: float) -> None:
    rng = np.random.default_rng(16)
    point = rng.normal(size=(1, 2))
    kinds = {
        "gaussian": (rng.normal(size=(17, 2)), rng.normal(size=(13, 2))),
        "clusters": (np.repeat([[0.0, 0], [100, 0], [0, 100]], 6, 0), np.repeat([[0.0, 1], [100, 1], [50, 50]], 5, 0)),
        "identical": (np.repeat(point, 12, 0), np.repeat(point, 9, 0)),
        "collinear": (np.linspace(0, 1, 16)[:, None] * [[1, 2]], np.linspace(0.2, 3, 11)[:, None] * [[1, 2]]),
        "far": (rng.normal(size=(9, 2)) + 1e3, rng.normal(size=(10, 2)) + 1e3),
        "pair": (rng.normal(size=(1, 2)), rng.normal(size=(1, 2))),
    }
    x, y = ([pair[side].astype(dtype) for pair in kinds.values()] for side in (0, 1))
    a = [rng.dirichlet(np.full(len(p), 0.1)) for p in x]
    b = [rng.dirichlet(np.full(len(p), 0.1)) for p in y]
    for weights_of in ((None, None), (a, b)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            r = sinkhorn_batch(*weights_of, x=x, y=y, epsilon=epsilon, max_iter=2000)
        for k, one in enumerate(r):
            left = np.full(len(x[k]), 1 / len(x[k])) if weights_of[0] is None else a[k]
            right = np.full(len(y[k]), 1 / len(y[k])) if weights_of[1] is None else b[k]
            assert np.isfinite([one.cost, one.regularised_cost, one.marginal_error]).all()
            assert np.isfinite(one.f).all() and np.isfinite(one.g).all()
            if one.epsilon > 0:
                plan = reference.plan(*one.potentials, left, right, reference.ground_cost(x[k], y[k]), one.epsilon)
                error = np.abs(plan.sum(1) - left).sum() + np.abs(plan.sum(0) - right).sum()
                assert one.marginal_error == pytest.approx(error, rel=1e-2, abs=1e-8)
            assert one.certificate.dual <= one.certificate.primal


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_costs_of_any_size(factor: float) -> None:
    costs = np.random.default_rng(17).random((6, 5, 7))
    r, plain = sinkhorn_batch(None, None, costs * factor), sinkhorn_batch(None, None, costs)
    np.testing.assert_allclose(r.cost, plain.cost * factor, rtol=1e-5)
    plain = sinkhorn_batch(None, None, costs, epsilon=0.05, epsilon_scale="std")
    offset = sinkhorn_batch(None, None, costs + 1e8, epsilon=0.05, epsilon_scale="std")
    np.testing.assert_allclose(offset.cost - 1e8 * offset.mass, plain.cost, atol=1e-6)


@pytest.mark.parametrize("n, m", [(15, 12), (16, 16)])
def test_scalings_that_leave_the_range_do_no_harm(n: int, m: int) -> None:
    """Plain kernels of these underflow; float32 holds neither their entries nor the scalings on the way."""
    rng = np.random.default_rng(18)
    costs = [np.abs(np.subtract.outer(rng.random(n), rng.random(m))) * 50 + 100 * np.eye(n, m) for _ in range(20)]
    for dtype in (np.float32, np.float64):
        r = sinkhorn_batch(None, None, [c.astype(dtype) for c in costs], epsilon=0.05, epsilon_scale="absolute")
        for k, cost in enumerate(costs):
            check_independently(r[k], np.full(n, 1 / n), np.full(m, 1 / m), cost.astype(dtype), 1e-6)


@pytest.mark.parametrize("max_iter", [501, 510, 1001])
def test_potentials_are_those_of_the_report_wherever_the_iterations_end(max_iter: int) -> None:
    """Just after the lanes have given a problem up, what comes next has no time to do better."""
    rng = np.random.default_rng(20)
    costs = [100 * rng.random((14, 6)) ** 4 for _ in range(10)]
    left, right = weights([14] * 10, 21), weights([6] * 10, 22)
    for dtype, tol in ((np.float32, 1e-6), (np.float64, 1e-9)):
        cast = [cost.astype(dtype) for cost in costs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            r = sinkhorn_batch(left, right, cast, epsilon=0.01, epsilon_scale="absolute", tol=tol, max_iter=max_iter)
        for one, a, b, cost in zip(r, left, right, cast, strict=True):
            plan = reference.plan(*one.potentials, a, b, cost, one.epsilon)
            error = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
            assert one.marginal_error == pytest.approx(error, rel=1e-3, abs=1e-12)


def test_masses_and_costs_that_are_all_the_same() -> None:
    costs = [np.zeros((3, 4)), np.ones((2, 2)), np.array([[1.0, 2.0]])]
    a, b = [np.array([2.0, 0, 1]), np.array([1, 4]), np.array([3])], [np.full(4, 0.75), np.array([2, 3]), [1, 2]]
    r = sinkhorn_batch(a, b, costs)
    np.testing.assert_allclose(r.mass, [3, 5, 3])
    np.testing.assert_allclose(r.cost, [0, 5, 5])
    assert r.epsilon[0] == 0 and r.n_iter[0] == 0 and r.n_iter[2] <= 1 and r.converged.all()
    np.testing.assert_allclose(r[0].plan.dense(), np.outer(a[0], b[0]) / 3)
    doubled = sinkhorn_batch([2 * np.asarray(w) for w in a], [2 * np.asarray(w) for w in b], costs)
    np.testing.assert_allclose(doubled.regularised_cost, 2 * r.regularised_cost)


# --- What a result is ---


def test_results_are_a_sequence() -> None:
    costs = np.random.default_rng(19).random((4, 3, 5)).astype(np.float32)
    r = sinkhorn_batch(None, None, costs)
    assert len(r) == 4 and [one.n_iter for one in r] == r.n_iter.tolist() and len(r[1:3]) == 2
    assert r[-1].cost == r.cost[3] and (r.method == "kernel").all()
    assert r.f.dtype == np.float32 and r[0].plan.dense().dtype == np.float32
    np.testing.assert_allclose(r[2].plan.dense().sum(1), 1 / 3, atol=1e-6)
    assert repr(r).startswith("BatchResult(4 problems, largest marginal_error=")
    with pytest.raises(IndexError):
        r[4]
    with pytest.raises(AttributeError):
        r.cost = None  # type: ignore[misc]


def test_methods_that_have_no_lanes() -> None:
    costs = np.random.default_rng(20).random((3, 5, 5))
    for method in ("log", "sparse"):
        r = sinkhorn_batch(None, None, costs, method=method)
        np.testing.assert_allclose(r.regularised_cost, sinkhorn_batch(None, None, costs).regularised_cost, rtol=1e-6)
    assert (sinkhorn_batch(None, None, costs, method="log").method == "log").all()


def test_what_has_not_converged_is_said() -> None:
    x, y = clouds([(20, 20)] * 3)
    with pytest.warns(ConvergenceWarning, match="^sinkhorn_batch: 3 of 3 problems not converged: .* after 2 "):
        r = sinkhorn_batch(None, None, x=x, y=y, max_iter=2)
    assert not r.converged.any() and (r.n_iter == 2).all()
    with pytest.raises(ConvergenceError) as caught:
        sinkhorn_batch(None, None, x=x, y=y, max_iter=2, on_failure="raise")
    assert len(caught.value.result) == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cost": [np.ones((2, 2)), np.array([[1, np.nan]])]}, r"^cost\[1\]: expected .*, got NaN at row 0, column 1"),
        ({"cost": [np.ones((2, 2)), np.ones(3)]}, r"^cost\[1\]: expected a 2-D array"),
        ({"cost": []}, "^cost: expected at least 1 problem, got 0"),
        ({"cost": np.ones((2, 0, 3))}, "^cost: expected at least 1"),
        ({"cost": np.ones((2, 3))}, "^cost: expected a 3-D array"),
        ({}, "^cost: expected either cost or x and y, got neither"),
        ({"cost": np.ones((1, 2, 2)), "x": [[[1.0]]]}, "^cost: expected either cost or x and y, got both"),
        ({"x": [[[1.0]]]}, "^cost: expected either cost or x and y, got only x"),
        ({"x": [[[1.0]], [[2.0]]], "y": [[[1.0]]]}, "^y: expected 2 arrays, one a problem, got 1"),
        ({"x": [[[1.0]], [[2.0]]], "y": [[[1.0]], [[2.0, 3.0]]]}, r"^y\[1\]: expected 1 columns, as x\[0\] has, got 2"),
        ({"x": [[[1.0]]], "y": [[[0.0]]], "metric": "cosine"}, r"^y\[0\]: expected .* a row of zeros at row 0"),
        ({"cost": np.ones((2, 2, 2)), "a": [[1, 1]]}, "^a: expected 2 arrays, one a problem, got 1"),
        ({"cost": np.ones((2, 2, 2)), "a": [[1, 1], [1, -1]]}, r"^a\[1\]: expected weights >= 0, got -1"),
        ({"cost": np.ones((2, 2, 2)), "a": [[1, 1], [1, 2, 3]]}, r"^a\[1\]: expected 2 weights, one a point, got 3"),
        ({"cost": np.ones((2, 2, 2)), "a": [[1, 1], [1, 1]], "b": [[1, 1], [1, 3]]}, r"^b\[1\]: expected the mass"),
        ({"cost": np.ones((2, 2, 2)), "epsilon": 0}, "^epsilon: expected a finite number > 0, got 0"),
        ({"cost": [[[1.0]], [[-1.0, 1.0]]]}, "^epsilon_scale: expected .* is positive, got .* in problem 1"),
        ({"cost": np.ones((2, 2, 2)), "tol": 1e-15}, "^tol: "),
        ({"cost": np.ones((2, 2, 2)), "init": ([[0, 0]], [[0, 0]])}, "^init: expected 2 arrays, one a problem, got 1"),
        ({"cost": np.ones((1, 2, 2)), "init": ([[0, 0, 0]], [[0, 0]])}, r"^init\[0\]: expected 2 potentials"),
        ({"cost": np.ones((1, 2, 2)), "init": ([[0, np.inf]], [[0, 0]])}, r"^init\[0\]: expected finite values"),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sinkhorn_batch(arguments.pop("a", None), arguments.pop("b", None), **arguments)


def test_refusals_of_another_kind() -> None:
    for bad in (7, "abc", {1: 2}):
        with pytest.raises(TypeError, match="^cost: expected a sequence of arrays, one a problem"):
            sinkhorn_batch(None, None, bad)
    with pytest.raises(TypeError, match="^init: expected None, a pair"):
        sinkhorn_batch(None, None, np.ones((1, 2, 2)), init=3)
    with pytest.raises(ValueError, match="^method: "):
        sinkhorn_batch(None, None, np.ones((1, 2, 2)), method="fast")
