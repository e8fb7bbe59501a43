"""CSR rows of a bag of words, a million columns wide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import vectors
from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.peers.engine import MissingPeerError
from benchmarks.results import OURS, Record

from .contestants import SEED, plain_scatter, sklearn_projections

pytest.importorskip("scipy", reason="needs scipy: pip install '.[bench]'")
pytestmark = pytest.mark.usefixtures("one_blas_thread")

WIDTH = 1_000_000


def distortion_std(rows: Any, images: Any) -> float:
    """Of the squared lengths of rows: a sparse row is the hardest difference there is."""
    before = np.asarray(rows.multiply(rows).sum(axis=1), np.float64).ravel()
    after = np.square(np.asarray(images, np.float64)).sum(axis=1)
    return float((after / before).std())


@pytest.mark.parametrize("k", [256, 512])
def test_csr(k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    from likewise.projection import RandomProjection

    n = 2_000 if scale.quick else 50_000
    rows = vectors.tfidf_like(n, WIDTH, 88)
    few = rows[:2000]
    ours = RandomProjection(k, random_state=SEED, n_threads=1).fit(few)
    calls: dict[str, Callable[[Any], Any]] = {OURS: ours.transform}
    try:
        calls["cython"] = plain_scatter(WIDTH, k)
        np.testing.assert_array_equal(calls["cython"](few), ours.transform(few))
    except MissingPeerError as error:
        Arena.missing["cython"] = str(error)
    for label, options in (("", {}), (", density 4/k", {"density": 4 / k})):
        projections = sklearn_projections(k, **options)
        if projections:
            calls[f"sklearn sparse{label}"] = projections["sklearn sparse"].fit(few).transform
    gaussian = (2 / k) ** 0.5
    spreads = {name: distortion_std(few, call(few)) / gaussian for name, call in calls.items()}
    # numpy's way without a matrix of a gigabyte: the nonzeros of each column, scattered row by row by scipy.
    matrix = ours.components_.T.tocsr()
    calls["numpy"] = lambda x: (x @ matrix).toarray()
    found = contest(
        "projection, csr",
        f"{n} x {WIDTH} ({rows.nnz / n:.0f} nonzeros a row) -> {k}",
        [Contestant(name, call, [rows]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes={name: f"std {spread:.2f} of Gaussian's" for name, spread in spreads.items()},
        axes={"n": n, "d": WIDTH, "k": k},
    )
    found.compare(">= 8x scikit-learn's sparse projection", 8.0, "sklearn sparse")
    found.compare(">= 8x the same at density 4/k", 8.0, "sklearn sparse, density 4/k")
    found.limit("distortion std <= that of Gaussian", spreads[OURS], 1.0)
    record(found)


@pytest.mark.parametrize("nonzeros", [10, 100])
def test_distortion_of_csr(nonzeros: int, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Averaged over draws: standard deviation and 99.99 % quantile, in units of Gaussian's standard deviation."""
    from benchmarks.results import Row
    from likewise.projection import RandomProjection

    k, n_draws = 256, 2 if scale.quick else 6
    rows = vectors.tfidf_like(20_000, WIDTH, nonzeros)
    squares = np.asarray(rows.multiply(rows).sum(axis=1), np.float64).ravel()
    made: dict[str, Callable[[int], Any]] = {
        OURS: lambda seed: RandomProjection(k, random_state=seed, n_threads=1),
        "likewise, nnz=32": lambda seed: RandomProjection(k, method="sjlt", nnz=32, random_state=seed, n_threads=1),
    }
    if sklearn_projections(k):
        from sklearn.random_projection import SparseRandomProjection

        made["sklearn sparse"] = lambda seed: SparseRandomProjection(k, random_state=seed, dense_output=True)
    unit = (2 / k) ** 0.5
    table = []
    for name, make in made.items():
        stds, tails = [], []
        for seed in range(n_draws):
            images = make(seed).fit(rows).transform(rows)
            distortion = np.square(np.asarray(images, np.float64)).sum(axis=1) / squares - 1
            stds.append(distortion.std() / unit)
            tails.append(np.quantile(np.abs(distortion), 0.9999))
        table.append(Row(name, float(np.mean(stds)), rounds=n_draws, note=f"99.99 % {np.mean(tails):.3f}"))
    found = Record("distortion, csr", f"about {nonzeros} nonzeros a row -> {k}", "std / Gaussian's", table)
    found.limit("std <= Gaussian's in theory", table[0].value, 1.0)
    record(found)
