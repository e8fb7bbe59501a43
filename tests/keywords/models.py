"""Models for the tests: the small one of the formulas' example, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.references.keywords_numpy import Tree
from likewise.keywords import NegativeSamplingKeywords, Word2VecKeywords

VECTORS = [[1.0, -1.0], [0.0, 1.0], [2.0, 0.0], [-1.0, 0.5]]
OUTPUTS = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 0.0]]
SMALL: dict[str, Any] = dict(
    vectors=VECTORS,
    theta=[[0.5, 0.0], [0.0, 1.0], [1.0, 1.0]],
    path_ptr=[0, 1, 3, 6, 9],
    path_node=[2, 2, 1, 2, 1, 0, 2, 1, 0],
    path_code=[1, 0, 1, 0, 0, 1, 0, 0, 0],
    vocabulary=["a", "b", "c", "d"],
    counts=[8, 4, 2, 1],
)
TEXT = ["a", "b", "a", "c", "z"]


def small(**changes: Any) -> Word2VecKeywords:
    return Word2VecKeywords(**(SMALL | changes))


def small_softmax(**changes: Any) -> NegativeSamplingKeywords:
    arguments = dict(vectors=VECTORS, output_vectors=OUTPUTS, vocabulary=list("abcd"), counts=[8, 4, 2, 1])
    return NegativeSamplingKeywords(**(arguments | changes))


def names(n: int) -> list[str]:
    return [f"w{i}" for i in range(n)]


def of_tree(tree: Tree, **changes: Any) -> Word2VecKeywords:
    arguments = dict(
        vectors=tree.vectors,
        theta=tree.theta,
        path_ptr=tree.ptr,
        path_node=tree.node,
        path_code=tree.code,
        vocabulary=names(len(tree.vectors)),
        counts=tree.counts,
    )
    return Word2VecKeywords(**(arguments | changes))


def random_softmax(
    n: int, dim: int, dtype: Any = np.float64, seed: int = 0, **options: Any
) -> NegativeSamplingKeywords:
    rng = np.random.default_rng(0)
    x, o = rng.standard_normal((2, n, dim)).astype(dtype)
    return NegativeSamplingKeywords(x, o, names(n), counts=rng.integers(1, 100, n), **options)
