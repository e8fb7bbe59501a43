"""The torch functions: against autograd on the plain formulas, gradcheck, every path, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

import likewise.transport as lw  # noqa: E402
from likewise.integrations.torch import EMOLoss, emo_loss, fused_linear_emo_loss, sinkhorn  # noqa: E402

MIXINGS = ["none", "balanced", "balanced-clamped", "rescaled-mle", "patch-1", "patch-1-clamped", "patch-2", "sum"]
F32, F64 = torch.float32, torch.float64
# With soft targets or not: a patched mixing needs one target.
CASES = [(mixing, soft) for mixing in MIXINGS for soft in (False, True) if not (soft and mixing.startswith("patch"))]


def plain_losses(z: Any, t: Any, embedding: Any, mixing: str, soft: Any = None) -> Any:
    """Loss of each token, as its formula reads; autograd does the rest."""
    e = embedding / embedding.norm(dim=1, keepdim=True)
    p = torch.nn.functional.one_hot(t, z.shape[1]).to(z.dtype) if soft is None else soft
    log_q = torch.log_softmax(z, 1)
    entropy = -(p * log_q).sum(1)
    cost = 1 - ((p @ e) * (log_q.exp() @ e)).sum(1)
    if mixing == "none":
        return cost
    if mixing == "sum":
        return 0.7 * entropy + 1.5 * cost
    if mixing.startswith("patch"):
        cost = cost + (p * log_q.exp()).sum(1).detach()
    if mixing in ("rescaled-mle", "patch-2"):
        return (cost / (entropy + 1e-10)).detach() * entropy + cost
    ratio = (entropy / (cost + 1e-10)).detach()
    return (entropy + (ratio.clamp(max=3) if mixing.endswith("clamped") else ratio) * cost) / 2


def weights(mixing: str) -> dict[str, float]:
    return dict(alpha=0.7, beta=1.5) if mixing == "sum" else {}


def problem(seed: int, n: int = 21, v: int = 67, h: int = 7, dtype: Any = F64) -> tuple[Any, Any, Any]:
    torch.manual_seed(seed)
    z = (2 * torch.randn(n, v, dtype=F64)).to(dtype).requires_grad_()
    t = torch.randint(0, v, (n,)) % 9
    e = (torch.randn(v, h, dtype=F64) * (0.2 + torch.rand(v, 1, dtype=F64))).to(dtype).requires_grad_()
    return z, t, e


def close(a: Any, b: Any, dtype: Any) -> None:
    tolerance = 1e-10 if dtype == F64 else 1e-5
    assert (a - b).abs().max() <= tolerance * max(1e-2, b.abs().max()), (a - b).abs().max()


@pytest.mark.parametrize(("mixing", "soft"), CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_equals_autograd(mixing: str, reduction: str, dtype: Any, soft: bool) -> None:
    z, t, e = problem(0, dtype=dtype)
    p = torch.softmax(3 * torch.randn(21, 67, dtype=F64), 1).to(dtype) if soft else None
    t[4] = t[20] = -100
    kept = t != -100
    expected = plain_losses(z, t.clamp(min=0), e, mixing, p) * kept
    upstream = torch.linspace(0.5, 2, 21, dtype=dtype)
    if reduction == "none":
        total = (expected * upstream).sum()
    else:
        expected = expected.sum() / (kept.sum() if reduction == "mean" else 1)
        total = expected * 1.7
    want = torch.autograd.grad(total, (z, e))
    for detach in (True, False):
        loss = emo_loss(
            z, t, e, mixing=mixing, reduction=reduction, soft_targets=p, detach_embedding=detach, **weights(mixing)
        )
        assert loss.dtype == dtype and loss.shape == expected.shape
        close(loss.detach(), expected.detach(), dtype)
        total = (loss * upstream).sum() if reduction == "none" else loss * 1.7
        if detach:
            close(torch.autograd.grad(total, z)[0], want[0], dtype)
        else:
            for got, expected_grad in zip(torch.autograd.grad(total, (z, e)), want, strict=True):
                close(got, expected_grad, dtype)


@pytest.mark.parametrize("mixing", ["none", "sum"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradcheck(mixing: str, reduction: str) -> None:
    """Of the mixings in which nothing counts as a constant."""
    z, t, e = problem(1, 4, 9, 3)
    t[1] = -100
    p = torch.softmax(torch.randn(4, 9, dtype=F64), 1)
    options: dict[str, Any] = dict(mixing=mixing, reduction=reduction)
    assert torch.autograd.gradcheck(lambda z, e: emo_loss(z, t, e, **options, detach_embedding=False), (z, e))
    assert torch.autograd.gradcheck(
        lambda z, e: emo_loss(z, None, e, soft_targets=p, **options, detach_embedding=False), (z, e)
    )
    assert torch.autograd.gradcheck(lambda z: emo_loss(z, t, e, **options), (z,))


@pytest.mark.parametrize("mixing", ["none", "sum"])
@pytest.mark.parametrize("chunk_size", [1, 3, None])
def test_gradcheck_of_the_fused_form(mixing: str, chunk_size: int | None) -> None:
    torch.manual_seed(2)
    hidden = torch.randn(5, 4, dtype=F64, requires_grad=True)
    weight = torch.randn(9, 4, dtype=F64, requires_grad=True)
    bias = torch.randn(9, dtype=F64, requires_grad=True)
    costs = torch.randn(9, 3, dtype=F64)
    t = torch.tensor([0, 3, -100, 3, 8])
    options: dict[str, Any] = dict(mixing=mixing, chunk_size=chunk_size)
    assert torch.autograd.gradcheck(
        lambda h, w, b: fused_linear_emo_loss(h, w, t, costs, bias=b, **options), (hidden, weight, bias)
    )


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("chunk_size", [1, 7, None])
def test_fused_equals_unfused(mixing: str, dtype: Any, chunk_size: int | None) -> None:
    torch.manual_seed(3)
    hidden = torch.randn(2, 10, 6, dtype=dtype, requires_grad=True)
    weight = torch.randn(67, 6, dtype=dtype, requires_grad=True)
    bias = torch.randn(67, dtype=dtype, requires_grad=True)
    t = torch.randint(0, 67, (2, 10)) % 8
    t[0, 3] = -100
    for costs in (None, torch.randn(67, 3, dtype=dtype)):
        for reduction in ("mean", "sum"):
            z = torch.nn.functional.linear(hidden, weight, bias)
            e = weight.detach() if costs is None else costs
            options: dict[str, Any] = dict(mixing=mixing, reduction=reduction, **weights(mixing))
            loss = fused_linear_emo_loss(hidden, weight, t, costs, bias=bias, chunk_size=chunk_size, **options)
            kept = (t != -100).reshape(-1)
            want = (plain_losses(z.view(20, 67), t.reshape(-1).clamp(min=0), e, mixing) * kept).sum()
            want = want / 19 if reduction == "mean" else want
            close(loss.detach(), want.detach(), dtype)
            inputs = (hidden, weight, bias)
            for got, expected in zip(
                torch.autograd.grad(loss * 3, inputs), torch.autograd.grad(want * 3, inputs), strict=True
            ):
                close(got, expected, dtype)


def test_fused_computes_what_is_wanted() -> None:
    torch.manual_seed(4)
    hidden, weight = torch.randn(5, 4, dtype=F64, requires_grad=True), torch.randn(9, 4, dtype=F64)
    t = torch.arange(5)
    loss = fused_linear_emo_loss(hidden, weight, t)
    (grad,) = torch.autograd.grad(loss, hidden)
    close(
        grad, torch.autograd.grad(plain_losses(hidden @ weight.T, t, weight, "balanced-clamped").mean(), hidden)[0], F64
    )
    assert not fused_linear_emo_loss(hidden.detach(), weight, t).requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mixing", MIXINGS)
def test_half_precision(dtype: Any, mixing: str) -> None:
    """The formulas in torch: as exact as their inputs and outputs can be."""
    z, t, e = (x.detach() if x.is_floating_point() else x for x in problem(5))
    z, e = z.to(dtype).requires_grad_(), e.to(dtype)
    exact = z.detach().to(F64).requires_grad_()
    step = 2.0**-8 if dtype == torch.bfloat16 else 2.0**-11
    loss = emo_loss(z, t, e, mixing=mixing, **weights(mixing))
    want = plain_losses(exact, t, e.to(F64), mixing).mean()
    assert loss.dtype == dtype and abs(loss.item() - want.item()) <= 2 * step * want.item()
    loss.backward()
    (grad,) = torch.autograd.grad(want, exact)
    assert z.grad.dtype == dtype and (z.grad - grad).abs().max() <= 2 * step * grad.abs().max()
    hidden, weight = torch.randn(6, 5).to(dtype).requires_grad_(), torch.randn(67, 5).to(dtype).requires_grad_()
    loss = fused_linear_emo_loss(hidden, weight, t[:6], mixing=mixing, chunk_size=4, **weights(mixing))
    loss.backward()
    assert hidden.grad.dtype == dtype and weight.grad.dtype == dtype and torch.isfinite(weight.grad).all()


@pytest.mark.parametrize(("mixing", "soft"), CASES)
def test_formulas_of_torch_equal_the_native_code(mixing: str, soft: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on other devices, run here."""
    from likewise.integrations.torch import emo, fused

    z, t, e = problem(6, 80)
    t[3] = -100
    p = torch.softmax(torch.randn(80, 67, dtype=F64), 1) if soft else None
    results = []
    for native in (True, False):
        if not native:
            monkeypatch.setattr(emo, "is_native", lambda x: False)
            monkeypatch.setattr(fused, "is_native", lambda x: False)
        found: list[Any] = []
        for reduction in ("mean", "none"):
            loss = emo_loss(
                z, t, e, mixing=mixing, reduction=reduction, soft_targets=p, detach_embedding=False, **weights(mixing)
            )
            found += [loss.detach(), *torch.autograd.grad(loss.sum(), (z, e))]
        if not soft:
            loss = fused_linear_emo_loss(
                e[:80] @ torch.eye(7, dtype=F64), e, t[:67], mixing=mixing, chunk_size=9, **weights(mixing)
            )
            found += [loss.detach(), *torch.autograd.grad(loss, e)]
        results.append(found)
    for a, b in zip(*results, strict=True):
        close(a, b, F64)


