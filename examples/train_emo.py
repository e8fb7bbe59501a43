"""Train a small language model by cross entropy (MLE) and by EMO, and compare what becomes of it.

    python examples/train_emo.py [FOLDER] [--steps 300] [--seeds 3] [--plot train_emo.png]

FOLDER (default: the variable LIKEWISE_DATA) holds tinyshakespeare/input.txt. The model reads words and punctuation: an
embedding, a recurrent layer, an output layer. EMO's costs are cosines between word vectors made on the spot (leading
eigenvectors of a PPMI matrix of the training text). Both runs of a seed start from the same parameters and see the same
batches. Perplexity is what MLE optimises, so EMO need not win there; the samples are judged by how many of their word
triples stand anywhere in the text (larger: more like it), how many are different (larger: less repetitive), and by the
transport cost between predicted and true words of unseen text. Needs torch, and matplotlib for the plot.
"""

import argparse
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from likewise.integrations.torch import emo_loss, fused_linear_emo_loss

N_WORDS, HIDDEN, CONTEXT, BATCH = 2500, 128, 32, 32


def read_words(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """The vocabulary (0: all rarer words), and the text as numbers."""
    text = (folder / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8").lower()
    words = re.findall(r"[a-z']+|[^\sa-z']", text)
    counts = Counter(words)
    vocabulary = ["<rare>", *sorted(counts, key=lambda word: (-counts[word], word))[: N_WORDS - 1]]
    number = {word: i for i, word in enumerate(vocabulary)}
    return vocabulary, np.array([number.get(word, 0) for word in words])


def word_vectors(places: NDArray[np.int64], n_components: int = 64, window: int = 4) -> torch.Tensor:
    """Eigenvectors of the PPMI matrix of words that stand near one another, times the root of |eigenvalue|."""
    near = np.zeros(N_WORDS * N_WORDS)
    for distance in range(1, window + 1):
        near += np.bincount(places[:-distance] * N_WORDS + places[distance:], minlength=near.size)
    together = near.reshape(N_WORDS, N_WORDS)
    together = together + together.T + 1e-3  # every word has a neighbour
    alone = together.sum(axis=1)
    ppmi = np.maximum(np.log(together * alone.sum() / np.outer(alone, alone)), 0)
    values, vectors = np.linalg.eigh(ppmi)
    largest = np.argsort(-np.abs(values), kind="stable")[:n_components]
    return torch.tensor(vectors[:, largest] * np.sqrt(np.abs(values[largest])), dtype=torch.float32)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_WORDS, HIDDEN)
        self.recurrent = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, N_WORDS)

    def forward(self, words: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, state = self.recurrent(self.embedding(words), state)
        return hidden, state


def batches(places: torch.Tensor, n: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pieces of text and the words that follow: the targets are shifted here, once."""
    starts = torch.randint(len(places) - CONTEXT - 1, (n, BATCH), generator=torch.Generator().manual_seed(seed))
    pieces = places[starts[..., None] + torch.arange(CONTEXT + 1)]
    return [(piece[:, :-1], piece[:, 1:].contiguous()) for piece in pieces]


@torch.no_grad()
def judge(model: Model, places: torch.Tensor, costs: torch.Tensor) -> tuple[float, float]:
    """Perplexity, and the transport cost between predicted and true words, of unseen text."""
    entropy, transport, pieces = 0.0, 0.0, batches(places, 8, 0)
    for words, targets in pieces:
        logits = model.output(model(words)[0])
        entropy += nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
        transport += emo_loss(logits, targets, costs, mixing="none").item()
    return float(np.exp(entropy / len(pieces))), transport / len(pieces)


@torch.no_grad()
def sample(model: Model, n: int, seed: int) -> NDArray[np.int64]:
    """n texts side by side, word after word as the model has it."""
    generator = torch.Generator().manual_seed(seed)
    words, state, found = torch.zeros(n, 1, dtype=torch.int64), None, []
    for _ in range(60):
        hidden, state = model(words, state)
        chances = torch.softmax(model.output(hidden[:, -1]), dim=1)
        chances[:, 0] = 0  # no rare word: it would stand for any
        words = torch.multinomial(chances, 1, generator=generator)
        found.append(words)
    return torch.cat(found, dim=1).numpy()


def triples(texts: NDArray[np.int64]) -> list[int]:
    return (texts[..., :-2] * N_WORDS**2 + texts[..., 1:-1] * N_WORDS + texts[..., 2:]).reshape(-1).tolist()


def train(loss: str, places: torch.Tensor, unseen: torch.Tensor, costs: torch.Tensor, steps: int, seed: int):
    """A trained model, and (step, perplexity, transport cost) on the way."""
    torch.manual_seed(seed)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = [(0, *judge(model, unseen, costs))]
    for step, (words, targets) in enumerate(batches(places, steps, seed + 1), 1):
        hidden, layer = model(words)[0], model.output
        if loss == "MLE":
            value = nn.functional.cross_entropy(layer(hidden).flatten(0, 1), targets.flatten())
        else:
            value = fused_linear_emo_loss(hidden, layer.weight, targets, costs, bias=layer.bias)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % max(1, steps // 10) == 0:
            history.append((step, *judge(model, unseen, costs)))
    return model, history


def plot(histories: dict[str, list], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    for column, (panel, label) in enumerate(zip(panels, ("perplexity", "transport cost"), strict=True), 1):
        for (name, runs), colour in zip(histories.items(), ("#E69F00", "#0072B2"), strict=True):
            values = np.array(runs)  # (seed, time, quantity)
            steps, found = values[0, 1:, 0], values[:, 1:, column]
            panel.plot(steps, found.mean(axis=0), color=colour, label=name)
            panel.fill_between(steps, found.min(axis=0), found.max(axis=0), color=colour, alpha=0.2)
        panel.set_xlabel("steps")
        panel.set_ylabel(f"{label} of unseen text")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("LIKEWISE_DATA", "."), type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", default="train_emo.png", help="a file, or '' for none")
    options = parser.parse_args()
    vocabulary, numbers = read_words(options.folder)
    cut = int(0.9 * len(numbers))
    places, unseen, costs = (
        torch.from_numpy(numbers[:cut]),
        torch.from_numpy(numbers[cut:]),
        word_vectors(numbers[:cut]),
    )
    known = set(triples(numbers))
    print(f"{len(numbers)} words, {len(vocabulary)} of them known; {options.steps} steps, {options.seeds} seeds")
    histories: dict[str, list] = {"MLE": [], "EMO": []}
    results: dict[str, list] = {"MLE": [], "EMO": []}
    for seed in range(options.seeds):
        for name in histories:
            model, history = train(name, places, unseen, costs, options.steps, seed)
            found = triples(sample(model, 64, seed))
            in_text = sum(triple in known for triple in found) / len(found)
            histories[name].append(history)
            results[name].append((*history[-1][1:], 100 * in_text, 100 * len(set(found)) / len(found)))
            perplexity, transport, *_ = results[name][-1]
            print(f"seed {seed}, {name}: perplexity {perplexity:.1f}, transport cost {transport:.4f}")
    print(f"{'':6}{'perplexity':>18}{'transport cost':>18}{'triples in text %':>20}{'different %':>16}")
    for name, rows in results.items():
        cells = [f"{mean:.4g} ± {spread:.2g}" for mean, spread in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)]
        print(f"{name:6}{cells[0]:>18}{cells[1]:>18}{cells[2]:>20}{cells[3]:>16}")
    if options.plot:
        plot(histories, options.plot)


if __name__ == "__main__":
    main()
