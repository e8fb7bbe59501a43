"""What adapters to other packages share: which step of a generation is this?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_scalar_int
from .floor import check_floor

__all__ = ["Generation", "check_start"]


class Generation:
    """Counts generated tokens for a callback that is handed all ids, prompt included, at every step.

    Ids that are those of the call before plus one token in each row go on with that generation (rows may have changed
    places, as in a beam search); all others begin a new one, whose prompt they are.
    """

    def __init__(self) -> None:
        self._ids: NDArray[np.int64] | None = None
        self._prompt_length = 0

    def step(self, ids: NDArray[Any], n_generated: int = 0) -> int:
        """The number of tokens generated so far in ids of shape (B, t); `n_generated` of them when it begins."""
        if not self._goes_on(ids):
            self._prompt_length = ids.shape[1] - n_generated
        self._ids = ids.astype(np.int64)  # a copy: the caller may write on in its buffer
        return int(ids.shape[1]) - self._prompt_length

    def _goes_on(self, ids: NDArray[Any]) -> bool:
        known = self._ids
        if known is None or ids.shape != (len(known), known.shape[1] + 1):
            return False
        before = ids[:, :-1]
        if (before == known).all():
            return True
        rows = {row.tobytes() for row in known}
        return all(row.tobytes() in rows for row in before.astype(np.int64))


def check_start(floor: object, eos_id: object, min_new_tokens: object) -> None:
    """A floor needs end tokens, and none of its steps may have them forbidden."""
    given = check_floor(floor)
    if given is None:
        return
    if eos_id is None:
        raise ValueError("floor: expected an eos_id that it can raise, got eos_id=None")
    least = 0 if min_new_tokens is None else check_scalar_int(min_new_tokens, "min_new_tokens", minimum=0)
    if given.start < least:
        raise ValueError(
            f"floor: expected start >= min_new_tokens = {least}, got start = {given.start} "
            "[before min_new_tokens the end tokens are forbidden]"
        )
