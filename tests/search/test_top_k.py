"""The k best are those of all scores, bit for bit: every variant, dtype, method, k, 1 and 2 threads, every level."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from likewise.search import Hits, Index
from tests.conftest import Fresh
from tests.search.corpora import ADVERSARIAL, VARIANTS, Documents, adversarial, queries, zipf

DTYPES = ("float32", "float64")
Query = list[str] | dict[str, float]


def bits(scores: NDArray[Any]) -> NDArray[Any]:
    return scores.view(np.uint32 if scores.dtype == np.float32 else np.uint64)


def best_of_all(ix: Index, documents: Documents, query: Query, k: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The k best by `scores` among the documents that hold a term which counts; ties by ascending doc_id."""
    scores = ix.scores(query)
    counting = {term for term in query if ix.idf(term) > 0 and not (isinstance(query, dict) and query[term] == 0)}
    if ix.params["variant"] == "atire":  # ln(N/n) of a term in every document
        counting = {term for term in counting if ix.df(term) < len(documents)}
    hits = np.array([d for d, document in enumerate(documents) if not counting.isdisjoint(document)], dtype=np.int64)
    order = np.lexsort((hits, -scores[hits]))[:k]
    return hits[order], scores[hits[order]]


def assert_equal(hits: Hits, expected: tuple[NDArray[np.int64], NDArray[Any]]) -> None:
    assert np.array_equal(hits.doc_ids, expected[0])
    assert np.array_equal(bits(hits.scores), bits(expected[1]))


def check(documents: Documents, asked: Sequence[Query], ks: list[int], **parameters: Any) -> None:
    ix = Index.build(documents, analyzer=None, **parameters)
    for k in ks:
        expected = [best_of_all(ix, documents, query, k) for query in asked]
        for query, best in zip(asked, expected, strict=True):
            assert_equal(ix.search(query, k), best)
            assert_equal(ix.search(query, k, n_threads=2), best)
            assert_equal(ix.search(query, k, method="exhaustive"), best)
        for n_threads in (1, 2):
            for method in ("auto", "exhaustive"):
                batch = ix.search_batch(asked, k, method=method, n_threads=n_threads)
                assert batch.doc_ids.shape == (len(asked), k)
                for row, best in enumerate(expected):
                    assert_equal(batch[row], best)
                    assert (batch.doc_ids[row, len(best[0]) :] == -1).all()
                    assert (batch.scores[row, len(best[0]) :] == -np.inf).all()
    assert np.array_equal(bits(ix.scores_batch(asked, n_threads=2)), bits(np.stack([ix.scores(q) for q in asked])))
    some = np.random.default_rng(1).integers(0, max(1, len(ix)), min(50, len(ix)))
    for n_threads in (1, 2):
        table = ix.scores_batch(asked, ids=some, n_threads=n_threads)
        assert np.array_equal(bits(table), bits(np.stack([ix.scores(q)[some] for q in asked])))


