"""Texts of Arrow producers: every format and library gives the same index; lies and failures give clear errors."""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import likewise
from likewise import _core
from likewise.search.analyzer import Analyzer
from likewise.search.building import BuiltSegment, build_segment
from tests.search.arrow_producer import ArrayProducer, Column, StreamProducer, strings, views

BARE = Analyzer(language=None)
DOCS = ["red wing", "naïve 北京", "", "a text of more than twelve bytes 😀 of a wing", "exactly 12 b", "0123456789 é"]

PRODUCERS: dict[str, Callable[[list[str]], Any]] = {
    "u": pa.array,
    "U": lambda d: pa.array(d, pa.large_string()),
    "vu": lambda d: pa.array(d, pa.string_view()),
    "dictionary u": lambda d: pa.array(d, pa.string()).dictionary_encode(),
    "dictionary U": lambda d: pa.array(d, pa.large_string()).dictionary_encode(),
    "dictionary of uint8": lambda d: pa.array(d, pa.string()).cast(pa.dictionary(pa.uint8(), pa.string())),
    "slice": lambda d: pa.array(["xx", *d, "y"])[1 : 1 + len(d)],
    "slice of views": lambda d: pa.array(["x" * 20, *d, "y"], pa.string_view())[1 : 1 + len(d)],
    "slice of dictionary": lambda d: pa.array(["xx", *d, "y"]).dictionary_encode()[1 : 1 + len(d)],
    "chunks": lambda d: pa.chunked_array([d[:1], [], d[1:3], [], d[3:]], pa.string()),
    "record batch": lambda d: pa.record_batch({"n": range(len(d)), "t": pa.array(d)}),
    "slice of a batch": lambda d: pa.record_batch({"t": ["xx", *d, "y"]})[1 : 1 + len(d)],
    "table": lambda d: pa.table({"t": pa.chunked_array([d[:2], d[2:]], pa.string()), "n": range(len(d))}),
    "reader": lambda d: pa.table({"t": pa.array(d)}).to_reader(2),
    "polars": pl.Series,
    "polars slice": lambda d: pl.Series(["xx", *d, "y"])[1 : 1 + len(d)],
    "polars categorical": lambda d: pl.Series(d, dtype=pl.Categorical),
    "polars objects": lambda d: pl.Series(d, dtype=pl.Object),
    "polars frame": lambda d: pl.DataFrame({"n": range(len(d)), "t": d}),
    "pandas": pd.Series,
    "pandas string": lambda d: pd.Series(d, dtype="string"),
    "pandas objects": lambda d: pd.Series(d, dtype=object),
    "pandas category": lambda d: pd.Series(d, dtype="category"),
    "pandas slice": lambda d: pd.Series(["xx", *d, "y"])[1 : 1 + len(d)],
    "pandas frame": lambda d: pd.DataFrame({"n": range(len(d)), "t": d}),
    "pandas frame of objects": lambda d: pd.DataFrame({"t": np.array(d, dtype=object)}),
    "iterator of batches": lambda d: iter([pa.array(d[:2]), pl.Series(d[2:3]), pa.array(d[3:])]),
    "by hand": lambda d: ArrayProducer(strings([t.encode() for t in d])),
}


def same(a: BuiltSegment, b: BuiltSegment) -> bool:
    return a.arrays.keys() == b.arrays.keys() and all(np.array_equal(x, b.arrays[n]) for n, x in a.arrays.items())


def released_once(columns: Sequence[Column], *, arrays: int) -> bool:
    gc.collect()
    return (
        sum(c.released["schema"] for c in columns) == 1
        and [c.released["array"] for c in columns] == [1] * arrays + [0] * (len(columns) - arrays)
    )  # fmt: skip


