"""What several passes must not disturb: random numbers, statistics of BatchNorm, the reduction of gradients by DDP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

_CALL: CodeType = torch.nn.Module._wrapped_call_impl.__code__  # every call of a module goes through it


class RandomState:
    """The state of torch's generators: CPU, and the current CUDA device if one is in use."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None

    def restore(self) -> None:
        """Set the generators back."""
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda)


class Surroundings:
    """Keeps order around the passes of one step.

    The modules that are being called while the target is (the model, a wrapper of it) are found in the first pass. From
    the second on their BatchNorm layers use, but do not update, statistics; in all but the last pass
    DistributedDataParallel reduces nothing. With `same_dropout` every pass draws the random numbers of the first.
    """

    def __init__(self, *, same_dropout: bool) -> None:
        self._same_dropout = same_dropout
        self._before: RandomState | None = None
        self._models: list[torch.nn.Module] | None = None
        self._stack: ExitStack | None = None

    @contextmanager
    def around(self, *, last: bool) -> Iterator[None]:
        """Around a pass, backward included."""
        with ExitStack() as stack:
            if not last:
                self._stack = stack  # a wrapper that is found in this pass is to keep quiet in it, too
            for model in self._models or ():
                _freeze_statistics(model, stack)
                self._keep_quiet(model)
            try:
                yield
            finally:
                self._stack = None

    @contextmanager
    def draws(self) -> Iterator[None]:
        """Around the forward pass."""
        if not self._same_dropout:
            yield
        elif self._before is None:
            self._before = RandomState()
            yield
        else:
            after = RandomState()
            self._before.restore()
            try:
                yield
            finally:
                after.restore()

    def look_around(self) -> None:
        """Find the modules that are being called. To be called from the target's hook in the first pass."""
        self._models = []
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code is _CALL:
                model = frame.f_locals["self"]
                self._models.append(model)
                self._keep_quiet(model)
            frame = frame.f_back  # type: ignore[assignment]

    def _keep_quiet(self, model: Any) -> None:
        if self._stack is not None and isinstance(model, DistributedDataParallel):
            self._stack.enter_context(model.no_sync())


def _freeze_statistics(model: torch.nn.Module, stack: ExitStack) -> None:
    for layer in model.modules():
        if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats:
            layer.track_running_stats = False
            stack.callback(setattr, layer, "track_running_stats", True)
