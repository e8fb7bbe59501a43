"""Exact loops of generated tokens, found online."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import check_indices, check_scalar_int

__all__ = ["LoopDetector"]

_MAX = 2**31 - 1


class LoopDetector:
    """Says when a sequence of tokens has begun to repeat itself.

    It fires with the smallest period p <= `max_period` such that the last max(`repeats` p, `min_len`) tokens have
    period p: y_t = y_(t-p) wherever both are among them. Exact, and online: a ring of tokens and a run length for each
    period, some 60 ns a token for 256 periods.

    Parameters
    ----------
    max_period : int
        Longest period that is looked for, >= 1.
    repeats : int
        How often it must be there, >= 2.
    min_len : int
        Least number of tokens of a loop, >= 2.
    batch_size : int
        Number of sequences, >= 1.

    Raises
    ------
    ValueError
        A size out of range.

    Examples
    --------
    >>> from likewise.decoding import LoopDetector
    >>> detector = LoopDetector(repeats=4, min_len=8)
    >>> [int(detector.push([token])[0]) for token in [5, 1, 2, 1, 2, 1, 2, 1, 2, 1]]
    [0, 0, 0, 0, 0, 0, 0, 0, 2, 2]
    """

    def __init__(self, max_period: int = 256, repeats: int = 4, min_len: int = 16, batch_size: int = 1) -> None:
        max_period = check_scalar_int(max_period, "max_period", minimum=1, maximum=2**24)
        repeats = check_scalar_int(repeats, "repeats", minimum=2, maximum=_MAX // max_period)
        min_len = check_scalar_int(min_len, "min_len", minimum=2, maximum=_MAX)
        batch_size = check_scalar_int(batch_size, "batch_size", minimum=1)
        self._native = _core.decoding.LoopDetector(max_period, repeats, min_len, batch_size)

    @property
    def batch_size(self) -> int:
        """Number of sequences."""
        return self._native.n_rows

    def push(self, tokens: ArrayLike, active: ArrayLike | None = None) -> NDArray[np.int64]:
        """Take one more token of each sequence. Those of a prompt do not belong here.

        Parameters
        ----------
        tokens : array_like of int, shape (batch_size,)
            Each fits 32 bits.
        active : array_like of bool, shape (batch_size,), optional
            Sequences that go on; the tokens of the others are ignored.

        Returns
        -------
        ndarray of int64, shape (batch_size,)
            The period of the loop that the sequence ends with, 0 for none and where `active` is False.

        Examples
        --------
        >>> from likewise.decoding import LoopDetector
        >>> detector = LoopDetector(repeats=2, min_len=2, batch_size=2)
        >>> _ = detector.push([7, 7])
        >>> detector.push([7, 8], active=[True, False])
        array([1, 0])
        """
        if type(tokens) is np.ndarray and tokens.dtype == np.int64 and tokens.ndim == 1 and tokens.flags.c_contiguous:
            ids = tokens  # as `sample` returns them: asking costs more than the search for loops
        else:
            ids = check_indices(tokens, "tokens")
        n = self.batch_size
        if len(ids) != n:
            raise ValueError(f"tokens: expected {n} tokens, one a sequence, got {len(ids)}")
        which: NDArray[np.uint8] | None = None
        if active is not None:
            flags = np.ascontiguousarray(active)
            if flags.dtype != np.bool_:
                raise TypeError(f"active: expected an array of bool, got dtype {flags.dtype}")
            if flags.shape != (n,):
                raise ValueError(f"active: expected shape ({n},), got {flags.shape}")
            which = flags.view(np.uint8)
        periods = np.empty(n, np.int64)
        self._native.push(ids, which, periods)
        return periods

    def reset(self, rows: ArrayLike | None = None) -> None:
        """Forget the tokens of some sequences, or of all.

        Parameters
        ----------
        rows : array_like of int, optional
            Which; None: all.
        """
        n = self.batch_size
        self._native.reset(np.arange(n) if rows is None else check_indices(rows, "rows", n=n))

    def reorder(self, index: ArrayLike) -> None:
        """Let sequence i continue what sequence ``index[i]`` was, as a beam search does; there may be more or fewer.

        Parameters
        ----------
        index : array_like of int, at least one
        """
        rows = check_indices(index, "index", n=self.batch_size)
        if len(rows) == 0:
            raise ValueError("index: expected at least one sequence, got none")
        self._native.reorder(rows)
