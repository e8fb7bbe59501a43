"""The attack that measures how fragile a model is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .._validation import check_scalar_float, check_scalar_int, describe
from .penalty import check_embeds
from .perturbation import Place, norms, project, unit
from .settings import TINY, check_norm, check_p


def attack(
    loss_fn: Callable[[torch.Tensor], torch.Tensor],
    embeds: torch.Tensor,
    epsilon: float,
    *,
    norm: str = "sample",
    steps: int = 10,
    alpha: float | None = None,
    mask: torch.Tensor | None = None,
    p: float = 2,
) -> torch.Tensor:
    """A perturbation within the ball that makes the loss large, by projected gradient ascent from zero.

    For evaluation: ``steps=1`` is FGM, more are PGD. No parameter gets a gradient; it works within ``no_grad``, too.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(embeds)`` gives a scalar or the loss of each sample, shape (B,).
    embeds : Tensor, shape (B, L, d) or (B, ..., d)
        Floating point.
    epsilon : float
        Radius, >= 0.
    norm : {"sample", "token", "batch"}
        What one norm is taken over, as in `Adversary`.
    steps : int
        >= 1.
    alpha : float, optional
        Step length, > 0. Default: 2.5 epsilon / steps.
    mask : Tensor of bool, shape (B, L), optional
        False where nothing may be added.
    p : {2, math.inf}
        Of the norm.

    Returns
    -------
    Tensor
        The perturbation, of the shape of `embeds`, in float32 at least, without a graph.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong.
    FloatingPointError
        A gradient is not finite.
    RuntimeError
        The loss does not depend on the embeddings, or inference mode is on.

    Examples
    --------
    >>> import torch
    >>> from likewise.adversarial import attack
    >>> w, x = torch.tensor([3.0, 4.0]), torch.tensor([[1.0, 0.0]])
    >>> attack(lambda x: torch.nn.functional.softplus(-x @ w), x, epsilon=0.5)
    tensor([[-0.3000, -0.4000]])
    """
    check_embeds(embeds)
    epsilon = check_scalar_float(epsilon, "epsilon", minimum=0.0)
    norm, p, steps = check_norm(norm), check_p(p), check_scalar_int(steps, "steps", minimum=1)
    alpha = 2.5 * epsilon / steps if alpha is None else check_scalar_float(alpha, "alpha", exclusive_minimum=0.0)
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "attack: expected gradients to be possible, got a call under inference_mode [no_grad is fine]"
        )
    x = embeds.detach()
    place = Place.of(x, None if mask is None else _check_mask(mask, x))
    delta = torch.zeros(x.shape, dtype=place.dtype, device=x.device)
    for _ in range(steps):
        with torch.enable_grad():
            point = (x + delta).to(x.dtype).requires_grad_()
            loss = loss_fn(point)
            if not isinstance(loss, torch.Tensor):
                raise TypeError(f"loss_fn: expected a tensor, got {describe(loss)}")
            if loss.shape not in ((), (len(x),)):
                raise ValueError(f"loss_fn: expected a scalar or losses of shape ({len(x)},), got {tuple(loss.shape)}")
            if not loss.requires_grad:
                raise RuntimeError("loss_fn: expected a loss that depends on the embeddings, got one that does not")
            (gradient,) = torch.autograd.grad(loss.sum(), point)
        g = place.gather(gradient)
        lengths = norms(g, norm, p)
        if not bool(torch.isfinite(lengths).all()):
            raise FloatingPointError("loss_fn: expected finite gradients, got NaN or infinity")
        delta = project(delta + alpha * unit(g, lengths, p, TINY), epsilon, norm, p)
    return delta


def _check_mask(mask: object, x: torch.Tensor) -> torch.Tensor:
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        raise TypeError(
            f"mask: expected a tensor of bool, got {mask.dtype if isinstance(mask, torch.Tensor) else mask}"
        )
    if mask.shape != x.shape[:-1]:
        raise ValueError(f"mask: expected shape {tuple(x.shape[:-1])}, got {tuple(mask.shape)}")
    return mask.to(x.device)
