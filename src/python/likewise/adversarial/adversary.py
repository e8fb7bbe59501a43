"""The adversary of a model: one call in place of ``loss.backward()``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeAlias

import torch

from .._validation import check_bool, check_scalar_float, check_scalar_int, describe
from .hook import TargetHook
from .methods import METHODS, penalised
from .passes import Passes
from .perturbation import Place
from .settings import AdversarialStep, check_settings
from .surroundings import RandomState
from .targets import embedding_like, resolve

Mask: TypeAlias = "torch.Tensor | Callable[[], Any] | None"


class Adversary:
    r"""Trains a model on embeddings that are perturbed in the direction that hurts most.

    :math:`\min_\theta E \max_{\|\delta\| \le \epsilon} L(x + \delta)`, where x is the output of the target module,
    mostly the embeddings of a batch. `backward` takes the place of ``loss.backward()``: it runs the forward pass
    several times, and adds ``clean_weight * dL(x)/dtheta + adv_weight * dL(x + delta)/dtheta`` to the gradients.
    Parameters are never written: a hook adds delta to the target's output.

    Parameters
    ----------
    target : torch.nn.Module or (torch.nn.Module, str)
        The module whose output tensor, shape (B, L, d) or (B, ..., d), is perturbed; or a model and the exact dotted
        name of the module in it.
    method : {"fgm", "pgd", "freelb", "vat", "gp"}
        With unit(v) = v / (||v|| + 1e-12):

        - ``"fgm"``: delta = epsilon unit(g) for the gradient g = dL/dx. 2 passes.
        - ``"pgd"``: `steps` times delta <- the nearest to delta + alpha unit(g) in the ball. steps + 1 passes.
        - ``"freelb"``: as pgd from a random start; each pass trains by 1/steps of the weight. steps passes.
        - ``"vat"``: the direction in which the prediction changes most, by `steps` power iterations; adds the
          divergence KL(f(x), f(x + delta)), f(x) being a constant. Needs no labels; ``steps=0`` is Gaussian noise.
          steps + 2 passes.
        - ``"gp"``: adds the penalty of `gradient_penalty`. 1 pass, or 2 or 3 with ``gp_mode="fd"``.
    epsilon : float
        Radius of the ball, >= 0; the weight of the penalty for ``"gp"``. As a rule of thumb start with a tenth of the
        mean norm of a sample's embeddings. A fifth and more has destroyed training from randomly initialised
        embeddings.
    norm : {"sample", "token", "batch"}, optional
        What one norm is taken over: (L, d) of each sample (default), d of each position, or all of one call of the
        target (default with ``space="rows"``; it depends on how batches are cut). The same epsilon means something
        else in each.
    space : {"activation", "rows"}
        One perturbation for each position, or one for each row of the embedding, the same wherever its id occurs in one
        call of the target. Rows equal writing into the table bit for bit, as long as only that lookup uses it: an
        output layer tied to it stays as it is (`perturb_rows` moves it, too).
    p : {2, math.inf}
        Of the norm; with infinity unit(g) is sign(g).
    steps : int, optional
        Of pgd and freelb (default 3), of vat (default 1).
    alpha : float, optional
        Step length of pgd and freelb, > 0. Default: 1.5 epsilon / steps.
    xi : float
        Distance of vat's power iteration, > 0.
    warmup : int
        Epsilon grows linearly from 0 over so many calls.
    clean_weight, adv_weight : float
        Weights, >= 0, not both 0. `clean_weight` is 1 by default, 0 for freelb. With 0 the clean pass computes no
        gradient of a parameter, which is cheaper.
    padding_idx : int, None or "auto"
        Id of padding, which is zero in every perturbation and left out of every norm. "auto": the target's own.
    mask : Tensor of bool, shape (B, L), or callable, optional
        False at padding; or a function that returns it, called once a step while the closure runs. A list of masks
        serves several calls of the target in their order.
    same_dropout : bool
        Whether every pass draws the random numbers of the first, so that it sees the same dropout masks.
    squared, reduction, gp_mode, h, order
        Of ``"gp"``, as in `gradient_penalty`.
    generator : torch.Generator, optional
        For freelb and vat. Default: torch's own.
    on_nonfinite : {"skip", "raise"}
        What happens at NaN or infinity in a loss or gradient: nothing is added (the passes still run, so that a
        gradient scaler sees it and skips the step), or FloatingPointError.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong.

    Notes
    -----
    BatchNorm updates its statistics in the first pass only, and DistributedDataParallel reduces gradients in the last
    one only, both in models that run while the target is called. A target that is called several times in one forward
    pass gets a perturbation for each call. Extra memory is O(B L d), whatever the size of the vocabulary.

    References
    ----------
    Miyato et al. 2017, arXiv 1605.07725 (fgm) and 1704.03976 (vat); Madry et al. 2018, arXiv 1706.06083 (pgd); Zhu et
    al. 2020, arXiv 1909.11764 (freelb); Su Jianlin, kexue.fm/archives/7234 and 7466.

    Examples
    --------
    >>> import torch
    >>> from likewise.adversarial import Adversary
    >>> _ = torch.manual_seed(0)
    >>> embedding, layer = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2)
    >>> ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
    >>> loss = torch.nn.CrossEntropyLoss()
    >>> adversary = Adversary(embedding, epsilon=0.5)
    >>> step = adversary.backward(lambda: loss(layer(embedding(ids).mean(1)), labels))
    >>> step.clean_loss < step.adversarial_loss
    tensor(True)
    >>> step.perturbation_norm
    tensor(0.5000)
    """

    def __init__(
        self,
        target: torch.nn.Module | tuple[torch.nn.Module, str],
        method: str = "fgm",
        epsilon: float = 1.0,
        *,
        norm: str | None = None,
        space: str = "activation",
        p: float = 2,
        steps: int | None = None,
        alpha: float | None = None,
        xi: float = 1e-2,
        warmup: int = 0,
        clean_weight: float | None = None,
        adv_weight: float = 1.0,
        padding_idx: int | str | None = "auto",
        mask: Mask = None,
        same_dropout: bool = False,
        squared: bool = True,
        reduction: str = "sample",
        gp_mode: str = "double",
        h: float = 1e-2,
        order: int = 1,
        generator: torch.Generator | None = None,
        on_nonfinite: str = "skip",
    ) -> None:
        self._settings = check_settings(
            method=method,
            epsilon=epsilon,
            norm=norm,
            space=space,
            p=p,
            steps=steps,
            alpha=alpha,
            xi=xi,
            warmup=warmup,
            clean_weight=clean_weight,
            adv_weight=adv_weight,
            same_dropout=same_dropout,
            squared=squared,
            reduction=reduction,
            gp_mode=gp_mode,
            h=h,
            order=order,
            on_nonfinite=on_nonfinite,
        )
        module = resolve(target)
        if space == "rows" and not embedding_like(module):
            raise ValueError(
                f"space: expected 'activation' for a target without a table, got 'rows' for {describe(module)}"
            )
        self._padding_idx = _check_padding(padding_idx, module)
        self._mask = _check_mask(mask)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator: expected a torch.Generator or None, got {describe(generator)}")
        self._generator = generator
        self._n_calls = 0
        self._hook: TargetHook | None = TargetHook(module)

    def backward(
        self,
        closure: Callable[[], Any],
        *,
        backward: Callable[..., Any] | None = None,
        retain_graph: bool = False,
        grad_scale: float = 1.0,
    ) -> AdversarialStep:
        """Run the passes of the method and add their gradients, in place of ``loss.backward()``.

        Parameters
        ----------
        closure : callable
            Without arguments: a whole forward pass on one batch, which must be repeatable and must not differentiate.
            Returns a scalar loss or an object with ``.loss``; for ``"vat"`` logits or an object with ``.logits`` and
            optionally ``.loss`` (the divergence is the mean over all axes but the last: return those that count); for
            ``"gp"`` the losses of the samples, shape (B,).
        backward : callable, optional
            Differentiates the loss it is given, e.g. ``accelerator.backward`` or
            ``lambda loss: scaler.scale(loss).backward()``. Default: `Tensor.backward`.
        retain_graph : bool
            Keep the graphs of all passes; a `backward` of yours is then given it, too.
        grad_scale : float
            For ``"gp"`` in float16: losses are multiplied by it before their gradient is taken, and the gradient
            divided.

        Returns
        -------
        AdversarialStep

        Raises
        ------
        RuntimeError
            Gradients are off (`no_grad`, `inference_mode`), the target was not called or not as often as in the first
            pass, the loss does not depend on it, or the adversary was removed.
        ValueError, TypeError
            The closure returned something else than what it should.
        FloatingPointError
            With ``on_nonfinite="raise"``.

        Notes
        -----
        When something raises, the state of torch's random generators is put back; gradients that earlier passes added
        stay.
        """
        if self._hook is None:
            raise RuntimeError("adversary: expected one in use, got one that was removed")
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            raise RuntimeError("backward: expected gradients to be enabled, got a call under no_grad or inference_mode")
        if not callable(closure):
            raise TypeError(f"closure: expected a function, got {describe(closure)} [pass lambda: model(**batch).loss]")
        if backward is not None and not callable(backward):
            raise TypeError(f"backward: expected a function or None, got {describe(backward)}")
        retain_graph = check_bool(retain_graph, "retain_graph")
        grad_scale = check_scalar_float(grad_scale, "grad_scale", exclusive_minimum=0.0)
        s = self._settings
        epsilon = s.epsilon if self._n_calls >= s.warmup else s.epsilon * self._n_calls / s.warmup
        passes = Passes(
            self._hook, s, closure, _Locator(s.space, self._padding_idx, self._mask), backward, retain_graph
        )
        before = RandomState()
        of_generator = None if self._generator is None else self._generator.get_state()
        try:
            if s.method == "gp":
                step = penalised(passes, epsilon, grad_scale)
            else:
                step = METHODS[s.method](passes, epsilon, self._seed())
        except BaseException:
            before.restore()
            if self._generator is not None:
                self._generator.set_state(of_generator)
            raise
        self._n_calls += 1
        return step

    @property
    def method(self) -> str:
        """The name of the method."""
        return self._settings.method

    def remove(self) -> None:
        """Take the hook off the target. A second call does nothing."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def __enter__(self) -> Adversary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def _seed(self) -> int:
        """Of the noise. Drawn before the first pass, so that dropout sees the numbers that it would see anyway."""
        if self._settings.method not in ("freelb", "vat"):
            return 0
        source = self._generator
        device = "cpu" if source is None else source.device
        return int(torch.randint(2**62, (), generator=source, device=device))