@pytest.mark.parametrize("producer", PRODUCERS)
def test_producers(producer: str) -> None:
    expected = build_segment(DOCS, analyzer=Analyzer(), store=True)
    assert same(expected, build_segment(PRODUCERS[producer](DOCS), analyzer=Analyzer(), store=True))
    custom = Analyzer(tokenizer=str.split)
    expected = build_segment(DOCS, analyzer=custom, store=True)
    assert same(expected, build_segment(PRODUCERS[producer](DOCS), analyzer=custom, store=True))
    batch = BARE.batch(PRODUCERS[producer](DOCS))
    assert [batch[i] for i in range(len(batch))] == [BARE(text) for text in DOCS]


@pytest.mark.parametrize(
    "documents",
    [
        pa.array([], pa.string()),
        pa.array([], pa.string_view()),
        pa.array([], pa.string()).dictionary_encode(),
        pa.array(["a"])[1:],
        pa.chunked_array([], pa.string()),
        pa.chunked_array([[], []], pa.string()),
        pa.table({"t": pa.array([], pa.string())}),
        pl.Series([], dtype=pl.String),
        pl.DataFrame({"t": []}, schema={"t": pl.String}),
        pd.Series([], dtype="str"),
        pd.Series([], dtype=object),
    ],
    ids=lambda documents: f"{type(documents).__module__}.{type(documents).__name__}",
)
def test_no_documents(documents: Any) -> None:
    assert len(build_segment(documents, analyzer=BARE).arrays["document_lengths"]) == 0


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1), st.data())
def test_slices_and_chunks(documents: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(documents)))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
    whole = pa.array(documents, kind)
    expected = build_segment(documents, analyzer=BARE, store=True)
    chunked = pa.chunked_array([whole[:cut], whole[cut:]])
    table = pa.table({"t": chunked})
    for form in (whole, chunked, table, pl.Series(documents)):
        assert same(expected, build_segment(form, analyzer=BARE, store=True))


FRAMES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pyarrow table": pa.table,
    "pyarrow batch": pa.record_batch,
    "pandas": pd.DataFrame,
    "pandas objects": lambda d: pd.DataFrame({n: np.array(v, dtype=object) for n, v in d.items()}),
    "polars": pl.DataFrame,
}


class TestFrames:
    columns: ClassVar = {
        "id": ["p", "q", "r"],
        "title": ["red", "", "naïve"],
        "text": ["wing", "x 北京", "z"],
        "n": [3, 1, 2],
    }

    @pytest.mark.parametrize("frame", FRAMES)
    def test_fields_and_ids(self, frame: str) -> None:
        documents = FRAMES[frame](self.columns)
        expected = build_segment(["red\nwing", "\nx 北京", "naïve\nz"], analyzer=BARE, store=True)
        for analyzer in (BARE, Analyzer(None, tokenizer=lambda text: BARE(text))):
            segment = build_segment(documents, analyzer=analyzer, fields=("title", "text"), ids="id", store=True)
            assert same(expected, segment)
            assert segment.keys == ["p", "q", "r"]
        assert build_segment(documents, analyzer=BARE, fields="text", ids="n").keys == [3, 1, 2]
        swapped = build_segment(documents, analyzer=BARE, fields=["text", "title"], store=True)
        assert bytes(swapped.arrays["text_bytes"]).decode() == "wing\nredx 北京\nz\nnaïve"

    @pytest.mark.parametrize("frame", FRAMES)
    def test_the_only_column_of_strings_needs_no_name(self, frame: str) -> None:
        documents = FRAMES[frame]({"id": self.columns["id"], "text": self.columns["text"]})
        expected = build_segment(self.columns["text"], analyzer=BARE)
        segment = build_segment(documents, analyzer=BARE, ids="id")
        assert same(expected, segment) and segment.keys == ["p", "q", "r"]

    @pytest.mark.parametrize("frame", FRAMES)
    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({}, ValueError, "fields: expected the names of the "),
            ({"fields": "body"}, ValueError, "'body'"),
            ({"fields": "n"}, TypeError, "documents: expected"),
            ({"fields": "text", "ids": "key"}, ValueError, "ids: expected the"),
        ],
    )
    def test_refused(self, frame: str, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
        with pytest.raises(error) as caught:
            build_segment(FRAMES[frame](self.columns), analyzer=BARE, **arguments)
        assert text in str(caught.value)

    def test_ids_of_every_width(self) -> None:
        for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()):
            table = pa.table({"t": ["a", "b"], "k": pa.array([0, 127], kind)})
            assert build_segment(table, analyzer=BARE, ids="k").keys == [0, 127]
        table = pa.table({"t": ["a", "b"], "k": pa.array([0, 2**63], pa.uint64())})
        with pytest.raises(ValueError, match=r"^ids: expected integers that fit 64 bits, got 9223372036854775808 at"):
            build_segment(table, analyzer=BARE, ids="k")
        table = pa.table({"t": ["a", "b"], "k": pa.array([0, None])})
        with pytest.raises(ValueError, match=r"^ids: expected no nulls, got one at index 1"):
            build_segment(table, analyzer=BARE, ids="k")
        table = pa.table({"t": ["a", "b"], "k": [1.5, 2.5]})
        with pytest.raises(TypeError, match=r"^ids: expected strings or integers, got float64 in column 'k'"):
            build_segment(table, analyzer=BARE, ids="k")

    def test_ids_of_other_libraries(self) -> None:
        for ids in (pa.array(["x", "y"]), pl.Series(["x", "y"]), pd.Series(["x", "y"]), pd.Index(["x", "y"])):
            assert build_segment(["a", "b"], analyzer=BARE, ids=ids).keys == ["x", "y"]

    def test_columns_of_one_name(self) -> None:
        table = pa.table([["a"], ["b"]], names=["t", "t"])
        with pytest.raises(ValueError, match=r"^fields: expected the name of one column, got 't'"):
            build_segment(table, analyzer=BARE, fields="t")


