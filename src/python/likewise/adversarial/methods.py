"""The methods: which passes a step makes, and what each of them adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .._validation import describe
from .passes import Passes, sample_losses, scalar_loss
from .penalty import directions_of, first_gradients, naming_the_cure, penalty_of, surrogate_of, weights_of
from .perturbation import Place, norms, unit
from .settings import AdversarialStep


def ascent(passes: Passes, epsilon: float, seed: int) -> AdversarialStep:
    """FGM and PGD: a clean pass, ascents from zero, and the pass that trains."""
    s = passes.settings
    if s.adv_weight == 0:
        return _clean_only(passes)
    if s.clean_weight > 0:
        clean, gradients = passes.train(None, s.clean_weight, capture=True)
    else:
        clean, gradients = passes.look(None)
    alpha = epsilon if s.method == "fgm" else _alpha(passes, epsilon)
    values = passes.climb(None, clean, gradients, epsilon, alpha)
    for _ in range(s.steps - 1):
        loss, gradients = passes.look(passes.spread(values))
        values = passes.climb(values, loss, gradients, epsilon, alpha)
    adversarial, _ = passes.train(passes.spread(values), s.adv_weight, last=True)
    return _step(passes, clean, adversarial, values)


def freelb(passes: Passes, epsilon: float, seed: int) -> AdversarialStep:
    """FreeLB: ascents from a random start, every pass of which trains."""
    s = passes.settings
    if s.adv_weight == 0:
        return _clean_only(passes)
    clean = passes.train(None, s.clean_weight)[0] if s.clean_weight > 0 else None
    values: list[torch.Tensor] = []

    def start(number: int, place: Place) -> torch.Tensor:
        if number == len(values):
            values.append(place.noise(seed + number, normal=False) * (epsilon / _root(place.sizes(s.norm))))
        return place.spread(values[number])

    deltas: Any = start
    total = []
    for step in range(s.steps):
        last = step == s.steps - 1
        loss, gradients = passes.train(deltas, s.adv_weight / s.steps, capture=True, last=last)
        total.append(loss)
        if last:
            passes.note(loss)
        else:
            values = passes.climb(values, loss, gradients, epsilon, _alpha(passes, epsilon))
            deltas = passes.spread(values)
    return _step(passes, clean, torch.stack(total).mean(), values)


def virtual(passes: Passes, epsilon: float, seed: int) -> AdversarialStep:
    """VAT: the direction in which the prediction changes most, by power iteration; needs no labels."""
    s = passes.settings
    with passes.run(last=s.adv_weight == 0) as (result, _):
        logits = _logits(result)
        clean = _clean_loss(result)
        if clean is not None and s.clean_weight > 0:
            passes.add_gradients(clean, s.clean_weight)
            passes.note(clean.detach())
    clean = None if clean is None else clean.detach()
    if s.adv_weight == 0:
        if clean is None:
            raise ValueError("closure: expected an object with .loss where adv_weight is 0, got none")
        return _step(passes, clean, None, [])
    before = torch.log_softmax(logits.detach().to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)

    def divergence(result: Any) -> torch.Tensor:
        return _divergence(before, _logits(result))

    values = [place.noise(seed + number, normal=True) for number, place in enumerate(passes.places)]
    for _ in range(s.steps):
        directions = _directions(passes, values)
        with passes.run(passes.spread([s.xi * u for u in directions]), capture="input") as (result, current):
            loss = divergence(result)
            gradients = passes.input_gradients(loss, current)
        values = [place.gather(gradient) for place, gradient in zip(passes.places, gradients, strict=True)]
        passes.note(loss.detach())
    values = [epsilon * u for u in _directions(passes, values)]
    passes.note(*(norms(value, "batch", 2.0) for value in values))
    values = passes.where_finite(values)
    adversarial, _ = passes.train(passes.spread(values), s.adv_weight, last=True, loss_of=divergence)
    return _step(passes, clean, adversarial, values)


def penalised(passes: Passes, epsilon: float, grad_scale: float) -> AdversarialStep:
    """The gradient penalty, by differentiating twice or by finite differences."""
    s = passes.settings
    if s.adv_weight == 0:
        return _clean_only(passes, lambda result: sample_losses(result, passes.places).mean())
    double = s.gp_mode == "double"
    with passes.run(capture="graph", last=double) as (result, current):
        losses = sample_losses(result, passes.places)
        found = first_gradients(losses, current.points, create_graph=double, retain_graph=True, scale=grad_scale)
        gradients = [place.gather(g) for place, g in zip(passes.places, found, strict=True)]
        penalty = penalty_of(gradients, epsilon, squared=s.squared, reduction=s.reduction)
        passes.note(losses.detach(), penalty.detach())
        clean, total = losses.mean(), s.clean_weight * losses.mean()
        weights = weights_of(gradients, epsilon, h=s.h, squared=s.squared, reduction=s.reduction)
        (weights,) = passes.where_finite([weights.detach()])
        if double and not passes.skipped:
            total = total + s.adv_weight * penalty
        elif not double and s.order == 1:
            total = total - s.adv_weight * surrogate_of(losses, weights)
        with naming_the_cure():
            passes.add_gradients(total, 1.0)
    values = [torch.zeros_like(g) for g in gradients]
    if not double:  # after a skip, too: other processes make these passes, and wait for this one
        values = passes.where_finite([s.h * u for u in directions_of(gradients, s.reduction)])
        for sign in (1,) if s.order == 1 else (1, -1):
            passes.train(
                passes.spread([sign * value for value in values]),
                sign * s.adv_weight / s.order,
                last=sign == (1 if s.order == 1 else -1),
                loss_of=lambda result: surrogate_of(sample_losses(result, passes.places), weights),
            )
    return _step(passes, clean.detach(), penalty.detach(), values)


METHODS: dict[str, Callable[[Passes, float, int], AdversarialStep]] = {
    "fgm": ascent,
    "pgd": ascent,
    "freelb": freelb,
    "vat": virtual,
}


def _clean_only(passes: Passes, loss_of: Callable[[Any], torch.Tensor] | None = None) -> AdversarialStep:
    clean, _ = passes.train(None, passes.settings.clean_weight, last=True, loss_of=loss_of)
    passes.note(clean)
    return _step(passes, clean, None, [])


def _step(
    passes: Passes, clean: torch.Tensor | None, adversarial: torch.Tensor | None, values: list[torch.Tensor]
) -> AdversarialStep:
    s = passes.settings
    terms = [w * x for w, x in ((s.clean_weight, clean), (s.adv_weight, adversarial)) if x is not None and w > 0]
    return AdversarialStep(sum(terms), clean, adversarial, passes.largest_norm(values), passes.skipped)


def _alpha(passes: Passes, epsilon: float) -> float:
    s = passes.settings
    return 1.5 * epsilon / s.steps if s.alpha is None else s.alpha


def _root(size: torch.Tensor | int) -> torch.Tensor | float:
    return size.clamp_min(1).sqrt() if isinstance(size, torch.Tensor) else max(size, 1) ** 0.5


def _directions(passes: Passes, values: list[torch.Tensor]) -> list[torch.Tensor]:
    s = passes.settings
    return [unit(value, norms(value, s.norm, s.p), s.p, s.tiny) for value in values]


def _logits(result: Any) -> torch.Tensor:
    logits = result if isinstance(result, torch.Tensor) else getattr(result, "logits", None)
    if not isinstance(logits, torch.Tensor):
        raise TypeError(f"closure: expected logits or an object with .logits, got {describe(result)}")
    if logits.ndim < 2 or logits.shape[-1] < 2:
        raise ValueError(f"closure: expected logits (..., classes) of at least 2 classes, got {tuple(logits.shape)}")
    return logits


def _clean_loss(result: Any) -> torch.Tensor | None:
    if isinstance(result, torch.Tensor) or getattr(result, "loss", None) is None:
        return None
    return scalar_loss(result)


def _divergence(before: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Mean over the predictions of sum p ln(p / q), p given by its logarithms."""
    if logits.shape != before.shape:
        raise RuntimeError(
            f"closure: expected logits of shape {tuple(before.shape)} in every pass, got {tuple(logits.shape)}"
        )
    after = torch.log_softmax(logits.to(before.dtype), dim=-1)
    p = before.exp()
    # Where p is 0 both logarithms may be -inf.
    return torch.where(p > 0, p * (before - after), 0).sum(dim=-1).mean()
