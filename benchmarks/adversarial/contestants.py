"""One step of training on perturbed embeddings: ours, the recipe that circulates, and what cannot be cheaper."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from benchmarks.results import OURS

ONE, TWO = "one plain pass", "two plain passes"
ROWS, ONLY = "likewise, rows", "likewise, adversarial only"
TOUCHED, FOLKLORE = "perturb_rows", "table cloned"
PGD, PENALTY, DIFFERENCES = "likewise, pgd of 3", "likewise, penalty", "likewise, penalty by differences"
EPSILON = 0.5
_M_MMAP_THRESHOLD = -3  # of malloc.h


def model_of(v: int, d: int, *, n_layers: int = 2, sparse: bool = False) -> Any:
    """A classifier: embeddings, transformer layers, the mean, logits. No dropout, so that results can be compared."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(v, d, sparse=sparse)
            layer = [
                nn.TransformerEncoderLayer(d, d // 64, 4 * d, dropout=0.0, batch_first=True) for _ in range(n_layers)
            ]
            self.layers, self.out = nn.Sequential(*layer), nn.Linear(d, 2)

        def forward(self, ids: Any) -> Any:
            return self.out(self.layers(self.embedding(ids)).mean(dim=1))

    return Model()


def contestants(model: Any, n: int, length: int, names: list[str]) -> dict[str, Callable[[Any], Any]]:
    """Calls that leave new gradients in the model and return the loss, by name."""
    import torch
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from likewise.adversarial import Adversary, perturb_rows

    v = model.embedding.num_embeddings
    source = torch.Generator().manual_seed(1)
    # Words by Zipf's law, as they come.
    chances = 1 / (torch.arange(v) + 1.0) ** 1.02
    ids = torch.multinomial(chances, n * length, replacement=True, generator=source).view(n, length)
    labels = torch.randint(2, (n,), generator=source)

    def losses() -> Any:
        return nn.functional.cross_entropy(model(ids), labels, reduction="none")

    def loss() -> Any:
        return losses().mean()

    def plain(times: int) -> Callable[[Any], Any]:
        def call(_: Any) -> Any:
            model.zero_grad()
            for _ in range(times):
                value = loss()
                value.backward()
            return value.detach()

        return call

    def folklore(_: Any) -> Any:
        """As it is copied from repository to repository."""
        model.zero_grad()
        clean = loss()
        clean.backward()
        weight = model.embedding.weight
        backup = weight.data.clone()
        norm = torch.norm(weight.grad.coalesce().values() if weight.grad.is_sparse else weight.grad)
        if norm != 0 and not torch.isnan(norm):
            weight.data.add_(EPSILON * weight.grad / norm)
        value = loss()
        value.backward()
        weight.data = backup
        return value.detach()

    def touched(_: Any) -> Any:
        model.zero_grad()
        loss().backward()
        with perturb_rows(model.embedding.weight, ids, EPSILON):
            value = loss()
            value.backward()
        return value.detach()

    def step(**options: Any) -> Callable[[Any], Any]:
        def call(_: Any) -> Any:
            model.zero_grad()
            # A new one each time: the hooks of all contestants would add up.
            with Adversary(model.embedding, epsilon=EPSILON, **options) as adversary:
                return adversary.backward(loss).adversarial_loss

        return call

    def penalty(**options: Any) -> Callable[[Any], Any]:
        def call(_: Any) -> Any:
            model.zero_grad()
            with sdpa_kernel(SDPBackend.MATH), Adversary(model.embedding, "gp", EPSILON, **options) as adversary:
                return adversary.backward(losses).adversarial_loss

        return call

    every = {
        ONE: plain(1),
        TWO: plain(2),
        OURS: step(),
        ROWS: step(space="rows"),
        ONLY: step(clean_weight=0.0),
        FOLKLORE: folklore,
        TOUCHED: touched,
        PGD: step(method="pgd"),
        PENALTY: penalty(),
        DIFFERENCES: penalty(gp_mode="fd"),
    }
    return {name: every[name] for name in names}


def memory_task(engine: str, shape: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """One step of a contestant at a shape like "16x64x30522x256" (samples, length, vocabulary, d)."""
    import torch

    torch.set_num_threads(1)
    # Tensors get pages of their own, and give them back: what lies around in the heap is not what a step needs.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 16)
    n, length, v, d = map(int, shape.split("x"))
    small = model_of(50, 64)
    contestants(small, 2, 4, [engine])[engine](None)  # libraries load, threads and buffers are made
    model = model_of(v, d)
    call = contestants(model, n, length, [engine])[engine]
    model.embedding.weight.detach().add_(0)  # the table is resident
    return lambda: call(None), lambda loss: {"loss": float(loss)}
