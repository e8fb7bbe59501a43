"""Keywords by hierarchical softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import keywords as _core
from .._validation import check_array, check_bool, check_indices
from ..errors import CorruptFileError
from .base import KeywordModel
from .checking import check_matrix, check_word_counts, same_dtype, stored, stored_counts
from .vocabulary import StoredVocabulary, Vocabulary


class Word2VecKeywords(KeywordModel):
    """Keywords by a skip-gram model with hierarchical softmax.

    ``log p(u | w) = -sum softplus(-(-1)^c x_w . theta_n)`` over the inner nodes n and codes c on the path of u in a
    binary tree of all words. A text costs one product of its distinct words with the distinct nodes of their paths.

    Parameters
    ----------
    vectors : array-like of shape (V, d), float32 or float64
        One row a word.
    theta : array-like of shape (V - 1, d)
        One row an inner node. gensim's ``syn1`` has a row more, which is not used.
    path_ptr : array-like of int, V + 1
        The path of word i is at ``path_ptr[i]:path_ptr[i + 1]`` of the next two.
    path_node : array-like of int
        Inner nodes, root first.
    path_code : array-like of int
        0 or 1: the turn at each node.
    vocabulary : sequence of str
        V distinct words.
    counts : array-like of int, optional
        How often each word occurs in the training corpus.
    check : bool, default True
        Look for NaN and infinity in the matrices. The tree is always checked.

    Raises
    ------
    ValueError, TypeError
        Naming the argument: shapes that do not fit, or paths that are no full binary tree with one word a leaf.

    References
    ----------
    Morin and Bengio 2005; Mikolov et al. 2013; Su Jianlin, kexue.fm/archives/4316.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.keywords import Word2VecKeywords
    >>> model = Word2VecKeywords(
    ...     vectors=[[1.0, -1.0], [0.0, 1.0], [2.0, 0.0], [-1.0, 0.5]],
    ...     theta=[[0.5, 0.0], [0.0, 1.0], [1.0, 1.0]],
    ...     path_ptr=[0, 1, 3, 6, 9],
    ...     path_node=[2, 2, 1, 2, 1, 0, 2, 1, 0],
    ...     path_code=[1, 0, 1, 0, 0, 1, 0, 0, 0],
    ...     vocabulary=["a", "b", "c", "d"],
    ... )
    >>> [(word, round(score, 4)) for word, score in model.extract(["a", "b", "a", "c", "z"])]
    [('a', -5.3732), ('b', -5.5727), ('c', -7.2073)]
    """

    KIND = "keywords.tree"

    def __init__(
        self,
        vectors: Any,
        theta: Any,
        path_ptr: Any,
        path_node: Any,
        path_code: Any,
        vocabulary: Sequence[str],
        *,
        counts: Any = None,
        check: bool = True,
    ) -> None:
        check_bool(check, "check")
        words = Vocabulary(vocabulary)
        n = len(words)
        matrix = check_matrix(vectors, "vectors", n, None, check)
        if isinstance(theta, np.ndarray) and theta.ndim == 2 and len(theta) == n:
            theta = theta[:-1]
        nodes = check_array(theta, "theta", finite=check, min_rows=0)
        if nodes.shape != (n - 1, matrix.shape[1]):
            raise ValueError(f"theta: expected shape {(n - 1, matrix.shape[1])}, got {nodes.shape}")
        self._set(
            *same_dtype(matrix, nodes),
            check_indices(path_ptr, "path_ptr"),
            check_indices(path_node, "path_node", dtype=np.uint32),
            check_indices(path_code, "path_code", dtype=np.uint8),
            words,
            check_word_counts(counts, n),
        )

    def _set(
        self,
        vectors: NDArray[Any],
        theta: NDArray[Any],
        ptr: NDArray[np.int64],
        node: NDArray[np.uint32],
        code: NDArray[np.uint8],
        vocabulary: Vocabulary,
        counts: NDArray[np.int64] | None,
    ) -> None:
        self._native = _core.Tree(vectors, theta, ptr, node, code)
        self._vectors, self._theta, self._paths = vectors, theta, (ptr, node, code)
        self._vocabulary, self._counts = vocabulary, counts

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("path_ptr", "path_node", "path_code")
        return super()._arrays() | {"theta": self._theta} | dict(zip(names, self._paths, strict=True))

    @classmethod
    def _from_container(cls, container: Any) -> Word2VecKeywords:
        vectors, theta = stored(container, "vectors", 2), stored(container, "theta", 2)
        vocabulary = StoredVocabulary(container)
        n = len(vocabulary)
        if len(vectors) != n or theta.shape != (n - 1, vectors.shape[1]) or theta.dtype != vectors.dtype:
            raise CorruptFileError(container.path, "theta", "expected one row an inner node, of the vectors' dtype")
        model = cls.__new__(cls)
        try:
            model._set(
                vectors,
                theta,
                stored(container, "path_ptr", 1, np.int64),
                stored(container, "path_node", 1, np.uint32),
                stored(container, "path_code", 1, np.uint8),
                vocabulary,
                stored_counts(container, n),
            )
        except ValueError as error:
            raise CorruptFileError(container.path, str(error).partition(":")[0], str(error)) from None
        return model
