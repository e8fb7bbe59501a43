"""Distances of two documents: the numbers of the specification, a linear program, gensim, and what must be refused."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.references.transport_documents_numpy import bag, centroid_distance, distances, linear_program, one_sided
from likewise.errors import InternalError
from likewise.transport import WordVectors, relaxed_wmd, word_centroid_distance, word_movers_distance
from tests.conftest import Fresh

TOY = {"a": [0.0, 0.0], "b": [3.0, 4.0], "c": [0.0, 1.0], "d": [6.0, 8.0]}
WORDS = [f"w{i}" for i in range(60)]
ALL: list[Callable[..., float]] = [word_movers_distance, relaxed_wmd, word_centroid_distance]


def vectors_of(dtype: Any = np.float64, n_features: int = 12, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(len(WORDS), n_features)).astype(dtype)


def some_document(generator: np.random.Generator, n: int) -> list[str]:
    weights = 1 / (np.arange(len(WORDS)) + 2)
    return [WORDS[i] for i in generator.choice(len(WORDS), n, p=weights / weights.sum())]


def expected(a: list[str], b: list[str], table: NDArray[Any], normalize: bool) -> tuple[float, float, float]:
    """WMD, RWMD and WCD by the plain reference."""
    (words_a, share_a), (words_b, share_b) = bag(a), bag(b)
    rows = table.astype(np.float64)
    if normalize:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    x, y = (rows[[WORDS.index(word) for word in words]] for words in (words_a, words_b))
    cost = distances(x, y, False)
    return (
        linear_program(share_a, share_b, cost),
        max(one_sided(share_a, share_b, cost)),
        centroid_distance(share_a, share_b, x, y),
    )


def test_the_numbers_of_the_specification() -> None:
    for vectors in (TOY, WordVectors(list(TOY.values()), list(TOY)), (np.array(list(TOY.values())), list(TOY))):
        values = [f(["a", "a", "b"], "c d", vectors, normalize_vectors=False) for f in ALL]
        np.testing.assert_allclose(values, [23 / 6, 3.0, 3.7453675091], rtol=0, atol=1e-10)
        assert all(type(value) is float for value in values)
    rows = np.array(list(TOY.values()))
    assert word_movers_distance(([0, 1], [2, 1]), ([2, 3], [0.5, 0.5]), rows, normalize_vectors=False) == 23 / 6
    # The two one-sided costs of the specification: 2.08 and 3.
    back = relaxed_wmd("a", "c d", TOY, normalize_vectors=False)
    assert back == pytest.approx((1 + 10) / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", [True, False])
def test_against_the_linear_program(dtype: Any, normalize: bool) -> None:
    generator = np.random.default_rng(5)
    table = vectors_of(dtype)
    vectors = WordVectors(table, WORDS)
    tolerance = 1e-6 if dtype == np.float32 else 1e-11
    for n, m in [(1, 1), (1, 9), (9, 1), (2, 3), (10, 10), (17, 40), (60, 30), (100, 150)]:
        a, b = some_document(generator, n), some_document(generator, m)
        for call, value in zip(ALL, expected(a, b, table, normalize), strict=True):
            found = call(a, b, vectors, normalize_vectors=normalize)
            assert found == pytest.approx(value, rel=tolerance, abs=tolerance), (call.__name__, n, m)


def test_words_in_both_documents_stay_and_cost_nothing() -> None:
    generator = np.random.default_rng(1)
    vectors = WordVectors(vectors_of(np.float32), WORDS)
    for n in (1, 5, 40):
        a = some_document(generator, n)
        assert word_movers_distance(a, a[::-1], vectors) == 0
        assert word_movers_distance(a, a * 3, vectors) == pytest.approx(0, abs=1e-12)
        assert relaxed_wmd(a, a, vectors) == 0
        assert word_centroid_distance(a, a, vectors) == pytest.approx(0, abs=1e-12)
        b = [*a, "w3", "w4"]
        (x, y), table = (bag(a), bag(b)), vectors.vectors.astype(float)
        cost = distances(table[[WORDS.index(w) for w in x[0]]], table[[WORDS.index(w) for w in y[0]]], True)
        assert word_movers_distance(a, b, vectors) == pytest.approx(linear_program(x[1], y[1], cost), abs=2e-7)


documents = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30)


@given(documents, documents, documents, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_metric_above_its_bounds(a: list[str], b: list[str], c: list[str], normalize: bool) -> None:
    vectors = _VECTORS
    options = {"normalize_vectors": normalize}
    ab, ba = word_movers_distance(a, b, vectors, **options), word_movers_distance(b, a, vectors, **options)
    bc, ac = word_movers_distance(b, c, vectors, **options), word_movers_distance(a, c, vectors, **options)
    assert ab == pytest.approx(ba, abs=1e-12)
    assert ac <= ab + bc + 1e-11
    assert relaxed_wmd(a, b, vectors, **options) <= ab + 1e-12
    assert word_centroid_distance(a, b, vectors, **options) <= ab + 1e-12
    assert ab == pytest.approx(word_movers_distance(a * 2, [*b, *b], vectors, **options), abs=1e-12)
    if not normalize:
        scaled = WordVectors(_VECTORS.vectors * 8, WORDS)
        assert word_movers_distance(a, b, scaled, **options) == 8 * ab


_VECTORS = WordVectors(vectors_of(), WORDS)


@pytest.mark.parametrize(("dtype", "power"), [("f4", -120), ("f4", 100), ("f8", -900), ("f8", 900)])
def test_vectors_of_any_size(dtype: Any, power: int) -> None:
    """Squares of such vectors neither vanish nor overflow."""
    plain = vectors_of(dtype)
    far = np.ldexp(plain, power).astype(dtype)
    a, b = WORDS[:5], WORDS[4:12]
    for call in ALL:
        assert call(a, b, WordVectors(far, WORDS)) == pytest.approx(call(a, b, WordVectors(plain, WORDS)), rel=1e-6)
        value = call(a, b, WordVectors(far, WORDS), normalize_vectors=False)
        ratio = value / call(a, b, WordVectors(plain, WORDS), normalize_vectors=False)
        assert math.log2(ratio) == pytest.approx(power, abs=1e-6)


def test_forms_of_documents_and_vectors() -> None:
    table = vectors_of(np.float32)
    vectors = WordVectors(table, WORDS)
    tokens_a, tokens_b = ["w1", "w2", "w2", "unknown"], ["w7", "w9"]
    value = word_movers_distance(tokens_a, tokens_b, vectors)
    ids = (np.array([1, 2, 1], np.int32), np.array([0.5, 2, 0.5])), ([7, 9, 3], [1, 1, 0])
    for a, b, v in [
        ("W1 w2, w2 unknown!", "w7 w9", vectors),
        (tuple(tokens_a), tokens_b, vectors),
        (np.array(tokens_a), tokens_b, vectors),
        (*ids, vectors),
        (*ids, table),
        (*ids, WordVectors(table)),
        (*ids, np.asfortranarray(table)),
        (tokens_a, tokens_b, (table, WORDS)),
        (tokens_a, tokens_b, dict(zip(WORDS, table, strict=True))),
        ("w1 w2 w2", "w7 w9", {w: row for w, row in zip(WORDS, table, strict=True)}),
    ]:
        assert word_movers_distance(a, b, v) == pytest.approx(value, rel=1e-6)
    assert "w3" in vectors and "nothing" not in vectors and 3 not in vectors and len(vectors) == 60
    np.testing.assert_array_equal(vectors["w3"], table[3])
    assert not vectors.vectors.flags.writeable and np.shares_memory(vectors.vectors, table)
    assert repr(vectors) == "WordVectors(60 words, n_features=12, dtype=float32)"
    with pytest.raises(KeyError, match="word: expected a word with a vector, got str 'nothing'"):
        vectors["nothing"]
    # A plain array and a dict are looked at only where they are needed.
    table[50] = np.nan
    assert word_movers_distance(*ids, table) == pytest.approx(value, rel=1e-6)
    mapping = dict(zip(WORDS, table, strict=True))
    assert word_movers_distance(tokens_a, tokens_b, mapping) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("call", ALL)
def test_empty_documents(call: Callable[..., float]) -> None:
    for a, b, name, found in [
        ([], "a", "doc_a", "an empty document"),
        ("a", "", "doc_b", "an empty document"),
        ("x y", "a", "doc_a", "2 unknown ones"),
        (([], []), ([0], [1]), "doc_a", "an empty document"),
        (([1], [1]), ([0], [0]), "doc_b", "an empty document"),
    ]:
        table: Any = TOY if not isinstance(a, tuple) else WordVectors(list(TOY.values()))
        with pytest.raises(ValueError, match=f"^{name}: expected at least one word with a vector, got {found}"):
            call(a, b, table, normalize_vectors=False)
        assert call(a, b, table, normalize_vectors=False, on_empty="inf") == math.inf


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(doc_a=3), TypeError, "doc_a: expected a sequence of str, got int 3"),
    (dict(doc_b=["a", 3]), TypeError, "doc_b: expected a str, got int 3 at index 1"),
    (dict(doc_b=None), TypeError, "doc_b: expected a sequence of str"),
    (dict(doc_a="a\ud800"), ValueError, "doc_a: expected valid Unicode"),
    (dict(doc_a=([0], [1])), ValueError, "doc_a: expected a str or tokens, as the vectors are a dict"),
    (dict(doc_a=([4], [1]), vectors=np.ones((4, 2))), ValueError, "doc_a: expected integers from 0 to 3, got 4 at pos"),
    (dict(doc_a=([-1], [1]), vectors=np.ones((4, 2))), ValueError, "doc_a: expected integers from 0 to 3, got -1"),
    (dict(doc_a=([0.0], [1]), vectors=np.ones((4, 2))), TypeError, "doc_a: expected integers, got float"),
    (dict(doc_a=([0], [-1]), vectors=np.ones((4, 2))), ValueError, "doc_a: expected counts >= 0, got -1.0 at pos"),
    (dict(doc_a=([0], [np.nan]), vectors=np.ones((4, 2))), ValueError, "doc_a: expected finite values, got NaN at"),
    (dict(doc_a=([0], [1, 2]), vectors=np.ones((4, 2))), ValueError, "doc_a: expected one count an id"),
    (dict(vectors=np.ones((4, 2))), ValueError, "doc_a: expected .ids, counts., as the vectors have no vocabulary"),
    (dict(vectors={"a": [1.0, 2.0], "c": [1.0]}), ValueError, "vectors: expected vectors of one length, got shape"),
    (dict(vectors={"a": [1.0, 2.0], "c": [np.nan, 1.0]}), ValueError, "vectors: expected .* got nan for the word 'c'"),
    (dict(vectors={"a": [1.0, 2.0], "c": [0.0, 0.0]}), ValueError, "vectors: .* got zero for the word 'c'"),
    (dict(vectors={"a": ["x"], "c": ["y"]}), TypeError, "vectors: expected an array of numbers"),
    (dict(vectors=(np.ones((2, 2)), ["a"])), ValueError, "vocabulary: expected one word a row of vectors"),
    (dict(vectors=(np.ones((2, 2)), ["a", "a"])), ValueError, "vocabulary: .* got str 'a' at positions 0 and 1"),
    (dict(vectors=(np.ones((2, 2)), ["a", 1])), TypeError, "vocabulary: expected a str, got int 1 at index 1"),
    (dict(vectors=None), TypeError, "vectors: expected an array of numbers, got None"),
    (dict(vectors="abc"), TypeError, "vectors: expected an array of numbers"),
    (dict(normalize_vectors=1), TypeError, "normalize_vectors: expected True or False"),
    (dict(on_empty="nan"), ValueError, "on_empty: expected one of 'raise', 'inf'"),
    (dict(on_empty=None), TypeError, "on_empty: expected one of 'raise', 'inf'"),
]


@pytest.mark.parametrize(("change", "error", "text"), BAD)
@pytest.mark.parametrize("call", ALL)
def test_what_is_refused(call: Callable[..., float], change: dict[str, Any], error: type[Exception], text: str) -> None:
    arguments = {"doc_a": "a", "doc_b": "c", "vectors": {"a": [1.0, 2.0], "c": [0.5, 1.0]}} | change
    if isinstance(arguments["doc_a"], tuple):
        arguments["doc_b"] = arguments["doc_a"] if "vectors" not in change else ([0], [1])
    with pytest.raises(error, match="^" + text) as caught:
        call(**arguments)
    assert not isinstance(caught.value, InternalError) and "\n" not in str(caught.value)


def test_models_of_others_are_pointed_to_the_adapter() -> None:
    class Keyed:
        key_to_index = None

    for call in ALL:
        with pytest.raises(TypeError, match=r"^vectors: expected .*likewise\.integrations\.gensim\.word_vectors"):
            call("a", "b", Keyed())


def test_word_vectors_refuses() -> None:
    with pytest.raises(ValueError, match="^vectors: expected finite values, got NaN at row 1, column 0"):
        WordVectors([[1.0, 2.0], [np.nan, 1.0]], ["a", "b"])
    with pytest.raises(ValueError, match="^vectors: expected a 2-D array"):
        WordVectors([1.0, 2.0], ["a", "b"])
    with pytest.raises(TypeError, match="^vocabulary: expected a sequence of str, got str"):
        WordVectors([[1.0]], "a")


PROGRAM = """
import sys
import numpy as np
from likewise.transport import WordVectors, relaxed_wmd, word_centroid_distance, word_movers_distance
rows = np.random.default_rng(0).normal(size=(60, 37))
for dtype in (np.float32, np.float64):
    v = WordVectors(rows.astype(dtype), [f"w{i}" for i in range(60)])
    for n, m in ((3, 5), (16, 17), (40, 33)):
        a, b = [f"w{i}" for i in range(n)], [f"w{59 - i}" for i in range(m)]
        print(*(repr(f(a, b, v)) for f in (word_movers_distance, relaxed_wmd, word_centroid_distance)))
