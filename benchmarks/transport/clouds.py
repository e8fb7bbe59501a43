"""The clouds that transport is measured on, and the measure itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def g2(n: int) -> tuple[Array, Array]:
    """N(0, 1)^2 against .8 N + .5."""
    rng = np.random.default_rng(n)
    return rng.standard_normal((n, 2)), 0.8 * rng.standard_normal((n, 2)) + 0.5


def u300(n: int) -> tuple[Array, Array]:
    """Unit vectors in 20 clusters, 300 dimensions."""
    rng = np.random.default_rng(n + 1)
    centers = rng.standard_normal((20, 300))
    clouds = []
    for _ in range(2):
        points = centers[rng.integers(20, size=n)] + 0.5 * rng.standard_normal((n, 300))
        clouds.append(points / np.linalg.norm(points, axis=1, keepdims=True))
    return clouds[0], clouds[1]


CLOUDS = {"G2": g2, "U300": u300}


def squared_distances(x: Array, y: Array) -> Array:
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T
    return np.maximum(squares, 0)


def marginal_error(f: Array, g: Array, cost: NDArray[np.floating], epsilon: float) -> float:
    """|P 1 - a|_1 + |P^T 1 - b|_1 for uniform weights, in float64, in blocks of rows."""
    n, m = cost.shape
    columns, error = np.zeros(m), 0.0
    with np.errstate(all="ignore"):
        for i in range(0, n, 256):
            rows = np.exp((f[i : i + 256, None] + g - cost[i : i + 256].astype(np.float64)) / epsilon) / (n * m)
            columns += rows.sum(axis=0)
            error += float(np.abs(rows.sum(axis=1) - 1 / n).sum())
    return error + float(np.abs(columns - 1 / m).sum())
