"""Bounds on both sides of the optimum that hold whatever the potentials are, converged or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import _core
from .marginals import Vector
from .plan import Plan, Sums
from .problem import Problem

__all__ = ["Certificate", "bounds", "certify", "dual_value", "least_slack", "size_under", "soft_min"]

# Of the size of what is summed: what float64 can have lost on the way, given away so that the bounds are true.
_SLACK = 32 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Certificate:
    """Bounds in float64: ``dual <= OT_epsilon <= primal`` and ``emd_lower <= EMD <= emd_upper``.

    With marginals that are relaxed (`unbalanced`), the second pair bounds the value for epsilon = 0.

    Attributes
    ----------
    dual : float
        ``<a,f> + <b,g> - epsilon (sum P - 1)``.
    primal : float
        The regularised cost of the plan, rounded to exact marginals [1]_.
    emd_lower : float
        ``<a,f> + <b, min_i(C_ij - f_i)>``.
    emd_upper : float
        The cost of the rounded plan.
    gap : float
        ``primal - dual``.

    References
    ----------
    .. [1] J. Altschuler, J. Weed, P. Rigollet, Near-linear time approximation algorithms for optimal transport via
       Sinkhorn iteration, NeurIPS 2017, algorithm 2.
    """

    dual: float
    primal: float
    emd_lower: float
    emd_upper: float
    gap: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gap", self.primal - self.dual)


def soft_min(problem: Problem, potential: Vector, *, transpose: bool = False, n_threads: int = 1) -> Vector:
    """``-epsilon log sum_j b_j exp((g_j - C_ij) / epsilon)`` of each row, from g; or of each column, from f."""
    n, m = problem.shape
    with np.errstate(divide="ignore"):  # points without weight do not count
        weighted = potential + problem.epsilon * np.log(problem.a if transpose else problem.b)
    out = np.empty(m if transpose else n)
    _core.transport.soft_min(
        potential=weighted,
        **problem.ground.native,
        epsilon=problem.epsilon,
        out=out,
        transpose=transpose,
        n_threads=n_threads,
    )
    return out


def least_slack(problem: Problem, potential: Vector, n_threads: int, *, of_rows: bool = False) -> Vector:
    """``min_i(C_ij - f_i)`` of each column, over the points that have weight; or ``min_j(C_ij - g_j)`` of each row."""
    n, m = problem.shape
    out = np.empty(n if of_rows else m)
    _core.transport.least_slack(
        potential=np.where((problem.b if of_rows else problem.a) > 0, potential, -np.inf),
        **problem.ground.native,
        out=out,
        transpose=of_rows,
        n_threads=n_threads,
    )
    return out


def _relaxed(weights: Vector, potential: Vector, rho: float) -> float:
    """What one marginal adds to the dual: <a, f>, or -rho <a, exp(-f/rho) - 1>."""
    if rho == math.inf:
        return float(weights @ potential)
    held = weights > 0
    with np.errstate(over="ignore"):
        return float(-rho * (weights[held] @ np.expm1(-potential[held] / rho)))


def dual_value(problem: Problem, f: Vector, g: Vector, mass: float) -> float:
    """The dual objective at f, g, for a plan of this mass (both without the factor `problem.mass`).

    Its error is of second order in that of the potentials, where that of <P,C> is of first order.
    """
    reference = 1.0 if problem.balanced else float(problem.a.sum() * problem.b.sum())
    return (
        _relaxed(problem.a, f, problem.rho_a)
        + _relaxed(problem.b, g, problem.rho_b)
        - problem.epsilon * (mass - reference)
    )


def _divergence(p: Vector, q: Vector) -> float:
    """KL(p|q) = sum p log(p/q) - p + q; p is 0 where q is."""
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum() - p.sum() + q.sum())


def certify(problem: Problem, f: Vector, g: Vector, mass: float, n_threads: int, plan: Plan) -> Certificate:
    """The certificate of potentials f, g whose plan has this mass, both without the factor `problem.mass`."""
    free_g = least_slack(problem, f, n_threads)
    lower = _relaxed(problem.a, f, problem.rho_a) + _relaxed(problem.b, free_g, problem.rho_b)
    size = size_under(problem.a, f) + size_under(problem.b, g) + size_under(problem.b, free_g)
    return bounds(problem, plan, dual_value(problem, f, g, mass), lower, size, None)


def size_under(weights: Vector, potential: Vector) -> float:
    """<a, |f|>."""
    return float(weights @ np.abs(potential))


def bounds(problem: Problem, plan: Plan, dual: float, lower: float, size: float, total: float | None) -> Certificate:
    """Bounds from below that are known, with those from above of the rounded plan; `total`: the mass that it is to
    have, where the marginals are bounds.

    `size` is that of the terms of the former: all bounds give way by what float64 can have lost of them.
    """
    sums = _rounded(problem, plan, total)
    marginals = 0.0
    for rho, held, weights in ((problem.rho_a, sums.rows, problem.a), (problem.rho_b, sums.columns, problem.b)):
        if rho != math.inf:
            marginals += rho * _divergence(held, weights)
    reference = float(problem.a.sum() * problem.b.sum())
    primal = sums.cost + problem.epsilon * (sums.entropy - sums.mass + reference) + marginals
    size += sums.size + problem.epsilon * (reference + sums.mass + abs(sums.entropy)) + abs(marginals) + abs(dual)
    slack = _SLACK * size
    return Certificate(
        dual=problem.mass * (dual - slack),
        primal=problem.mass * (primal + slack),
        emd_lower=problem.mass * (lower - slack),
        emd_upper=problem.mass * (sums.cost + marginals + slack),
    )


def _rounded(problem: Problem, plan: Plan, total: float | None) -> Sums:
    """The plan with exact marginals where those are constraints, or below them with mass `total`."""
    a, b = problem.a, problem.b
    exact_a, exact_b = problem.rho_a == math.inf, problem.rho_b == math.inf
    alpha, beta = np.ones_like(a), np.ones_like(b)
    left, right = np.zeros_like(a), np.zeros_like(b)
    sums = plan.sums()
    if exact_a:
        whole = 1.0 if total is None or sums.mass <= total else total / sums.mass
        alpha = whole * _shrink(a, whole * sums.rows)
        sums = plan.sums(alpha)
    if exact_b:
        beta = _shrink(b, sums.columns)
        sums = plan.sums(alpha, beta)
    # What is missing now goes along the other side's missing mass, or along its weights where they are no constraint.
    if exact_a and exact_b:
        left, right = np.maximum(a - sums.rows, 0), np.maximum(b - sums.columns, 0)
        missing = float(left.sum()) if total is None else max(total - sums.mass, 0.0)
        if not (left.any() and right.any()):
            return sums
        left *= missing / left.sum()
        right /= right.sum()
    elif exact_a:
        left, right = np.maximum(a - sums.rows, 0), b / b.sum()
    elif exact_b:
        left, right = a / a.sum(), np.maximum(b - sums.columns, 0)
    else:
        return sums
    return plan.sums(alpha, beta, left, right)


def _shrink(weights: Vector, sums: Vector) -> Vector:
    """The factors <= 1 that bring sums down to the weights where they are above."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums > weights, weights / sums, 1.0)