assert "scipy" not in sys.modules and "gensim" not in sys.modules and "torch" not in sys.modules
"""


def test_every_level_agrees(fresh: Fresh, levels: list[str]) -> None:
    found = [np.array(fresh(PROGRAM, level=level).split(), float) for level in levels]
    for values in found:
        np.testing.assert_allclose(values, found[0], rtol=1e-6)


def test_gensim() -> None:
    models = pytest.importorskip("gensim.models")
    pytest.importorskip("ot")  # gensim's wmdistance needs it
    from likewise.integrations.gensim import word_vectors

    table = vectors_of(np.float32, 50)
    keyed = models.KeyedVectors(vector_size=50)
    keyed.add_vectors(WORDS, table)
    ours = word_vectors(keyed)
    assert np.shares_memory(ours.vectors, keyed.vectors)
    generator = np.random.default_rng(2)
    for n, m in [(1, 3), (5, 8), (30, 30), (100, 90)]:
        a, b = [*some_document(generator, n), "unknown"], some_document(generator, m)
        for norm in (True, False):
            assert word_movers_distance(a, b, ours, normalize_vectors=norm) == pytest.approx(
                keyed.wmdistance(a, b, norm=norm), rel=2e-5, abs=1e-6
            )
    assert keyed.wmdistance(["unknown"], ["w1"]) == math.inf
    assert word_movers_distance(["unknown"], ["w1"], ours, on_empty="inf") == math.inf
    with pytest.raises(TypeError, match=r"^keyed_vectors: expected gensim KeyedVectors, got dict"):
        word_vectors({})
    model = models.Word2Vec([["a", "b"], ["b", "c"]], vector_size=4, min_count=1, workers=1)
    with pytest.raises(TypeError, match=r"pass model\.wv"):
        word_vectors(model)
    assert len(word_vectors(model.wv)) == 3


def test_without_gensim(fresh: Fresh) -> None:
    fresh(
        "import sys; sys.modules['gensim'] = None; sys.modules['gensim.models'] = None\n"
        "from likewise.integrations.gensim import word_vectors\n"
        "try: word_vectors(1)\n"
        "except ImportError as e: assert \"pip install 'likewise[gensim]'\" in str(e)\n"
        "else: raise SystemExit(1)"
    )


def test_a_forked_child_computes_too() -> None:
    value = word_movers_distance(WORDS[:9], WORDS[5:30], _VECTORS)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(word_movers_distance(WORDS[:9], WORDS[5:30], _VECTORS)).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert float(os.read(read, 100)) == value
    os.close(read)
    os.close(write)
