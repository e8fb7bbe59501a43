"""The termination floor: a probability of the end token that rises with every step, and what it guarantees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import check_choice, check_indices, check_scalar_float, check_scalar_int, describe

__all__ = ["TerminationFloor", "survival_bound"]

_MAX_STEP = 2**33 - 1  # steps are coordinates of random numbers


@overload
def survival_bound(epsilon: float, n: int) -> float: ...
@overload
def survival_bound(epsilon: float, n: ArrayLike) -> float | NDArray[np.float64]: ...
def survival_bound(epsilon: float, n: ArrayLike) -> float | NDArray[np.float64]:
    """Bound of P(no end token among the first n tokens under a floor): (1 - epsilon)^(n (n + 1) / 2).

    Step k of a floor ends the sequence with probability at least 1 - (1 - epsilon)^k, whatever the model wants: the
    bound is the product of the rest. Computed in logarithms.

    Parameters
    ----------
    epsilon : float
        Of the floor, in (0, 1).
    n : int or array_like of int
        Tokens under the floor, counted from its start, >= 0.

    Returns
    -------
    float, or ndarray of float64 of the shape of n

    Raises
    ------
    ValueError
        `epsilon` outside (0, 1), n below 0.

    Examples
    --------
    >>> from likewise.decoding import survival_bound
    >>> f"{survival_bound(0.01, 64):.4e}"
    '8.3407e-10'
    >>> survival_bound(0.5, [0, 1, 2])
    array([1.   , 0.5  , 0.125])
    """
    log_keep = math.log1p(-check_open_unit(epsilon, "epsilon"))
    if np.ndim(n) == 0:
        count = check_scalar_int(n, "n", minimum=0)
        return math.exp(log_keep * (count * (count + 1) / 2))
    counts = check_indices(n, "n", ndim=np.ndim(n)).astype(np.float64)
    if counts.size and counts.min() < 0:
        raise ValueError(f"n: expected integers >= 0, got {int(counts.min())}")
    return np.exp(log_keep * (counts * (counts + 1) / 2))


@dataclass(frozen=True)
class TerminationFloor:
    """A floor under the probability of the end token: f = 1 - (1 - epsilon)^n at the n-th token from `start` on.

    Where the end tokens have less than f together, they are raised to f, and all others are scaled down alike. A
    sequence then ends with probability 1, and `survival_bound` says how soon, whatever the model does: it cuts a text,
    it does not make it good.

    Parameters
    ----------
    epsilon : float
        In (0, 1): the floor at `start`, and the rate at which it rises.
    start : int
        The first step with a floor, >= 0. A step is the number of tokens that were generated before, without the
        prompt.
    masked_eos : {'raise', 'skip'}
        What to do where the logits of all end tokens are -inf, as a grammar may want it: an error, or no floor in that
        step (`SampleInfo.floored` is then False, and there is no guarantee).

    Raises
    ------
    ValueError
        `epsilon` outside (0, 1), `start` below 0, an unknown `masked_eos`.

    References
    ----------
    Welleck et al. 2020, "Consistency of a Recurrent Language Model With Respect to Incomplete Decoding", arXiv
    2002.02492. Choi et al. 2022, "A Non-monotonic Self-terminating Language Model", arXiv 2210.00660. Su Jianlin,
    https://kexue.fm/archives/7500.

    Examples
    --------
    >>> from likewise.decoding import TerminationFloor
    >>> floor = TerminationFloor(0.1, start=2)
    >>> [round(floor.value(step), 3) for step in range(5)]
    [0.0, 0.0, 0.1, 0.19, 0.271]
    >>> floor.greedy_stop()
    9
    """

    epsilon: float
    start: int = 0
    masked_eos: str = "raise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", check_open_unit(self.epsilon, "epsilon"))
        object.__setattr__(self, "start", check_scalar_int(self.start, "start", minimum=0, maximum=_MAX_STEP))
        check_choice(self.masked_eos, "masked_eos", ("raise", "skip"))

    @classmethod
    def for_budget(
        cls,
        max_new_tokens: int,
        delta: float = 1e-9,
        start: int | None = None,
        decoding: str = "sample",
        *,
        masked_eos: str = "raise",
    ) -> TerminationFloor:
        """The weakest floor that keeps to a budget of tokens.

        Parameters
        ----------
        max_new_tokens : int
            The budget, >= 1.
        delta : float
            In (0, 1): sampling passes the budget without an end token with at most this probability. Greedy decoding
            does not pass it at all.
        start : int, optional
            First step of the floor, below the budget. None is half of it: a floor from the start on ends most texts in
            the first fifth of the budget.
        decoding : {'sample', 'greedy'}
            A floor for sampling is too weak for greedy decoding, which ends only where the end token is the most
            probable.
        masked_eos : {'raise', 'skip'}
            As of the floor.

        Returns
        -------
        TerminationFloor

        Raises
        ------
        ValueError
            `delta` outside (0, 1), `start` not below `max_new_tokens`, an unknown `decoding`.

        Examples
        --------
        >>> from likewise.decoding import TerminationFloor
        >>> f"{TerminationFloor.for_budget(512, delta=1e-9, start=0).epsilon:.6g}"
        '0.000157785'
        >>> TerminationFloor.for_budget(512, start=0, decoding="greedy").greedy_stop()
        512
        """
        budget = check_scalar_int(max_new_tokens, "max_new_tokens", minimum=1, maximum=_MAX_STEP)
        delta = check_open_unit(delta, "delta")
        check_choice(decoding, "decoding", ("sample", "greedy"))
        first = budget // 2 if start is None else check_scalar_int(start, "start", minimum=0)
        if first >= budget:
            raise ValueError(f"start: expected an integer below max_new_tokens={budget}, got {first}")
        n = budget - first
        if decoding == "sample":
            epsilon = min(-math.expm1(2 * math.log(delta) / (n * (n + 1))), math.nextafter(1.0, 0.0))
            while survival_bound(epsilon, n) > delta:
                epsilon = math.nextafter(epsilon, 1.0)
                if epsilon == 1:
                    raise ValueError(f"delta: expected what {n} tokens with a floor can reach, got {delta}")
            return cls(epsilon, first, masked_eos)
        epsilon = -math.expm1(-math.log(2) / n)
        while _floor_value(epsilon, n) < 0.5:
            epsilon = math.nextafter(epsilon, 1.0)
        return cls(epsilon, first, masked_eos)

    def value(self, step: int) -> float:
        """The floor at a step: 1 - (1 - epsilon)^(step - start + 1), 0 before `start`.

        Examples
        --------
        >>> from likewise.decoding import TerminationFloor
        >>> round(TerminationFloor(0.1).value(2), 3)
        0.271
        """
        return _floor_value(self.epsilon, check_scalar_int(step, "step", minimum=0) - self.start + 1)

    def greedy_stop(self) -> int:
        """The last token that greedy decoding can reach: number `start` + ceil(ln 2 / -ln(1 - epsilon)).

        Examples
        --------
        >>> from likewise.decoding import TerminationFloor
        >>> TerminationFloor(1e-2).greedy_stop(), TerminationFloor(1e-4, start=100).greedy_stop()
        (69, 7032)
        """
        return self.start + _smallest(lambda n: _floor_value(self.epsilon, n) >= 0.5)

    def quantile(self, delta: float) -> int:
        """Smallest number of tokens that sampling exceeds with probability at most delta, by the bound.

        Examples
        --------
        >>> from likewise.decoding import TerminationFloor
        >>> TerminationFloor(1e-2).quantile(1e-9), TerminationFloor(1e-2).quantile(0.5)
        (64, 12)
        """
        delta = check_open_unit(delta, "delta")
        return self.start + _smallest(lambda n: survival_bound(self.epsilon, n) <= delta)


def _floor_value(epsilon: float, n: int) -> float:
    return 0.0 if n < 1 else -math.expm1(n * math.log1p(-epsilon))


def _smallest(holds: Any) -> int:
    """The smallest n >= 1 for which a condition holds that stays true."""
    high = 1
    while not holds(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def check_floor(value: object) -> TerminationFloor | None:
    """A floor, or None."""
    if value is not None and not isinstance(value, TerminationFloor):
        raise TypeError(f"floor: expected a TerminationFloor or None, got {describe(value)}")
    return value


def check_open_unit(value: object, name: str) -> float:
    """A number in (0, 1)."""
    number = check_scalar_float(value, name, exclusive_minimum=0.0, maximum=1.0)
    if number >= 1:
        raise ValueError(f"{name}: expected a number > 0 and < 1, got {describe(value)}")
    return number
