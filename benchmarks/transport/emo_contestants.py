"""Who computes the EMO loss and its gradient: ours, the published package, plain torch in chunks, whole matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.arena import Arena
from benchmarks.results import OURS

PACKAGE = "EMOLoss"
FUSED = "likewise, fused"
CHUNKS = "torch, chunks"


def tokens(n: int, v: int, h: int, *, distinct: bool = False) -> dict[str, Any]:
    """Logits, targets drawn by Zipf's law (or all different), and an embedding."""
    rng = np.random.default_rng(n + v + h)
    frequency = 1 / (np.arange(v) + 1.0) ** 1.02
    targets = rng.choice(v, n, replace=False) if distinct else rng.choice(v, n, p=frequency / frequency.sum())
    logits = rng.standard_normal((n, v), dtype=np.float32)
    logits *= 2
    return dict(logits=logits, targets=targets, embedding=rng.standard_normal((v, h), dtype=np.float32))


def contestants(problem: dict[str, Any], *, all_of_them: bool = True) -> dict[str, Callable[[Any], Any]]:
    """Each takes nothing that matters and returns loss and gradient (the cross entropy: of another loss)."""
    from likewise.transport import emo_loss

    z, t, e = problem["logits"], problem["targets"], problem["embedding"]
    found: dict[str, Callable[[Any], Any]] = {OURS: lambda _: emo_loss(z, t, e, n_threads=1)}
    try:
        import torch
    except ImportError:
        Arena.missing["torch"] = "pip install torch"
        return found
    torch.set_num_threads(1)
    from likewise.integrations.torch import emo_loss as differentiable

    logits, targets, embedding = torch.from_numpy(z).requires_grad_(), torch.from_numpy(t), torch.from_numpy(e)

    def through_autograd(loss: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(_: Any) -> Any:
            logits.grad = None
            value = loss(logits)
            value.backward()
            return float(value.detach()), logits.grad.numpy()

        return call

    found["likewise, torch"] = through_autograd(lambda x: differentiable(x, targets, embedding))
    found[CHUNKS] = lambda _: in_chunks(logits.detach(), targets, embedding)
    found["torch, cross entropy"] = through_autograd(lambda x: torch.nn.functional.cross_entropy(x, targets))
    try:
        import emo
    except ImportError:
        Arena.missing[PACKAGE] = "pip install EMOLoss==0.0.3"
    else:
        # It predicts the next token: one more of them, and labels one place later.
        longer = torch.cat([logits.detach(), logits.detach()[-1:]])[None].requires_grad_()
        labels = torch.cat([targets[:1], targets])[None]

        def package(_: Any) -> Any:
            longer.grad = None
            value = emo.EMOLoss(longer, labels, embedding)
            value.backward()
            return float(value.detach()), longer.grad[0, :-1].numpy()

        found[PACKAGE] = package
    if all_of_them:
        from benchmarks.references.transport_emo_numpy import emo_reference

        found["numpy"] = lambda _: emo_reference(**problem)
    return found


def in_chunks(logits: Any, targets: Any, embedding: Any) -> Any:
    """As one would write it in torch with care: 64 tokens at a time, one product for the distinct labels of each."""
    import torch

    inverse_norms = 1 / torch.linalg.vector_norm(embedding, dim=1)
    n = len(logits)
    grad, total = torch.empty_like(logits), 0.0
    for first in range(0, n, 64):
        z, t = logits[first : first + 64], targets[first : first + 64]
        labels, which = torch.unique(t, return_inverse=True)
        cosines = (embedding[labels] * inverse_norms[labels, None]) @ embedding.T
        cosines *= inverse_norms
        c = cosines[which]
        q = torch.softmax(z, dim=1)
        s = (q * c).sum(dim=1, keepdim=True)
        cost = 1 - s[:, 0]
        entropy = -torch.log_softmax(z, dim=1).gather(1, t[:, None])[:, 0]
        ratio = (entropy / (cost + 1e-10)).clamp(max=3)
        total += float((entropy + ratio * cost).sum()) / 2
        out = grad[first : first + 64]
        torch.mul(q, (1 - ratio[:, None] * (c - s)) / (2 * n), out=out)
        out.scatter_add_(1, t[:, None], torch.full((len(t), 1), -0.5 / n))
    return total / n, grad.numpy()


def emo_task(engine: str, shape: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """Loss and gradient of tokens of a shape like "256x32000x512", in a process of its own."""
    n, v, h = map(int, shape.split("x"))
    if engine == FUSED:
        return _fused_task(n, v, h)
    problem = tokens(n, v, h)
    call = contestants(problem, all_of_them=engine == "numpy")[engine]
    small = contestants(tokens(4, 64, 8), all_of_them=engine == "numpy")[engine]
    small(None)  # libraries load, threads and buffers are made
    return lambda: call(None), lambda result: {"output": int(result[1].nbytes)}


def _fused_task(n: int, v: int, h: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """Hidden states and an output layer, forward and backward."""
    import torch

    from likewise.integrations.torch import fused_linear_emo_loss

    torch.set_num_threads(1)
    torch.manual_seed(0)

    def prepare(n: int, v: int, h: int) -> Callable[[], Any]:
        hidden, weight = torch.randn(n, h, requires_grad=True), torch.randn(v, h, requires_grad=True)
        costs, targets = torch.randn(v, h), torch.randint(v, (n,))

        def run() -> Any:
            fused_linear_emo_loss(hidden, weight, targets, costs).backward()
            return hidden.grad, weight.grad

        return run

    prepare(4, 64, 8)()
    return prepare(n, v, h), lambda grads: {"output": sum(grad.nbytes for grad in grads)}
