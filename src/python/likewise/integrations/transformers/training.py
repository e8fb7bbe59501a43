"""Adversarial training by the ``Trainer`` of transformers."""

from __future__ import annotations

from types import MethodType, SimpleNamespace, TracebackType
from typing import Any

import torch

from ..._validation import check_text, describe
from ...adversarial import Adversary
from ...adversarial import adversarial_training as _adversarial_training

__all__ = ["AdversarialTrainerMixin", "TrainerPatch", "adversarial_training"]


class AdversarialTrainerMixin:
    """Put before ``Trainer``, it makes every training step one of an `Adversary`.

    Gradient accumulation, mixed precision, label smoothing, a ``compute_loss`` of your own and DistributedDataParallel
    work as they do without.

    Parameters
    ----------
    *args, **kwargs
        Of the ``Trainer``.
    adversary : Adversary, optional
        Of a module of the model that is trained. Without one, steps are plain; the attribute `adversary` may be set
        later.

    Raises
    ------
    TypeError
        `adversary` is something else.
    NotImplementedError
        In training: under DeepSpeed or Megatron-LM, or with several GPUs in one process.

    Notes
    -----
    ``"vat"`` needs a ``compute_loss`` that returns its outputs when asked to, with ``.logits``; ``"gp"`` one that
    returns the losses of the samples.

    Examples
    --------
    >>> from transformers import Trainer
    >>> from likewise.integrations.transformers import AdversarialTrainerMixin
    >>> class RobustTrainer(AdversarialTrainerMixin, Trainer):
    ...     pass

    and then ``RobustTrainer(model, args, adversary=Adversary(model.get_input_embeddings(), epsilon=0.5), ...)``.
    """

    adversary: Adversary | None = None

    def __init__(self, *args: Any, adversary: Adversary | None = None, **kwargs: Any) -> None:
        if adversary is not None and not isinstance(adversary, Adversary):
            raise TypeError(f"adversary: expected an Adversary or None, got {describe(adversary)}")
        super().__init__(*args, **kwargs)
        self.adversary = adversary

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """A step of the adversary on one batch, as ``Trainer.training_step``."""
        if self.adversary is None:
            return super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]
        return _training_step(self, self.adversary, model, inputs, num_items_in_batch)


class TrainerPatch:
    """What `adversarial_training` did to a trainer; `remove` undoes it. Also a context manager.

    Attributes
    ----------
    adversary : Adversary
        That takes the steps.
    """

    def __init__(self, trainer: Any, adversary: Adversary) -> None:
        self.adversary = adversary
        self._trainer: Any = trainer

        def training_step(trainer: Any, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            return _training_step(trainer, adversary, model, inputs, num_items_in_batch)

        trainer.training_step = MethodType(training_step, trainer)

    def remove(self) -> None:
        """Give the trainer its own steps back. A second call does nothing."""
        if self._trainer is not None:
            del self._trainer.training_step
            self._trainer = None
            self.adversary.remove()

    def __enter__(self) -> TrainerPatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()


def adversarial_training(trainer: Any, embedding: str, epsilon: float = 1.0, **overrides: Any) -> TrainerPatch:
    """`likewise.adversarial.adversarial_training` for the steps of one ``Trainer``.

    Parameters
    ----------
    trainer : transformers.Trainer
    embedding : str
        The exact dotted name of the embedding in ``trainer.model``.
    epsilon : float
        Norm of the perturbation of the whole table.
    **overrides
        Other arguments of `Adversary`.

    Returns
    -------
    TrainerPatch

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the trainer is patched already.

    Examples
    --------
    ``adversarial_training(trainer, "bert.embeddings.word_embeddings", epsilon=0.5)``, then ``trainer.train()``.
    """
    if not isinstance(getattr(trainer, "model", None), torch.nn.Module) or not hasattr(trainer, "compute_loss"):
        raise TypeError(f"trainer: expected a transformers.Trainer, got {describe(trainer)}")
    if "training_step" in vars(trainer):
        raise ValueError("trainer: expected one with its own training_step, got one that is patched [call .remove()]")
    return TrainerPatch(
        trainer, _adversarial_training(trainer.model, check_text(embedding, "embedding"), epsilon, **overrides)
    )


def _training_step(trainer: Any, adversary: Adversary, model: Any, inputs: dict[str, Any], n_items: Any) -> Any:
    kind = str(getattr(trainer.accelerator.distributed_type, "value", ""))
    if kind in ("DEEPSPEED", "MEGATRON_LM") or trainer.args.n_gpu > 1:
        raise NotImplementedError(
            f"trainer: expected one device a process and no {kind or 'DataParallel'} for adversarial training, got "
            f"{trainer.args.n_gpu} GPUs [start a process for each GPU]"
        )
    model.train()
    if callable(getattr(trainer.optimizer, "train", None)):  # schedule-free optimizers
        trainer.optimizer.train()
    inputs = trainer._prepare_inputs(inputs)
    n_steps = trainer.current_gradient_accumulation_steps
    # What backward gets is divided by the number of accumulated steps, divergence and penalty, too. A loss that is
    # normalised over all of them is multiplied before, so that it comes out as it was.
    factor = n_steps if _is_normalised(trainer, n_items) else 1

    def closure() -> Any:
        given = dict(inputs)  # compute_loss may take the labels out
        with trainer.compute_loss_context_manager():
            if adversary.method != "vat":
                return trainer.compute_loss(model, given, num_items_in_batch=n_items) * factor
            loss, outputs = trainer.compute_loss(model, given, return_outputs=True, num_items_in_batch=n_items)
        return SimpleNamespace(loss=loss * factor, logits=getattr(outputs, "logits", None))

    def backward(loss: Any, **options: Any) -> None:
        trainer.accelerator.backward(loss / n_steps, **options)

    return adversary.backward(closure, backward=backward).loss / n_steps


def _is_normalised(trainer: Any, n_items: Any) -> bool:
    """Whether the loss is a share of that of all accumulated batches, as ``Trainer.training_step`` decides it."""
    told = getattr(trainer, "loss_is_scaled_for_ga", None)
    if told is not None:
        return bool(told)
    return bool((trainer.model_accepts_loss_kwargs and n_items is not None) or trainer.compute_loss_func is not None)
