"""Whitening in plain numpy: the textbook in float64 to compare with, and the naive float32 way to race against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def covariance(rows: NDArray[Any]) -> tuple[Matrix, Matrix]:
    """Mean and covariance (divisor n) in float64, two passes."""
    exact = np.asarray(rows, np.float64)
    mean = exact.mean(axis=0)
    centred = exact - mean
    return mean, centred.T @ centred / len(exact)


def naive_covariance(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and covariance as they are often written: one product in float32, the mean taken off afterwards."""
    mean = rows.mean(axis=0)
    return mean, rows.T @ rows / len(rows) - np.outer(mean, mean)


def whitening_map(mean: Matrix, covariance: Matrix, k: int, beta: float, gamma: float) -> tuple[Matrix, Matrix]:
    """W and b of x W - b, by float64 eigh."""
    values, vectors = np.linalg.eigh(covariance + (1 - beta) ** 2 * np.outer(mean, mean))
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(k)])
    weights = vectors * values ** (-gamma / 2)
    return weights, beta * mean @ weights
