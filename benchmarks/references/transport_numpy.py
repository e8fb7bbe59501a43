"""Entropic transport in plain numpy, slow and obvious: float64, in the log domain, straight from the definitions.

What the tests and the benchmarks compare with. It shares no code with the library. Shapes: a is (n,), b is (m,), the
cost C is (n, m); epsilon is absolute; f and g are potentials with P = a b exp((f + g - C) / epsilon).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ground_cost(x: ArrayLike, y: ArrayLike, metric: str = "sqeuclidean") -> Array:
    """Costs from differences, in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    squares = np.stack([((row - y) ** 2).sum(axis=1) for row in x])
    return {"sqeuclidean": squares, "euclidean": np.sqrt(squares), "cosine": squares / 2}[metric]


def log_sum_exp(z: Array, axis: int) -> Array:
    largest = z.max(axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(z - largest).sum(axis=axis, keepdims=True)) + largest
    return total.squeeze(axis)


def logs(weights: ArrayLike) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(weights, np.float64))


def soft_min_rows(g: Array, b: ArrayLike, cost: Array, epsilon: float) -> Array:
    """-epsilon log sum_j b_j exp((g_j - C_ij) / epsilon)."""
    return -epsilon * log_sum_exp(logs(b) + (g - cost) / epsilon, 1)


def iterate(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike,
    epsilon: float,
    n_iter: int,
    *,
    rho: tuple[float, float] = (np.inf, np.inf),
    start: tuple[Array, Array] | None = None,
    tol: float = 0.0,
) -> tuple[Array, Array]:
    """Textbook Sinkhorn: n_iter times f from g, then g from f; sooner where the marginals are within tol.

    A finite rho damps its half step (Chizat et al. 2018). Balanced potentials come with <a, f> = <b, g>.
    """
    a, b, cost = np.asarray(a, np.float64), np.asarray(b, np.float64), np.asarray(cost, np.float64)
    f, g = start or (np.zeros(len(a)), np.zeros(len(b)))
    damp_a, damp_b = (1.0 if r == np.inf else r / (r + epsilon) for r in rho)
    for i in range(n_iter):
        f = damp_a * soft_min_rows(g, b, cost, epsilon)
        g = damp_b * soft_min_rows(f, a, cost.T, epsilon)
        if tol and i % 10 == 0 and marginal_error(f, g, a, b, cost, epsilon, rho=rho) <= tol:
            break
    if rho == (np.inf, np.inf):
        shift = (a @ f - b @ g) / (a.sum() + b.sum())
        f, g = f - shift, g + shift
    return f, g


def plan(f: Array, g: Array, a: ArrayLike, b: ArrayLike, cost: ArrayLike, epsilon: float) -> Array:
    with np.errstate(over="ignore", divide="ignore"):
        exponent = (f[:, None] + g - np.asarray(cost, np.float64)) / epsilon
        return np.exp(exponent + logs(a)[:, None] + logs(b))


def marginal_error(
    f: Array,
    g: Array,
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike,
    epsilon: float,
    *,
    rho: tuple[float, float] = (np.inf, np.inf),
) -> float:
    """|P 1 - a|_1 + |P^T 1 - b|_1; of relaxed marginals: from a exp(-f / rho)."""
    p = plan(f, g, a, b, cost, epsilon)
    wanted_a, wanted_b = np.asarray(a) * np.exp(-f / rho[0]), np.asarray(b) * np.exp(-g / rho[1])
    return float(np.abs(p.sum(axis=1) - wanted_a).sum() + np.abs(p.sum(axis=0) - wanted_b).sum())


def kl(p: Array, q: Array) -> float:
    """sum p log(p / q) - p + q, 0 log 0 = 0."""
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum() - p.sum() + q.sum())


def objective(
    p: Array, a: ArrayLike, b: ArrayLike, cost: ArrayLike, epsilon: float, rho: tuple[float, float] = (np.inf, np.inf)
) -> float:
    """<P,C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b), the constraints taken for granted."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    value = float((p * np.asarray(cost)).sum()) + epsilon * kl(p, np.outer(a, b))
    for price, sums, weights in ((rho[0], p.sum(axis=1), a), (rho[1], p.sum(axis=0), b)):
        if price != np.inf:
            value += price * kl(sums, weights)
    return value


def rounded(p: Array, a: ArrayLike, b: ArrayLike) -> Array:
    """A plan with exact marginals near p (Altschuler et al. 2017, algorithm 2)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = p * np.where(p.sum(axis=1) > a, a / p.sum(axis=1), 1.0)[:, None]
        p = p * np.where(p.sum(axis=0) > b, b / p.sum(axis=0), 1.0)
    left, right = a - p.sum(axis=1), b - p.sum(axis=0)
    return p + np.outer(left, right) / left.sum() if left.sum() > 0 else p


def gaussians(m1: ArrayLike, s1: ArrayLike, m2: ArrayLike, s2: ArrayLike, epsilon: float) -> float:
    """Regularised cost between N(m1, s1) and N(m2, s2), squared distances (Janati et al. 2020, theorem 1)."""
    s1, s2 = np.atleast_2d(s1), np.atleast_2d(s2)
    shift = np.atleast_1d(np.asarray(m1, np.float64) - np.asarray(m2, np.float64))
    d, t = len(s1), epsilon / 2
    root = _square_root(s1)
    both = _square_root(4 * root @ s2 @ root + t * t * np.eye(d))
    value = shift @ shift + np.trace(s1) + np.trace(s2) - np.trace(both)
    return float(value + d * t * (1 - np.log(2 * t)) + t * np.linalg.slogdet(both + t * np.eye(d))[1])


def _square_root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values)) @ vectors.T


def partial_plan(a: ArrayLike, b: ArrayLike, cost: ArrayLike, mass: float, epsilon: float, n_iter: int) -> Array:
    """Partial transport by Dykstra's alternating projections (Benamou et al. 2015, section 5)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    p = np.outer(a, b) * np.exp(-np.asarray(cost, np.float64) / epsilon)
    q = [np.ones_like(p) for _ in range(3)]

    def project(k: int, p: Array) -> Array:
        if k == 0:
            return p * np.minimum(a / p.sum(axis=1), 1)[:, None]
        if k == 1:
            return p * np.minimum(b / p.sum(axis=0), 1)
        return p * (mass / p.sum())

    for _ in range(n_iter):
        for k in range(3):
            before = p * q[k]
            p = project(k, before)
            q[k] = before / p
    return p


def wasserstein_lp(a: ArrayLike, b: ArrayLike, cost: ArrayLike, *, mass: float | None = None) -> float:
    """The exact cost by scipy's linear programming; with `mass`, of partial transport."""
    from scipy.optimize import linprog

    cost = np.asarray(cost, np.float64)
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    sums, weights = np.vstack([rows, columns]), np.concatenate([a, b])
    limits: dict[str, Any] = (
        {"A_eq": sums, "b_eq": weights}
        if mass is None
        else {"A_ub": sums, "b_ub": weights, "A_eq": np.ones((1, n * m)), "b_eq": [mass]}
    )
    return float(linprog(cost.ravel(), **limits, method="highs").fun)
