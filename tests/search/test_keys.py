"""Ids: str, int or none; found in place; what is wrong with them is said with its positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise import _core
from likewise.search.keys import IntegerKeys, Keys, StringKeys, make_keys

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
INT64 = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(st.lists(TEXTS, unique=True, max_size=200))
def test_strings(values: list[str]) -> None:
    keys = make_keys(values, len(values))
    assert len(keys) == len(values) and keys.all().tolist() == values
    if values:
        assert isinstance(keys, StringKeys) and keys.kind == "str"
    for position, value in enumerate(values):
        assert value in keys and keys.doc_id(value) == position and keys.key(position) == value
    assert "no such key, too long for the lists above" not in keys
    assert keys.doc_ids(values[::-1]).tolist() == list(range(len(values)))[::-1]
    keys.check()


@settings(deadline=None)
@given(st.lists(INT64, unique=True, min_size=1, max_size=200), INT64)
def test_integers(values: list[int], other: int) -> None:
    keys = make_keys(values, len(values))
    assert isinstance(keys, IntegerKeys) and keys.kind == "int"
    assert keys.all().tolist() == values
    for position, value in enumerate(values):
        assert value in keys and keys.doc_id(value) == position and keys.key(position) == value
        assert keys.doc_id(np.int64(value)) == position
    assert (other in keys) == (other in values)
    assert 2**70 not in keys
    assert keys.doc_ids(np.array(values)).tolist() == list(range(len(values)))
    keys.check()


def test_many_keys() -> None:
    n = 100_000
    for values in ([f"package-{i}" for i in range(n)], list(range(5, 3 * n + 5, 3)), [i << 32 for i in range(n)]):
        keys = make_keys(values, n)
        assert keys.doc_ids(values).tolist() == list(range(n))


def test_none() -> None:
    keys = make_keys(None, 3)
    assert type(keys) is Keys and keys.kind == "none" and keys.arrays() == {}
    assert [0 in keys, 2 in keys, 3 in keys, -1 in keys, "0" in keys, True in keys, 1.0 in keys] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert keys.doc_id(np.uint8(2)) == 2 and keys.doc_ids([2, 0]).tolist() == [2, 0]
    with pytest.raises(KeyError, match="id: expected an id of the index, got int -1"):
        keys.doc_id(-1)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], r"ids: expected one id a document \(3\), got 2"),
        (["a", "b", "a"], r"ids: expected unique ids, got a duplicate str 'a' at position 2 \(first at 0\)"),
        ([7, 7, 7], r"got a duplicate int 7 at position 1 \(first at 0\), int 7 at position 2 \(first at 0\)$"),
        ([1, 2, 2**63], r"ids: expected integers that fit int64, got int 9223372036854775808 at position 2"),
        (np.array([1, 2, 2**63], dtype=np.uint64), r"ids: expected integers that fit int64"),
        (["a", "b", "\ud800"], r"ids: expected text without lone surrogates, got one at position 2"),
    ],
)
def test_refused_values(ids: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_keys(ids, 3)


def test_first_three_duplicates_are_named() -> None:
    with pytest.raises(ValueError) as caught:
        make_keys(list("abcabcabc"), 9)
    assert [f"position {i}" in str(caught.value) for i in range(9)] == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    "ids", [["a", 1, "b"], [1, "a", 2], [1, True, 2], [None, "a", "b"], [1.0, 2.0, 3.0], [b"a", 1, 2]]
)
def test_refused_types(ids: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"ids: expected unique str or unique int ids, got .* at position \d"):
        make_keys(ids, 3)


def test_unknown_ids() -> None:
    keys = make_keys(list("abc"), 3)
    with pytest.raises(KeyError, match="id: expected an id of the index, got str 'x'"):
        keys.doc_id("x")
    with pytest.raises(KeyError, match="str '0', str '1', str '2', str '3', str '4' and 5 more"):
        keys.doc_ids([*"0123456789", "a"])
    with pytest.raises(TypeError, match="id: expected a str, got int 1"):
        keys.doc_id(1)
    with pytest.raises(TypeError, match="ids: expected a str, got int 1 at position 1"):
        keys.doc_ids(["a", 1])
    with pytest.raises(TypeError, match="ids: expected a sequence of str, got str 'abc'"):
        keys.doc_ids("abc")
    with pytest.raises(TypeError, match="id: expected an int, got str 'a'"):
        make_keys([1, 2], 2).doc_id("a")
    assert "\ud800" not in keys


def test_empty_string_and_nul_are_keys() -> None:
    keys = make_keys(["", "\0", "a\0b", "𝄞"], 4)
    assert keys.doc_ids(["𝄞", "a\0b", "\0", ""]).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("values", [["x", "y"], [30, -1], None])
def test_take_marks_padding(values: list[Any] | None) -> None:
    keys = make_keys(values, 2)
    missing = None if values and isinstance(values[0], str) else -1
    names = values or [0, 1]
    taken = keys.take(np.array([[1, 0], [-1, 1]]))
    assert taken.shape == (2, 2) and taken.tolist() == [[names[1], names[0]], [missing, names[1]]]
    assert keys.take(np.empty(0, dtype=np.int64)).tolist() == []
    assert make_keys(None if values is None else [], 0).take(np.full((1, 2), -1)).tolist() in (
        [[-1, -1]],
        [[None, None]],
    )


def corrupt(array: str, make: Any) -> str:
    with pytest.raises(_core.CorruptError) as caught:
        make()
    assert caught.value.array == array
    return str(caught.value.reason)


def test_damaged_string_tables() -> None:
    offsets, data, slots, _ = _core.search.pack_strings(["ab", "c", "de"])

    def table(o: Any = offsets, b: Any = data, s: Any = slots) -> Any:
        return _core.search.StringTable(o, b, s, "key")

    table().check()
    corrupt("key_offsets", lambda: table(o=offsets[:-1]))
    corrupt("key_offsets", lambda: table(o=np.array([0, 3, 2, 5], dtype=np.uint64)))
    corrupt("key_offsets", lambda: table(o=np.array([1, 2, 3, 5], dtype=np.uint64)))
    corrupt("key_offsets", lambda: table(o=np.empty(0, dtype=np.uint64)))
    corrupt("key_slots", lambda: table(s=slots[:-1].copy()))
    corrupt("key_slots", lambda: table(s=np.full_like(slots, 1)))
    corrupt("key_slots", lambda: table(s=np.where(slots == 1, 9, slots).astype(np.uint32)))
    # Only a full check sees these: equal strings, strings in the slots of others, no UTF-8.
    corrupt("key_slots", lambda: table(b=np.frombuffer(b"abcab", dtype=np.uint8).copy()).check())
    corrupt("key_slots", lambda: table(s=np.roll(slots, 1)).check())
    corrupt("key_bytes", lambda: table(b=np.full(5, 0xFF, dtype=np.uint8)).check())
    assert table(s=np.roll(slots, 1)).find("nowhere") == -1  # it ends


def test_damaged_integer_tables() -> None:
    values = np.array([5, -3, 2**40], dtype=np.int64)
    slots, _ = _core.search.hash_integers(values)

    def table(v: Any = values, s: Any = slots) -> Any:
        return _core.search.IntegerTable(v, s, "key")

    table().check()
    corrupt("key_slots", lambda: table(v=values[:-1].copy()))
    corrupt("key_slots", lambda: table(s=np.full_like(slots, 1)))
    corrupt("key_slots", lambda: table(s=np.where(slots == 1, 9, slots).astype(np.uint32)))
    corrupt("key_slots", lambda: table(v=np.array([5, 5, 2**40])).check())
    corrupt("key_slots", lambda: table(s=np.roll(slots, 1)).check())


def test_damaged_lists() -> None:
    offsets, data, _, _ = _core.search.pack_strings(["ab", "ç", "de"])

    def strings(o: Any = offsets, b: Any = data, size: int = 3) -> Any:
        return _core.search.StringList(o, b, size, "text")

    strings().check()
    assert strings().take(np.array([2, -1, 1])) == ["de", None, "ç"]
    corrupt("text_offsets", lambda: strings(size=2))
    corrupt("text_offsets", lambda: strings(o=np.array([0, 4, 2, 6], dtype=np.uint64)))
    corrupt("text_offsets", lambda: strings(o=np.array([0, 2, 4, 7], dtype=np.uint64)))
    corrupt("text_offsets", lambda: strings(o=np.array([0, 3, 4, 6], dtype=np.uint64)).check())
    corrupt("text_bytes", lambda: strings(b=np.full(6, 0xC0, dtype=np.uint8)).check())


def test_binding_refuses_what_is_not_canonical() -> None:
    offsets, data, slots, _ = _core.search.pack_strings(["ab", "c"])
    for arrays in (
        (offsets.astype(np.int64), data, slots),
        (offsets, data.astype(np.int8), slots),
        (offsets, data, slots.tolist()),
        (offsets, data[::-1], slots),
        (offsets[None], data, slots),
    ):
        with pytest.raises(_core.InternalError):
            _core.search.StringTable(*arrays, "key")
    table = _core.search.StringTable(offsets, data, slots, "key")
    for call in (
        lambda: table.get(2),
        lambda: table.get(-1),
        lambda: table.find(b"ab"),
        lambda: table.find_all(("ab",)),
        lambda: table.find_all(["ab", 1]),
        lambda: table.take(np.array([2])),
        lambda: table.take(np.array([-2])),
        lambda: _core.search.pack_strings(("ab",)),
        lambda: _core.search.pack_strings([1]),
        lambda: _core.search.hash_integers(np.array([1], dtype=np.int32)),
    ):
        with pytest.raises(_core.InternalError):
            call()
