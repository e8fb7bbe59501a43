"""Random projections in plain numpy, slow and obvious: every construction straight from its definition.

What the tests and the benchmarks compare with. It shares no code with the library. Shapes: X is (n, d), S is (k, d),
the result X S^T is (n, k).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LANES = 16
Words = NDArray[np.uint64]

# --- Random words ---


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10: four words from a counter of four and a key of two; counters may be arrays."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) & low for word in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def words(seed: int, tag: int, i: ArrayLike, t: ArrayLike) -> Words:
    """W(tag, i, t): word t mod 4 of the block of t // 4."""
    i, t = np.broadcast_arrays(np.asarray(i, np.uint64), np.asarray(t, np.uint64))
    counter = (i, i >> np.uint64(32), t // np.uint64(4), np.full(i.shape, tag, np.uint64))
    four = np.stack(philox(counter, (seed % 2**32, seed >> 32)))
    return np.take_along_axis(four, (t % np.uint64(4)).astype(np.int64)[None], 0)[0]


def permutation(seed: int, tag: int, i: int, n: int) -> list[int]:
    order = list(range(n))
    drawn = words(seed, tag, i, np.arange(n))
    for a in range(n - 1, 0, -1):
        b = (int(drawn[a]) * (a + 1)) >> 32
        order[a], order[b] = order[b], order[a]
    return order


def signs(seed: int, tag: int, d: int, first: int) -> NDArray[np.float64]:
    """-1 where bit j mod 32 of W(tag, j // 128, first + (j mod 128) // 32) is set."""
    j = np.arange(d)
    drawn = words(seed, tag, j // 128, first + j % 128 // 32)
    return np.where((drawn >> (j % 32).astype(np.uint64)) & np.uint64(1), -1.0, 1.0)


def butterfly(t: NDArray[Any]) -> None:
    """The Walsh-Hadamard transform of each row, in place; strides 1, 2, 4, ..."""
    n = t.shape[1]
    h = 1
    while h < n:
        pairs = t.reshape(len(t), n // (2 * h), 2, h)
        a, b = pairs[:, :, 0].copy(), pairs[:, :, 1].copy()
        pairs[:, :, 0], pairs[:, :, 1] = a + b, a - b
        h *= 2


# --- Block-Hadamard balanced fold ---


class Fold:
    """What a `hadamard` projection is made of: block size, signs, slots, the outputs that are kept."""

    def __init__(self, d: int, k: int, seed: int) -> None:
        self.d, self.k = d, k
        self.width = LANES * -(-k // LANES)  # K
        self.n_slots = self.width // LANES  # m
        block = 256
        if not (self.width >= 256 and d % 256 == 0):
            block = min(128, 1 << self.width.bit_length() - 1)
            while block > 16 and block // 2 >= d:
                block //= 2
        self.block = block
        self.n_blocks = -(-d // block)
        padded = block * self.n_blocks
        self.before, self.after = signs(seed, 1, padded, 0), signs(seed, 1, padded, 4)
        self.slots = self._slots(seed, block // LANES, padded // LANES)
        if k == self.width:
            self.kept = list(range(k))
        else:
            self.kept = sorted(permutation(seed, 1, 2**33, self.width)[:k])
        self.scale = (self.width / (k * block)) ** 0.5

    def _slots(self, seed: int, per_block: int, n_vectors: int) -> list[int]:
        slots: list[int] = []
        r, m = 0, self.n_slots
        while len(slots) < n_vectors:
            order = permutation(seed, 1, 2**32 + r, m)
            t = len(slots) % per_block
            if t:
                met, used = set(slots[-t:]), set()
                for a in range(per_block - t):
                    if order[a] in met:
                        b = next(b for b in range(per_block - t, m) if order[b] not in met and b not in used)
                        used.add(b)
                        order[a], order[b] = order[b], order[a]
            slots += order
            r += 1
        return slots[:n_vectors]

    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rows' images, every sum in the order that makes the bits."""
        n, dtype, block = len(x), x.dtype, self.block
        padded = np.zeros((n, block * self.n_blocks), dtype)
        padded[:, : self.d] = x
        sums = np.zeros((n, self.width), dtype)
        for g in range(self.n_blocks):
            part = slice(g * block, (g + 1) * block)
            t = padded[:, part] * self.before[part].astype(dtype)
            butterfly(t)
            t *= self.after[part].astype(dtype)
            for v in range(block // LANES):
                slot = self.slots[g * (block // LANES) + v]
                sums[:, LANES * slot : LANES * (slot + 1)] += t[:, LANES * v : LANES * (v + 1)]
        return dtype.type(self.scale) * sums[:, self.kept]


# --- Sparse signs ---


def sjlt_entries(d: int, k: int, nnz: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and signs of the nonzeros of each column, (d, nnz) each."""
    c = np.arange(d)[:, None]
    if nnz < 16:
        b = np.arange(nnz)
        w = words(seed, 2, c, b)
        low, high = b * k // nnz, (b + 1) * k // nnz
        rows = low + (((w >> np.uint64(1)) * (high - low).astype(np.uint64)) >> np.uint64(31)).astype(np.int64)
        return rows, np.where(w & np.uint64(1), -1.0, 1.0)
    b, m = np.arange(nnz // 16), k // 16
    low, high = b * 16 * m // nnz, (b + 1) * 16 * m // nnz
    drawn = words(seed, 2, c, 2 * b)
    slot = low + ((drawn * (high - low).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
    lane = np.arange(LANES)
    negative = (words(seed, 2, c, 2 * b + 1)[:, :, None] >> lane.astype(np.uint64)) & np.uint64(1)
    rows = 16 * slot[:, :, None] + lane
    return rows.reshape(d, nnz), np.where(negative, -1.0, 1.0).reshape(d, nnz)


def sjlt_project(x: NDArray[Any], k: int, nnz: int, seed: int) -> NDArray[Any]:
    """Even and odd columns summed apart, ascending, then added, then scaled: the order that makes the bits."""
    rows, sign = sjlt_entries(x.shape[1], k, nnz, seed)
    sums = np.zeros((2, len(x), k), x.dtype)
    for c in range(x.shape[1]):
        for row, s in zip(rows[c], sign[c], strict=True):
            sums[c % 2, :, row] += x.dtype.type(s) * x[:, c]
    return (sums[0] + sums[1]) * x.dtype.type(1 / nnz**0.5)


# --- All of them ---


def matrix(
    method: str, d: int, k: int, seed: int, *, nnz: int = 0, density: float | None = None
) -> NDArray[np.float64]:
    """S (k, d) in float64."""
    match method:
        case "hadamard":
            fold = Fold(d, k, seed)
            return fold.project(np.eye(d)).T
        case "sjlt" | "countsketch":
            nnz = 1 if method == "countsketch" else nnz
            rows, sign = sjlt_entries(d, k, nnz, seed)
            s = np.zeros((k, d))
            np.add.at(s, (rows, np.arange(d)[:, None]), sign / nnz**0.5)
            return s
        case "very_sparse" | "achlioptas":
            density = 1 / 3 if method == "achlioptas" else density if density is not None else 1 / d**0.5
            w = words(seed, 5 if method == "achlioptas" else 4, np.arange(d), np.arange(k)[:, None])
            nonzero = (w >> np.uint64(1)) < np.uint64(density * 2**31)
            return nonzero * np.where(w & np.uint64(1), -1.0, 1.0) / (density * k) ** 0.5
        case "gaussian":
            w = words(seed, 6, np.arange(d), np.arange(k)[:, None])
            z = np.vectorize(NormalDist().inv_cdf)((w.astype(np.float64) + 0.5) / 2**32)
            return z / k**0.5
        case "srht":
            size = 1 << (d - 1).bit_length()
            rows = sorted(permutation(seed, 7, 2**33, size)[:k])
            t = np.diag(signs(seed, 7, size, 0))[:d]
            butterfly(t)
            return t[:, rows].T / k**0.5
    raise ValueError(method)


def project(
    x: NDArray[Any], method: str, k: int, seed: int, *, nnz: int = 0, density: float | None = None
) -> NDArray[Any]:
    """X S^T in the dtype of X. Bits as promised for `hadamard`, `sjlt` and `countsketch`; the others by a product."""
    if method == "hadamard":
        return Fold(x.shape[1], k, seed).project(x)
    if method in ("sjlt", "countsketch"):
        return sjlt_project(x, k, 1 if method == "countsketch" else nnz, seed)
    return x @ matrix(method, x.shape[1], k, seed, nnz=nnz, density=density).T.astype(x.dtype)
