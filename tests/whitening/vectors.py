"""Vectors to whiten, and the definition to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np

HAND = np.array([[2.0, 0.0], [0.0, 1.0], [4.0, 2.0], [2.0, 1.0]])  # mean (2, 1)


def cone(n: int, d: int, dtype: Any = np.float64, *, mean: float = 1.0, seed: int = 0) -> np.ndarray:
    """Vectors in a cone: unequal directions, turned, beside the origin; `mean`: of its length to the spread."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))[0]
    rows = (rng.standard_normal((n, d)) * np.linspace(1.0, 0.2, d)) @ turn
    rows += turn.sum(axis=0) / np.sqrt(d) * mean * np.sqrt((np.linspace(1.0, 0.2, d) ** 2).sum())
    return rows.astype(dtype)


def reference(X: np.ndarray, beta: float, gamma: float, k: int) -> np.ndarray:
    """By the definition, in float64."""
    X = X.astype(np.float64)
    shifted = X - beta * X.mean(axis=0)
    values, vectors = np.linalg.eigh(shifted.T @ shifted / len(X))
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(k)]
    return shifted @ (vectors * np.sign(largest)) * values ** (-gamma / 2)
