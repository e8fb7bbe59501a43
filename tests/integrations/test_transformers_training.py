"""The steps of a real Trainer: what they add up to, and that plain training is left as it is."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")
transformers = pytest.importorskip("transformers", reason="pip install 'likewise[transformers]'")
pytest.importorskip("accelerate", reason="pip install 'likewise[transformers]'")

from torch import nn  # noqa: E402

from likewise.adversarial import Adversary  # noqa: E402
from likewise.integrations.transformers import AdversarialTrainerMixin, adversarial_training  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # the trainer's own affairs
WORDS = "bert.embeddings.word_embeddings"
SIZES = dict(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=16
)


class RobustTrainer(AdversarialTrainerMixin, transformers.Trainer):  # type: ignore[misc]
    pass


def classifier() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3, **SIZES
    )
    return transformers.BertForSequenceClassification(config)


def language_model() -> Any:
    """Accepts the number of items in a batch: its losses are shares of an accumulated step."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
    )
    return transformers.GPT2LMHeadModel(config)


def examples(n: int, *, for_language: bool = False) -> list[dict[str, Any]]:
    source = torch.Generator().manual_seed(1)
    found = []
    for i in range(n):
        ids = torch.randint(1, 50, (8,), generator=source)
        labels = ids.clone() if for_language else torch.tensor(i % 3)
        if for_language:
            labels[: i % 5] = -100  # batches differ in how much they count
        found.append({"input_ids": ids, "attention_mask": torch.ones(8, dtype=torch.long), "labels": labels})
    return found


def trained(model: Any, folder: Path, kind: Any = transformers.Trainer, *, patch: Any = None, **options: Any) -> Any:
    """A trainer after two steps of plain gradient descent, and its model."""
    own = {key: options.pop(key) for key in ("adversary", "compute_loss_func") if key in options}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=options.pop("per_device_train_batch_size", 4),
        learning_rate=0.1,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        report_to="none",
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
        **options,
    )
    language = isinstance(model, transformers.GPT2LMHeadModel)
    trainer = kind(model=model, args=arguments, train_dataset=examples(32, for_language=language), **own)
    if patch is not None:
        patch(trainer)
    trainer.train()
    return trainer


def same(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((x - y).detach().abs().max()) for x, y in pairs) <= tolerance


