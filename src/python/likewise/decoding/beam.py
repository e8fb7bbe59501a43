"""Beam search that stops, and says whether it stopped because nothing better could come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_bool, check_indices, check_scalar_float, check_scalar_int, describe
from .floor import TerminationFloor, check_floor
from .sampling import filter_logits
from .settings import end_tokens

__all__ = ["BeamResult", "beam_search"]

Tokens = NDArray[np.int64]
Vector = NDArray[np.float64]
StepFunction = Callable[[Tokens, Tokens], Any]


@dataclass(frozen=True)
class BeamResult:
    """What `beam_search` found.

    Attributes
    ----------
    sequences : list of int64 arrays
        The best ones, without the prompt, best first: finished ones (the end token is their last), then, where those
        are fewer than `n_best` when the budget ends, unfinished ones.
    scores : float64 array
        ``ln p(y) / len(y)^length_penalty`` of each; the length counts the end token.
    finished : bool array
        Whether each ends with an end token.
    steps : int
        Calls of `step_fn`.
    certified : bool
        True: the search stopped because no continuation of a prefix it still held could have displaced a result.
        False: `max_new_tokens` stopped it. (Prefixes that fell out of the beam are not covered; none does with
        ``beam_size >= V^(length - 1)``.)
    """

    sequences: list[Tokens]
    scores: Vector
    finished: NDArray[np.bool_]
    steps: int
    certified: bool


def beam_search(
    step_fn: StepFunction,
    *,
    eos_id: Any,
    prompt: Any = (),
    beam_size: int = 4,
    n_best: int = 1,
    max_new_tokens: int | None = None,
    floor: TerminationFloor | None = None,
    consistent: bool = True,
    length_penalty: float = 0.0,
) -> BeamResult:
    """Beam search with a certificate: it ends when no live prefix can still beat the results, and it always ends.

    Parameters
    ----------
    step_fn : callable
        ``step_fn(tokens, parents)`` gives the logits or log-probabilities of the next token, shape (n, V), for int64
        tokens of shape (n, t), the prompt included. ``parents[i]`` is the row of the call before that row i goes on
        from: gather your cache by it. The first call has one row, with parent 0.
    eos_id : int or sequence of int
        The end tokens.
    prompt : sequence of int, default ()
        Tokens that every sequence begins with.
    beam_size : int, default 4
        Prefixes that are kept.
    n_best : int, default 1
        Results wanted.
    max_new_tokens : int, optional
        The longest sequence, the end token included.
    floor : TerminationFloor, optional
        Applied at every step; with it the search ends by itself.
    consistent : bool, default True
        Whether every live prefix plus the end token counts as finished at every step. False: only where the end token
        is among the `beam_size` best continuations, as usual.
    length_penalty : float, default 0.0
        At least 0; sequences are ranked by ``ln p(y) / len(y)^length_penalty``. Below 2 where a floor alone is to end
        the search.

    Returns
    -------
    BeamResult

    Raises
    ------
    ValueError, TypeError
        Naming the argument: neither a floor nor a budget (a beam may then run forever); a floor that skips masked end
        tokens, or a `length_penalty` of 2 or more, without a budget; a floor with ``consistent=False``; whatever
        `filter_logits` refuses in a row of `step_fn`.

    Notes
    -----
    The search stops once the n_best-th finished score is at least an upper bound of every live continuation: the live
    score itself, or with a length penalty a the maximum of ``(score + sum of ln(1 - f)) / m^a`` over the lengths m that
    can still be reached, f being the floor on the way. With a floor epsilon from step 0 on, no length penalty and one
    result it takes at most n steps, the first n with ``-ln(1 - epsilon) n (n + 1) / 2 >= -ln epsilon``: 30, 118, 429
    for 1e-2, 1e-3, 1e-4, whatever the model. Ties go to the earlier prefix, then to the smaller token.

    Examples
    --------
    A model that always prefers token 0, but may end (token 2):

    >>> import numpy as np, likewise as lw
    >>> def step_fn(tokens, parents):
    ...     return np.log(np.tile([0.7, 0.2, 0.1], (len(tokens), 1)))
    >>> result = lw.decoding.beam_search(step_fn, eos_id=2, floor=lw.decoding.TerminationFloor(0.01))
    >>> result.sequences, result.scores.round(4), result.certified
    ([array([2])], array([-2.3026]), True)
    """
    if not callable(step_fn):
        raise TypeError(f"step_fn: expected a callable, got {describe(step_fn)}")
    given = check_indices(prompt, "prompt") if np.size(prompt) else np.empty(0, np.int64)
    size = check_scalar_int(beam_size, "beam_size", minimum=1)
    wanted = check_scalar_int(n_best, "n_best", minimum=1)
    limit = None if max_new_tokens is None else check_scalar_int(max_new_tokens, "max_new_tokens", minimum=1)
    power = check_scalar_float(length_penalty, "length_penalty", minimum=0)
    all_end = check_bool(consistent, "consistent")
    ends = end_tokens(eos_id)
    if not len(ends):
        raise TypeError("eos_id: expected end tokens, got None")
    if check_floor(floor) is not None and not all_end:
        raise ValueError("floor: expected consistent=True, got False")
    # A floor that is skipped where the end token is masked bounds nothing.
    sure = floor if floor is not None and floor.masked_eos == "raise" else None
    if limit is None and sure is None:
        what = "a floor" if floor is None else "a floor with masked_eos='raise'"
        raise ValueError(f"max_new_tokens: expected an integer, or {what}, got None [the search may never end]")
    if limit is None and power >= 2:
        raise ValueError(f"length_penalty: expected a number < 2 without max_new_tokens, got {power}")

    tokens, scores, parents = given[None], np.zeros(1), np.zeros(1, np.int64)
    done: list[tuple[float, Tokens]] = []
    step, certified = 0, False
    while not certified and (limit is None or step < limit):
        log_probs = _log_probs(step_fn(tokens, parents), len(tokens), ends, floor, step)
        candidates = scores[:, None] + log_probs
        rows, last = _ends(candidates, ends, None if all_end else size)
        step += 1
        for row, token in zip(rows, last, strict=True):
            score = float(candidates[row, token]) / step**power
            done.append((score, np.append(tokens[row, len(given) :], token)))
        done = sorted(done, key=lambda entry: -entry[0])[:wanted]  # stable: of equals, the one found first
        candidates[:, ends] = -np.inf
        parents, last = _best(candidates, size)
        scores = candidates[parents, last]
        tokens = np.column_stack([tokens[parents], last])
        if not len(scores):
            certified = True
        elif len(done) == wanted:
            certified = done[-1][0] >= _bound(float(scores[0]), step, power, sure, limit)
    for row in range(min(wanted - len(done), len(scores))):
        done.append((float(scores[row]) / step**power, tokens[row, len(given) :]))
    return BeamResult(
        [sequence for _, sequence in done],
        np.array([score for score, _ in done]),
        np.array([len(sequence) > 0 and bool(np.isin(sequence[-1], ends)) for _, sequence in done], dtype=bool),
        step,
        certified,
    )


def _log_probs(given: Any, n_rows: int, ends: Tokens, floor: TerminationFloor | None, step: int) -> Vector:
    """ln q of each row's next token, floor included, in float64."""
    logits = check_array(given, "step_fn", min_rows=0, finite=False)
    if len(logits) != n_rows:
        raise ValueError(f"step_fn: expected {n_rows} rows, got {len(logits)}")
    if ends.max() >= logits.shape[1]:
        raise ValueError(f"eos_id: expected ids from 0 to {logits.shape[1] - 1}, got {ends.max()}")
    wide = logits.astype(np.float64)
    try:
        return np.asarray(filter_logits(wide, eos_id=ends.tolist(), floor=floor, step=step, normalize=True))
    except ValueError as error:  # it names its own argument, the row and the step
        raise ValueError(f"step_fn: {error}") from None


