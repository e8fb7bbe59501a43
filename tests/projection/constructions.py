"""The constructions in plain Python and numpy, written from their definition alone: slow, obvious, float64."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (b >> 32 ^ counter[1] ^ key[0], b & 0xFFFFFFFF, a >> 32 ^ counter[3] ^ key[1], a & 0xFFFFFFFF)
        key = ((key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF)
    return counter


class Words:
    """W(tag, i, t) of one seed."""

    def __init__(self, seed: int) -> None:
        self.key = (seed & 0xFFFFFFFF, seed >> 32)

    def __call__(self, tag: int, i: int, t: int) -> int:
        return philox((i & 0xFFFFFFFF, i >> 32, t // 4, tag), self.key)[t % 4]

    def permutation(self, tag: int, i: int, n: int) -> list[int]:
        order = list(range(n))
        for a in range(n - 1, 0, -1):
            b = self(tag, i, a) * (a + 1) >> 32
            order[a], order[b] = order[b], order[a]
        return order


def hadamard_matrix(n: int) -> Floats:
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h


def slots(words: Words, m: int, n: int, per_block: int) -> list[int]:
    found: list[int] = []
    r = 0
    while len(found) < n:
        order = words.permutation(1, 2**32 + r, m)
        begun = len(found) % per_block
        if begun:
            taken, used = set(found[-begun:]), per_block - begun
            for a in range(per_block - begun):
                if order[a] in taken:
                    while order[used] in taken:
                        used += 1
                    order[a], order[used] = order[used], order[a]
                    used += 1
        found += order
        r += 1
    return found[:n]


def fold(d: int, k: int, seed: int) -> Floats:
    words, padded = Words(seed), 16 * math.ceil(k / 16)
    if padded >= 256 and d % 256 == 0:
        block = 256
    else:
        block = 2 ** int(math.log2(min(128, padded)))
        while block > 16 and block / 2 >= d:
            block //= 2
    n_blocks, per_block = math.ceil(d / block), block // 16
    sigma = slots(words, padded // 16, n_blocks * per_block, per_block)

    def sign(j: int, first: int) -> float:
        return -1.0 if words(1, j // 128, first + j % 128 // 32) >> (j % 32) & 1 else 1.0

    h, s = hadamard_matrix(block), np.zeros((padded, n_blocks * block))
    for g in range(n_blocks):
        columns = np.arange(g * block, (g + 1) * block)
        before = np.array([sign(int(j), 0) for j in columns])
        after = np.array([sign(int(j), 4) for j in columns])
        part = after[:, None] * h * before
        for v in range(per_block):
            slot = sigma[g * per_block + v]
            s[16 * slot : 16 * slot + 16, columns] += part[16 * v : 16 * v + 16]
    kept = list(range(k)) if k == padded else sorted(words.permutation(1, 2**33, padded)[:k])
    return s[kept, :d] * math.sqrt(padded / (k * block))


def sjlt(d: int, k: int, seed: int, nnz: int) -> Floats:
    words, s = Words(seed), np.zeros((k, d))
    for c in range(d):
        if nnz < 16:
            for b in range(nnz):
                low, high, w = b * k // nnz, (b + 1) * k // nnz - 1, words(2, c, b)
                s[low + ((w >> 1) * (high - low + 1) >> 31), c] = -1 if w & 1 else 1
        else:
            m = k // 16
            for b in range(nnz // 16):
                low = b * 16 * m // nnz
                count = (b + 1) * 16 * m // nnz - low
                slot, signs = low + (words(2, c, 2 * b) * count >> 32), words(2, c, 2 * b + 1)
                s[16 * slot : 16 * slot + 16, c] = [-1 if signs >> lane & 1 else 1 for lane in range(16)]
    return s / math.sqrt(nnz)


def bernoulli(d: int, k: int, seed: int, tag: int, density: float) -> Floats:
    words, s, threshold = Words(seed), np.zeros((k, d)), math.floor(density * 2**31)
    for c in range(d):
        for r in range(k):
            w = words(tag, c, r)
            if w >> 1 < threshold:
                s[r, c] = -1 if w & 1 else 1
    return s / math.sqrt(density * k)


def gaussian(d: int, k: int, seed: int) -> Floats:
    words, quantile = Words(seed), NormalDist().inv_cdf  # AS 241 too
    z = [[quantile((words(6, c, r) + 0.5) / 2**32) for c in range(d)] for r in range(k)]
    return np.array(z) / math.sqrt(k)


def srht(d: int, k: int, seed: int) -> Floats:
    words, padded = Words(seed), 2 ** math.ceil(math.log2(d))
    signs = [-1 if words(7, j // 128, j % 128 // 32) >> (j % 32) & 1 else 1 for j in range(d)]
    kept = sorted(words.permutation(7, 2**33, padded)[:k])
    return (hadamard_matrix(padded)[kept, :d] * signs) / math.sqrt(k)


def matrix(method: str, d: int, k: int, seed: int, nnz: int = 0, density: float = 0.0) -> Floats:
    """S of shape (k, d)."""
    if method == "hadamard":
        return fold(d, k, seed)
    if method == "sjlt":
        return sjlt(d, k, seed, nnz)
    if method == "countsketch":
        return sjlt(d, k, seed, 1)
    if method == "very_sparse":
        return bernoulli(d, k, seed, 4, density)
    if method == "achlioptas":
        return bernoulli(d, k, seed, 5, 1 / 3)
    return gaussian(d, k, seed) if method == "gaussian" else srht(d, k, seed)
