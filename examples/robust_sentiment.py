"""Train a small sentiment classifier plainly and adversarially, and see how easily each is fooled.

    python examples/robust_sentiment.py [FOLDER] [--seeds 3] [--epochs 4] [--plot robust_sentiment.png]

FOLDER (default: the variable LIKEWISE_DATA) holds sentiment_zh. Texts are read as characters, 64 of each; the model is
a convolutional network over embeddings that start at random. It is trained on the first 8000 training texts and judged
on the validation texts: as they are, with noise of norm .5 added to the embeddings of each text, attacked there within
norm .25 to 1 (FGM: one step along the gradient, PGD: ten), and with 30 % of the characters unknown. Such attacks
substitute no words: they measure how smooth the model is. Needs torch, and matplotlib for the plot.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from likewise.adversarial import Adversary, adversarial_training, attack

LENGTH, BATCH, PAD, UNKNOWN = 64, 64, 0, 1
RADII = (0.25, 0.5, 1.0)
TRAININGS = {
    "plain": None,
    "FGM as published, epsilon 1": lambda model: adversarial_training(model, "embedding", epsilon=1.0),
    "FGM of each text, epsilon .5": lambda model: Adversary(model.embedding, epsilon=0.5),
    "the same, warmup of 250 steps": lambda model: Adversary(model.embedding, epsilon=0.5, warmup=250),
}


class Classifier(nn.Module):
    """Embeddings, convolutions over 3, 4 and 5 characters, the largest value of each over the text, logits."""

    def __init__(self, n_characters: int, d: int = 100, n_filters: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_characters, d, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PAD] = 0
        self.convolutions = nn.ModuleList(nn.Conv1d(d, n_filters, width) for width in (3, 4, 5))
        self.dropout, self.out = nn.Dropout(0.5), nn.Linear(3 * n_filters, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.after(self.embedding(ids))

    def after(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of embeddings, which is what an attack perturbs."""
        x = x.transpose(1, 2).contiguous()
        features = [torch.relu(convolution(x)).max(dim=2).values for convolution in self.convolutions]
        return self.out(self.dropout(torch.cat(features, dim=1)))


def read(path: Path, n: int | None = None) -> tuple[list[str], torch.Tensor]:
    """Texts and labels, one of each a line."""
    with path.open(encoding="utf-8") as source:
        lines = [line.rstrip("\n").rsplit("\t", 1) for line in source][:n]
    return [text for text, _ in lines], torch.tensor([int(label) for _, label in lines])


def numbered(texts: list[str], known: dict[str, int]) -> torch.Tensor:
    """Numbers of the first characters, shape (texts, LENGTH)."""
    ids = torch.full((len(texts), LENGTH), PAD)
    for row, text in zip(ids, texts, strict=True):
        numbers = [known.get(character, UNKNOWN) for character in text[:LENGTH]]
        row[: len(numbers)] = torch.tensor(numbers)
    return ids


def train(name: str, n_characters: int, ids: torch.Tensor, labels: torch.Tensor, seed: int, epochs: int) -> Classifier:
    """A model after some epochs of Adam."""
    torch.manual_seed(seed)
    model = Classifier(n_characters)
    make = TRAININGS[name]
    adversary = make(model) if make else None
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(ids)).split(BATCH):

            def loss(part: torch.Tensor = part) -> torch.Tensor:
                return nn.functional.cross_entropy(model(ids[part]), labels[part])

            optimizer.zero_grad()
            if adversary is None:
                loss().backward()
            else:
                adversary.backward(loss)  # in place of loss.backward()
            optimizer.step()
    if adversary is not None:
        adversary.remove()
    return model.eval()


@torch.no_grad()
def accuracy(model: Classifier, ids: torch.Tensor, labels: torch.Tensor, perturbed: Any = None) -> float:
    """Share of right answers, at embeddings that a function of (loss, embeddings, mask) perturbs."""
    right = 0
    for part in torch.arange(len(ids)).split(256):
        x, target, mask = model.embedding(ids[part]), labels[part], ids[part] != PAD
        if perturbed is not None:

            def loss(x: torch.Tensor, target: torch.Tensor = target) -> torch.Tensor:
                return nn.functional.cross_entropy(model.after(x), target, reduction="none")

            x = x + perturbed(loss, x, mask)
        right += int((model.after(x).argmax(dim=1) == target).sum())
    return right / len(ids)