def test_module() -> None:
    torch.manual_seed(7)
    z = torch.randn(2, 6, 11, dtype=F64, requires_grad=True)
    t, e = torch.randint(0, 11, (2, 6)), torch.randn(11, 3, dtype=F64)
    t[1, 4] = 5
    loss = EMOLoss("rescaled-mle", ignore_index=5, shift=True)(z, t, e)
    want = emo_loss(z[:, :-1], t[:, 1:], e, mixing="rescaled-mle", ignore_index=5)
    close(loss.detach(), want.detach(), F64)
    close(torch.autograd.grad(loss, z)[0], torch.autograd.grad(want, z)[0], F64)
    assert repr(EMOLoss()) == "EMOLoss(mixing='balanced-clamped', ignore_index=-100, shift=False)"
    assert not list(EMOLoss().parameters())
    with pytest.raises(ValueError, match="mixing: expected one of"):
        EMOLoss("clamped")


def test_values_are_those_of_numpy() -> None:
    z, t, e = problem(8, dtype=F32)
    loss, grad = lw.emo_loss(z.detach().numpy(), t.numpy(), e.detach().numpy())
    found = emo_loss(z, t, e)
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-6) and (z.grad.numpy() == grad).all()


def test_inputs_in_any_layout() -> None:
    z, t, e = problem(9)
    want = torch.autograd.grad(emo_loss(z, t, e), z)[0]
    other = z.detach().T.contiguous().T.requires_grad_()
    got = torch.autograd.grad(emo_loss(other, t.to(torch.int32), e.detach().T.contiguous().T), other)[0]
    assert (got == want).all()


