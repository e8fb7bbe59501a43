"""Two processes under DistributedDataParallel are one."""

from __future__ import annotations

import socket
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402

from likewise.adversarial import Adversary  # noqa: E402

from .models import Classifier, assert_close, batch, gradients, step_of  # noqa: E402


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
