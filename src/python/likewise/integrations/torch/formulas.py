"""The formulas of the EMO loss in operations of torch, for types and devices that the native code does not serve."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..._validation import describe
from ...transport.emo import no_loss

_ROWS = 64  # tokens at a time
_TINY, _MOST = 1e-10, 3.0  # as in the native code


@dataclass(frozen=True)
class Options:
    mixing: str
    weights: tuple[float, float]
    ignore_index: int
    reduction: str
    zero_norm: str
    detach_embedding: bool = True


def rows_of(x: Any, vocabulary: Any, targets: Any, options: Options) -> tuple[Any, Any, Any, float]:
    """Rows of tokens, their targets (0 where nothing counts), which count, and the factor of the reduction."""
    t = check_integers(targets)
    if t.shape != x.shape[:-1]:
        raise ValueError(f"targets: expected shape {tuple(x.shape[:-1])}, got {tuple(t.shape)}")
    kept = t != options.ignore_index
    wrong = kept & ((t < 0) | (t >= len(vocabulary)))
    if wrong.any():
        where = [int(i) for i in wrong.nonzero()[0]]
        raise ValueError(
            f"targets: expected integers from 0 to {len(vocabulary) - 1}, or ignore_index={options.ignore_index}, "
            f"got {int(t[tuple(where)])} at position {where[0] if len(where) == 1 else tuple(where)}"
        )
    n_kept = int(kept.sum())
    if n_kept == 0:
        warnings.warn("targets: expected a token that counts, got none: the loss is 0", UserWarning, stacklevel=4)
    scale = 1 / n_kept if options.reduction == "mean" and n_kept > 0 else 1.0
    rows = x.detach().reshape(-1, x.shape[-1])
    return rows, torch.where(kept, t, 0).reshape(-1), kept.reshape(-1), scale


def loss_in_torch(logits: Any, embedding: Any, targets: Any, soft: Any, options: Options) -> tuple[Any, ...]:
    """Loss, gradient, cross entropy, transport cost."""
    if logits.ndim not in (2, 3) or embedding.ndim != 2 or logits.shape[-1] != len(embedding):
        raise ValueError(
            f"logits: expected as many columns as the embedding has rows, got {tuple(logits.shape)} and "
            f"{tuple(embedding.shape)} [of a padded vocabulary, pass the padded embedding]"
        )
    if targets is None:
        if soft is None:
            raise TypeError("targets: expected integers, got None [only with soft_targets]")
        targets = torch.zeros(logits.shape[:-1], dtype=torch.int64, device=logits.device)
        options = replace(options, ignore_index=-1)
    z, t, kept, scale = rows_of(logits, embedding, targets, options)
    unit = unit_rows(embedding, options.zero_norm)
    p = None if soft is None else _check_distributions(soft, logits, kept)
    grad = torch.empty_like(z)
    losses, entropy, cost = (torch.zeros(len(z), dtype=unit.dtype, device=z.device) for _ in range(3))
    for first in range(0, len(z), _ROWS):
        part = slice(first, first + _ROWS)
        target = None if p is None else p[part].to(unit.dtype)
        costs = hard_costs(unit, t[part]) if target is None else 1 - (target @ unit) @ unit.T
        losses[part], entropy[part], cost[part], of_rows = formulas(
            z[part].to(unit.dtype), costs, t[part], target, options
        )
        grad[part] = torch.where(kept[part, None], of_rows * scale, 0).to(grad.dtype)
    wrong = kept & ~torch.isfinite(entropy)
    if wrong.any():
        position = int(wrong.int().argmax())
        raise no_loss(float(z[position].max()), position, tuple(logits.shape[:-1]))
    losses, entropy, cost = (torch.where(kept, x, 0) for x in (losses, entropy, cost))
    shape = logits.shape[:-1]
    loss = losses.view(shape) if options.reduction == "none" else losses.sum(dtype=torch.float64) * scale
    return loss.to(logits.dtype), grad.view(logits.shape), entropy.view(shape), cost.view(shape)


def formulas(z: Any, costs: Any, t: Any, p: Any, options: Options) -> tuple[Any, Any, Any, Any]:
    """Losses, cross entropies, transport costs, gradients of rows."""
    log_q = torch.log_softmax(z, dim=1)
    q = log_q.exp()
    cost = (q * costs).sum(dim=1)
    entropy = -log_q.gather(1, t[:, None])[:, 0] if p is None else -torch.where(p > 0, p * log_q, 0).sum(dim=1)
    losses, of_entropy, of_transport = _mix(options, entropy, cost, None if p is not None else torch.exp(-entropy))
    grad = q * (of_entropy[:, None] + of_transport[:, None] * (costs - cost[:, None]))
    if p is None:
        grad.scatter_add_(1, t[:, None], -of_entropy[:, None])
    else:
        grad -= of_entropy[:, None] * p
    return losses, entropy, cost, grad


def _mix(options: Options, entropy: Any, cost: Any, probability: Any) -> tuple[Any, Any, Any]:
    """Losses, and the factors of the gradients of the cross entropy and of the transport cost."""
    mixing, one = options.mixing, torch.ones_like(cost)
    if mixing == "none":
        return cost, 0 * one, one
    if mixing == "sum":
        alpha, beta = options.weights
        return alpha * entropy + beta * cost, alpha * one, beta * one
    if mixing.startswith("patch"):
        cost = cost + probability
    if mixing in ("rescaled-mle", "patch-2"):
        ratio = cost / (entropy + _TINY)
        return ratio * entropy + cost, ratio, one
    ratio = entropy / (cost + _TINY)
    if mixing.endswith("clamped"):
        ratio = ratio.clamp(max=_MOST)
    return (entropy + ratio * cost) / 2, one / 2, ratio / 2


def embedding_gradient(parts: list[Any], options: Options, upstream: Any) -> Any:
    """Of the transport costs by the rows of the embedding, whose length they do not depend on."""
    logits, embedding, targets, soft, entropy, cost = parts
    if targets is None:
        targets = torch.zeros(logits.shape[:-1], dtype=torch.int64, device=logits.device)
        options = replace(options, ignore_index=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # was said in the forward pass
        z, t, kept, scale = rows_of(logits, embedding, targets, options)
    unit = unit_rows(embedding, options.zero_norm)
    entropy, cost = (x.reshape(-1).to(unit.dtype) for x in (entropy, cost))
    _, _, factors = _mix(options, entropy, cost, torch.exp(-entropy))
    factors = torch.where(kept, factors, 0) * scale * upstream.reshape(-1).to(unit.dtype)
    of_unit = torch.zeros_like(unit)
    for first in range(0, len(z), _ROWS):
        part = slice(first, first + _ROWS)
        q = torch.softmax(z[part].to(unit.dtype), dim=1)
        q = torch.where(kept[part, None], q, 0) * factors[part, None]
        if soft is None:
            of_unit -= q.T @ unit[t[part]]
            of_unit.index_add_(0, t[part], q @ unit, alpha=-1)
        else:
            p = torch.where(kept[part, None], soft.reshape(z.shape)[part].to(unit.dtype), 0)
            of_unit -= q.T @ (p @ unit) + p.T @ (q @ unit)
    norms = torch.linalg.vector_norm(embedding.to(unit.dtype), dim=1, keepdim=True)
    along = (of_unit * unit).sum(dim=1, keepdim=True)
    return torch.where(norms > 0, (of_unit - along * unit) / norms, 0).to(embedding.dtype)


def unit_rows(embedding: Any, zero_norm: str) -> Any:
    e = embedding.detach().to(torch.promote_types(embedding.dtype, torch.float32))
    norms = torch.linalg.vector_norm(e, dim=1, keepdim=True)
    if not torch.isfinite(norms).all():
        raise ValueError("embedding: expected finite values, got NaN or infinity")
    if zero_norm == "raise" and bool((norms == 0).any()):
        raise ValueError(
            f"embedding: expected no zero row, which has no cosine, got one at row {int((norms == 0).int().argmax())} "
            "[zero_norm='orthogonal' takes it as orthogonal to all]"
        )
    return torch.where(norms > 0, e / norms, 0)


def hard_costs(unit: Any, t: Any) -> Any:
    rows = unit[t]
    costs = (1 - rows @ unit.T).clamp_(0, 2)
    own = (rows == 0).all(dim=1, keepdim=True).to(costs.dtype)  # exactly 0, but for zero rows
    return costs.scatter_(1, t[:, None], own)


def _check_distributions(soft: Any, logits: Any, kept: Any) -> Any:
    if soft.shape != logits.shape:
        raise ValueError(
            f"soft_targets: expected the shape of the logits, {tuple(logits.shape)}, got {tuple(soft.shape)}"
        )
    p = soft.detach().reshape(-1, soft.shape[-1])
    tolerance = 1e-9 if p.dtype == torch.float64 else 1e-4 if p.dtype == torch.float32 else 1e-2
    sums = p.sum(dim=1, dtype=torch.float64)
    if (kept & ~((p >= 0).all(dim=1))).any():
        raise ValueError("soft_targets: expected values >= 0, got others")
    wrong = kept & ~((sums - 1).abs() <= tolerance)
    if wrong.any():
        where = int(wrong.int().argmax())
        raise ValueError(f"soft_targets: expected rows that sum to 1, got {float(sums[where])} at position {where}")
    return p


def refuse_second(name: str) -> None:
    """Called in a backward pass, where gradients are recorded if it is to be differentiated again."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"{name}: expected to be differentiated once, got create_graph=True [second derivatives are not computed]"
        )


def is_native(x: Any) -> bool:
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def array_of(x: Any) -> Any:
    return x.detach().numpy()


def check_integers(targets: object) -> Any:
    if not isinstance(targets, torch.Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        got = f"a tensor of {targets.dtype}" if isinstance(targets, torch.Tensor) else describe(targets)
        raise TypeError(f"targets: expected a tensor of integers, got {got}")
    return targets.detach().to(torch.int64)


def check_tensor(value: object, name: str, like: Any = None) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name}: expected a tensor, got {describe(value)}")
    if not value.is_floating_point():
        raise ValueError(f"{name}: expected a floating-point tensor, got {value.dtype}")
    if value.layout != torch.strided:
        raise ValueError(f"{name}: expected a dense tensor, got {value.layout} [call .to_dense()]")
    if like is not None and (value.dtype, value.device) != (like.dtype, like.device):
        raise ValueError(f"{name}: expected {like.dtype} on {like.device}, got {value.dtype} on {value.device}")