def test_twice_is_refused_and_twice_backward_is_not() -> None:
    z, t, e = problem(10)
    loss = emo_loss(z, t, e, mixing="none")
    (first,) = torch.autograd.grad(loss, z, retain_graph=True)
    loss.backward(retain_graph=True)
    loss.backward()
    assert (z.grad == 2 * first).all()
    for loss in (emo_loss(z, t, e), fused_linear_emo_loss(e, e, t.new_zeros(67))):
        with pytest.raises(RuntimeError, match="emo_loss: expected to be differentiated once"):
            torch.autograd.grad(loss, (z, e), create_graph=True, allow_unused=True)


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(11)
    layer, e = torch.nn.Linear(8, 30), torch.randn(30, 5)
    hidden, t = torch.randn(40, 8), torch.randint(0, 30, (40,))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        loss = fused_linear_emo_loss(hidden, layer.weight, t, e, bias=layer.bias)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_all_ignored() -> None:
    z, t, e = problem(12)
    for function in (lambda: emo_loss(z, t * 0 - 100, e), lambda: fused_linear_emo_loss(e, e, t.new_full((67,), -100))):
        with pytest.warns(UserWarning, match="targets: expected a token that counts"):
            loss = function()
        loss.backward()
        assert loss == 0
    assert not z.grad.any() and not e.grad.any()


