"""Who projects what: ours, plain references, scikit-learn, and one read of the data as the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arena import Arena
from benchmarks.peers.engine import MissingPeerError
from benchmarks.references.compiled import compiled
from benchmarks.references.projection_numpy import Fold, sjlt_entries

SEED = 7


def dense(rows: NDArray[np.float32], k: int) -> dict[str, Callable[[Any], Any]]:
    """Contestants of dense rows; each gets the rows and returns their images (a read: a number)."""
    from likewise.projection import RandomProjection

    n, d = rows.shape
    ours = RandomProjection(k, random_state=SEED, n_threads=1).fit(rows[:2])
    found: dict[str, Callable[[Any], Any]] = {"likewise": ours.transform}
    buffer = np.empty((n, k), np.float32)
    found["likewise, out="] = lambda x: ours.transform(x, out=buffer)
    matrix = np.ascontiguousarray(ours.components_.T)
    found["numpy"] = lambda x: x @ matrix
    flat = rows.reshape(-1)
    found["read"] = lambda _: np.dot(flat, flat)  # BLAS: the widest registers of this CPU
    try:
        loops = compiled("vector_loops")
        found["cython"] = _plain_fold(loops, d, k)
        words = flat.view(np.int64)
        found["read, plain loop"] = lambda _: loops.read(words)
    except MissingPeerError as error:
        Arena.missing["cython"] = str(error)
    for name, projection in sklearn_projections(k).items():
        found[name] = projection.fit(rows[:2]).transform
    return found


def sklearn_projections(k: int, **options: Any) -> dict[str, Any]:
    """scikit-learn's two projections; empty where it is not installed."""
    try:
        from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
    except ImportError:
        Arena.missing["sklearn"] = "pip install scikit-learn"
        return {}
    return {
        "sklearn sparse": SparseRandomProjection(k, random_state=SEED, dense_output=True, **options),
        "sklearn gaussian": GaussianRandomProjection(k, random_state=SEED),
    }


def _plain_fold(loops: Any, d: int, k: int) -> Callable[[Any], Any]:
    fold = Fold(d, k, SEED)
    padded = fold.block * fold.n_blocks
    before, after = fold.before.astype(np.float32), fold.after.astype(np.float32)
    slots, kept = np.array(fold.slots, np.int32), np.array(fold.kept, np.int32)
    t, sums = np.empty(fold.block, np.float32), np.empty(fold.width, np.float32)

    def project(x: Any) -> Any:
        if x.shape[1] != padded:
            x = np.pad(x, ((0, 0), (0, padded - x.shape[1])))
        out = np.empty((len(x), k), np.float32)
        loops.fold(x, before, after, slots, kept, fold.block, fold.scale, t, sums, out)
        return out

    return project


def plain_scatter(d: int, k: int) -> Callable[[Any], Any]:
    """Slotted signs with 16 nonzeros a column in plain Cython loops, over a table of 4 bytes a column."""
    loops = compiled("vector_loops")
    rows, signs = sjlt_entries(d, k, 16, SEED)
    slots = (rows[:, 0] // 16).astype(np.int32)
    bits = ((signs < 0) * (1 << np.arange(16))).sum(axis=1).astype(np.uint16)
    sums = np.empty((2, k), np.float32)

    def project(x: Any) -> Any:
        out = np.empty((x.shape[0], k), np.float32)
        loops.scatter(x.indptr, x.indices, x.data, slots, bits, 0.25, sums, out)
        return out

    return project
