"""How well distances are kept: the default method against Gaussian's at the same k, averaged over draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import corpora, vectors
from benchmarks.measure import Scale
from benchmarks.results import OURS, Record, Row

from .contestants import sklearn_projections

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N_PAIRS = 20_000
# Rows are differences of pairs already: the distortion of a row is that of a pair's squared distance.
SETS: dict[str, tuple[Callable[[int, int], Any], int, int]] = {
    "N(0, I), 1024 -> 256": (vectors.gaussian, 1024, 256),
    "e_i - e_j, 1024 -> 256": (vectors.differences_of_units, 1024, 256),
    "t(df=2), 4096 -> 512": (vectors.students_t, 4096, 512),
    "16-sparse, 1024 -> 256": (vectors.sparse_rows, 1024, 256),
    "N(0, I), 768 -> 100": (vectors.gaussian, 768, 100),
    "N(0, I), 300 -> 100": (vectors.gaussian, 300, 100),
    "N(0, I), 768 -> 128": (vectors.gaussian, 768, 128),
    "sentences, 256 -> 128": (vectors.sentence_differences, 256, 128),
    "sentences, 256 -> 64": (vectors.sentence_differences, 256, 64),
    "sentences, 384 -> 256": (vectors.sentence_differences, 384, 256),
    "sentences, 384 -> 128": (vectors.sentence_differences, 384, 128),
}
BALANCED = ("N(0, I), 1024 -> 256", "N(0, I), 768 -> 128")  # every slot is hit equally often


@pytest.mark.parametrize("name", SETS)
def test_distortion(name: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    from likewise.projection import RandomProjection

    make, d, k = SETS[name]
    n, n_draws = (2_000, 2) if scale.quick else (N_PAIRS, 6)
    try:
        rows = make(n, d)
    except corpora.MissingCorpusError as error:
        pytest.skip(str(error))
    squares = np.square(rows.astype(np.float64)).sum(axis=1)
    unit = (2 / k) ** 0.5
    methods: dict[str, Callable[[int], Any]] = {
        OURS: lambda seed: RandomProjection(k, method="hadamard", random_state=seed, n_threads=1),
        "gaussian": lambda seed: RandomProjection(k, method="gaussian", random_state=seed, n_threads=1),
        "srht": lambda seed: RandomProjection(k, method="srht", random_state=seed, n_threads=1),
        "sjlt, nnz=4": lambda seed: RandomProjection(k, method="sjlt", nnz=4, random_state=seed, n_threads=1),
    }
    if sklearn_projections(k):
        from sklearn.random_projection import SparseRandomProjection

        methods["sklearn sparse"] = lambda seed: SparseRandomProjection(k, random_state=seed)
    table, tails, highest = [], {}, {}
    for method, make_projection in methods.items():
        stds, quantiles, largest = [], [], []
        for seed in range(n_draws):
            images = np.asarray(make_projection(seed).fit(rows[:2]).transform(rows), np.float64)
            distortion = np.square(images).sum(axis=1) / squares - 1
            stds.append(distortion.std() / unit)
            quantiles.append(np.quantile(np.abs(distortion), 0.9999))
            largest.append(np.abs(distortion).max())
        tails[method], highest[method] = float(np.mean(quantiles)), float(np.mean(largest))
        table.append(Row(method, float(np.mean(stds)), rounds=n_draws, note=f"99.99 % {tails[method]:.3f}"))
    found = Record("distortion", name, "std / Gaussian's in theory", table)
    found.limit("std <= 1.05x Gaussian's", table[0].value / table[1].value, 1.05)
    found.limit("99.99 % quantile <= 1.05x Gaussian's", tails[OURS] / tails["gaussian"], 1.05)
    if name in BALANCED:
        found.limit("std <= 1.05x that of orthonormal rows", table[0].value / (1 - k / d) ** 0.5, 1.05)
    if name.startswith("e_i"):
        found.limit("largest distortion <= 0.35", highest[OURS], 0.35)
    record(found)
