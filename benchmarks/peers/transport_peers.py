"""Other implementations of entropic transport: each a callable that solves a problem to a marginal error of 1e-6.

What they return are potentials f and g, in units of the cost and for the reference measure a b^T, so that one function
can measure all of them in float64. A peer that is not installed raises `MissingPeerError` with the command.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.engine import MissingPeerError

Array = NDArray[Any]
Solver = Callable[[Any], tuple[Array, Array]]

TOL = 1e-6


def pot(a: Array, b: Array, cost: Array, epsilon: float, *, log: bool, dtype: Any, most: int = 20_000) -> Solver:
    """POT's `sinkhorn` (kernel) or `sinkhorn_log`. It stops on an L2 norm, looked at every 10 iterations."""
    try:
        import ot
    except ImportError as error:
        raise MissingPeerError("pip install POT==0.9.7") from error
    mine = [np.ascontiguousarray(array, dtype) for array in (a, b, cost)]
    options = {"numItermax": most, "stopThr": 1.1 * TOL / math.sqrt(len(a)), "log": True, "warn": False}
    solve = ot.bregman.sinkhorn_log if log else ot.bregman.sinkhorn_knopp

    def call(_: Any) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            _, report = solve(*mine, epsilon, **options)
            if log:
                # u and v in logarithms, for the uniform reference measure.
                u, v = np.asarray(report["log_u"], np.float64), np.asarray(report["log_v"], np.float64)
            else:
                u, v = np.log(np.asarray(report["u"], np.float64)), np.log(np.asarray(report["v"], np.float64))
            return epsilon * (u - np.log(a)), epsilon * (v - np.log(b))

    return call


def ott(a: Array, b: Array, cost: Array, epsilon: float, *, anderson: int, most: int = 3000) -> Solver:
    """OTT-JAX, log-sum-exp in float32, compiled; it stops on an L1 norm of one side, looked at every 10 iterations."""
    try:
        import jax
        import jax.numpy as jnp
        from ott.geometry.geometry import Geometry
        from ott.problems.linear.linear_problem import LinearProblem
        from ott.solvers.linear.acceleration import AndersonAcceleration
        from ott.solvers.linear.sinkhorn import Sinkhorn
    except ImportError as error:
        raise MissingPeerError("pip install ott-jax==0.6.0") from error
    solver = Sinkhorn(
        threshold=TOL,
        max_iterations=most,
        anderson=AndersonAcceleration(memory=anderson, refresh_every=1) if anderson else None,
    )
    arrays = [jnp.asarray(array, jnp.float32) for array in (a, b, cost)]

    @jax.jit
    def run(a: Any, b: Any, cost: Any) -> Any:
        out = solver(LinearProblem(Geometry(cost_matrix=cost, epsilon=epsilon), a=a, b=b))
        return out.f, out.g

    def call(_: Any) -> tuple[Array, Array]:
        f, g = (np.asarray(part, np.float64) for part in jax.block_until_ready(run(*arrays)))
        with np.errstate(divide="ignore"):
            return f - epsilon * np.log(a), g - epsilon * np.log(b)

    return call


def geomloss(x: Array, y: Array, epsilon: float, *, scaling: float) -> Solver:
    """GeomLoss with uniform weights, all pairs in memory; it stops by schedule. Its cost is half of |x - y|^2."""
    try:
        import torch
        from geomloss import SamplesLoss
    except ImportError as error:
        raise MissingPeerError("pip install geomloss torch") from error
    torch.set_num_threads(1)
    loss = SamplesLoss(
        "sinkhorn", p=2, blur=math.sqrt(epsilon / 2), scaling=scaling, debias=False, potentials=True,
        backend="tensorized",
    )  # fmt: skip
    points = [torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in (x, y)]

    def call(_: Any) -> tuple[Array, Array]:
        f, g = loss(*points)
        return 2 * f.numpy().ravel().astype(np.float64), 2 * g.numpy().ravel().astype(np.float64)

    return call
