"""Numbers that can be checked by hand, and the published recipes re-derived in numpy."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from likewise.adversarial import Adversary, adversarial_training, attack, gradient_penalty  # noqa: E402

F64 = torch.float64
X = torch.tensor([[1.0, 0.0]], dtype=F64)


class Point(torch.nn.Module):  # type: ignore[misc]
    """A target that gives out what it holds."""

    def __init__(self, x: Any) -> None:
        super().__init__()
        self.x, self.seen = x, []

    def forward(self) -> Any:
        return self.x


class Logistic(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.point, self.w = Point(X), torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=F64))
        self.seen: list[Any] = []

    def forward(self) -> Any:
        x = self.point()
        self.seen.append(x.detach().clone())
        return torch.nn.functional.softplus(-x @ self.w)


def near(found: Any, expected: Any, tolerance: float = 1e-8) -> None:
    found = torch.as_tensor(found, dtype=F64).detach()
    assert (found - torch.as_tensor(expected, dtype=F64)).abs().max() <= tolerance, found


def test_fgm_of_the_logistic_loss() -> None:
    model = Logistic()
    step = Adversary(model.point, epsilon=0.5).backward(lambda: model().mean())
    near(step.clean_loss, 0.04858735)
    near(step.adversarial_loss, 0.47407698)
    near(step.loss, 0.04858735 + 0.47407698, 2e-8)
    near(step.perturbation_norm, 0.5)
    near(model.seen[1] - X, [[-0.3, -0.4]])
    near(model.w.grad, [-0.04742587 - 0.26427847, 0.15101627], 2e-8)
    assert step.skipped is False
    # The exact worst case of a linear model.
    near(step.adversarial_loss, math.log1p(math.exp(-(3 - 0.5 * 5))))


@pytest.mark.parametrize(("weights", "grad"), [((1.0, 0.0), (-0.04742587, 0)), ((0.0, 1.0), (-0.26427847, 0.15101627))])
def test_each_weight_alone(weights: tuple[float, float], grad: tuple[float, float]) -> None:
    model = Logistic()
    step = Adversary(model.point, epsilon=0.5, clean_weight=weights[0], adv_weight=weights[1]).backward(
        lambda: model().mean()
    )
    near(model.w.grad, grad)
    near(step.loss, step.clean_loss if weights[0] else step.adversarial_loss)


def test_sign() -> None:
    model = Logistic()
    step = Adversary(model.point, epsilon=0.5, p=math.inf).backward(lambda: model().mean())
    near(model.seen[1] - X, [[-0.5, -0.5]])
    near(step.adversarial_loss, 0.97407698)
    near(step.perturbation_norm, 0.5)


def test_pgd() -> None:
    model = Logistic()
    step = Adversary(model.point, "pgd", 0.5, alpha=0.3).backward(lambda: model().mean())
    assert len(model.seen) == 4
    near(model.seen[1] - X, [[-0.18, -0.24]])
    near(model.seen[2] - X, [[-0.3, -0.4]])
    near(model.seen[3] - X, [[-0.3, -0.4]])
    near(step.adversarial_loss, 0.47407698)
    near(torch.nn.functional.softplus(-model.seen[1] @ model.w), 0.20141328)


def test_attack() -> None:
    w = torch.tensor([3.0, 4.0], dtype=F64)

    def loss(x: Any) -> Any:
        return torch.nn.functional.softplus(-x @ w)

    near(attack(loss, X, 0.5), [[-0.3, -0.4]])
    near(attack(loss, X, 0.5, steps=1, alpha=0.3), [[-0.18, -0.24]])
    near(attack(loss, X, 0.5, p=math.inf), [[-0.5, -0.5]])


def test_penalty_and_its_gradient() -> None:
    w = torch.tensor([3.0, 4.0], dtype=F64, requires_grad=True)

    def loss(x: Any) -> Any:
        return torch.nn.functional.softplus(-x @ w)

    def found(**options: Any) -> tuple[Any, Any]:
        penalty = gradient_penalty(loss, X, 0.5, **options)
        return penalty, torch.autograd.grad(penalty, w)[0]

    clean = 0.04858735
    penalty, grad = found(squared=False)
    near(clean + penalty.detach(), 0.16715203)
    near(grad, (-0.09871389, 0.01897035))
    penalty, grad = found()
    near(clean + penalty.detach(), 0.06264494)
    near(grad, (-0.02340796, 0.00449843))
    penalty, grad = found(mode="fd")
    near(clean + penalty.detach(), 0.06264494)
    near(grad, (-0.02385781, 0.00471759))
    penalty, grad = found(mode="fd", order=2)
    near(clean + penalty.detach(), 0.06264494)
    near(grad, (-0.02341246, 0.00450328))


@pytest.mark.parametrize("options", [{}, {"squared": False}, {"gp_mode": "fd"}, {"gp_mode": "fd", "order": 2}])
@pytest.mark.parametrize("reduction", ["sample", "batch"])
def test_the_method_equals_the_function(options: dict[str, Any], reduction: str) -> None:
    model = Logistic()
    model.point.x = torch.tensor([[1.0, 0.0], [0.3, -0.2], [-0.5, 0.4]], dtype=F64)
    step = Adversary(model.point, "gp", 0.5, reduction=reduction, adv_weight=0.7, **options).backward(model)
    assert len(model.seen) == {"double": 1, "fd": 1 + options.get("order", 1)}[options.get("gp_mode", "double")]
    grad, model.w.grad = model.w.grad, None
    renamed = {("mode" if k == "gp_mode" else k): v for k, v in options.items()}

    def loss(x: Any) -> Any:
        return torch.nn.functional.softplus(-x @ model.w)

    penalty = gradient_penalty(loss, model.point.x, 0.5, reduction=reduction, **renamed)
    (loss(model.point.x).mean() + 0.7 * penalty).backward()
    near(grad, model.w.grad, 1e-12)
    near(step.adversarial_loss, penalty, 1e-12)
    near(step.loss, step.clean_loss + 0.7 * penalty.detach(), 1e-12)


def test_raw_gradient_is_the_squared_penalty_to_first_order() -> None:
    """With delta = epsilon g: the loss of the figures, and gradients that agree where values do not."""
    w = torch.tensor([3.0, 4.0], dtype=F64, requires_grad=True)

    def loss(x: Any) -> Any:
        return torch.nn.functional.softplus(-x @ w).sum()

    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(loss(x), x)
    near(g, [[-0.14227762, -0.18970349]])
    near(loss(x + 0.5 * g), 0.08624122)
    near(loss(x) + 0.5 * (g * g).sum(), 0.07670252)
    epsilon = 1e-4
    (adversarial,) = torch.autograd.grad(loss(x + epsilon * g), w)
    (clean,) = torch.autograd.grad(loss(x), w)
    (penalty,) = torch.autograd.grad(gradient_penalty(lambda x: -torch.nn.functional.logsigmoid(x @ w), X, 1.0), w)
    near((adversarial - clean) / epsilon, penalty, 1e-4)


def deltas(g: Any, **options: Any) -> Any:
    """What fgm adds for a gradient that is given."""
    point, one = Point(torch.zeros_like(g)), torch.ones((), requires_grad=True)
    seen = []

    def closure() -> Any:
        x = point()
        seen.append(x.detach().clone())
        return (x * g).sum() * one

    Adversary(point, epsilon=1.0, clean_weight=0, **options).backward(closure)
    return seen[1]


def test_units_of_the_norm() -> None:
    g = torch.zeros(2, 3, 2, dtype=F64)
    g[0, 0], g[1, 1] = torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])
    for norm in ("sample", "token"):
        delta = deltas(g, norm=norm)
        near(delta[0, 0], (0.6, 0.8))
        near(delta[1, 1], (0.6, 0.8))
    delta = deltas(g, norm="batch")
    near(delta[0, 0], (0.26832816, 0.35777088))
    near(delta[1, 1], (0.53665631, 0.71554175))
    delta[0, 0] = delta[1, 1] = 0
    assert not delta.any()


@pytest.mark.parametrize("norm", ["batch", "token", None])
def test_rows(norm: str | None) -> None:
    table = torch.nn.Embedding(4, 2, dtype=F64)
    ids = torch.tensor([[1, 1, 2]])
    g = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]], dtype=F64)
    seen = []

    def closure() -> Any:
        x = table(ids)
        seen.append(x.detach().clone())
        return (x * g).sum()

    Adversary(table, space="rows", norm=norm).backward(closure)
    near(seen[1] - seen[0], [[[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]])
    seen.clear()
    Adversary(table, norm="token").backward(closure)
    near(seen[1] - seen[0], [[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])


@pytest.mark.parametrize("xi", [1e-3, 10.0])
def test_vat(xi: float) -> None:
    point = Point(torch.zeros(1, 2, dtype=F64))
    w = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    seen = []

    def closure() -> Any:
        x = point()
        seen.append(x.detach().clone())
        return x * w

    generator = torch.Generator().manual_seed(3)
    step = Adversary(point, "vat", 0.5, xi=xi, generator=generator).backward(closure)
    assert len(seen) == 3 and step.clean_loss is None
    near(step.adversarial_loss, 0.14873171)
    near(step.loss, step.adversarial_loss)
    direction = seen[2][0] / 0.5
    near(direction * direction[0].sign(), (0.4472136, -0.89442719), 1e-7)
    assert pytest.approx(0.15625) == 0.5 * 1.25 * 0.25  # the second order of the divergence
    near(step.adversarial_loss, 0.15625, 0.01)


def test_the_published_fgm_in_numpy() -> None:
    """kexue.fm/archives/7234: G by hand, the table at W + epsilon G / (||G|| + 1e-8), the gradient there."""
    rng = np.random.default_rng(0)
    v, d, c, n, length, epsilon = 12, 5, 3, 4, 6, 0.7
    table, layer = rng.normal(size=(v, d)), rng.normal(size=(d, c))
    ids, labels = rng.integers(0, v, (n, length)), rng.integers(0, c, n)

    def loss_and_gradients(table: Any) -> tuple[float, Any, Any]:
        means = table[ids].mean(axis=1)
        z = means @ layer
        q = np.exp(z - z.max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        loss = float(-np.log(q[np.arange(n), labels]).mean())
        q[np.arange(n), labels] -= 1
        q /= n
        of_table = np.zeros_like(table)
        np.add.at(of_table, ids, np.repeat((q @ layer.T / length)[:, None], length, axis=1))
        return loss, of_table, means.T @ q

    clean, g, _ = loss_and_gradients(table)
    loss, of_table, of_layer = loss_and_gradients(table + epsilon * g / (np.linalg.norm(g) + 1e-8))

    class Model(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding.from_pretrained(torch.from_numpy(table.copy()), freeze=False)
            self.layer = torch.nn.Parameter(torch.from_numpy(layer.copy()))

        def forward(self) -> Any:
            z = self.words(torch.from_numpy(ids)).mean(1) @ self.layer
            return SimpleNamespace(loss=torch.nn.functional.cross_entropy(z, torch.from_numpy(labels)))

    model = Model()
    step = adversarial_training(model, "words", epsilon=epsilon).backward(model)
    near(step.clean_loss, clean, 1e-12)
    near(step.loss, loss, 1e-12)
    near(model.words.weight.grad, of_table, 1e-12)
    near(model.layer.grad, of_layer, 1e-12)
    assert (model.words.weight.detach().numpy() == table).all()


@pytest.mark.parametrize("n", [4, 8])
def test_the_published_penalty_fades_with_the_batch(n: int) -> None:
    torch.manual_seed(0)
    w = torch.randn(3, dtype=F64, requires_grad=True)
    x = torch.randn(2, 2, 3, dtype=F64).repeat(n // 2, 1, 1)

    def loss(x: Any) -> Any:
        return torch.nn.functional.softplus(x.mean(1) @ w)

    whole = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(loss(whole).mean(), whole)
    by_batch = gradient_penalty(loss, x, 0.5, reduction="batch")
    near(by_batch, 0.25 * (g * g).sum(), 1e-14)
    near(gradient_penalty(loss, x, 0.5) / n, by_batch, 1e-14)


def test_l2_pgd_as_attack_packages_write_it() -> None:
    """On a linear model: normalised ascent steps, projection by the norm of each sample, no random start."""
    torch.manual_seed(1)
    w, b = torch.randn(8, 3, dtype=F64), torch.randn(3, dtype=F64)
    x, labels = torch.randn(7, 8, dtype=F64), torch.randint(3, (7,))

    def loss(x: Any) -> Any:
        return torch.nn.functional.cross_entropy(x @ w + b, labels, reduction="none")

    adv = x.clone()
    for _ in range(10):
        adv = adv.detach().requires_grad_()
        (g,) = torch.autograd.grad(loss(adv).sum(), adv)
        adv = adv + 0.2 * g / (g.norm(dim=1, keepdim=True) + 1e-12)
        delta = adv - x
        adv = x + delta * (0.8 / delta.norm(dim=1, keepdim=True)).clamp(max=1)
    near(attack(loss, x, 0.8, alpha=0.2), (adv - x).detach(), 1e-12)
