"""Word Mover's Distance: of two documents, and the nearest of a corpus, against gensim, POT, and pruning in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import corpora
from benchmarks.measure import Contestant, Scale
from benchmarks.memory import measure
from benchmarks.references.transport_documents_numpy import PrunedSearch, bag
from benchmarks.results import OURS, Record, Row
from likewise.transport import WMDIndex, WordVectors, word_movers_distance

from .document_contestants import cranfield, keyed_vectors, pot, synthetic

pytestmark = pytest.mark.usefixtures("one_blas_thread")

K = 10


@pytest.mark.parametrize(("n_words", "gensim_bar", "pot_bar"), [(10, 10.0, 3.0), (30, 10.0, 3.0), (100, 10.0, 1.2)])
def test_pair(
    n_words: int,
    gensim_bar: float,
    pot_bar: float,
    scale: Scale,
    contest: Callable[..., Record],
    record: Callable[[Record], Record],
) -> None:
    """Two documents of so many different words, from tokens to the number; vectors of 300 values."""
    generator = np.random.default_rng(n_words)
    words = [f"w{i}" for i in range(5000)]
    table = generator.normal(size=(len(words), 300)).astype(np.float32)
    vectors = WordVectors(table, words)
    pairs = [
        tuple([words[i] for i in generator.choice(len(words), n_words, replace=False)] for _ in range(2))
        for _ in range(5)
    ]
    calls: dict[str, Callable[[Any], float]] = {OURS: lambda pair: word_movers_distance(*pair, vectors)}
    keyed, ot = keyed_vectors(words, table), pot()
    if keyed is not None and ot is not None:  # gensim's wmdistance calls POT
        calls["gensim"] = lambda pair: keyed.wmdistance(*pair)
    if ot is not None:
        rows = {word: i for i, word in enumerate(words)}
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)

        def emd2(pair: Any) -> float:
            (a, share_a), (b, share_b) = bag(pair[0]), bag(pair[1])
            x, y = unit[[rows[word] for word in a]], unit[[rows[word] for word in b]]
            cost = np.sqrt(np.maximum(2 - 2 * (x @ y.T), 0)).astype(np.float64)
            return float(ot.emd2(share_a, share_b, cost))

        calls["POT emd2"] = emd2
    for pair in pairs:
        ours = calls[OURS](pair)
        for name, call in calls.items():
            np.testing.assert_allclose(call(pair), ours, rtol=2e-5, err_msg=name)
    found = contest(
        "word mover's distance, pair",
        f"{n_words} words",
        [Contestant(name, call, pairs) for name, call in calls.items()],
        unit="us a pair",
        axes={"words": n_words},
    )
    found.compare(f">= {gensim_bar:g}x gensim", gensim_bar, "gensim")
    found.compare(f">= {pot_bar:g}x POT's emd2", pot_bar, "POT emd2")
    record(found)


def cranfield_or_skip() -> tuple[list[str], Any, list[list[int]], list[list[int]]]:
    try:
        return cranfield()
    except (corpora.MissingCorpusError, ImportError) as error:
        pytest.skip(str(error))


def test_search(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """The 10 nearest abstracts of a question."""
    words, unit, documents, questions = cranfield_or_skip()
    index = WMDIndex(unit, [(document, np.ones(len(document))) for document in documents])
    asked = [np.array(question) for question in questions[: 3 if scale.quick else 5]]
    calls: dict[str, Callable[[Any], Any]] = {
        OURS: lambda q: index.search((q, np.ones(len(q))), K, n_threads=1),
    }
    ot = pot()
    if ot is not None:
        pruned = PrunedSearch(unit, documents)
        calls["numpy, pruned"] = lambda q: pruned.search(q.tolist(), K)
        bags = list(zip(pruned.words, pruned.weights, strict=True))

        def emd2_loop(q: Any) -> Any:
            asked_words, share = bag(q.tolist())
            cost = pruned.costs(asked_words)
            all_of_them = np.array(
                [ot.emd2(share, weights, np.ascontiguousarray(cost[:, rows])) for rows, weights in bags]
            )
            order = np.argsort(all_of_them, kind="stable")[:K]
            return all_of_them[order], order

        calls["POT emd2, all"] = emd2_loop
        keyed = keyed_vectors(words, unit)
        if keyed is not None:
            tokens = [[words[row] for row in document] for document in documents]

            def gensim_loop(q: Any) -> Any:
                asked_tokens = [words[row] for row in q.tolist()]
                all_of_them = np.array([keyed.wmdistance(document, asked_tokens) for document in tokens])
                order = np.argsort(all_of_them, kind="stable")[:K]
                return all_of_them[order], order

            calls["gensim, all"] = gensim_loop
    stats = [index.search((q, np.ones(len(q))), K, return_stats=True)[2] for q in map(np.array, questions[:50])]
    notes = {OURS: f"{np.mean([s.n_solved for s in stats]):.0f} distances of {len(documents)} a query"}
    for q in asked:
        found_distances, ids = calls[OURS](q)
        for name, call in calls.items():
            if name != "gensim, all":  # each of its distances is compared in the tests; once through is a minute
                theirs, their_ids = call(q)
                np.testing.assert_allclose(theirs, found_distances, rtol=2e-5, err_msg=name)
                assert list(their_ids) == list(ids), name
    found = contest(
        "word mover's distance, search",
        f"Cranfield, {len(documents)} documents, k = {K}",
        [Contestant(name, call, asked if name != "gensim, all" else asked[:1]) for name, call in calls.items()],
        unit="ms a query",
        factor=1e3,
        notes=notes,
    )
    found.compare(">= 150x gensim's loop", 150.0, "gensim, all")
    found.compare(">= 30x POT's loop", 30.0, "POT emd2, all")
    found.compare(">= 4x pruning in numpy", 4.0, "numpy, pruned")
    record(found)


def test_document_as_query(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """The 10 abstracts nearest to an abstract."""
    _, unit, documents, _ = cranfield_or_skip()
    index = WMDIndex(unit, [(document, np.ones(len(document))) for document in documents])
    asked = [np.array(document) for document in documents[: 60 if scale.quick else 300 : 30]]
    calls: dict[str, Callable[[Any], Any]] = {OURS: lambda q: index.search((q, np.ones(len(q))), K, n_threads=1)}
    if pot() is not None:
        pruned = PrunedSearch(unit, documents)
        calls["numpy, pruned"] = lambda q: pruned.search(q.tolist(), K)
    stats = [index.search((q, np.ones(len(q))), K, return_stats=True)[2] for q in asked]
    found = contest(
        "word mover's distance, documents like this",
        f"Cranfield, {len(documents)} documents, k = {K}",
        [Contestant(name, call, asked) for name, call in calls.items()],
        unit="ms a query",
        factor=1e3,
        notes={OURS: f"{np.mean([s.n_solved for s in stats]):.0f} distances of {len(documents)} a query"},
    )
    found.compare("against pruning in numpy", 1.0, "numpy, pruned")
    record(found)


@pytest.mark.parametrize("n_docs", [100, 1000, 10_000, 100_000])
def test_growth(n_docs: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Time against the number of documents, over three decades; of the distances fewer and fewer are computed."""
    if scale.quick and n_docs > 10_000:
        pytest.skip("a whole run measures it")
    vectors, docs, questions = synthetic(n_docs)
    index = WMDIndex(vectors, docs)
    stats = [index.search(q, K, return_stats=True)[2] for q in questions]
    found = contest(
        "word mover's distance, growth",
        f"{n_docs} documents",
        [Contestant(OURS, lambda q: index.search(q, K, n_threads=1), questions)],
        unit="ms a query",
        factor=1e3,
        notes={OURS: f"{np.mean([s.n_solved for s in stats]):.0f} distances a query"},
        axes={"size": n_docs},
        budget=scale.budget / 3,
    )
    record(found)


def test_memory(scale: Scale, record: Callable[[Record], Record]) -> None:
    """What an index takes beside its arrays, and what a search adds."""
    found = measure("wmd", OURS, "10000")
    rows = [
        Row(OURS, found["grown"] / 1e6, note=f"its arrays: {found['nbytes'] / 1e6:.1f} MB"),
        Row("a search", found["search"] / 1e6),
    ]
    result = Record("word mover's distance, memory", "10000 documents", "MB", rows)
    result.limit("<= 1.1x its arrays", found["grown"] / found["nbytes"], 1.1)
    record(result)