CORPORA = {"zipf": lambda: zipf(700, 200, 20, 1), "tiny": lambda: zipf(3, 5, 3, 2)} | {
    kind: (lambda kind=kind: adversarial(kind, 500)) for kind in ADVERSARIAL
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_small(corpus: str, variant: str, dtype: str) -> None:
    documents = CORPORA[corpus]()
    check(documents, queries(documents, 8, 3), [1, 10, 100, 1000, len(documents)], variant=variant, dtype=dtype)


@pytest.mark.parametrize("variant", ["bm25l", "bm25+"])
@pytest.mark.parametrize("corpus", CORPORA)
def test_present_terms_only(corpus: str, variant: str) -> None:
    documents = CORPORA[corpus]()
    check(documents, queries(documents, 8, 4), [1, 10, len(documents)], variant=variant, nonoccurrence=False)


@pytest.mark.parametrize("n_docs", [4095, 4096, 4097, 8191, 8192, 8193])
@pytest.mark.parametrize("kind", ["zipf", *ADVERSARIAL])
def test_around_narrow_windows(kind: str, n_docs: int) -> None:
    documents = zipf(n_docs, 300, 6, n_docs) if kind == "zipf" else adversarial(kind, n_docs, n_docs)
    check(documents, queries(documents, 6, n_docs), [1, 10, 1000, n_docs], variant="lucene")


@pytest.mark.slow
@pytest.mark.parametrize("n_docs", [65535, 65536, 65537, 131_073])
@pytest.mark.parametrize("kind", ["zipf", "rare", *ADVERSARIAL])
def test_around_wide_windows(kind: str, n_docs: int) -> None:
    documents = (
        zipf(n_docs, 500, 4, n_docs)
        if kind == "zipf"
        else zipf(n_docs, 200_000, 2, n_docs)  # few postings a query: wide windows
        if kind == "rare"
        else adversarial(kind, n_docs, n_docs)
    )
    check(documents, queries(documents, 3, n_docs, most=5), [1, 10, 1000, n_docs], variant="bm25+")


@pytest.mark.parametrize("variant", ["lucene", "bm25+"])
def test_few_postings_in_many_documents(variant: str) -> None:
    """Several wide windows, short lists of which the longest are left out once ten documents are known."""
    generator = np.random.default_rng(6)
    ranks = np.exp(generator.uniform(0, np.log(3000), 400_000)).astype(int)
    documents = [[f"w{rank}" for rank in ranks[2 * i : 2 * i + 2]] for i in range(200_000)]
    asked = [[f"w{rank}" for rank in generator.integers(25, 350, n)] for n in (2, 3, 5, 8, 8, 12, 12)]
    weighted = [{word: float(generator.uniform(0.1, 9)) for word in query} for query in asked]
    check(documents, [*asked, *weighted], [1, 10, 100, 1000], variant=variant)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["lucene", "bm25l"])
def test_frequent_terms(variant: str, dtype: str) -> None:
    """Long lists, weights of every size; and the document itself is left out, wherever it ranks."""
    documents = zipf(9000, 400, 40, 7)
    asked = queries(documents, 10, 8, most=40)[2:]
    generator = np.random.default_rng(9)
    weighted = [
        {word: float(generator.lognormal(0, spread)) for word in query} for query in asked for spread in (0.2, 2)
    ]
    check(documents, [*asked, *weighted], [1, 10, 100, 1000], variant=variant, dtype=dtype)
    ix = Index.build(documents, analyzer=None, variant=variant, dtype=dtype)
    for k in (1, 10, 100):
        related = ix.related(range(40), k, mode="full")
        for document in range(40):
            others = [hit for hit in ix.search(documents[document], k + 1).to_list() if hit[0] != document]
            assert related[document].to_list() == others[:k]


@pytest.mark.parametrize("order", ["best first", "best last", "best in the middle"])
@pytest.mark.parametrize("n_terms", [2, 40])
def test_sorted_documents(order: str, n_terms: int) -> None:
    """What it takes to be among the k best, guessed from the first documents, is far too high or too low here."""
    n_docs = 20_000
    generator = np.random.default_rng(n_terms)
    place = np.arange(n_docs)
    if order == "best last":
        place = place[::-1]
    elif order == "best in the middle":
        place = np.abs(place - n_docs // 2)
    documents = [
        [f"w{term}" for term in np.flatnonzero(generator.random(n_terms) < 0.1 + 0.8 * np.exp(-p / 1500))]
        + ["x"] * int(generator.integers(1, 5))
        for p in place.tolist()
    ]
    asked: list[Query] = [[f"w{term}" for term in range(n)] for n in (1, 2, n_terms)]
    asked.append({f"w{term}": float(generator.uniform(0.5, 4)) for term in range(n_terms)})
    check(documents, asked, [1, 10, 100, 1000, 5000])


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lucene", "bm25l"])
def test_long_queries(variant: str) -> None:
    documents = zipf(5000, 3000, 60, 5)
    words = list(dict.fromkeys(word for document in documents[:60] for word in document))
    asked = [words[:70], words[:300], words[: len(words)], documents[7], documents[8]]
    check(documents, asked, [1, 10, 100, 1000], variant=variant)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Documents, list[str], int, str, str]:
    words = [f"w{i}" for i in range(draw(st.sampled_from([1, 3, 20])))]
    documents = draw(st.lists(st.lists(st.sampled_from(words), max_size=6), min_size=1, max_size=60))
    documents = documents * draw(st.sampled_from([1, 1, 2, 7, 100]))
    query = draw(st.lists(st.sampled_from([*words, "unknown"]), max_size=8))
    return documents, query, draw(st.integers(1, 200)), draw(st.sampled_from(VARIANTS)), draw(st.sampled_from(DTYPES))


