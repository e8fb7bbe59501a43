"""Eigenvalues and eigenvectors of the covariance, their signs, and how many of them count."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RankDeficiencyWarning
from .hyper import Hyper

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """``Sigma_beta = U diag(eigenvalues) U^T``: eigenvalues descending, none below zero; `vectors` is U."""

    beta: float
    eigenvalues: Matrix
    vectors: Matrix

    @classmethod
    def of(cls, covariance: Matrix, beta: float, n: int) -> Spectrum:
        """Of ``Sigma_beta``, estimated from n rows."""
        if not np.isfinite(covariance).all():
            raise FloatingPointError(f"beta: expected a covariance within float64, got an overflow at beta={beta}")
        try:
            ascending, vectors = np.linalg.eigh(covariance)
        except np.linalg.LinAlgError as error:
            raise np.linalg.LinAlgError(
                f"{error} (covariance of {n} rows with {len(covariance)} columns, entries from {covariance.min():.3g} "
                f"to {covariance.max():.3g})"
            ) from error
        vectors = vectors[:, ::-1]
        eigenvalues = np.maximum(ascending[::-1], 0.0)
        signed = np.multiply(vectors, _signs(vectors), order="C")
        return cls(beta, eigenvalues, signed)

    def rank(self, floor: float) -> int:
        """How many eigenvalues lie above the floor, a share of the largest."""
        return rank_of(self.eigenvalues, floor)


def rank_of(eigenvalues: Matrix, floor: float) -> int:
    """How many of the descending eigenvalues lie above the floor, a share of the largest."""
    return int(np.count_nonzero(eigenvalues > floor * eigenvalues[0]))


def _signs(vectors: Matrix) -> Matrix:
    """Of each column, the sign of its entry of largest absolute value; within 1e-12 of it, the first one decides."""
    size = np.abs(vectors)
    first = np.argmax(size >= size.max(axis=0) * (1 - 1e-12), axis=0)
    return np.where(vectors[first, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def choose_n_components(eigenvalues: Matrix, hyper: Hyper, floor: float) -> int:
    """The number of components, never one that would be divided by (nearly) zero.

    Raises `ValueError` for more than there are, warns with `RankDeficiencyWarning` where "all" are fewer than columns.
    """
    d, rank = len(eigenvalues), rank_of(eigenvalues, floor)
    wanted, divides = hyper.n_components, hyper.gamma > 0
    if rank == 0 and (divides or hyper.beta == 0):
        raise ValueError(
            f"X: expected rows that differ{' or are not zero' if hyper.beta != 1 else ''}, got a covariance of rank 0"
        )
    if isinstance(wanted, int) and wanted > d:
        raise ValueError(f"n_components: expected at most {d} (the number of columns), got {wanted}")
    if isinstance(wanted, float):
        shares = np.cumsum(eigenvalues)
        reached = int(np.searchsorted(shares, wanted * shares[-1])) + 1
        return min(reached, rank if divides else d)
    if not divides:
        return d if wanted is None else wanted
    if wanted is None:
        if rank < d:
            warnings.warn(
                f"n_components: expected {d} directions for {d} columns, got {rank}: the numerical rank at "
                f"eigenvalue_floor={floor:g} is {rank}, and as many components are made",
                RankDeficiencyWarning,
                stacklevel=5,
            )
        return rank
    if wanted > rank:
        raise ValueError(
            f"n_components: expected at most {rank} (numerical rank at eigenvalue_floor={floor:g}), got {wanted}"
        )
    return wanted
