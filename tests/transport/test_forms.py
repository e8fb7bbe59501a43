"""Arrays in every form that users have them: the very bits of the canonical call, or a refusal in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likewise.transport import barycenter, partial, sinkhorn, sinkhorn_divergence, unbalanced

N = 6
# Small integers: every dtype holds them.
POINTS = np.random.default_rng(0).integers(-9, 9, (N, N)).astype(np.float64)
COST = np.abs(POINTS + POINTS.T)
WEIGHTS = np.array([3.0, 1, 0, 2, 5, 1])
HISTOGRAMS = np.random.default_rng(1).permuted(np.repeat(WEIGHTS[None], 3, axis=0), axis=1)


def bits(r: Any) -> bytes:
    return b"".join(np.asarray(v, np.float64).tobytes() for v in (r.cost, r.regularised_cost, r.f, r.g))


CALLS: dict[str, tuple[NDArray[Any], str, Callable[[Any], bytes]]] = {
    "sinkhorn a": (WEIGHTS, "a", lambda v: bits(sinkhorn(v, None, COST))),
    "sinkhorn b": (WEIGHTS, "b", lambda v: bits(sinkhorn(None, v, COST))),
    "sinkhorn cost": (COST, "cost", lambda v: bits(sinkhorn(WEIGHTS, None, v))),
    "sinkhorn x": (POINTS, "x", lambda v: bits(sinkhorn(None, WEIGHTS, x=v, y=COST))),
    "sinkhorn y": (POINTS, "y", lambda v: bits(sinkhorn(None, WEIGHTS, x=COST, y=v))),
    "sinkhorn init": (WEIGHTS, "init", lambda v: bits(sinkhorn(None, None, COST, init=(WEIGHTS, v)))),
    "unbalanced a": (WEIGHTS, "a", lambda v: bits(unbalanced(v, None, COST))),
    "unbalanced cost": (COST, "cost", lambda v: bits(unbalanced(WEIGHTS, None, v))),
    "partial b": (WEIGHTS, "b", lambda v: bits(partial(WEIGHTS, v, COST, mass=3, epsilon=0.2))),
    "divergence x": (
        POINTS,
        "x",
        lambda v: np.float64(sinkhorn_divergence(WEIGHTS, WEIGHTS, x=v, y=COST)).tobytes(),
    ),
    "histograms": (HISTOGRAMS, "histograms", lambda v: barycenter(v, COST, epsilon=1).histogram.tobytes()),
    "barycentre's cost": (COST, "cost", lambda v: barycenter(HISTOGRAMS, v, epsilon=1).histogram.tobytes()),
}


class Sub(np.ndarray):
    pass


def misaligned(x: NDArray[Any]) -> NDArray[Any]:
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    y = buffer[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def read_only(x: NDArray[Any]) -> NDArray[Any]:
    y = x.copy()
    y.flags.writeable = False
    return y


FORMS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "read-only": read_only,
    "offset": lambda x: np.concatenate([np.ones_like(x[:1]), x])[1:],
    "Fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(">f8"),
    "misaligned": misaligned,
    "objects": lambda x: x.astype(object),
    "integers": lambda x: x.astype(np.int16),
    "list": np.ndarray.tolist,
    "subclass": lambda x: x.view(Sub),
    "unmasked": np.ma.masked_array,
}
BAD: dict[str, Callable[[NDArray[Any]], Any]] = {
    "NaN": lambda x: np.where(np.arange(x.size).reshape(x.shape) == x.size - 1, np.nan, x),
    "complex": lambda x: x.astype(complex),
    "text": lambda x: x.astype(str),
    "dates": lambda x: x.astype("M8[s]"),
    "long double": lambda x: x.astype(np.longdouble),
    "one rank more": lambda x: x[None],
    "0-d": lambda x: np.array(1.0),
    "masked": lambda x: np.ma.masked_array(x, x > 0),
    "set": lambda x: {1.0, 2.0},
}


@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CALLS)
def test_any_form_gives_the_same_bits(name: str, form: str) -> None:
    values, _, call = CALLS[name]
    assert call(FORMS[form](values)) == call(values.copy())


@pytest.mark.parametrize("form", BAD)
@pytest.mark.parametrize("name", CALLS)
def test_anything_else_is_refused_by_name(name: str, form: str) -> None:
    values, argument, call = CALLS[name]
    with pytest.raises((ValueError, TypeError), match=f"^{argument}: expected"):
        call(BAD[form](values))


@pytest.mark.filterwarnings("ignore::likewise.errors.ConvergenceWarning")
def test_inputs_are_left_alone() -> None:
    a, cost, points, start = WEIGHTS.copy(), COST.copy(), POINTS.copy(), (WEIGHTS.copy(), WEIGHTS.copy())
    sinkhorn(a, None, cost, init=start)
    sinkhorn(a, None, x=points, y=points).gradient("x")
    unbalanced(a, a, cost)
    for now, before in ((a, WEIGHTS), (cost, COST), (points, POINTS), (start[0], WEIGHTS), (start[1], WEIGHTS)):
        np.testing.assert_array_equal(now, before)


def test_results_are_arrays_of_their_own() -> None:
    r = sinkhorn(WEIGHTS, None, COST)
    for array in (r.f, r.g, r.plan.dense(), r.gradient("a"), r.gradient("b"), r.history):
        assert not any(np.may_share_memory(array, given) for given in (WEIGHTS, COST, *r.potentials))
        array[...] = 0  # writeable
    assert r.plan.dense().sum() == pytest.approx(WEIGHTS.sum())


def test_dtypes() -> None:
    f4, f8 = np.float32, np.float64
    points = POINTS.astype(f4)
    assert sinkhorn(None, None, x=points, y=points + 1).f.dtype == f4
    assert sinkhorn(None, None, x=points, y=POINTS + 1).f.dtype == f8
    assert sinkhorn(WEIGHTS, None, x=points, y=points + 1).f.dtype == f8
    assert sinkhorn(WEIGHTS.astype(f4), None, COST.astype(f4)).gradient("cost").dtype == f4
    assert isinstance(sinkhorn(None, None, x=points, y=points + 1).cost, float)
