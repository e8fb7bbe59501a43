"""Where training is not plain: checkpointing, compilation, dropout, tied and frozen tables, several calls."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from likewise.adversarial import Adversary, adversarial_training  # noqa: E402

from .models import METHODS, Classifier, assert_close, batch, ce, gradients, losses, step_of  # noqa: E402

# Dynamo asks a tensor for .grad at every graph break, and hides the warning only where warnings are not errors.
compiles = pytest.mark.filterwarnings("default:The .grad attribute of a Tensor that is not a leaf:UserWarning")


class Checkpointed(Classifier):
    """The embedding lies within a part that is recomputed."""

    n_calls = 0

    def forward(self, ids: Any) -> Any:
        return self.out(checkpoint(self.part, ids, use_reentrant=False))

    def part(self, ids: Any) -> Any:
        self.n_calls += 1
        return torch.tanh(self.hidden(self.embedding(ids))).mean(dim=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_gradient_checkpointing(method: str, clean_weight: float) -> None:
    ids, labels = batch()
    plain, model = Classifier(), Checkpointed()
    expected = step_of(plain, method, ids, labels, clean_weight=clean_weight)
    found = step_of(model, method, ids, labels, clean_weight=clean_weight)
    assert model.n_calls > {"fgm": 2, "pgd": 4, "freelb": 3, "vat": 3, "gp": 1}[method]  # it was recomputed
    assert found.loss == pytest.approx(float(expected.loss))
    assert_close(gradients(model), gradients(plain))


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_above_the_embedding(reentrant: bool) -> None:
    ids, labels = batch()
    plain, model = Classifier(), Classifier()
    step_of(plain, "fgm", ids, labels)
    step_of(
        model, "fgm", ids, labels, lambda ids: checkpoint(model.after, model.embedding(ids), use_reentrant=reentrant)
    )
    assert_close(gradients(model), gradients(plain))


def test_recomputed_calls_are_told_apart_or_refused() -> None:
    model = Checkpointed()
    (a, labels), (b, _) = batch(0), batch(1)

    def loss(first: Any, second: Any, forward: Any) -> Any:
        return nn.functional.cross_entropy(forward(first) + 2 * forward(second), labels)

    Adversary(model.embedding, epsilon=0.4).backward(lambda: loss(a, b, model))
    found = gradients(model)
    Adversary(model.embedding, epsilon=0.4).backward(lambda: loss(a, b, lambda ids: Classifier.forward(model, ids)))
    assert_close(found, gradients(model))
    with pytest.raises(RuntimeError, match=r"^target: expected to find the call that is recomputed, got 2"):
        Adversary(model.embedding, epsilon=0.4).backward(lambda: loss(a, a, model))


@compiles
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
def test_compiled_models(method: str) -> None:
    torch._dynamo.reset()
    ids, labels = batch()
    plain, model = Classifier(), Classifier()
    generator = torch.Generator()
    adversary = Adversary(model.embedding, method, 0.4, generator=generator)
    compiled = torch.compile(model, backend="aot_eager")
    compiled(ids)  # before any step
    for _ in range(3):
        generator.manual_seed(0)

        def closure() -> Any:
            logits = compiled(ids)
            return logits if method == "vat" else nn.functional.cross_entropy(logits, labels)

        found = adversary.backward(closure)
        clean = compiled(ids)
        assert torch.allclose(clean, plain(ids))
        expected = step_of(plain, method, ids, labels, **({"clean_weight": 0.0} if method == "vat" else {}))
        assert found.adversarial_loss == pytest.approx(float(expected.adversarial_loss))
        assert_close(gradients(model), gradients(plain))


@compiles
def test_what_was_compiled_before_is_never_silently_unperturbed() -> None:
    torch._dynamo.reset()
    ids, labels = batch()
    model = Classifier()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    compiled(ids)
    with Adversary(model.embedding, epsilon=0.4) as adversary:
        try:
            found = adversary.backward(lambda: nn.functional.cross_entropy(compiled(ids), labels))
        except RuntimeError:
            return  # it says so
    assert found.adversarial_loss > found.clean_loss + 1e-3


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat", "gp"])
def test_same_dropout(method: str) -> None:
    ids, labels = batch()
    masks: list[Any] = []
    options = {"gp_mode": "fd"} if method == "gp" else {}
    for same in (True, False):
        model = Classifier()
        model.dropout.p = 0.5
        model.dropout.register_forward_hook(lambda _, given, out: masks.append((out == 0) & (given[0] != 0)))
        masks.clear()
        torch.manual_seed(3)
        step_of(model, method, ids, labels, same_dropout=same, **options)
        assert all(torch.equal(mask, masks[0]) for mask in masks[1:]) == same and len(masks) > 1
        after = torch.rand(())
        torch.manual_seed(3)  # dropout drew what it draws in plain training
        model(ids)
        assert torch.equal(masks[-1], masks[0])
        if same:
            assert torch.rand(()) == after


class WithBatchNorm(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6, dtype=torch.float64)

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids)
        return self.after(self.norm(x.flatten(0, 1)).view_as(x))


@compiles
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("compiled", [False, True])
def test_statistics_are_updated_once(method: str, compiled: bool) -> None:
    if compiled and method in ("gp", "vat"):
        pytest.skip("two methods show it")
    torch._dynamo.reset()
    ids, labels = batch()
    model, plain = WithBatchNorm(), WithBatchNorm()
    plain(ids)
    if compiled:
        with Adversary(model.embedding, method, 0.4) as adversary:
            fast = torch.compile(model, backend="aot_eager")
            adversary.backward(lambda: nn.functional.cross_entropy(fast(ids), labels))
    else:
        step_of(model, method, ids, labels, **({"gp_mode": "fd", "order": 2} if method == "gp" else {}))
    assert model.norm.num_batches_tracked == 1 and model.norm.track_running_stats
    if method != "freelb":  # whose first pass is perturbed
        torch.testing.assert_close(model.norm.running_var, plain.norm.running_var)
    model.eval()
    step_of(model, method, ids, labels)
    assert model.norm.num_batches_tracked == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("inside_no_grad", [False, True])
def test_frozen_embeddings(method: str, inside_no_grad: bool) -> None:
    ids, labels = batch()
    model, plain = Classifier(), Classifier()
    model.embedding.weight.requires_grad_(False)

    def forward(ids: Any) -> Any:
        if not inside_no_grad:
            return model(ids)
        with torch.no_grad():
            x = model.embedding(ids)
        return model.after(x)

    found = step_of(model, method, ids, labels, forward)
    expected = step_of(plain, method, ids, labels)
    assert found.adversarial_loss == pytest.approx(float(expected.adversarial_loss))
    assert model.embedding.weight.grad is None
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    a, b = gradients(model), gradients(plain)
    assert_close({name: a[name] for name in names}, {name: b[name] for name in names})


@pytest.mark.parametrize("space", ["activation", "rows"])
def test_sparse_gradients(space: str) -> None:
    ids, labels = batch()
    sparse, dense = Classifier(sparse=True), Classifier()
    for model in (sparse, dense):
        step_of(model, "fgm", ids, labels, space=space)
    assert sparse.embedding.weight.grad.is_sparse
    sparse.embedding.weight.grad = sparse.embedding.weight.grad.to_dense()
    assert_close(gradients(sparse), gradients(dense))


def test_renormalised_embeddings() -> None:
    ids, labels = batch()
    model = Classifier(max_norm=1.0)
    step = step_of(model, "fgm", ids, labels)
    assert step.adversarial_loss > step.clean_loss and model.embedding.weight.norm(dim=1)[ids].max() <= 1 + 1e-6


class Tied(nn.Module):  # type: ignore[misc]
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(12, 6, padding_idx=0)
        self.head = nn.Linear(6, 12, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Any) -> Any:
        return self.head(torch.tanh(self.embedding(ids)))


@pytest.mark.parametrize("space", ["activation", "rows"])
def test_a_tied_head_stays(space: str) -> None:
    model = Tied()
    ids = torch.randint(1, 12, (3, 5), generator=torch.Generator().manual_seed(0))
    heads = []
    model.head.register_forward_pre_hook(lambda module, _: heads.append(module.weight.detach().clone()))
    step = Adversary(model.embedding, epsilon=0.5, space=space).backward(
        lambda: nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    )
    assert step.adversarial_loss > step.clean_loss
    assert torch.equal(heads[0], heads[1])


def test_several_calls_of_the_target() -> None:
    """A siamese model: a perturbation for each call, in their order."""
    model = Classifier()
    (a, labels), (b, _) = batch(0), batch(1, n=3)
    seen: list[Any] = []

    def closure() -> Any:
        total: Any = 0.0
        for part, target in ((a, labels), (b, labels[:3])):
            x = model.embedding(part)
            seen.append((x - model.embedding.weight[part]).detach())
            total = total + losses(model, x, target).mean()
        return total

    Adversary(model.embedding, epsilon=0.4).backward(closure)
    both = gradients(model)
    assert [len(delta) for delta in seen] == [5, 3, 5, 3]
    together = seen[2:]
    separate = []
    for part, target in ((a, labels), (b, labels[:3])):
        seen.clear()

        def one(part: Any = part, target: Any = target) -> Any:
            x = model.embedding(part)
            seen.append((x - model.embedding.weight[part]).detach())
            return losses(model, x, target).mean()

        Adversary(model.embedding, epsilon=0.4).backward(one)
        separate.append(seen[1])
    for x, y in zip(together, separate, strict=True):
        torch.testing.assert_close(x, y)
    assert_close(both, gradients(model))


def test_masks_of_several_calls() -> None:
    model = Classifier()
    (a, labels), (b, _) = batch(0), batch(1, n=3)
    masks = [torch.rand(part.shape) < 0.6 for part in (a, b)]
    seen: list[Any] = []

    def closure() -> Any:
        total: Any = 0.0
        for part in (a, b):
            x = model.embedding(part)
            seen.append((x - model.embedding.weight[part]).detach())
            total = total + losses(model, x, labels[: len(part)]).mean()
        return total

    Adversary(model.embedding, epsilon=0.4, mask=lambda: masks).backward(closure)
    for delta, mask in zip(seen[2:], masks, strict=True):
        assert not delta[~mask].any() and delta[mask].any(dim=1).all()


def test_a_call_that_the_loss_does_not_use() -> None:
    model = Classifier()
    ids, labels = batch()
    seen = []

    def closure() -> Any:
        unused = model.embedding(ids)
        seen.append((unused - model.embedding.weight[ids]).detach())
        return ce(model, ids, labels)()

    for clean_weight in (0.0, 1.0):
        seen.clear()
        step = Adversary(model.embedding, epsilon=0.4, clean_weight=clean_weight).backward(closure)
        assert not seen[1].any() and step.adversarial_loss > step.clean_loss


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_models_that_go_on_in_place(method: str, frozen: bool, clean_weight: float) -> None:
    ids, labels = batch()
    found = []
    for in_place in (True, False):
        model = Classifier()
        model.embedding.weight.requires_grad_(not frozen)

        def forward(ids: Any, model: Any = model, in_place: bool = in_place) -> Any:
            x = model.embedding(ids)
            x = x.mul_(3.0).add_(1.0) if in_place else x * 3.0 + 1.0
            return model.after(x)

        step = step_of(model, method, ids, labels, forward, clean_weight=clean_weight)
        found.append((step.loss, {k: v for k, v in gradients(model).items() if v is not None}))
    assert found[0][0] == pytest.approx(float(found[1][0]))
    assert_close(found[0][1], found[1][1])


class Attention(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.out = nn.Embedding(20, 16), nn.Linear(16, 3)

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids).view(*ids.shape, 2, 8).transpose(1, 2)
        return self.out(nn.functional.scaled_dot_product_attention(x, x, x).transpose(1, 2).flatten(2).mean(1))


def test_attention_without_a_second_derivative_names_the_cure() -> None:
    model = Attention()
    ids, labels = batch(v=20)

    def closure() -> Any:
        return nn.functional.cross_entropy(model(ids), labels, reduction="none")

    with (
        sdpa_kernel(SDPBackend.FLASH_ATTENTION),
        pytest.raises(RuntimeError, match=r"sdpa_kernel.*eager.*gp_mode='fd'"),
    ):
        Adversary(model.embedding, "gp").backward(closure)
    model.zero_grad()
    with sdpa_kernel(SDPBackend.MATH):
        Adversary(model.embedding, "gp").backward(closure)
    exact = gradients(model)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        Adversary(model.embedding, "gp", gp_mode="fd", order=2).backward(closure)
    assert_close(gradients(model), exact, 0.01)


def test_retained_graphs() -> None:
    model = Classifier()
    ids, labels = batch()
    shared = model.hidden.weight.square().sum()  # a graph that all passes use

    def closure() -> Any:
        return ce(model, ids, labels)() + 0.01 * shared

    with pytest.raises(RuntimeError, match="second time"):
        Adversary(model.embedding, epsilon=0.4).backward(closure)
    model.zero_grad()
    shared = model.hidden.weight.square().sum()
    Adversary(model.embedding, epsilon=0.4).backward(closure, retain_graph=True)
    found = gradients(model)
    given = []

    def backward(loss: Any, **options: Any) -> None:
        given.append(options)
        loss.backward(**options)

    Adversary(model.embedding, epsilon=0.4).backward(closure, retain_graph=True, backward=backward)
    assert_close(gradients(model), found)
    assert given == [{"retain_graph": True}] * 2
    # The pass for the gradients at the target alone keeps its graph, too.
    Adversary(model.embedding, epsilon=0.4, clean_weight=0.0).backward(closure, retain_graph=True)


def test_models_with_a_hook_can_be_copied_and_saved() -> None:
    model = Classifier()
    ids, labels = batch()
    adversary = adversarial_training(model, "embedding")
    adversary.backward(ce(model, ids, labels))
    model.zero_grad()
    twin = copy.deepcopy(model)
    assert torch.equal(twin(ids), model(ids))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(ids), model(ids))


def test_extra_memory_does_not_grow_with_the_vocabulary() -> None:
    """Every tensor that a step makes is far smaller than the table, but the table's own gradient."""

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else (out,):
                if isinstance(x, torch.Tensor) and x.numel() >= 20_000 * 6:
                    large.append(str(function))
            return out

    ids, labels = batch()
    for space in ("activation", "rows"):
        model = Classifier(v=20_000)
        large: list[str] = []
        with Watch():
            Adversary(model.embedding, epsilon=0.4, space=space, clean_weight=0.0).backward(ce(model, ids, labels))
        assert {name.split(".")[1] for name in large} <= {"embedding_dense_backward", "detach"}, large
