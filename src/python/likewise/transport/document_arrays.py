"""Documents as arrays: what an index of them stores and searches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .word_vectors import Bag, WordVectors

_CHUNK = 4096  # documents that are sorted together

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Documents:
    """Bags of words as arrays: document d has words indptr[d] to indptr[d + 1] - 1, positions in `terms`, ascending."""

    terms: Int32s
    indptr: Int64s
    words: Int32s
    weights: Floats
    n_unknown: int

    @classmethod
    def none(cls) -> Documents:
        return cls(np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0), 0)


class Adding:
    """Turns bags into arrays; words get their positions in `terms` as they come."""

    def __init__(self, table: WordVectors, terms: Int32s, normalize: bool) -> None:
        self._table, self._normalize = table, normalize
        self._ranks = np.full(len(table), -1, np.int32)
        self._ranks[terms] = np.arange(len(terms), dtype=np.int32)
        self._n_terms = len(terms)

    def piece(self, bags: list[Bag]) -> Documents:
        rows = np.concatenate([bag.words for bag in bags])
        counts = np.concatenate([bag.counts if len(bag.counts) else np.ones(len(bag.words)) for bag in bags])
        numbers = np.repeat(np.arange(len(bags)), [len(bag.words) for bag in bags])
        found, first = np.unique(rows, return_index=True)
        is_new = self._ranks[found] < 0
        new = found[is_new][np.argsort(first[is_new])].astype(np.int32)  # in the order in which they came
        if self._normalize:
            self._table.refuse_zero(new.astype(np.int64))
        self._ranks[new] = np.arange(self._n_terms, self._n_terms + len(new), dtype=np.int32)
        self._n_terms += len(new)
        # One number a pair of document and word; equal ones add up.
        pairs, inverse = np.unique(numbers * max(self._n_terms, 1) + self._ranks[rows], return_inverse=True)
        sums = np.bincount(inverse, counts, minlength=len(pairs))
        owners, words = np.divmod(pairs, max(self._n_terms, 1))
        totals = np.bincount(owners, sums, minlength=len(bags))
        indptr = np.zeros(len(bags) + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=len(bags)), out=indptr[1:])
        n_unknown = sum(bag.n_unknown for bag in bags)
        return Documents(new, indptr, words.astype(np.int32), sums / totals[owners], n_unknown)


def chunks(bags: Iterator[Bag]) -> Iterator[list[Bag]]:
    chunk: list[Bag] = []
    for bag in bags:
        chunk.append(bag)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def joined(pieces: list[Documents]) -> Documents:
    if len(pieces) == 1:
        return pieces[0]
    starts = np.cumsum([0] + [piece.indptr[-1] for piece in pieces])
    together = Documents(
        np.concatenate([piece.terms for piece in pieces]),
        np.concatenate([[0], *(piece.indptr[1:] + start for piece, start in zip(pieces, starts, strict=False))]),
        np.concatenate([piece.words for piece in pieces]),
        np.concatenate([piece.weights for piece in pieces]),
        sum(piece.n_unknown for piece in pieces),
    )
    for array in (together.terms, together.indptr, together.words, together.weights):
        array.flags.writeable = False
    return together
