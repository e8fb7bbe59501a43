"""The heads in torch: against numpy, finite differences, the gradients of the specification, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

import likewise.decoding as native  # noqa: E402
from likewise.integrations.torch import nll, non_monotonic_self_terminating, self_terminating  # noqa: E402

F64 = torch.float64
HEADS = {"st": self_terminating, "nmst": non_monotonic_self_terminating}
NATIVE = {"st": native.self_terminating, "nmst": native.non_monotonic_self_terminating}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("start", [0, 2, 9])
def test_equals_numpy(kind: str, start: int) -> None:
    logits = 3 * torch.randn(2, 3, 7, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    logits[0, 0, 0, 3] = -torch.inf
    expected = torch.from_numpy(NATIVE[kind](logits.numpy(), 2, 0.03, start=start))
    torch.testing.assert_close(HEADS[kind](logits, 2, 0.03, start=start), expected, rtol=1e-12, atol=1e-12)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 1e-1), (torch.float16, 2e-2)):
        found = HEADS[kind](logits.to(dtype), 2, 0.03, start=start)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", HEADS)
def test_gradcheck(kind: str) -> None:
    logits = torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: HEADS[kind](z, 1, 0.1), (logits,))
    targets = torch.tensor([0, 2, 1, -1])

    def loss(z: Any) -> Any:  # before start, where the end token has no probability, it is no target
        return nll(HEADS[kind](z, 1, 0.1, start=2), targets, targets >= 0)

    assert torch.autograd.gradcheck(loss, (logits,))
    assert torch.autograd.gradgradcheck(loss, (logits,))


def test_gradients_of_the_specification() -> None:
    a = torch.linspace(-3, 3, 6, dtype=F64)
    logits = torch.stack([torch.zeros(6, dtype=F64), a], dim=1).requires_grad_()
    # The other of two tokens has all of what goes on: ln p = S_t, then ln(1 - p(eos)).
    found = torch.autograd.grad(self_terminating(logits, 1, 0.1, start=2)[4, 0], logits)[0][:, 1]
    torch.testing.assert_close(found, torch.sigmoid(-a) * torch.tensor([0, 0, 1, 1, 1, 0]))
    log_probs = non_monotonic_self_terminating(logits, 1, 0.1)
    s, f = torch.sigmoid(a), 1 - 0.9 ** torch.arange(1, 7, dtype=F64)
    (found,) = torch.autograd.grad(log_probs[:, 1].exp().sum(), logits, retain_graph=True)
    torch.testing.assert_close(found[:, 1], (1 - f) * s * (1 - s))
    (found,) = torch.autograd.grad(log_probs[:, 0].sum(), logits)
    torch.testing.assert_close(found[:, 1], -s)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("a", [-80.0, 80.0])
def test_gradients_stay_finite(kind: str, dtype: Any, a: float) -> None:
    logits = torch.zeros(20_000, 3)
    logits[:, 2] = a
    leaf = logits.to(dtype).requires_grad_()
    log_probs = HEADS[kind](leaf, 2, 1e-6)
    assert torch.isfinite(log_probs).all()
    nll(log_probs, torch.full((20_000,), 2)).backward()
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all() and leaf.grad.dtype == dtype


@pytest.mark.parametrize("kind", HEADS)
def test_no_nan_on_the_way_back(kind: str) -> None:
    """Before start the end token has no logarithm: anomaly detection finds nothing to complain about."""
    logits = torch.zeros(6, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        HEADS[kind](logits, 1, 0.1, start=3)[:, 0].sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_training_by_a_head_lowers_its_loss() -> None:
    torch.manual_seed(0)
    layer, hidden = torch.nn.Linear(8, 5), torch.randn(4, 6, 8)
    targets = torch.randint(5, (4, 6))
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    losses = []
    for _ in range(20):
        loss = nll(non_monotonic_self_terminating(layer(hidden), 4, 1e-3), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_nll_of_masked_tokens() -> None:
    log_probs = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]).log().requires_grad_()
    targets = torch.tensor([[1, 0]])
    assert nll(log_probs, targets).item() == pytest.approx(-np.log(0.5 * 0.25) / 2)
    assert nll(log_probs, torch.tensor([[-100, 0]]), targets == 0).item() == pytest.approx(-np.log(0.25))
    nothing = nll(log_probs, targets, torch.zeros(1, 2, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0 and (log_probs.grad == 0).all()


def test_refusals() -> None:
    logits = torch.zeros(3, 4)
    for head in HEADS.values():
        with pytest.raises(TypeError, match="logits_seq: expected a tensor, got an array"):
            head(np.zeros((3, 4)), 0, 0.1)
        with pytest.raises(ValueError, match="logits_seq: expected a floating-point tensor, got torch.int64"):
            head(logits.long(), 0, 0.1)
        with pytest.raises(ValueError, match=r"logits_seq: expected shape \(..., T, V\)"):
            head(logits[0], 0, 0.1)
        with pytest.raises(ValueError, match="eos_id: expected an integer from 0 to 3, got 4"):
            head(logits, 4, 0.1)
        with pytest.raises(ValueError, match="epsilon: expected a finite number > 0"):
            head(logits, 0, 1.5)
    with pytest.raises(ValueError, match=r"targets: expected integers from 0 to 3, got 4 at position 2"):
        nll(logits, torch.tensor([0, 1, 4]))
    with pytest.raises(ValueError, match=r"targets: expected shape \(3,\), got \(2,\)"):
        nll(logits, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"mask: expected a tensor of bool of shape \(3,\), got \(3,\) of torch.int64"):
        nll(logits, torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
