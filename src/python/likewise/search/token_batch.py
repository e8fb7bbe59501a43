"""The tokens of many texts as numbers."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The tokens of several texts, as one row each of a sparse matrix.

    Attributes
    ----------
    indptr : int64[n + 1]
        The tokens of text i are ``tokens[indptr[i]:indptr[i + 1]]``.
    tokens : int32[nnz]
        Positions in the vocabulary, in the order of the text.
    vocabulary : list of str
        The distinct tokens in order of first occurrence.
    """

    indptr: NDArray[np.int64]
    tokens: NDArray[np.int32]
    vocabulary: list[str]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, i: int) -> list[str]:
        """The tokens of text i as strings."""
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"i: expected a text of the {len(self)} in the batch, got {i}")
        i %= len(self)
        return [self.vocabulary[token] for token in self.tokens[self.indptr[i] : self.indptr[i + 1]]]
