"""emd and emd_batch: hand-checked numbers, linear programming, proofs by potentials, refusals in words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from likewise.errors import ConvergenceWarning, InternalError
from likewise.transport import EMDResult, emd, emd_batch
from likewise.transport.exact import partial_emd
from likewise.transport.marginals import check_weights

A, B = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
COST = np.array([[0.25, 4.0, 6.25], [0.25, 1.0, 2.25], [6.25, 1.0, 0.25]])
ASSIGNMENT = np.array([[4.0, 1, 3, 2], [2, 0, 5, 3], [3, 2, 2, 3], [1, 3, 2, 4]])
Matrix = NDArray[np.float64]


def check_optimal(r: EMDResult, a: Matrix, b: Matrix, cost: Any, relative: float = 1e-9) -> None:
    """The plan is a coupling, the potentials are feasible and tight where it is positive: both are optimal."""
    cost = np.asarray(cost, np.float64)
    mass, size = a.sum(), np.abs(cost).max()
    plan = r.plan.dense()
    assert plan.min() >= 0 and len(r.plan.data) <= len(a) + len(b) - 1
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=0, atol=1e-13 * mass)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=0, atol=1e-13 * mass)
    slack = cost - r.u[:, None] - r.v
    assert slack.min() >= -relative * size
    assert np.abs(slack[plan > 0]).max() <= relative * size
    assert abs(r.cost - (plan * cost).sum()) <= 1e-12 * mass * size
    assert abs(r.gap) <= relative * size * mass
    assert abs(a @ r.u - b @ r.v) <= 1e-9 * size * mass
    assert r.converged


def linear_program(a: Matrix, b: Matrix, cost: Matrix) -> float:
    optimize = pytest.importorskip("scipy.optimize")
    n, m = cost.shape
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    solved = optimize.linprog(cost.ravel(), A_eq=sums, b_eq=np.concatenate([a, b]), method="highs")
    assert solved.success
    return float(solved.fun)


def weights(rng: np.random.Generator, n: int, kind: str) -> Matrix:
    w = {
        "uniform": np.ones(n),
        "counts": rng.integers(0, 3, n).astype(float),
        "any": rng.exponential(size=n),
        "zeros": np.where(rng.random(n) < 0.3, 0, rng.exponential(size=n)),
    }[kind]
    if kind != "uniform":
        w[rng.integers(n)] += 1
    return w / w.sum()


# --- Numbers ---


def test_the_three_points_of_the_definition() -> None:
    r = emd(A, B, COST)
    assert r.cost == pytest.approx(0.85, abs=1e-15)
    np.testing.assert_allclose(r.plan.dense(), [[0.4, 0.1, 0], [0, 0.3, 0], [0, 0, 0.2]], rtol=0, atol=1e-15)
    check_optimal(r, A, B, COST)


def test_an_assignment() -> None:
    r = emd(None, None, ASSIGNMENT)
    assert 4 * r.cost == 5
    assert r.plan.indices.tolist() == [3, 1, 2, 0] and r.plan.indptr.tolist() == [0, 1, 2, 3, 4]
    assert r.plan.data.tolist() == [0.25] * 4 and r.plan.dropped_mass == 0


@pytest.mark.parametrize("counted", [True, False])
def test_whole_weights_give_whole_flows(counted: bool) -> None:
    a, b = np.array([3.0, 1, 2]), np.array([1, 5] if counted else [1.0, 5.0])
    cost = np.array([[1.0, 2], [0, 5], [4, 3]])
    r = emd(a, b, cost)
    assert r.cost == 12 and r.plan.dense().tolist() == [[0, 3], [1, 0], [0, 2]]


def test_uniform_weights_of_different_number_have_no_dust() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((20, 30), (7, 21), (12, 5)):
        plan = emd(None, None, rng.random((n, m))).plan
        np.testing.assert_allclose(plan.data * n * m, np.rint(plan.data * n * m), rtol=0, atol=1e-9)
        assert plan.data.min() * n * m > 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["uniform", "counts", "any", "zeros"])
def test_linear_programming_agrees(kind: str, dtype: type) -> None:
    rng = np.random.default_rng(7)
    for n, m in ((1, 1), (1, 6), (6, 1), (5, 5), (13, 8), (25, 30)):
        a, b = weights(rng, n, kind), weights(rng, m, kind)
        cost = (rng.standard_normal((n, m)) if n % 2 else rng.integers(0, 5, (n, m))).astype(dtype)
        r = emd(a, b, cost)
        check_optimal(r, a, b, cost, 1e-12)
        assert r.cost == pytest.approx(linear_program(a, b, cost.astype(float)), rel=1e-9, abs=1e-9)


def test_a_large_assignment_agrees_with_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 300, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    rows, columns = optimize.linear_sum_assignment(cost)
    r = emd(None, None, cost)
    assert r.cost * 300 == pytest.approx(cost[rows, columns].sum(), rel=1e-12)
    assert (r.plan.indices == columns).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "any"])
def test_a_thousand_points(kind: str) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((1000, 2)), 0.8 * rng.standard_normal((1000, 2)) + 0.5
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    a, b = weights(rng, 1000, kind), weights(rng, 1000, kind)
    check_optimal(emd(a, b, cost), a, b, cost, 1e-12)
    ot = pytest.importorskip("ot")
    assert emd(a, b, cost).cost == pytest.approx(ot.emd2(a, b, cost, numItermax=10**8), rel=1e-9)


# --- Properties ---

problems = st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32), st.sampled_from(["uniform", "counts", "any", "zeros"])
)


def drawn(problem: tuple[int, int, int, str]) -> tuple[Matrix, Matrix, Matrix]:
    n, m, seed, kind = problem
    rng = np.random.default_rng(seed)
    cost = rng.standard_normal((n, m)) if seed % 2 else rng.integers(-2, 4, (n, m)).astype(float)
    return weights(rng, n, kind), weights(rng, m, kind), cost


@given(problems)
@settings(max_examples=100, deadline=None)
def test_a_problem_and_what_is_the_same(problem: tuple[int, int, int, str]) -> None:
    a, b, cost = drawn(problem)
    r = emd(a, b, cost)
    check_optimal(r, a, b, cost, 1e-12)
    n, m = cost.shape
    rng = np.random.default_rng(1)
    assert emd(b, a, cost.T).cost == pytest.approx(r.cost, abs=1e-12)
    i, j = rng.permutation(n), rng.permutation(m)
    assert emd(a[i], b[j], cost[i][:, j]).cost == pytest.approx(r.cost, abs=1e-12)
    u, v = rng.standard_normal(n), rng.standard_normal(m)
    assert emd(a, b, cost + u[:, None] + v).cost == pytest.approx(r.cost + a @ u + b @ v, abs=1e-11)
    assert emd(7 * a, 7 * b, -0.5 * cost.max() + cost).cost == pytest.approx(7 * (r.cost - 0.5 * cost.max()), abs=1e-11)
    kept = a > 0
    assert emd(a[kept], b, cost[kept]).cost == pytest.approx(r.cost, abs=1e-12)
    split = emd(np.append(a, a[-1] / 2) * np.append(np.ones(n - 1), [0.5, 1]), b, np.vstack([cost, cost[-1:]]))
    assert split.cost == pytest.approx(r.cost, abs=1e-12)


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_triangle_inequality_under_a_metric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, 3)
    points = [rng.standard_normal((n, 2)) for n in sizes]
    mass = [weights(rng, n, "any") for n in sizes]

    def distance(i: int, j: int) -> float:
        return emd(mass[i], mass[j], np.linalg.norm(points[i][:, None] - points[j], axis=2)).cost

    assert distance(0, 2) <= distance(0, 1) + distance(1, 2) + 1e-12
    assert distance(0, 0) == pytest.approx(0, abs=1e-15)


# --- Edges ---


@pytest.mark.parametrize("n", [1, 2, 17, 60])
@pytest.mark.parametrize("m", [1, 17, 60])
def test_equal_costs_and_ties(n: int, m: int) -> None:
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    for cost in (np.full((n, m), 3.0), np.zeros((n, m)), np.add.outer(np.arange(n) % 3, np.arange(m) % 3) % 3.0):
        check_optimal(emd(None, None, cost), a, b, cost)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e32, 1e300, 1.7e308])
def test_costs_of_any_size(scale: float) -> None:
    cost = COST / COST.max()
    r = emd(A, B, cost * scale)
    assert r.cost / scale == pytest.approx(0.85 / COST.max(), rel=1e-12)
    assert np.isfinite(r.u).all() and np.isfinite(r.v).all()
    if scale <= 1e30:
        single = emd(A, B, (cost * scale).astype(np.float32)) if scale > 1e-37 else r
        assert single.cost / scale == pytest.approx(0.85 / COST.max(), rel=1e-6)


def test_a_large_offset() -> None:
    rng = np.random.default_rng(0)
    cost = rng.random((30, 30))
    assert emd(None, None, cost + 1e8).cost - 1e8 == pytest.approx(emd(None, None, cost).cost, abs=1e-7)


def test_forbidden_pairs_by_a_huge_cost() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        cost = rng.random((12, 12))
        r = emd(None, None, cost)
        kept = np.where((rng.random((12, 12)) < 0.5) | (r.plan.dense() > 0), cost, 1e32)
        assert emd(None, None, kept).cost == pytest.approx(r.cost, rel=1e-12)


def test_points_without_weight_have_finite_potentials() -> None:
    cost = np.arange(12.0).reshape(3, 4)
    r = emd([0, 1, 0], [0, 0.5, 0.5, 0], cost)
    assert r.cost == 5.5 and r.plan.indptr.tolist() == [0, 0, 2, 2]
    check_optimal(r, np.array([0.0, 1, 0]), np.array([0, 0.5, 0.5, 0]), cost)


def test_masses_that_differ_by_rounding() -> None:
    assert emd(A, B * (1 + 1e-10), COST).cost == pytest.approx(0.85, rel=1e-9)
    assert emd((A * (1 + 3e-6)).astype(np.float32), B, COST).cost == pytest.approx(0.85, rel=1e-5)
    for factor, a in ((1 + 1e-8, A), (1 + 2e-5, A.astype(np.float32))):
        with pytest.raises(ValueError, match=r"^b: expected the mass of a, .* got .*\[normalise both"):
            emd(a, B * factor, COST)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (dict(a=[0.5, 0.5]), "a: expected 3 weights"),
        (dict(b=[0.5, 0.5]), "b: expected 3 weights"),
        (dict(a=[0.5, -0.1, 0.6]), "a: expected weights >= 0, got -0.1 at position 1"),
        (dict(b=[0.0, 0.0, 0.0]), "b: expected weights of a positive, finite sum"),
        (dict(b=[0.5, np.nan, 0.5]), "b: expected finite values, got NaN at position 1"),
        (dict(a=[0.5, np.inf, 0.5]), "a: expected finite values, got infinity at position 1"),
        (dict(a=[1e308, 1e308, 1e308]), "a: expected weights of a positive, finite sum"),
        (dict(cost=COST[0]), "cost: expected a 2-D array"),
        (dict(cost=np.zeros((0, 3))), "cost: expected at least 1 row"),
        (dict(cost=np.zeros((3, 0))), "cost: expected at least 1 column"),
        (dict(cost=np.where(COST == 1, np.nan, COST)), "cost: expected finite values, got NaN at row 1, column 1"),
        (dict(cost=np.where(COST == 1, -np.inf, COST)), "cost: expected finite values, got -infinity at row 1"),
        (dict(cost="cost"), "cost: expected an array of numbers"),
        (dict(max_iter=-1), "max_iter: expected an integer >= 0"),
        (dict(max_iter=1.5), "max_iter: expected an integer"),
        (dict(n_threads=0), "n_threads: expected an integer >= 1"),
        (dict(a=[0.9, 0.1], b=[1], cost=[[1.7e308], [-1.7e308]]), "cost: expected costs whose sums float64 holds"),
    ],
)
def test_refusals(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        emd(**{"a": A, "b": B, "cost": COST, **arguments})
    assert str(caught.value).startswith(text) and not isinstance(caught.value, InternalError)


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda x: x[::-1].copy()[::-1], lambda x: x.astype(">f8"), np.ndarray.tolist]
)
def test_any_form_gives_the_same_bits(form: Callable[[Any], Any]) -> None:
    expected, found = emd(A, B, COST), emd(form(A), form(B), form(COST))
    assert found.cost == expected.cost and found.u.tobytes() == expected.u.tobytes()
    assert found.plan.data.tobytes() == expected.plan.data.tobytes()


def test_a_limit_on_pivots_warns_and_bounds_the_error() -> None:
    rng = np.random.default_rng(0)
    cost = rng.random((40, 40))
    best = emd(None, None, cost)
    assert best.n_iter > 3
    for limit in (0, best.n_iter // 2):
        with pytest.warns(ConvergenceWarning, match=rf"^emd: max_iter={limit} came before the optimum at a cost of"):
            r = emd(None, None, cost, max_iter=limit)
        assert not r.converged and r.n_iter == limit
        assert r.cost >= best.cost - 1e-12 >= r.cost - r.gap - 2e-12
        np.testing.assert_allclose(r.plan.dense().sum(axis=0), 1 / 40, rtol=0, atol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert emd(None, None, cost, max_iter=best.n_iter).converged


# --- Batches ---


def some_problems() -> tuple[list[Matrix], list[Matrix], list[Matrix]]:
    rng = np.random.default_rng(11)
    sizes = rng.integers(1, 25, (40, 2))
    kinds = ["uniform", "counts", "any", "zeros"]
    a = [weights(rng, n, kinds[k % 4]) for k, (n, _) in enumerate(sizes)]
    b = [weights(rng, m, kinds[k % 4]) for k, (_, m) in enumerate(sizes)]
    return a, b, [rng.standard_normal((n, m)) for n, m in sizes]


def test_a_batch_is_its_problems() -> None:
    a, b, cost = some_problems()
    for n_threads in (1, 2, 3):
        r = emd_batch(a, b, cost, n_threads=n_threads)
        assert len(r) == 40 and r.converged.all()
        for k, part in enumerate(r):
            alone = emd(a[k], b[k], cost[k])
            for name in ("cost", "gap", "n_iter"):
                assert getattr(part, name) == getattr(alone, name) == getattr(r, name)[k]
            for x, y in ((part.u, alone.u), (part.v, alone.v), (part.plan.data, alone.plan.data),
                         (part.plan.indices, alone.plan.indices), (part.plan.indptr, alone.plan.indptr)):  # fmt: skip
                assert x.tobytes() == y.tobytes()
    assert r[-1].cost == r[39].cost and [part.cost for part in r[3:5]] == r.cost[3:5].tolist()
    with pytest.raises(IndexError):
        r[40]


def test_stacked_arrays_and_uniform_weights() -> None:
    rng = np.random.default_rng(0)
    cost = rng.random((9, 4, 6))
    a, b = rng.dirichlet(np.ones(4), 9), rng.dirichlet(np.ones(6), 9)
    expected = [emd(a[k], b[k], cost[k]).cost for k in range(9)]
    assert emd_batch(a, b, cost).cost.tolist() == expected
    assert emd_batch(list(a), b, list(cost)).cost.tolist() == expected
    assert emd_batch(None, None, cost).cost.tolist() == [emd(None, None, part).cost for part in cost]
    counts = rng.integers(1, 5, (9, 4))
    mixed = emd_batch(counts, None, cost)
    np.testing.assert_allclose(mixed.cost, [emd(counts[k], None, cost[k]).cost for k in range(9)], rtol=1e-14)
    single = emd_batch(a, b, cost.astype(np.float32))
    np.testing.assert_allclose(single.cost, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (dict(cost=[]), "cost: expected at least 1 problem"),
        (dict(cost=7), "cost: expected a sequence of arrays"),
        (dict(cost=np.zeros((2, 3))), "cost: expected a 3-D array"),
        (dict(cost=np.zeros((2, 0, 3))), "cost: expected at least 1 value a problem"),
        (dict(cost=[COST, COST[0]]), "cost[1]: expected a 2-D array"),
        (dict(cost=[COST, COST * np.nan]), "cost[1]: expected finite values, got NaN at row 0, column 0"),
        (dict(a=[A]), "a: expected 2 arrays, one a problem, got 1"),
        (dict(a=[A, A[:2]]), "a[1]: expected 3 weights"),
        (dict(b=[B, -B]), "b[1]: expected weights >= 0, got -0.4 at position 0"),
        (dict(b=[B, B * np.inf]), "b[1]: expected finite values, got infinity"),
        (dict(b=[B, 2 * B]), "b[1]: expected the mass of a[1], 1.0, got 2.0"),
        (dict(b=[B, 0 * B]), "b[1]: expected weights of a positive, finite sum"),
        (dict(a=A), "a: expected a 2-D array"),
    ],
)
def test_refusals_of_a_batch(arguments: dict[str, Any], text: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises((TypeError, ValueError)) as caught:
        emd_batch(**{"a": [A, A], "b": [B, B], "cost": [COST, COST], **arguments})
    assert str(caught.value).startswith(text), str(caught.value)


def test_a_batch_with_a_limit_names_the_first_that_stopped() -> None:
    rng = np.random.default_rng(0)
    cost = [np.zeros((3, 3)), rng.random((30, 30)), rng.random((30, 30))]
    with pytest.warns(ConvergenceWarning, match="in 2 of 3 problems, the first of them 1,"):
        r = emd_batch(None, None, cost, max_iter=1)
    assert r.converged.tolist() == [True, False, False]


# --- Part of the mass ---


@pytest.mark.parametrize(("mass", "value"), [(0.0, 0.0), (0.2, 0.05), (0.6, 0.15), (0.9, 0.45), (1.0, 0.85)])
@pytest.mark.parametrize("offset", [0.0, -3.0, 2.0])
def test_part_of_the_mass(mass: float, value: float, offset: float) -> None:
    left, right = check_weights(A, "a", 3), check_weights(B, "b", 3)
    r = partial_emd(left, right, COST + offset, mass)
    plan = r.plan.dense()
    assert r.cost == pytest.approx(value + offset * mass, abs=1e-14) and abs(r.gap) < 1e-13
    assert plan.sum() == pytest.approx(mass, abs=1e-15) and plan.min() >= 0
    assert (plan.sum(axis=1) <= A + 1e-15).all() and (plan.sum(axis=0) <= B + 1e-15).all()
    slack = COST + offset - r.u[:, None] - r.v
    assert slack.min() >= -1e-14 and np.abs(slack[plan > 0]).max(initial=0) <= 1e-14


def test_part_of_unequal_masses_agrees_with_linear_programming() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(4)
    for _ in range(20):
        n, m = rng.integers(1, 8, 2)
        a, b, cost = rng.random(n), 3 * rng.random(m), rng.standard_normal((n, m))
        mass = rng.random() * min(a.sum(), b.sum())
        sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
        solved = optimize.linprog(
            cost.ravel(), A_ub=sums, b_ub=np.concatenate([a, b]), A_eq=np.ones((1, n * m)), b_eq=[mass]
        )
        r = partial_emd(check_weights(a, "a", n), check_weights(b, "b", m), cost, mass)
        assert r.cost == pytest.approx(solved.fun, abs=1e-9) and abs(r.gap) < 1e-12


# --- Processes ---

PROGRAM = """
import numpy as np, likewise as lw
rng = np.random.default_rng(0)
cost = rng.random((50, 60))
for dtype in (np.float32, np.float64):
    r = lw.transport.emd(rng.dirichlet(np.ones(50)), rng.dirichlet(np.ones(60)), cost.astype(dtype))
    print(r.cost.hex(), r.n_iter, r.u.tobytes().hex(), r.plan.data.tobytes().hex())
"""


def test_every_cpu_level_gives_the_same_bits(fresh: Any) -> None:
    from likewise import _core

    results = {fresh(PROGRAM, level=level) for level in _core.dispatch.levels()["available"]}
    assert len(results) == 1
