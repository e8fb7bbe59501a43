"""The forward hook that adds perturbations to the output of a target and looks at the gradient there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .._validation import describe
from .perturbation import Place


class Pass:
    """One forward pass and what its backward pass needs: the calls of the target in their order.

    Parameters
    ----------
    places : list of Place
        Of the calls; empty for the first pass of a step, which fills it by `locate`.
    locate : callable or None
        Makes the place of a call from its number, input and output. Given for the first pass only.
    deltas : list of Tensor or callable or None
        What to add: tensors of the output's shape in the order of the calls, or a function of number and place.
    capture : str or None
        ``"weights"``: the gradient at the output is looked at while all of the graph is differentiated. ``"input"``:
        the graph starts at the output, so that nothing below it costs anything. ``"graph"``: the output stays in the
        graph, for `torch.autograd.grad` with ``create_graph``.
    """

    def __init__(
        self,
        places: list[Place],
        *,
        locate: Callable[[int, Any, torch.Tensor], Place] | None = None,
        deltas: list[torch.Tensor] | Callable[[int, Place], torch.Tensor] | None = None,
        capture: str | None = None,
    ) -> None:
        self.places = places
        self.points: list[torch.Tensor] = []
        self.gradients: list[torch.Tensor | None] = []
        self._locate, self._deltas, self._capture = locate, deltas, capture
        self._inputs: list[Any] = []
        self._forward = True
        self.act: Callable[[tuple[Any, ...], dict[str, Any], Any], Any] = self._act
        if "torch._dynamo" in sys.modules:  # nothing is compiled before it is imported, which takes seconds
            self.act = torch.compiler.disable(self._act)

    def end_forward(self) -> None:
        """What comes now are recomputations of checkpointed parts. RuntimeError if calls are missing."""
        self._forward = False
        n = len(self._inputs)
        if n == 0:
            raise RuntimeError(
                "target: expected a call of its forward by the closure, got none, so nothing was perturbed "
                "[inputs_embeds bypasses an embedding; what was compiled before the adversary was made has no hook]"
            )
        if n != len(self.places):
            raise RuntimeError(f"target: expected {len(self.places)} calls as in the first pass, got {n}")

    def _act(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"target: expected a module that returns a tensor, got {describe(output)}")
        if not output.dtype.is_floating_point:
            raise TypeError(f"target: expected a floating-point output, got {output.dtype}")
        given = args[0] if args else next(iter(kwargs.values()), None)
        number = len(self._inputs) if self._forward else self._recomputed(given)
        if self._forward:
            self._inputs.append(given)
            if self._locate is not None:
                self.places.append(self._locate(number, given, output))
            elif number >= len(self.places):
                raise RuntimeError(f"target: expected {len(self.places)} calls as in the first pass, got more")
        if output.shape != self.places[number].shape:
            raise RuntimeError(
                f"closure: expected the same batch in every pass, got an output of the target of shape "
                f"{tuple(output.shape)} after {tuple(self.places[number].shape)} in call {number}"
            )
        delta = self._delta(number)
        with torch.enable_grad():  # a frozen embedding may be looked up without
            if delta is not None:
                output = (output + delta).to(output.dtype)
            return self._watched(output)

    def _delta(self, number: int) -> torch.Tensor | None:
        if callable(self._deltas):
            return self._deltas(number, self.places[number])
        return None if self._deltas is None else self._deltas[number]

    def _watched(self, output: torch.Tensor) -> torch.Tensor:
        """The output, or a copy of it that starts the graph; the point is where its gradient is looked at."""
        if self._capture is None:
            return output
        inside = output.requires_grad and self._capture != "input"
        point = output if inside else output.detach().requires_grad_()
        if self._forward:
            number = len(self.points)
            self.points.append(point)
            self.gradients.append(None)
            if self._capture == "weights":
                point.register_hook(lambda gradient: self._store(number, gradient))
        # A copy, because the model may go on in place, which a leaf forbids and a gradient by the point must not see.
        return point if inside and self._capture == "weights" else point.clone()

    def _store(self, number: int, gradient: torch.Tensor) -> None:
        self.gradients[number] = gradient.detach()

    def _recomputed(self, given: Any) -> int:
        """The number of the call that gradient checkpointing repeats."""
        if len(self._inputs) == 1:
            return 0
        same = [i for i, known in enumerate(self._inputs) if _equal(known, given)]
        if len(same) != 1:
            raise RuntimeError(
                f"target: expected to find the call that is recomputed, got {len(same)} of the same input "
                "[leave the embedding out of gradient checkpointing]"
            )
        return same[0]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return bool(a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
    return a is b


class TargetHook:
    """The forward hook of a target; between the passes it does nothing.

    It stays registered for as long as its adversary lives, because a compiled model knows the hooks that were there
    when it was compiled.
    """

    def __init__(self, target: torch.nn.Module) -> None:
        self._pass: Pass | None = None
        self._handle = target.register_forward_hook(self._on_forward, with_kwargs=True)

    @contextmanager
    def during(self, current: Pass) -> Iterator[Pass]:
        """Act on the calls of the target in one pass, backward included."""
        if self._pass is not None:
            raise RuntimeError("closure: expected no call of the adversary that calls it, got one")
        self._pass = current
        try:
            yield current
        finally:
            self._pass = None

    def remove(self) -> None:
        """Take the hook away."""
        self._handle.remove()

    def _on_forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        return None if self._pass is None else self._pass.act(args, kwargs, output)
