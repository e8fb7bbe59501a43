"""Tokens from logits: ours, the warpers of transformers with torch's multinomial, and the structure of llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.measure import Contestant, Scale
from benchmarks.peers.engine import MissingPeerError
from benchmarks.references.compiled import compiled
from benchmarks.results import OURS, Bar, Record
from likewise.decoding import filter_logits, sample

from .workloads import FILTERS, logits_of

Contest = Callable[..., Record]
Keep = Callable[[Record], Record]

CHAIN, LLAMA = "transformers", "llama.cpp's structure"
# Against transformers, at V = 128,256.
BARS = {
    ("peaked", "top_p=0.9"): 200,
    ("zipf", "top_p=0.9"): 60,
    ("flat", "top_p=0.9"): 60,
    ("peaked", "top_k=50"): 80,
    ("peaked", "no truncation"): 50,
}
WORKLOADS = [
    ("peaked", 32_000, 1),
    ("peaked", 128_256, 1),
    ("zipf", 128_256, 1),
    ("flat", 128_256, 1),
    ("peaked", 262_144, 1),
    ("peaked", 128_256, 8),
    ("peaked", 128_256, 64),
]


def chain(settings: dict[str, Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Tokens, and filtered logits, of transformers."""
    import torch
    from transformers.generation import logits_process as process

    warpers: list[Any] = []
    if "top_k" in settings:
        warpers.append(process.TopKLogitsWarper(settings["top_k"]))
    if "top_p" in settings:
        warpers.append(process.TopPLogitsWarper(settings["top_p"]))

    def warp(z: Any) -> Any:
        tensor = torch.from_numpy(z)
        for warper in warpers:
            tensor = warper(None, tensor)
        return tensor

    def draw(z: Any) -> Any:
        return torch.multinomial(torch.softmax(warp(z), -1), 1)

    return draw, warp


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize(("kind", "n", "n_rows"), WORKLOADS)
def test_sampling(kind: str, n: int, n_rows: int, filters: str, scale: Scale, contest: Contest, record: Keep) -> None:
    if scale.quick and (kind, n, n_rows) not in WORKLOADS[:2]:
        pytest.skip("a whole run measures it")
    settings = FILTERS[filters]
    z = logits_of(kind, max(n_rows, 8), n)  # single rows take turns: how easily a nucleus is found differs
    items = [z] if n_rows > 1 else [z[i : i + 1] for i in range(8)]
    contestants = [Contestant(OURS, lambda z: sample(z, random_state=0, n_threads=1, **settings), items)]
    kept = np.isfinite(filter_logits(z, **settings))
    p = np.exp(z - z.max(1, keepdims=True), dtype=np.float64)
    p /= p.sum(1, keepdims=True)
    try:
        draw, warp = chain(settings)
    except ImportError:
        pass
    else:
        theirs = np.isfinite(warp(z).numpy())
        assert (p * (theirs != kept)).sum(1).max() < 5e-6, "the nuclei differ by more than rounding"
        contestants.append(Contestant(CHAIN, draw, items))
    try:
        sampler = compiled("decoding_loops").Sampler()
    except MissingPeerError:
        pass
    else:
        top_k, top_p = settings.get("top_k", 0), settings.get("top_p", 1.0)
        for row, own in zip(z[:8], kept, strict=False):
            token, count = sampler.sample(row, 1.0, top_k, top_p, 0.5)
            # It adds up the vocabulary in float32, one after the other: that moves the end of a nucleus.
            assert own[token] and abs(count - own.sum()) <= max(1, 0.05 * own.sum())
        contestants.append(
            Contestant(LLAMA, lambda z: [sampler.sample(row, 1.0, top_k, top_p, 0.5) for row in z], items)
        )
    found = contest(
        "sampling",
        f"{kind}, V {n}, {n_rows} row{'s' if n_rows > 1 else ''}, {filters}; {kept.sum() / len(z):.0f} tokens left",
        contestants,
        unit="us a row",
        factor=1e6 / n_rows,
    )
    if (n, n_rows) == (128_256, 1):
        needed = BARS.get((kind, filters))
        if needed is not None:
            found.compare(f">= {needed}x transformers", needed, CHAIN)
        if filters == "top_p=0.9":  # where it sorts; a partial sort of 50, or no sort, is a pass of scalar code
            found.compare(">= 25x llama.cpp's structure", 25, LLAMA)
    record(found)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "float32, stride 12 bytes"])
def test_dtypes(dtype: str, contest: Contest, record: Keep) -> None:
    z = logits_of("peaked", 1, 128_256)
    if dtype == "bfloat16":
        torch = pytest.importorskip("torch", reason="pip install torch")
        z = torch.from_numpy(z).to(torch.bfloat16)
    elif "stride" in dtype:
        candidates = np.zeros(z.shape, [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        candidates["logit"] = z
        z = candidates["logit"]
    else:
        z = z.astype(dtype)
    record(
        contest(
            "sampling, dtypes",
            f"{dtype}: peaked, V 128256, top_p=0.9",
            [Contestant(OURS, lambda z: sample(z, random_state=0, top_p=0.9, n_threads=1), [z])],
            unit="us a row",
            factor=1e6,
        )
    )


def test_small_vocabulary(contest: Contest, record: Keep) -> None:
    """What a call costs beside the work."""
    z = logits_of("peaked", 1, 100)
    found = contest(
        "sampling, cost of a call",
        "V 100, top_p=0.9",
        [Contestant(OURS, lambda z: sample(z, random_state=0, top_p=0.9, n_threads=1), [z])],
        unit="us a call",
        factor=1e6,
    )
    row = found.row(OURS)
    assert row is not None
    found.bars.append(Bar("<= 15 us", row.value, 15, at_most=True))
    record(found)
