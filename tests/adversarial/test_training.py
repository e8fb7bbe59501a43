"""Where training is not plain: checkpointing, compilation, mixed precision, dropout, tied and frozen tables, DDP."""

from __future__ import annotations

import copy
import io
import socket
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from likewise.adversarial import Adversary, adversarial_training  # noqa: E402

from .models import Classifier, assert_close, batch, ce, gradients, losses  # noqa: E402

METHODS = ["fgm", "pgd", "freelb", "vat", "gp"]
# Dynamo asks a tensor for .grad at every graph break, and hides the warning only where warnings are not errors.
compiles = pytest.mark.filterwarnings("default:The .grad attribute of a Tensor that is not a leaf:UserWarning")


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


def ddp_worker(rank: int, port: int, method: str, options: dict[str, Any], queue: Any) -> None:
    """A process of two: its half of the batch, micro-batches, one step of an optimizer."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        find_unused = options.pop("find_unused", False)
        named = options.pop("named", False)
        model = Classifier(seed=rank)  # DDP sends the parameters of the first process around
        wrapped = DistributedDataParallel(model, find_unused_parameters=find_unused)
        ids, labels = batch(n=8)
        reductions: list[int] = []
        wrapped.register_comm_hook(reductions, counting)
        half = slice(4 * rank, 4 * rank + 4)
        adversary = Adversary((wrapped, "module.embedding") if named else model.embedding, method, 0.4, **options)

        def closure() -> Any:
            found = nn.functional.cross_entropy(wrapped(ids[half]), labels[half], reduction="none")
            return found if method == "gp" else found.mean()

        counts, found = [], []
        for _ in range(2):
            before = len(reductions)
            step = adversary.backward(closure)
            counts.append(len(reductions) - before)
            found.append({name: g.numpy() for name, g in gradients(model).items()})
            assert wrapped.require_backward_grad_sync
        queue.put((rank, counts, found, float(step.loss)))
    finally:
        dist.destroy_process_group()


def counting(state, bucket):  # type: ignore[no-untyped-def]  # DDP reads annotations
    import torch.distributed as dist

    state.append(1)
    work = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
    return work.then(lambda done: done.value()[0] / 2)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("fgm", {}),
        ("fgm", {"clean_weight": 0.0, "named": True}),
        ("fgm", {"find_unused": True}),
        ("pgd", {"steps": 2, "same_dropout": True}),
        ("gp", {}),
        ("gp", {"gp_mode": "fd", "order": 2}),
    ],
)
def test_two_processes_equal_one(method: str, options: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [context.Process(target=ddp_worker, args=(r, port, method, dict(options), queue)) for r in range(2)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
    finally:
        for worker in workers:
            worker.kill()
    results = sorted((queue.get() for _ in workers), key=lambda result: result[0])
    model = Classifier(seed=0)
    ids, labels = batch(n=8)
    plain = {k: v for k, v in options.items() if k not in ("find_unused", "named")}
    expected = step_of(model, method, ids, labels, **plain)
    for _, counts, found, _ in results:
        assert counts == [1, 1]  # one reduction a step: the other passes were quiet
        for once in found:
            got = {name: torch.from_numpy(g) for name, g in once.items()}
            assert_close(got, {name: p.grad for name, p in model.named_parameters()})
    assert sum(loss for *_, loss in results) / 2 == pytest.approx(float(expected.loss))
