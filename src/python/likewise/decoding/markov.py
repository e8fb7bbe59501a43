"""Does it stop? The exact answer for Markov chains over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_indices, check_scalar_int, describe
from .sampling import filter_logits

__all__ = ["termination_probability"]

Matrix = NDArray[np.float64]

_ARGUMENTS = ("consistent", "floor", "min_p", "temperature", "top_k", "top_p", "typical_p")
_TOLERANCE = 1e-9  # of a row's sum
_BLOCK = 64  # states eliminated together


def termination_probability(
    P: Any, eos_id: int, start: Any, truncation: Mapping[str, Any] | None = None, horizon: int | None = None
) -> Any:
    """The probability that a Markov chain over tokens ever emits its end token, when decoded with `truncation`.

    Each row is truncated exactly as `sample` does it. With Q the token part of the result and r its end column, the
    probabilities h are the least non-negative solution of ``h = Q h + r``.

    Parameters
    ----------
    P : array-like of shape (V - 1, V) or (V, V)
        Row-stochastic: the next token given the last one. Rows are the tokens in ascending order, without the end
        token, whose row is ignored where there is one.
    eos_id : int
        The end token's column.
    start : int or array-like of int
        The tokens to start from; they are not counted as generated.
    truncation : mapping, optional
        Arguments of `sample`: temperature, top_k, top_p, min_p, typical_p, consistent, floor. Default: the full
        distribution.
    horizon : int, optional
        The probability of stopping within so many tokens, the end token included, instead of ever. A floor needs it:
        with one, every chain stops, and `survival_bound` says how soon.

    Returns
    -------
    float or ndarray of float64
        For each start. Exactly 1 where the chain can reach no set of states that it cannot leave, and exactly 0 where
        it can only move within one.

    Raises
    ------
    ValueError, TypeError
        Rows that are negative or do not sum to 1 (within 1e-9), an end token or a start out of range, an unknown or bad
        argument in `truncation`.

    Notes
    -----
    States from which no end token can be reached, and states that can reach none of those, are found in the graph of
    what truncation left; the rest is eliminated by sums, products and quotients of non-negative numbers alone
    (Grassmann, Taksar, Heyman, Operations Research 33, 1985), so that slow chains lose no digits. O(V^3), with a
    horizon O(horizon V^2).

    Examples
    --------
    A chain whose end token is its column 3. Nucleus sampling drops it in rows a and b, which follow one another for
    ever; kept as `consistent` does it, the end comes:

    >>> import likewise as lw
    >>> P = [[0, 0.3, 0.2, 0.5], [0.02, 0.45, 0.5, 0.03], [0.02, 0.55, 0.4, 0.03]]
    >>> round(lw.decoding.termination_probability(P, 3, 0, dict(top_p=0.9, consistent=False)), 12)
    0.5
    >>> lw.decoding.termination_probability(P, 3, 0, dict(top_p=0.9))
    1.0
    """
    matrix, eos = _check_chain(P, eos_id)
    n_tokens = matrix.shape[1]
    starts = check_indices(start, "start", n=n_tokens, ndim=np.ndim(start))
    if (starts == eos).any():
        raise ValueError(f"start: expected tokens other than the end token, got {eos}")
    options = _check_truncation(truncation)
    steps = None if horizon is None else check_scalar_int(horizon, "horizon", minimum=0)
    if options.get("floor") is not None and steps is None:
        raise ValueError("horizon: expected an integer with a floor, got None [every chain with a floor stops]")
    with np.errstate(divide="ignore"):
        logits = np.log(matrix)
    if steps is None:
        found = _ever(*_split(logits, eos, options, 0))
    else:
        found = np.zeros(n_tokens - 1)
        parts = _split(logits, eos, options, 0)
        for step in range(steps)[::-1]:
            if options.get("floor") is not None:
                parts = _split(logits, eos, options, step)
            moves, stops = parts
            found = moves @ found + stops
        found = np.minimum(found, 1.0)
    chosen = found[starts - (starts > eos)]
    return float(chosen) if starts.ndim == 0 else chosen


def _check_chain(P: Any, eos_id: object) -> tuple[Matrix, int]:
    """The matrix without the end token's row, and the end token."""
    array = check_array(P, "P", finite=False)
    n_rows, n_tokens = array.shape
    if n_rows not in (n_tokens - 1, n_tokens) or n_tokens < 2:
        raise ValueError(f"P: expected shape (V - 1, V) or (V, V) with V >= 2, got {array.shape}")
    eos = check_scalar_int(eos_id, "eos_id", minimum=0, maximum=n_tokens - 1)
    kept = np.arange(n_rows) if n_rows < n_tokens else np.delete(np.arange(n_rows), eos)
    matrix = array[kept].astype(np.float64, copy=False)
    wrong = ~(matrix >= 0)
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"P: expected numbers >= 0, got {matrix[row, column]} at row {kept[row]}, column {column}")
    sums = matrix.sum(axis=1)
    apart = ~(np.abs(sums - 1) <= _TOLERANCE)
    if apart.any():
        row = int(np.argmax(apart))
        raise ValueError(f"P: expected rows that sum to 1, got {sums[row]} at row {kept[row]}")
    return matrix, eos


