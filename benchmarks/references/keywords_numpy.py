"""Keyword scores by the formula: pair by pair, as the idea was published, and the best that numpy does."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tree:
    """A skip-gram model with hierarchical softmax: the arrays of `likewise.keywords.Word2VecKeywords`."""

    vectors: NDArray[Any]
    theta: NDArray[Any]
    ptr: NDArray[np.int64]
    node: NDArray[np.uint32]
    code: NDArray[np.uint8]
    counts: NDArray[np.int64]

    @classmethod
    def random(cls, n_words: int, dim: int, dtype: Any = np.float32, seed: int = 0, scale: float = 0.3) -> Tree:
        """Normal vectors and the Huffman tree of counts by Zipf's law."""
        rng = np.random.default_rng(seed)
        counts = np.maximum(1, 20 * n_words // np.arange(1, n_words + 1)).astype(np.int64)
        heap = [(int(count), word) for word, count in enumerate(counts)]
        heapq.heapify(heap)
        parent: dict[int, tuple[int, int]] = {}
        for made in range(n_words, 2 * n_words - 1):
            (first, a), (second, b) = heapq.heappop(heap), heapq.heappop(heap)
            parent[a], parent[b] = (made, 0), (made, 1)
            heapq.heappush(heap, (first + second, made))
        paths = []
        for word in range(n_words):
            path, at = [], word
            while at in parent:
                at, code = parent[at]
                path.append((at - n_words, code))
            paths.append(path[::-1])
        ptr = np.cumsum([0, *map(len, paths)])
        return cls(
            (rng.standard_normal((n_words, dim)) * scale).astype(dtype),
            (rng.standard_normal((n_words - 1, dim)) * scale).astype(dtype),
            ptr,
            np.array([node for path in paths for node, _ in path], np.uint32),
            np.array([code for path in paths for _, code in path], np.uint8),
            counts,
        )

    def path(self, word: int) -> slice:
        return slice(int(self.ptr[word]), int(self.ptr[word + 1]))


def log_probability(tree: Tree, of: int, given: int) -> float:
    """Log p(of | given): the sum over the path, in the vectors' precision."""
    path = tree.path(of)
    dots = tree.theta[tree.node[path]] @ tree.vectors[given]
    signs = 1.0 - 2.0 * tree.code[path]
    return float(-np.logaddexp(0, -signs * dots).sum())


def scores_by_pairs(tree: Tree, words: list[int], candidates: list[int]) -> list[float]:
    """The published way: every occurrence with every candidate."""
    return [sum(log_probability(tree, u, w) for u in words) for w in candidates]


def scores(tree: Tree, words: NDArray[np.int64], counts: NDArray[Any], candidates: NDArray[np.int64]) -> NDArray[Any]:
    """One product of the candidates with the distinct nodes of the text's paths."""
    entries = np.concatenate([np.arange(tree.ptr[w], tree.ptr[w + 1]) for w in words])
    times = np.repeat(counts, tree.ptr[words + 1] - tree.ptr[words])
    nodes, place = np.unique(tree.node[entries], return_inverse=True)
    dtype = tree.vectors.dtype
    weights = np.bincount(place, times).astype(dtype)
    ones = np.bincount(place, times * tree.code[entries]).astype(dtype)
    dots = tree.vectors[candidates] @ tree.theta[nodes].T
    soft = np.log1p(np.exp(-np.abs(dots)))
    soft += np.maximum(-dots, 0)
    return -(soft @ weights + dots @ ones)


def softmax_log_sums(vectors: NDArray[Any], outputs: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    """For each row of `vectors` the log of the sum over all outputs of exp(x . o + bias); 512 rows at a time."""
    found = []
    for start in range(0, len(vectors), 512):
        logits = vectors[start : start + 512] @ outputs.T
        logits += bias
        top = logits.max(axis=1, keepdims=True)
        logits -= top
        np.exp(logits, out=logits)
        found.append(np.log(logits.sum(axis=1)) + top[:, 0])
    return np.concatenate(found)
