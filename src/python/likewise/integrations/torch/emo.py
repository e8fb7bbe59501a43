"""The EMO loss of logits, as an autograd function and as a module."""

from __future__ import annotations

from typing import Any

import torch

from ..._validation import check_bool, check_choice, check_scalar_int
from ...transport.emo import check_mixing
from ...transport.emo import emo_loss as _native_emo_loss
from .formulas import (
    Options,
    array_of,
    check_integers,
    check_tensor,
    embedding_gradient,
    is_native,
    loss_in_torch,
    refuse_second,
)

__all__ = ["EMOLoss", "emo_loss"]


def emo_loss(
    logits: torch.Tensor,
    targets: torch.Tensor | None,
    embedding: torch.Tensor,
    *,
    mixing: str = "balanced-clamped",
    alpha: float = 1.0,
    beta: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    soft_targets: torch.Tensor | None = None,
    zero_norm: str = "raise",
    detach_embedding: bool = True,
) -> torch.Tensor:
    """The EMO loss of predicted tokens: `likewise.transport.emo_loss`, differentiable.

    Parameters
    ----------
    logits : Tensor, shape (n_tokens, n_vocabulary) or (n_batch, n_tokens, n_vocabulary)
        Floating point. float32 and float64 on the CPU go through the native code (read in place where contiguous).
    targets : Tensor of integers, shape of the logits without their last axis
        The true tokens; they are not shifted. None only with `soft_targets`.
    embedding : Tensor, shape (n_vocabulary, n_hidden)
        A row for each token of the vocabulary, of the logits' dtype and device.
    mixing, alpha, beta, ignore_index, reduction, soft_targets, zero_norm
        As in `likewise.transport.emo_loss`. The factors that it calls sg count as constants: no gradient flows through
        them.
    detach_embedding : bool
        Whether the embedding is a constant. With False its gradient is computed, too.

    Returns
    -------
    Tensor
        A scalar, or losses of the targets' shape with ``reduction="none"``; dtype and device of the logits.

    Raises
    ------
    ValueError, TypeError
        As `likewise.transport.emo_loss`.
    RuntimeError
        When it is differentiated twice.

    Notes
    -----
    The gradient is computed in the forward pass and kept; the backward pass multiplies.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import emo_loss
    >>> embedding = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> logits = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    >>> loss = emo_loss(logits, torch.tensor([0]), embedding, mixing="none")
    >>> loss.backward()
    >>> logits.grad
    tensor([[-0.1849,  0.0299,  0.1550]])
    """
    weights = check_mixing(mixing, alpha, beta, soft=soft_targets is not None)
    check_tensor(logits, "logits")
    check_tensor(embedding, "embedding", like=logits)
    if soft_targets is not None:
        check_tensor(soft_targets, "soft_targets", like=logits)
    options = Options(
        mixing,
        weights,
        check_scalar_int(ignore_index, "ignore_index"),
        check_choice(reduction, "reduction", ("mean", "sum", "none")),
        check_choice(zero_norm, "zero_norm", ("raise", "orthogonal")),
        check_bool(detach_embedding, "detach_embedding"),
    )
    return _Emo.apply(logits, embedding, targets, soft_targets, options)


class EMOLoss(torch.nn.Module):  # type: ignore[misc]
    """The EMO loss as a module, in place of `torch.nn.CrossEntropyLoss`.

    Parameters
    ----------
    mixing, alpha, beta, ignore_index, reduction, zero_norm, detach_embedding
        As in `emo_loss`.
    shift : bool
        Whether logits at position t predict the target at t + 1, as causal language models with unshifted labels do.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import EMOLoss
    >>> _ = torch.manual_seed(0)
    >>> logits = torch.randn(2, 5, 7, requires_grad=True)
    >>> loss = EMOLoss(shift=True)(logits, torch.randint(7, (2, 5)), torch.randn(7, 3))
    >>> loss.backward()
    >>> logits.grad[:, -1].abs().max()  # the last token predicts nothing
    tensor(0.)
    """

    def __init__(
        self,
        mixing: str = "balanced-clamped",
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        zero_norm: str = "raise",
        detach_embedding: bool = True,
        shift: bool = False,
    ) -> None:
        super().__init__()
        check_mixing(mixing, alpha, beta, soft=False)
        self.mixing, self.alpha, self.beta = mixing, alpha, beta
        self.ignore_index = check_scalar_int(ignore_index, "ignore_index")
        self.reduction = check_choice(reduction, "reduction", ("mean", "sum", "none"))
        self.zero_norm = check_choice(zero_norm, "zero_norm", ("raise", "orthogonal"))
        self.detach_embedding = check_bool(detach_embedding, "detach_embedding")
        self.shift = check_bool(shift, "shift")

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"mixing={self.mixing!r}, ignore_index={self.ignore_index}, shift={self.shift}"

    def forward(self, logits: torch.Tensor, targets: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The loss; shapes as in `emo_loss`."""
        if self.shift:  # of the targets: logits that lie together stay together
            ahead = torch.full_like(targets, self.ignore_index)
            ahead[..., :-1] = targets[..., 1:]
            targets = ahead
        return emo_loss(
            logits,
            targets,
            embedding,
            mixing=self.mixing,
            alpha=self.alpha,
            beta=self.beta,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            zero_norm=self.zero_norm,
            detach_embedding=self.detach_embedding,
        )


class _Emo(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, logits: Any, embedding: Any, targets: Any, soft: Any, options: Options) -> Any:
        if is_native(logits):
            loss, grad, parts = _native_emo_loss(
                array_of(logits),
                None if targets is None else array_of(check_integers(targets)),
                array_of(embedding),
                mixing=options.mixing,
                alpha=options.weights[0],
                beta=options.weights[1],
                ignore_index=options.ignore_index,
                reduction=options.reduction,
                soft_targets=None if soft is None else array_of(soft),
                zero_norm=options.zero_norm,
                return_parts=True,
                n_threads=torch.get_num_threads(),
            )
            loss, grad = torch.as_tensor(loss, dtype=logits.dtype), torch.from_numpy(grad)
            entropy, cost = torch.from_numpy(parts.cross_entropy), torch.from_numpy(parts.transport)
        else:
            loss, grad, entropy, cost = loss_in_torch(logits, embedding, targets, soft, options)
        ctx.options = options
        if ctx.needs_input_grad[1] and not options.detach_embedding:
            ctx.save_for_backward(grad, logits, embedding, targets, soft, entropy, cost)
        else:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        refuse_second("emo_loss")
        grad, *parts = ctx.saved_tensors
        of_logits = of_embedding = None
        if ctx.needs_input_grad[0]:
            each = ctx.options.reduction == "none"
            # Mostly the factor is 1: no copy then. (Elsewhere than on the CPU, asking would wait for the device.)
            one = not each and upstream.device.type == "cpu" and float(upstream) == 1.0
            of_logits = grad if one else grad * (upstream.unsqueeze(-1) if each else upstream)
        if parts:
            of_embedding = embedding_gradient(parts, ctx.options, upstream)
        return of_logits, of_embedding, None, None, None