def _check_truncation(truncation: object) -> dict[str, Any]:
    if truncation is None:
        return {}
    if not isinstance(truncation, Mapping):
        raise TypeError(f"truncation: expected a mapping of arguments of sample, got {describe(truncation)}")
    for name in truncation:
        if name not in _ARGUMENTS:
            raise ValueError(f"truncation: expected some of {', '.join(_ARGUMENTS)}, got {describe(name)}")
    return dict(truncation)


def _split(logits: Matrix, eos: int, options: dict[str, Any], step: int) -> tuple[Matrix, Matrix]:
    """Q and r: what `sample` draws from at this step."""
    kept = np.exp(filter_logits(logits, eos_id=eos, step=step, normalize=True, **options))
    return np.delete(kept, eos, axis=1), kept[:, eos]


def _ever(moves: Matrix, stops: Matrix) -> Matrix:
    """The least non-negative solution of h = Q h + r."""
    follows = moves > 0
    can_stop = _reaching(follows, stops > 0)
    can_loop = _reaching(follows, ~can_stop)
    found = np.where(can_stop, 1.0, 0.0)
    rest = np.flatnonzero(can_stop & can_loop)
    if len(rest):
        outside = ~(can_stop & can_loop)
        into_stop = moves[np.ix_(rest, outside & can_stop)].sum(axis=1) + stops[rest]
        into_loop = moves[np.ix_(rest, outside & can_loop)].sum(axis=1)
        found[rest] = _absorbed(moves[np.ix_(rest, rest)], into_stop, into_loop)
    return found


def _reaching(follows: NDArray[np.bool_], goal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """States from which a path leads into the goal, its own states included."""
    found = goal.copy()
    new = goal
    while new.any():
        new = follows[:, new].any(axis=1) & ~found
        found |= new
    return found


def _absorbed(moves: Matrix, into_stop: Matrix, into_loop: Matrix) -> Matrix:
    """Probabilities of ending in `into_stop`, by elimination without a subtraction.

    The pivot of a state, 1 minus its probability to stay, is the sum of what leaves it for the states after it. A block
    of states is eliminated from its own rows and columns first, then from all other rows by one product.
    """
    n = len(moves)
    table = np.column_stack([moves, into_stop, into_loop])
    leaving = np.empty(n)
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        for k in range(first, last):
            leaving[k] = table[k, k + 1 :].sum()
            table[k + 1 :, k] /= leaving[k]
            table[k + 1 : last, k + 1 :] += np.outer(table[k + 1 : last, k], table[k, k + 1 :])
            table[last:, k + 1 : last] += np.outer(table[last:, k], table[k, k + 1 : last])
        table[last:, last:] += table[last:, first:last] @ table[first:last, last:]
    found = np.zeros(n)
    for k in range(n)[::-1]:
        found[k] = (table[k, k + 1 : n] @ found[k + 1 :] + table[k, n]) / leaving[k]
    return found
