"""Word Mover's Distance written plainly: distances in float64, the linear program as it stands in the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


def bag(tokens: Sequence[Any]) -> tuple[list[Any], Rows]:
    """The distinct tokens, and their shares of the document."""
    words = list(dict.fromkeys(tokens))
    counts = np.array([tokens.count(word) for word in words], dtype=float)
    return words, counts / counts.sum()


def distances(x: Any, y: Any, normalize: bool) -> Rows:
    """Euclidean distances between two sets of vectors."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if normalize:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    found: Rows = np.sqrt(np.square(x[:, None] - y[None]).sum(axis=2))
    return found


def linear_program(a: Rows, b: Rows, cost: Rows) -> float:
    """The optimum of transport by a general solver (HiGHS)."""
    from scipy.optimize import linprog
    from scipy.sparse import kron, vstack

    n, m = cost.shape
    sums = vstack([kron(np.eye(n), np.ones((1, m))), kron(np.ones((1, n)), np.eye(m))])
    found = linprog(cost.reshape(-1), A_eq=sums, b_eq=np.concatenate([a, b]), method="highs")
    assert found.status == 0, found.message
    return float(found.fun)


def one_sided(a: Rows, b: Rows, cost: Rows) -> tuple[float, float]:
    """Each word to the nearest of the other document."""
    return float(a @ cost.min(axis=1)), float(b @ cost.min(axis=0))


def centroid_distance(a: Rows, b: Rows, x: Rows, y: Rows) -> float:
    """Between the weighted means."""
    return float(np.linalg.norm(a @ x - b @ y))


class PrunedSearch:
    """Exact search in numpy: relaxed distances of all documents at once, then POT in the order of these bounds."""

    def __init__(self, vectors: Any, documents: Sequence[Sequence[int]]) -> None:
        """`vectors` have length one; documents are lists of their rows, none empty."""
        self.vectors = np.asarray(vectors)
        bags = [bag(list(document)) for document in documents]
        self.words = [np.array(words) for words, _ in bags]
        self.weights = [weights for _, weights in bags]
        self.all_words, self.all_weights = np.concatenate(self.words), np.concatenate(self.weights)
        self.starts = np.concatenate([[0], np.cumsum([len(words) for words in self.words])[:-1]])

    def costs(self, words: Any) -> Rows:
        """Distances of some words to all, by one matrix product; it would leave 3e-4 between a word and itself."""
        found = np.sqrt(np.maximum(2 - 2 * (self.vectors[words] @ self.vectors.T), 0)).astype(np.float64)
        found[np.arange(len(words)), words] = 0
        return found

    def search(self, query: Sequence[int], k: int) -> tuple[Rows, NDArray[np.int64]]:
        """The k nearest documents and their distances."""
        from ot import emd2

        words, weights = bag(list(query))
        cost = self.costs(words)
        to_query = np.add.reduceat(cost.min(axis=0)[self.all_words] * self.all_weights, self.starts)
        from_query = weights @ np.minimum.reduceat(cost[:, self.all_words], self.starts, axis=1)
        bounds = np.maximum(to_query, from_query)
        found: list[tuple[float, int]] = []
        for document in np.argsort(bounds, kind="stable"):
            if len(found) == k and bounds[document] > found[-1][0]:
                break
            distance = float(emd2(weights, self.weights[document], np.ascontiguousarray(cost[:, self.words[document]])))
            found = sorted([*found, (distance, int(document))])[:k]
        return np.array([distance for distance, _ in found]), np.array([document for _, document in found])
