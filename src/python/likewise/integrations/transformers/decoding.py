"""Sampling, floors and loop detection of `likewise.decoding` inside of ``generate``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria

from ...decoding import LoopDetector, TerminationFloor, filter_logits, sample
from ...decoding.generation import Generation, check_start

__all__ = ["LoopStoppingCriteria", "NativeSampler", "TerminationFloorProcessor", "generation_kwargs"]


class NativeSampler(LogitsProcessor):  # type: ignore[misc]
    """Draws the next tokens natively and leaves +inf at each, so that the argmax of ``generate`` picks them.

    For ``generate(do_sample=False, num_beams=1)``; `generation_kwargs` gives all of its arguments. The softmax, the
    sorting and the multinomial of ``do_sample=True`` are never run.

    Parameters
    ----------
    temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor, random_state, row_ids, n_threads
        As in `likewise.decoding.sample`. An integer `random_state` gives every generation the same stream; pass a numpy
        generator for new draws each time.
    min_new_tokens : int, optional
        What ``generate`` is told, if it is: a floor that starts earlier would fight with it, and is refused.

    Raises
    ------
    ValueError, TypeError
        As `likewise.decoding.sample`, at the first step; for the floor at once.

    Notes
    -----
    The +inf is written in place: with ``output_scores`` or ``output_logits`` it shows there. Other processors of the
    call (repetition penalty, bad words, ...) run before it, and their -inf is respected. Not for beams, contrastive or
    assisted decoding. Logits on another device are copied to the CPU.

    Steps are counted from the prompt, which the first call shows; ids that are not those of the call before plus one
    token begin a new generation.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.transformers import NativeSampler
    >>> sampler = NativeSampler(top_k=2, eos_id=3, random_state=0)
    >>> scores = torch.tensor([[2.0, 1.0, -5.0, -9.0]])
    >>> int(sampler(torch.tensor([[1, 2]]), scores).argmax()) in (0, 1, 3)
    True
    """

    def __init__(
        self,
        *,
        temperature: Any = 1.0,
        top_k: Any = 0,
        top_p: Any = 1.0,
        min_p: Any = 0.0,
        typical_p: Any = 1.0,
        eos_id: Any = None,
        consistent: bool = True,
        floor: TerminationFloor | None = None,
        random_state: Any = None,
        row_ids: Any = None,
        min_new_tokens: int | None = None,
        n_threads: int | None = None,
    ) -> None:
        check_start(floor, eos_id, min_new_tokens)
        self._options: dict[str, Any] = dict(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            typical_p=typical_p,
            eos_id=eos_id,
            consistent=consistent,
            floor=floor,
            random_state=random_state,
            row_ids=row_ids,
            n_threads=n_threads,
        )
        self._generation = Generation()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores, with +inf at the tokens drawn."""
        rows = _in_main_memory(scores)
        tokens = sample(rows, step=self._generation.step(_in_main_memory(input_ids)), **self._options)
        if isinstance(rows, np.ndarray) and scores.device.type == "cpu":  # the scores' own memory
            rows[np.arange(len(rows)), tokens] = np.inf
            return scores
        return scores.scatter_(1, torch.from_numpy(tokens).to(scores.device)[:, None], torch.inf)


def generation_kwargs(
    *,
    temperature: Any = 1.0,
    top_k: Any = 0,
    top_p: Any = 1.0,
    min_p: Any = 0.0,
    typical_p: Any = 1.0,
    eos_id: Any = None,
    consistent: bool = True,
    floor: TerminationFloor | None = None,
    random_state: Any = None,
    row_ids: Any = None,
    min_new_tokens: int | None = None,
    n_threads: int | None = None,
) -> dict[str, Any]:
    """Arguments with which ``generate`` samples natively: ``model.generate(**inputs, **generation_kwargs(...))``.

    Parameters
    ----------
    temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor, random_state, row_ids, min_new_tokens, \
n_threads
        As in `NativeSampler`. `eos_id` and `min_new_tokens` are handed to ``generate``, too.

    Returns
    -------
    dict
        ``do_sample``, ``num_beams``, ``logits_processor`` and, where given, ``eos_token_id`` and ``min_new_tokens``.

    Raises
    ------
    ValueError, TypeError
        As `NativeSampler`.

    Examples
    --------
    >>> import torch
    >>> from likewise.decoding import TerminationFloor
    >>> from likewise.integrations.transformers import generation_kwargs
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=1, pad_token_id=0)
    >>> model = LlamaForCausalLM(config).eval()
    >>> floor = TerminationFloor.for_budget(40)
    >>> ids = torch.tensor([[1, 5, 6]])
    >>> found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=40,
    ...                        **generation_kwargs(top_p=0.9, eos_id=2, floor=floor, random_state=0))
    >>> int(found[0, -1])
    2
    """
    sampler = NativeSampler(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        eos_id=eos_id,
        consistent=consistent,
        floor=floor,
        random_state=random_state,
        row_ids=row_ids,
        min_new_tokens=min_new_tokens,
        n_threads=n_threads,
    )
    found: dict[str, Any] = dict(do_sample=False, num_beams=1, logits_processor=LogitsProcessorList([sampler]))
    if eos_id is not None:
        found["eos_token_id"] = np.atleast_1d(eos_id).tolist()
    if min_new_tokens is not None:
        found["min_new_tokens"] = min_new_tokens
    return found


