"""Derivatives of the regularised cost by the envelope theorem: the optimal plan, applied to derivatives of the cost."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .marginals import Vector
from .problem import Problem

__all__ = ["point_gradient", "weight_gradient"]


def weight_gradient(problem: Problem, potentials: tuple[Vector, Vector], *, second: bool) -> Vector:
    """By a, or by b."""
    weights, other = (problem.b, problem.a) if second else (problem.a, problem.b)
    potential = potentials[1 if second else 0]
    rho = problem.rho_b if second else problem.rho_a
    if problem.balanced:
        return potential - float(potential[weights > 0].mean())
    # Of -rho (exp(-f/rho) - 1) - epsilon (P_i / a_i - sum b): the reference measure a b^T has a derivative, too.
    epsilon = problem.epsilon
    constant = epsilon * float(other.sum())
    if rho == math.inf:
        return potential - epsilon + constant
    return -rho * np.expm1(-potential / rho) - epsilon * np.exp(-potential / rho) + constant


def point_gradient(
    problem: Problem, potentials: tuple[Vector, Vector], *, second: bool, n_threads: int
) -> NDArray[np.float64]:
    """By x, or by y: ``sum_j P_ij dC_ij / dx_i``."""
    ground = problem.ground
    assert ground.x is not None and ground.y is not None
    sides = [(potentials[0], problem.a, ground.x), (potentials[1], problem.b, ground.y)]
    (f, a, x), (g, b, y) = reversed(sides) if second else sides  # the plan of y and x is the transposed one
    out = np.empty(x.shape)
    _core.transport.point_gradient(
        f=f, g=g, a=a, b=b, x=x, y=y, metric=ground.metric, epsilon=problem.epsilon, out=out, n_threads=n_threads
    )
    return problem.mass * out
