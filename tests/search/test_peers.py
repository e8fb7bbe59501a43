"""Other people's implementations give the same scores, where they implement the same formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.search import Analyzer, Index
from tests.conftest import Cranfield
from tests.search.corpora import Documents, queries, zipf


@pytest.fixture(scope="module")
def documents() -> Documents:
    found = zipf(2000, 1000, 25, 21)
    return [document for document in found if document]  # rank_bm25 and bm25s refuse empty ones in places


@pytest.fixture(scope="module")
def asked(documents: Documents) -> Documents:
    return [[word for word in query if word != "unknown"] for query in queries(documents, 40, 22, most=20)[2:]]


def _bm25s(documents: Documents, method: str, k1: float, b: float) -> Any:
    bm25s = pytest.importorskip("bm25s", reason="bm25s is not installed: pip install 'likewise[test]'")
    delta = {"bm25l": 0.5, "bm25+": 1.0}.get(method, 0.5)
    engine = bm25s.BM25(method=method, k1=k1, b=b, delta=delta, backend="numpy")
    engine.index(documents, show_progress=False)
    return engine


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (1.5, 0.3)])
@pytest.mark.parametrize("variant", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_bm25s(documents: Documents, asked: Documents, variant: str, k1: float, b: float) -> None:
    engine = _bm25s(documents, variant, k1, b)
    ix = Index.build(documents, analyzer=None, variant=variant, k1=k1, b=b)
    for query in asked:
        np.testing.assert_allclose(ix.scores(query), engine.get_scores(query), rtol=1e-5, atol=1e-6)


def test_bm25s_on_cranfield(cranfield: Cranfield) -> None:
    analyzer = Analyzer.plain()
    documents = [analyzer(text) for text in cranfield.texts]
    engine = _bm25s(documents, "lucene", 1.2, 0.75)
    ix = Index.build(cranfield.texts, analyzer="plain")
    for text in list(cranfield.queries.values())[:50]:
        np.testing.assert_allclose(ix.scores(text), engine.get_scores(analyzer(text)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("variant", "name"), [("okapi", "BM25Okapi"), ("bm25+", "BM25Plus")])
def test_rank_bm25(documents: Documents, asked: Documents, variant: str, name: str) -> None:
    rank_bm25 = pytest.importorskip("rank_bm25", reason="rank_bm25 is not installed: pip install 'likewise[test]'")
    engine = getattr(rank_bm25, name)(documents, k1=1.5, b=0.75)
    ix = Index.build(documents, analyzer=None, variant=variant, k1=1.5, b=0.75, dtype="float64")
    for query in asked:
        np.testing.assert_allclose(ix.scores(query), engine.get_scores(query), rtol=1e-11, atol=1e-14)