@pytest.mark.parametrize(
    ("documents", "error", "text"),
    [
        (pa.array(["a", None]), ValueError, 'no nulls, got one at index 1 [call .fill_null("")]'),
        (pa.array([None] * 3, pa.string_view()), ValueError, "no nulls, got one at index 0"),
        (pl.Series(["a", "b", None]), ValueError, 'no nulls, got one at index 2 [call .fill_null("")]'),
        (pd.Series(["a", None, "b"]), ValueError, 'no nulls, got one at index 1 [call .fillna("")]'),
        (pa.chunked_array([["a"], ["b", None]]), ValueError, "no nulls, got one at index 2"),
        (pa.array(["a", None]).dictionary_encode(), ValueError, "no nulls, got one at index 1"),
        (pa.DictionaryArray.from_arrays([0, 1], ["a", None]), ValueError, "no nulls, got one at index 1"),
        (
            pa.StructArray.from_arrays([["a", "b"]], ["t"], mask=pa.array([False, True])),
            ValueError,
            "got one at index 1",
        ),
        (pa.array([1, 2]), TypeError, "documents: expected strings, got int64"),
        (pa.array([b"a"]), TypeError, "documents: expected strings, got binary"),
        (pa.array([["a"]]), TypeError, "documents: expected strings, got list"),
        (pa.array([1, 2]).dictionary_encode(), TypeError, "documents: expected strings, got dictionary of int64"),
        (pl.Series([1.5]), TypeError, "documents: expected strings, got float64"),
        (pa.table({"n": [1]}), TypeError, "documents: expected a column of strings, got the columns 'n'"),
        (pa.table({"s": [{"t": "a"}]}), TypeError, "documents: expected a column of strings"),
        (pd.Series(["a", 3, None], dtype=object), TypeError, "documents: expected a str, got int at index 1"),
        (pl.Series(["a", 3], dtype=pl.Object), TypeError, "documents: expected a str, got int at index 1"),
    ],
)
def test_refused(documents: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        build_segment(documents, analyzer=BARE)
    assert text in str(caught.value)


def test_names_are_for_frames() -> None:
    for documents in (pa.array(["a"]), pl.Series(["a"]), pd.Series(["a"], dtype=object)):
        with pytest.raises(ValueError, match=r"^fields: expected None for plain texts"):
            build_segment(documents, analyzer=BARE, fields="t")
        with pytest.raises(TypeError, match=r"^ids: expected one key a document"):
            build_segment(documents, analyzer=BARE, ids="t")


def int32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def entry(size: int, buffer: int, begin: int) -> bytes:
    return struct.pack("<i4sii", size, b"xxxx", buffer, begin)


TEXT = b"x" * 64


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (lambda: strings([b"ok", b"\xff"]), "valid UTF-8, got an invalid byte at index 1 in byte 0"),
        (lambda: strings([b"ok", b"a\xed\xa0\x80"]), "valid UTF-8, got an invalid byte at index 1 in byte 1"),
        (lambda: strings([b"\xe4\xba"]), "valid UTF-8"),
        (lambda: Column("u", [None, int32(0, -4), TEXT], 1), "offsets that ascend"),
        (lambda: Column("u", [None, int32(8, 4), TEXT], 1), "offsets that ascend"),
        (lambda: Column("u", [None, int32(0, 4), None], 1), "offsets that ascend"),
        (lambda: Column("u", [None, None, TEXT], 1), "malformed"),
        (lambda: Column("u", [None, int32(0, 4)], 1), "malformed"),
        (lambda: strings([b"a"], offset=-1), "malformed"),
        (lambda: strings([b"a"], offset=2**63 - 1), "malformed"),
        (lambda: views([entry(-1, 0, 0)], [TEXT]), "offsets that ascend"),
        (lambda: views([entry(20, 1, 0)], [TEXT]), "offsets that ascend"),
        (lambda: views([entry(20, -1, 0)], [TEXT]), "offsets that ascend"),
        (lambda: views([entry(20, 0, 45)], [TEXT]), "offsets that ascend"),
        (lambda: views([entry(20, 0, -1)], [TEXT]), "offsets that ascend"),
        (lambda: views([entry(20, 0, 0)], []), "offsets that ascend"),
        (lambda: Column("i", [None, int32(1)], 1, dictionary=strings([b"a"])), "indices within the dictionary, got 1"),
        (
            lambda: Column("i", [None, int32(-1)], 1, dictionary=strings([b"a"])),
            "indices within the dictionary, got -1",
        ),
        (lambda: Column("+s", [None], 2, children=[strings([b"a"], name="t")]), "malformed"),
        (lambda: Column("+s", [None], 1, children=[strings([b"a"], name="t")], n_children=0), "malformed"),
        (lambda: Column("+s", [None], 1, children=[strings([b"a"], name="t")], offset=-1), "malformed"),
    ],
)
def test_malformed(column: Callable[[], Column], text: str) -> None:
    own = column()
    with pytest.raises(ValueError, match=r"^documents: expected") as caught:
        build_segment(ArrayProducer(own), analyzer=BARE)
    assert text in str(caught.value)
    del caught
    assert released_once([own], arrays=1)
    own = column()
    with pytest.raises(ValueError, match=r"^documents: expected"):
        build_segment(StreamProducer([own]), analyzer=BARE)
    assert released_once([own], arrays=1)


