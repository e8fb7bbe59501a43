"""Search by Word Mover's Distance: the same as computing every distance, what is stored, and what must be refused."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import likewise
from likewise import persistence
from likewise.errors import CorruptFileError, InternalError
from likewise.transport import WMDIndex, WMDStats, WordVectors, wmd_search, word_movers_distance
from tests.conftest import Cranfield, Fresh

WORDS = [f"w{i}" for i in range(400)]


def vectors_of(dtype: Any = np.float32, n_features: int = 20, seed: int = 0) -> NDArray[Any]:
    """Words in clusters, as word vectors are."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(25, n_features))
    rows = centres[generator.integers(25, size=len(WORDS))] + 0.5 * generator.normal(size=(len(WORDS), n_features))
    return rows.astype(dtype)


def corpus(n: int, seed: int = 1, mean: int = 30) -> list[list[str]]:
    generator = np.random.default_rng(seed)
    weights = 1 / (np.arange(len(WORDS)) + 5)
    lengths = generator.geometric(1 / mean, n)
    return [[WORDS[i] for i in generator.choice(len(WORDS), k, p=weights / weights.sum())] for k in lengths]


VECTORS = WordVectors(vectors_of(), WORDS)
DOCS = corpus(300)
INDEX = WMDIndex(VECTORS, DOCS)


def all_distances(query: Any, docs: list[Any], vectors: Any = VECTORS, **options: Any) -> NDArray[np.float64]:
    return np.array([word_movers_distance(doc, query, vectors, on_empty="inf", **options) for doc in docs])


