"""Dense rows: ours against scikit-learn, a matrix product, plain loops, and one read of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import vectors
from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Record

from .contestants import SEED, dense

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SHAPES = [
    (50_000, 768, 128), (50_000, 768, 256), (40_000, 1024, 128), (40_000, 1024, 256),
    (8_000, 4096, 512), (8_000, 4096, 1024), (3_000, 16384, 256),
]  # fmt: skip


def spread(rows: Any, images: Any) -> str:
    """How far squared lengths of differences of neighbours are from what they were: comparable across matrices."""
    before = np.square(np.diff(rows[:4001].astype(np.float64), axis=0)).sum(axis=1)
    after = np.square(np.diff(np.asarray(images[:4001], np.float64), axis=0)).sum(axis=1)
    ratio = after / before
    assert abs(ratio.mean() - 1) < 0.2, "not a projection that keeps lengths"
    return f"distortion std {ratio.std():.4f}"


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_dense(
    n: int, d: int, k: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    n = n // 20 if scale.quick else n
    rows = vectors.gaussian(n, d)
    calls = dense(rows, k)
    notes = {}
    ours = calls[OURS](rows)
    for name, call in calls.items():
        if name.startswith("read"):
            continue
        images = call(rows[: min(n, 4001)] if name != "likewise, out=" else rows)
        notes[name] = spread(rows, images)
        if name in ("numpy", "cython", "likewise, out="):  # the same matrix
            np.testing.assert_allclose(images, ours[: len(images)], rtol=0, atol=2e-5 * float(np.abs(ours).max()))
        if name in ("cython", "likewise, out="):
            assert np.asarray(images).tobytes() == ours[: len(images)].tobytes(), f"{name}: other bits"
    found = contest(
        "projection",
        f"{n} x {d} -> {k}",
        [Contestant(name, call, [rows]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
        axes={"n": n, "d": d, "k": k},
    )
    sparse = 45.0 if d == 4096 or (d, k) == (1024, 256) else 25.0
    found.compare(f">= {sparse:g}x scikit-learn's sparse projection", sparse, "sklearn sparse")
    gaussian = 10.0 if k == 128 else 15.0 if k == 256 else 40.0
    found.compare(f">= {gaussian:g}x scikit-learn's Gaussian projection", gaussian, "sklearn gaussian")
    read = min(row.value for row in found.rows if row.name.startswith("read"))
    fresh, given = found.row(OURS), found.row("likewise, out=")
    assert fresh is not None and given is not None
    if 768 <= d <= 4096:
        # A result of more than 32 MB is fresh memory at every call, which the system fills with zeros first.
        found.limit("<= 2x one read of X", fresh.value / read, 2.0)
        found.limit("<= 2x one read of X, with out=", given.value / read, 2.0)
    record(found)


def test_one_row(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    rows = vectors.gaussian(64, 768)
    calls = dense(rows, 256)
    calls = {name: call for name, call in calls.items() if name != "likewise, out=" and not name.startswith("read")}
    found = contest(
        "projection, one row",
        "1 x 768 -> 256",
        [Contestant(name, call, [rows[i : i + 1] for i in range(64)]) for name, call in calls.items()],
        unit="us",
        factor=1e6,
    )
    ours = found.row(OURS)
    assert ours is not None
    found.limit("<= 15 us through Python", ours.value, 15.0)
    record(found)


def test_fitting(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """What it takes to have the matrix: ours is implicit."""
    from likewise.projection import RandomProjection

    from .contestants import sklearn_projections

    row = np.zeros((1, 1_000_000), np.float32)
    row[0, ::1000] = 1
    from scipy.sparse import csr_array

    wide = csr_array(row)
    calls: dict[str, Callable[[Any], Any]] = {
        OURS: lambda x: RandomProjection(256, random_state=SEED, n_threads=1).fit(x)
    }
    for name, projection in sklearn_projections(256).items():
        if name == "sklearn sparse":  # the Gaussian matrix has a gigabyte
            calls[name] = projection.fit
    found = contest(
        "projection, fit",
        "d = 1000000, k = 256",
        [Contestant(name, call, [wide]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
    )
    ours = found.row(OURS)
    assert ours is not None
    found.limit("<= 10 ms", ours.value, 10.0)
    record(found)


@pytest.mark.parametrize("varies", ["n", "d"])
def test_growth(varies: str, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Time against the number of rows and of columns, over three decades; ours grows with the data alone."""
    sizes = [(64 * 8**i, 768) for i in range(5)] if varies == "n" else [(256, 64 * 8**i) for i in range(5)]
    for n, d in sizes[:3] if scale.quick else sizes:
        k = 64
        rows = vectors.gaussian(n, d)
        calls = {name: call for name, call in dense(rows, k).items() if name not in ("likewise, out=", "cython")}
        found = contest(
            "projection growth",
            f"{n} x {d} -> {k}",
            [Contestant(name, call, [rows]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            axes={"varies": varies, "size": n if varies == "n" else d},
            budget=scale.budget / 3,
        )
        record(found)
