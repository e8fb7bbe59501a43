"""Keywords by the softmax that negative sampling stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import keywords as _core
from .._validation import check_bool, check_scalar_float
from ..errors import CorruptFileError
from .base import KeywordModel
from .checking import check_matrix, check_word_counts, same_dtype, stored, stored_counts
from .vocabulary import StoredVocabulary, Vocabulary


class NegativeSamplingKeywords(KeywordModel):
    """Keywords by a skip-gram model with negative sampling.

    ``log p(u | w) = x_w . o_u + ln q_u - log sum_v exp(x_w . o_v + ln q_v)`` with q proportional to
    ``count ** ns_exponent``: at the optimum of the training ``x . o = ln p(u | w) - ln(k q_u)``, so that the noise
    belongs there. A text costs a product of its distinct words with the whole vocabulary.

    Parameters
    ----------
    vectors, output_vectors : array-like of shape (V, d), float32 or float64
        One row a word; gensim's ``wv.vectors`` and ``syn1neg``.
    vocabulary : sequence of str
        V distinct words.
    counts : array-like of int, optional
        How often each word occurs in the training corpus; needed for the noise.
    ns_exponent : float, default 0.75
        As the model was trained.
    noise_correction : bool, default True
        False: the plain softmax of ``x . o``, as gensim's ``predict_output_word`` takes it.
    check : bool, default True
        Look for NaN and infinity in the matrices.

    Raises
    ------
    ValueError, TypeError
        Naming the argument; among others, `noise_correction` without counts, or with a count of 0.

    References
    ----------
    Mikolov et al. 2013; Levy and Goldberg 2014; Su Jianlin, kexue.fm/archives/4316.

    Examples
    --------
    >>> from likewise.keywords import NegativeSamplingKeywords
    >>> model = NegativeSamplingKeywords(
    ...     vectors=[[1.0, -1.0], [0.0, 1.0], [2.0, 0.0], [-1.0, 0.5]],
    ...     output_vectors=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 0.0]],
    ...     vocabulary=["a", "b", "c", "d"],
    ...     counts=[8, 4, 2, 1],
    ... )
    >>> [(word, round(score, 4)) for word, score in model.extract(["a", "b", "a", "c"])]
    [('b', -4.9658), ('c', -5.3365), ('a', -5.4168)]
    """

    KIND = "keywords.softmax"

    def __init__(
        self,
        vectors: Any,
        output_vectors: Any,
        vocabulary: Sequence[str],
        *,
        counts: Any = None,
        ns_exponent: float = 0.75,
        noise_correction: bool = True,
        check: bool = True,
    ) -> None:
        check_bool(check, "check")
        words = Vocabulary(vocabulary)
        matrix = check_matrix(vectors, "vectors", len(words), None, check)
        outputs = check_matrix(output_vectors, "output_vectors", len(words), matrix.shape[1], check)
        self._set(
            *same_dtype(matrix, outputs), words, check_word_counts(counts, len(words)), ns_exponent, noise_correction
        )

    def _set(
        self,
        vectors: NDArray[Any],
        outputs: NDArray[Any],
        vocabulary: Vocabulary,
        counts: NDArray[np.int64] | None,
        ns_exponent: object,
        noise_correction: object,
    ) -> None:
        self._exponent = check_scalar_float(ns_exponent, "ns_exponent")
        self._corrected = check_bool(noise_correction, "noise_correction")
        bias = np.zeros(len(vocabulary))
        if self._corrected:
            if counts is None:
                raise ValueError("counts: expected those of the training, got None [or noise_correction=False]")
            if counts.min() < 1:
                position = int(np.argmin(counts))
                raise ValueError(f"counts: expected at least 1 for the noise, got 0 at position {position}")
            bias = self._exponent * np.log(counts)
            bias -= math.log(math.fsum(np.exp(bias - bias.max()))) + bias.max()
        self._native = _core.Softmax(vectors, outputs, bias)
        self._vectors, self._outputs = vectors, outputs
        self._vocabulary, self._counts = vocabulary, counts

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return super()._arrays() | {"output_vectors": self._outputs}

    def _params(self) -> dict[str, Any]:
        return {"noise_correction": self._corrected, "ns_exponent": self._exponent}

    @classmethod
    def _from_container(cls, container: Any) -> NegativeSamplingKeywords:
        vectors, outputs = stored(container, "vectors", 2), stored(container, "output_vectors", 2)
        vocabulary = StoredVocabulary(container)
        if vectors.shape != outputs.shape or len(vectors) != len(vocabulary) or vectors.dtype != outputs.dtype:
            raise CorruptFileError(container.path, "output_vectors", "expected the shape and dtype of the vectors")
        counts = stored_counts(container, len(vocabulary))
        model = cls.__new__(cls)
        try:
            model._set(vectors, outputs, vocabulary, counts, **container.params)
        except (TypeError, ValueError) as error:
            raise CorruptFileError(container.path, "params", str(error)) from None
        return model
