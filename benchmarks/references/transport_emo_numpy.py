"""The EMO loss as its formulas read: whole matrices in float64, nothing shared, nothing in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def emo_reference(
    logits: NDArray[Any],
    targets: NDArray[Any] | None,
    embedding: NDArray[Any],
    *,
    mixing: str = "balanced-clamped",
    alpha: float = 1.0,
    beta: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    soft_targets: NDArray[Any] | None = None,
) -> tuple[Any, Floats]:
    """Loss and gradient with respect to logits of shape (n_tokens, n_vocabulary)."""
    z = np.asarray(logits, np.float64)
    n = len(z)
    t = np.zeros(n, np.int64) if targets is None else np.asarray(targets)
    kept = np.ones(n, bool) if targets is None else t != ignore_index
    t = np.where(kept, t, 0)
    e = np.asarray(embedding, np.float64)
    norms = np.linalg.norm(e, axis=1, keepdims=True)
    e = np.divide(e, norms, out=np.zeros_like(e), where=norms > 0)
    if soft_targets is None:
        p = np.zeros_like(z)
        p[np.arange(n), t] = 1
    else:
        p = np.asarray(soft_targets, np.float64)
    q = np.exp(z - z.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    cost = 1 - (p @ e) @ e.T
    mean = (q * cost).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -(np.where(p > 0, p * (z - z.max(axis=1, keepdims=True)), 0)).sum(axis=1)
        surprise += np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1))
    entropy_gradient = q - p
    transport_gradient = q * (cost - mean[:, None])
    patched = mean + q[np.arange(n), t] if mixing.startswith("patch") else mean
    if mixing == "none":
        of_entropy, of_transport = np.zeros(n), np.ones(n)
    elif mixing == "sum":
        of_entropy, of_transport = np.full(n, alpha), np.full(n, beta)
    elif mixing in ("rescaled-mle", "patch-2"):
        of_entropy, of_transport = patched / (surprise + 1e-10), np.ones(n)
    else:
        ratio = surprise / (patched + 1e-10)
        ratio = np.minimum(ratio, 3) if mixing.endswith("clamped") else ratio
        of_entropy, of_transport = np.full(n, 0.5), ratio / 2
    losses = np.where(kept, of_entropy * surprise + of_transport * patched, 0)
    gradient = of_entropy[:, None] * entropy_gradient + of_transport[:, None] * transport_gradient
    gradient = np.where(kept[:, None], gradient, 0)
    if reduction == "none":
        return losses, gradient
    scale = 1 / kept.sum() if reduction == "mean" and kept.any() else 1.0
    return float(losses.sum() * scale), gradient * scale
