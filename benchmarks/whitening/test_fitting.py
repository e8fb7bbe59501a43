"""Fitting: time and accuracy beside the naive covariance, scikit-learn and faiss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import vectors
from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.peers.engine import MissingPeerError
from benchmarks.references import whitening_numpy
from benchmarks.references.compiled import compiled
from benchmarks.results import OURS, Record, Row

pytestmark = pytest.mark.usefixtures("one_blas_thread")


def fits(d: int) -> dict[str, Callable[[Any], Any]]:
    """Who fits; each returns its fitted thing."""
    from likewise.whitening import Whitening

    def naive(rows: Any) -> Any:
        mean, covariance = whitening_numpy.naive_covariance(rows)
        return whitening_numpy.whitening_map(mean.astype(np.float64), covariance.astype(np.float64), d, 1.0, 1.0)

    found: dict[str, Callable[[Any], Any]] = {
        OURS: lambda rows: Whitening(n_threads=1).fit(rows),
        "numpy": naive,
    }
    try:
        loops = compiled("vector_loops")

        def plain(rows: Any) -> Any:
            mean = rows.mean(axis=0, dtype=np.float64)
            scatter = np.zeros((d, d))
            loops.covariance(rows, mean, np.empty(d), scatter)
            covariance = np.triu(scatter) + np.triu(scatter, 1).T
            return whitening_numpy.whitening_map(mean, covariance / len(rows), d, 1.0, 1.0)

        if d <= 384:  # cubic: minutes beyond
            found["cython"] = plain
    except MissingPeerError as error:
        Arena.missing["cython"] = str(error)
    try:
        from sklearn.decomposition import PCA, IncrementalPCA

        found["sklearn PCA"] = PCA(whiten=True, svd_solver="covariance_eigh").fit
        found["sklearn IncrementalPCA"] = IncrementalPCA(whiten=True, batch_size=4096).fit
    except ImportError:
        Arena.missing["sklearn"] = "pip install scikit-learn"
    try:
        import faiss

        faiss.omp_set_num_threads(1)

        def faiss_fit(rows: Any) -> Any:
            trained = faiss.PCAMatrix(d, d, -0.5)
            trained.max_points_per_d = len(rows)  # by default it looks at a sample
            trained.train(rows)
            return trained

        found["faiss PCAMatrix"] = faiss_fit
    except ImportError:
        Arena.missing["faiss"] = "pip install faiss-cpu"
    return found


@pytest.mark.parametrize("d", [384, 768])
def test_fit(d: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    n = 3_000 if scale.quick else 20_000
    rows = vectors.cone(n, d)
    calls = fits(d)
    identity = np.eye(d)
    notes = {}
    for name, call in calls.items():
        fitted = call(rows)
        if isinstance(fitted, tuple):
            white = rows @ fitted[0].astype(np.float32) - fitted[1].astype(np.float32)
        elif name.startswith("faiss"):
            white = fitted.apply(rows) * np.float32(n**0.5)  # its variance is 1/n
        else:
            white = fitted.transform(rows)
        deviation = float(np.abs(whitening_numpy.covariance(white)[1] - identity).max())
        notes[name] = f"max |Cov(Y) - I| {deviation:.1e}"
        assert deviation < 0.05, f"{name} does not whiten"
    found = contest(
        "whitening, fit",
        f"{n} x {d}",
        [Contestant(name, call, [rows]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
        axes={"n": n, "d": d},
        budget=scale.budget * 2,
    )
    ours = found.row(OURS)
    assert ours is not None
    for name, text in (("numpy", "the naive covariance and eigh"), ("sklearn PCA", "sklearn PCA covariance_eigh")):
        other = found.row(name)
        if other:
            found.limit(f"<= 1.3x {text}", ours.value / other.value, 1.3)
    found.compare(">= 1x faiss PCAMatrix", 1.0, "faiss PCAMatrix")
    found.compare(">= 10x scikit-learn's IncrementalPCA", 10.0, "sklearn IncrementalPCA")
    record(found)


@pytest.mark.parametrize("ratio", [1, 10, 100, 1000])
def test_accuracy(ratio: int, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Relative error of the covariance against float64, with the mean so many times the spread."""
    from likewise.whitening import Moments

    n, d = (3_000, 64) if scale.quick else (20_000, 256)
    rows = vectors.cone(n, d, ratio)
    exact = whitening_numpy.covariance(rows)[1]

    def error(covariance: Any) -> float:
        return float(np.abs(covariance - exact).max() / np.abs(exact).max())

    table = [
        Row(OURS, error(Moments().update(rows).covariance())),
        Row("numpy", error(whitening_numpy.naive_covariance(rows)[1])),
    ]
    try:
        from sklearn.decomposition import PCA

        fitted = PCA(svd_solver="covariance_eigh").fit(rows)
        table.append(Row("sklearn PCA", error(fitted.get_covariance() * (n - 1) / n)))
    except ImportError:
        pass
    found = Record("whitening, accuracy", f"{n} x {d}, mean {ratio} times the spread", "relative error of Cov", table)
    found.limit("<= 1e-6", table[0].value, 1e-6)
    record(found)


def test_hyper_parameters(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Another beta, gamma and k from stored moments, beside a single eigh."""
    from likewise.whitening import Whitening

    d = 128 if scale.quick else 768
    fitted = Whitening(n_threads=1).fit(vectors.cone(4 * d, d))
    covariance = fitted.covariance_
    betas = iter(np.tile([0.0, 0.25, 0.5, 0.75], 10_000))

    def set_hyper(_: Any) -> Any:
        return fitted.set_hyper(beta=float(next(betas)), gamma=0.5, n_components=d // 2).whitening_matrix_

    found = contest(
        "whitening, set_hyper",
        f"d = {d}",
        [Contestant(OURS, set_hyper, [None]), Contestant("numpy", lambda _: np.linalg.eigh(covariance), [None])],
        unit="ms",
        factor=1e3,
    )
    ours, eigh = found.row(OURS), found.row("numpy")
    assert ours is not None and eigh is not None
    found.limit("<= 1.3x one eigh", ours.value / eigh.value, 1.3)
    record(found)


def test_growth(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    """Time of a fit against the number of rows, over three decades."""
    d = 128
    for n in (256, 2_048, 16_384) if scale.quick else (256, 2_048, 16_384, 131_072, 262_144):
        rows = vectors.cone(n, d)
        calls = {name: call for name, call in fits(d).items() if name != "cython"}
        found = contest(
            "whitening growth",
            f"{n} x {d}",
            [Contestant(name, call, [rows]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            axes={"varies": "n", "size": n},
            budget=scale.budget / 2,
        )
        record(found)
