"""The self-terminating heads of `likewise.decoding` with gradients, and the loss to train with."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..._validation import check_scalar_int, describe
from ...decoding.floor import check_open_unit
from .formulas import check_integers, check_tensor

__all__ = ["nll", "non_monotonic_self_terminating", "self_terminating"]


def self_terminating(logits_seq: torch.Tensor, eos_id: int, epsilon: float, *, start: int = 0) -> torch.Tensor:
    """Log-probabilities of the self-terminating head: `likewise.decoding.self_terminating`, differentiable.

    Parameters
    ----------
    logits_seq : Tensor, shape (..., T, V)
        Floating point, on any device.
    eos_id : int
        The end token's column. A *large* logit there means: go on.
    epsilon : float
        In (0, 1).
    start : int, default 0
        Before it the end token has probability 0.

    Returns
    -------
    Tensor, shape (..., T, V)
        float32 for half-precision logits, otherwise in the logits' dtype. Values are not looked at: NaN stays NaN.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, for shapes and parameters.

    Notes
    -----
    With S_t, the logarithm of the probability of going on: ``dS_t / da_i = sigmoid(-a_i)`` for start <= i <= t.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import nll, self_terminating
    >>> logits = torch.tensor([[0.0, -2.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    >>> log_probs = self_terminating(logits, eos_id=1, epsilon=0.1)
    >>> log_probs[:, 1].exp()
    tensor([0.8927, 0.9740, 0.9883], grad_fn=<ExpBackward0>)
    >>> nll(log_probs, torch.tensor([0, 2, 1])).backward()
    >>> logits.grad[:, 1]
    tensor([-0.5837, -0.2408,  0.0020])
    """
    rows, a, share, first = _check(logits_seq, eos_id, epsilon, start)
    n = (torch.arange(rows.shape[-2], device=rows.device) - first + 1).clamp(min=0)
    steps = torch.where(n > 0, torch.nn.functional.logsigmoid(a), 0.0)
    going_on = n.to(a.dtype) * math.log1p(-share) + steps.cumsum(dim=-1)
    begun = going_on < 0  # nothing else has a logarithm here, nor a gradient
    stopping = torch.where(begun, _log_one_minus_exp(torch.where(begun, going_on, -1.0)), -math.inf)
    return _combine(rows, eos_id, going_on, stopping)


def non_monotonic_self_terminating(
    logits_seq: torch.Tensor, eos_id: int, epsilon: float, *, start: int = 0
) -> torch.Tensor:
    """Log-probabilities of the NMST head: `likewise.decoding.non_monotonic_self_terminating`, differentiable.

    Parameters
    ----------
    logits_seq : Tensor, shape (..., T, V)
        Floating point, on any device.
    eos_id : int
        The end token's column. A large logit there means: stop.
    epsilon : float
        In (0, 1).
    start : int, default 0
        Before it there is no floor.

    Returns
    -------
    Tensor, shape (..., T, V)
        float32 for half-precision logits, otherwise in the logits' dtype. Values are not looked at: NaN stays NaN.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, for shapes and parameters.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import non_monotonic_self_terminating
    >>> logits = torch.tensor([[0.0, -2.0], [0.0, -1.0], [0.0, 0.0]])
    >>> non_monotonic_self_terminating(logits, eos_id=1, epsilon=0.1)[:, 1].exp()
    tensor([0.2073, 0.4078, 0.6355])
    """
    rows, a, share, first = _check(logits_seq, eos_id, epsilon, start)
    n = (torch.arange(rows.shape[-2], device=rows.device) - first + 1).clamp(min=0)
    kept = n.to(a.dtype) * math.log1p(-share)
    not_s, s = torch.nn.functional.logsigmoid(-a), torch.nn.functional.logsigmoid(a)
    floor = _log_one_minus_exp(torch.where(n > 0, kept, -1.0))  # ln 0 would spoil second derivatives
    stopping = torch.where(n > 0, torch.logaddexp(floor + not_s, s), s)
    return _combine(rows, eos_id, kept + not_s, stopping)


def nll(log_probs: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The mean negative log-likelihood of target tokens.

    Parameters
    ----------
    log_probs : Tensor, shape (..., V)
        Log-probabilities, such as those of the heads; nothing is normalised here.
    targets : Tensor of integers, shape (...)
        The tokens that came. They are not shifted.
    mask : Tensor of bool, shape (...), optional
        Which of them count; the others' targets may be anything.

    Returns
    -------
    Tensor
        A scalar; 0 where nothing counts.

    Raises
    ------
    ValueError, TypeError
        Shapes that differ, a target outside the vocabulary.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import nll
    >>> log_probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    >>> nll(log_probs, torch.tensor([0, -100]), mask=torch.tensor([True, False]))
    tensor(0.6931)
    """
    check_tensor(log_probs, "log_probs")
    wanted = check_integers(targets)
    if wanted.shape != log_probs.shape[:-1]:
        raise ValueError(f"targets: expected shape {tuple(log_probs.shape[:-1])}, got {tuple(wanted.shape)}")
    if mask is None:
        kept = torch.ones_like(wanted, dtype=torch.bool)
    elif not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or mask.shape != wanted.shape:
        got = f"{tuple(mask.shape)} of {mask.dtype}" if isinstance(mask, torch.Tensor) else describe(mask)
        raise ValueError(f"mask: expected a tensor of bool of shape {tuple(wanted.shape)}, got {got}")
    else:
        kept = mask
    wrong = kept & ((wanted < 0) | (wanted >= log_probs.shape[-1]))
    if wrong.any():
        where = tuple(int(i) for i in wrong.nonzero()[0])
        place = f" at position {where[0] if len(where) == 1 else where}" if where else ""
        raise ValueError(
            f"targets: expected integers from 0 to {log_probs.shape[-1] - 1}, got {int(wanted[where])}{place}"
        )
    of_targets = log_probs.gather(-1, torch.where(kept, wanted, 0).unsqueeze(-1)).squeeze(-1)
    return -torch.where(kept, of_targets, 0.0).sum() / kept.sum().clamp(min=1)


def _check(logits: Any, eos_id: object, epsilon: object, start: object) -> tuple[Any, Any, float, int]:
    """The rows in at least float32, the end token's logits in float64, epsilon and start."""
    check_tensor(logits, "logits_seq")
    if logits.ndim < 2 or logits.shape[-1] < 2:
        raise ValueError(
            f"logits_seq: expected shape (..., T, V) with at least 2 tokens, got shape {tuple(logits.shape)}"
        )
    eos = check_scalar_int(eos_id, "eos_id", minimum=0, maximum=logits.shape[-1] - 1)
    share, first = check_open_unit(epsilon, "epsilon"), check_scalar_int(start, "start", minimum=0)
    rows = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    # Sums over many steps need float64, which Apple's GPUs lack.
    wide = rows.dtype if rows.device.type == "mps" else torch.float64
    return rows, rows[..., eos].to(wide), share, first


def _log_one_minus_exp(x: Any) -> Any:
    """ln(1 - e^x) for x <= 0, to full precision near both ends, with finite gradients for x < 0."""
    near = x > -math.log(2)
    close, far = torch.where(near, x, -1.0), torch.where(near, -1.0, x)
    return torch.where(near, torch.log(-torch.expm1(close)), torch.log1p(-torch.exp(far)))


def _combine(rows: Any, eos: int, going_on: Any, stopping: Any) -> Any:
    """Rows of ln p: the end token's, and the others' shares of going on."""
    is_eos = torch.arange(rows.shape[-1], device=rows.device) == eos
    shares = torch.log_softmax(rows.masked_fill(is_eos, -math.inf), dim=-1)
    return torch.where(is_eos, stopping.to(rows.dtype).unsqueeze(-1), shares + going_on.to(rows.dtype).unsqueeze(-1))
