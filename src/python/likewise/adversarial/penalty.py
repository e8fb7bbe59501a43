"""The gradient penalty: by differentiating twice, or by finite differences of the loss along its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from .._validation import check_bool, check_choice, check_scalar_float, check_scalar_int, describe
from .settings import TINY


def gradient_penalty(
    loss_fn: Callable[[torch.Tensor], torch.Tensor],
    embeds: torch.Tensor,
    epsilon: float = 1.0,
    *,
    squared: bool = True,
    mode: str = "double",
    h: float = 1e-2,
    order: int = 1,
    reduction: str = "sample",
) -> torch.Tensor:
    r"""The gradient penalty of a loss at embeddings, to be added to the loss.

    With :math:`g_i = \partial L_i / \partial x_i` it is :math:`\frac{\epsilon}{2} \operatorname{mean}_i \|g_i\|^2`, or
    :math:`\epsilon \operatorname{mean}_i \|g_i\|` with ``squared=False``. To first order in epsilon the gradient of
    ``L + penalty`` by the parameters is that of the loss at ``x + epsilon g`` (or ``x + epsilon g / ||g||``):
    adversarial training and gradient penalty are one thing.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(embeds)`` gives the loss of each sample, shape (B,). Called once (``"double"``), twice (``"fd"``), or
        three times (``order=2``).
    embeds : Tensor, shape (B, ...)
        What the penalty differentiates by. If it depends on parameters, they get their part of the gradient.
    epsilon : float
        Weight, >= 0.
    squared : bool
        Squared norms, or norms.
    mode : {"double", "fd"}
        ``"double"`` differentiates the gradient: exact, but every operation needs a second derivative (that of
        `scaled_dot_product_attention` has none in most of its kernels). ``"fd"`` takes differences of the loss at
        distance `h` along the gradient: an error O(h), O(h^2) with ``order=2``, and no second derivative.
    h : float
        Distance of the differences, > 0.
    order : {1, 2}
        One-sided or central differences.
    reduction : {"sample", "batch"}
        ``"batch"``: of the gradient of the mean loss by all embeddings, ``epsilon / 2 ||dL/dx||^2``, as it was
        published; it is 1/B of the other and fades as batches grow.

    Returns
    -------
    Tensor
        A scalar: the value of the penalty, and its gradient (``"fd"``: an approximation of it).

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, or the losses are not of shape (B,).
    RuntimeError
        ``"double"`` met an operation without a second derivative.

    References
    ----------
    Su Jianlin, kexue.fm/archives/7234.

    Examples
    --------
    >>> import torch
    >>> from likewise.adversarial import gradient_penalty
    >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> x = torch.tensor([[1.0, 0.0]])
    >>> penalty = gradient_penalty(lambda x: torch.nn.functional.softplus(-x @ w), x, epsilon=0.5)
    >>> penalty.backward()
    >>> penalty.detach(), w.grad
    (tensor(0.0141), tensor([-0.0234,  0.0045]))
    """
    check_embeds(embeds)
    epsilon = check_scalar_float(epsilon, "epsilon", minimum=0.0)
    squared, mode = check_bool(squared, "squared"), check_choice(mode, "mode", ("double", "fd"))
    h, order = check_scalar_float(h, "h", exclusive_minimum=0.0), check_scalar_int(order, "order", minimum=1, maximum=2)
    reduction = check_choice(reduction, "reduction", ("sample", "batch"))

    def losses_at(x: torch.Tensor) -> torch.Tensor:
        losses = loss_fn(x)
        if not isinstance(losses, torch.Tensor):
            raise TypeError(f"loss_fn: expected a tensor of losses, got {describe(losses)}")
        if losses.shape != (len(embeds),):
            raise ValueError(f"loss_fn: expected losses of shape ({len(embeds)},), got {tuple(losses.shape)}")
        return losses

    x = embeds if embeds.requires_grad else embeds.detach().requires_grad_()
    losses = losses_at(x)
    (found,) = first_gradients(losses, [x], create_graph=mode == "double", retain_graph=True)
    gradient = [(torch.zeros_like(x) if found is None else found).to(torch.promote_types(x.dtype, torch.float32))]
    penalty = penalty_of(gradient, epsilon, squared=squared, reduction=reduction)
    if mode == "double":
        return penalty
    weights = weights_of(gradient, epsilon, h=h, squared=squared, reduction=reduction)
    (direction,) = directions_of(gradient, reduction)
    shift = (h * direction).to(x.dtype)
    surrogate = surrogate_of(losses_at(x + shift), weights)
    surrogate = surrogate - surrogate_of(losses if order == 1 else losses_at(x - shift), weights)
    return surrogate / order + (penalty - surrogate / order).detach()  # of squared norms it would be twice the penalty


def first_gradients(
    losses: torch.Tensor,
    points: list[torch.Tensor],
    *,
    create_graph: bool,
    scale: float = 1.0,
    retain_graph: bool | None = None,
) -> list[torch.Tensor | None]:
    """Gradients of the sum of the losses; they are multiplied by the scale while they are of low precision."""
    if not losses.requires_grad:
        raise RuntimeError("loss: expected losses that depend on the embeddings, got some that do not")
    with naming_the_cure():
        found = torch.autograd.grad(
            losses.sum() * scale,
            points,
            create_graph=create_graph,
            retain_graph=retain_graph,
            allow_unused=True,
        )
    if scale == 1:
        return list(found)
    return [None if g is None else g.to(torch.promote_types(g.dtype, torch.float32)) / scale for g in found]


def penalty_of(gradients: list[torch.Tensor], epsilon: float, *, squared: bool, reduction: str) -> torch.Tensor:
    """The penalty for gradients of the samples' losses by the outputs of all calls."""
    squares = _squares(gradients, reduction)
    return 0.5 * epsilon * squares.mean() if squared else epsilon * _root(squares).mean()