def check(index: WMDIndex, docs: list[Any], query: Any, k: int, vectors: Any = VECTORS, **options: Any) -> WMDStats:
    """The k nearest are those of all distances; equal ones may have changed places only where rounding decides."""
    truth = all_distances(query, docs, vectors, **options)
    distances, ids, stats = index.search(query, k, return_stats=True)
    assert distances.dtype == np.float64 and ids.dtype == np.int64
    n = min(k, int(np.isfinite(truth).sum()))
    assert len(distances) == len(ids) == n and len(set(ids.tolist())) == n
    scale = truth[np.isfinite(truth)].max(initial=0)
    np.testing.assert_allclose(distances, truth[ids], rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(distances, np.sort(truth)[:n], rtol=0, atol=1e-12 * scale)
    assert (np.diff(distances) >= 0).all()
    assert n <= stats.n_solved <= stats.n_refined <= stats.n_bounded == stats.n_docs - stats.n_empty
    return stats


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", [True, False])
def test_equal_to_all_distances(dtype: Any, normalize: bool) -> None:
    vectors = WordVectors(vectors_of(dtype), WORDS)
    index = WMDIndex(vectors, DOCS, normalize_vectors=normalize)
    queries = [*corpus(6, seed=9, mean=8), DOCS[3], ["w0"], [*WORDS[:40], "w1", "w1"], DOCS[7][:1]]
    for query in queries:
        for k in (1, 10):
            check(index, DOCS, query, k, vectors, normalize_vectors=normalize)
    assert index.search(DOCS[3], 1)[1][0] == 3 and index.search(DOCS[3], 1)[0][0] == 0


def test_pruning() -> None:
    solved = [check(INDEX, DOCS, query, 5).n_solved for query in corpus(10, seed=4, mean=8)]
    assert np.mean(solved) < 20  # of 300


def test_few_documents_and_many_wanted() -> None:
    for docs in ([], [[]], [["unknown"]], [["w1"]], [["w1"], [], ["w2", "w1"], ["w1"]]):
        index = WMDIndex(VECTORS, docs)
        for k in (1, 2, 100):
            check(index, docs, ["w1", "w5"], k)
    distances, ids = WMDIndex(VECTORS).search("w1")
    assert distances.shape == ids.shape == (0,) and ids.dtype == np.int64
    assert len(INDEX.search("w1 w2", 10**30)[1]) == 300


def test_ties_go_by_id() -> None:
    docs = [["w1", "w2"], ["w3"], ["w2", "w1"], ["w2", "w1", "w1", "w2"], ["w9"], ["w1", "w2"]]
    index = WMDIndex(VECTORS, docs)
    for k in range(1, 7):
        assert index.search(["w1", "w2"], k)[1].tolist()[:4] == [0, 2, 3, 5][:k]
    every = [["w5", "w6"]] * 50
    assert WMDIndex(VECTORS, every).search(["w7"], 20)[1].tolist() == list(range(20))


def test_adding() -> None:
    index = WMDIndex(VECTORS)
    ids = [index.add(DOCS[i : i + 37]) for i in range(0, 300, 37)]
    np.testing.assert_array_equal(np.concatenate(ids), np.arange(300))
    one = WMDIndex(VECTORS, iter(DOCS))
    assert index.n_docs == len(index) == one.n_docs == 300
    for query in corpus(4, seed=2, mean=6):
        for x, y, z in zip(index.search(query), one.search(query), INDEX.search(query), strict=True):
            assert x.tobytes() == y.tobytes() == z.tobytes()
    assert index.to_bytes() == one.to_bytes()
    before = index.to_bytes()
    for bad, error, text in [
        ([["w1"], 3], TypeError, r"docs\[1\]: expected a sequence of str, got int 3"),
        ("w1 w2", TypeError, r"docs: expected an iterable of documents, got str 'w1 w2' \[wrap it in a list\]"),
        (7, TypeError, "docs: expected an iterable of documents, got int 7"),
        ([["w1"], ["w2", None]], TypeError, r"docs\[1\]: expected a str, got None at index 1"),
        ([([0], [1]), ([400], [1])], ValueError, r"docs\[1\]: expected integers from 0 to 399, got 400"),
    ]:
        with pytest.raises(error, match="^" + text):
            index.add(bad)
        assert index.to_bytes() == before and len(index) == 300
    assert index.add([]).shape == (0,)


def test_forms_of_documents() -> None:
    texts = [" ".join(doc) + " unknown" for doc in DOCS]
    ids = [([WORDS.index(w) for w in doc], np.ones(len(doc))) for doc in DOCS]
    table = vectors_of()
    found = INDEX.search("w3 w17 w4")
    for index in (
        WMDIndex(VECTORS, texts),
        WMDIndex((table, WORDS), np.array(texts)),
        WMDIndex(dict(zip(WORDS, table, strict=True)), (text for text in texts)),
        WMDIndex(VECTORS, ids),
    ):
        for x, y in zip(index.search("w3 w17 w4"), found, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    bare = WMDIndex(table, ids)
    np.testing.assert_array_equal(bare.search(([3, 17, 4], [1, 1, 1]))[1], found[1])
    with pytest.raises(ValueError, match=r"^query: expected \(ids, counts\), as the vectors have no vocabulary"):
        bare.search("w3")
    assert WMDIndex(VECTORS, texts).n_unknown == 300
    distances, ids_ = wmd_search("w3 w17 w4", INDEX, k=3)
    np.testing.assert_array_equal(ids_, found[1][:3])
    np.testing.assert_array_equal(wmd_search("w3 w17 w4", texts, k=3, vectors=VECTORS)[0], distances)
    for arguments, text in [
        (("w1", INDEX, 3, VECTORS), "vectors: expected None, as the index has its own"),
        (("w1", texts, 3, None), "vectors: expected the vectors of the documents' words, got None"),
    ]:
        with pytest.raises(ValueError, match="^" + text):
            wmd_search(arguments[0], arguments[1], arguments[2], vectors=arguments[3])


def test_arrow_texts() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    texts = [" ".join(doc) for doc in DOCS]
    index = WMDIndex(VECTORS, pyarrow.chunked_array([texts[:100], texts[100:]]))
    np.testing.assert_array_equal(index.search("w3 w17 w4")[1], INDEX.search("w3 w17 w4")[1])


def test_stats_count_everything() -> None:
    index = WMDIndex(VECTORS, [["w1", "no"], [], ["no", "no"], ["w2"]])
    stats = index.search(["w1", "no", "w3"], 1, return_stats=True)[2]
    assert (stats.n_docs, stats.n_empty, stats.n_bounded) == (4, 2, 2)
    assert (stats.n_unknown_in_query, stats.n_unknown_in_docs) == (1, 3)
    assert (index.n_empty, index.n_unknown) == (2, 3)
    assert repr(index) == "WMDIndex(n_docs=4, n_words=400, n_features=20)" and index.normalize_vectors


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(query=""), ValueError, "query: expected at least one word with a vector, got an empty document"),
    (dict(query="no nothing"), ValueError, "query: expected at least one word with a vector, got 2 unknown ones"),
    (dict(query=3), TypeError, "query: expected a sequence of str"),
    (dict(query=([0], [np.inf])), ValueError, "query: expected finite values, got infinity"),
    (dict(query=([400], [1.0])), ValueError, "query: expected integers from 0 to 399, got 400"),
    (dict(k=0), ValueError, "k: expected an integer >= 1, got 0"),
    (dict(k=True), TypeError, "k: expected an integer >= 1"),
    (dict(k=2.0), TypeError, "k: expected an integer >= 1"),
    (dict(return_stats=1), TypeError, "return_stats: expected True or False"),
    (dict(n_threads=0), ValueError, "n_threads: expected an integer >= 1"),
]


