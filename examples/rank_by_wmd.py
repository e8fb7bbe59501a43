"""Rank the Cranfield abstracts by Word Mover's Distance, and see whether that beats BM25 and mean vectors.

    python examples/rank_by_wmd.py [FOLDER]

FOLDER (default: the variable LIKEWISE_DATA) holds cranfield (cranfield/cran.all.1400.xml, cran.qry.xml,
cranqrel.1-112.trec.txt): 1400 abstracts on aerodynamics, and 112 questions with judged answers. The word vectors are
made on the spot from the abstracts alone: the best approximation of rank 100 of the PPMI matrix of neighbouring words,
which is what skip-gram factorises implicitly (Levy and Goldberg 2014). Quality is NDCG@10 and recall@100.
"""

import html
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import likewise as lw
from likewise.search import Analyzer
from likewise.transport import WMDIndex, WordVectors

WINDOW, N_FEATURES = 5, 100


def elements(name: str, text: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)]


def read(folder: Path) -> tuple[list[str], list[str], list[dict[int, int]]]:
    """Abstracts, questions, and the grades of the abstracts judged for each question."""
    documents = elements("doc", (folder / "cran.all.1400.xml").read_text(encoding="utf-8"))
    questions = elements("title", (folder / "cran.qry.xml").read_text(encoding="utf-8"))
    grades: list[dict[int, int]] = [{} for _ in range(112)]
    for line in (folder / "cranqrel.1-112.trec.txt").read_text(encoding="utf-8").splitlines():
        query, _, document, grade = map(int, line.split())
        if grade > 0:
            grades[query - 1][document - 1] = grade
    return [(elements("text", document) or [""])[0] for document in documents], questions[:112], grades


def word_vectors(texts: list[list[str]]) -> WordVectors:
    """Vectors of the words that occur at least twice: left singular vectors of their PPMI matrix."""
    words, counts = np.unique([word for text in texts for word in text], return_counts=True)
    words = words[counts > 1]
    n = len(words)
    gap = [""] * WINDOW
    stream = np.array([word for text in texts for word in [*text, *gap]])
    places = np.searchsorted(words, stream).clip(max=n - 1)
    places[words[places] != stream] = -1
    near = np.zeros(n * n, np.float32)
    for distance in range(1, WINDOW + 1):
        left, right = places[:-distance], places[distance:]
        known = (left >= 0) & (right >= 0)
        near += np.bincount(left[known] * n + right[known], minlength=n * n).astype(np.float32) / distance
    near = near.reshape(n, n)
    near += near.T.copy()
    alone = near.sum(axis=1)
    context = alone**0.75 / (alone**0.75).sum()  # as skip-gram draws its negative examples
    with np.errstate(divide="ignore"):
        information = np.log(near / np.outer(alone, context))
    u, s, _ = lw.projection.randomized_svd(np.maximum(information, 0), N_FEATURES, random_state=0)
    return WordVectors((u * np.sqrt(s)).astype(np.float32), words.tolist())


def evaluate(rank: Callable[[str], list[int]], questions: list[str], grades: list[dict[int, int]]) -> list[float]:
    """Mean NDCG@10, mean recall@100, and milliseconds a question."""
    ndcg, recall, started = [], [], time.perf_counter()
    rankings = [rank(question) for question in questions]
    elapsed = time.perf_counter() - started
    discount = 1 / np.log2(np.arange(2, 12))
    for ranking, judged in zip(rankings, grades, strict=True):
        if not judged:
            continue
        gains = np.array([judged.get(document, 0) for document in ranking[:10]])
        ideal = np.sort(list(judged.values()))[::-1][:10]
        ndcg.append(gains @ discount[: len(gains)] / (ideal @ discount[: len(ideal)]))
        recall.append(len(judged.keys() & set(ranking[:100])) / len(judged))
    return [float(np.mean(ndcg)), float(np.mean(recall)), elapsed / len(questions) * 1e3]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LIKEWISE_DATA", "data")) / "cranfield"
    if not folder.is_dir():
        sys.exit(f"no folder {folder}: name the one that holds cranfield")
    texts, questions, grades = read(folder)
    analyzer = Analyzer(stem=False)  # drops the most frequent words of English
    documents = [analyzer(text) for text in texts]
    vectors = word_vectors(documents)
    print(f"{len(texts)} abstracts, {len(questions)} questions, {len(vectors)} words with a vector")

    wmd = WMDIndex(vectors, documents)
    bm25 = lw.search.Index.build(texts)

    def mean(words: list[str]) -> NDArray[np.float32]:
        rows = np.array([vectors[word] for word in words if word in vectors])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        centre = rows.mean(axis=0)
        return centre / np.linalg.norm(centre)

    means = np.zeros((len(texts), N_FEATURES), np.float32)
    for i, words in enumerate(documents):
        if any(word in vectors for word in words):
            means[i] = mean(words)
    n_solved: list[int] = []

    def by_wmd(question: str) -> list[int]:
        _, ids, stats = wmd.search(analyzer(question), 100, return_stats=True)
        n_solved.append(stats.n_solved)
        return list(map(int, ids))

    results = {
        "Word Mover's Distance": evaluate(by_wmd, questions, grades),
        "cosine of mean vectors": evaluate(
            lambda question: np.argsort(-(means @ mean(analyzer(question))), kind="stable")[:100].tolist(),
            questions,
            grades,
        ),
        "BM25": evaluate(lambda question: bm25.search(question, 100).doc_ids.tolist(), questions, grades),
    }
    print(f"\n{'':24}NDCG@10  recall@100  ms a question")
    for name, (ndcg, recall, milliseconds) in results.items():
        print(f"{name:24}{ndcg:7.3f}  {recall:10.3f}  {milliseconds:13.2f}")
    best = max(results, key=lambda name: results[name][0])
    print(f"\nbest NDCG@10: {best}")
    print(f"distances computed for the nearest 100: {np.mean(n_solved):.0f} of {len(texts)} a question")


if __name__ == "__main__":
    main()
