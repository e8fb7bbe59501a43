"""Logits, and the settings that they are sampled with."""

from __future__ import annotations

from typing import Any

import numpy as np

FILTERS: dict[str, dict[str, Any]] = {
    "top_p=0.9": dict(top_p=0.9),
    "top_k=50": dict(top_k=50),
    "top_k=50, top_p=0.9": dict(top_k=50, top_p=0.9),
    "no truncation": {},
}


def logits_of(kind: str, n_rows: int, n: int) -> Any:
    """Peaked: a normal distribution with 60 boosted tokens, as a language model has them; nuclei of some ten tokens."""
    rng = np.random.default_rng(n + n_rows)
    if kind == "peaked":
        z = rng.normal(0, 2.2, (n_rows, n))
        for row in z:
            row[rng.choice(n, 60, replace=False)] += rng.uniform(6, 14, 60)
    elif kind == "zipf":
        z = np.stack([-1.11 * np.log(np.arange(1.0, n + 1))[rng.permutation(n)] for _ in range(n_rows)])
    else:
        z = rng.normal(0, 1, (n_rows, n))
    return z.astype(np.float32)
