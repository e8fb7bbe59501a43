"""Documents to segments: counts of real corpora, every kind of input, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.search.analyzer import Analyzer
from likewise.search.building import BuiltSegment, build_segment

BARE = Analyzer(language=None)


def strings(offsets: Any, data: Any) -> list[str]:
    raw = data.tobytes()
    return [raw[a:b].decode() for a, b in itertools.pairwise(offsets.tolist())]


def counts(segment: BuiltSegment) -> list[dict[str, int]]:
    """The term counts of each document, read back from the postings."""
    a = segment.arrays
    found: list[dict[str, int]] = [{} for _ in a["document_lengths"]]
    large = dict(zip(a["large_positions"].tolist(), a["large_frequencies"].tolist(), strict=True))
    terms = strings(a["term_offsets"], a["term_bytes"])
    assert terms == sorted(terms, key=str.encode)
    for term, begin, end in zip(terms, a["posting_offsets"][:-1], a["posting_offsets"][1:], strict=True):
        documents = a["posting_documents"][begin:end].tolist()
        assert documents == sorted(set(documents)) != []
        for i, document in enumerate(documents, int(begin)):
            small = int(a["posting_frequencies"][i])
            assert (i in large) == (small == 255)
            found[document][term] = large.get(i, small)
    assert [sum(c.values()) for c in found] == a["document_lengths"].tolist()
    return found


def same(a: BuiltSegment, b: BuiltSegment) -> bool:
    return (
        a.arrays.keys() == b.arrays.keys()
        and all(x.dtype == b.arrays[n].dtype and np.array_equal(x, b.arrays[n]) for n, x in a.arrays.items())
        and a.n_overlong == b.n_overlong
    )


def expected_counts(documents: list[list[str]]) -> list[dict[str, int]]:
    return [{token: tokens.count(token) for token in set(tokens)} for tokens in documents]


@pytest.mark.parametrize(
    ("analyzer", "n_tokens", "n_terms", "n_postings"),
    [(Analyzer(), 2_934_482, 64_221, 2_088_415), (Analyzer.plain(), 4_078_622, 76_316, 2_816_627)],
    ids=["default", "plain"],
)
def test_debian(debian_texts: list[str], analyzer: Analyzer, n_tokens: int, n_terms: int, n_postings: int) -> None:
    arrays = build_segment(debian_texts, analyzer=analyzer).arrays
    assert int(arrays["document_lengths"].sum()) == n_tokens
    assert len(arrays["term_offsets"]) - 1 == n_terms
    assert len(arrays["posting_documents"]) == n_postings
    batch = analyzer.batch(debian_texts)
    assert len(batch.tokens) == n_tokens and len(batch.vocabulary) == n_terms
    assert np.array_equal(np.diff(batch.indptr), arrays["document_lengths"])


texts = st.lists(st.text("ab 北京\u0301Xß\n", max_size=12), max_size=20)


@settings(deadline=None)
@given(texts, st.booleans())
def test_postings_hold_the_counts(documents: list[str], store: bool) -> None:
    segment = build_segment(documents, analyzer=BARE, store=store)
    tokens = [BARE(text) for text in documents]
    assert counts(segment) == expected_counts(tokens)
    assert same(segment, build_segment(iter(documents), analyzer=BARE, store=store))
    given_tokens = build_segment(tokens, analyzer=None)
    assert counts(given_tokens) == expected_counts(tokens)
    if store:
        assert strings(segment.arrays["text_offsets"], segment.arrays["text_bytes"]) == documents


def test_display_forms() -> None:
    texts = ["libraries library library", "wings wing", "wingS winged", "x"]
    arrays = build_segment(texts, analyzer=Analyzer()).arrays
    terms = strings(arrays["term_offsets"], arrays["term_bytes"])
    forms = strings(arrays["form_offsets"], arrays["form_bytes"])
    assert dict(zip(terms, forms, strict=True)) == {"librari": "library", "wing": "wings", "x": "x"}
    assert "form_offsets" not in build_segment(texts, analyzer=BARE).arrays
    # Of equally frequent forms the shorter one stands for the term, then the first by its bytes.
    arrays = build_segment(
        ["studying study", "wings winged wings winged", "jumps jumpy jumpe"], analyzer=Analyzer()
    ).arrays
    terms = strings(arrays["term_offsets"], arrays["term_bytes"])
    forms = strings(arrays["form_offsets"], arrays["form_bytes"])
    assert dict(zip(terms, forms, strict=True)) == {
        "jump": "jumpe",
        "jumpi": "jumpy",
        "studi": "study",
        "wing": "wings",
    }


def test_large_frequencies() -> None:
    documents = ["b " * 254 + "a " * 255, "a", "a " * 70_000 + "b " * 256]
    assert counts(build_segment(documents, analyzer=BARE)) == [{"a": 255, "b": 254}, {"a": 1}, {"a": 70_000, "b": 256}]


def test_overlong_tokens_are_dropped_and_counted() -> None:
    documents = ["x" * 65 + " y " + "é" * 65, "z" * 1_000_000 + " " + "ﷺ" * 4, "x" * 65, "fine"]
    segment = build_segment(documents, analyzer=BARE)
    assert segment.n_overlong == 5
    assert counts(segment) == [{"y": 1}, {}, {}, {"fine": 1}]


def test_nothing() -> None:
    for documents in ([], [""], ["", "!"], iter([]), (), np.array([], dtype=object), np.array([], dtype="U3")):
        segment = build_segment(documents, analyzer=BARE)
        assert int(segment.arrays["document_lengths"].sum()) == 0
        assert segment.arrays["posting_offsets"].tolist() == [0]
        assert segment.keys is None
    assert len(build_segment([[], []], analyzer=None).arrays["document_lengths"]) == 2


def test_many_distinct_tokens() -> None:
    """The tables grow; keys of every length up to the inline limit and beyond."""
    words = [f"{'w' * (i % 40)}{i}" for i in range(50_000)]
    documents = [" ".join(words[i : i + 100]) for i in range(0, len(words), 100)]
    segment = build_segment(documents, analyzer=BARE)
    assert counts(segment) == expected_counts([d.split() for d in documents])
    assert same(segment, build_segment([d.split() for d in documents], analyzer=None))
    upper = build_segment([d.upper().replace("W", "é") for d in documents], analyzer=BARE)
    assert len(upper.arrays["term_offsets"]) == len(words) + 1


class TestDocuments:
    docs = ("red wing", "naïve 北京", "", "wing 😀 of a wing")

    @pytest.mark.parametrize(
        "make",
        [
            list,
            tuple,
            iter,
            lambda d: (x for x in d),
            lambda d: np.array(d, dtype=object),
            np.array,
            lambda d: np.array(d, dtype=np.dtypes.StringDType()),
            lambda d: [np.str_(x) for x in d],
            lambda d: {x: None for x in d}.keys(),
        ],
        ids=["list", "tuple", "iterator", "generator", "object", "U", "T", "np.str_", "keys"],
    )
    def test_texts(self, make: Callable[[tuple[str, ...]], Any]) -> None:
        expected = build_segment(list(self.docs), analyzer=Analyzer(), store=True)
        assert same(expected, build_segment(make(self.docs), analyzer=Analyzer(), store=True))

    def test_mappings(self) -> None:
        documents = [{"title": d, "id": f"d{i}", "text": "same", "n": 3} for i, d in enumerate(self.docs)]
        expected = build_segment([f"{d}\nsame" for d in self.docs], analyzer=BARE, store=True)
        for form in (documents, iter(documents)):
            segment = build_segment(form, analyzer=BARE, fields=("title", "text"), ids="id", store=True)
            assert same(expected, segment)
            assert segment.keys == ["d0", "d1", "d2", "d3"]
        assert same(
            build_segment(list(self.docs), analyzer=BARE), build_segment(documents, analyzer=BARE, fields="title")
        )

    def test_tokens(self) -> None:
        documents: list[Any] = [["The", "C++"], ("a", ""), np.array(["x", "x"]), [], iter(["é 京"])]
        segment = build_segment(documents, analyzer=None)
        assert counts(segment) == [{"The": 1, "C++": 1}, {"a": 1, "": 1}, {"x": 2}, {}, {"é 京": 1}]

    def test_custom_tokenizer(self) -> None:
        analyzer = Analyzer(tokenizer=str.split)
        documents = ["Running C++", "the\nwing"] * 300
        segment = build_segment(documents, analyzer=analyzer, store=True)
        assert counts(segment) == [{"run": 1, "c++": 1}, {"wing": 1}] * 300
        assert strings(segment.arrays["text_offsets"], segment.arrays["text_bytes"]) == documents
        fields = [{"a": x, "b": y} for x, y in [("Running C++", "the"), ("x", "y")]]
        joined = build_segment(fields, fields=("a", "b"), analyzer=analyzer, store=True)
        assert strings(joined.arrays["text_offsets"], joined.arrays["text_bytes"]) == ["Running C++\nthe", "x\ny"]
        assert counts(joined) == [{"run": 1, "c++": 1}, {"x": 1, "y": 1}]

    def test_long_and_many(self) -> None:
        """Texts across the borders of chunks."""
        documents = [f"w{i} " * (i % 50) + "x" * (i % 7) for i in range(20_000)] + ["long " * 2_000_000, "tail é"]
        segment = build_segment(documents, analyzer=BARE, store=True)
        assert same(segment, build_segment(iter(documents), analyzer=BARE, store=True))
        assert segment.arrays["document_lengths"][-2] == 2_000_000
        assert strings(segment.arrays["text_offsets"], segment.arrays["text_bytes"]) == documents


class TestKeys:
    @pytest.mark.parametrize(
        ("ids", "keys"),
        [
            (["b", ""], ["b", ""]),
            ((3, -1), [3, -1]),
            (np.array([7, 8], dtype=np.uint16), [7, 8]),
            (np.array(["x", "y"]), ["x", "y"]),
            ([np.int64(1), 2], [1, 2]),
            (iter("ab"), ["a", "b"]),
            (range(2), [0, 1]),
        ],
    )
    def test_accepted(self, ids: Any, keys: list[Any]) -> None:
        segment = build_segment(["a", "b"], ids=ids, analyzer=BARE)
        assert segment.keys == keys
        assert [type(k) for k in segment.keys or ()] == [type(k) for k in keys]

    @pytest.mark.parametrize(
        ("ids", "error", "text"),
        [
            (["a"], ValueError, "one key a document, 2 in all, got 1"),
            (["a", "b", "c"], ValueError, "got 3"),
            (["a", 1], TypeError, "expected keys of type str, got int 1 at index 1"),
            ([True, False], TypeError, "bool True at index 0, bool False at index 1"),
            ([1.0, 2], TypeError, "float 1.0 at index 0"),
            ([None, "a"], TypeError, "None at index 0"),
            ([2**63, 1], ValueError, f"got {2**63} at index 0"),
            (np.array([[1, 2]]), ValueError, "one key a document"),
            ({"a": 1, "b": 2}, TypeError, "expected a sequence"),
            (b"ab", TypeError, "expected a sequence"),
            (3, TypeError, "expected a sequence"),
            ("id", TypeError, "expected one key a document for plain texts"),
        ],
    )
    def test_refused(self, ids: Any, error: type[Exception], text: str) -> None:
        for documents in (["a", "b"], iter(["a", "b"])):
            with pytest.raises(error, match="^ids: expected") as caught:
                build_segment(documents, ids=ids, analyzer=BARE)
            assert text in str(caught.value)


@pytest.mark.parametrize(
    ("documents", "error", "text"),
    [
        ("one text", TypeError, "documents: expected a sequence of texts, got str [wrap it in a list]"),
        (b"one text", TypeError, "documents: expected a sequence of texts, got bytes"),
        ({"a": "b"}, TypeError, "documents: expected a sequence of texts, got dict"),
        (3, TypeError, "documents: expected a sequence of texts, got int 3"),
        (None, TypeError, "documents: expected a sequence of texts, got None"),
        (["a", None], TypeError, "documents: expected a str, got NoneType at index 1"),
        (["a", float("nan")], TypeError, "got float at index 1"),
        (["a", b"b"], TypeError, "got bytes at index 1"),
        (["a", 1], TypeError, "got int at index 1"),
        ([None, "a"], TypeError, "got None at index 0"),
        ([["a"]], TypeError, "got list at index 0 [analyzer=None takes sequences of tokens]"),
        (["a", "b\ud800"], ValueError, "documents: expected valid Unicode, got a lone surrogate U+D800 at index 1 in"),
        (np.array([["a"]]), ValueError, "documents: expected a 1-D array of str, got shape (1, 1)"),
        (np.array([1.5]), TypeError, "documents: expected an array of str, got dtype float64"),
        (np.array([b"a"]), TypeError, "documents: expected an array of str, got dtype |S1"),
        (np.ma.array(["a", "b"], mask=[0, 1]), ValueError, "documents: expected no masked elements"),
        ([{"a": "b"}], ValueError, "fields: expected the names of the fields to read, got None [documents have 'a']"),
    ],
)
def test_refused_documents(documents: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        build_segment(documents, analyzer=BARE)
    assert text in str(caught.value)
    if isinstance(documents, list) and "index" in text:
        with pytest.raises(error, match=r"at index \d"):
            build_segment(iter(documents), analyzer=BARE)
        with pytest.raises(error, match=r"at index \d"):
            build_segment(documents, analyzer=Analyzer(tokenizer=str.split))


@pytest.mark.parametrize(
    ("documents", "arguments", "error", "text"),
    [
        ([{"a": "x"}, {"b": "y"}], {"fields": "a"}, ValueError, "expected the field 'a', got 'b' at index 1"),
        ([{"a": "x"}, {"a": 3}], {"fields": ["a"]}, TypeError, "expected a str, got int 3 at index 1, field 'a'"),
        ([{"a": "x"}, "y"], {"fields": ["a"]}, TypeError, "documents: expected a mapping, got str 'y' at index 1"),
        (["y", {"a": "x"}], {}, TypeError, "documents: expected a str, got dict at index 1"),
        ([{"a": "x"}], {"fields": []}, ValueError, "fields: expected at least one name"),
        ([{"a": "x"}], {"fields": ["a", "a"]}, ValueError, "fields: expected distinct names"),
        ([{"a": "x"}], {"fields": [1]}, TypeError, "fields: expected a str, got int 1 at index 0"),
        ([{"a": "x"}], {"fields": 3}, TypeError, "fields: expected a sequence of str"),
        (["x"], {"fields": ["a"]}, ValueError, "fields: expected None for plain texts"),
        ([{"a": "x"}], {"fields": "a", "ids": "id"}, ValueError, "ids: expected the field 'id', got none at index 0"),
        (["x"], {"n_threads": 0}, ValueError, "n_threads: expected"),
        (["x"], {"store": 1}, TypeError, "store: expected"),
        (["x"], {"progress": 3}, TypeError, "progress: expected"),
        ([["x"]], {"analyzer": None, "store": True}, ValueError, "store: expected False"),
        ([["x"]], {"analyzer": None, "fields": "a"}, ValueError, "fields: expected None"),
        ([["x"], "y"], {"analyzer": None}, TypeError, "expected a sequence of tokens, got str 'y' at index 1"),
        ([["x"], {"y": 1}], {"analyzer": None}, TypeError, "expected a sequence of tokens, got dict at index 1"),
        ([["x"], ["y", 3]], {"analyzer": None}, TypeError, "tokens of type str, got int at index 1, token 1"),
        ([["x"], 3], {"analyzer": None}, TypeError, "expected a sequence of tokens, got int 3 at index 1"),
    ],
)
def test_refused_arguments(documents: Any, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        build_segment(documents, **{"analyzer": BARE, **arguments})
    assert text in str(caught.value)


def test_what_an_iterator_raises_passes_through() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        build_segment(broken(), analyzer=BARE)


def test_progress() -> None:
    seen: list[tuple[int, int | None]] = []
    build_segment(["a"] * 10, analyzer=BARE, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)
    build_segment(iter(["a"] * 10), analyzer=BARE, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, None)


def test_results_do_not_depend_on_threads() -> None:
    documents = [f"w{i % 97} w{i} é{i % 13} " + "x" * (i % 80) for i in range(60_000)] + ["long é " * 300_000, ""]
    one = build_segment(documents, analyzer=BARE, n_threads=1, store=True)
    batch = BARE.batch(documents, n_threads=1)
    fields = [{"a": d, "b": f"b{i}"} for i, d in enumerate(documents)]
    joined = build_segment(fields, fields=("a", "b"), analyzer=BARE, n_threads=1, store=True)
    assert one.n_overlong > 0
    for n_threads in (2, 3, 7):
        assert same(one, build_segment(documents, analyzer=BARE, n_threads=n_threads, store=True))
        assert same(joined, build_segment(fields, fields=("a", "b"), analyzer=BARE, n_threads=n_threads, store=True))
        other = BARE.batch(documents, n_threads=n_threads)
        assert batch.vocabulary == other.vocabulary
        assert np.array_equal(batch.tokens, other.tokens) and np.array_equal(batch.indptr, other.indptr)
