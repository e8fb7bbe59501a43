"""Keywords with the options of `extract`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.search import Analyzer, Index
from tests.keywords.models import TEXT, small, small_softmax


def words(found: list[tuple[str, float]]) -> list[str]:
    return [word for word, _ in found]


def test_the_definition() -> None:
    assert words(small().extract(TEXT)) == ["a", "b", "c"]
    assert words(small().extract(TEXT, topn=2)) == ["a", "b"]
    assert words(small().extract(TEXT, self_term=False)) == ["b", "a", "c"]
    assert words(small().extract(TEXT, candidates=["d", "a"])) == ["d", "a"]
    assert words(small_softmax().extract(TEXT)) == ["b", "c", "a"]
    assert words(small_softmax(noise_correction=False).extract(TEXT)) == ["c", "a", "b"]


def test_ties_keep_the_order_of_the_text() -> None:
    model = small(vectors=np.zeros((4, 2)))
    assert words(model.extract(["c", "a", "b", "a"])) == ["c", "a", "b"]


def test_stop_words_leave_the_candidates_and_by_default_the_text() -> None:
    model = small()
    content = model.extract(TEXT, stopwords={"b", "never seen"})
    assert content == model.extract(["a", "a", "c"])
    assert model.extract(TEXT, stopwords={"b"}, context="content") == content
    everything = dict(model.extract(TEXT))
    del everything["b"]
    assert dict(model.extract(TEXT, stopwords={"b"}, context="all")) == everything
    assert words(model.extract(TEXT, stopwords={"b"}, candidates=["b", "d"])) == ["d"]


def test_without_the_own_term() -> None:
    model = small()
    for token in "abc":
        assert model.extract([token] * 3, self_term=False) == [(token, 0.0)]
        assert model.extract([token] * 3, self_term=False, normalize=True) == [(token, 0.0)]
    (word, value), *_ = model.extract(TEXT, self_term=False, normalize=True)
    assert (word, round(value, 8)) == ("b", round(-3.94619393 / 3, 8))


def test_nothing_to_score() -> None:
    model = small()
    for tokens in ([], ["z", "y"], ["a"]):
        assert model.extract(tokens, stopwords={"a"}) == []
    for tokens in ([], ["z"]):
        ids, scores = model.score(tokens)
        assert (ids.dtype, ids.size, scores.size) == (np.int64, 0, 0)
    assert model.extract([], candidates=["a"]) == [("a", 0.0)]
    assert model.extract_batch([]) == []
    assert model.extract_batch([[], TEXT]) == [[], model.extract(TEXT)]


def test_fusion_by_hand() -> None:
    # Ranks by the model are 0, 1, 2; by TF-IDF 1, 2, 0.
    found = dict(small().extract(TEXT, fuse="tfidf", idf={"a": 1, "b": 1, "c": 9, "z": 0}))
    for word, value in {"a": 0.09761905, "b": 0.09307359, "c": 0.09545455}.items():
        assert found[word] == pytest.approx(value, abs=5e-9)
    assert found["z"] == pytest.approx(1 / (20 + 999) + 1 / (20 + 3))
    assert found == dict(small().extract(TEXT, fuse="tfidf", idf={"a": 1, "b": 1, "c": 9, "z": 0}, rrf_k=20.0))


def test_where_idf_comes_from() -> None:
    model = small()
    by_counts = model.extract(TEXT, fuse="tfidf")
    idf = -np.log(np.array([8, 4, 2, 1]) / 15)
    assert by_counts == model.extract(TEXT, fuse="tfidf", idf=idf)
    assert "z" not in words(by_counts)
    index = Index.build(["a b", "a c", "a z z", "d"], analyzer=Analyzer.plain())
    n, df = 4, {"a": 3, "b": 1, "c": 1, "z": 1}
    lucene = {word: np.log(1 + (n - f + 0.5) / (f + 0.5)) for word, f in df.items()}
    assert model.extract(TEXT, fuse="tfidf", idf=index) == model.extract(TEXT, fuse="tfidf", idf=lucene)
    assert dict(model.extract(["a", "b", "unheard"], fuse="tfidf", idf=index))["unheard"] > 0


def test_ids_and_counts() -> None:
    model = small()
    expected = model.score(TEXT)
    for tokens, counts in ((np.array([0, 1, 0, 2]), None), (np.array([0, 1, 2], np.uint8), [2, 1, 1])):
        found = model.score(tokens, counts=counts)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    assert model.score([0, 3], counts=[1, 0])[0].tolist() == [0]
    assert model.transform_ids(["z", "c", "a"]).tolist() == [2, 0]
    assert model.extract([0, 1, 0, 2]) == model.extract(["a", "b", "a", "c"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.extract("a text"), TypeError, r"tokens: expected a sequence of tokens, got str; split it first"),
        (lambda m: m.extract(["a", 1]), TypeError, r"tokens: expected a str, got int 1 at index 1"),
        (lambda m: m.extract({"a": 1}), TypeError, "tokens: expected a sequence of tokens, got dict"),
        (lambda m: m.extract_batch(["a b"]), TypeError, r"docs\[0\]: expected a sequence of tokens, got str"),
        (lambda m: m.extract_batch("a b"), TypeError, "docs: expected a sequence of token sequences, got str"),
        (lambda m: m.extract_batch([TEXT], top=3), TypeError, "unexpected keyword argument 'top'"),
        (lambda m: m.score(np.array([0, 4])), ValueError, "tokens_or_ids: expected integers from 0 to 3, got 4"),
        (lambda m: m.score([-1]), ValueError, "tokens_or_ids: expected integers from 0 to 3, got -1"),
        (lambda m: m.score(np.array([0.5])), TypeError, "tokens_or_ids: expected integers, got dtype float64"),
        (lambda m: m.score([0, 1], counts=[1, -1]), ValueError, "counts: expected no negative values, got -1"),
        (lambda m: m.score([0, 1], counts=[1, np.nan]), ValueError, "counts: expected finite values, got NaN"),
        (lambda m: m.score([0, 1], counts=[1]), ValueError, "counts: expected 2 entries, one an id, got 1"),
        (lambda m: m.score(TEXT, counts=[1] * 5), ValueError, "counts: expected None with words"),
        (
            lambda m: m.score(TEXT, candidates=["a", "q"]),
            ValueError,
            "candidates: expected words of .* got 'q'",
        ),
        (
            lambda m: m.score(TEXT, candidates=list("qrstuvw")),
            ValueError,
            "got 'q', 'r', 's', 't', 'u' and 2 more",
        ),
        (
            lambda m: m.score(TEXT, candidates=["a", "b", "a"]),
            ValueError,
            "candidates: expected distinct words",
        ),
        (lambda m: m.score(TEXT, missing="drop"), ValueError, "missing: expected one of 'raise', 'ignore', got 'drop'"),
        (lambda m: m.extract(TEXT, topn=0), ValueError, "topn: expected an integer >= 1, got 0"),
        (lambda m: m.extract(TEXT, topn=2.0), TypeError, "topn: expected an integer"),
        (lambda m: m.extract(TEXT, fuse="bm25"), ValueError, "fuse: expected None or 'tfidf', got str 'bm25'"),
        (lambda m: m.extract(TEXT, fuse="tfidf", idf={"a": 1}), ValueError, "idf: expected a value for every word"),
        (lambda m: m.extract(TEXT, fuse="tfidf", idf=[1, 2]), ValueError, "idf: expected 4 entries, one a word, got 2"),
        (lambda m: m.extract(TEXT, idf=[1, 2, 3, 4]), ValueError, "idf: expected None without fuse='tfidf'"),
        (lambda m: m.extract(TEXT, fuse="tfidf", rrf_k=0), ValueError, "rrf_k: expected a finite number > 0"),
        (lambda m: m.extract(TEXT, stopwords="the"), TypeError, "stopwords: expected a set of str, got str"),
        (lambda m: m.extract(TEXT, stopwords={1}), TypeError, "stopwords: expected a str, got int 1"),
        (lambda m: m.extract(TEXT, context="all"), ValueError, "context: expected None without stopwords"),
        (lambda m: m.extract(TEXT, stopwords={"a"}, context="some"), ValueError, "context: expected one of"),
        (lambda m: m.extract(TEXT, self_term=1), TypeError, "self_term: expected True or False"),
        (lambda m: m.log_prob([0], [4]), ValueError, "ids_in: expected integers from 0 to 3, got 4"),
        (lambda m: m.log_prob([0, 1], [0, 1, 2]), ValueError, "ids_in: expected a shape that broadcasts"),
    ],
)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    for model in (small(), small_softmax()):
        with pytest.raises(error, match=message):
            call(model)


def test_unknown_candidates_may_be_ignored() -> None:
    assert small().score(TEXT, candidates=["q", "d"], missing="ignore")[0].tolist() == [3]
    assert words(small().extract(TEXT, candidates=["q", "d"], missing="ignore")) == ["d"]


def test_counts_are_needed_for_an_idf_of_the_model() -> None:
    with pytest.raises(ValueError, match="idf: expected a mapping, an array or an Index, as the model has no counts"):
        small(counts=None).extract(TEXT, fuse="tfidf")
