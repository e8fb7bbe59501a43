"""Adversarial training: a step against two plain passes, and against the recipe that clones the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.measure import Contestant, Scale
from benchmarks.memory import measure
from benchmarks.results import OURS, Record, Row

from .contestants import (
    DIFFERENCES,
    FOLKLORE,
    ONE,
    ONLY,
    PENALTY,
    PGD,
    ROWS,
    TOUCHED,
    TWO,
    contestants,
    model_of,
)

pytestmark = pytest.mark.usefixtures("one_blas_thread")

V = 30_522
LARGE = [TWO, OURS, ROWS, ONLY, FOLKLORE]
SMALL = [ONE, *LARGE, TOUCHED, PGD, PENALTY, DIFFERENCES]


@pytest.fixture
def torch() -> Any:
    """With one thread."""
    found = pytest.importorskip("torch", reason="pip install torch")
    before = found.get_num_threads()
    found.set_num_threads(1)
    yield found
    found.set_num_threads(before)


def compare(model: Any, calls: dict[str, Callable[[Any], Any]]) -> dict[str, str]:
    """The recipe, our rows and perturb_rows give the same gradients; every perturbation raises the loss."""

    def gradient(name: str) -> tuple[float, Any]:
        loss = float(calls[name](None))
        return loss, model.layers[0].linear1.weight.grad.clone()

    clean = float(calls[TWO](None))
    expected_loss, expected = gradient(FOLKLORE)
    notes = {}
    for name in (ROWS, TOUCHED):
        if name in calls:
            loss, found = gradient(name)
            error = float((found - expected).norm() / expected.norm())
            assert abs(loss - expected_loss) < 1e-5 * abs(expected_loss) and error < 1e-4, f"{name}: {loss}, {error}"
            notes[name] = f"gradient of the recipe within {error:.0e}"
    for name in (OURS, ONLY, FOLKLORE):
        if name in calls:
            loss, _ = gradient(name)
            assert loss > clean, name
            notes[name] = f"loss {clean:.3f} to {loss:.3f}"
    return notes


@pytest.mark.parametrize(("d", "n", "length", "names"), [(256, 16, 64, SMALL), (768, 8, 64, LARGE)])
def test_step(
    torch: Any,
    d: int,
    n: int,
    length: int,
    names: list[str],
    scale: Scale,
    contest: Callable[..., Record],
    record: Callable[[Record], Record],
) -> None:
    if scale.quick and d > 256:
        pytest.skip("a whole run measures it")
    model = model_of(V, d)
    calls = contestants(model, n, length, names)
    found = contest(
        "adversarial step",
        f"{n} texts of {length}, {V} x {d}, 2 layers",
        [Contestant(name, call, [None]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=compare(model, calls),
        axes={"d": d},
        budget=4 * scale.budget,
        rounds=None if d == 256 else min(scale.rounds, 5),
    )
    two = found.row(TWO)
    assert two is not None

    def limit(text: str, name: str, most: float) -> None:
        row = found.row(name)
        assert row is not None and two is not None
        found.limit(text, row.value / two.value, most)

    limit("fgm <= 1.15x two plain passes", OURS, 1.15)
    limit("rows <= 1.2x two plain passes", ROWS, 1.2)
    limit("adversarial only <= 0.98x two plain passes", ONLY, 0.98)
    found.compare(">= 1.08x the recipe that clones the table", 1.08, FOLKLORE)
    record(found)


@pytest.mark.parametrize("shape", ["16x64x30522x256", "8x64x30522x768"])
def test_memory(torch: Any, shape: str, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Peak memory beyond that of two plain passes: some copies of the embeddings of the batch, none of the table."""
    if scale.quick and shape.startswith("8"):
        pytest.skip("a whole run measures it")
    n, length, v, d = map(int, shape.split("x"))
    embeddings, table, mib = 4 * n * length * d, 4 * v * d, 2**20
    peaks = {name: measure("adversarial", name, shape)["peak"] for name in (TWO, OURS, ROWS, ONLY, FOLKLORE)}
    rows = [
        Row(
            name,
            peak / mib,
            note=f"{(peak - peaks[TWO]) / mib:+.1f} MiB; embeddings {embeddings / mib:.1f}, table {table / mib:.0f}",
        )
        for name, peak in peaks.items()
    ]
    found = Record("adversarial step, memory", shape.replace("x", " x "), "MiB", rows, axes={"d": d})
    for name in (OURS, ROWS, ONLY):
        beyond = (peaks[name] - peaks[TWO]) / embeddings
        found.limit(f"{name}: <= two plain passes + 8 embeddings of the batch", beyond, 8)
    record(found)


@pytest.mark.parametrize("v", [1_000, 10_000, 100_000, 1_000_000])
def test_growth(
    torch: Any, v: int, scale: Scale, contest: Callable[..., Record], record: Callable[[Record], Record]
) -> None:
    """Against the vocabulary, with sparse gradients, so that plain training does not depend on it."""
    if scale.quick and v > 100_000:
        pytest.skip("a whole run measures it")
    model = model_of(v, 64, n_layers=1, sparse=True)
    calls = contestants(model, 8, 32, [TWO, OURS, ROWS, FOLKLORE])
    record(
        contest(
            "adversarial step, growth",
            f"8 texts of 32, {v} x 64, 1 layer, sparse gradients",
            [Contestant(name, call, [None]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            notes=compare(model, calls),
            axes={"size": v},
            budget=scale.budget / 2,
        )
    )