@settings(max_examples=80, deadline=None)
@given(cases())
def test_random(case: tuple[Documents, list[str], int, str, str]) -> None:
    documents, query, k, variant, dtype = case
    check(documents, [query], [k], variant=variant, dtype=dtype)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 5999))
def test_one_canonical_score(case: tuple[Documents, list[str], int, str, str], position: int) -> None:
    """search, search_batch, scores (all and some), explain and related return the same bits."""
    documents, query, k, variant, dtype = case
    ix = Index.build(documents, analyzer=None, variant=variant, dtype=dtype)
    scores = ix.scores(query)
    some = ix.scores(query, ids=list(range(len(documents)))[::-1])
    assert np.array_equal(bits(some[::-1]), bits(scores))
    assert np.array_equal(bits(ix.scores_batch([query], ids=[0])[0]), bits(scores[:1]))
    for doc_id, score in ix.search(query, k):
        assert score == scores[doc_id] == ix.explain(query, doc_id).score
    document = position % len(documents)
    for related, weights in (
        (ix.related(document, k, mode="full"), documents[document]),
        (ix.related(document, k), {term: 1.0 for term, _ in ix.keywords(document, min_df=2)}),
    ):
        all_scores = ix.scores(weights)
        assert document not in related.doc_ids
        assert np.array_equal(bits(related.scores), bits(all_scores[related.doc_ids]))
        others = [hit for hit in ix.search(weights, len(documents)).to_list() if hit[0] != document]
        assert related.to_list() == others[:k]


def fingerprint() -> str:
    """A hash of many results: the same on every CPU level, for 1 and 2 threads."""
    digest = hashlib.sha256()
    for array in _results():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _results() -> Iterator[NDArray[Any]]:
    corpora = [zipf(5000, 800, 15, 11), zipf(70_000, 50_000, 2, 12), adversarial("long lists", 9000)]
    for number, documents in enumerate(corpora):
        asked = [*queries(documents, 20, 13), documents[5] + documents[6] + documents[7]]
        for variant, dtype in [("lucene", "float32"), ("bm25+", "float64"), ("bm25l", "float32")][: 3 - number // 2]:
            ix = Index.build(documents, analyzer=None, variant=variant, dtype=dtype)
            for n_threads in (1, 2):
                for k in (1, 10, 1000):
                    hits = ix.search_batch(asked, k, n_threads=n_threads)
                    yield hits.doc_ids
                    yield hits.scores
                yield ix.related(list(range(0, 200, 5)), n_threads=n_threads).scores
                yield ix.related(list(range(0, 200, 50)), mode="full", n_threads=n_threads).doc_ids
            yield np.stack([ix.scores(query) for query in asked])
            yield np.array([score for _, score in ix.keywords(5)])


@pytest.mark.slow
def test_every_level_gives_the_same_bits(fresh: Fresh, levels: list[str]) -> None:
    program = (
        "import likewise\n"
        "from tests.search.test_top_k import fingerprint\n"
        "print(likewise._core.dispatch.level(), fingerprint())\n"
    )
    found = [fresh(program, level=level).split() for level in levels]
    assert [level for level, _ in found] == levels
    assert {result for _, result in found} == {fingerprint()}
