"""Self-terminating heads: probabilities of the end token that every model must raise towards 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_array, check_choice, check_indices, check_scalar_int
from .floor import check_open_unit

__all__ = ["SelfTerminatingState", "non_monotonic_self_terminating", "self_terminating"]

Floats = NDArray[np.float32] | NDArray[np.float64]
Vector = NDArray[np.float64]


def self_terminating(logits_seq: Any, eos_id: int, epsilon: float, *, start: int = 0) -> Floats:
    r"""Log-probabilities of the self-terminating (ST) head, whose end token only gains probability.

    With the end token's logit a_t: ``ln p_t(other) = S_t`` with ``S_t = sum_{i<=t} ln((1 - epsilon) sigmoid(a_i))``
    from step `start` on, ``p_t(eos) = 1 - exp(S_t)``, and the other tokens share exp(S_t) by their softmax.

    Parameters
    ----------
    logits_seq : array-like of shape (..., T, V)
        Logits of steps 0 to T-1. float32 and float64 (float16 becomes float32). Other tokens' logits may be -inf.
    eos_id : int
        The end token's column. A *large* logit there means: go on.
    epsilon : float
        In (0, 1). How much of the probability of going on every step takes away at least.
    start : int, default 0
        Before it the end token has probability 0.

    Returns
    -------
    ndarray of shape (..., T, V)
        In the dtype of the logits; each row's exponentials sum to 1.

    Raises
    ------
    ValueError, TypeError
        Naming the argument: NaN or +inf, an end token that is not finite or not in the vocabulary, a row of nothing
        else, V < 2, epsilon outside (0, 1), start < 0.

    Notes
    -----
    ``p_t(eos) >= 1 - (1 - epsilon)^n`` at the n-th step from `start` on, for any logits, so that no decoding that keeps
    probabilities can run forever; greedy decoding stops once that bound passes 1/2. Train with these probabilities
    (`likewise.integrations.torch` has them with gradients); a model that was trained otherwise means something else by
    its logits. Sums are in float64.

    References
    ----------
    Welleck, Kulikov, Kim, Pang, Cho, "Consistency of a recurrent language model with respect to incomplete decoding",
    EMNLP 2020, arXiv 2002.02492.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> logits = np.array([[0.0, -2.0], [0.0, -1.0], [0.0, 0.0]])
    >>> np.exp(lw.decoding.self_terminating(logits, eos_id=1, epsilon=0.1))[:, 1].round(6)
    array([0.892717, 0.974033, 0.988315])
    """
    logits, eos, share, first = _check(logits_seq, eos_id, epsilon, start)
    n = np.maximum(np.arange(logits.shape[-2]) - first + 1, 0)
    going_on = n * np.log1p(-share) + np.cumsum(_log_sigmoids(logits[..., eos], n > 0), axis=-1)
    return _combine(logits, eos, going_on, _log_one_minus_exp(going_on))


def non_monotonic_self_terminating(logits_seq: Any, eos_id: int, epsilon: float, *, start: int = 0) -> Floats:
    r"""Log-probabilities of the non-monotonic self-terminating (NMST) head: a rising floor under the end token.

    With the end token's logit a_t, ``s = sigmoid(a_t)``, the n-th step from `start` on and ``f = 1 - (1 - epsilon)^n``:
    ``p_t(eos) = (1 - s) f + s``; the other tokens share ``(1 - s) (1 - epsilon)^n`` by their softmax.

    Parameters
    ----------
    logits_seq : array-like of shape (..., T, V)
        Logits of steps 0 to T-1. float32 and float64 (float16 becomes float32). Other tokens' logits may be -inf.
    eos_id : int
        The end token's column. A large logit there means: stop.
    epsilon : float
        In (0, 1). Growth of the floor.
    start : int, default 0
        Before it there is no floor: ``p_t(eos) = s``.

    Returns
    -------
    ndarray of shape (..., T, V)
        In the dtype of the logits; each row's exponentials sum to 1.

    Raises
    ------
    ValueError, TypeError
        As `self_terminating`.

    Notes
    -----
    ``p_t(eos) >= f`` for any logits, as with `self_terminating`, but it may fall again from one step to the next.

    References
    ----------
    Choi, Cho, Lee, "A non-monotonic self-terminating language model", ICLR 2023, arXiv 2210.00660.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> logits = np.array([[0.0, -2.0], [0.0, -1.0], [0.0, 0.0]])
    >>> np.exp(lw.decoding.non_monotonic_self_terminating(logits, eos_id=1, epsilon=0.1))[:, 1].round(6)
    array([0.207283, 0.407843, 0.6355  ])
    """
    logits, eos, share, first = _check(logits_seq, eos_id, epsilon, start)
    n = np.maximum(np.arange(logits.shape[-2]) - first + 1, 0)
    return _combine(logits, eos, *_nmst(logits[..., eos], share, n))


class SelfTerminatingState:
    """A self-terminating head for decoding, one step at a time: what `self_terminating` gives for the whole sequence.

    Parameters
    ----------
    eos_id : int
        The end token's column.
    epsilon : float
        In (0, 1).
    batch_size : int
        Rows of the first step.
    kind : {"st", "nmst"}, default "st"
        The head: `self_terminating` or `non_monotonic_self_terminating`.
    start : int, default 0
        As there.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> state = lw.decoding.SelfTerminatingState(eos_id=1, epsilon=0.1, batch_size=1)
    >>> for a in (-2.0, -1.0):
    ...     print(np.exp(state.step([[0.0, a]])).round(6))
    [[0.107283 0.892717]]
    [[0.025967 0.974033]]
    """

    def __init__(self, eos_id: int, epsilon: float, batch_size: int, kind: str = "st", *, start: int = 0) -> None:
        self._eos = check_scalar_int(eos_id, "eos_id", minimum=0)
        self._epsilon = check_open_unit(epsilon, "epsilon")
        self._start = check_scalar_int(start, "start", minimum=0)
        self._kind = check_choice(kind, "kind", ("st", "nmst"))
        n = check_scalar_int(batch_size, "batch_size", minimum=0)
        self._log_sigmoids = np.zeros(n)  # their sum, of the head ST
        self._steps = np.zeros(n, dtype=np.int64)

    def __repr__(self) -> str:
        return (
            f"SelfTerminatingState(eos_id={self._eos}, epsilon={self._epsilon:g}, batch_size={self.batch_size}, "
            f"kind={self._kind!r}, start={self._start})"
        )

    @property
    def batch_size(self) -> int:
        """Rows of the next step."""
        return len(self._steps)

    def step(self, logits: Any) -> Floats:
        """Log-probabilities of the next token.

        Parameters
        ----------
        logits : array-like of shape (batch_size, V)

        Returns
        -------
        ndarray of shape (batch_size, V)
            In the dtype of the logits.

        Raises
        ------
        ValueError, TypeError
            As `self_terminating`; nothing has changed then.
        """
        rows, eos, _, _ = _check(logits, self._eos, self._epsilon, self._start, name="logits", ndim=2)
        if len(rows) != self.batch_size:
            raise ValueError(f"logits: expected {self.batch_size} rows, got {len(rows)}")
        n = np.maximum(self._steps - self._start + 1, 0)
        if self._kind == "st":
            sums = self._log_sigmoids + _log_sigmoids(rows[:, eos], n > 0)
            going_on = n * np.log1p(-self._epsilon) + sums
            found = _combine(rows, eos, going_on, _log_one_minus_exp(going_on))
            self._log_sigmoids = sums
        else:
            found = _combine(rows, eos, *_nmst(rows[:, eos], self._epsilon, n))
        self._steps = self._steps + 1
        return found

    def reorder(self, index: Any) -> None:
        """Row i goes on from what row ``index[i]`` was, as a beam search needs it; the number of rows may change.

        Parameters
        ----------
        index : array-like of int, shape (n,)
            From 0 to batch_size - 1.

        Raises
        ------
        ValueError, TypeError
            For any other index.
        """
        rows = check_indices(index, "index", n=self.batch_size)
        self._log_sigmoids, self._steps = self._log_sigmoids[rows], self._steps[rows]

    def reset(self, rows: Any = None) -> None:
        """Begin anew, in all rows or in those given.

        Parameters
        ----------
        rows : array-like of int, optional
            From 0 to batch_size - 1.

        Raises
        ------
        ValueError, TypeError
            For any other row.
        """
        chosen = slice(None) if rows is None else check_indices(rows, "rows", n=self.batch_size)
        self._log_sigmoids[chosen], self._steps[chosen] = 0, 0


def _check(
    value: Any, eos_id: object, epsilon: object, start: object, *, name: str = "logits_seq", ndim: int | None = None
) -> tuple[Floats, int, float, int]:
    if ndim is None:
        try:
            ndim = max(2, np.ndim(value))
        except ValueError:  # ragged: check_array says so
            ndim = 2
    logits = check_array(value, name, ndim=ndim, min_rows=0, finite=False)
    if logits.shape[-1] < 2:
        raise ValueError(f"{name}: expected at least 2 tokens, got shape {logits.shape}")
    eos = check_scalar_int(eos_id, "eos_id", minimum=0, maximum=logits.shape[-1] - 1)
    share, first = check_open_unit(epsilon, "epsilon"), check_scalar_int(start, "start", minimum=0)
    finite = np.isfinite(logits)
    for wrong, what, got in (
        ((~(logits < np.inf)).any(axis=-1), "numbers or -inf", "NaN or infinity"),
        (~finite[..., eos], "a finite logit of the end token", "-inf"),
        (finite.sum(axis=-1) < 2, "a finite logit beside that of the end token", "none"),
    ):
        if wrong.any():
            row = [int(i) for i in np.argwhere(wrong)[0]]
            raise ValueError(f"{name}: expected {what}, got {got} at row {row[0] if len(row) == 1 else tuple(row)}")
    return logits, eos, share, first


def _log_sigmoids(a: NDArray[Any], counts: NDArray[np.bool_]) -> Vector:
    """ln sigmoid(a), or 0 where it does not count."""
    return np.where(counts, -np.logaddexp(0, -a.astype(np.float64)), 0.0)


def _nmst(a: NDArray[Any], epsilon: float, n: NDArray[np.int64]) -> tuple[Vector, Vector]:
    """Logarithms of the probabilities of going on and of stopping."""
    kept = n * np.log1p(-epsilon)
    wide = a.astype(np.float64)
    not_s, s = -np.logaddexp(0, wide), -np.logaddexp(0, -wide)
    return kept + not_s, np.logaddexp(_log_one_minus_exp(kept) + not_s, s)


def _log_one_minus_exp(x: Vector) -> Vector:
    """ln(1 - e^x) for x <= 0, to full precision near both ends."""
    with np.errstate(divide="ignore"):  # ln 0 where the end token cannot come yet
        return np.where(x > -0.6931471805599453, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def _combine(logits: Floats, eos: int, going_on: Vector, stopping: Vector) -> Floats:
    """Rows of ln p: the end token's, and the others' shares of going on."""
    found = logits.astype(np.float64)
    found[..., eos] = -np.inf
    with np.errstate(over="ignore"):  # of differences beyond float64: the token has no weight
        found -= found.max(axis=-1, keepdims=True)
    found += (going_on - np.log(np.exp(found).sum(axis=-1)))[..., None]
    found[..., eos] = stopping
    return found if logits.dtype == np.float64 else found.astype(np.float32)