@pytest.mark.parametrize(("change", "error", "text"), BAD)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match="^" + text) as caught:
        INDEX.search(**({"query": "w1"} | change))
    assert not isinstance(caught.value, InternalError) and "\n" not in str(caught.value)


def test_vectors_without_direction() -> None:
    rows = vectors_of()
    rows[[5, 7]] = 0
    vectors = WordVectors(rows, WORDS)
    index = WMDIndex(vectors, [["w1"], ["w2"]])  # nobody uses them
    for call in (lambda: index.add([["w1"], ["w3", "w7"]]), lambda: index.search(["w1", "w7"])):
        with pytest.raises(ValueError, match="^vectors: expected a vector other than zero .* for the word 'w7'"):
            call()
    docs = [["w1", "w5"], ["w5"], ["w2", "w9"]]
    check(WMDIndex(vectors, docs, normalize_vectors=False), docs, ["w7", "w1"], 3, vectors, normalize_vectors=False)


@pytest.mark.parametrize("power", [-120, 110])
def test_vectors_of_any_size(power: int) -> None:
    vectors = WordVectors(np.ldexp(vectors_of(), power), WORDS)
    index = WMDIndex(vectors, DOCS, normalize_vectors=False)
    plain = WMDIndex(VECTORS, DOCS, normalize_vectors=False)
    for query in corpus(3, seed=11, mean=7):
        distances, ids = index.search(query)
        expected, same = plain.search(query)
        np.testing.assert_array_equal(ids, same)
        np.testing.assert_array_equal(distances, np.ldexp(expected, power))
        np.testing.assert_array_equal(WMDIndex.from_bytes(index.to_bytes()).search(query)[0], distances)


def test_identical_vectors() -> None:
    vectors = WordVectors(np.ones((400, 3), np.float32), WORDS)
    distances, ids = WMDIndex(vectors, DOCS).search("w1 w2", 300)
    assert (distances == 0).all() and ids.tolist() == list(range(300))


def test_threads_change_nothing() -> None:
    for query in [*corpus(4, seed=21, mean=9), WORDS[:50]]:
        found = [INDEX.search(query, 12, return_stats=True, n_threads=n) for n in (1, 2, 3, 7, None)]
        for distances, ids, stats in found:
            assert distances.tobytes() == found[0][0].tobytes() and ids.tobytes() == found[0][1].tobytes()
            assert stats == found[0][2]


