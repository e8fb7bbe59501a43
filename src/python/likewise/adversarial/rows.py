"""Perturbation of an embedding table in place, for what hooks cannot do: a table that other layers use, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .._validation import check_choice, check_scalar_float, describe


@contextmanager
def perturb_rows(
    weight: torch.Tensor | torch.nn.Module,
    ids: Any,
    epsilon: float,
    *,
    grad: torch.Tensor | None = None,
    rows: str = "touched",
) -> Iterator[None]:
    """Within the block the table is W + epsilon G / (||G||_2 + 1e-8); after it, it is what it was, bit for bit.

    This is the matrix perturbation of kexue.fm/archives/7234: G is the gradient by the table, and everything that uses
    the table sees the change. Where one lookup alone uses it, `Adversary` with ``space="rows"`` does the same and
    writes nothing.

    Parameters
    ----------
    weight : Tensor, shape (V, d), or torch.nn.Embedding
        The table.
    ids : Tensor of integers, or nested lists of them
        The rows that may be written: those of the batch.
    epsilon : float
        Norm of the perturbation, >= 0.
    grad : Tensor, shape (V, d), optional
        G, dense or sparse. Default: ``weight.grad``.
    rows : {"touched", "all"}
        ``"touched"``: only the rows in `ids` are read, saved and written; a G that is not zero elsewhere, as that of a
        table tied to an output layer, is refused. ``"all"``: the whole table.

    Raises
    ------
    ValueError
        There is no gradient; it is not zero outside of `ids`; the embedding has ``max_norm``, which rewrites rows in
        every forward pass; something else wrote into the rows within the block (they are restored all the same).
    FloatingPointError
        The gradient is not finite.
    TypeError, IndexError

    Examples
    --------
    >>> import torch
    >>> from likewise.adversarial import perturb_rows
    >>> table = torch.nn.Embedding.from_pretrained(torch.zeros(4, 2), freeze=False)
    >>> ids = torch.tensor([[1, 2]])
    >>> (table(ids) * torch.tensor([3.0, 4.0])).sum().backward()
    >>> with perturb_rows(table.weight, ids, epsilon=1.0):
    ...     table(ids)[0, 0].detach()
    tensor([0.4243, 0.5657])
    >>> table.weight.abs().max().item()
    0.0
    """
    if isinstance(weight, torch.nn.Module):
        if getattr(weight, "max_norm", None) is not None:
            raise ValueError(f"weight: expected an embedding without max_norm, got max_norm={weight.max_norm}")
        weight = getattr(weight, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2 or not weight.dtype.is_floating_point:
        got = f"{weight.dtype} of shape {tuple(weight.shape)}" if isinstance(weight, torch.Tensor) else describe(weight)
        raise TypeError(f"weight: expected a floating-point table of shape (V, d) or an embedding, got {got}")
    epsilon = check_scalar_float(epsilon, "epsilon", minimum=0.0)
    whole = check_choice(rows, "rows", ("touched", "all")) == "all"
    written = torch.arange(len(weight), device=weight.device) if whole else _check_ids(ids, weight)
    gradient = _gradient_of(weight, grad, written, whole)
    length = torch.linalg.vector_norm(gradient)
    if not bool(torch.isfinite(length)):
        raise FloatingPointError("grad: expected finite values, got NaN or infinity")
    saved = weight.detach()[written]
    moved = (saved + epsilon * gradient / (length + 1e-8)).to(weight.dtype)
    try:
        with torch.no_grad():
            weight[written] = moved
        yield
        untouched = torch.equal(weight.detach()[written], moved)
    finally:
        with torch.no_grad():
            weight[written] = saved
    if not untouched:
        raise ValueError(
            "weight: expected that nothing else writes into these rows within the block, got other values "
            "[nn.Embedding(max_norm=...), or a step of an optimizer]"
        )


def _check_ids(ids: Any, weight: torch.Tensor) -> torch.Tensor:
    try:
        found = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"ids: expected integers, got {describe(ids)}") from None
    if found.dtype.is_floating_point or found.dtype.is_complex or found.dtype == torch.bool:
        if found.numel():
            raise TypeError(f"ids: expected integers, got {found.dtype}")
        found = found.long()
    found = torch.unique(found.to(weight.device, torch.int64))
    for value in (found[:1], found[-1:]):
        if value.numel() and not 0 <= int(value) < len(weight):
            raise ValueError(f"ids: expected integers from 0 to {len(weight) - 1}, got {int(value)}")
    return found


def _gradient_of(weight: torch.Tensor, grad: Any, written: torch.Tensor, whole: bool) -> torch.Tensor:
    """The rows of G that are written, in float32 at least."""
    grad = weight.grad if grad is None else grad
    if grad is None:
        raise ValueError("grad: expected a gradient, got None [call loss.backward() first]")
    if not isinstance(grad, torch.Tensor):
        raise TypeError(f"grad: expected a tensor, got {describe(grad)}")
    if grad.shape != weight.shape:
        raise ValueError(f"grad: expected shape {tuple(weight.shape)}, got {tuple(grad.shape)}")
    grad = grad.detach()
    dtype = torch.promote_types(grad.dtype, torch.float32)
    if grad.is_sparse:
        grad = grad.coalesce()
        rows, values = grad.indices()[0], grad.values()
        lengths = torch.linalg.vector_norm(values, ord=torch.inf, dim=1)
        outside = rows[(lengths != 0) & ~torch.isin(rows, written)]
        place = torch.searchsorted(written, rows).clamp_max(max(len(written) - 1, 0))
        inside = torch.isin(rows, written)
        found = torch.zeros(len(written), weight.shape[1], dtype=dtype, device=weight.device)
        found[place[inside]] = values[inside].to(dtype)
    else:
        if not whole:
            lengths = torch.linalg.vector_norm(grad, ord=torch.inf, dim=1)
            lengths[written] = 0
            outside = lengths.nonzero()[:, 0]
        else:
            outside = written[:0]
        found = grad[written].to(dtype)
    if outside.numel():
        raise ValueError(
            f"grad: expected zeros outside of ids, got others at row {int(outside[0])} "
            "[a table that an output layer uses, too: rows='all']"
        )
    return found
