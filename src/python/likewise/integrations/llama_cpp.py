"""Sampling and loop detection of `likewise.decoding` for llama-cpp-python."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_scalar_int, describe
from ..decoding import LoopDetector, TerminationFloor, sample
from ..decoding.generation import Generation, check_start

__all__ = ["LoopStoppingCriteria", "NativeSampler", "logits_view"]


class NativeSampler:
    """A logits processor that draws the next token natively and leaves +inf there: for ``temperature=0``.

    ``llama(prompt, temperature=0, logits_processor=LogitsProcessorList([NativeSampler(...)]))``: the greedy choice of
    llama.cpp then is the token drawn, and its own sorting and sampling never run.

    Parameters
    ----------
    temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor, random_state
        As in `likewise.decoding.sample`. An integer `random_state` gives every generation the same stream; pass a numpy
        generator for new draws each time. ``eos_id=llama.token_eos()``.

    Raises
    ------
    ValueError, TypeError
        As `likewise.decoding.sample`, at the first step; for the floor at once.

    Notes
    -----
    Logits are read and written where llama-cpp-python has them, as every third number. It must be the last processor.
    A grammar is applied after it, and may forbid what it drew: use `logits_view` there. Exceptions in a callback are
    printed and ignored by ctypes: try the arguments on `likewise.decoding.sample` first.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.integrations.llama_cpp import NativeSampler
    >>> sampler = NativeSampler(top_k=2, eos_id=3, random_state=0)
    >>> scores = np.array([2.0, 1.0, -5.0, -9.0], dtype=np.float32)
    >>> int(sampler(np.array([1, 2], dtype=np.int32), scores).argmax()) in (0, 1, 3)
    True
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        typical_p: float = 1.0,
        eos_id: Any = None,
        consistent: bool = True,
        floor: TerminationFloor | None = None,
        random_state: Any = None,
    ) -> None:
        check_start(floor, eos_id, None)
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
        )
        self._generation = Generation()

    def __call__(self, input_ids: NDArray[np.intc], scores: NDArray[np.single]) -> NDArray[np.single]:
        """The scores, with +inf at the token drawn."""
        step = self._generation.step(np.asarray(input_ids)[None])
        scores[sample(scores, step=step, **self._options)] = np.inf
        return scores


class LoopStoppingCriteria:
    """Stops a generation once it repeats itself: `likewise.decoding.LoopDetector` as a stopping criterion.

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
    llama-cpp-python asks before it appends the newest token, so that a loop is seen one token late.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.integrations.llama_cpp import LoopStoppingCriteria
    >>> criteria = LoopStoppingCriteria(repeats=2, min_len=4)
    >>> ids = np.array([8, 9, 1, 2, 1, 2], dtype=np.int32)  # 8, 9 is the prompt
    >>> [criteria(ids[:n], None) for n in range(2, 7)]
    [False, False, False, False, True]
    """

    def __init__(self, max_period: int = 256, repeats: int = 4, min_len: int = 16) -> None:
        self._detector = LoopDetector(max_period=max_period, repeats=repeats, min_len=min_len)
        self._generation = Generation()
        self._length, self._looping = -1, False

    def __call__(self, input_ids: NDArray[np.intc], logits: Any) -> bool:
        """Whether the generation has fallen into a loop."""
        ids = np.asarray(input_ids)
        if self._looping and len(ids) == self._length:
            return True  # the end of a completion asks once more
        self._length = len(ids)
        if self._generation.step(ids[None]) == 0:
            self._detector.reset()
            self._looping = False
        else:
            self._looping |= bool(self._detector.push(ids[-1:])[0])
        return self._looping


def logits_view(llama: Any, index: int = -1) -> NDArray[np.single]:
    """The logits of a llama-cpp-python model where llama.cpp has them, without a copy.

    Parameters
    ----------
    llama : llama_cpp.Llama
        After ``eval``.
    index : int, default -1
        Which of the last batch's outputs.

    Returns
    -------
    float32 ndarray of shape (V,)
        A view: the next ``eval`` overwrites it.

    Raises
    ------
    ImportError
        llama-cpp-python is not installed.
    TypeError
        Another object.
    ValueError
        There are no logits there.

    Examples
    --------
    A loop of one's own::

        llama.eval(prompt)
        while (token := sample(logits_view(llama), top_p=0.9, eos_id=end, floor=floor, step=step)) != end:
            llama.eval([token])
            step += 1
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise ImportError(
            "likewise.integrations.llama_cpp needs llama-cpp-python; pip install 'likewise[llama-cpp]'"
        ) from error
    if not isinstance(llama, llama_cpp.Llama):
        raise TypeError(f"llama: expected a llama_cpp.Llama, got {describe(llama)}")
    place = check_scalar_int(index, "index", minimum=-(2**31), maximum=2**31 - 1)
    pointer = llama_cpp.llama_get_logits_ith(llama.ctx, place)
    if not pointer:
        raise ValueError(f"index: expected an output of the last batch, got {place}")
    return np.ctypeslib.as_array(pointer, shape=(llama.n_vocab(),))
