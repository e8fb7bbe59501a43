"""Each method against its formula, written out."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402

from likewise.adversarial import Adversary  # noqa: E402

from .models import (  # noqa: E402
    SHAPES,
    Classifier,
    assert_close,
    batch,
    ce,
    gradient_at,
    gradients,
    input_gradient,
    losses,
    sum_of,
)


def unit(g: Any, norm: str) -> Any:
    return g / (g.square().sum(dim=SHAPES[norm], keepdim=True).sqrt() + 1e-12)


def project(delta: Any, epsilon: float, norm: str) -> Any:
    length = delta.square().sum(dim=SHAPES[norm], keepdim=True).sqrt()
    return torch.where(length > epsilon, delta * epsilon / length, delta)


@pytest.mark.parametrize("norm", ["sample", "token", "batch"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 1.0), (0.3, 2.0), (1.0, 0.0)])
def test_fgm_is_its_formula(norm: str, weights: tuple[float, float]) -> None:
    model = Classifier()
    ids, labels = batch()
    before = model.embedding.weight.detach().clone()
    step = Adversary(model.embedding, epsilon=0.4, norm=norm, clean_weight=weights[0], adv_weight=weights[1]).backward(
        ce(model, ids, labels)
    )
    delta = 0.4 * unit(input_gradient(model, ids, labels), norm)
    parts = gradient_at(model, ids, labels), gradient_at(model, ids, labels, delta)
    assert_close(gradients(model), sum_of((weights[0], parts[0]), (weights[1], parts[1])))
    assert torch.equal(model.embedding.weight, before)
    if weights[1]:
        assert step.perturbation_norm.item() == pytest.approx(0.4)
        expected = losses(model, model.embedding(ids) + delta, labels).mean().item()
        assert step.adversarial_loss.item() == pytest.approx(expected, rel=1e-8)
    else:
        assert step.adversarial_loss is None and step.perturbation_norm == 0


@pytest.mark.parametrize("norm", ["sample", "token", "batch"])
@pytest.mark.parametrize(("steps", "alpha"), [(1, None), (3, None), (3, 0.25)])
def test_pgd_is_its_formula(norm: str, steps: int, alpha: float | None) -> None:
    model = Classifier(seed=1)
    ids, labels = batch(1)
    Adversary(model.embedding, "pgd", 0.4, norm=norm, steps=steps, alpha=alpha).backward(ce(model, ids, labels))
    delta: Any = torch.zeros(5, 4, 6, dtype=torch.float64)
    for _ in range(steps):
        g = input_gradient(model, ids, labels, delta)
        delta = project(delta + (alpha or 1.5 * 0.4 / steps) * unit(g, norm), 0.4, norm)
    expected = sum_of((1.0, gradient_at(model, ids, labels)), (1.0, gradient_at(model, ids, labels, delta)))
    assert_close(gradients(model), expected)


@pytest.mark.parametrize("clean_weight", [0.0, 0.5])
@pytest.mark.parametrize("norm", ["sample", "token", "batch"])
def test_freelb_is_its_formula(clean_weight: float, norm: str) -> None:
    model = Classifier(seed=2, padding_idx=0)
    ids, labels = batch(2)
    ids[0, 2:], ids[3, 1:] = 0, 0
    seen = []

    def closure() -> Any:
        x = model.embedding(ids)
        seen.append(x.detach().clone() - model.embedding.weight.detach()[ids])
        return losses(model, x, labels).mean()

    adversary = Adversary(
        model.embedding,
        "freelb",
        0.4,
        norm=norm,
        adv_weight=0.9,
        clean_weight=clean_weight,
        generator=torch.Generator().manual_seed(5),
    )
    step = adversary.backward(closure)
    found = gradients(model)
    assert len(seen) == 3 + (clean_weight > 0)
    deltas = seen[-3:]
    start = deltas[0]
    n_real = (ids != 0).sum(dim=1)
    numbers = {"sample": n_real[:, None, None] * 6, "token": torch.tensor(6), "batch": n_real.sum() * 6}[norm]
    assert (start.abs() <= 0.4 / numbers.sqrt() + 1e-12).all() and not start[ids == 0].any()
    assert (start.abs() > 0.35 / numbers.sqrt()).any() and (start > 0).any() and (start < 0).any()
    delta, parts = start, []
    for k in range(3):
        torch.testing.assert_close(deltas[k], delta, rtol=0, atol=1e-8)
        parts.append((0.9 / 3, gradient_at(model, ids, labels, delta)))
        g = torch.where((ids != 0)[..., None], input_gradient(model, ids, labels, delta), 0)
        delta = project(delta + 1.5 * 0.4 / 3 * unit(g, norm), 0.4, norm)
    if clean_weight:
        parts.append((clean_weight, gradient_at(model, ids, labels)))
    assert_close(found, sum_of(*parts), 1e-7)
    assert (step.clean_loss is None) == (clean_weight == 0)


def test_freelb_follows_its_generator() -> None:
    model = Classifier()
    ids, labels = batch()

    def found(seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        Adversary(model.embedding, "freelb", 0.4, generator=generator).backward(ce(model, ids, labels))
        return gradients(model)["out.weight"]

    assert torch.equal(found(1), found(1)) and not torch.equal(found(1), found(2))


def test_vat_is_its_formula() -> None:
    model = Classifier(seed=3)
    ids, _ = batch(3)
    seen = []

    def logits() -> Any:
        x = model.embedding(ids)
        seen.append(x.detach().clone() - model.embedding.weight.detach()[ids])
        return model.after(x)

    step = Adversary(model.embedding, "vat", 0.4, steps=2, xi=0.1, adv_weight=0.6).backward(logits)
    found = gradients(model)
    assert len(seen) == 4
    x = model.embedding.weight.detach()[ids]
    p = torch.log_softmax(model.after(x), -1).detach()

    def divergence(x: Any) -> Any:
        return torch.nn.functional.kl_div(
            torch.log_softmax(model.after(x), -1), p, log_target=True, reduction="batchmean"
        )

    near = x + seen[1]
    for expected in (seen[2] / 0.1, seen[3] / 0.4):
        near = near.detach().requires_grad_()
        (u,) = torch.autograd.grad(divergence(near), near)
        torch.testing.assert_close(expected, unit(u, "sample"), rtol=0, atol=1e-9)
        near = x + seen[2]
    assert seen[1].square().sum(dim=(1, 2)).sqrt().allclose(torch.tensor(0.1, dtype=torch.float64))
    (0.6 * divergence(model.embedding(ids) + seen[3])).backward()
    assert_close(found, gradients(model))
    assert step.loss.item() == pytest.approx(0.6 * step.adversarial_loss.item())


def test_vat_beats_noise_of_the_same_norm() -> None:
    by_steps = {}
    for steps in (0, 1):
        total = 0.0
        for seed in range(10):
            model = Classifier(seed=seed)
            ids, _ = batch(seed)
            adversary = Adversary(model.embedding, "vat", 0.5, steps=steps)
            total += adversary.backward(lambda model=model, ids=ids: model(ids)).adversarial_loss.item()
        by_steps[steps] = total
    assert by_steps[1] > 3 * by_steps[0]


def test_vat_with_labels_adds_the_loss() -> None:
    from types import SimpleNamespace

    model = Classifier()
    ids, labels = batch()

    def closure() -> Any:
        logits = model(ids)
        return SimpleNamespace(logits=logits, loss=nn.functional.cross_entropy(logits, labels))

    generator = torch.Generator().manual_seed(0)
    step = Adversary(model.embedding, "vat", 0.4, generator=generator).backward(closure)
    both = gradients(model)
    generator.manual_seed(0)
    Adversary(model.embedding, "vat", 0.4, generator=generator).backward(lambda: closure().logits)
    assert_close(both, sum_of((1.0, gradients(model)), (1.0, gradient_at(model, ids, labels))))
    assert step.loss == step.clean_loss + step.adversarial_loss
