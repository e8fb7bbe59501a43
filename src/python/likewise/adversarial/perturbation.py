"""Where a perturbation lives, and the geometry of its norm ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

SMALLEST = 1e-30  # keeps a quotient of norms finite where both are zero


@dataclass(frozen=True)
class Place:
    """What may be perturbed of one output of the target.

    A *value* is a perturbation (or a gradient) in float32 at least: of the output's shape, or, where rows of the table
    are perturbed, one row for each distinct id, shape (n_rows, d). Padding is zero in every value.

    Attributes
    ----------
    shape : torch.Size
        Of the output.
    dtype : torch.dtype
        Of values.
    device : torch.device
    keep : Tensor or None
        bool, the output's shape with 1 for d: False at padding.
    rows : Tensor or None
        For each position the number of its row; None where positions have perturbations of their own.
    kept_rows : Tensor or None
        bool, shape (n_rows, 1): False for rows that padding alone refers to.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    keep: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    kept_rows: torch.Tensor | None = None

    @staticmethod
    def of(output: torch.Tensor, keep: torch.Tensor | None, ids: torch.Tensor | None = None) -> Place:
        """The place of an output; `keep` is of its shape without d, `ids` are given where rows are perturbed."""
        keep = None if keep is None else keep.unsqueeze(-1)
        dtype = torch.promote_types(output.dtype, torch.float32)
        if ids is None:
            return Place(output.shape, dtype, output.device, keep)
        distinct, rows = torch.unique(ids, return_inverse=True)
        rows = rows.reshape(-1)
        kept = torch.ones(len(distinct), 1, dtype=torch.bool, device=output.device)
        if keep is not None:
            kept = torch.zeros_like(kept).index_fill_(0, rows[keep.reshape(-1)], True)
        return Place(output.shape, dtype, output.device, keep, rows, kept)

    def gather(self, gradient: torch.Tensor | None) -> torch.Tensor:
        """The gradient by a value, of the gradient by the output (None: nothing depends on it)."""
        if gradient is None:
            gradient = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        found = self._without_padding(gradient.to(self.dtype))
        if self.rows is None:
            return found
        d = self.shape[-1]
        sums = torch.zeros(self._n_rows, d, dtype=self.dtype, device=self.device)
        return sums.index_add_(0, self.rows, found.reshape(-1, d))

    def spread(self, value: torch.Tensor) -> torch.Tensor:
        """What is added to the output for a value."""
        return value if self.rows is None else self._without_padding(value[self.rows].reshape(self.shape))

    def noise(self, seed: int, *, normal: bool) -> torch.Tensor:
        """A value of independent N(0, 1) or U(-1, 1)."""
        shape = self.shape if self.rows is None else (self._n_rows, self.shape[-1])
        source = torch.Generator(self.device).manual_seed(seed)
        found = torch.empty(shape, dtype=self.dtype, device=self.device)
        found = found.normal_(generator=source) if normal else found.uniform_(-1, 1, generator=source)
        return self._without_padding(found) if self.rows is None else found * self.kept_rows

    def sizes(self, norm: str) -> torch.Tensor | int:
        """How many numbers of a value one norm is taken over, padding aside."""
        d = self.shape[-1]
        if norm == "token":
            return d
        keep = self.keep if self.rows is None else self.kept_rows
        if keep is None:
            return math.prod(self.shape[1:] if norm == "sample" else self.shape)
        if norm == "batch":
            return keep.sum() * d
        return keep.sum(dim=tuple(range(1, keep.ndim)), keepdim=True) * d

    @property
    def _n_rows(self) -> int:
        assert self.kept_rows is not None
        return len(self.kept_rows)

    def _without_padding(self, value: torch.Tensor) -> torch.Tensor:
        # Not a product: NaN at padding times 0 is NaN.
        return value if self.keep is None else torch.where(self.keep, value, 0)


def norms(value: torch.Tensor, norm: str, p: float) -> torch.Tensor:
    """Norms over the unit: (L, d) of each sample, d of each token, or everything; dimensions are kept."""
    dims: Any = {"sample": tuple(range(1, value.ndim)), "token": (-1,), "batch": tuple(range(value.ndim))}[norm]
    return torch.linalg.vector_norm(value, ord=p, dim=dims, keepdim=True)


def unit(value: torch.Tensor, lengths: torch.Tensor, p: float, tiny: float) -> torch.Tensor:
    """The steepest direction of norm 1: v / (||v|| + tiny), or the sign."""
    return value / (lengths + tiny) if p == 2 else value.sign()


def project(value: torch.Tensor, epsilon: float, norm: str, p: float) -> torch.Tensor:
    """The nearest value of norm at most epsilon."""
    if p != 2:
        return value.clamp(-epsilon, epsilon)
    return value * (epsilon / norms(value, norm, p).clamp_min(SMALLEST)).clamp_max(1)