def test_searching_while_adding() -> None:
    index = WMDIndex(VECTORS, DOCS[:50])
    expected = index.search("w1 w2 w3", 5)
    problems: list[Any] = []

    def search() -> None:
        for _ in range(30):
            distances, ids = index.search("w1 w2 w3", 5)
            if len(ids) != 5 or (distances > expected[0] + 1e-12).any():
                problems.append((distances, ids))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(50, 300, 10):
        index.add(DOCS[i : i + 10])
    for thread in threads:
        thread.join()
    assert not problems
    assert index.search("w1 w2 w3", 5)[0].tobytes() == INDEX.search("w1 w2 w3", 5)[0].tobytes()


def test_docs_that_use_the_index_while_they_come() -> None:
    index = WMDIndex(VECTORS, DOCS[:5])

    def docs() -> Any:
        for _ in range(3):
            yield [f"w{index.search('w1', 1)[1][0]}"]

    assert index.add(docs()).tolist() == [5, 6, 7]


@given(
    st.lists(st.lists(st.sampled_from([*WORDS[:30], "no"]), max_size=12), max_size=25),
    st.lists(st.sampled_from(WORDS[:40]), min_size=1, max_size=20),
    st.integers(1, 30),
)
@settings(max_examples=150, deadline=None)
def test_any_documents(docs: list[list[str]], query: list[str], k: int) -> None:
    check(WMDIndex(VECTORS, docs), docs, query, k)


# --- Storage ---


@pytest.mark.parametrize("vectors", [VECTORS, vectors_of(np.float64)])
def test_saved_and_loaded(tmp_path: Path, vectors: Any) -> None:
    docs: list[Any] = [*DOCS[:40], []]
    if not isinstance(vectors, WordVectors):
        docs = [([WORDS.index(w) for w in doc], [1.0] * len(doc)) for doc in docs]
    made = WMDIndex(vectors, docs, normalize_vectors=isinstance(vectors, WordVectors))
    path = tmp_path / "index.safetensors"
    made.save(path)
    query = docs[3]
    for again in (
        WMDIndex.load(path),
        WMDIndex.load(path, mmap=False),
        WMDIndex.load(path, verify="header"),
        likewise.load(path),
        WMDIndex.from_bytes(made.to_bytes()),
        pickle.loads(pickle.dumps(made)),
    ):
        assert again.to_bytes() == made.to_bytes()
        for x, y in zip(again.search(query, 7), made.search(query, 7), strict=True):
            assert x.tobytes() == y.tobytes()
        assert (again.n_docs, again.n_empty, again.n_unknown) == (made.n_docs, made.n_empty, made.n_unknown)
        again.add(docs[:3])
        assert again.search(query, 2)[1].tolist() == [3, again.search(query, 2)[1][1]] and len(again) == 44
    assert persistence.check(path).ok
    assert persistence.inspect(path)["kind"] == "transport.wmd_index"
    assert made.nbytes <= path.stat().st_size <= made.nbytes + 8192
    with pytest.raises(FileExistsError):
        made.save(path, overwrite=False)
    with pytest.raises(TypeError, match="expected a file of kind 'transport.wmd_index', got 'projection'"):
        from likewise.projection import RandomProjection

        WMDIndex.from_bytes(RandomProjection(2).fit(np.ones((3, 4))).to_bytes())


