"""The EMO loss of an output layer that never holds the logits of all tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..._validation import check_choice, check_scalar_int
from ...transport.emo import check_mixing, evaluate, no_loss
from ...transport.emo_embedding import Embedding
from .formulas import (
    Options,
    array_of,
    check_tensor,
    formulas,
    hard_costs,
    is_native,
    refuse_second,
    rows_of,
    unit_rows,
)

__all__ = ["fused_linear_emo_loss"]

_CHUNK_BYTES = 2**24  # of the logits that are held at a time


def fused_linear_emo_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    cost_embedding: torch.Tensor | None = None,
    *,
    bias: torch.Tensor | None = None,
    mixing: str = "balanced-clamped",
    alpha: float = 1.0,
    beta: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    zero_norm: str = "raise",
    chunk_size: int | None = None,
) -> torch.Tensor:
    """The EMO loss of ``hidden @ weight.T + bias``, without ever holding the logits of all tokens.

    Tokens are taken `chunk_size` at a time: logits, costs, losses, and at once the gradients with respect to `hidden`,
    `weight` and `bias`, whose parts are added up. Beyond these gradients there are two buffers of ``chunk_size x
    n_vocabulary`` numbers.

    Parameters
    ----------
    hidden : Tensor, shape (n_tokens, n_hidden) or (n_batch, n_tokens, n_hidden)
        What the output layer is applied to.
    weight : Tensor, shape (n_vocabulary, n_hidden)
        Of the output layer.
    targets : Tensor of integers, shape of `hidden` without its last axis
        The true tokens; they are not shifted.
    cost_embedding : Tensor, shape (n_vocabulary, any), optional
        What costs are computed from, a constant; default: the weight as it is, without a gradient through the costs.
    bias : Tensor, shape (n_vocabulary,), optional
        Of the output layer.
    mixing, alpha, beta, ignore_index, zero_norm
        As in `emo_loss`.
    reduction : {'mean', 'sum'}
        The gradients are computed in the forward pass, so the losses must be added up there.
    chunk_size : int, optional
        Tokens at a time; default: as many as take 16 MiB, from 16 to 1024.

    Returns
    -------
    Tensor
        A scalar of the dtype and on the device of `hidden`.

    Raises
    ------
    ValueError, TypeError
        As `emo_loss`.
    RuntimeError
        When it is differentiated twice.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import fused_linear_emo_loss
    >>> _ = torch.manual_seed(0)
    >>> hidden, layer = torch.randn(5, 4, requires_grad=True), torch.nn.Linear(4, 9)
    >>> fused_linear_emo_loss(hidden, layer.weight, torch.arange(5), bias=layer.bias).backward()
    >>> hidden.grad.shape, layer.weight.grad.shape, layer.bias.grad.shape
    (torch.Size([5, 4]), torch.Size([9, 4]), torch.Size([9]))
    """
    weights = check_mixing(mixing, alpha, beta, soft=False)
    check_tensor(hidden, "hidden")
    check_tensor(weight, "weight", like=hidden)
    if cost_embedding is not None:
        check_tensor(cost_embedding, "cost_embedding", like=hidden)
    if bias is not None:
        check_tensor(bias, "bias", like=hidden)
    if weight.ndim != 2 or hidden.ndim not in (2, 3) or hidden.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"weight: expected shape (n_vocabulary, {hidden.shape[-1] if hidden.ndim else 0}), the last axis that of "
            f"hidden, got {tuple(weight.shape)} and {tuple(hidden.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias: expected shape ({len(weight)},), got {tuple(bias.shape)}")
    if cost_embedding is not None and (cost_embedding.ndim != 2 or len(cost_embedding) != len(weight)):
        raise ValueError(
            f"cost_embedding: expected as many rows as the weight has, {len(weight)}, got {tuple(cost_embedding.shape)}"
        )
    if chunk_size is None:
        fit = _CHUNK_BYTES // (4 * max(1, len(weight)))
        chunk_size = min(1024, max(16, fit // 16 * 16))
    options = Options(
        mixing,
        weights,
        check_scalar_int(ignore_index, "ignore_index"),
        check_choice(reduction, "reduction", ("mean", "sum")),
        check_choice(zero_norm, "zero_norm", ("raise", "orthogonal")),
    )
    chunk_size = check_scalar_int(chunk_size, "chunk_size", minimum=1)
    costs = weight.detach() if cost_embedding is None else cost_embedding.detach()
    return _FusedEmo.apply(hidden, weight, bias, targets, costs, options, chunk_size)


class _FusedEmo(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, hidden: Any, weight: Any, bias: Any, targets: Any, costs: Any, options: Options, chunk_size: int
    ) -> Any:
        wanted = ctx.needs_input_grad
        h, t, kept, scale = rows_of(hidden, weight, targets, options)
        wide = torch.promote_types(hidden.dtype, torch.float32)  # sums of many small parts
        of_hidden = _empty(h.shape, h.dtype, h.device) if wanted[0] else None
        of_weight = _empty(weight.shape, wide, weight.device) if wanted[1] else None
        of_bias = torch.zeros(bias.shape, dtype=wide, device=bias.device) if bias is not None and wanted[2] else None
        if of_weight is not None and (len(h) == 0 or wide != hidden.dtype):
            of_weight.zero_()
        chunks = _NativeChunks if is_native(hidden) else _TorchChunks
        chunk = chunks(costs, options, scale, min(chunk_size, len(h)))
        total = 0.0
        for first in range(0, len(h), chunk_size):
            part = slice(first, first + chunk_size)
            z = chunk.logits(h[part], weight, bias)
            losses, wrong = chunk.derive(z, t[part], kept[part])
            if wrong >= 0:
                z = torch.nn.functional.linear(h[first + wrong], weight, bias)
                raise no_loss(float(z.max()), first + wrong, tuple(targets.shape))
            total = total + losses
            g = z.to(hidden.dtype)  # where the logits were, now their gradient
            if of_hidden is not None:
                torch.mm(g, weight, out=of_hidden[part])
            if of_weight is not None:
                if of_weight.dtype != g.dtype:
                    of_weight += g.T @ h[part]
                elif first == 0:
                    torch.mm(g.T, h[part], out=of_weight)
                else:
                    of_weight.addmm_(g.T, h[part])
            if of_bias is not None:
                of_bias += z.sum(dim=0)
        ctx.save_for_backward(
            None if of_hidden is None else of_hidden.view(hidden.shape),
            None if of_weight is None else of_weight.to(weight.dtype),
            None if of_bias is None else of_bias.to(bias.dtype),
        )
        return torch.as_tensor(total * scale, dtype=hidden.dtype, device=hidden.device)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        refuse_second("fused_linear_emo_loss")
        grads = ctx.saved_tensors
        if upstream.device.type != "cpu" or float(upstream) != 1.0:
            grads = tuple(None if grad is None else grad * upstream for grad in grads)
        return (*grads, None, None, None, None)


def _empty(shape: Any, dtype: Any, device: Any) -> Any:
    """Memory that nothing was written to. On the CPU numpy's, which asks for large pages: small ones cost more time to
    get than many a product takes."""
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(tuple(shape), np.float32 if dtype == torch.float32 else np.float64))


class _NativeChunks:
    """Tokens of float32 or float64 on the CPU: the native pass, its gradient in place of the logits."""

    def __init__(self, costs: Any, options: Options, scale: float, size: int) -> None:
        self.n_threads = torch.get_num_threads()
        self.embedding = Embedding(array_of(costs), options.zero_norm, self.n_threads)
        self.options, self.scale = options, scale
        self.buffer = _empty((size, len(costs)), costs.dtype, costs.device)
        self.cosines = np.empty((size, len(costs)), self.embedding.rows.dtype)

    def logits(self, h: Any, weight: Any, bias: Any) -> Any:
        z = self.buffer[: len(h)]
        return torch.mm(h, weight.T, out=z) if bias is None else torch.addmm(bias, h, weight.T, out=z)

    def derive(self, z: Any, targets: Any, kept: Any) -> tuple[float, int]:
        t, grad = targets.numpy(), z.numpy()
        rows = self.embedding.cosines_of(t, kept.numpy(), self.cosines)
        results, wrong = evaluate(
            grad,
            rows,
            t,
            None,
            self.cosines,
            self.embedding,
            self.options.mixing,
            self.options.weights,
            self.scale,
            grad,
            self.n_threads,
        )
        return float(results[0].sum()), wrong


class _TorchChunks:
    """Tokens anywhere, of any floating type: the formulas in operations of torch, in float32 or float64."""

    def __init__(self, costs: Any, options: Options, scale: float, size: int) -> None:
        self.unit = unit_rows(costs, options.zero_norm)
        self.options, self.scale = options, scale

    def logits(self, h: Any, weight: Any, bias: Any) -> Any:
        return torch.nn.functional.linear(h, weight, bias).to(self.unit.dtype)

    def derive(self, z: Any, targets: Any, kept: Any) -> tuple[Any, int]:
        cost = hard_costs(self.unit, targets)
        losses, entropy, _, grad = formulas(z, cost, targets, None, self.options)
        z.copy_(torch.where(kept[:, None], grad * self.scale, 0))
        wrong = kept & ~torch.isfinite(entropy)
        return torch.where(kept, losses, 0).sum(dtype=torch.float64), int(wrong.int().argmax()) if wrong.any() else -1