def noise(radius: float) -> Any:
    """Of the norm of an attack, in a random direction."""

    def add(loss: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        found = torch.randn(x.shape) * mask[..., None]
        return radius * found / found.flatten(1).norm(dim=1)[:, None, None]

    return add


def gradient(radius: float, steps: int) -> Any:
    """FGM with one step, PGD with more."""
    return lambda loss, x, mask: attack(loss, x, radius, steps=steps, mask=mask)


def evaluate(model: Classifier, ids: torch.Tensor, labels: torch.Tensor, seed: int) -> dict[str, float]:
    """Every column of the table."""
    torch.manual_seed(seed)
    hidden = torch.where((torch.rand(ids.shape) < 0.3) & (ids != PAD), UNKNOWN, ids)
    found = {"clean": accuracy(model, ids, labels), "FGM .5": accuracy(model, ids, labels, gradient(0.5, 1))}
    for radius in RADII:
        found[f"PGD {radius:g}"] = accuracy(model, ids, labels, gradient(radius, 10))
    found["noise .5"] = accuracy(model, ids, labels, noise(0.5))
    found["30 % unknown"] = accuracy(model, hidden, labels)
    return found


def plot(results: dict[str, list[dict[str, float]]], path: str) -> None:
    """Accuracy against the radius of the attack; bands span the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6.4, 4.2))
    for (name, rows), colour in zip(results.items(), ("#0072B2", "#E69F00", "#009E73", "#CC79A7"), strict=True):
        values = np.array([[row["clean"], *(row[f"PGD {radius:g}"] for radius in RADII)] for row in rows])
        radii = [0.0, *RADII]
        panel.plot(radii, values.mean(axis=0), color=colour, marker="o", label=name)
        panel.fill_between(radii, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2)
    panel.set_xlabel("norm of the attack on the embeddings of a text (PGD, ten steps)")
    panel.set_ylabel("accuracy")
    panel.set_ylim(0, 1)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("LIKEWISE_DATA", "."), type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--texts", type=int, default=8000, help="of the training set")
    parser.add_argument("--unseen", type=int, default=None, help="texts of the validation set, by default all")
    parser.add_argument("--plot", default="robust_sentiment.png", help="a file, or '' for none")
    options = parser.parse_args()
    texts, labels = read(options.folder / "sentiment_zh" / "sentiment.train.data", options.texts)
    unseen_texts, unseen_labels = read(options.folder / "sentiment_zh" / "sentiment.valid.data", options.unseen)
    counts = Counter(character for text in texts for character in text[:LENGTH])
    known = {character: i for i, (character, n) in enumerate(counts.most_common(), 2) if n > 1}
    ids, unseen = numbered(texts, known), numbered(unseen_texts, known)
    print(f"{len(ids)} texts to train on, {len(unseen)} to evaluate on, {len(known)} characters")
    results: dict[str, list[dict[str, float]]] = {}
    for name in TRAININGS:
        results[name] = []
        for seed in range(options.seeds):
            model = train(name, len(known) + 2, ids, labels, seed, options.epochs)
            results[name].append(evaluate(model, unseen, unseen_labels, seed))
    columns = list(results["plain"][0])
    print(f"{'training':30}" + "".join(f"{column:>14}" for column in columns))
    for name, rows in results.items():
        values = np.array([list(row.values()) for row in rows])
        cells = [f"{m:.3f} ({s:.3f})" for m, s in zip(values.mean(axis=0), values.std(axis=0), strict=True)]
        print(f"{name:30}" + "".join(f"{cell:>14}" for cell in cells))
    with torch.no_grad():
        lengths = model.embedding(unseen).flatten(1).norm(dim=1)
    print(f"mean norm of the embeddings of a text after training: {lengths.mean():.1f}")
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
