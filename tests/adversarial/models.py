"""Small models, and what a step must add to their gradients, computed the plain way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from likewise.adversarial import Adversary

F64 = torch.float64
METHODS = ["fgm", "pgd", "freelb", "vat", "gp"]
SHAPES = {"sample": (1, 2), "token": (2,), "batch": (0, 1, 2)}  # the axes that one norm is taken over


class Classifier(nn.Module):  # type: ignore[misc]
    """Embedding, a nonlinear layer of each token, a mean over the tokens that are not padding, logits."""

    def __init__(self, *, v: int = 30, d: int = 6, classes: int = 3, dtype: Any = F64, seed: int = 0, **options: Any):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(v, d, dtype=dtype, **options)
        self.hidden = nn.Linear(d, 8, dtype=dtype)
        self.out = nn.Linear(8, classes, dtype=dtype)
        self.dropout = nn.Dropout(0.0)

    def forward(self, ids: Any) -> Any:
        return self.after(self.embedding(ids))

    def after(self, x: Any) -> Any:
        """The logits of embeddings."""
        return self.out(self.dropout(torch.tanh(self.hidden(x))).mean(dim=1))


def batch(seed: int = 0, n: int = 5, length: int = 4, v: int = 30, classes: int = 3) -> tuple[Any, Any]:
    source = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, v, (n, length), generator=source)
    return ids, torch.randint(classes, (n,), generator=source)


def gradients(model: Any) -> dict[str, Any]:
    """Of all parameters, and forgotten by the model."""
    found = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


def losses(model: Any, x: Any, labels: Any) -> Any:
    return nn.functional.cross_entropy(model.after(x), labels, reduction="none")


def gradient_at(model: Any, ids: Any, labels: Any, delta: Any = 0.0) -> dict[str, Any]:
    """Of the mean loss at perturbed embeddings by all parameters, by a functional call."""
    parameters = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}

    def loss(values: dict[str, Any]) -> Any:
        x = nn.functional.embedding(ids, values["embedding.weight"], model.embedding.padding_idx) + delta
        rest = {name: value for name, value in values.items() if name != "embedding.weight"}
        return torch.func.functional_call(_After(model), {f"model.{k}": v for k, v in rest.items()}, (x, labels))

    return torch.func.grad(loss)(parameters)


class _After(nn.Module):  # type: ignore[misc]
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any, labels: Any) -> Any:
        return losses(self.model, x, labels).mean()


def input_gradient(model: Any, ids: Any, labels: Any, delta: Any = 0.0) -> Any:
    """Of the mean loss by the embeddings."""
    x = (model.embedding(ids).detach() + delta).requires_grad_()
    return torch.autograd.grad(losses(model, x, labels).mean(), x)[0]


def sum_of(*terms: tuple[float, dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(w * found[name] for w, found in terms) for name in terms[0][1]}


def assert_close(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-8) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        scale = max(1e-3, float(expected[name].detach().abs().max()))
        assert float((value - expected[name]).detach().abs().max()) <= tolerance * scale, name


def ce(model: Any, ids: Any, labels: Any) -> Callable[[], Any]:
    """The closure of a plain training step."""
    return lambda: nn.functional.cross_entropy(model(ids), labels)


def step_of(model: Any, method: str, ids: Any, labels: Any, forward: Any = None, **options: Any) -> Any:
    """A step, the same noise each time; the gradients stay in the model."""
    forward = forward or model

    def closure() -> Any:
        logits = forward(ids)
        if method == "vat":
            return SimpleNamespace(logits=logits, loss=nn.functional.cross_entropy(logits, labels))
        found = nn.functional.cross_entropy(logits, labels, reduction="none")
        return found if method == "gp" else found.mean()

    generator = torch.Generator().manual_seed(0)
    with Adversary(model.embedding, method, 0.4, generator=generator, **options) as adversary:
        return adversary.backward(closure)
