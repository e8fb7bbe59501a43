"""Vectors that the benchmarks of projection and whitening work on, and their tasks in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import corpora

Vectors = NDArray[np.float32]


def gaussian(n: int, d: int, seed: int = 0) -> Vectors:
    """Independent standard normal numbers."""
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def students_t(n: int, d: int, seed: int = 0) -> Vectors:
    """Student's t with 2 degrees of freedom: a few coordinates hold most of a row."""
    return np.random.default_rng(seed).standard_t(2, (n, d)).astype(np.float32)


def differences_of_units(n: int, d: int, seed: int = 0) -> Vectors:
    """e_i - e_j for random i != j: as sparse as a difference can be."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, d, n)
    second = (first + rng.integers(1, d, n)) % d
    rows = np.zeros((n, d), np.float32)
    rows[np.arange(n), first], rows[np.arange(n), second] = 1, -1
    return rows


def sparse_rows(n: int, d: int, nonzeros: int = 16, seed: int = 0) -> Vectors:
    """Rows of a few normal numbers and zeros."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, d), np.float32)
    for row in rows:
        row[rng.choice(d, nonzeros, replace=False)] = rng.standard_normal(nonzeros)
    return rows


@cache
def sentences(n_components: int) -> NDArray[np.float64]:
    """The sentence vectors of examples/whiten_sentences.py: both sides of the training pairs."""
    from examples.whiten_sentences import load

    folder = corpora.data_folder()
    if folder is None or not (folder / "stsb-multi-mt").is_dir() or not (folder / "wikitext2").is_dir():
        raise corpora.MissingCorpusError("stsb-multi-mt, wikitext2 not found: set LIKEWISE_DATA to their folder")
    left, right, _ = load(folder, n_components)["train"]
    return np.vstack([left, right])


def sentence_differences(n: int, n_components: int, seed: int = 0) -> Vectors:
    """Differences of random pairs of different sentence vectors."""
    rows = sentences(n_components)
    rng = np.random.default_rng(seed)
    found = np.empty((0, n_components))
    while len(found) < n:
        first, second = rng.integers(0, len(rows), (2, n))
        differences = rows[first] - rows[second]
        found = np.vstack([found, differences[differences.any(axis=1)]])
    return found[:n].astype(np.float32)


def tfidf_like(n: int, d: int, nonzeros: int, seed: int = 0) -> Any:
    """CSR rows as of a bag of words: columns by Zipf's law, values of the size of TF-IDF; about `nonzeros` a row."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    drawn = int(nonzeros * 1.13)  # frequent columns come twice in a row and are one afterwards
    columns = (d ** rng.random((n, drawn))).astype(np.int64) - 1
    # Spread over the range: the columns of a real vocabulary are not sorted by their frequency.
    columns = (columns * 7919 + 12345) % d
    values = (1 + rng.random((n, drawn))).astype(np.float32)
    indptr = np.arange(n + 1) * drawn
    made = csr_array((values.ravel(), columns.ravel(), indptr), shape=(n, d), dtype=np.float32)
    made.sum_duplicates()
    made.indices, made.indptr = made.indices.astype(np.int32), made.indptr.astype(np.int32)
    return made


def cone(n: int, d: int, ratio: float = 1.0, seed: int = 0) -> Vectors:
    """Vectors of a decaying spectrum around a mean of `ratio` times their rms spread, as language models give."""
    rng = np.random.default_rng(seed)
    scales = np.arange(1, d + 1) ** -0.5
    scales /= np.sqrt((scales**2).mean())
    mean = rng.standard_normal(d)
    mean *= ratio * np.sqrt(d) / np.linalg.norm(mean)  # the rms length of the centred rows is sqrt(d)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    rows = np.empty((n, d), np.float32)
    for start in range(0, n, 4096):
        part = rng.standard_normal((min(4096, n - start), d)) * scales
        rows[start : start + len(part)] = part @ basis + mean
    return rows


# --- Tasks of benchmarks.memory: the "corpus" is a shape such as 50000x768x256 ---

Task = tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]


def project_task(engine: str, shape: str) -> Task:
    """Projecting rows of a fitted projection."""
    n, d, k = map(int, shape.split("x"))
    rows = gaussian(n, d)
    projection: Any
    if engine == "likewise":
        from likewise.projection import RandomProjection

        projection = RandomProjection(k, random_state=0, n_threads=1).fit(rows[:2])
    elif engine == "numpy":
        matrix = np.random.default_rng(0).standard_normal((d, k), dtype=np.float32) / np.float32(k**0.5)
        return lambda: rows @ matrix, lambda result: {"output": result.nbytes}
    else:
        from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

        kind = SparseRandomProjection if engine == "sklearn sparse" else GaussianRandomProjection
        projection = kind(k, random_state=0).fit(rows[:2])
    projection.transform(rows[:2])  # what is loaded or made once does not count
    return lambda: projection.transform(rows), lambda result: {"output": result.nbytes}


def whiten_task(engine: str, shape: str) -> Task:
    """Fitting a whitening to one chunk again and again: nothing but the fit can grow with the number of rows."""
    n, d, _ = map(int, shape.split("x"))
    chunk = gaussian(2048, d)

    def chunks() -> Any:
        for start in range(0, n, 2048):
            yield chunk[: min(2048, n - start)]

    model: Any
    if engine == "likewise":
        from likewise.whitening import Whitening

        model = Whitening(n_threads=1)
    else:
        from sklearn.decomposition import IncrementalPCA

        model = IncrementalPCA(whiten=True)

    def fit() -> Any:
        for part in chunks():
            if len(part) >= d or engine == "likewise":  # the peer takes no chunk of fewer rows than columns
                model.partial_fit(part)
        return model

    if engine == "likewise":
        np.linalg.eigh(np.eye(2))
    return fit, lambda fitted: {"n_features": int(fitted.n_features_in_)}
