"""An explanation adds up to the canonical score, and says what counts for nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from likewise.search import Analyzer, Index
from tests.search.corpora import ADVERSARIAL, TOY, VARIANTS, adversarial, queries, zipf

TEXTS = ["The motions of running wings", "A heated plate", "Flows past wings and plates, and the heat"]


@pytest.mark.parametrize("nonoccurrence", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adds_up(variant: str, dtype: str, nonoccurrence: bool) -> None:
    corpora = [zipf(200, 100, 15, 1), *(adversarial(kind, 60) for kind in ADVERSARIAL)]
    for documents in corpora:
        ix = Index.build(documents, analyzer=None, variant=variant, dtype=dtype, nonoccurrence=nonoccurrence, k3=2.5)
        for query in queries(documents, 5, 2):
            scores = ix.scores(query)
            for doc_id in range(0, len(documents), 7):
                why = ix.explain(query, doc_id)
                assert why.score == scores[doc_id] and (why.id, why.doc_id) == (doc_id, doc_id)
                total = math.fsum(term.contribution for term in why.terms)
                assert total + why.rounding == pytest.approx(why.score, rel=1e-15)
                assert abs(why.rounding) <= (1e-6 if dtype == "float32" else 1e-13) * why.score
                for t in why.terms:
                    assert t.contribution == t.weight * t.idf * t.f
                    assert (t.n_t, t.idf) == (ix.df(t.term), ix.idf(t.term))
                    assert t.tf == documents[doc_id].count(t.term) and t.qtf == query.count(t.term)
                    assert t.weight == pytest.approx(3.5 * t.qtf / (2.5 + t.qtf))
                    assert (t.dl, t.avgdl) == (len(documents[doc_id]), ix.avgdl)
                    assert pytest.approx(0.25 + 0.75 * t.dl / t.avgdl) == t.L


def test_order_of_first_occurrence() -> None:
    why = Index.build(TOY, analyzer=None).explain(["d", "x", "a", "d", "c"], 2)
    assert [t.term for t in why.terms] == ["d", "a", "c"] and [t.qtf for t in why.terms] == [2, 1, 1]
    assert why.left_out == (("x", "not in the index"),)


def test_weights() -> None:
    ix = Index.build(TOY, analyzer=None)
    query = {"a": 2.5, "d": 0.0, "x": 1.0}
    why = ix.explain(query, 2)
    assert [(t.term, t.qtf, t.weight) for t in why.terms] == [("a", None, 2.5), ("d", None, 0.0)]
    assert why.score == ix.scores(query)[2] and why.left_out == (("x", "not in the index"),)


def test_words_that_are_left_out() -> None:
    ix = Index.build(TEXTS, analyzer=Analyzer(min_length=3, max_length=12))
    why = ix.explain("The wing of an incomprehensible ox, flying wings", 0)
    assert [(t.term, t.qtf) for t in why.terms] == [("wing", 2)]
    left_out = dict(why.left_out)
    assert left_out["The"] == left_out["of"] == left_out["an"] == "stop word" or left_out["of"] == "too short"
    assert left_out["ox"] == "too short" and left_out["incomprehensible"] == "too long"
    assert left_out["fli"] == "not in the index"
    assert why.score == ix.scores("The wing of an incomprehensible ox, flying wings")[0]


@pytest.mark.parametrize("query", ["", " ... ", "the of", "zebra", [], {}])
def test_nothing_counts(query: Any) -> None:
    ix = Index.build(TEXTS)
    why = ix.explain(query, 1)
    assert why.terms == () and why.score == 0 and why.rounding == 0
    assert "no term of the query is in the index" in str(why)


def test_readable() -> None:
    text = str(Index.build(TOY, analyzer=None, ids=list("xyz")).explain(["a", "d", "x"], "z"))
    assert text.splitlines() == [
        "document 'z': score 0.580333",
        "term  qtf  weight  n_t       idf  tf  dl  avgdl     L    f  contribution",
        "a       1       1    2  0.470004   1   4      3  1.25  0.4      0.188001",
        "d       1       1    1  0.980829   1   4      3  1.25  0.4      0.392332",
        "left out: 'x' (not in the index)",
    ]


def test_bm25_plus_counts_absent_terms() -> None:
    ix = Index.build(TOY, analyzer=None, variant="bm25+", dtype="float64")
    why = ix.explain(["a", "d"], 1)
    assert [(t.tf, t.f) for t in why.terms] == [(0, 1.0), (0, 1.0)]
    assert why.score == pytest.approx(2.07944154, abs=1e-8)
    assert np.isclose(sum(t.contribution for t in why.terms), why.score, rtol=1e-14)


def test_unknown_id() -> None:
    with pytest.raises(KeyError, match="id: expected an id of the index"):
        Index.build(TOY, analyzer=None).explain(["a"], 3)
