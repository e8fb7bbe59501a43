"""The kept sets of the warpers of transformers, up to ties and to what rounding decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.decoding import filter_logits

torch = pytest.importorskip("torch", reason="pip install torch")
process = pytest.importorskip("transformers.generation.logits_process", reason="pip install transformers")


def rows() -> Any:
    rng = np.random.default_rng(0)
    peaked = rng.normal(0, 2.2, (3, 5000))
    for row in peaked:
        row[rng.choice(5000, 20, replace=False)] += rng.uniform(6, 14, 20)
    zipf = -np.log(np.arange(1.0, 5001))[rng.permutation(5000)][None]
    return np.concatenate([peaked, zipf, rng.normal(0, 1, (2, 5000)), rng.normal(0, 10, (2, 5000))]).astype(np.float32)


WARPERS = {
    "top_k": (lambda k: process.TopKLogitsWarper(k), (1, 5, 50, 4999)),
    "top_p": (lambda p: process.TopPLogitsWarper(p), (0.1, 0.5, 0.9, 0.999)),
    "min_p": (lambda p: process.MinPLogitsWarper(p), (0.001, 0.1, 0.7)),
    "typical_p": (lambda p: process.TypicalLogitsWarper(p), (0.2, 0.9)),
}


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.8])
@pytest.mark.parametrize(
    "names", [["top_k"], ["top_p"], ["min_p"], ["typical_p"], ["top_k", "top_p", "min_p"]], ids="-".join
)
def test_kept_sets(names: list[str], temperature: float) -> None:
    z = rows()
    for number in range(max(len(WARPERS[name][1]) for name in names)):
        settings = {name: WARPERS[name][1][number % len(WARPERS[name][1])] for name in names}
        theirs = torch.from_numpy(z) / temperature
        for name in names:
            theirs = WARPERS[name][0](settings[name])(None, theirs)
        ours = filter_logits(z, temperature=temperature, **settings)
        differ = torch.isfinite(theirs).numpy() != np.isfinite(ours)
        p = np.exp((z - z.max(1, keepdims=True)) / temperature, dtype=np.float64)
        p /= p.sum(1, keepdims=True)
        # A nucleus ends where a sum of float32 numbers passes its mark: tokens that weigh less than its rounding.
        allowed = 0.0 if names == ["top_k"] else 2e-6
        assert (p * differ).sum(1).max() <= allowed, (settings, np.flatnonzero(differ.any(1)))
        both = np.isfinite(ours) & ~differ
        np.testing.assert_allclose(ours[both], (torch.from_numpy(z) / temperature).numpy()[both], rtol=3e-7)
