"""Scores equal the formula: the toy tables to all their digits, random corpora against the float64 reference."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.references.bm25_reference import BM25Reference
from likewise.search import Index
from tests.search.corpora import ADVERSARIAL, TOY, VARIANTS, adversarial, queries, zipf

# variant: idf of a and d, scores of the three documents, the same with nonoccurrence=False
TABLE: dict[str, tuple[list[float], list[float], list[float] | None]] = {
    "lucene": ([0.47000363, 0.98082925], [0.29375227, 0, 0.58033315], None),
    "robertson": ([0, 0.51082562], [0, 0, 0.20433025], None),
    "atire": ([0.40546511, 1.09861229], [0.55751452, 0, 1.32358811], None),
    "bm25l": ([0.47000363, 0.98082925], [1.33330827, 0.93877422, 1.65975282], [0.69865404, 0, 1.65975282]),
    "bm25+": ([0.69314718, 1.38629436], [3.03251891, 2.07944154, 3.90935010], [1.64622455, 0, 3.90935010]),
    "bm25": ([1e-6, 0.51082562], [0.00000137, 0, 0.44952743], None),
    "okapi": ([0, 0.51082562], [0, 0, 0.44952655], None),
}
DIGIT = 0.6e-8  # half of the last digit that the table gives, and a hair


def index(documents: Any, **parameters: Any) -> Index:
    return Index.build(documents, analyzer=None, **parameters)


@pytest.mark.parametrize("variant", VARIANTS)
def test_toy_table(variant: str) -> None:
    idf, scores, present_only = TABLE[variant]
    ix = index(TOY, variant=variant, dtype="float64")
    assert ix.avgdl == 3
    assert [ix.idf("a"), ix.idf("d")] == pytest.approx(idf, abs=DIGIT)
    assert ix.scores(["a", "d"]).tolist() == pytest.approx(scores, abs=DIGIT)
    without = index(TOY, variant=variant, dtype="float64", nonoccurrence=False).scores(["a", "d"]).tolist()
    assert without == pytest.approx(present_only or scores, abs=DIGIT)
    single = index(TOY, variant=variant).scores(["a", "d"])
    np.testing.assert_allclose(single, ix.scores(["a", "d"]), rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_toy_hits(variant: str) -> None:
    hits = index(TOY, variant=variant).search(["a", "d"])
    assert hits.doc_ids.tolist() == ([2] if variant in ("robertson", "okapi") else [2, 0])


@pytest.mark.parametrize(
    ("k3", "scores"),
    [
        (None, [0.58750454, 0, 0.76833460]),
        (0, [0.29375227, 0, 0.58033315]),
        (8, [0.52875408, 0, 0.73073431]),
    ],
)
def test_toy_k3(k3: float | None, scores: list[float]) -> None:
    ix = index(TOY, k3=k3, dtype="float64")
    assert ix.scores(["a", "a", "d"]).tolist() == pytest.approx(scores, abs=DIGIT)


def test_toy_explain() -> None:
    why = index(TOY, dtype="float64").explain(["a", "d"], 2)
    assert [t.L for t in why.terms] == [1.25, 1.25]
    assert [t.f for t in why.terms] == pytest.approx([0.4, 0.4])
    assert [t.contribution for t in why.terms] == pytest.approx([0.18800145, 0.39233170], abs=DIGIT)


def test_toy_keywords() -> None:
    words = index(TOY).keywords(2)
    assert [word for word, _ in words] == ["d", "c", "a"]
    assert [score for _, score in words] == pytest.approx([0.98082925, 0.94000726, 0.47000363], abs=DIGIT)


def test_toy_related() -> None:
    ix = index(TOY, dtype="float64")
    full, keywords = ix.related(2, mode="full"), ix.related(2)
    assert full.doc_ids.tolist() == [1, 0] and keywords.doc_ids.tolist() == [0, 1]
    assert full.scores.tolist() == pytest.approx([0.49474066, 0.29375227], abs=DIGIT)
    assert keywords.scores.tolist() == pytest.approx([0.29375227, 0.24737033], abs=DIGIT)


PARAMETERS: list[dict[str, Any]] = [
    *({"variant": variant} for variant in VARIANTS),
    *({"variant": variant, "k1": 0.9, "b": 0.4} for variant in VARIANTS),
    *({"variant": variant, "k1": 0.0, "b": 1.0, "k3": 0} for variant in VARIANTS),
    *({"variant": variant, "nonoccurrence": False, "delta": 0.7, "k3": 8} for variant in ("bm25l", "bm25+")),
    {"variant": "bm25l", "delta": 0.0, "k1": 0.0},
    {"variant": "lucene", "b": 0.0},
]
EXTREMES: list[dict[str, Any]] = [
    *({"variant": variant, "k1": k1, "k3": k3} for variant in VARIANTS for k1, k3 in ((1e-6, 1e6), (1e6, 1e-6))),
    *(
        {"variant": variant, "k1": k1, "delta": delta, "nonoccurrence": nonoccurrence}
        for variant in ("bm25l", "bm25+")
        for k1 in (1e-6, 1.2, 1e6)
        for delta in (1e-6, 1e6)
        for nonoccurrence in (True, False)
    ),
]
CORPORA = {
    "zipf": lambda: zipf(400, 300, 30, 1),
    "short": lambda: zipf(1000, 50, 2, 2),
    **{kind: (lambda kind=kind: adversarial(kind, 300)) for kind in ADVERSARIAL},
}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_reference(corpus: str, parameters: dict[str, Any]) -> None:
    documents = CORPORA[corpus]()
    reference = BM25Reference(documents, **parameters)
    single = index(documents, **parameters)
    double = index(documents, **parameters, dtype="float64")
    for query in queries(documents, 12, 3):
        expected = reference.scores(query)
        np.testing.assert_allclose(single.scores(query), expected, rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(double.scores(query), expected, rtol=1e-13, atol=1e-30)
        hits = double.search(query, 10)
        wanted = reference.search(query, 10)
        np.testing.assert_allclose(hits.scores, [score for _, score in wanted], rtol=1e-13)
        # Documents whose float64 scores differ in the last bits may change places; the sets of clear winners may not.
        apart = [a for (a, x), (_, y) in pairwise(wanted) if x > y * (1 + 1e-12)]
        assert set(apart) <= set(hits.doc_ids.tolist())


@pytest.mark.parametrize("parameters", EXTREMES, ids=str)
def test_extreme_parameters(parameters: dict[str, Any]) -> None:
    """At the ends of what is allowed no document is lost, and scores keep their precision."""
    documents = zipf(400, 300, 30, 1)
    reference = BM25Reference(documents, **parameters)
    single = index(documents, **parameters)
    for query in queries(documents, 12, 3):
        expected = reference.scores(query)
        np.testing.assert_allclose(single.scores(query), expected, rtol=1e-6, atol=1e-30)
        worth = [term for term in query if term in reference.postings and reference.idf(term) > 0]
        matching = {d for term in worth for d in reference.postings[term]}
        assert set(single.search(query, len(documents)).doc_ids.tolist()) == matching
        light = dict.fromkeys(worth, 1e-12)
        assert set(single.search(light, len(documents)).doc_ids.tolist()) == matching


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_terms", [100, 400, 1000])
def test_long_queries(variant: str, n_terms: int) -> None:
    """Float32 sums of up to 1000 distinct terms stay within 1e-6 of the formula."""
    documents = zipf(300, 1500, 400, 4)
    query = list(dict.fromkeys(word for document in documents for word in document))[:n_terms]
    assert len(query) == n_terms
    expected = BM25Reference(documents, variant=variant).scores(query)
    np.testing.assert_allclose(index(documents, variant=variant).scores(query), expected, rtol=1e-6)
    np.testing.assert_allclose(index(documents, variant=variant, dtype="float64").scores(query), expected, rtol=1e-13)


def test_long_query_of_counts() -> None:
    documents = zipf(200, 500, 300, 5)
    query = [word for document in documents[:20] for word in document]
    expected = BM25Reference(documents).scores(query)
    np.testing.assert_allclose(index(documents).scores(query), expected, rtol=1e-6)


def test_extreme_counts() -> None:
    """tf is not saturated, whatever its size; neither is the query's count."""
    documents = [["a"] * 254, ["a"] * 255, ["a"] * 256, ["a"] * 70_000 + ["b"], ["b"] * 300]
    parameters: dict[str, float]
    for parameters in ({}, {"b": 0.0, "k1": 1e6}):
        expected = BM25Reference(documents, **parameters).scores(["a", "b"])
        np.testing.assert_allclose(index(documents, **parameters).scores(["a", "b"]), expected, rtol=1e-6)
    ix = index(documents, dtype="float64")
    many = ["a"] * 10**6
    np.testing.assert_allclose(ix.scores(many), BM25Reference(documents).scores({"a": 1e6}), rtol=1e-13)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights(variant: str) -> None:
    documents = zipf(300, 100, 20, 6)
    query = {"w1": 0.5, "w5": 0.0, "unknown": 7.0, "w2": 3, "w30": 1e-3, "w31": 1e6}
    expected = BM25Reference(documents, variant=variant).scores(query)
    ix = index(documents, variant=variant)
    np.testing.assert_allclose(ix.scores(query), expected, rtol=1e-6)
    without = {term: weight for term, weight in query.items() if weight > 0 and term != "unknown"}
    assert ix.search(query, 300).to_list() == ix.search(without, 300).to_list()


