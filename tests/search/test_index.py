"""What `Index` takes, refuses and gives: the edge cases of its contract."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from likewise.search import Analyzer, Index
from tests.search.corpora import TOY, VARIANTS, zipf

TEXTS = ["The wing in a flow", "Heat flow", "Flat plates", ""]


@pytest.fixture(scope="module")
def ix() -> Index:
    return Index.build(TEXTS, ids=["w", "h", "p", "e"])


# --- Empty things ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("documents", [[], [""], ["", " . ", "the"]], ids=str)
def test_nothing_indexed(documents: list[str], variant: str, dtype: str) -> None:
    ix = Index.build(documents, variant=variant, dtype=dtype)
    assert (ix.n_docs, ix.n_terms, ix.n_postings, ix.n_tokens, ix.avgdl) == (len(documents), 0, 0, 0, 0.0)
    assert len(ix) == len(documents) and ix.nbytes > 0
    assert len(ix.search("flow")) == 0 and ix.search_batch(["flow", ""], 2).n_hits.tolist() == [0, 0]
    assert ix.scores("flow").tolist() == [0] * len(documents) and ix.scores("flow").dtype == dtype
    assert ix.scores_batch(["flow"]).shape == (1, len(documents))
    assert ix.related([], 3).doc_ids.shape == (0, 3)
    ix.warm()
    ix.verify()
    for doc_id in range(len(documents)):
        assert ix.keywords(doc_id) == [] and len(ix.related(doc_id)) == 0
        assert len(ix.related(doc_id, mode="full")) == 0


@pytest.mark.parametrize("query", ["", "zebra", "the of and", "?!", [], ["zebra"], {}, {"zebra": 2.0}], ids=repr)
def test_nothing_found(ix: Index, query: Any) -> None:
    assert len(ix.search(query)) == 0
    assert ix.search_batch([query], 2).n_hits.tolist() == [0]
    assert not ix.scores(query).any()


# --- Queries ---


def test_a_text_has_no_operators() -> None:
    ix = Index.build(["C++ and Rust", "title: quoted", "a b"])
    for query in ('C++ "unbalanced', "title:quoted AND (", "+c -rust", "*", "a^2"):
        ix.search(query)
    assert ix.search("C++ -and").ids.tolist() == [0]


def test_kinds_of_queries_agree(ix: Index) -> None:
    hits = ix.search("wings flow").to_list()
    assert [name for name, _ in hits] == ["w", "h"]
    for query in (["wing", "flow"], ("wing", "flow"), np.array(["wing", "flow"]), {"wing": 1, "flow": 1.0}):
        assert ix.search(query).to_list() == hits
        assert ix.search(query, n_threads=2).to_list() == hits
    mixed = ix.search_batch(["wings flow", ["wing", "flow"], {"wing": 1, "flow": 1}, ("zebra",)], 5)
    assert [row.to_list() for row in mixed] == [hits, hits, hits, []]
    assert ix.search_batch(np.array(["wings flow"]), 5)[0].to_list() == hits


def test_tokens_are_taken_as_they_are(ix: Index) -> None:
    assert len(ix.search(["wings"])) == 0 and len(ix.search(["wing"])) == 1
    strange = Index.build([["", "a b", "\0", "𝄞", "x" * 100_000]], analyzer=None)
    for token in ("", "a b", "\0", "𝄞", "x" * 100_000):
        assert len(strange.search([token])) == 1


def test_long_query(ix: Index) -> None:
    words = [f"w{i}" for i in range(100_000)] + ["wing"] * 1000
    assert ix.search(words).to_list() == ix.search({"wing": 1000}).to_list()


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (None, TypeError, "query: expected a str, a sequence of str tokens or a mapping"),
        (7, TypeError, "query: expected a str, .* got int 7"),
        (b"wing", TypeError, "query: expected a str, .* got bytes"),
        ({"wing"}, TypeError, "query: expected a str, .* got set"),
        (iter(["wing"]), TypeError, "query: expected a str, .* got list_iterator"),
        (["wing", 7], TypeError, "query: expected str tokens, got int.* at position 1"),
        (["wing", None], TypeError, "query: expected str tokens, got None.* at position 1"),
        (("wing", b"x"), TypeError, "query: expected str tokens, got bytes.* at position 1"),
        (np.array([1, 2]), TypeError, "query: expected str tokens"),
        ({1: 1.0}, TypeError, "query: expected str tokens, got int"),
        ({"wing": "2"}, TypeError, r"query\[str 'wing'\]: expected a finite number >= 0.*, got str"),
        ({"wing": True}, TypeError, r"query\[str 'wing'\]: expected a finite number"),
        ({"wing": math.nan}, ValueError, r"query\[str 'wing'\]: expected a finite number >= 0.*, got nan"),
        ({"wing": math.inf}, ValueError, r"query\[str 'wing'\]: expected a finite number"),
        ({"wing": -1}, ValueError, r"query\[str 'wing'\]: expected a finite number >= 0.*, got -1"),
        ("wing \ud800", ValueError, "query: expected valid Unicode, got a lone surrogate U.D800"),
        (["wing", "\ud800"], ValueError, "lone surrogate"),
    ],
)
def test_refused_queries(ix: Index, query: Any, error: type[Exception], message: str) -> None:
    calls: list[Callable[[Any], Any]] = [
        ix.search,
        ix.scores,
        lambda q: ix.explain(q, "w"),
        lambda q: ix.highlight(q, "wing"),
    ]
    for call in calls:
        if hasattr(query, "__next__"):
            query = iter(["wing"])
        with pytest.raises(error, match=message):
            call(query)
    with pytest.raises(error, match=message.replace("query", r"(query|queries\[1\])", 1)):
        ix.search_batch(["wing", query])


def test_refused_batches(ix: Index) -> None:
    for queries in ("wing", {"wing": 1.0}, b"wing"):
        with pytest.raises(TypeError, match=r"queries: expected a sequence of queries, got \w+ \[wrap it in a list\]"):
            ix.search_batch(queries)  # type: ignore[arg-type]
    for queries in (None, 7, iter(["wing"])):
        with pytest.raises(TypeError, match="queries: expected a sequence of queries, got"):
            ix.search_batch(queries)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1, -(10**30)])
def test_k_below_one(ix: Index, k: int) -> None:
    for call in (lambda: ix.search("wing", k), lambda: ix.search_batch(["wing"], k), lambda: ix.related("w", k)):
        with pytest.raises(ValueError, match="k: expected an integer >= 1"):
            call()


@pytest.mark.parametrize("k", [True, 1.0, "1", None, np.bool_(True), [1]])
def test_k_of_another_kind(ix: Index, k: Any) -> None:
    for call in (lambda: ix.search("wing", k), lambda: ix.search_batch(["wing"], k), lambda: ix.related("w", k)):
        with pytest.raises(TypeError, match="k: expected an integer >= 1, got"):
            call()


def test_a_batch_beyond_all_memory(ix: Index) -> None:
    assert len(ix.search("wing", 10**30)) == len(ix.search("wing", 10))
    for call in (lambda: ix.search_batch(["wing"], 10**30), lambda: ix.related(["w", "h"], 2**62)):
        with pytest.raises(ValueError, match=r"k: expected an array of \d x k results that fits the memory, got \d+"):
            call()


def test_arrow_arrays_of_queries_and_ids(ix: Index) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert ix.search_batch(pyarrow.array(["wing", "flow"])).to_list() == ix.search_batch(["wing", "flow"]).to_list()
    assert ix.doc_ids(pyarrow.array(["h", "w"])).tolist() == ix.doc_ids(["h", "w"]).tolist()


def test_k_of_numpy(ix: Index) -> None:
    assert len(ix.search("flow", np.int8(1))) == 1


def test_methods_and_threads(ix: Index) -> None:
    for wrong, error in (("fast", ValueError), (None, TypeError), (1, TypeError)):
        for call in (ix.search, lambda q, **o: ix.search_batch([q], **o)):
            with pytest.raises(error, match="method: expected one of 'auto', 'exhaustive'"):
                call("wing", method=wrong)
    for wrong, error in ((0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("2", TypeError)):
        for call in (ix.search, lambda q, **o: ix.search_batch([q], **o), lambda q, **o: ix.related("w", **o)):
            with pytest.raises(error, match="n_threads: expected an integer >= 1"):
                call("wing", n_threads=wrong)
    assert ix.search("wing", n_threads=None).to_list() == ix.search("wing", n_threads=5000).to_list()


def test_no_warnings(ix: Index) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ix.search("wing flow")
        ix.scores({"wing": 1e-3})
        ix.search_batch(["", "wing"])


def test_weights_at_the_limits() -> None:
    """A weight that would take the scores out of their range is refused by its name, not made infinite or 0."""
    for dtype in ("float32", "float64"):
        ix = Index.build(TOY, analyzer=None, dtype=dtype)
        large = 1e200 if dtype == "float64" else 1e20
        for weight in (large * 1.1, 0.9 / large, 1.7e308, 5e-324, 10**250):
            with pytest.raises(ValueError, match=r"query\[str 'd'\]: expected a weight of 0, or from 1e-20+ to 1e\+"):
                ix.search({"a": 1.0, "d": weight})
        for weight in (large / 1.1, 1.1 / large):
            assert ix.search({"a": 1e-10, "d": weight}).n_hits == 2 and np.isfinite(ix.scores({"d": weight})).all()
        assert len(ix.search({"a": 0.0, "d": 0})) == 0


# --- Parameters ---


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"variant": "bm26"}, ValueError, "variant: expected one of 'lucene', "),
        ({"variant": None}, TypeError, "variant: expected one of"),
        ({"k1": -0.1}, ValueError, "k1: expected 0, or a number from 1e-06 to 1e[+]06, got -0.1"),
        ({"k1": 1e300}, ValueError, "k1: expected 0, or a number from 1e-06 to 1e[+]06, got 1e[+]300"),
        ({"k1": 1e-7}, ValueError, "k1: expected 0, or a number from 1e-06 to 1e[+]06, got 1e-07"),
        ({"k3": 2e6}, ValueError, "k3: expected 0, or a number"),
        ({"variant": "bm25l", "delta": 1e300}, ValueError, "delta: expected 0, or a number"),
        ({"k1": math.nan}, ValueError, "k1: expected a finite number"),
        ({"k1": math.inf}, ValueError, "k1: expected a finite number"),
        ({"k1": "1.2"}, TypeError, "k1: expected a finite number"),
        ({"b": 1.1}, ValueError, "b: expected a finite number from 0.0 to 1.0, got 1.1"),
        ({"b": -1}, ValueError, "b: expected a finite number from 0"),
        ({"b": math.nan}, ValueError, "b: expected"),
        ({"b": True}, TypeError, "b: expected"),
        ({"k3": -1}, ValueError, "k3: expected 0, or a number"),
        ({"k3": math.inf}, ValueError, "k3: expected"),
        ({"variant": "bm25+", "delta": -1}, ValueError, "delta: expected 0, or a number"),
        ({"variant": "bm25l", "delta": math.nan}, ValueError, "delta: expected"),
        ({"delta": 1.0}, ValueError, "delta: expected None for variant 'lucene'"),
        ({"nonoccurrence": 1}, TypeError, "nonoccurrence: expected True or False"),
        ({"dtype": "float16"}, ValueError, "dtype: expected 'float32' or 'float64', got"),
        ({"dtype": "nonsense"}, ValueError, "dtype: expected"),
        ({"dtype": None}, ValueError, "dtype: expected"),
        ({"store": 1}, TypeError, "store: expected True or False"),
        ({"n_threads": 0}, ValueError, "n_threads: expected"),
        ({"analyzer": "french"}, ValueError, "analyzer: expected"),
        ({"analyzer": 3}, TypeError, "analyzer: expected"),
    ],
)
def test_refused_parameters(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Index.build(TEXTS, **parameters)


def test_parameters_are_kept() -> None:
    ix = Index.build(TEXTS, variant="bm25l", k1=np.float32(1.5), b=1, dtype=np.float64, store=True)
    assert ix.params == {
        "variant": "bm25l",
        "k1": 1.5,
        "b": 1.0,
        "delta": 0.5,
        "k3": None,
        "nonoccurrence": True,
        "dtype": "float64",
        "analyzer": Analyzer(),
        "store": True,
    }
    assert Index.build(TEXTS, variant="bm25+").params["delta"] == 1.0 and Index.build(TEXTS).params["delta"] is None
    assert ix.analyzer == Analyzer() and Index.build(TOY, analyzer=None).analyzer is None


# --- Documents and ids ---


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        ("one text", TypeError, "documents: expected a sequence of texts, got str"),
        (b"bytes", TypeError, "documents: expected"),
        (None, TypeError, "documents: expected"),
        (7, TypeError, "documents: expected"),
        (["a", None], TypeError, "documents: expected .* (position|index) 1"),
        (["a", math.nan], TypeError, "documents: expected .* (position|index) 1"),
        (["a", b"b"], TypeError, "documents: expected .* (position|index) 1"),
        (["a", "b", 3], TypeError, "documents: expected .* (position|index) 2"),
        (["a", "\ud800"], ValueError, "documents: .* (position|index) 1"),
    ],
)
def test_refused_documents(documents: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Index.build(documents)


def test_refused_tokens() -> None:
    with pytest.raises(TypeError, match="documents: expected .* (position|index) 1"):
        Index.build([["a"], ["b", 3]], analyzer=None)
    with pytest.raises(TypeError, match="documents: expected .* (position|index) 0"):
        Index.build(["text"], analyzer=None)


@pytest.mark.parametrize("error", [RuntimeError("broken source"), KeyboardInterrupt(), MemoryError()])
def test_what_documents_raise_passes_through(error: BaseException) -> None:
    def documents() -> Iterator[str]:
        yield from ["a text"] * 3000
        raise error

    with pytest.raises(type(error)):
        Index.build(documents())


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a", "b"], ValueError, "ids: expected one (id|key) a document"),
        (list("abca"), ValueError, r"ids: expected unique ids, got a duplicate str 'a' at position 3"),
        (["a", "b", "c", 4], TypeError, "ids: expected"),
        ([True, 2, 3, 4], TypeError, "ids: expected"),
        ([1.0, 2.0, 3.0, 4.0], TypeError, "ids: expected"),
        (7, TypeError, "ids: expected"),
    ],
)
def test_refused_ids(ids: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Index.build(TEXTS, ids=ids)


def test_ids_everywhere() -> None:
    for ids in (["w", "h", "p", ""], [7, -1, 0, 2**40], np.array([7, -1, 0, 5]), np.array(["w", "h", "p", "x"])):
        ix = Index.build(TEXTS, ids=ids, store=True)
        names = list(ids)
        assert ix.ids.tolist() == [n.item() if isinstance(n, np.generic) else n for n in names]
        assert ix.search("flow wing").ids.tolist() == names[:2]
        assert all(name in ix for name in names) and "zebra" not in ix and 99 not in ix
        assert ix.doc_ids(names[::-1]).tolist() == [3, 2, 1, 0]
        assert ix.explain("flow", names[1]).doc_id == 1
        assert ix.keywords(names[2], 1) in (
            [("Flat", pytest.approx(1.2, abs=0.1))],
            [("flat", ix.keywords(names[2])[0][1])],
        )
        assert ix.related(names[0]).ids.tolist() == [names[1]]
        assert ix.related([names[0], names[2]]).n_hits.tolist() == [1, 0]
        assert ix.related(ix.search("heat").ids[0]).ids.tolist() == [names[0]]
        assert ix.scores("flow", ids=[names[2], names[1]])[0] == 0
        assert "<mark>flow</mark>" in ix.highlight("flow", id=names[1])


def test_unknown_ids(ix: Index) -> None:
    for call in (ix.keywords, ix.related, lambda id: ix.explain("wing", id)):
        with pytest.raises(KeyError, match="expected an id of the index, got str 'zebra'"):
            call("zebra")
    for call in (ix.doc_ids, ix.related, lambda ids: ix.scores("wing", ids=ids)):
        with pytest.raises(KeyError, match="expected ids of the index, got str 'zebra'"):
            call(["w", "zebra"])


# --- Scores ---


def test_scores_out(ix: Index) -> None:
    out = np.full(4, np.nan, dtype=np.float32)
    assert ix.scores("flow", out=out) is out and np.array_equal(out, ix.scores("flow"))
    some = np.empty(2, dtype=np.float32)
    ix.scores("flow", ids=["h", "w"], out=some)
    assert some.tolist() == ix.scores("flow")[[1, 0]].tolist()
    table = np.empty((2, 4), dtype=np.float32)
    ix.scores_batch(["flow", "wing"], out=table)
    assert np.array_equal(table, np.stack([ix.scores("flow"), ix.scores("wing")]))
    assert np.array_equal(ix.scores_batch(["flow", "wing"], ids=["h"]), table[:, 1:2])


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty(4), ValueError),
        (np.empty(5, dtype=np.float32), ValueError),
        (np.empty((1, 4), dtype=np.float32), ValueError),
        (np.empty(8, dtype=np.float32)[::2], ValueError),
        (np.broadcast_to(np.float32(0), 4), ValueError),
        (np.empty(4, dtype=">f4"), ValueError),
        ([0.0] * 4, TypeError),
    ],
)
def test_refused_out(ix: Index, out: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="out: expected"):
        ix.scores("flow", out=out)


# --- Keywords, related ---


def test_keywords_bounds() -> None:
    documents = [["a", "b", "c"], ["a", "b"], ["a"], ["d"]]
    ix = Index.build(documents, analyzer=None)
    words = lambda **bounds: [word for word, _ in ix.keywords(0, **bounds)]  # noqa: E731
    assert words() == ["c", "b", "a"] and words(n=1) == ["c"] and words(n=10**30 % 2**40) == ["c", "b", "a"]
    assert words(min_df=2) == ["b", "a"] and words(max_df=2) == ["c", "b"] and words(min_df=2, max_df=2) == ["b"]
    assert words(min_df=0.5) == ["b", "a"] and words(max_df=0.5) == ["c", "b"] and words(max_df=0.0) == []
    for name in ("min_df", "max_df"):
        for wrong, error in ((0, ValueError), (1.5, ValueError), (-0.1, ValueError), (math.nan, ValueError)):
            with pytest.raises(error, match=f"{name}: expected"):
                ix.keywords(0, **{name: wrong})
        for wrong in ("1", True, None):
            with pytest.raises(TypeError, match=f"{name}: expected"):
                ix.keywords(0, **{name: wrong})
    for wrong, error in ((0, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="n: expected an integer >= 1|n: expected an integer from 1"):
            ix.keywords(0, wrong)


def test_keywords_are_readable() -> None:
    texts = ["library libraries Library", "the libraries", "Libraries"]
    assert [word for word, _ in Index.build(texts).keywords(0)] == ["libraries"]


def test_keyword_ties_by_bytes() -> None:
    ix = Index.build([["b", "é", "a", "z"]], analyzer=None)
    assert [word for word, _ in ix.keywords(0)] == ["a", "b", "z", "é"]


def test_related_keeps_copies_and_leaves_itself_out() -> None:
    documents = [["a", "b"], ["c", "d"], ["a", "b"], ["a", "b"], ["a", "x"]]
    ix = Index.build(documents, analyzer=None)
    for mode in ("keywords", "full"):
        assert ix.related(2, 2, mode=mode).doc_ids.tolist() == [0, 3]
        assert ix.related(2, mode=mode).doc_ids.tolist() == [0, 3, 4]
        assert len(ix.related(1, mode=mode)) == 0
    assert ix.related(2, min_df=4).doc_ids.tolist() == [0, 3, 4] and len(ix.related(2, min_df=5)) == 0
    assert ix.related(2, n_keywords=1).scores.max() < ix.related(2, n_keywords=2).scores.max()
    with pytest.raises(ValueError, match="mode: expected one of 'keywords', 'full'"):
        ix.related(0, mode="best")
    with pytest.raises(ValueError, match="n_keywords: expected"):
        ix.related(0, n_keywords=0)


def test_related_of_many_equals_one_by_one() -> None:
    ix = Index.build(zipf(300, 200, 12, 3), analyzer=None)
    for mode in ("keywords", "full"):
        table = ix.related(range(300), 5, mode=mode)
        for doc_id in range(0, 300, 11):
            assert table[doc_id].to_list() == ix.related(doc_id, 5, mode=mode).to_list()
        assert np.array_equal(table.doc_ids, ix.related(np.arange(300), 5, mode=mode, n_threads=2).doc_ids)


# --- Highlighting ---


def test_highlight() -> None:
    ix = Index.build(["<b>Running</b> wings & the plates"], store=True)
    assert (
        ix.highlight("wing run", id=0) == "&lt;b&gt;<mark>Running</mark>&lt;/b&gt; <mark>wings</mark> &amp; the plates"
    )
    assert ix.highlight("wing", "wings, wing's") == "<mark>wings</mark>, <mark>wing</mark>&#x27;s"
    assert ix.highlight("zebras", "A zebra.", pre="[", post="]", escape=False) == "A [zebra]."
    with pytest.raises(TypeError, match="text: expected either a text or an id, got neither"):
        ix.highlight("wing")
    with pytest.raises(TypeError, match="text: expected either a text or an id, got both"):
        ix.highlight("wing", "wing", id=0)
    with pytest.raises(ValueError, match="id: expected an index that stores its texts"):
        Index.build(["wing"]).highlight("wing", id=0)
    with pytest.raises(ValueError, match="text: expected an index that has its analyzer"):
        Index.build(TOY, analyzer=None).highlight(["a"], "a")
    with pytest.raises(KeyError):
        ix.highlight("wing", id=1)


# --- The object ---


def test_properties(ix: Index) -> None:
    assert (ix.n_docs, ix.n_terms, ix.n_postings, ix.n_tokens, ix.n_overlong) == (4, 5, 6, 6, 0)
    assert ix.avgdl == 1.5 and len(ix) == 4
    assert (ix.df("flow"), ix.df("flows"), ix.idf("flows")) == (2, 0, 0.0)
    assert ix.idf("flow") == math.log1p(2.5 / 2.5)
    assert ix.path is None and ix.generation is None
    assert "4 documents" in repr(ix)
    with pytest.raises(TypeError, match="term: expected a str"):
        ix.df(3)  # type: ignore[arg-type]


def test_overlong_tokens_are_counted() -> None:
    assert Index.build(["a " + "b" * 65, "c" * 64 + " " + "d" * 1_000_000]).n_overlong == 2


def test_no_direct_construction() -> None:
    with pytest.raises(TypeError, match="Index: expected a call of Index.build or Index.open"):
        Index()


def test_copies_and_pickles(ix: Index) -> None:
    assert copy.copy(ix) is ix and copy.deepcopy(ix) is ix
    with pytest.raises(TypeError, match="Index: expected to be saved, got pickled"):
        pickle.dumps(ix)


def test_str_query_without_an_analyzer() -> None:
    ix = Index.build(TOY, analyzer=None)
    with pytest.raises(
        TypeError, match="query: expected a sequence of tokens, as the index was built with analyzer=None"
    ):
        ix.search("a d")