class TerminationFloorProcessor(LogitsProcessor):  # type: ignore[misc]
    """A termination floor for greedy decoding and beams of ``generate``.

    Parameters
    ----------
    floor : TerminationFloor
        Its step counts from the prompt.
    eos_id : int or sequence of int
        The end tokens.
    min_new_tokens : int, optional
        What ``generate`` is told, if it is: a floor that starts earlier is refused.

    Raises
    ------
    ValueError, TypeError
        As `likewise.decoding.filter_logits`, at a step; for the floor at once.

    Notes
    -----
    Returns *normalised* log-probabilities: a beam search adds them up without normalising again. Of several end tokens,
    the most probable gets the mass of all, so that greedy decoding stops at ``floor.greedy_stop()`` at the latest. Not
    for ``do_sample=True``, whose truncation runs after it and may undo it: use `NativeSampler` there.

    Examples
    --------
    >>> import torch
    >>> from likewise.decoding import TerminationFloor
    >>> from likewise.integrations.transformers import TerminationFloorProcessor
    >>> processor = TerminationFloorProcessor(TerminationFloor(0.1), eos_id=3)
    >>> scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).log()
    >>> processor(torch.tensor([[1, 2]]), scores).exp()
    tensor([[0.4737, 0.2842, 0.1421, 0.1000]], dtype=torch.float64)
    """

    def __init__(self, floor: TerminationFloor, eos_id: Any, *, min_new_tokens: int | None = None) -> None:
        check_start(floor, eos_id, min_new_tokens)
        self._floor, self._eos = floor, eos_id
        self._generation = Generation()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Log-probabilities with the floor."""
        step = self._generation.step(_in_main_memory(input_ids))
        rows = _in_main_memory(scores)
        found = filter_logits(rows, eos_id=self._eos, floor=self._floor, step=step, normalize=True)
        log_probs = torch.as_tensor(found)
        ends = np.atleast_1d(self._eos).tolist()
        if len(ends) > 1:
            of_ends = log_probs[:, ends]
            best, total = of_ends.argmax(dim=1, keepdim=True), of_ends.logsumexp(dim=1, keepdim=True)
            log_probs[:, ends] = torch.full_like(of_ends, -torch.inf).scatter_(1, best, total)
        return log_probs.to(scores.device)


class LoopStoppingCriteria(StoppingCriteria):  # type: ignore[misc]
    """Stops a row once it repeats itself: `likewise.decoding.LoopDetector` for ``generate``.

    Parameters
    ----------
    max_period, repeats, min_len : int
        As in `likewise.decoding.LoopDetector`. The prompt does not count.

    Raises
    ------
    ValueError, TypeError
        As `likewise.decoding.LoopDetector`.

    Notes
    -----
    Not for beams, whose rows change places.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.transformers import LoopStoppingCriteria
    >>> criteria = LoopStoppingCriteria(repeats=2, min_len=4)
    >>> ids = torch.tensor([[8, 9, 1, 2, 1, 2]])  # 8, 9 is the prompt
    >>> [bool(criteria(ids[:, :n], None)) for n in range(3, 7)]
    [False, False, False, True]
    """

    def __init__(self, max_period: int = 256, repeats: int = 4, min_len: int = 16) -> None:
        self._settings = dict(max_period=max_period, repeats=repeats, min_len=min_len)
        self._generation = Generation()
        self._detector = LoopDetector(**self._settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> LoopStoppingCriteria:
        return type(self)(**self._settings)  # transformers copies criteria for a new generation

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Which rows have fallen into a loop."""
        ids = _in_main_memory(input_ids)
        if self._generation.step(ids, n_generated=1) == 1:
            self._detector = LoopDetector(**self._settings, batch_size=len(ids))
        return torch.from_numpy(self._detector.push(ids[:, -1]) > 0).to(input_ids.device)


def _in_main_memory(tensor: torch.Tensor) -> Any:
    """The tensor as an array, which is cheaper to hand over; bfloat16, which numpy does not have, as a tensor."""
    tensor = tensor.detach().cpu()
    return tensor if tensor.dtype == torch.bfloat16 else tensor.numpy()
