"""Scores against numbers by hand, the formula, and what must not change them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.references.keywords_numpy import Tree, log_probability, scores_by_pairs
from likewise import _core
from likewise.keywords import NegativeSamplingKeywords, Word2VecKeywords
from tests.keywords.models import TEXT, of_tree, random_softmax, small, small_softmax

TREE = Tree.random(300, 24, np.float64)


def test_log_probabilities_by_hand() -> None:
    expected = [
        [-0.69314718, -1.00640887, -2.98048585, -2.48048585],
        [-1.31326169, -1.62652338, -1.31967056, -1.31967056],
        [-2.12692801, -0.82007519, -2.13333688, -1.13333688],
        [-0.47407698, -1.94815397, -1.92223095, -2.42223095],
    ]
    found = small().log_prob(np.arange(4)[None, :], np.arange(4)[:, None])
    np.testing.assert_allclose(found, expected, atol=5e-9)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-14)


def test_scores_by_hand() -> None:
    model = small()
    ids, scores = model.score(TEXT)
    assert ids.tolist() == [0, 1, 2]
    np.testing.assert_allclose(scores, [-5.37318908, -5.57271731, -7.20726809], atol=5e-9)
    np.testing.assert_allclose(model.score(TEXT, normalize=True)[1][0], -1.34329727, atol=5e-9)
    np.testing.assert_allclose(
        model.score(TEXT, self_term=False)[1], [-3.98689472, -3.94619393, -5.07393121], atol=5e-9
    )
    np.testing.assert_allclose(model.score(TEXT, candidates=["d"])[1], [-4.81853889], atol=5e-9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [-5.41675632, -4.96576768, -5.33653639]),
        ({"noise_correction": False}, [-4.97524684, -5.90451555, -4.67886659]),
    ],
)
def test_negative_sampling_by_hand(options: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(small_softmax(**options).score(TEXT)[1], expected, atol=1e-8)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("self_term", [True, False])
def test_the_formula_pair_by_pair(dtype: Any, rtol: float, self_term: bool) -> None:
    tree = Tree.random(500, 40, dtype, seed=3)
    exact = replace(tree, vectors=tree.vectors.astype(np.float64), theta=tree.theta.astype(np.float64))
    words = np.random.default_rng(1).integers(0, 500, 90).tolist()
    ids, found = of_tree(tree).score(words, self_term=self_term)
    expected = scores_by_pairs(exact, words, ids.tolist())
    if not self_term:
        own = [words.count(w) * log_probability(exact, w, w) for w in ids.tolist()]
        expected = [all_ - mine for all_, mine in zip(expected, own, strict=True)]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_text_of_little_else_keeps_its_digits_without_the_own_term(dtype: Any) -> None:
    tree = Tree.random(60, 8, dtype, seed=5)
    ids, found = of_tree(tree).score(np.array([7, 9]), counts=[1e6, 1], self_term=False)
    expected = [log_probability(tree, 9, 7), 1e6 * log_probability(tree, 7, 9)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert ids.tolist() == [7, 9]


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_negative_sampling_by_the_formula(correction: bool, dtype: Any, rtol: float) -> None:
    model = random_softmax(1100, 16, dtype, noise_correction=correction)
    arrays = {k: v.astype(np.float64) for k, v in model._arrays().items()}
    q = arrays["counts"] ** 0.75
    logits = arrays["vectors"] @ arrays["output_vectors"].T + (np.log(q / q.sum()) if correction else 0)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    words = np.random.default_rng(2).integers(0, 1100, 50)
    ids, found = model.score(words)
    np.testing.assert_allclose(found, [log_p[w, words].sum() for w in ids], rtol=rtol)
    u, w = np.random.default_rng(3).integers(0, 1100, (2, 7, 3))
    np.testing.assert_allclose(model.log_prob(u, w), log_p[w, u], rtol=rtol)


@pytest.mark.parametrize("model", [of_tree(Tree.random(2000, 16, np.float64)), random_softmax(2000, 16)])
def test_probabilities_sum_to_one(model: Any) -> None:
    found = model.log_prob(np.arange(2000)[None, :], np.array([[0], [17], [1999]]))
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_products_stay_finite(dtype: Any) -> None:
    for scale in (1e2, -1e2):
        model = small(vectors=np.full((4, 2), scale, dtype), theta=np.full((3, 2), 100 / 2, dtype))
        assert np.isfinite(model.score(TEXT)[1]).all()
        assert np.isfinite(small_softmax(vectors=np.full((4, 2), scale, dtype)).score(TEXT)[1]).all()


@given(st.lists(st.integers(0, 299), min_size=1, max_size=60), st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_and_splitting_of_counts_do_not_matter(words: list[int], random: Any) -> None:
    model = of_tree(TREE)
    ids, scores = model.score(words)
    shuffled = list(words)
    random.shuffle(shuffled)
    again_ids, again = model.score(shuffled)
    order = np.argsort(again_ids)[np.argsort(np.argsort(ids))]
    np.testing.assert_allclose(again[order], scores, rtol=1e-13)
    bag_ids, counts = np.unique(words, return_counts=True)
    _, bagged = model.score(bag_ids, counts=counts, candidates=ids)
    np.testing.assert_allclose(bagged, scores, rtol=1e-13)


@given(st.lists(st.integers(0, 299), max_size=40), st.lists(st.integers(0, 299), max_size=40))
@settings(max_examples=30, deadline=None)
def test_scores_add_over_texts(first: list[int], second: list[int]) -> None:
    model, candidates = of_tree(TREE), [0, 5, 299]
    parts = [model.score(words, candidates=candidates)[1] for words in (first, second, first + second)]
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_threads_and_batches(dtype: Any) -> None:
    rng = np.random.default_rng(4)
    docs = [rng.integers(0, 300, size).tolist() for size in (3, 200, 0, 1, 77, 150)]
    for model in (of_tree(Tree.random(300, 24, dtype)), random_softmax(300, 24, dtype)):
        alone = [model.extract(doc, 20) for doc in docs]
        for threads in (1, 2, 3):
            assert model.extract_batch(docs, 20, n_threads=threads) == alone
        _, one = model.score(docs[1], n_threads=1)
        _, two = model.score(docs[1], n_threads=2)
        assert one.tobytes() == two.tobytes()


LEVELS = """
import numpy as np, sys
from tests.keywords.models import of_tree, random_softmax
from benchmarks.references.keywords_numpy import Tree
found = [of_tree(Tree.random(400, 33, t)).score(np.arange(0, 400, 3))[1] for t in (np.float32, np.float64)]
found += [random_softmax(400, 33, t).score(np.arange(0, 400, 3))[1] for t in (np.float32, np.float64)]
np.savez(sys.argv[1], *found)
"""


def test_levels_agree(tmp_path: Any) -> None:
    found = []
    for level in _core.dispatch.levels()["available"]:
        path = tmp_path / f"{level}.npz"
        environment = os.environ | {"LIKEWISE_CPU_LEVEL": level}
        subprocess.run([sys.executable, "-c", LEVELS, str(path)], check=True, env=environment)
        with np.load(path) as arrays:
            found.append([arrays[name] for name in arrays.files])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-13)


def test_a_million_tokens() -> None:
    ids = np.random.default_rng(0).zipf(1.2, 1_000_000) % 3000
    model = of_tree(Tree.random(3000, 16, np.float32))
    chosen, scores = model.score(ids, candidates=[1, 2, 3])
    words, counts = np.unique(ids, return_counts=True)
    expected = [(counts * model.log_prob(words, int(w))).sum() for w in chosen]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_one_word_models() -> None:
    model = Word2VecKeywords([[1.0, 2.0]], np.empty((0, 2)), [0, 0], [], [], ["only"])
    assert model.extract(["only", "other"]) == [("only", 0.0)]
    assert NegativeSamplingKeywords([[1.0]], [[2.0]], ["only"], counts=[3]).extract(["only"]) == [("only", 0.0)]
