"""STS-B: the table of Spearman's correlation over beta, gamma and k on real sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples import whiten_sentences
from likewise.whitening import Moments, Whitening, tune

Sentences = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # of a split: both sides, and people's scores

TABLE = {  # 100 x Spearman on dev; for beta 0, .5, 1: gamma 0, .25, .5, .75, 1
    256: "44.73 53.00 60.07 64.44 66.41  45.44 53.81 60.43 64.52 66.41  48.05 55.46 61.31 64.88 66.54",
    128: "43.92 51.17 57.67 62.11 64.51  43.85 51.58 57.88 62.16 64.50  46.33 53.10 58.69 62.49 64.65",
    64: "41.32 47.14 52.76 56.69 58.99  40.40 46.86 52.65 56.61 58.94  42.69 48.39 53.41 57.00 59.16",
    32: "38.79 42.99 47.03 50.14 52.18  36.85 41.82 46.37 49.85 52.09  38.70 42.78 46.69 49.88 52.03",
    16: "35.68 38.25 40.48 42.31 43.56  32.60 36.06 39.20 41.58 43.33  34.15 36.61 39.07 41.19 43.01",
}
SPOTS = {(0.25, 1.0, 256): 66.41, (0.75, 0.5, 128): 58.11, (0.75, 0.0, 256): 46.50}
SIZES = (16, 32, 64, 128, 256)


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    for name in ("stsb-multi-mt", "wikitext2"):
        if not (data / name).is_dir():
            pytest.skip(f"no {name} in {data}")
    return data


@pytest.fixture(scope="module")
def sentences(folder: Path) -> Sentences:
    """The vectors that the example program makes."""
    return whiten_sentences.load(folder)


@pytest.fixture(scope="module")
def moments(sentences: Sentences) -> Moments:
    a, b, _ = sentences["train"]
    return Moments().update(a).update(b)


def expected() -> dict[tuple[float, float, int], float]:
    found = dict(SPOTS)
    for k, line in TABLE.items():
        for i, value in enumerate(line.split()):
            found[(0.0, 0.5, 1.0)[i // 5], 0.25 * (i % 5), k] = float(value)
    return found


def test_the_texts(folder: Path) -> None:
    texts = whiten_sentences.read_texts(folder)
    tokens = [word for words in texts for word in words]
    assert (len(texts), len(tokens), len(set(tokens))) == (19_850, 542_661, 21_599)


@pytest.mark.slow
def test_the_table(sentences: Sentences, moments: Moments) -> None:
    a, b, scores = sentences["dev"]
    assert moments.n == 11_498 and len(scores) == 1500
    result = tune(a, b, scores, whitening=moments, n_components=SIZES)
    found = {(b, g, k): 100 * score for b, g, k, score in result.table.tolist()}
    differences = {point: found[point] - value for point, value in expected().items()}
    assert max(map(abs, differences.values())) <= 0.02, differences
    assert 100 * result.baseline == pytest.approx(44.73, abs=0.02)

    # The grid takes sums along the components; a transform of each point says the same.
    stats = pytest.importorskip("scipy.stats")
    whitening = Whitening(normalize=True).merge(moments)
    for beta, gamma, k in ((1.0, 1.0, 256), (0.5, 0.25, 64), (0.0, 0.0, 16), (0.25, 0.75, 128)):
        whitening.set_hyper(beta=beta, gamma=gamma, n_components=k)
        cosines = (whitening.transform(a) * whitening.transform(b)).sum(axis=1)
        direct = 100 * stats.spearmanr(cosines.round(13), scores).statistic
        assert direct == pytest.approx(found[beta, gamma, k], abs=1e-3)


@pytest.mark.slow
def test_the_choice(sentences: Sentences, moments: Moments) -> None:
    train, dev = sentences["train"], sentences["dev"]
    for k in SIZES:
        best = tune(*train, whitening=moments, n_components=k)
        assert 100 * best.baseline == pytest.approx(34.04, abs=0.02)
        assert best.params == {"beta": 0.0 if k == 16 else 1.0, "gamma": 1.0, "n_components": k}
    best = tune(*train, whitening=moments, n_components=SIZES)
    assert best.params == {"beta": 1.0, "gamma": 1.0, "n_components": 256}
    assert 100 * best.score == pytest.approx(57.16, abs=0.02)
    on_dev = tune(*dev, whitening=moments, **best.params)
    assert 100 * on_dev.score == pytest.approx(66.54, abs=0.02)


@pytest.mark.slow
def test_without_scores_only_the_size_is_chosen(sentences: Sentences, moments: Moments) -> None:
    grid = (16, 32, 64, 96, 128, 192, 256)
    result = tune(*sentences["train"][:2], whitening=moments, n_components=grid)
    assert result.params == {"beta": 0.0, "gamma": 0.0, "n_components": 128} and np.isnan(result.baseline)
    kept = dict(zip(result.table["n_components"].tolist(), result.table["score"].tolist(), strict=True))
    for k, value in {192: 0.9984, 128: 0.9904, 96: 0.9807, 64: 0.9614, 32: 0.9158}.items():
        assert kept[k] == pytest.approx(value, abs=2e-4)
