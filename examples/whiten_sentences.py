"""Make sentence vectors on the spot, whiten them, and see what beta, gamma and the dimension do.

    python examples/whiten_sentences.py [FOLDER]

FOLDER (default: the variable LIKEWISE_DATA) holds the English sentence pairs of stsb-multi-mt
(stsb-multi-mt/stsb-en-train.csv, stsb-en-dev.csv) and the WikiText-2 texts (wikitext2/valid.txt, test.txt). Word
vectors are leading eigenvectors of a PPMI matrix of words that stand near one another; a sentence is the mean of its
words.
A pair's score is the cosine of its sentences, judged by Spearman's rank correlation with what people said.
"""

import csv
import os
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import likewise as lw

Vectors = NDArray[np.float64]
N_WORDS, WINDOW = 4000, 5


def read_pairs(folder: Path, name: str) -> tuple[list[str], list[str], Vectors]:
    """Both sides of the pairs, and how alike people found them (0 to 5)."""
    with (folder / "stsb-multi-mt" / f"stsb-en-{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [row[0] for row in rows], [row[1] for row in rows], np.array([float(row[2]) for row in rows])


def split_words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def word_vectors(texts: list[list[str]], n_components: int) -> dict[str, Vectors]:
    """Vectors of the most frequent words: eigenvectors of their PPMI matrix, times the root of |eigenvalue|."""
    counts = Counter(word for words in texts for word in words)
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))[:N_WORDS]
    number = {word: i for i, word in enumerate(vocabulary)}
    # All texts in one row, with a gap between them that no window spans; other words keep their place.
    places = np.array([i for words in texts for i in [*(number.get(word, -1) for word in words), *[-1] * WINDOW]])
    near = np.zeros(N_WORDS * N_WORDS)
    for distance in range(1, WINDOW + 1):
        left, right = places[:-distance], places[distance:]
        known = (left >= 0) & (right >= 0)
        near += np.bincount(left[known] * N_WORDS + right[known], minlength=near.size)
    together = near.reshape(N_WORDS, N_WORDS)
    together += together.T.copy()
    alone = together.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(together * alone.sum() / np.outer(alone, alone))
    ppmi = np.where(together > 0, np.maximum(information, 0), 0)
    values, vectors = np.linalg.eigh(ppmi)
    largest = np.argsort(-np.abs(values), kind="stable")[:n_components]
    embedded = vectors[:, largest] * np.sqrt(np.abs(values[largest]))
    return dict(zip(vocabulary, embedded, strict=True))


def sentence_vectors(sentences: list[str], words: dict[str, Vectors]) -> Vectors:
    """The mean of the known words of each sentence; zero where none is known."""
    n_components = len(next(iter(words.values())))
    result = np.zeros((len(sentences), n_components))
    for row, sentence in zip(result, sentences, strict=True):
        known = [words[word] for word in split_words(sentence) if word in words]
        if known:
            row[:] = np.mean(known, axis=0)
    return result


def read_texts(folder: Path) -> list[list[str]]:
    """The words of the texts that word vectors are made of: the sentences of train and dev, and lines of WikiText-2."""
    texts = []
    for name in ("train", "dev"):
        left, right, _ = read_pairs(folder, name)
        texts += [split_words(sentence) for sentence in [*left, *right]]
    for name in ("valid", "test"):
        with (folder / "wikitext2" / f"{name}.txt").open(encoding="utf-8") as file:
            texts += [split_words(line) for line in file]
    return [words for words in texts if words]


def load(folder: Path, n_components: int = 256) -> dict[str, tuple[Vectors, Vectors, Vectors]]:
    """Vectors of both sides and scores, for "train" and "dev"."""
    words = word_vectors(read_texts(folder), n_components)
    data = {}
    for name in ("train", "dev"):
        left, right, scores = read_pairs(folder, name)
        data[name] = sentence_vectors(left, words), sentence_vectors(right, words), scores
    return data


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LIKEWISE_DATA", ""))
    if not (folder / "stsb-multi-mt").is_dir() or not (folder / "wikitext2").is_dir():
        print("name a folder with stsb-multi-mt and wikitext2, or set LIKEWISE_DATA to it", file=sys.stderr)
        return 2
    data = load(folder)
    train, dev = data["train"], data["dev"]
    whitening = lw.whitening.Whitening().fit(np.vstack(train[:2]))

    # The whole grid, seen on dev: what a choice would have given.
    sizes, steps = [256, 128, 64, 32, 16], (0, 0.25, 0.5, 0.75, 1)
    seen = lw.whitening.tune(*dev, whitening=whitening, beta=steps, gamma=steps, n_components=sizes)
    score = {(row["beta"], row["gamma"], row["n_components"]): 100 * row["score"] for row in seen.table}
    print(f"Spearman x 100 on dev ({len(dev[2])} pairs); raw cosine {100 * seen.baseline:.2f}\n")
    print("           " + "".join(f"beta = {beta:<30}" for beta in (0, 0.5, 1)).rstrip())
    print("components " + "   ".join(" ".join(f"{f'g={gamma:g}':>6}" for gamma in steps) for _ in range(3)))
    for size in sizes:
        blocks = [" ".join(f"{score[beta, gamma, size]:6.2f}" for gamma in steps) for beta in (0, 0.5, 1)]
        print(f"{size:10} " + "   ".join(blocks))

    # Chosen on train, judged on dev.
    print("\nchosen on train   train    dev")
    for size in sizes:
        chosen = lw.whitening.tune(*train, whitening=whitening, beta=steps, gamma=steps, n_components=[size])
        beta, gamma = chosen.params["beta"], chosen.params["gamma"]
        print(f"k={size:<5} ({beta:g}, {gamma:g})    {100 * chosen.score:6.2f} {score[beta, gamma, size]:6.2f}")

    # Without scores: how small may the vectors get while the ranking of pairs stays the same?
    rotated = lw.whitening.tune(*train[:2], whitening=whitening, n_components=[16, 32, 64, 96, 128, 192, 256])
    size = rotated.params["n_components"]
    print(f"\nwithout scores: {size} of 256 components keep the ranking of the raw cosine ({rotated.score:.4f})")

    # And without any data: a random projection to the same size.
    projection = lw.projection.RandomProjection(size, random_state=0).fit(train[0])
    report = lw.projection.distortion(np.vstack(train[:2]), projection)
    print(f"\nrandom projection to {size} components:\n{report}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