@st.composite
def corpora(draw: st.DrawFn) -> list[list[str]]:
    words = st.sampled_from("abcdefgh")
    return draw(st.lists(st.lists(words, max_size=12), min_size=1, max_size=30))


@settings(max_examples=60, deadline=None)
@given(
    documents=corpora(), query=st.lists(st.sampled_from("abcdefghx"), max_size=10), variant=st.sampled_from(VARIANTS)
)
def test_properties(documents: list[list[str]], query: list[str], variant: str) -> None:
    ix = index(documents, variant=variant)
    scores = ix.scores(query)
    np.testing.assert_allclose(scores, BM25Reference(documents, variant=variant).scores(query), rtol=1e-6, atol=1e-30)
    # Permuting documents permutes scores; an unknown word changes nothing; the query's order changes next to nothing.
    backwards = index(documents[::-1], variant=variant).scores(query)
    np.testing.assert_allclose(backwards[::-1], scores, rtol=1e-6)
    assert np.array_equal(ix.scores([*query, "unknown"]), scores)
    np.testing.assert_allclose(ix.scores(query[::-1]), scores, rtol=1e-6)
    # Scores of a joined query are the sum of the parts' scores.
    parts = ix.scores(query[:4]).astype(float) + ix.scores(query[4:])
    np.testing.assert_allclose(parts, scores, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(documents=corpora(), query=st.lists(st.sampled_from("abcdefgh"), max_size=6))
def test_doubled_texts_keep_relative_length(documents: list[list[str]], query: list[str]) -> None:
    """With every text doubled, dl/avgdl stays; with k1 doubled too, so does every score."""
    once = index(documents, k1=1.0, dtype="float64")
    twice = index([document * 2 for document in documents], k1=2.0, dtype="float64")
    np.testing.assert_allclose(twice.scores(query), once.scores(query), rtol=1e-12)
    assert twice.avgdl == 2 * once.avgdl
