"""The EMO loss, forward and backward: ours, the published package, plain torch in chunks, and a cross entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

from .emo_contestants import CHUNKS, FUSED, PACKAGE, contestants, tokens

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SHAPES = [(256, 32_000, 512, 3.0), (256, 32_000, 2048, 4.0), (512, 32_000, 1024, 4.0), (256, 128_000, 1024, 4.0)]
EXTRA_MIB = {32_000: 24, 128_000: 80}


def compare(calls: dict[str, Callable[[Any], Any]]) -> dict[str, str]:
    """All agree on loss and gradient, to what float32 gives."""
    loss, grad = calls[OURS](None)
    notes = {}
    for name, call in calls.items():
        if "cross entropy" in name:
            continue
        other, other_grad = call(None)
        error = float(np.abs(other_grad - grad).max() / np.abs(grad).max())
        assert abs(other - loss) < 1e-5 * abs(loss) and error < 2e-5, f"{name}: {other} for {loss}, gradient {error}"
        notes[name] = f"gradients within {error:.0e}"
    return notes


@pytest.mark.parametrize(("n", "v", "h", "times"), SHAPES)
@pytest.mark.parametrize("distinct", [False, True])
def test_emo(
    n: int,
    v: int,
    h: int,
    times: float,
    distinct: bool,
    scale: Scale,
    contest: Callable[..., Record],
    record: Callable[[Record], Record],
) -> None:
    if (scale.quick and v * h > 32_000 * 512) or (distinct and (v, h) != (32_000, 512)):
        pytest.skip("a whole run measures it" if scale.quick else "one shape shows it")
    problem = tokens(n, v, h, distinct=distinct)
    share = len(np.unique(problem["targets"])) / n
    calls = contestants(problem, all_of_them=v * h <= 32_000 * 512)
    found = contest(
        "EMO loss",
        f"{n} tokens, {v} x {h}, {share:.0%} of the targets distinct",
        [Contestant(name, call, [None]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=compare(calls),
        axes={"n": n, "v": v, "h": h},
    )
    if PACKAGE in calls:
        needed = 2.5 if distinct else times
        found.compare(f">= {needed:g}x EMOLoss 0.0.3", needed, PACKAGE)
    if CHUNKS in calls:
        found.compare(">= 1.5x plain torch in chunks", 1.5, CHUNKS)
    record(found)


@pytest.mark.parametrize("shape", ["16x32000x512", "256x32000x512", "512x32000x1024", "256x128000x1024"])
def test_memory(shape: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    n, v, _ = map(int, shape.split("x"))
    if scale.quick and v > 32_000:
        pytest.skip("a whole run measures it")
    table, extra = [], 0
    for engine in (OURS, PACKAGE, CHUNKS):
        if engine in Arena.missing:
            continue
        found = measure("emo", engine, shape)
        beyond = found["peak"] - found["output"]
        table.append(Row(engine, found["peak"] / 2**20, note=f"{beyond / 2**20:.1f} MiB beyond the gradient"))
        extra = beyond if engine == OURS else extra
    result = Record("EMO loss, memory", shape.replace("x", " x "), "MiB", table, axes={"size": n})
    result.limit(f"<= gradient + {EXTRA_MIB[v]} MiB", extra / 2**20, EXTRA_MIB[v])
    record(result)


@pytest.mark.parametrize("shape", ["256x32000x512", "128x128000x1024"])
def test_memory_of_the_fused_form(shape: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    pytest.importorskip("torch", reason="pip install torch")
    n, v, _ = map(int, shape.split("x"))
    if scale.quick and v > 32_000:
        pytest.skip("a whole run measures it")
    found = measure("emo", FUSED, shape)
    beyond = found["peak"] - found["output"]
    row = Row(OURS, found["peak"] / 2**20, note=f"{beyond / 2**20:.1f} MiB beyond the gradients")
    logits = Row("all logits", 4 * n * v / 2**20, note="which are never formed")
    result = Record("EMO loss, fused, memory", shape.replace("x", " x "), "MiB", [row, logits], axes={"size": n})
    buffers = 3 * max(16, 2**22 // v // 16 * 16) * 4 * v / 2**20 + 16
    result.limit("<= gradients + 3 chunks of logits + 16 MiB", beyond / 2**20, buffers)
    record(result)


@pytest.mark.parametrize(("v", "h"), [(32_000, 512), (128_000, 1024)])
def test_fused_linear(
    v: int, h: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    """Hidden states and output layer: against the four products that it cannot do without."""
    torch = pytest.importorskip("torch", reason="pip install torch")
    if scale.quick and v > 32_000:
        pytest.skip("a whole run measures it")
    from likewise.integrations.torch import fused_linear_emo_loss

    torch.set_num_threads(1)
    n, chunk = 256, max(16, 2**22 // v // 16 * 16)
    problem = tokens(n, v, h)
    torch.manual_seed(0)
    hidden = torch.randn(n, h, requires_grad=True)
    weight = (torch.randn(v, h) / h**0.5).requires_grad_()
    costs, targets = torch.from_numpy(problem["embedding"]), torch.from_numpy(problem["targets"])
    buffers = [torch.empty(chunk, v) for _ in range(2)]
    of_hidden, of_weight = torch.empty(n, h), torch.empty(v, h)

    def fused(_: Any) -> Any:
        hidden.grad = weight.grad = None
        loss = fused_linear_emo_loss(hidden, weight, targets, costs)
        loss.backward()
        return loss

    def products(_: Any) -> Any:
        h_, w = hidden.detach(), weight.detach()
        of_weight.zero_()
        for first in range(0, n, chunk):
            part = slice(first, first + chunk)
            size = len(h_[part])
            torch.mm(h_[part], w.T, out=buffers[0][:size])
            labels = torch.unique(targets[part])
            torch.mm(costs[labels], costs.T, out=buffers[1][: len(labels)])
            torch.mm(buffers[0][:size], w, out=of_hidden[part])
            of_weight.addmm_(buffers[0][:size].T, h_[part])

    found = contest(
        "EMO loss, fused with the output layer",
        f"{n} tokens, {v} x {h}, {chunk} at a time",
        [Contestant(OURS, fused, [None]), Contestant("its four products", products, [None])],
        unit="ms",
        factor=1e3,
        budget=scale.budget * (1 if v <= 32_000 else 4),  # seconds a call: a single round of each says little
    )
    ours, floor = found.row(OURS), found.row("its four products")
    assert ours is not None and floor is not None
    found.limit("<= 1.15x its four products", ours.value / floor.value, 1.15)
    record(found)


def test_kept_cosines(scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    from likewise.transport import FixedEmbeddingCache, emo_loss

    n, v, h = 256, 32_000, 512
    problem = tokens(n, v, h)
    z, t, e = problem["logits"], problem["targets"], problem["embedding"]
    expected = (1e6 / (np.arange(v) + 1.0) ** 1.02).astype(np.int64)
    caches = {f"{rows} rows kept": FixedEmbeddingCache(e, expected, max_bytes=rows * 4 * v) for rows in (200, 2000)}
    everything = FixedEmbeddingCache(e, np.bincount(t, minlength=v))
    calls = {OURS: lambda _: emo_loss(z, t, e, n_threads=1)}
    for name, cache in (*caches.items(), ("all rows kept", everything)):
        calls[name] = lambda _, cache=cache: emo_loss(z, t, cache, n_threads=1)
    notes = compare(calls)
    for name, cache in caches.items():
        notes[name] += f", hit rate {cache.hit_rate:.0%}, {cache.nbytes / 2**20:.0f} MiB"
    record(
        contest(
            "EMO loss, kept cosines",
            f"{n} tokens, {v} x {h}",
            [Contestant(name, call, [None]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            notes=notes,
        )
    )


@pytest.mark.parametrize("varies", ["tokens", "vocabulary"])
def test_growth(varies: str, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]) -> None:
    sizes = [(4 * 8**i, 8_000) for i in range(4)] if varies == "tokens" else [(64, 250 * 8**i) for i in range(4)]
    for n, v in sizes[:3] if scale.quick else sizes:
        calls = contestants(tokens(n, v, 256), all_of_them=False)
        record(
            contest(
                "EMO loss, growth",
                f"{n} tokens, {v} x 256",
                [Contestant(name, call, [None]) for name, call in calls.items()],
                unit="ms",
                factor=1e3,
                axes={"varies": varies, "size": n if varies == "tokens" else v},
                budget=scale.budget / 3,
            )
        )