def _ends(candidates: Vector, ends: Tokens, among: int | None) -> tuple[Tokens, Tokens]:
    """Rows and end tokens of the candidates that are finished: all, or those among the best."""
    if among is None:
        rows, columns = np.nonzero(np.isfinite(candidates[:, ends]))
        return rows, ends[columns]
    rows, tokens = _best(candidates, among)
    finished = np.isin(tokens, ends)
    return rows[finished], tokens[finished]


def _best(candidates: Vector, size: int) -> tuple[Tokens, Tokens]:
    """Rows and tokens of the best candidates, best first, ties by row and token; impossible ones are none."""
    flat = candidates.ravel()
    least = np.partition(flat, len(flat) - size)[len(flat) - size] if size < len(flat) else -np.inf
    chosen = np.flatnonzero(flat > least)
    if np.isfinite(least):
        chosen = np.sort(np.append(chosen, np.flatnonzero(flat == least)[: size - len(chosen)]))
    rows, tokens = np.divmod(chosen[np.argsort(-flat[chosen], kind="stable")], candidates.shape[1])
    return rows, tokens


def _bound(score: float, length: int, power: float, floor: TerminationFloor | None, limit: int | None) -> float:
    """The best rank that a continuation of a live prefix can have once it is finished."""
    if power == 0:
        return score
    if length == limit:
        return math.inf  # the budget ends the search, and proves nothing
    end = limit if limit is not None else 2 * length + (0 if floor is None else floor.start) + 1
    while True:
        lengths = np.arange(length + 1, end + 1, dtype=np.float64)
        paid = _survival(floor, lengths - 1) - _survival(floor, np.array([length]))
        values = (score + paid) / lengths**power
        # For a power < 2 the values rise, then fall for ever, so that a fall at the end proves that the rest is below.
        if limit is not None or values[-1] < values.max():
            return float(values.max())
        end *= 2


def _survival(floor: TerminationFloor | None, n_tokens: Vector) -> Vector:
    """ln of the largest probability of so many tokens without an end, by the floor alone."""
    if floor is None:
        return np.zeros(len(n_tokens))
    n = np.maximum(n_tokens - floor.start, 0)
    bound: Vector = math.log1p(-floor.epsilon) * (n * (n + 1) / 2)
    return bound
