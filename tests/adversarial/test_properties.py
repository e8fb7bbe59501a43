"""What must hold for every model: gradients, norms, padding, weights, and what is left untouched."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from likewise.adversarial import Adversary, adversarial_training, attack, gradient_penalty, perturb_rows  # noqa: E402

from .models import (  # noqa: E402
    SHAPES,
    Classifier,
    assert_close,
    batch,
    ce,
    gradients,
    losses,
    sum_of,
)


def test_rows_equal_the_table_written_in_place() -> None:
    """Bit for bit, loss and gradients, where only the lookup uses the table."""
    ids, labels = batch(4, n=6, length=7, v=10)
    results = []
    for in_place in (False, True):
        model = Classifier(seed=4, v=10, dtype=torch.float32)
        if in_place:
            ce(model, ids, labels)().backward()
            g = gradients(model)["embedding.weight"]
            rows = torch.unique(ids)
            with torch.no_grad():
                saved = model.embedding.weight.clone()
                length = torch.linalg.vector_norm(g[rows])
                model.embedding.weight[rows] += 0.7 * (g[rows] / (length + 1e-8))
            loss = ce(model, ids, labels)()
            loss.backward()
            with torch.no_grad():
                model.embedding.weight.copy_(saved)
            results.append((loss.detach(), gradients(model)))
        else:
            step = adversarial_training(model, "embedding", epsilon=0.7).backward(ce(model, ids, labels))
            results.append((step.loss, gradients(model)))
    (loss, found), (expected_loss, expected) = results
    assert torch.equal(loss, expected_loss)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_rows_agree_with_perturb_rows() -> None:
    model = Classifier(seed=5)
    ids, labels = batch(5)
    adversarial_training(model, "embedding", epsilon=0.7).backward(ce(model, ids, labels))
    found = gradients(model)
    ce(model, ids, labels)().backward()
    with perturb_rows(model.embedding, ids, 0.7):
        model.zero_grad()
        ce(model, ids, labels)().backward()
    assert_close(found, gradients(model))


def test_nothing_is_written() -> None:
    """Not even in between: the version counters of the parameters stand still."""
    for method in ("fgm", "pgd", "freelb", "gp"):
        for space in ("activation", "rows") if method != "gp" else ("activation",):
            model = Classifier(padding_idx=0)
            ids, labels = batch()
            before = [(p._version, p.detach().clone()) for p in model.parameters()]

            def closure(model: Any = model, ids: Any = ids, labels: Any = labels, method: str = method) -> Any:
                found = losses(model, model.embedding(ids), labels)
                return found if method == "gp" else found.mean()

            Adversary(model.embedding, method, 0.4, space=space).backward(closure)
            for p, (version, value) in zip(model.parameters(), before, strict=True):
                assert p._version == version and torch.equal(p, value)


@pytest.mark.parametrize("method", ["fgm", "pgd", "gp"])
def test_microbatches_equal_one_batch(method: str) -> None:
    """Norms of samples do not depend on how a batch is cut; that of the batch does."""
    model = Classifier(seed=6)
    ids, labels = batch(6, n=8)

    def closure(part: slice, share: float) -> Any:
        def run() -> Any:
            found = losses(model, model.embedding(ids[part]), labels[part])
            return found if method == "gp" else found.mean() * share

        return run

    def found(n_parts: int, **options: Any) -> dict[str, Any]:
        weights = {"clean_weight": 1 / n_parts, "adv_weight": 1 / n_parts} if method == "gp" else {}
        adversary = Adversary(model.embedding, method, 0.4, **weights, **options)
        for i in range(n_parts):
            size = 8 // n_parts
            adversary.backward(closure(slice(i * size, (i + 1) * size), 1 / n_parts))
        adversary.remove()
        return gradients(model)

    assert_close(found(4), found(1))
    if method != "gp":
        with pytest.raises(AssertionError):
            assert_close(found(4, norm="batch"), found(1, norm="batch"), 1e-3)


@pytest.mark.parametrize("space", ["activation", "rows"])
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
@pytest.mark.parametrize("norm", ["sample", "token", "batch"])
def test_padding_stays_as_it_is(space: str, method: str, norm: str) -> None:
    if space == "rows" and norm == "sample":
        pytest.skip("a row belongs to no sample")
    ids, labels = batch(7)
    ids[0, 2:], ids[2, 1:] = 0, 0
    real = ids != 0
    seen: list[Any] = []
    for options in ({"padding_idx": 0}, {"mask": real}, {"mask": lambda: real}):
        model = Classifier(seed=7)

        def closure(model: Any = model) -> Any:
            x = model.embedding(ids)
            seen.append(x.detach() - model.embedding.weight.detach()[ids])
            found = model.after(x)
            return found if method == "vat" else nn.functional.cross_entropy(found, labels)

        generator = torch.Generator().manual_seed(0)
        Adversary(model.embedding, method, 0.4, norm=norm, space=space, generator=generator, **options).backward(
            closure
        )
        delta = seen[-1]
        assert not delta[~real].any() and delta[real].any()
        if space == "activation":
            lengths = delta.square().sum(SHAPES[norm]).sqrt()
            lengths = lengths[real] if norm == "token" else lengths
            if method in ("fgm", "vat"):  # the padding took no share of the norm
                assert lengths.sub(0.4).abs().max() < 1e-5
    third = len(seen) // 3
    for a, b in ((0, 1), (0, 2)):
        torch.testing.assert_close(seen[a * third + third - 1], seen[b * third + third - 1])


def test_the_padding_of_the_embedding_is_taken_by_itself() -> None:
    ids, labels = batch(8)
    ids[0, 1:] = 0
    found = []
    for options in ({"padding_idx": "auto"}, {"mask": ids != 0, "padding_idx": None}):
        model = Classifier(seed=8, padding_idx=0)
        Adversary(model.embedding, epsilon=0.4, **options).backward(ce(model, ids, labels))
        found.append(gradients(model))
        assert not found[-1]["embedding.weight"][0].any()
    assert_close(*found)


def test_rows_that_padding_alone_refers_to_count_for_nothing() -> None:
    """FreeLB starts within epsilon / sqrt(numbers that count) in every row, and at zero in those of padding."""
    ids, labels = torch.tensor([[1, 2, 7], [2, 3, 7]]), torch.tensor([0, 1])
    model = Classifier(seed=12)
    seen = []

    def closure() -> Any:
        x = model.embedding(ids)
        seen.append((x - model.embedding.weight[ids]).detach())
        return losses(model, x, labels).mean()

    adversary = Adversary(model.embedding, "freelb", 0.6, space="rows", steps=1, mask=ids != 7)
    largest = 0.0
    for seed in range(20):
        torch.manual_seed(seed)
        step = adversary.backward(closure)
        rows = torch.stack([seen[-1][0, 0], seen[-1][0, 1], seen[-1][1, 1]])
        assert torch.allclose(seen[-1][1, 0], rows[1]) and not seen[-1][:, 2].any()
        assert float(step.perturbation_norm) == pytest.approx(float(rows.norm()))
        largest = max(largest, float(rows.abs().max()))
    assert largest == pytest.approx(0.6 / (3 * 6) ** 0.5, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["fgm", "pgd", "freelb", "vat"]),
    norm=st.sampled_from(["sample", "token", "batch"]),
    space=st.sampled_from(["activation", "rows"]),
    p=st.sampled_from([2, math.inf]),
    epsilon=st.sampled_from([0.0, 1e-6, 0.3, 50.0]),
    steps=st.integers(1, 4),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 100),
)
def test_the_ball_is_never_left(
    method: str, norm: str, space: str, p: float, epsilon: float, steps: int, scale: float, dtype: Any, seed: int
) -> None:
    model = Classifier(seed=seed, dtype=dtype, padding_idx=0)
    ids, labels = batch(seed)
    ids[0, 1:] = 0
    deltas = []

    def closure() -> Any:
        x = model.embedding(ids)
        deltas.append((x - model.embedding.weight[ids]).detach())
        found = model.after(x)
        return found if method == "vat" else scale * nn.functional.cross_entropy(found, labels)

    options = {} if method == "fgm" else {"steps": steps}
    step = Adversary(
        model.embedding, method, epsilon, norm=None if space == "rows" else norm, space=space, p=p, **options
    ).backward(closure)
    assert torch.isfinite(step.loss) and not step.skipped
    assert step.perturbation_norm <= epsilon * (1 + 1e-6)
    if space == "activation":
        for delta in deltas[-1:] if method == "vat" else deltas:
            lengths = (
                torch.linalg.vector_norm(delta, ord=p, dim=SHAPES[norm]) if p == 2 else delta.abs().amax(SHAPES[norm])
            )
            rounding = 4e-7 * float(model.embedding.weight.detach().abs().max()) if dtype == torch.float32 else 1e-15
            assert lengths.max() <= epsilon * (1 + 1e-6) + 5 * rounding


@pytest.mark.parametrize("method", ["fgm", "pgd"])
@pytest.mark.parametrize("space", ["activation", "rows"])
def test_epsilon_zero_is_a_multiple_of_the_clean_gradient(method: str, space: str) -> None:
    model = Classifier(seed=9, dtype=torch.float32)
    ids, labels = batch(9)
    ce(model, ids, labels)().backward()
    clean = gradients(model)
    Adversary(model.embedding, method, 0.0, space=space, clean_weight=0.5).backward(ce(model, ids, labels))
    found = gradients(model)
    assert all(torch.equal(found[name], 0.5 * clean[name] + clean[name]) for name in clean)


def test_gradients_are_added_to_what_is_there() -> None:
    model = Classifier()
    ids, labels = batch()
    adversary = Adversary(model.embedding, epsilon=0.4)
    adversary.backward(ce(model, ids, labels))
    once = {name: p.grad.clone() for name, p in model.named_parameters()}
    adversary.backward(ce(model, ids, labels))
    assert_close(gradients(model), sum_of((2.0, once)))


def test_a_convex_loss_never_falls() -> None:
    torch.manual_seed(0)
    w = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    table = nn.Embedding(20, 6, dtype=torch.float64)
    for seed in range(20):
        ids, labels = batch(seed, v=20)
        for norm in ("sample", "token", "batch"):
            adversary = Adversary(table, epsilon=0.3 * (1 + seed), norm=norm)
            step = adversary.backward(
                lambda ids=ids, labels=labels: nn.functional.cross_entropy(table(ids).mean(1) @ w, labels)
            )
            assert step.adversarial_loss >= step.clean_loss


def test_pgd_is_stronger_than_fgm_on_average() -> None:
    gained = 0.0
    for seed in range(20):
        model = Classifier(seed=seed)
        with torch.no_grad():
            model.hidden.weight.mul_(4)  # far from linear
        ids, labels = batch(seed)
        fgm = Adversary(model.embedding, epsilon=1.0).backward(ce(model, ids, labels)).adversarial_loss
        pgd = Adversary(model.embedding, "pgd", 1.0, steps=8).backward(ce(model, ids, labels)).adversarial_loss
        gained += float(pgd - fgm)
    assert gained > 0


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("reduction", ["sample", "batch"])
def test_finite_differences_near_the_second_derivative(squared: bool, reduction: str) -> None:
    model = Classifier(seed=10)
    ids, labels = batch(10)
    found = {}
    for name, options in (
        ("double", {}),
        ("first", {"mode": "fd"}),
        ("second", {"mode": "fd", "order": 2}),
    ):
        x = model.embedding(ids)
        gradient_penalty(
            lambda x: losses(model, x, labels), x, 1.0, squared=squared, reduction=reduction, **options
        ).backward()
        found[name] = torch.cat([g.reshape(-1) for g in gradients(model).values()])

    def error(name: str) -> float:
        return float((found[name] - found["double"]).norm() / found["double"].norm())

    assert error("first") < 1e-2 and error("second") < 1e-4 < 10 * error("first")


def test_penalty_of_a_flat_loss_has_no_nan() -> None:
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, dtype=torch.float64)
    for squared in (True, False):
        for mode in ("double", "fd"):
            penalty = gradient_penalty(lambda x: torch.sigmoid(x @ w), x, squared=squared, mode=mode)
            (g,) = torch.autograd.grad(penalty, w)
            assert penalty == 0 and not g.isnan().any()


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb"])
def test_a_gradient_of_zero_moves_nothing(method: str) -> None:
    model = Classifier(seed=11)
    ids, labels = batch(11)
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)  # two samples do not count
    seen = []

    def closure() -> Any:
        x = model.embedding(ids)
        seen.append((x - model.embedding.weight[ids]).detach())
        return (losses(model, x, labels) * weights).mean()

    step = Adversary(model.embedding, method, 0.4).backward(closure)
    assert torch.isfinite(step.loss)
    if method != "freelb":  # which starts at random
        assert not seen[-1][weights == 0].any() and seen[-1][weights == 1].any()


def test_warmup_is_linear_from_zero() -> None:
    model = Classifier()
    ids, labels = batch()
    adversary = Adversary(model.embedding, epsilon=0.8, warmup=4)
    found = [adversary.backward(ce(model, ids, labels)).perturbation_norm.item() for _ in range(6)]
    assert found == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 0.8])


@pytest.mark.parametrize(
    ("method", "options", "n"),
    [
        ("fgm", {}, 2),
        ("fgm", {"clean_weight": 0}, 2),
        ("pgd", {"steps": 3}, 4),
        ("pgd", {"steps": 1, "clean_weight": 0}, 2),
        ("freelb", {"steps": 4}, 4),
        ("vat", {}, 3),
        ("vat", {"steps": 0}, 2),
        ("gp", {}, 1),
        ("gp", {"gp_mode": "fd"}, 2),
        ("gp", {"gp_mode": "fd", "order": 2}, 3),
    ],
)
def test_number_of_passes(method: str, options: dict[str, Any], n: int) -> None:
    model = Classifier()
    ids, labels = batch()
    calls = []

    def closure() -> Any:
        calls.append(1)
        if method == "vat":
            return model(ids)
        found = losses(model, model.embedding(ids), labels)
        return found if method == "gp" else found.mean()

    Adversary(model.embedding, method, 0.4, **options).backward(closure)
    assert len(calls) == n


def test_attack_moves_no_parameter_and_works_without_gradients() -> None:
    model = Classifier()
    ids, labels = batch()
    with torch.no_grad():
        x = model.embedding(ids)
        for norm in ("sample", "token", "batch"):
            mask = torch.rand(ids.shape) < 0.7
            fgm = attack(lambda x: losses(model, x, labels), x, 0.6, norm=norm, steps=1, mask=mask)
            pgd = attack(lambda x: losses(model, x, labels).mean(), x, 0.6, norm=norm, mask=mask)
            assert not pgd[~mask].any() and not pgd.requires_grad
            clean, *others = (float(losses(model, x + delta, labels).mean()) for delta in (0 * x, fgm, pgd))
            assert min(others) > clean
            assert pgd.square().sum(SHAPES[norm]).sqrt().max() <= 0.6 * (1 + 1e-6)
    assert all(p.grad is None for p in model.parameters())
    assert not attack(lambda x: losses(model, x, labels), x, 0.0).any()