def adversarial_training(model: torch.nn.Module, embedding: str, epsilon: float = 1.0, **overrides: Any) -> Adversary:
    """The one-line recipe of kexue.fm/archives/7234: training on perturbed rows of an embedding alone.

    With G the gradient of the loss by the table, ``delta = epsilon G / (||G|| + 1e-8)``, and the gradient is that at
    ``W + delta``: FGM with ``space="rows"``, ``norm="batch"``, ``clean_weight=0``.

    Parameters
    ----------
    model : torch.nn.Module
    embedding : str
        The exact dotted name of the embedding in the model. (The recipe takes a part of the name, which finds
        embeddings of positions, too.)
    epsilon : float
        Norm of the perturbation of the whole table.
    **overrides
        Other arguments of `Adversary`.

    Returns
    -------
    Adversary

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the name is not in the model (the text lists candidates).

    Examples
    --------
    >>> import torch
    >>> from likewise.adversarial import adversarial_training
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> adversary = adversarial_training(model, "0", epsilon=0.5)
    >>> ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
    >>> step = adversary.backward(lambda: torch.nn.functional.cross_entropy(model(ids), labels))
    >>> step.loss == step.adversarial_loss
    tensor(True)
    """
    recipe: dict[str, Any] = {"method": "fgm", "space": "rows", "norm": "batch", "clean_weight": 0.0}
    if overrides.get("space", "rows") != "rows":
        del recipe["norm"]
    adversary = Adversary((model, embedding), epsilon=epsilon, **(recipe | overrides))
    adversary._settings = replace(adversary._settings, tiny=1e-8)
    return adversary


