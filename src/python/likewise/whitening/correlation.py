"""Rank and product-moment correlation of two columns of numbers; NaN where one of them is constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


def average_ranks(x: Column) -> Column:
    """Ranks from 1; equal values share the mean of theirs."""
    _, group, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Column = (last - (counts - 1) / 2)[group]
    return ranks


def pearson(x: Column, y: Column) -> float:
    """Product-moment correlation."""
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def spearman(x: Column, y: Column) -> float:
    """Pearson's correlation of average ranks."""
    return pearson(average_ranks(x), average_ranks(y))


def kendall(x: Column, y: Column) -> float:
    """Kendall's tau-b: concordant minus discordant pairs, corrected for ties; O(n log n)."""
    n = len(x)
    _, x_group, x_counts = np.unique(x, return_inverse=True, return_counts=True)
    _, y_group, y_counts = np.unique(y, return_inverse=True, return_counts=True)
    _, both_counts = np.unique(x_group * len(y_counts) + y_group, return_counts=True)
    pairs, x_ties, y_ties, both_ties = n * (n - 1) // 2, _pairs(x_counts), _pairs(y_counts), _pairs(both_counts)
    # In the order of x, and of y where x is equal, pairs out of order in y are the discordant ones.
    discordant = _inversions(y_group[np.lexsort((y_group, x_group))])
    size = np.sqrt(float(pairs - x_ties) * float(pairs - y_ties))
    return float((pairs - x_ties - y_ties + both_ties - 2 * discordant) / size) if size > 0 else float("nan")


def _pairs(counts: NDArray[np.int64]) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _inversions(x: NDArray[np.int64]) -> int:
    """Pairs i < j with x_i > x_j, bit by bit: within equal leading bits, ones before zeros."""
    found = 0
    for bit in reversed(range(int(x.max(initial=0)).bit_length())):
        group, one = x >> (bit + 1), (x >> bit) & 1  # x is ordered by group, and within it as it came
        ones = np.cumsum(one) - one
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        before = ones - np.repeat(ones[starts], np.diff(starts, append=len(x)))
        found += int(before[one == 0].sum())
        x = x[np.argsort(x >> bit, kind="stable")]
    return found
