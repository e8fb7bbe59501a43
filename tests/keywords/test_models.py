"""Making models: from arrays, from gensim, from files."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import likewise as lw
from benchmarks.references.keywords_numpy import Tree
from likewise.errors import CorruptFileError
from likewise.keywords import NegativeSamplingKeywords, Word2VecKeywords
from likewise.persistence import to_bytes
from tests.keywords.models import TEXT, VECTORS, of_tree, random_softmax, small, small_softmax


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(path_ptr=[0, 1, 3, 2, 9]), "path_ptr: expected not to decrease, got 2 after 3 at position 3"),
        (dict(path_ptr=[0, 1, 3, 6, 8]), r"path_ptr: expected to end at the length of path_node \(9\), got 8"),
        (dict(path_ptr=[1, 1, 3, 6, 9]), "path_ptr: expected to start at 0, got 1"),
        (dict(path_ptr=[0, 1, 3, 9]), "path_ptr: expected 5 entries, got 4"),
        (dict(path_node=[2, 2, 1, 2, 1, 3, 2, 1, 0]), "path_node: expected below 3 .*, got 3 at position 5"),
        (dict(path_node=[2, 2, 1, 2, 1, -1, 2, 1, 0]), "path_node: expected integers that fit uint32, got -1"),
        (
            dict(path_node=[2, 2, 1, 2, 0, 0, 2, 1, 0]),
            "path_node: expected words whose codes begin alike to share nodes",
        ),
        (dict(path_code=[1, 0, 1, 0, 0, 2, 0, 0, 0]), "path_code: expected 0 or 1, got 2 at position 5"),
        (dict(path_code=[1, 0, 1, 0, 0, 0, 0, 0, 0]), "path_code: expected the code words of a full .* a duplicate"),
        (dict(path_code=[0, 0, 1, 0, 0, 1, 0, 0, 0]), "path_code: expected the code words of a full binary tree"),
        (dict(path_code=[1, 0, 1, 0, 0, 1, 0, 0]), "path_code: expected as many entries as path_node"),
        (dict(vectors=[[np.nan, 0.0], *VECTORS[1:]]), "vectors: expected finite values, got NaN at row 0, column 0"),
        (dict(theta=[[0.5, np.inf], [0, 1], [1, 1]]), "theta: expected finite values, got infinity"),
        (dict(theta=[[0.5, 0.0], [0, 1]]), r"theta: expected shape \(3, 2\), got \(2, 2\)"),
        (dict(vectors=VECTORS[:3]), r"vectors: expected shape \(4, None\), got \(3, 2\)"),
        (dict(vocabulary=["a", "b", "a", "d"]), "vocabulary: expected distinct words, got 'a' again at index 2"),
        (dict(counts=[1, 2, 3]), "counts: expected 4 entries, one a word, got 3"),
        (dict(counts=[1, 2, 3, -4]), "counts: expected no negative values, got -4 at position 3"),
    ],
)
def test_refused_trees(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_code_words_that_begin_with_another_are_refused() -> None:
    # a = 1, b = 10: the tree would have a word at an inner node.
    with pytest.raises(ValueError, match="path_code: expected the code words of a full binary tree"):
        Word2VecKeywords(np.ones((3, 1)), np.ones((2, 1)), [0, 1, 3, 4], [0, 0, 1, 0], [1, 1, 0, 0], list("abc"))
    with pytest.raises(ValueError, match="a Kraft sum"):
        Word2VecKeywords(
            np.ones((3, 1)), np.ones((2, 1)), [0, 1, 3, 6], [0, 0, 1, 0, 1, 0], [0, 1, 0, 1, 1, 0], list("abc")
        )


def test_refused_softmax_models() -> None:
    with pytest.raises(
        ValueError, match=r"counts: expected those of the training, got None \[or noise_correction=False"
    ):
        small_softmax(counts=None)
    with pytest.raises(ValueError, match="counts: expected at least 1 for the noise, got 0 at position 1"):
        small_softmax(counts=[1, 0, 1, 1])
    with pytest.raises(ValueError, match=r"output_vectors: expected shape \(4, 2\), got \(3, 2\)"):
        small_softmax(output_vectors=VECTORS[:3])


def test_arrays_are_converted_once_or_not_at_all() -> None:
    tree = Tree.random(50, 8, np.float32)
    assert np.shares_memory(of_tree(tree)._vectors, tree.vectors)
    expected = of_tree(tree).score(np.arange(50))[1]
    for vectors in (
        tree.vectors.astype(">f4"),
        np.repeat(tree.vectors, 2, axis=0)[::2],
        np.asfortranarray(tree.vectors),
    ):
        np.testing.assert_array_equal(of_tree(tree, vectors=vectors).score(np.arange(50))[1], expected)
    mixed = of_tree(tree, theta=tree.theta.astype(np.float64))
    assert mixed.score([0])[1].dtype == np.float64  # nothing is rounded
    half = of_tree(tree, vectors=tree.vectors.astype(np.float16))
    assert half.score([0])[1].dtype == np.float32
    padded = np.vstack([tree.theta, tree.theta[:1]])  # gensim's row that is not used
    np.testing.assert_array_equal(of_tree(tree, theta=padded).score(np.arange(50))[1], expected)


def test_unchecked_values_may_be_anything_but_the_tree_may_not() -> None:
    assert np.isnan(small(vectors=[[np.nan, 0.0], *VECTORS[1:]], check=False).score(TEXT)[1][0])
    with pytest.raises(ValueError, match="path_code"):
        small(path_code=[1, 0, 1, 0, 0, 2, 0, 0, 0], check=False)


def test_what_it_says_of_itself() -> None:
    model = small()
    assert (model.n_words, model.dim, model.vocabulary) == (4, 2, ("a", "b", "c", "d"))
    assert repr(model) == "Word2VecKeywords(n_words=4, dim=2)"


# --- gensim ---


@pytest.fixture(scope="module")
def sentences() -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [[f"w{i}" for i in rng.zipf(1.4, 20) % 60] for _ in range(200)]


@pytest.mark.parametrize(("options", "kind"), [((1, 0), Word2VecKeywords), ((0, 5), NegativeSamplingKeywords)])
def test_gensim_models(sentences: list[list[str]], options: tuple[int, int], kind: type) -> None:
    gensim = pytest.importorskip("gensim.models", reason="needs gensim: pip install '.[test]'")
    hs, negative = options
    made = gensim.Word2Vec(
        sentences, vector_size=12, sg=1, hs=hs, negative=negative, min_count=1, epochs=2, workers=1, seed=1
    )
    model = kind.from_gensim(made)
    assert type(model) is kind
    assert list(model.vocabulary) == made.wv.index_to_key
    total = np.exp(model.log_prob(np.arange(model.n_words), 3)).sum()
    assert total == pytest.approx(1, rel=1e-6)
    if kind is Word2VecKeywords:  # gensim scores a sentence of two words, each by the other, from a coarse table
        first, second = made.wv.index_to_key[:2]
        expected = made.score([[first, second]])[0]
        assert model.log_prob([0, 1], [1, 0]).sum() == pytest.approx(float(expected), rel=0.03)
    shared = kind.from_gensim(made).score(sentences[0])[1]
    kept = kind.from_gensim(made, copy=True)
    made.wv.vectors *= 2
    assert not np.array_equal(model.score(sentences[0])[1], shared)
    np.testing.assert_array_equal(kept.score(sentences[0])[1], shared)


def fake_gensim(**changes: Any) -> Any:
    return SimpleNamespace(**(dict(wv=SimpleNamespace(), sg=1, hs=0, negative=0) | changes))


@pytest.mark.parametrize(
    ("model", "output", "error", "message"),
    [
        (fake_gensim(sg=0, hs=1), "auto", ValueError, r"got CBOW \[train with Word2Vec\(sg=1, hs=1, negative=0\)\]"),
        (fake_gensim(negative=5, syn1neg=1), "hs", ValueError, r"got hs=0, negative=5 \[.*hs=1, negative=0"),
        (fake_gensim(), "auto", ValueError, "expected one trained with output 'ns'"),
        (SimpleNamespace(vectors=np.ones((2, 2))), "auto", TypeError, "KeyedVectors have no output layer"),
        (fake_gensim(), "best", ValueError, "output: expected one of 'auto', 'hs', 'ns', got 'best'"),
    ],
)
def test_refused_gensim_models(model: Any, output: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Word2VecKeywords.from_gensim(model, output=output)


# --- Files ---


@pytest.mark.parametrize(
    "model", [of_tree(Tree.random(70, 9)), random_softmax(70, 9), small(vocabulary=["a", "é", "漢", ""])]
)
def test_stored_models_give_the_same_bits(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.lw"
    model.save(path)
    assert lw.persistence.check(path).ok
    expected = model.score(np.arange(model.n_words))[1]
    for loaded in (
        lw.load(path),
        type(model).load(path),
        type(model).load(path, mmap=False),
        pickle.loads(pickle.dumps(model)),
    ):
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(loaded.score(np.arange(model.n_words))[1], expected)
        assert loaded.vocabulary == model.vocabulary
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)


def test_the_kinds_are_told_apart(tmp_path: Path) -> None:
    small_softmax().save(tmp_path / "model.lw")
    with pytest.raises(TypeError, match=r"expected a file of kind 'keywords.tree', got 'keywords.softmax'"):
        Word2VecKeywords.load(tmp_path / "model.lw")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path_node", np.array([2, 2, 1, 2, 1, 7, 2, 1, 0], np.uint32)),
        ("path_code", np.array([1, 0, 1, 0, 0, 2, 0, 0, 0], np.uint8)),
        ("path_ptr", np.array([0, 1, 3, 6, 900], np.int64)),
        ("path_ptr", np.array([0, 1, 3, 6, 9], np.int32)),
        ("theta", np.ones((4, 2))),
        ("theta", np.ones((3, 2), np.float32)),
        ("vectors", np.ones((4, 0))),
        ("vocabulary", np.array([97, 98, 97, 100], np.uint8)),
        ("vocabulary", np.array([97, 98, 0xFF, 100], np.uint8)),
        ("vocabulary_ptr", np.array([0, 1, 2, 3, 5], np.int64)),
        ("counts", np.array([1, 2, 3, -1], np.int64)),
    ],
)
def test_damaged_files_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    arrays = small()._arrays()
    (tmp_path / "model.lw").write_bytes(to_bytes("keywords.tree", "1", {}, arrays | {name: value}))
    report = lw.persistence.check(tmp_path / "model.lw")
    assert not report.ok
    with pytest.raises(CorruptFileError):
        Word2VecKeywords.load(tmp_path / "model.lw").vocabulary  # noqa: B018


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    arrays = small()._arrays()
    del arrays["path_code"]
    (tmp_path / "model.lw").write_bytes(to_bytes("keywords.tree", "1", {}, arrays))
    with pytest.raises(CorruptFileError, match="path_code"):
        Word2VecKeywords.load(tmp_path / "model.lw")
