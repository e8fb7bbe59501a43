"""What is refused, what is skipped, and what an error leaves behind."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402

from likewise.adversarial import Adversary, adversarial_training, attack, gradient_penalty  # noqa: E402

from .models import Classifier, batch, ce, gradients, losses, sum_of  # noqa: E402

NAN = float("nan")


def test_the_error_without_torch_names_the_extra(fresh: Any) -> None:
    printed = fresh(
        "import sys; sys.modules['torch'] = None\n"
        "import likewise\n"
        "from likewise import *\n"
        "try: likewise.adversarial\n"
        "except ImportError as error: print(error)"
    )
    assert printed == "likewise.adversarial needs torch; pip install 'likewise[torch]'\n"


def test_likewise_alone_loads_no_torch(fresh: Any) -> None:
    program = "import sys, likewise; before = 'torch' in sys.modules; likewise.adversarial.Adversary; print(before)"
    assert fresh(program) == "False\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epsilon": -1.0}, "epsilon: expected a finite number >= 0.0, got -1.0"),
        ({"epsilon": NAN}, "epsilon: expected a finite number >= 0.0, got nan"),
        ({"epsilon": math.inf}, "epsilon: "),
        ({"method": "pgd", "alpha": 0.0}, "alpha: expected a finite number > 0.0, got 0.0"),
        ({"method": "pgd", "alpha": -0.1}, "alpha: "),
        ({"alpha": 0.1}, "alpha: expected None with method='fgm', got float 0.1"),
        ({"method": "pgd", "steps": 0}, "steps: expected an integer >= 1, got 0"),
        ({"method": "freelb", "steps": 0}, "steps: "),
        ({"method": "vat", "steps": -1}, "steps: expected an integer >= 0, got -1"),
        ({"steps": 3}, "steps: expected None or 1 with method='fgm', got int 3 [several steps are 'pgd']"),
        ({"method": "fgsm"}, "method: expected one of 'fgm', 'pgd', 'freelb', 'vat', 'gp', got 'fgsm'"),
        ({"norm": "l2"}, "norm: expected one of 'sample', 'token', 'batch', got 'l2'"),
        ({"space": "table"}, "space: expected one of 'activation', 'rows', got 'table'"),
        ({"space": "rows", "norm": "sample"}, "norm: expected 'batch' or 'token' with space='rows', got 'sample'"),
        ({"p": 1}, "p: expected 2 or infinity, got 1"),
        ({"p": NAN}, "p: "),
        ({"clean_weight": -1.0}, "clean_weight: "),
        ({"adv_weight": NAN}, "adv_weight: "),
        ({"clean_weight": 0, "adv_weight": 0}, "adv_weight: expected a number > 0, got 0 [clean_weight is 0, too]"),
        ({"xi": 0.0}, "xi: "),
        ({"warmup": -1}, "warmup: "),
        ({"reduction": "mean"}, "reduction: "),
        ({"gp_mode": "jvp"}, "gp_mode: "),
        ({"h": 0.0}, "h: "),
        ({"order": 3}, "order: "),
        ({"on_nonfinite": "ignore"}, "on_nonfinite: expected one of 'skip', 'raise', got 'ignore'"),
        ({"method": "gp", "space": "rows"}, "space: expected 'activation' with method='gp', got 'rows'"),
        ({"method": "gp", "norm": "token"}, "norm: "),
        ({"method": "gp", "p": math.inf}, "p: "),
        ({"padding_idx": "none"}, "padding_idx: "),
        ({"padding_idx": -1}, "padding_idx: "),
    ],
)
def test_values(options: dict[str, Any], text: str) -> None:
    embedding = nn.Embedding(5, 2)
    with pytest.raises(ValueError) as caught:
        Adversary(embedding, **options)
    assert str(caught.value).startswith(text)
    assert not embedding._forward_hooks


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epsilon": "1"}, "epsilon: expected a finite number"),
        ({"epsilon": True}, "epsilon: "),
        ({"warmup": 1.5}, "warmup: "),
        ({"method": None}, "method: "),
        ({"mask": torch.ones(2, 3)}, "mask: expected a tensor of bool, got torch.float32 [call .bool()]"),
        ({"mask": [[True]]}, "mask: "),
        ({"generator": 3}, "generator: "),
        ({"same_dropout": 1}, "same_dropout: "),
        ({"p": "inf"}, "p: "),
    ],
)
def test_types(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        Adversary(nn.Embedding(5, 2), **options)
    assert str(caught.value).startswith(text)


def test_names_are_exact() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(5, 2), "more": nn.ModuleDict({"words_too": nn.Embedding(5, 2)})})
    for name in ("word", "words_too", "more.words", "", "more.words_too.weight"):
        with pytest.raises(ValueError, match=r"target: expected the exact name of a module, got none named") as caught:
            Adversary((model, name))
        assert "words" in str(caught.value) and "more.words_too" in str(caught.value)
    adversary = Adversary((model, "more.words_too"))
    assert model["more"]["words_too"]._forward_hooks and not model["words"]._forward_hooks
    adversary.remove()
    adversary.remove()
    assert not model["more"]["words_too"]._forward_hooks
    with Adversary(model["words"]):
        assert model["words"]._forward_hooks
    assert not model["words"]._forward_hooks
    for target in ("words", (model, 3), (model,), None, model["words"].weight):
        with pytest.raises(TypeError, match="^target: "):
            Adversary(target)


def test_a_name_that_means_two_modules() -> None:
    class Compiled(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Embedding(3, 2)
            self._orig_mod = nn.ModuleDict({"a": nn.Embedding(3, 2)})

    with pytest.raises(ValueError, match="got 2 modules named 'a'"):
        Adversary((Compiled(), "a"))


def test_rows_need_a_table() -> None:
    for module in (nn.Linear(3, 2), nn.EmbeddingBag(3, 2), nn.LayerNorm(3)):
        with pytest.raises(ValueError, match="^space: expected 'activation' for a target without a table, got 'rows'"):
            Adversary(module, space="rows")


def test_a_removed_adversary() -> None:
    model = Classifier()
    adversary = Adversary(model.embedding)
    adversary.remove()
    with pytest.raises(RuntimeError, match="removed"):
        adversary.backward(ce(model, *batch()))


def test_the_target_is_not_called() -> None:
    model = Classifier()
    ids, labels = batch()
    x = model.embedding(ids).detach()
    with pytest.raises(RuntimeError, match=r"^target: expected a call of its forward by the closure, got none"):
        Adversary(model.embedding).backward(lambda: losses(model, x, labels).mean())


def test_the_number_of_calls_changes() -> None:
    model = Classifier()
    ids, labels = batch()
    for later, text in ((1, "got 1"), (3, "got more")):
        n_calls = iter((2, later))

        def closure(n_calls: Any = n_calls) -> Any:
            return sum(losses(model, model.embedding(ids), labels).mean() for _ in range(next(n_calls)))

        with pytest.raises(RuntimeError, match=f"^target: expected 2 calls as in the first pass, {text}"):
            Adversary(model.embedding).backward(closure)


def test_another_batch_in_the_second_pass() -> None:
    model = Classifier()
    batches = iter((batch(n=5), batch(n=3)))
    with pytest.raises(RuntimeError, match=r"^closure: expected the same batch in every pass"):
        Adversary(model.embedding).backward(lambda: ce(model, *next(batches))())


class Odd(nn.Module):  # type: ignore[misc]
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self) -> Any:
        return self.output


@pytest.mark.parametrize("output", [(torch.zeros(2, 3),), {"a": torch.zeros(2, 3)}, torch.zeros(2, 3).long(), None])
def test_outputs_that_cannot_be_perturbed(output: Any) -> None:
    target = Odd(output)

    def closure() -> Any:
        target()
        return torch.ones((), requires_grad=True) * 1

    with pytest.raises(TypeError, match="^target: expected a"):
        Adversary(target).backward(closure)


def test_an_output_of_one_dimension() -> None:
    target = Odd(torch.zeros(3))
    with pytest.raises(ValueError, match=r"^target: expected an output of shape"):
        Adversary(target).backward(lambda: target().sum())


def test_gradients_are_off() -> None:
    model = Classifier()
    adversary = Adversary(model.embedding)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), pytest.raises(RuntimeError, match="^backward: expected gradients to be enabled"):
            adversary.backward(ce(model, *batch()))


def test_what_a_closure_returns() -> None:
    model = Classifier()
    ids, labels = batch()

    def run(value: Any, **options: Any) -> None:
        def closure() -> Any:
            return value(losses(model, model.embedding(ids), labels))

        Adversary(model.embedding, **options).backward(closure)

    with pytest.raises(ValueError, match=r"^closure: expected a scalar loss, got shape \(5,\)"):
        run(lambda x: x)
    with pytest.raises(ValueError, match=r"^closure: expected a scalar loss, got shape \(1,\)"):
        run(lambda x: x.mean()[None])
    with pytest.raises(TypeError, match=r"^closure: expected a tensor or an object with .loss, got float"):
        run(lambda x: x.mean().item())
    with pytest.raises(TypeError, match=r"pass labels"):
        run(lambda x: SimpleNamespace(loss=None, logits=x))
    with pytest.raises(RuntimeError, match=r"^target: expected a loss that depends on its output"):
        run(lambda x: torch.zeros(()), clean_weight=0)
    with pytest.raises(RuntimeError, match=r"^target: expected a loss that depends on its output"):
        run(lambda x: model.out.weight.sum())
    with pytest.raises(ValueError, match=r"^closure: expected a loss for each of the 5 samples"):
        run(lambda x: x.mean(), method="gp")
    with pytest.raises(TypeError, match=r"^closure: expected logits"):
        run(lambda x: SimpleNamespace(loss=x.mean()), method="vat")
    with pytest.raises(ValueError, match=r"^closure: expected logits \(..., classes\) of at least 2 classes"):
        run(lambda x: x[:, None], method="vat")
    with pytest.raises(TypeError, match="^closure: expected a function"):
        Adversary(model.embedding).backward(model(ids).mean())
    with pytest.raises(TypeError, match="^backward: expected a function"):
        Adversary(model.embedding).backward(lambda: 0, backward=3)
    with pytest.raises(RuntimeError, match="^backward: expected a function that differentiates the loss it is given"):
        Adversary(model.embedding, clean_weight=0).backward(ce(model, ids, labels), backward=lambda loss: None)


def test_an_adversary_within_itself() -> None:
    model = Classifier()
    adversary = Adversary(model.embedding)
    ids, labels = batch()

    def closure() -> Any:
        return adversary.backward(ce(model, ids, labels)).loss

    with pytest.raises(RuntimeError, match="^closure: expected no call of the adversary that calls it"):
        adversary.backward(closure)
    assert adversary.backward(ce(model, ids, labels)).loss > 0


@pytest.mark.parametrize("wrong", [torch.ones(5, 3, dtype=torch.bool), [torch.ones(5, 4)], [], None])
def test_masks(wrong: Any) -> None:
    model = Classifier()
    with pytest.raises((ValueError, TypeError), match="^mask: "):
        Adversary(model.embedding, mask=lambda: wrong).backward(ce(model, *batch()))


def test_padding_without_ids() -> None:
    target = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"^target: expected ids of shape \(5,\) as its input, got torch.float32"):
        Adversary(target, padding_idx=0).backward(lambda: target(torch.zeros(5, 4)).sum())


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat", "gp"])
@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_not_finite(method: str, bad: float) -> None:
    model = Classifier()
    ids, labels = batch()
    seen = []

    def closure() -> Any:
        x = model.embedding(ids)
        seen.append(x.detach() - model.embedding.weight.detach()[ids])
        found = model.after(x) if method == "vat" else losses(model, x, labels)
        found = torch.cat([found[:-1], found[-1:] * bad])
        return found if method in ("vat", "gp") else found.mean()

    step = Adversary(model.embedding, method, 0.4).backward(closure)
    assert step.skipped is True and not seen[-1].any()
    assert len(seen) == {"fgm": 2, "pgd": 4, "freelb": 3, "vat": 3, "gp": 1}[method]  # a scaler sees every pass
    assert model.out.weight.grad.isnan().any()
    model.zero_grad()
    for name, p in model.named_parameters():
        assert torch.isfinite(p).all(), name
    with pytest.raises(FloatingPointError, match="^loss: expected finite"):
        Adversary(model.embedding, method, 0.4, on_nonfinite="raise").backward(closure)


def test_not_finite_at_padding_does_not_matter() -> None:
    model = Classifier()
    ids, labels = batch()
    mask = torch.ones(ids.shape, dtype=torch.bool)
    mask[0, 0] = False

    def closure() -> Any:
        x = model.embedding(ids)
        x.register_hook(lambda g: g.masked_fill(~mask[..., None], NAN)) if x.requires_grad else None
        return losses(model, x, labels).mean()

    assert not Adversary(model.embedding, mask=mask).backward(closure).skipped


def test_a_norm_that_overflows_is_not_finite() -> None:
    model = Classifier(dtype=torch.float32)
    ids, labels = batch()
    step = Adversary(model.embedding).backward(lambda: 1e30 * ce(model, ids, labels)())
    assert step.skipped


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat", "gp-double", "gp-fd"])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("same_dropout", [False, True])
def test_an_exception_in_any_pass(method: str, kind: type[BaseException], same_dropout: bool) -> None:
    method, _, mode = method.partition("-")
    model = Classifier()
    model.dropout.p = 0.3
    ids, labels = batch()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    n_passes = {"fgm": 2, "pgd": 4, "freelb": 3, "vat": 3, "gp": 2 if mode == "fd" else 1}[method]
    for number in range(n_passes):
        passes: list[int] = []

        def closure(passes: list[int] = passes, number: int = number) -> Any:
            x = model.embedding(ids)
            found = model.after(x) if method == "vat" else losses(model, x, labels)
            passes.append(1)
            if len(passes) > number:
                raise kind("stop")
            return found if method in ("vat", "gp") else found.mean()

        generator = torch.Generator().manual_seed(0)
        states = torch.get_rng_state(), generator.get_state()
        adversary = Adversary(
            model.embedding, method, 0.4, same_dropout=same_dropout, generator=generator, gp_mode=mode or "double"
        )
        with pytest.raises(kind, match="stop"):
            adversary.backward(closure)
        assert torch.equal(torch.get_rng_state(), states[0]) and torch.equal(generator.get_state(), states[1])
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        x = model.embedding(ids)
        assert torch.equal(x, model.embedding.weight[ids])  # nothing is added any more
        adversary.remove()
        assert not model.embedding._forward_hooks


def test_a_failed_call_does_not_count_for_the_warmup() -> None:
    model = Classifier()
    adversary = Adversary(model.embedding, epsilon=1.0, warmup=2)
    with pytest.raises(ZeroDivisionError):
        adversary.backward(lambda: 1 / 0)
    found = [adversary.backward(ce(model, *batch())).perturbation_norm.item() for _ in range(3)]
    assert found == pytest.approx([0.0, 0.5, 1.0])


def test_attack_refuses() -> None:
    x = torch.randn(3, 2)
    for arguments, kind, text in (
        ({"epsilon": -1.0}, ValueError, "epsilon: "),
        ({"epsilon": 1.0, "steps": 0}, ValueError, "steps: "),
        ({"epsilon": 1.0, "alpha": 0.0}, ValueError, "alpha: "),
        ({"epsilon": 1.0, "norm": "row"}, ValueError, "norm: "),
        ({"epsilon": 1.0, "p": 3}, ValueError, "p: "),
        ({"epsilon": 1.0, "mask": torch.ones(3)}, TypeError, "mask: "),
        ({"epsilon": 1.0, "mask": torch.ones(2, dtype=torch.bool)}, ValueError, "mask: "),
    ):
        with pytest.raises(kind, match=f"^{text}"):
            attack(lambda x: x.sum(), x, **arguments)
    for wrong, kind in (
        (np.zeros((2, 2)), TypeError),
        (torch.zeros(2, 2).long(), TypeError),
        (torch.zeros(3), ValueError),
    ):
        with pytest.raises(kind, match="^embeds: "):
            attack(lambda x: x.sum(), wrong, 1.0)
    for loss, kind in (
        (lambda x: 1.0, TypeError),
        (lambda x: x, ValueError),
        (lambda x: torch.zeros(()), RuntimeError),
        (lambda x: (x * NAN).sum(), FloatingPointError),
    ):
        with pytest.raises(kind, match="^loss_fn: "):
            attack(loss, x, 1.0)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="inference_mode"):
        attack(lambda x: x.sum(), x, 1.0)


def test_gradient_penalty_refuses() -> None:
    x = torch.randn(3, 2)
    for options, text in (
        ({"epsilon": -1.0}, "epsilon: "),
        ({"mode": "jvp"}, "mode: "),
        ({"h": 0.0}, "h: "),
        ({"order": 3}, "order: "),
        ({"reduction": "sum"}, "reduction: "),
    ):
        with pytest.raises(ValueError, match=f"^{text}"):
            gradient_penalty(lambda x: x.sum(1), x, **options)
    with pytest.raises(ValueError, match=r"^loss_fn: expected losses of shape \(3,\), got \(\)"):
        gradient_penalty(lambda x: x.sum(), x)
    with pytest.raises(TypeError, match=r"^loss_fn: "):
        gradient_penalty(lambda x: [1.0], x)
    with pytest.raises(RuntimeError, match=r"^loss: expected losses that depend on the embeddings"):
        gradient_penalty(lambda x: torch.zeros(3), x)
    with pytest.raises(TypeError, match=r"^embeds: "):
        gradient_penalty(lambda x: x, [[1.0]])


def test_the_blog_line_takes_other_arguments() -> None:
    model = Classifier()
    ids, labels = batch()
    adversarial_training(model, "embedding", epsilon=0.5, clean_weight=1.0).backward(ce(model, ids, labels))
    both = gradients(model)
    adversarial_training(model, "embedding", epsilon=0.5).backward(ce(model, ids, labels))
    adversarial = gradients(model)
    ce(model, ids, labels)().backward()
    assert torch.allclose(both["out.weight"], sum_of((1.0, adversarial), (1.0, gradients(model)))["out.weight"])
    step = adversarial_training(model, "embedding", epsilon=0.5, space="activation").backward(ce(model, ids, labels))
    assert step.perturbation_norm == pytest.approx(0.5)
