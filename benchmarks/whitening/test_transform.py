"""Transforming: beside the bare matrix product, and how many digits are left when the mean is large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import vectors
from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.peers.engine import MissingPeerError
from benchmarks.references.compiled import compiled
from benchmarks.results import OURS, Record, Row

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize("d", [384, 768])
@pytest.mark.parametrize("ratio", [1, 100])
def test_transform(
    d: int, ratio: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    from likewise.whitening import Whitening

    n = 2_000 if scale.quick else 20_000
    rows = vectors.cone(n, d, ratio)
    fitted = Whitening(n_threads=1).fit(rows)
    weights = fitted.whitening_matrix_.astype(np.float32)
    bias = (fitted.mean_ @ fitted.whitening_matrix_).astype(np.float32)
    calls: dict[str, Callable[[Any], Any]] = {OURS: fitted.transform, "numpy": lambda x: x @ weights}
    buffer = np.empty((n, d), np.float32)
    calls["likewise, out="] = lambda x: fitted.transform(x, out=buffer)
    calls["product, out="] = lambda x: np.matmul(x, weights, out=buffer)
    try:
        loops = compiled("vector_loops")

        def plain(x: Any) -> Any:
            out = np.empty((len(x), d), np.float32)
            loops.affine(x, weights, bias, out)
            return out

        calls["cython"] = plain
    except MissingPeerError as error:
        Arena.missing["cython"] = str(error)
    try:
        from sklearn.decomposition import PCA

        calls["sklearn PCA"] = PCA(whiten=True, svd_solver="covariance_eigh").fit(rows).transform
    except ImportError:
        Arena.missing["sklearn"] = "pip install scikit-learn"
    found = contest(
        "whitening, transform",
        f"{n} x {d}, mean {ratio} times the spread",
        [Contestant(name, call, [rows]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes={"numpy": "the bare product"},
        axes={"n": n, "d": d},
    )
    for ours, product in ((OURS, "numpy"), ("likewise, out=", "product, out=")):
        row, other = found.row(ours), found.row(product)
        assert row is not None and other is not None
        found.limit(f"<= 1.1x the bare product ({ours})", row.value / other.value, 1.1)
    record(found)


@pytest.mark.parametrize("ratio", [1, 10, 100, 1000])
def test_digits(ratio: int, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Root mean square error of whitened float32 rows against float64."""
    from likewise.whitening import Whitening

    n, d = (2_000, 64) if scale.quick else (20_000, 256)
    rows = vectors.cone(n, d, ratio)
    fitted = Whitening(n_threads=1).fit(rows)
    matrix, mean = fitted.whitening_matrix_, fitted.mean_
    exact = (rows.astype(np.float64) - mean) @ matrix
    plain = rows @ matrix.astype(np.float32) - (mean @ matrix).astype(np.float32)

    def error(white: Any) -> float:
        return float(np.sqrt(np.square(white - exact).mean()))

    table = [Row(OURS, error(fitted.transform(rows))), Row("numpy", error(plain), note="x W - b in float32")]
    found = Record("whitening, digits", f"{n} x {d}, mean {ratio} times the spread", "rms error", table)
    if ratio <= 100:
        found.limit("<= 1e-5", table[0].value, 1e-5)
    record(found)


def test_tuning(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """A grid of 125 points, beside five eigh and ten transforms of the pairs."""
    from likewise.whitening import Whitening, tune

    d, n_pairs = (64, 300) if scale.quick else (384, 1500)
    rows = vectors.cone(2 * n_pairs, d)
    a, b = rows[:n_pairs], rows[n_pairs:]
    scores = np.random.default_rng(0).random(n_pairs)
    fitted = Whitening(n_threads=1).fit(vectors.cone(20_000, d))
    covariance = fitted.covariance_
    sizes = [d, d // 2, d // 4, d // 8, d // 16]

    def parts(_: Any) -> None:
        for _ in range(5):
            np.linalg.eigh(covariance)
        for _ in range(10):
            fitted.transform(a)
            fitted.transform(b)

    found = contest(
        "whitening, tune",
        f"5 x 5 x 5 grid, {n_pairs} pairs, d = {d}",
        [
            Contestant(OURS, lambda _: tune(a, b, scores, whitening=fitted, n_components=sizes), [None]),
            Contestant("its parts", parts, [None]),
        ],
        unit="ms",
        factor=1e3,
    )
    ours, floor = found.row(OURS), found.row("its parts")
    assert ours is not None and floor is not None
    found.limit("<= 5 eigh + 10 transforms + 300 ms", ours.value - floor.value, 300.0)
    record(found)
