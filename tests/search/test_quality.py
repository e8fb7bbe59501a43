"""Real corpora: the published figures of Cranfield, the counts and scores of the Debian descriptions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.references.bm25_reference import BM25Reference
from likewise.search import Analyzer, Index
from tests.conftest import Cranfield

# parameters, then (MAP, nDCG@10, P@10, R@100) of the plain and of the default analyzer; None: not given
FIGURES: list[tuple[dict[str, Any], tuple[float | None, ...], tuple[float | None, ...]]] = [
    ({}, (0.2469, 0.3231, 0.2009, 0.6728), (0.2741, 0.3581, 0.2223, 0.7027)),
    ({"variant": "robertson"}, (0.2475, 0.3196, 0.1991, 0.6747), (0.2760, 0.3598, 0.2223, 0.6916)),
    ({"variant": "atire"}, (0.2473, 0.3241, None, None), (0.2740, 0.3581, None, None)),
    ({"variant": "bm25+"}, (0.2472, 0.3241, None, 0.6717), (0.2740, 0.3581, None, None)),
    ({"variant": "bm25l"}, (0.2498, 0.3260, 0.2045, 0.6831), (0.2784, 0.3631, 0.2268, 0.7029)),
    ({"variant": "bm25"}, (0.2474, 0.3196, None, None), (0.2760, 0.3598, None, None)),
    ({"variant": "okapi"}, (0.2356, 0.3147, None, None), (0.2755, 0.3595, None, None)),
    ({"variant": "bm25l", "nonoccurrence": False}, (0.2366, 0.3110, None, None), (0.2569, 0.3337, None, None)),
    ({"variant": "bm25+", "nonoccurrence": False}, (0.2327, 0.3066, None, None), (0.2518, 0.3301, None, None)),
    ({"k3": 0}, (0.2485, 0.3277, None, None), (0.2751, 0.3586, None, None)),
    ({"k3": 8}, (0.2470, 0.3228, None, None), (0.2733, 0.3556, None, None)),
    ({"k1": 1.5}, (0.2479, 0.3248, None, None), (0.2783, 0.3607, None, None)),
    ({"k1": 0.9, "b": 0.4}, (0.2342, 0.3075, None, None), (0.2539, 0.3322, None, None)),
]


def evaluate(run: dict[str, list[str]], relevant: dict[str, set[str]]) -> tuple[float, float, float, float]:
    """MAP over the first 1000, nDCG@10 of binary gains, P@10, R@100; means over the judged queries."""
    rows = []
    for query, wanted in relevant.items():
        ranked = run[query][:1000]
        ranks = [rank for rank, document in enumerate(ranked, 1) if document in wanted]
        average = sum(found / rank for found, rank in enumerate(ranks, 1)) / len(wanted)
        gain = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10)
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(wanted)) + 1))
        rows.append(
            (average, gain / ideal, sum(r <= 10 for r in ranks) / 10, sum(r <= 100 for r in ranks) / len(wanted))
        )
    means = np.mean(rows, axis=0).tolist()
    return means[0], means[1], means[2], means[3]


@pytest.mark.parametrize(("parameters", "plain", "default"), FIGURES, ids=lambda value: str(value))
def test_cranfield(
    cranfield: Cranfield, parameters: dict[str, Any], plain: tuple[Any, ...], default: tuple[Any, ...]
) -> None:
    assert len(cranfield.ids) == 1400 and len(cranfield.queries) == 225
    assert len(cranfield.relevant) == 112 and sum(map(len, cranfield.relevant.values())) == 794
    names = list(cranfield.relevant)
    for analyzer, figures in (("plain", plain), ("default", default)):
        ix = Index.build(cranfield.texts, ids=cranfield.ids, analyzer=analyzer, **parameters)
        shares = Index.build(cranfield.texts, analyzer=analyzer)  # lucene: whoever shares a term scores above 0
        run = {}
        for name in names:
            query = cranfield.queries[name]
            # The figures rank whoever shares a term, those of score 0 (robertson, okapi) last, which are no hits.
            scores, sharing = ix.scores(query), np.flatnonzero(shares.scores(query))
            run[name] = ix.ids[sharing[np.lexsort((sharing, -scores[sharing]))]].tolist()
            hits = ix.search(query, 1400).ids.tolist()
            assert hits == run[name][: len(hits)]
        for found, figure in zip(evaluate(run, cranfield.relevant), figures, strict=True):
            assert figure is None or round(found, 4) == pytest.approx(figure, abs=1e-9), (analyzer, figures)


def test_cranfield_query_1(cranfield: Cranfield) -> None:
    ix = Index.build(cranfield.texts, ids=cranfield.ids, analyzer="plain")
    hits = ix.search(cranfield.queries["1"], 5)
    assert hits.ids.tolist() == ["184", "486", "13", "1268", "12"]
    assert hits.scores.tolist() == pytest.approx([10.485042, 9.417984, 8.867837, 8.132643, 8.032013], abs=2e-6)
    assert [cranfield.ids[i] for i, text in enumerate(cranfield.texts) if not text.strip()] == ["471", "995"]


def test_wrong_numbers_of_queries(cranfield: Cranfield) -> None:
    """The trap of this collection: taking <num> for the number in the judgements ruins the figures."""
    assert set(cranfield.relevant) == {str(i) for i in range(1, 113)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("analyzer", "counts"),
    [("default", (2_934_482, 64_221, 2_088_415)), ("plain", (4_078_622, 76_316, 2_816_627))],
)
def test_debian_counts(debian_texts: list[str], analyzer: str, counts: tuple[int, int, int]) -> None:
    ix = Index.build(debian_texts, analyzer=analyzer)
    assert (ix.n_docs, ix.n_tokens, ix.n_terms, ix.n_postings) == (64_512, *counts)
    if analyzer == "default":
        assert ix.avgdl == pytest.approx(45.48738, abs=5e-6)


@pytest.mark.slow
def test_debian_web_browser(debian_texts: list[str], debian_records: list[dict[str, str]]) -> None:
    ix = Index.build(debian_texts, ids=[record["id"] for record in debian_records])
    hits = ix.search("web browser", 100_000)
    assert len(hits) == 3546
    assert hits.ids[:3].tolist() == ["chromium", "golang-github-juju-webbrowser-dev", "webext-keepassxc-browser"]
    assert hits.scores[:3].tolist() == pytest.approx([5.85953, 5.67284, 5.61029], abs=6e-6)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lucene", "bm25l", "okapi"])
def test_debian_formula_and_top_k(debian_texts: list[str], variant: str) -> None:
    """Titles, and whole descriptions of up to hundreds of terms, against float64; the top-k against all scores."""
    analyzer = Analyzer()
    documents = [analyzer(text) for text in debian_texts]
    reference = BM25Reference(documents, variant=variant)
    ix = Index.build(documents, analyzer=None, variant=variant)
    long = sorted(range(len(documents)), key=lambda d: -len(set(documents[d])))
    asked = [analyzer(debian_texts[d].split("\n")[0]) for d in range(0, 64_512, 6451)]
    asked += [documents[d] for d in (*long[:3], long[1000], long[10_000], long[30_000])]
    for query in asked:
        scores = ix.scores(query)
        np.testing.assert_allclose(scores, reference.scores(query), rtol=1e-6, atol=1e-30)
        for k in (10, 1000):
            hits = ix.search(query, k)
            order = np.lexsort((np.arange(ix.n_docs), -scores))[: len(hits)]
            assert np.array_equal(hits.doc_ids, order) and np.array_equal(hits.scores, scores[order])
