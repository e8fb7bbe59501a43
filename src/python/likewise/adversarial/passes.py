"""The passes of one step over the same batch: each runs the closure once, perturbed or not, and differentiates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .._validation import describe
from .hook import Pass, TargetHook
from .perturbation import Place, norms, project, unit
from .settings import Settings
from .surroundings import Surroundings

Backward = Callable[..., Any]


class Passes:
    """Runs the passes of a step.

    Attributes
    ----------
    places : list of Place
        Of the calls of the target, in their order; empty before the first pass.
    finite : Tensor or None
        bool: whether all losses and gradients so far were finite.
    """

    def __init__(
        self,
        hook: TargetHook,
        settings: Settings,
        closure: Callable[[], Any],
        locate: Callable[[int, Any, torch.Tensor], Place],
        backward: Backward | None,
        retain_graph: bool,
    ) -> None:
        self.settings = settings
        self.places: list[Place] = []
        self.finite: torch.Tensor | None = None
        self._hook, self._closure, self._locate = hook, closure, locate
        self._backward, self._retain_graph = backward, retain_graph
        self._surroundings = Surroundings(same_dropout=settings.same_dropout)

    @contextmanager
    def run(
        self,
        deltas: list[torch.Tensor] | Callable[[int, Place], torch.Tensor] | None = None,
        *,
        capture: str | None = None,
        last: bool = False,
    ) -> Iterator[tuple[Any, Pass]]:
        """Run the closure; what it returned is to be differentiated inside the block."""
        current = Pass(self.places, locate=None if self.places else self._locate_first, deltas=deltas, capture=capture)
        with self._surroundings.around(last=last), self._hook.during(current):
            with self._surroundings.draws():
                result = self._closure()
            current.end_forward()
            yield result, current

    def _locate_first(self, number: int, given: Any, output: torch.Tensor) -> Place:
        if number == 0:
            self._surroundings.look_around()
        return self._locate(number, given, output)

    # --- Differentiation ---

    def add_gradients(self, loss: torch.Tensor, weight: float) -> None:
        """Add the gradients of weight * loss by the parameters to those that are there."""
        weighted = loss if weight == 1 else weight * loss
        kept = {"retain_graph": True} if self._retain_graph else {}
        if self._backward is None:
            weighted.backward(**kept)
        else:
            self._backward(weighted, **kept)

    def input_gradients(self, loss: torch.Tensor, current: Pass) -> list[torch.Tensor | None]:
        """Gradients at the calls of the target alone, times whatever factor the caller's backward puts to a loss."""
        if not loss.requires_grad:
            raise _independent()
        found = torch.autograd.grad(
            loss,
            current.points,
            grad_outputs=self._factor(loss),
            retain_graph=self._retain_graph,
            allow_unused=True,
        )
        return _some(list(found))

    def _factor(self, loss: torch.Tensor) -> torch.Tensor | None:
        """d(what the caller's backward differentiates) / d loss: the scale that keeps float16 from underflowing."""
        if self._backward is None:
            return None
        probe = loss.detach().clone().requires_grad_()
        self._backward(probe)
        if probe.grad is None:
            raise RuntimeError("backward: expected a function that differentiates the loss it is given, got another")
        return probe.grad

    # --- Kinds of passes ---

    def train(
        self,
        deltas: list[torch.Tensor] | Callable[[int, Place], torch.Tensor] | None,
        weight: float,
        *,
        capture: bool = False,
        last: bool = False,
        loss_of: Callable[[Any], torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        """A pass that adds gradients of the parameters; the loss, and the gradients at the target if captured."""
        with self.run(deltas, capture="weights" if capture else None, last=last) as (result, current):
            loss = (loss_of or scalar_loss)(result)
            self.add_gradients(loss, weight)
        return loss.detach(), _some(current.gradients) if capture else []

    def look(self, deltas: list[torch.Tensor] | None) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        """A pass for the gradients at the target alone, which costs no gradient of a parameter."""
        with self.run(deltas, capture="input") as (result, current):
            loss = scalar_loss(result)
            gradients = self.input_gradients(loss, current)
        return loss.detach(), gradients

    # --- Values of all calls ---

    def climb(
        self,
        values: list[torch.Tensor] | None,
        loss: torch.Tensor,
        gradients: list[torch.Tensor | None],
        epsilon: float,
        alpha: float,
    ) -> list[torch.Tensor]:
        """Values after a step of length alpha along the gradient, in the ball; zero from a gradient not finite on."""
        s, found = self.settings, []
        for number, (place, gradient) in enumerate(zip(self.places, gradients, strict=True)):
            g = place.gather(gradient)
            lengths = norms(g, s.norm, s.p)
            self.note(loss, lengths)
            step = alpha * unit(g, lengths, s.p, s.tiny)
            found.append(project(step if values is None else values[number] + step, epsilon, s.norm, s.p))
        return self.where_finite(found)

    def note(self, *tensors: torch.Tensor) -> None:
        """Take down whether all numbers are finite."""
        for tensor in tensors:
            finite = torch.isfinite(tensor).all()
            self.finite = finite if self.finite is None else self.finite & finite.to(self.finite.device)
        if self.settings.on_nonfinite == "raise" and not bool(self.finite):
            raise FloatingPointError("loss: expected finite values and gradients, got NaN or infinity")

    def where_finite(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """The values, or zeros if something was not finite."""
        assert self.finite is not None
        return [torch.where(self.finite.to(value.device), value, 0) for value in values]

    def spread(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """What is added in each call."""
        return [place.spread(value) for place, value in zip(self.places, values, strict=True)]

    def largest_norm(self, values: list[torch.Tensor]) -> torch.Tensor:
        """Over the units of all calls."""
        s = self.settings
        return torch.stack([norms(value, s.norm, s.p).max() for value in values if value.numel()] or [_zero()]).max()

    @property
    def skipped(self) -> bool:
        """Whether something was not finite."""
        return self.finite is not None and not bool(self.finite)


def scalar_loss(result: Any) -> torch.Tensor:
    """The loss that a closure returned: a scalar tensor that depends on something."""
    loss = _loss(result)
    if loss.ndim != 0:
        raise ValueError(f"closure: expected a scalar loss, got shape {tuple(loss.shape)} [call .mean()]")
    return loss


def sample_losses(result: Any, places: list[Place]) -> torch.Tensor:
    """The losses of the samples that a closure returned."""
    losses = _loss(result)
    n = places[0].shape[0]
    if any(place.shape[0] != n for place in places) or losses.shape != (n,):
        raise ValueError(
            f"closure: expected a loss for each of the {n} samples with method='gp', got shape {tuple(losses.shape)} "
            "[reduction='none', then a mean over the tokens of each sample]"
        )
    return losses


def _loss(result: Any) -> torch.Tensor:
    loss = result if isinstance(result, torch.Tensor) else getattr(result, "loss", None)
    if not isinstance(loss, torch.Tensor):
        hint = " [pass labels]" if hasattr(result, "loss") else ""
        raise TypeError(f"closure: expected a tensor or an object with .loss, got {describe(result)}{hint}")
    return loss


def _some(gradients: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    if all(gradient is None for gradient in gradients):
        raise _independent()
    return gradients


def _independent() -> RuntimeError:
    return RuntimeError("target: expected a loss that depends on its output, got one that does not")


def _zero() -> torch.Tensor:
    return torch.zeros(())
