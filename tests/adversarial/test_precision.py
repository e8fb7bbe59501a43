"""Mixed precision: autocast, tables of low precision, scalers."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402

from likewise.adversarial import Adversary  # noqa: E402

from .models import METHODS, Classifier, assert_close, batch, ce, gradients, step_of  # noqa: E402


@pytest.mark.parametrize("method", METHODS)
def test_autocast_to_bfloat16_is_finite(method: str) -> None:
    ids, labels = batch()
    model = Classifier(dtype=torch.float32)

    def forward(ids: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(ids).float()

    step = step_of(model, method, ids, labels, forward)
    assert not step.skipped and torch.isfinite(step.loss)
    assert all(torch.isfinite(g).all() for g in gradients(model).values())
    # Around the whole call it is the same.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        around = step_of(model, method, ids, labels, lambda ids: model(ids).float())
    assert around.loss == pytest.approx(float(step.loss), rel=1e-2)
    if method != "gp":
        assert around.perturbation_norm == pytest.approx(0.4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tables_of_low_precision(dtype: Any) -> None:
    ids, labels = batch()
    model = Classifier(dtype=dtype)
    seen = []
    model.embedding.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    step = Adversary(model.embedding, epsilon=0.4).backward(ce(model, ids, labels))
    assert step.adversarial_loss > step.clean_loss and seen == [dtype] * 2
    assert step.perturbation_norm.dtype == torch.float32


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_a_scaler_skips_the_step_that_overflows(clean_weight: float) -> None:
    model = Classifier(dtype=torch.float32)
    ids, labels = batch()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    adversary = Adversary(model.embedding, epsilon=0.4, clean_weight=clean_weight)

    def forward() -> Any:
        with torch.autocast("cpu", dtype=torch.float16):
            return nn.functional.cross_entropy(model(ids), labels)

    skipped, before = [], copy.deepcopy(model.state_dict())
    for _ in range(130):
        optimizer.zero_grad()
        step = adversary.backward(forward, backward=lambda loss: scaler.scale(loss).backward())
        scaler.step(optimizer)
        scaler.update()
        skipped.append(step.skipped)
        if not step.skipped and any((p != before[name]).any() for name, p in model.named_parameters()):
            break
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert skipped[0] and not skipped[-1]
    assert step.perturbation_norm == pytest.approx(0.4)


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
def test_a_scale_changes_nothing_but_the_scale(method: str) -> None:
    ids, labels = batch()
    a, b = Classifier(), Classifier()
    options = {"clean_weight": 0.0} if method == "fgm" else {}
    step_of(a, method, ids, labels, **options)

    def closure() -> Any:
        logits = b(ids)
        loss = nn.functional.cross_entropy(logits, labels)
        return SimpleNamespace(logits=logits, loss=loss)

    generator = torch.Generator().manual_seed(0)
    Adversary(b.embedding, method, 0.4, generator=generator, **options).backward(
        closure, backward=lambda loss: (loss * 1024).backward()
    )
    scaled = {name: g / 1024 for name, g in gradients(b).items()}
    assert_close(scaled, gradients(a))


def test_the_penalty_in_float16_needs_a_scale() -> None:
    """Gradients of 1e-9 are zero in float16 unless the losses are scaled before."""
    table = nn.Embedding(5, 4).half()
    w = nn.Parameter(torch.full((4,), 1e-4, dtype=torch.float16))
    ids = torch.tensor([[1, 2]])

    def closure() -> Any:
        return ((table(ids).mean(1) * w).sum(1) * 1e-4).float()

    found = [
        Adversary(table, "gp", squared=False).backward(closure, grad_scale=scale).adversarial_loss.item()
        for scale in (1.0, 2.0**14)
    ]
    # 1e-8 / 2 at each of eight numbers.
    assert found[1] == pytest.approx(0.5e-8 * 8**0.5, rel=0.05) and abs(found[0] - found[1]) > 0.5 * found[1]