def weights_of(
    gradients: list[torch.Tensor], epsilon: float, *, h: float, squared: bool, reduction: str
) -> torch.Tensor:
    """Weights of the losses in the surrogate, shape (B,) or (1,): epsilon / h times the norm, or without it."""
    squares = _squares(gradients, reduction)
    lengths = squares.sqrt() if squared else torch.ones_like(squares)
    return lengths * (epsilon / (h * len(lengths)))


def surrogate_of(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted sum of the losses (of the mean loss where there is one weight for all)."""
    if len(weights) != len(losses):
        losses = losses.mean()
    return (losses * weights).sum()


def directions_of(gradients: list[torch.Tensor], reduction: str) -> list[torch.Tensor]:
    """Gradients of norm 1, over all calls together: of each sample, or of the batch."""
    lengths = _squares(gradients, reduction).sqrt()
    if reduction == "batch":
        lengths = lengths * len(gradients[0])  # of the sum of the losses, as the gradients are
    return [g / (lengths.reshape(-1, *[1] * (g.ndim - 1)) + TINY) for g in gradients]


def _squares(gradients: list[torch.Tensor], reduction: str) -> torch.Tensor:
    squares = sum(g.flatten(1).square().sum(dim=1) for g in gradients)
    return squares if reduction == "sample" else squares.sum(dim=0, keepdim=True) / len(squares) ** 2


def _root(squares: torch.Tensor) -> torch.Tensor:
    """The square root, whose derivative at 0 is to be 0, not infinity."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)


@contextmanager
def naming_the_cure() -> Iterator[None]:
    """Say what helps where an operation has no second derivative."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not ("derivative for" in text and "not implemented" in text) and "double backward" not in text:
            raise
        raise RuntimeError(
            f"method: expected operations with a second derivative for the gradient penalty, got one without ({text}) "
            "[torch.nn.attention.sdpa_kernel(SDPBackend.MATH), attn_implementation='eager', or gp_mode='fd']"
        ) from error


def check_embeds(embeds: object) -> None:
    """Floating point, samples first."""
    if not isinstance(embeds, torch.Tensor):
        raise TypeError(f"embeds: expected a tensor, got {describe(embeds)}")
    if not embeds.dtype.is_floating_point:
        raise TypeError(f"embeds: expected floating point, got {embeds.dtype}")
    if embeds.ndim < 2:
        raise ValueError(f"embeds: expected shape (B, ..., d), got {tuple(embeds.shape)}")