class _Locator:
    """Makes the places of one step: which positions are padding, which rows they refer to."""

    def __init__(self, space: str, padding_idx: int | None, mask: Mask) -> None:
        self._space, self._padding_idx, self._mask = space, padding_idx, mask
        self._masks: Any = None

    def __call__(self, number: int, given: Any, output: torch.Tensor) -> Place:
        if output.ndim < 2:
            raise ValueError(f"target: expected an output of shape (B, ..., d), got {tuple(output.shape)}")
        keep = self._mask_of(number, output)
        ids = None
        if self._space == "rows" or self._padding_idx is not None:
            ids = _check_ids(given, output)
        if self._padding_idx is not None:
            words = ids != self._padding_idx
            keep = words if keep is None else keep & words
        return Place.of(output, keep, ids if self._space == "rows" else None)

    def _mask_of(self, number: int, output: torch.Tensor) -> torch.Tensor | None:
        if self._mask is None:
            return None
        if number == 0:
            self._masks = self._mask if isinstance(self._mask, torch.Tensor) else self._mask()
        mask = self._masks
        if isinstance(mask, list | tuple):
            if number >= len(mask):
                raise ValueError(f"mask: expected a mask for each call of the target, got {len(mask)}")
            mask = mask[number]
        _check_mask_tensor(mask)
        if mask.shape != output.shape[:-1]:
            raise ValueError(f"mask: expected shape {tuple(output.shape[:-1])}, got {tuple(mask.shape)}")
        return mask.to(output.device)


def _check_ids(given: Any, output: torch.Tensor) -> torch.Tensor:
    if not isinstance(given, torch.Tensor) or given.dtype.is_floating_point or given.shape != output.shape[:-1]:
        got = f"{given.dtype} of shape {tuple(given.shape)}" if isinstance(given, torch.Tensor) else describe(given)
        raise ValueError(
            f"target: expected ids of shape {tuple(output.shape[:-1])} as its input, got {got} "
            "[padding_idx=None, or a mask]"
        )
    return given


def _check_padding(padding_idx: object, module: torch.nn.Module) -> int | None:
    if padding_idx is None:
        return None
    if isinstance(padding_idx, str):
        if padding_idx != "auto":
            raise ValueError(f"padding_idx: expected an id, None or 'auto', got {describe(padding_idx)}")
        own = getattr(module, "padding_idx", None)
        return own if isinstance(own, int) else None
    return check_scalar_int(padding_idx, "padding_idx", minimum=0)


def _check_mask(mask: Mask) -> Mask:
    if mask is not None and not callable(mask):
        _check_mask_tensor(mask)
    return mask


def _check_mask_tensor(mask: object) -> None:
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"mask: expected a tensor of bool or a function that returns one, got {describe(mask)}")
    if mask.dtype != torch.bool:
        raise TypeError(f"mask: expected a tensor of bool, got {mask.dtype} [call .bool()]")