# At the beginning of a run of ASCII, inside it, behind it; cut short; a surrogate; too long.
INVALID = (b"\xff", b"\x80", b"\xc3", b"\xe4\xb8", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f\x98")


@pytest.mark.parametrize("filler", [b"a", "\u00e9".encode()])
@pytest.mark.parametrize("invalid", INVALID)
def test_every_place_of_an_invalid_byte(invalid: bytes, filler: bytes) -> None:
    for before in range(70 // len(filler)):
        for after in (0, 1, 7, 8, 31, 32, 40):
            text = before * filler + invalid + after * b"z"
            for texts, place in (([text], 0), ([b"ok", b"", text, b"ok"], 2)):
                with pytest.raises(ValueError, match="expected valid UTF-8") as caught:
                    Analyzer().batch(ArrayProducer(strings(texts)))
                assert f"at index {place} in byte {before * len(filler)}" in str(caught.value)


def test_a_character_in_two_texts() -> None:
    """The bytes of the column are UTF-8, its texts are not."""
    for cut in (1, 2, 3):
        character = "\U0001f600".encode()
        with pytest.raises(ValueError, match="valid UTF-8, got an invalid byte at index 1 in byte 2"):
            build_segment(
                ArrayProducer(strings([b"fine", b"ab" + character[:cut], character[cut:] + b"c"])), analyzer=BARE
            )


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), max_size=40), st.integers(1, 9))
def test_the_same_bytes_from_every_format(documents: list[str], repeated: int) -> None:
    documents *= repeated
    expected = _core.search.add_up(documents)
    assert expected[:2] == (len(documents), sum(len(text.encode()) for text in documents))
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        array: Any = pa.array(documents, pa.string()).cast(kind)
        reader = _core.search.ArrowReader.from_array(
            *array.__arrow_c_array__(), fields=None, id_field=None, argument="documents", null_hint=""
        )
        assert reader.add_up() == expected