def logged(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("make", [classifier, language_model])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
@pytest.mark.parametrize("normalised", [None, False])
def test_epsilon_zero_is_plain_training(
    make: Any, n_steps: int, method: str, normalised: bool | None, tmp_path: Path
) -> None:
    """Whatever is accumulated and normalised: the same parameters, the same logged losses."""
    plain, model = make(), make()

    def tell(trainer: Any) -> None:
        trainer.loss_is_scaled_for_ga = normalised

    expected = trained(plain, tmp_path, patch=tell, gradient_accumulation_steps=n_steps)
    weights = {"clean_weight": 0.0} if method in ("fgm", "pgd") else {}
    adversary = Adversary(model.get_input_embeddings(), method, 0.0, **weights)
    found = trained(
        model, tmp_path, RobustTrainer, adversary=adversary, patch=tell, gradient_accumulation_steps=n_steps
    )
    assert same(model, plain) and not same(model, make())
    assert logged(found) == pytest.approx(logged(expected), abs=2e-4)


@pytest.mark.parametrize("n_steps", [1, 2])
def test_a_step_is_that_of_the_adversary(n_steps: int, tmp_path: Path) -> None:
    """Against a loop written by hand over the same batches."""
    model, by_hand = classifier(), classifier()
    batches: list[Any] = []

    class Recording(RobustTrainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if not batches or not torch.equal(batches[-1]["input_ids"], inputs["input_ids"]):
                batches.append(dict(inputs))
            return super().compute_loss(model, inputs, *args, **kwargs)

    adversary = Adversary((model, WORDS), epsilon=0.3)
    trainer = trained(model, tmp_path, Recording, adversary=adversary, gradient_accumulation_steps=n_steps)
    assert len(batches) == 2 * n_steps
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.1)
    words = Adversary((by_hand, WORDS), epsilon=0.3)
    losses = []
    for i, inputs in enumerate(batches):
        # The trainer takes the loss of a model that accepts keywords for normalised, and does not divide it.
        step = words.backward(lambda inputs=inputs: by_hand(**inputs).loss)
        losses.append(float(step.loss))
        if i % n_steps == n_steps - 1:
            optimizer.step()
            optimizer.zero_grad()
    assert same(model, by_hand, 1e-6)
    sums = [sum(losses[i : i + n_steps]) for i in range(0, len(losses), n_steps)]
    assert logged(trainer) == pytest.approx(sums, abs=2e-4)


@pytest.mark.parametrize("n_steps", [1, 2])
def test_the_divergence_is_divided_by_the_accumulated_steps(n_steps: int, tmp_path: Path) -> None:
    for make in (classifier, language_model):
        model, by_hand = make(), make()
        batches: list[Any] = []

        class Recording(RobustTrainer):
            def compute_loss(self, model: Any, inputs: Any, *args: Any, batches: Any = batches, **kwargs: Any) -> Any:
                if not batches or not torch.equal(batches[-1][0]["input_ids"], inputs["input_ids"]):
                    batches.append((dict(inputs), kwargs.get("num_items_in_batch")))
                return super().compute_loss(model, inputs, *args, **kwargs)

        generator = torch.Generator().manual_seed(0)
        adversary = Adversary(model.get_input_embeddings(), "vat", 0.3, generator=generator)
        trained(model, tmp_path, Recording, adversary=adversary, gradient_accumulation_steps=n_steps)
        generator.manual_seed(0)
        vat = Adversary(by_hand.get_input_embeddings(), "vat", 0.3, adv_weight=1 / n_steps, generator=generator)
        optimizer = torch.optim.SGD(by_hand.parameters(), 0.1)
        for i, (inputs, n_items) in enumerate(batches):
            by_hand(**inputs, **({} if make is classifier else {"num_items_in_batch": n_items})).loss.backward()
            vat.backward(lambda inputs=inputs, by_hand=by_hand: by_hand(**inputs).logits)
            if i % n_steps == n_steps - 1:
                optimizer.step()
                optimizer.zero_grad()
        assert same(model, by_hand), make


def test_one_line_patches_and_is_undone(tmp_path: Path) -> None:
    model, plain = classifier(), classifier()
    patches: list[Any] = []
    trainer = trained(model, tmp_path, patch=lambda t: patches.append(adversarial_training(t, WORDS, epsilon=0.5)))
    patched = trained(
        plain := classifier(),
        tmp_path,
        RobustTrainer,
        adversary=Adversary((plain, WORDS), epsilon=0.5, space="rows", clean_weight=0.0),
    )
    assert same(model, plain, 1e-6) and logged(trainer) == pytest.approx(logged(patched), abs=2e-4)
    with pytest.raises(ValueError, match="^trainer: expected one with its own training_step"):
        adversarial_training(trainer, WORDS)
    (patch,) = patches
    assert patch.adversary.method == "fgm"
    patch.remove()
    patch.remove()
    assert "training_step" not in vars(trainer) and not model.get_input_embeddings()._forward_hooks
    with adversarial_training(trainer, WORDS):
        assert "training_step" in vars(trainer)
    assert "training_step" not in vars(trainer)


def test_label_smoothing_takes_the_labels_out(tmp_path: Path) -> None:
    plain, model = classifier(), classifier()
    trained(plain, tmp_path, label_smoothing_factor=0.1)
    adversary = Adversary((model, WORDS), epsilon=0.0, clean_weight=0.0)
    trained(model, tmp_path, RobustTrainer, adversary=adversary, label_smoothing_factor=0.1)
    assert same(model, plain)


def test_a_loss_function_of_ones_own(tmp_path: Path) -> None:
    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        return nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch

    plain, model = classifier(), classifier()
    trained(plain, tmp_path, compute_loss_func=loss, gradient_accumulation_steps=2)
    trained(
        model,
        tmp_path,
        RobustTrainer,
        adversary=Adversary((model, WORDS), epsilon=0.0, clean_weight=0.0),
        compute_loss_func=loss,
        gradient_accumulation_steps=2,
    )
    assert same(model, plain)


def test_bfloat16_and_checkpointing(tmp_path: Path) -> None:
    model = classifier()
    adversary = Adversary((model, WORDS), "pgd", epsilon=0.3)
    trainer = trained(model, tmp_path, RobustTrainer, adversary=adversary, bf16=True, gradient_checkpointing=True)
    assert all(torch.isfinite(p).all() for p in model.parameters()) and len(logged(trainer)) == 2


def test_without_an_adversary_steps_are_plain(tmp_path: Path) -> None:
    plain, model = classifier(), classifier()
    trained(plain, tmp_path)
    trained(model, tmp_path, RobustTrainer)
    assert same(model, plain, 0.0)


TWO_PROCESSES = """
import os, sys
os.environ |= dict(RANK=sys.argv[2], LOCAL_RANK=sys.argv[2], WORLD_SIZE="2")
os.environ |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1])
import torch
torch.set_num_threads(1)
import warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tests.integrations import test_transformers_training as here
model = here.language_model()
trainer = here.in_order(model, Path(sys.argv[3]), n=2, ddp_backend="gloo")
print(type(trainer.model_wrapped).__name__, float(sum(p.double().sum() for p in model.parameters())))
"""


def in_order(model: Any, folder: Path, n: int, **options: Any) -> Any:
    """A trainer after steps on batches of 4 texts in their order, cut for n processes."""

    class Ordered(RobustTrainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    adversary = Adversary(model.get_input_embeddings(), "pgd", 0.3, steps=2)
    return trained(
        model,
        folder,
        Ordered,
        adversary=adversary,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=4 // n,
        **options,
    )


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, fresh: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    model = language_model()
    in_order(model, tmp_path, n=1)
    expected = float(sum(p.detach().double().sum() for p in model.parameters()))
    with ThreadPoolExecutor(2) as both:
        printed = list(both.map(lambda rank: fresh(TWO_PROCESSES, port, rank, str(tmp_path)), ("0", "1")))
    for text in printed:
        name, total = text.strip().splitlines()[-1].split()
        assert name == "DistributedDataParallel" and float(total) == pytest.approx(expected, abs=1e-6)


def test_refusals(tmp_path: Path) -> None:
    model = classifier()
    with pytest.raises(TypeError, match="^adversary: expected an Adversary or None, got float 0.5"):
        trained(model, tmp_path, RobustTrainer, adversary=0.5)
    with pytest.raises(TypeError, match=r"^trainer: expected a transformers.Trainer, got"):
        adversarial_training(model, WORDS)
    trainer = trained(classifier(), tmp_path)
    with pytest.raises(ValueError, match=r"^target: expected the exact name.*bert.embeddings.word_embeddings"):
        adversarial_training(trainer, "word_embeddings")
    assert "training_step" not in vars(trainer)
    with pytest.raises(ValueError, match="^closure: expected a loss for each of the 4 samples"):
        trained(model, tmp_path, RobustTrainer, adversary=Adversary((model, WORDS), "gp"))
    patch = adversarial_training(trainer, WORDS)
    trainer.args._n_gpu = 2
    with pytest.raises(NotImplementedError, match="^trainer: expected one device a process"):
        trainer.training_step(trainer.model, examples(1)[0])
    patch.remove()
