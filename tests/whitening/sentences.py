"""Sentence vectors made on the spot, the same everywhere: eigenvectors of PPMI, and their means over a sentence."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

N_TYPES, N_DIMENSIONS, WINDOW = 4000, 256, 5


@dataclass(frozen=True)
class Pairs:
    """Vectors of two sentences a row, and how alike people found them."""

    a: np.ndarray
    b: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Sentences:
    n_lists: int
    n_tokens: int
    n_types: int
    train: Pairs
    dev: Pairs


def tokens_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def read_pairs(path: Path) -> list[tuple[list[str], list[str], float]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [(tokens_of(a), tokens_of(b), float(score)) for a, b, score in csv.reader(lines)]


def word_vectors(lists: list[list[str]], words: dict[str, int]) -> np.ndarray:
    """Rows: words; columns: the eigenvectors of positive pointwise mutual information with the largest eigenvalues."""
    # One row of word numbers, -1 for the unknown; between lists a gap that no window spans.
    gap = [-1] * WINDOW
    sequence = np.array([n for tokens in lists for n in [*(words.get(t, -1) for t in tokens), *gap]])
    counts = np.zeros(N_TYPES * N_TYPES)
    for distance in range(1, WINDOW + 1):
        left, right = sequence[:-distance], sequence[distance:]
        known = (left >= 0) & (right >= 0)
        counts += np.bincount(left[known] * N_TYPES + right[known], minlength=len(counts))
    matrix = counts.reshape(N_TYPES, N_TYPES)
    matrix = matrix + matrix.T
    rows = matrix.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = np.log(matrix * matrix.sum() / (rows[:, None] * rows))
    values, vectors = np.linalg.eigh(np.nan_to_num(np.maximum(matrix, 0)))
    largest = np.argsort(-np.abs(values))[:N_DIMENSIONS]
    return vectors[:, largest] * np.sqrt(np.abs(values[largest]))


def make_sentences(folder: Path) -> Sentences:
    """Of the folder that holds stsb-multi-mt and wikitext2."""
    pairs = {name: read_pairs(folder / "stsb-multi-mt" / f"stsb-en-{name}.csv") for name in ("train", "dev")}
    lists = [tokens for part in pairs.values() for a, b, _ in part for tokens in (a, b)]
    for name in ("valid", "test"):
        lists += [tokens_of(line) for line in (folder / "wikitext2" / f"{name}.txt").read_text("utf-8").splitlines()]
    lists = [tokens for tokens in lists if tokens]
    frequency = Counter(token for tokens in lists for token in tokens)
    words = {word: i for i, word in enumerate(sorted(frequency, key=lambda w: (-frequency[w], w))[:N_TYPES])}
    vectors = word_vectors(lists, words)

    def mean(tokens: list[str]) -> np.ndarray:
        known = [words[t] for t in tokens if t in words]
        return vectors[known].mean(axis=0) if known else np.zeros(N_DIMENSIONS)

    def vectorised(part: list[tuple[list[str], list[str], float]]) -> Pairs:
        a, b = (np.array([mean(pair[side]) for pair in part]) for side in (0, 1))
        return Pairs(a, b, np.array([score for _, _, score in part]))

    return Sentences(
        n_lists=len(lists),
        n_tokens=sum(frequency.values()),
        n_types=len(frequency),
        train=vectorised(pairs["train"]),
        dev=vectorised(pairs["dev"]),
    )