class TestRelease:
    def test_array(self) -> None:
        column = strings([b"red wing", b"x"])
        assert len(build_segment(ArrayProducer(column), analyzer=BARE).arrays["document_lengths"]) == 2
        assert released_once([column], arrays=1)

    def test_stream(self) -> None:
        columns = [strings([b"red"]), strings([]), strings([b"wing", b"x"])]
        producer = StreamProducer(columns)
        assert len(build_segment(producer, analyzer=BARE).arrays["document_lengths"]) == 3
        assert released_once(columns, arrays=3) and producer.released == 1

    def test_stream_that_fails(self) -> None:
        columns = [strings([b"red"]), strings([b"wing"])]
        producer = StreamProducer(columns, error="the disk is gone")
        with pytest.raises(
            ValueError, match="documents: expected an Arrow stream without errors, got error 5: the disk"
        ):
            build_segment(producer, analyzer=BARE)
        assert released_once(columns, arrays=2) and producer.released == 1

    def test_stream_without_schema(self) -> None:
        producer = StreamProducer([strings([b"red"])], error="no schema", schema_error=True)
        with pytest.raises(ValueError, match="with a schema, got error 22: no schema"):
            build_segment(producer, analyzer=BARE)
        gc.collect()
        assert producer.released == 1

    def test_error_in_the_middle(self) -> None:
        columns = [strings([b"red"]), strings([b"a", b"\xff"]), strings([b"wing"])]
        producer = StreamProducer(columns)
        with pytest.raises(ValueError, match="at index 2"):
            build_segment(producer, analyzer=BARE)
        assert released_once(columns, arrays=2) and producer.released == 1

    def test_wrong_type(self) -> None:
        column = Column("l", [None, bytes(8)], 1)
        with pytest.raises(TypeError, match="expected strings, got int64"):
            build_segment(ArrayProducer(column), analyzer=BARE)
        assert released_once([column], arrays=1)

    def test_nothing_twice(self) -> None:
        column = strings([b"a"])
        producer = ArrayProducer(column)
        build_segment(producer, analyzer=BARE)
        with pytest.raises(ValueError, match="consumed before"):
            build_segment(producer, analyzer=BARE)
        assert released_once([column], arrays=1)

    def test_other_capsules(self) -> None:
        class Wrong:
            def __arrow_c_stream__(self, requested_schema: object = None) -> object:
                return ArrayProducer(strings([b"a"])).__arrow_c_array__()[0]

        with pytest.raises(TypeError, match="documents: expected a capsule named arrow_array_stream"):
            build_segment(Wrong(), analyzer=BARE)

    @pytest.mark.slow
    @pytest.mark.skipif(bool(likewise.info()["sanitizers"]), reason="a sanitizer keeps what is freed")
    def test_no_memory_is_lost(self) -> None:
        array = pa.array(["x" * 100] * 1000)
        chunked = pa.chunked_array([array])

        def resident() -> int:
            from pathlib import Path

            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

        def work(n: int) -> None:
            for _ in range(n):
                BARE.batch(array)
                BARE.batch(chunked)

        work(200)
        before = resident()
        work(2000)
        assert resident() - before < 4 << 20
