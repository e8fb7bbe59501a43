"""Time of a text's scores: ours beside the published loop and the best that numpy does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from benchmarks.keywords import corpora
from benchmarks.measure import Contestant, Scale
from benchmarks.references.keywords_numpy import Tree, scores, scores_by_pairs, softmax_log_sums
from benchmarks.results import OURS, Record
from likewise.keywords import Word2VecKeywords
from likewise.keywords.texts import Bag

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Contest = Callable[..., Record]
Keep = Callable[[Record], Record]
SNIPPET = "published loop"


@pytest.fixture(scope="module")
def made(scale: Scale) -> dict[str, Any]:
    """Skip-gram models of package descriptions, with a tree and with negative sampling."""
    sentences = list(islice(corpora.package_descriptions(), 3_000 if scale.quick else None))
    common = dict(window=5, min_count=2, sample=1e-4, epochs=1, seed=1)
    return {
        "tree": corpora.train(sentences, hs=1, negative=0, **common),
        "softmax": corpora.train(sentences, hs=0, negative=5, **common),
    }


def tree_of(model: Word2VecKeywords) -> Tree:
    arrays = model._arrays()
    return Tree(*(arrays[name] for name in ("vectors", "theta", "path_ptr", "path_node", "path_code", "counts")))


def papers(model: Any) -> list[list[str]]:
    """Articles, neighbours joined, of 800 to 1450 distinct known words."""
    found, joined = [], list[str]()
    for article in corpora.articles():
        joined = joined + article
        n = len(set(joined).intersection(model.vocabulary))
        if n > 1450:
            joined = article
        elif n >= 800:
            found.append(joined)
            joined = []
    return found


def bags(model: Any, texts: list[list[str]]) -> list[tuple[Any, Any]]:
    """Distinct ids and counts, which is what numpy starts from."""
    ids = (model.transform_ids(text) for text in texts)
    return [np.unique(found, return_counts=True) for found in ids if len(found)]


@pytest.mark.parametrize("kind", ["abstracts", "papers"])
def test_tree(kind: str, made: dict[str, Any], scale: Scale, contest: Contest, record: Keep) -> None:
    model = Word2VecKeywords.from_gensim(made["tree"])
    tree = tree_of(model)
    texts = [document.words for document in corpora.inspec()[1][:50]] if kind == "abstracts" else papers(model)[:5]
    if not texts:
        pytest.skip("no article of this vocabulary is long enough")
    items = bags(model, texts)
    for ids, counts in items[:3]:
        np.testing.assert_allclose(model.score(ids, counts)[1], scores(tree, ids, counts, ids), rtol=2e-6)
    contestants = [
        Contestant(OURS, lambda item: model.score(item[0], item[1], n_threads=1), items),
        Contestant("numpy", lambda item: scores(tree, item[0], item[1], item[0]), items),
    ]
    if kind == "abstracts":
        words = [np.repeat(ids, counts).tolist() for ids, counts in items[: 1 if scale.quick else 3]]
        contestants.append(Contestant(SNIPPET, lambda ids: scores_by_pairs(tree, ids, ids), words))
    entries = np.mean([sum(int(tree.ptr[w + 1] - tree.ptr[w]) for w in ids) for ids, _ in items])
    nodes = np.mean([len({int(n) for w in ids for n in tree.node[tree.path(w)]}) for ids, _ in items])
    distinct = np.mean([len(ids) for ids, _ in items])
    found = contest(
        "keywords, hierarchical softmax",
        f"{kind}: V {model.n_words}, {distinct:.0f} distinct words, {entries:.0f} path entries, {nodes:.0f} nodes",
        contestants,
        unit="ms a text",
        factor=1e3,
    )
    if kind == "abstracts":
        found.compare(">= 2x numpy", 2, "numpy")
        found.compare(">= 500x the published loop", 500, SNIPPET)
    else:
        found.compare(">= 2.5x numpy", 2.5, "numpy")
    record(found)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_negative_sampling(together: bool, made: dict[str, Any], scale: Scale, contest: Contest, record: Keep) -> None:
    """Texts one by one, and many in one call, where the words that they share are normalised once (by numpy too)."""
    model = Word2VecKeywords.from_gensim(made["softmax"])
    arrays = model._arrays()
    x, o = arrays["vectors"], arrays["output_vectors"]
    q = arrays["counts"] ** 0.75
    bias = np.log(q / q.sum()).astype(np.float32)
    documents = [document.words for document in corpora.inspec()[1][: 50 if together and not scale.quick else 5]]
    bags_of = bags(model, documents)

    def by_numpy(texts: list[tuple[Any, Any]]) -> list[Any]:
        words = np.unique(np.concatenate([ids for ids, _ in texts]))
        sums = softmax_log_sums(x[words], o, bias)
        return [
            x[ids] @ (counts @ o[ids]) + counts @ bias[ids] - counts.sum() * sums[np.searchsorted(words, ids)]
            for ids, counts in texts
        ]

    def by_model(texts: list[tuple[Any, Any]]) -> list[Any]:
        return model._scores([(Bag(ids, counts.astype(float)), ids) for ids, counts in texts], True, False, 1)

    items = [bags_of] if together else [[bag] for bag in bags_of]
    for item in items:
        for ours, theirs in zip(by_model(item), by_numpy(item), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    texts = f"abstracts, {len(bags_of)} in a call" if together else "abstracts, one by one"
    n_distinct = np.mean([len(ids) for ids, _ in bags_of])
    found = contest(
        "keywords, negative sampling",
        f"{texts}: V {model.n_words}, {n_distinct:.0f} distinct words",
        [Contestant(OURS, by_model, items), Contestant("numpy", by_numpy, items)],
        unit="ms a call",
        factor=1e3,
    )
    found.compare(">= 2x numpy", 2, "numpy")
    record(found)


def test_opening(
    made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, contest: Contest, record: Keep
) -> None:
    path = tmp_path_factory.mktemp("model") / "model.lw"
    Word2VecKeywords.from_gensim(made["tree"]).save(path)
    record(
        contest(
            "keywords, opening a model",
            f"{path.stat().st_size / 1e6:.0f} MB, digests included",
            [Contestant(OURS, Word2VecKeywords.load, [path])],
            unit="ms",
            factor=1e3,
        )
    )
