"""The wall of the Python layer: public arguments of the index, in every form that users have them.

What is accepted gives the very bits of the canonical call; what is refused is refused in words that name the argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import InternalError
from likewise.search import Index

IX = Index.build(["red fox", "blue fox", "red hen", "old dog", "fox and hen and dog"], analyzer="plain", progress=False)
NAMED = Index.build(["red fox", "blue fox", "red hen"], ids=["a", "b", "c"], analyzer="plain", progress=False)
IDS = np.array([3, 0, 4], np.int64)


def related(ids: Any) -> bytes:
    hits = IX.related(ids, k=3, min_df=1)
    return hits.doc_ids.tobytes() + hits.scores.tobytes()


def scores(ids: Any) -> bytes:
    return IX.scores("red fox dog", ids=ids).tobytes()


def misaligned(x: np.ndarray) -> np.ndarray:
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    y = buffer[1:].view(x.dtype)
    y[...] = x
    return y


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize("call", [related, scores])
@pytest.mark.parametrize(
    "form",
    [
        np.ndarray.copy,
        np.ndarray.tolist,
        lambda x: tuple(x.tolist()),
        lambda x: [np.int16(i) for i in x],
        lambda x: x.astype(np.int8),
        lambda x: x.astype(np.uint64),
        lambda x: x.astype(">i4"),
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        misaligned,
        lambda x: np.concatenate([[7], x])[1:],
        lambda x: x.astype(object),
        lambda x: x.view(Sub),
        np.ma.masked_array,
        lambda x: pytest.importorskip("pandas").Series(x),
        lambda x: pytest.importorskip("polars").Series(x),
    ],
)
def test_ids_in_any_form(call: Callable[[Any], bytes], form: Callable[[np.ndarray], Any]) -> None:
    frozen = IDS.copy()
    frozen.flags.writeable = False
    assert call(form(IDS)) == call(frozen) == call(IDS)


@pytest.mark.parametrize("call", [related, scores])
@pytest.mark.parametrize(
    "bad",
    [
        [1.0],
        np.array([1.0]),
        np.array([np.nan]),
        [True],
        np.array([True]),
        ["1"],
        [b"1"],
        [None],
        [1, None],
        [1, 1.0],
        np.array([1], "M8[s]"),
        np.array([1 + 0j]),
        np.zeros(1, [("a", "i8")]),
        [[1]],
        np.array([[1]]),
        np.ma.masked_array([1, 2], [0, 1]),
        {1},
        {1: 2},
        (i for i in [1]),
        2**70,
        [2**70],
        [2**63],
        [-(2**63) - 1],
    ],
    ids=lambda x: repr(x)[:30],
)
def test_ids_of_a_wrong_kind(call: Callable[[Any], bytes], bad: Any) -> None:
    with pytest.raises((TypeError, ValueError, KeyError), match=r"^['\"]?ids?: expected ") as caught:
        call(bad)
    assert not isinstance(caught.value, InternalError)
    assert not re.search(r"incompatible function|Unable to cast|\bstd::|uint32", str(caught.value))


@pytest.mark.parametrize("call", [related, scores])
@pytest.mark.parametrize("bad", [-1, 5, 2**31, 2**32, 2**32 + 3, 2**63 - 1])
def test_unknown_ids_are_never_wrapped(call: Callable[[Any], bytes], bad: int) -> None:
    with pytest.raises(KeyError, match=f"got int {bad}"):
        call([0, bad])


@given(st.lists(st.one_of(st.integers(), st.floats(), st.none(), st.booleans(), st.text(max_size=3)), max_size=4))
def test_ids_give_results_or_a_clear_error(ids: list[Any]) -> None:
    try:
        found = scores(ids)
    except (TypeError, ValueError, KeyError) as error:
        assert "ids: expected " in str(error) and not isinstance(error, InternalError)
    else:
        assert found == b"".join(IX.scores("red fox dog")[[i]].tobytes() for i in ids)


@pytest.mark.parametrize("bad", [3, 1.0, None, True, b"a", ["a", 3], ["a", None], [b"a"], "zz", ["a", "zz"]])
def test_str_ids_of_a_wrong_kind(bad: Any) -> None:
    with pytest.raises((TypeError, KeyError), match=r"ids?: expected "):
        NAMED.related(bad)


SCALARS: list[tuple[str, Callable[[Any], Any]]] = [
    ("k", lambda x: IX.search("fox", x)),
    ("k", lambda x: IX.search_batch(["fox"], x)),
    ("k", lambda x: IX.related(0, x)),
    ("n_threads", lambda x: IX.search("fox", n_threads=x)),
    ("n_threads", lambda x: IX.search_batch(["fox"], n_threads=x)),
    ("n_keywords", lambda x: IX.related(0, n_keywords=x)),
    ("n", lambda x: IX.keywords(0, x)),
]


@pytest.mark.parametrize(("name", "call"), SCALARS)
def test_counts(name: str, call: Callable[[Any], Any]) -> None:
    call(1)
    call(np.int8(1))
    call(np.array(1))
    for bad in (True, np.True_, 1.0, "1", b"1", [1], np.array([1]), np.nan, 1j):
        with pytest.raises(TypeError, match=rf"^{name}: expected an integer (>= 1|from 1 to \d+), got "):
            call(bad)
    for bad in (0, -1, -(10**30)):
        with pytest.raises(ValueError, match=rf"^{name}: expected an integer (>= 1|from 1 to \d+), got "):
            call(bad)


@pytest.mark.parametrize("name", ["k1", "b", "delta", "k3"])
def test_parameters(name: str) -> None:
    def build(value: Any) -> Index:
        variant = "bm25l" if name == "delta" else "lucene"
        options: dict[str, Any] = {name: value}
        return Index.build(["a b", "c"], analyzer="plain", variant=variant, progress=False, **options)

    for good in (0.5, 1, np.float32(0.5), np.array(0.5)):
        build(good)
    for bad in (True, "0.5", [0.5], 1j):
        with pytest.raises(TypeError, match=rf"^{name}: expected a finite number"):
            build(bad)
    for bad in (np.nan, np.inf, -np.inf, -0.1, 10**400):
        with pytest.raises(ValueError, match=rf"^{name}: expected (a finite|0, or a) number"):
            build(bad)


OUTPUTS: list[tuple[tuple[int, ...], Callable[[Any], Any]]] = [
    ((5,), lambda out: IX.scores("red fox", out=out)),
    ((2,), lambda out: IX.scores("red fox", ids=[1, 2], out=out)),
    ((2, 5), lambda out: IX.scores_batch(["red fox", "hen"], out=out)),
]


@pytest.mark.parametrize(("shape", "call"), OUTPUTS)
def test_outputs(shape: tuple[int, ...], call: Callable[[Any], Any]) -> None:
    expected = call(None)
    out = np.full(shape, np.nan, np.float32)
    returned = call(out)
    assert out.tobytes() == expected.tobytes() and np.shares_memory(returned, out)
    frozen = np.zeros(shape, np.float32)
    frozen.flags.writeable = False
    flat = np.zeros(int(np.prod(shape)), np.float32)
    bad: list[Any] = [
        np.zeros(shape),
        np.zeros(shape, ">f4"),
        np.zeros(shape, np.int32),
        np.zeros((*shape, 1), np.float32),
        np.zeros((1, *shape), np.float32),
        np.zeros(tuple(n + 1 for n in shape), np.float32),
        np.repeat(out, 2, axis=-1)[..., ::2],
        misaligned(flat).reshape(shape),
        frozen,
        np.ma.masked_array(out),
    ]
    if len(shape) == 2:
        bad.append(np.asfortranarray(out))
    for value in bad:
        with pytest.raises(ValueError, match=r"^out: expected "):
            call(value)
    for value in (out.tolist(), "out", 3):
        with pytest.raises(TypeError, match=r"^out: expected a numpy array, got "):
            call(value)


def test_results_own_their_memory() -> None:
    hits = IX.search("fox")
    for array in (hits.doc_ids, hits.scores, IX.scores("fox")):
        assert array.flags.c_contiguous and not np.shares_memory(array, IDS)