Z, T, E = problem(13)
WITHOUT_TARGETS = torch.where(torch.arange(67) == T[:, None], -torch.inf, Z)
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(logits=Z.detach().numpy()), TypeError, "logits: expected a tensor, got an array"),
    (dict(logits=T), ValueError, "logits: expected a floating-point tensor, got torch.int64"),
    (dict(logits=Z[0]), ValueError, "logits: expected"),
    (dict(logits=Z[:, :-1]), ValueError, "logits: expected as many columns as the embedding has rows"),
    (dict(embedding=E.float()), ValueError, "embedding: expected torch.float64 on cpu, got torch.float32 on cpu"),
    (dict(embedding=E * 0), ValueError, "embedding: expected no zero row.* at row 0"),
    (dict(embedding=E * torch.nan), ValueError, "embedding: expected finite values"),
    (dict(targets=T.double()), TypeError, "targets: expected a tensor of integers, got a tensor of torch.float64"),
    (dict(targets=T.numpy()), TypeError, "targets: expected a tensor of integers, got an array"),
    (dict(targets=T[:-1]), ValueError, "targets: expected shape"),
    (dict(targets=T - 200), ValueError, "targets: expected integers from 0 to 66"),
    (dict(targets=None), TypeError, "targets: expected"),
    (dict(mixing="best"), ValueError, "mixing: expected one of"),
    (dict(reduction="most"), ValueError, "reduction: expected one of"),
    (dict(alpha=2), ValueError, "alpha: expected mixing='sum'"),
    (dict(detach_embedding=None), TypeError, "detach_embedding: expected True or False"),
    (dict(soft_targets=torch.ones_like(Z)), ValueError, "soft_targets: expected rows that sum to 1"),
    (dict(soft_targets=torch.eye(67, dtype=F64)), ValueError, "soft_targets: expected the shape of the logits"),
    (dict(soft_targets=-torch.ones_like(Z)), ValueError, "soft_targets: expected values >= 0"),
    (dict(logits=WITHOUT_TARGETS), ValueError, "logits: expected a finite value at the target"),
    (dict(logits=Z * torch.nan), ValueError, "logits: expected finite values, .* got nan at position 0"),
]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("change", "error", "text"), REFUSED, ids=lambda x: next(iter(x)) if isinstance(x, dict) else None
)
def test_refused(
    change: dict[str, Any], error: type[Exception], text: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        from likewise.integrations.torch import emo

        monkeypatch.setattr(emo, "is_native", lambda x: False)
    with pytest.raises(error, match=f"^{text}"):
        emo_loss(**{**dict(logits=Z, targets=T, embedding=E), **change})


def test_fused_refuses() -> None:
    hidden, weight = torch.randn(21, 7, dtype=F64), E.detach()
    for arguments, options, error, text in (
        ((hidden[:, :-1], weight, T), {}, ValueError, "weight: expected shape"),
        ((hidden, weight.float(), T), {}, ValueError, "weight: expected torch.float64"),
        (
            (hidden, weight, T, weight[:-1]),
            {},
            ValueError,
            "cost_embedding: expected as many rows as the weight has, 67",
        ),
        ((hidden, weight, T), dict(bias=weight[0]), ValueError, r"bias: expected shape \(67,\)"),
        ((hidden, weight, T), dict(chunk_size=0), ValueError, "chunk_size: expected an integer >= 1"),
        ((hidden, weight, T), dict(reduction="none"), ValueError, "reduction: expected one of 'mean', 'sum'"),
        ((hidden, weight, T[:-1]), {}, ValueError, "targets: expected shape"),
        ((hidden, weight, T + 99), {}, ValueError, "targets: expected integers from 0 to 66"),
        ((hidden * torch.nan, weight, T), {}, ValueError, "logits: expected finite values.* got nan at position 0"),
    ):
        with pytest.raises(error, match=text):
            fused_linear_emo_loss(*arguments, **options)


# --- Sinkhorn ---

X, Y = torch.tensor([[0.0], [1.0], [3.0]], dtype=F64), torch.tensor([[0.5], [2.0], [2.5]], dtype=F64)
A, B = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.4, 0.4, 0.2], dtype=F64)
EXACT: dict[str, Any] = dict(epsilon=1.0, epsilon_scale="absolute", tol=1e-13)


