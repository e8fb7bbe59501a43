"""The law of the next token, step by step as its definition reads: slow, in float64, with a sort wherever one helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def law(
    logits: Any,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical_p: float = 1.0,
    eos_id: Sequence[int] = (),
    consistent: bool = True,
    floor: float = 0.0,
) -> NDArray[np.float64]:
    """Probabilities of all tokens; exactly 0 where a token is removed (and where its weight is too small for float64).

    Greedy decoding (temperature 0) gives all to one token.
    """
    z = np.asarray(logits, np.float64)
    ids = np.arange(len(z))
    finite = z > -np.inf
    if temperature == 0:
        return _greedy(z, eos_id, floor)
    with np.errstate(under="ignore"):
        w = np.where(finite, np.exp((z - z.max()) / temperature), 0.0)
    kept = finite.copy()
    by_logit = np.lexsort((ids, -z))
    if 0 < top_k < len(z):
        kept &= np.isin(ids, by_logit[:top_k])
    if top_p < 1:
        kept = _prefix(by_logit[kept[by_logit]], w, top_p)
    if min_p > 0:
        kept &= (z - z.max()) / temperature >= np.log(min_p)
    if typical_p < 1:
        p = np.where(kept, w, 0.0) / w[kept].sum()
        with np.errstate(divide="ignore"):
            surprise = np.where(kept, np.log(w[kept].sum()) - (z - z.max()) / temperature, np.inf)
        entropy = (p[p > 0] * surprise[p > 0]).sum()
        order = np.lexsort((ids, np.abs(surprise - entropy)))
        kept = _prefix(order[kept[order]], w, typical_p)
    ends = np.isin(ids, eos_id) & finite
    if consistent:
        kept |= ends
    ends &= kept
    q = np.where(kept, w, 0.0)
    return _with_floor(q, ends, eos_id, floor)


def _prefix(order: NDArray[np.int64], w: NDArray[np.float64], mass: float) -> NDArray[np.bool_]:
    """The fewest tokens in this order that have at least `mass` of all of it."""
    cumulative = np.cumsum(w[order])
    n = int(np.searchsorted(cumulative, mass * cumulative[-1])) + 1
    kept = np.zeros(len(w), np.bool_)
    kept[order[:n]] = True
    return kept


def _with_floor(
    q: NDArray[np.float64], ends: NDArray[np.bool_], eos_id: Sequence[int], floor: float
) -> NDArray[np.float64]:
    of_ends, of_others = q[ends].sum(), q[~ends].sum()
    e = of_ends / (of_ends + of_others)
    if not (floor > e and ends.any()):
        return q / (of_ends + of_others)
    raised = floor if of_others > 0 else 1.0
    q = q * ((1 - raised) / of_others if of_others > 0 else 0.0) * ~ends + np.where(ends, q, 0.0) * (
        raised / of_ends if of_ends > 0 else 0.0
    )
    if of_ends == 0:
        q[next(i for i in eos_id if ends[i])] = raised
    return q


def _greedy(z: NDArray[np.float64], eos_id: Sequence[int], floor: float) -> NDArray[np.float64]:
    q = np.zeros(len(z))
    q[int(z.argmax())] = 1
    ends = np.isin(np.arange(len(z)), eos_id) & (z > -np.inf)
    if floor > 0 and ends.any():
        p = law(z, eos_id=eos_id, floor=floor)
        others = np.where(ends, -np.inf, z)
        best = int(others.argmax())
        stop = np.isinf(others[best]) or p[ends].sum() >= p[best]
        q[:] = 0
        q[int(np.where(ends, p, -1).argmax()) if stop else best] = 1
    return q


def draw(q: NDArray[np.float64], u: float) -> int:
    """The smallest id whose cumulative probability is above u."""
    above = np.cumsum(q) > u
    return int(above.argmax()) if above.any() else int(np.flatnonzero(q)[-1])