def hostile() -> Any:
    made = WMDIndex(VECTORS, DOCS[:20])
    params, arrays = made._to_container()

    def array(name: str, position: int, value: Any) -> Any:
        changed = arrays[name].copy()
        changed[position] = value
        return params, {**arrays, name: changed}

    n = len(arrays["terms"])
    row = arrays["vectors"].copy()
    yield "indptr", array("indptr", 0, 1)
    yield "indptr", array("indptr", 3, 2**40)
    yield "indptr", array("indptr", 3, -1)
    yield "indptr", array("indptr", -1, arrays["indptr"][-1] + 1)
    yield "indptr", (params, {**arrays, "indptr": arrays["indptr"][:0]})
    yield "indptr", (params, {**arrays, "indptr": arrays["indptr"].astype(np.int32)})
    yield "indptr", (params, {k: v for k, v in arrays.items() if k != "indptr"})
    for bad in (-1, n, 2**31 - 1):
        yield "words", array("words", 2, bad)
    yield "words", array("words", 1, arrays["words"][0])
    for bad in (0.0, -1.0, np.nan, np.inf, 0.5):
        yield "weights", array("weights", 0, bad)
    yield "weights", (params, {**arrays, "weights": arrays["weights"][:-1].copy()})
    for bad in (-1, 400, arrays["terms"][1]):
        yield "terms", array("terms", 0, bad)
    for bad in (np.nan, np.inf, 3.0):
        yield "vectors", array("vectors", 7, bad)
    yield "vectors", (params, {**arrays, "vectors": row.reshape(-1)})
    yield "vectors", (params, {**arrays, "vectors": row[:, :0].copy()})
    yield "vocabulary_offsets", (params, {**arrays, "vectors": row[:399].copy()})
    yield "vocabulary_offsets", array("vocabulary_offsets", 1, 2**50)
    yield "vocabulary_bytes", array("vocabulary_bytes", 0, 255)
    yield "vocabulary_slots", array("vocabulary_slots", 0, 401)
    yield "vocabulary", (params, {k: v for k, v in arrays.items() if k != "vocabulary_slots"})
    for name, value in (("exponent", 2000), ("exponent", True), ("n_unknown", -1), ("normalize_vectors", 1)):
        yield "params", ({**params, name: value}, arrays)


@pytest.mark.parametrize(("array", "content"), list(hostile()))
def test_damage_is_found(array: str, content: Any) -> None:
    """Digests are right, the content is not."""
    data = persistence.to_bytes("transport.wmd_index", "1", *content)
    with pytest.raises(CorruptFileError) as caught:
        WMDIndex.from_bytes(data)
    assert (caught.value.array or "").startswith(array.split("_")[0])


def test_damage_is_reported(tmp_path: Path) -> None:
    _, content = next(hostile())
    persistence.write_container(tmp_path / "x", "transport.wmd_index", "1", *content)
    report = persistence.check(tmp_path / "x")
    assert not report.ok and report.problems[0][1] == "indptr"


# --- Real texts ---


PROGRAM = """
import sys
import numpy as np
from likewise.transport import WMDIndex
index = WMDIndex.load(sys.argv[1])
distances, ids = index.search("w1 w5 w9", 10)
print(*ids, *map(repr, distances.tolist()))
"""


def test_every_level_agrees(fresh: Fresh, levels: list[str], tmp_path: Path) -> None:
    INDEX.save(tmp_path / "index")
    found = [np.array(fresh(PROGRAM, str(tmp_path / "index"), level=level).split(), float) for level in levels]
    for values in found:
        np.testing.assert_allclose(values, found[0], rtol=1e-6)


def test_cranfield(cranfield: Cranfield) -> None:
    """Exact on real texts, with few of the distances computed; vectors by hashing, as quality does not matter."""
    from likewise.search import Analyzer

    batch = Analyzer(stem=False).batch(cranfield.texts)
    vectors = WordVectors(np.random.default_rng(0).normal(size=(len(batch.vocabulary), 100)), batch.vocabulary)
    docs = [batch[i] for i in range(200)]
    index = WMDIndex(vectors, docs)
    solved = 0
    for query in list(cranfield.queries.values())[:5]:
        solved += check(index, docs, query, 10, vectors).n_solved
    assert solved < 5 * 150