def test_sinkhorn_by_hand() -> None:
    x, a = X.clone().requires_grad_(), A.clone().requires_grad_()
    loss = sinkhorn(a, B, x=x, y=Y, **EXACT)
    of_x, of_a = torch.autograd.grad(loss, (x, a))
    assert loss.item() == pytest.approx(1.452654771472, abs=1e-10)
    assert of_x[:, 0].tolist() == pytest.approx([-0.90836083, -0.55944195, 0.26780278], abs=1e-7)
    assert (of_a[0] - of_a[1]).item() == pytest.approx(1.92508850, abs=1e-7)
    assert of_a.sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
def test_sinkhorn_gradcheck(metric: str) -> None:
    torch.manual_seed(14)
    x, y = (torch.randn(n, 3, dtype=F64, requires_grad=True) for n in (4, 5))
    # Weights on the simplex, as the mass must stay.
    u, v = (torch.randn(n, dtype=F64, requires_grad=True) for n in (4, 5))

    def loss(u: Any, v: Any, x: Any, y: Any) -> Any:
        return sinkhorn(torch.softmax(u, 0), torch.softmax(v, 0), x=x, y=y, metric=metric, **EXACT)

    assert torch.autograd.gradcheck(loss, (u, v, x, y))


def test_sinkhorn_gradcheck_of_costs() -> None:
    torch.manual_seed(15)
    cost = torch.rand(4, 5, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: sinkhorn(None, None, c, **EXACT), (cost,))
    assert torch.autograd.gradcheck(lambda c: 3 * sinkhorn(A, B, c[:3, :3], **EXACT), (cost,))


def test_sinkhorn_refuses() -> None:
    x = X.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="sinkhorn: expected to be differentiated once"):
        torch.autograd.grad(sinkhorn(A, B, x=x, y=Y, **EXACT), x, create_graph=True)
    with pytest.raises(ValueError, match="b: expected torch.float64 on cpu, got torch.float32"):
        sinkhorn(A, B.float(), x=X, y=Y)
    with pytest.raises(ValueError, match="x: expected float32 or float64 on the CPU, got torch.bfloat16"):
        sinkhorn(None, None, x=X.bfloat16(), y=Y.bfloat16())
    with pytest.raises(TypeError, match="a: expected a tensor, got list"):
        sinkhorn([0.5, 0.5], None, x=X, y=Y)
    assert sinkhorn(None, None, x=X.float(), y=Y.float()).dtype == F32
