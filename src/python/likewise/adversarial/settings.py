"""The arguments of an adversary, checked, and what a step returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .._validation import check_bool, check_choice, check_scalar_float, check_scalar_int, describe

METHODS = ("fgm", "pgd", "freelb", "vat", "gp")
NORMS = ("sample", "token", "batch")
TINY = 1e-12  # the denominators are norm + tiny, so that a gradient of zero moves nothing


@dataclass(frozen=True)
class Settings:
    """What `Adversary` was told, with the defaults of its method filled in."""

    method: str
    epsilon: float
    norm: str
    space: str
    p: float
    steps: int
    alpha: float | None
    xi: float
    warmup: int
    clean_weight: float
    adv_weight: float
    same_dropout: bool
    squared: bool
    reduction: str
    gp_mode: str
    h: float
    order: int
    on_nonfinite: str
    tiny: float = TINY


@dataclass(frozen=True)
class AdversarialStep:
    """What one call of `Adversary.backward` did. Tensors are scalars without a graph.

    Attributes
    ----------
    loss : Tensor
        clean_weight * clean_loss + adv_weight * adversarial_loss: that whose gradient was added.
    clean_loss : Tensor or None
        Of the unperturbed input (``"gp"``: the mean over the samples); None where no pass computed it.
    adversarial_loss : Tensor or None
        Of the perturbed input (``"freelb"``: the mean over its passes; ``"vat"``: the divergence; ``"gp"``: the
        penalty); None with ``adv_weight=0``.
    perturbation_norm : Tensor
        The largest norm, over the samples (tokens, batch: the unit of `norm`), of what was added in the last pass.
    skipped : bool
        Whether a gradient or loss was not finite, so that nothing was added (``"gp"``: that the penalty was left out).
    """

    loss: torch.Tensor
    clean_loss: torch.Tensor | None
    adversarial_loss: torch.Tensor | None
    perturbation_norm: torch.Tensor
    skipped: bool


def check_settings(
    *,
    method: str,
    epsilon: float,
    norm: str | None,
    space: str,
    p: float,
    steps: int | None,
    alpha: float | None,
    xi: float,
    warmup: int,
    clean_weight: float | None,
    adv_weight: float,
    same_dropout: bool,
    squared: bool,
    reduction: str,
    gp_mode: str,
    h: float,
    order: int,
    on_nonfinite: str,
) -> Settings:
    """The settings of an adversary; ValueError or TypeError naming the argument that is wrong."""
    method = check_choice(method, "method", METHODS)
    space = check_choice(space, "space", ("activation", "rows"))
    weights = (
        (0.0 if method == "freelb" else 1.0)
        if clean_weight is None
        else check_scalar_float(clean_weight, "clean_weight", minimum=0.0),
        check_scalar_float(adv_weight, "adv_weight", minimum=0.0),
    )
    if weights == (0.0, 0.0):
        raise ValueError("adv_weight: expected a number > 0, got 0 [clean_weight is 0, too]")
    settings = Settings(
        method,
        check_scalar_float(epsilon, "epsilon", minimum=0.0),
        check_norm(norm, space),
        space,
        check_p(p),
        _check_steps(steps, method),
        None if alpha is None else check_scalar_float(alpha, "alpha", exclusive_minimum=0.0),
        check_scalar_float(xi, "xi", exclusive_minimum=0.0),
        check_scalar_int(warmup, "warmup", minimum=0),
        *weights,
        check_bool(same_dropout, "same_dropout"),
        check_bool(squared, "squared"),
        check_choice(reduction, "reduction", ("sample", "batch")),
        check_choice(gp_mode, "gp_mode", ("double", "fd")),
        check_scalar_float(h, "h", exclusive_minimum=0.0),
        check_scalar_int(order, "order", minimum=1, maximum=2),
        check_choice(on_nonfinite, "on_nonfinite", ("skip", "raise")),
    )
    if alpha is not None and method not in ("pgd", "freelb"):
        raise ValueError(f"alpha: expected None with method={method!r}, got {describe(alpha)}")
    if method == "gp":
        for name, value, only in (("space", space, "activation"), ("norm", settings.norm, "sample")):
            if value != only:
                raise ValueError(f"{name}: expected {only!r} with method='gp', got {value!r}")
        if settings.p != 2:
            raise ValueError("p: expected 2 with method='gp', got infinity")
    return settings


def check_norm(norm: object, space: str = "activation") -> str:
    """The unit of the norm. A row of a table belongs to no sample."""
    if norm is None:
        return "batch" if space == "rows" else "sample"
    found = check_choice(norm, "norm", NORMS)
    if space == "rows" and found == "sample":
        raise ValueError("norm: expected 'batch' or 'token' with space='rows', got 'sample' [samples share rows]")
    return found


def check_p(p: object) -> float:
    """2 or infinity."""
    if isinstance(p, bool) or not isinstance(p, int | float):
        raise TypeError(f"p: expected 2 or infinity, got {describe(p)}")
    if p not in (2, math.inf):
        raise ValueError(f"p: expected 2 or infinity, got {p}")
    return float(p)


def _check_steps(steps: object, method: str) -> int:
    if method in ("fgm", "gp"):
        if steps not in (None, 1) or isinstance(steps, bool):
            hint = " [several steps are 'pgd']" if method == "fgm" else ""
            raise ValueError(f"steps: expected None or 1 with method={method!r}, got {describe(steps)}{hint}")
        return 1
    if steps is None:
        return 1 if method == "vat" else 3
    return check_scalar_int(steps, "steps", minimum=0 if method == "vat" else 1)
