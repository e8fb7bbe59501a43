"""Drawing tokens from logits, natively and without sorting the vocabulary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import (
    check_array,
    check_bool,
    check_indices,
    check_n_threads,
    check_out,
    check_random_state,
    describe,
)
from .floor import TerminationFloor
from .settings import Integer, Number, rows_of, settings, steps

__all__ = ["SampleInfo", "filter_logits", "sample"]


class SampleInfo(NamedTuple):
    """What is known of drawn tokens.

    Attributes
    ----------
    logprob : float64 of shape (B,)
        Natural logarithm of the probability with which the token was drawn; of greedy ones, of their probability at
        temperature 1.
    kept : int64 of shape (B,)
        Number of tokens that could have been drawn.
    eos_prob : float64 of shape (B,)
        Probability of all end tokens together, 0 without `eos_id`.
    floored : bool of shape (B,)
        Whether the floor was in force: it had begun, and an end token was possible.
    """

    logprob: NDArray[np.float64]
    kept: NDArray[np.int64]
    eos_prob: NDArray[np.float64]
    floored: NDArray[np.bool_]


Seed = int | np.random.Generator | np.random.RandomState | None


@overload
def sample(
    logits: ArrayLike,
    *,
    temperature: Number = 1.0,
    top_k: Integer = 0,
    top_p: Number = 1.0,
    min_p: Number = 0.0,
    typical_p: Number = 1.0,
    eos_id: int | Sequence[int] | None = None,
    consistent: bool = True,
    floor: TerminationFloor | None = None,
    step: Integer = 0,
    random_state: Seed = None,
    u: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    out: NDArray[np.int64] | None = None,
    return_info: Literal[False] = False,
    n_threads: int | None = None,
) -> int | NDArray[np.int64]: ...
@overload
def sample(
    logits: ArrayLike,
    *,
    temperature: Number = 1.0,
    top_k: Integer = 0,
    top_p: Number = 1.0,
    min_p: Number = 0.0,
    typical_p: Number = 1.0,
    eos_id: int | Sequence[int] | None = None,
    consistent: bool = True,
    floor: TerminationFloor | None = None,
    step: Integer = 0,
    random_state: Seed = None,
    u: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    out: NDArray[np.int64] | None = None,
    return_info: Literal[True],
    n_threads: int | None = None,
) -> tuple[int | NDArray[np.int64], SampleInfo]: ...
def sample(
    logits: ArrayLike,
    *,
    temperature: Number = 1.0,
    top_k: Integer = 0,
    top_p: Number = 1.0,
    min_p: Number = 0.0,
    typical_p: Number = 1.0,
    eos_id: int | Sequence[int] | None = None,
    consistent: bool = True,
    floor: TerminationFloor | None = None,
    step: Integer = 0,
    random_state: Seed = None,
    u: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    out: NDArray[np.int64] | None = None,
    return_info: bool = False,
    n_threads: int | None = None,
) -> int | NDArray[np.int64] | tuple[int | NDArray[np.int64], SampleInfo]:
    """Draw the next token of each row of logits.

    In this order: weights exp((z - max z) / temperature), `top_k`, `top_p`, `min_p`, `typical_p`, each on the
    distribution renormalised over what is left, with ties by ascending id; the end tokens come back in (`consistent`);
    the floor raises them; one uniform number picks the smallest id whose cumulative probability exceeds it. At least
    one token is always left, and one that was removed is never drawn.

    Parameters
    ----------
    logits : array_like of shape (V,) or (B, V)
        float16, float32 or float64, or anything with ``__dlpack__`` in main memory (bfloat16 too). Any strides; read
        where they are. -inf is a token that must not be drawn.
    temperature : float or array of shape (B,)
        >= 0. 0 is greedy: the largest logit, of ties the smallest id; truncations are ignored.
    top_k : int or array of shape (B,)
        Keep the k largest, exactly k even if there are ties. 0, or V and more: all.
    top_p : float or array of shape (B,)
        In (0, 1]: keep the smallest number of most probable tokens that have at least this probability together.
    min_p : float or array of shape (B,)
        In [0, 1]: keep tokens at least this fraction as probable as the most probable one.
    typical_p : float or array of shape (B,)
        In (0, 1]: of tokens ordered by the distance of their -ln p from the entropy, keep the fewest that have at least
        this probability together.
    eos_id : int or sequence of int, optional
        The end tokens. None: there is nothing to keep, and no guarantee of an end.
    consistent : bool
        Whether end tokens survive every truncation. Their probability is then at least what the full softmax gives
        them: if that is never below xi, P(no end in t tokens) <= (1 - xi)^t.
    floor : TerminationFloor, optional
        Needs `eos_id` and ``consistent=True``. Then P(no end in start + n tokens) <= `survival_bound(epsilon, n)`, at
        any other setting; greedy decoding ends at the latest at token ``floor.greedy_stop()``: it stops where the end
        tokens are together as probable as the best other token.
    step : int or array of shape (B,)
        Number of tokens generated before in that row, the prompt not counted.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        A seed: the uniform number is a function of (seed, row id, step), whatever else is in the batch. **The same
        three give the same number again: a loop with a seed must pass `step`.** A generator gives one number a row, and
        moves on. None: fresh entropy.
    u : array_like of shape (B,), optional
        The uniform numbers in [0, 1) themselves, in place of `random_state`.
    row_ids : array_like of int64 of shape (B,), optional
        Which sequence a row belongs to, for the random numbers. Default 0, 1, ..., B - 1.
    out : ndarray of int64 of shape (B,), optional
        Where to write the tokens.
    return_info : bool
        Whether to return a `SampleInfo` too.
    n_threads : int, optional
        Rows are spread over threads; None is all CPUs that this process may use. The tokens are the same for any
        number.

    Returns
    -------
    tokens : int64 of shape (B,), or int for one row without a batch axis
    info : SampleInfo
        With ``return_info=True``.

    Raises
    ------
    ValueError
        NaN, +inf, or nothing but -inf in a row; a setting out of range; an end token outside the vocabulary; the floor
        in force where all end tokens are masked (``masked_eos="raise"``); `random_state` and `u` both given.
    TypeError
        An argument of a wrong kind.

    Notes
    -----
    Time O(V), two passes over a row; with `top_k` alone about one. Memory beside the row: O(tokens kept). Weights of
    float16, bfloat16 and float32 logits are computed in float32, with a relative error below 2e-6, of float64 ones
    below 1e-12; sums in float64. The bits are the same at every CPU level.

    References
    ----------
    Fan et al. 2018 (top-k), arXiv 1805.04833. Holtzman et al. 2019 (nucleus), arXiv 1904.09751. Meister et al. 2022
    (typical), arXiv 2202.00666. Nguyen et al. 2024 (min-p), arXiv 2407.01082. Welleck et al. 2020 (consistency), arXiv
    2002.02492. Su Jianlin, https://kexue.fm/archives/7500.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.decoding import sample
    >>> logits = np.log([0.5, 0.3, 0.15, 0.05])
    >>> [sample(logits, top_k=2, eos_id=3, u=[u]) for u in (0.58, 0.59, 0.95)]
    [0, 1, 3]
    >>> sample(np.stack([logits, logits]), random_state=0, step=7).shape
    (2,)
    """
    chosen = settings(temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor)
    rows, single = rows_of(logits, chosen)
    n_rows = len(rows)
    at = steps(step, n_rows)
    numbers = _uniform_numbers(random_state, u, row_ids, at, n_rows)
    if out is None:
        tokens = np.empty(n_rows, np.int64)
    else:
        tokens = check_out(out, "out", shape=(n_rows,), dtype=np.int64, inputs=[rows, numbers])
    report = check_bool(return_info, "return_info")
    found = _core.decoding.sample(chosen.native, rows, at, numbers, tokens, report, check_n_threads(n_threads))
    result: Any = int(tokens[0]) if single else tokens if out is None else out
    return (result, SampleInfo(*found)) if found is not None else result


def _uniform_numbers(
    random_state: object, u: object, row_ids: object, at: NDArray[np.int64], n_rows: int
) -> NDArray[np.float64]:
    if u is not None:
        if random_state is not None:
            raise ValueError("u: expected either u or random_state, got both")
        numbers = check_array(u, "u", ndim=1, min_rows=0, finite=False).astype(np.float64, copy=False)
        if len(numbers) != n_rows:
            raise ValueError(f"u: expected {n_rows} numbers, one a row, got {len(numbers)}")
        good = (numbers >= 0) & (numbers < 1)
        if not good.all():
            position = int(np.argmin(good))
            raise ValueError(f"u: expected numbers >= 0 and < 1, got {numbers[position]} at position {position}")
        return numbers
    if row_ids is None:
        ids = np.arange(n_rows)
    else:
        ids = check_indices(row_ids, "row_ids")
        if len(ids) != n_rows:
            raise ValueError(f"row_ids: expected {n_rows} ids, one a row, got {len(ids)}")
    if isinstance(random_state, np.random.Generator):
        return random_state.random(n_rows)
    if isinstance(random_state, np.random.RandomState):
        return random_state.random_sample(n_rows)
    seed = int.from_bytes(os.urandom(8), "little") if random_state is None else check_random_state(random_state)
    numbers = np.empty(n_rows)
    _core.decoding.uniforms(seed, ids, at, numbers)
    return numbers


def filter_logits(
    logits: Any,
    *,
    temperature: Number = 1.0,
    top_k: Integer = 0,
    top_p: Number = 1.0,
    min_p: Number = 0.0,
    typical_p: Number = 1.0,
    eos_id: int | Sequence[int] | None = None,
    consistent: bool = True,
    floor: TerminationFloor | None = None,
    step: Integer = 0,
    inplace: bool = False,
    normalize: bool = False,
    n_threads: int | None = None,
) -> Any:
    """Logits whose softmax is the distribution that `sample` draws from.

    Kept tokens have z / temperature, end tokens moreover the shift by which the floor raises them; removed tokens -inf.
    At temperature 0 the chosen token has 0, all others -inf.

    Parameters
    ----------
    logits : array_like of shape (V,) or (B, V)
        As of `sample`.
    temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor, step
        As of `sample`.
    inplace : bool
        Whether to write into the logits themselves, an array or a CPU tensor of floats, which is then returned.
    normalize : bool
        Whether to return the natural logarithms of the probabilities.
    n_threads : int, optional
        As of `sample`.

    Returns
    -------
    ndarray, shape and dtype of the logits (float32 for bfloat16, which numpy does not have); the logits themselves with
    ``inplace=True``

    Raises
    ------
    ValueError
        As `sample`; logits that cannot be divided by the temperature in their dtype; ``inplace=True`` on a read-only
        array.
    TypeError
        ``inplace=True`` on what is no array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.decoding import TerminationFloor, filter_logits
    >>> logits = np.log([0.5, 0.3, 0.15, 0.05])
    >>> np.exp(filter_logits(logits, top_k=2, eos_id=3, normalize=True)).round(4)
    array([0.5882, 0.3529, 0.    , 0.0588])
    >>> floored = filter_logits(logits, eos_id=3, floor=TerminationFloor(0.1), step=2)
    >>> floored.round(4)
    array([-0.6931, -1.204 , -1.8971, -1.0408])
    """
    chosen = settings(temperature, top_k, top_p, min_p, typical_p, eos_id, consistent, floor)
    rows, single = rows_of(logits, chosen)
    at = steps(step, len(rows))
    normal = check_bool(normalize, "normalize")
    if check_bool(inplace, "inplace"):
        dtype = getattr(logits, "dtype", None)
        if getattr(dtype, "kind", "") != "f" and "float" not in str(dtype):  # torch's and ml_dtypes' types by name
            raise TypeError(f"logits: expected an array of floats with inplace=True, got {describe(logits)}")
        if not rows.flags.writeable:
            raise ValueError("logits: expected a writeable array with inplace=True, got a read-only one")
        if isinstance(logits, np.ndarray) and rows.size and not np.may_share_memory(rows, logits):
            raise ValueError("logits: expected an aligned array in native byte order with inplace=True, got another")
        results = rows
    else:
        results = np.empty(rows.shape, np.float32 if rows.dtype == np.uint16 else rows.dtype)
    _core.decoding.filter_logits(chosen.native, rows, at, normal, results, check_n_threads(n_threads))
    if inplace:
        return logits
    return results[0] if single else results
