"""Small corpora of tokens that are hard on a search engine. Deterministic; also imported by fresh interpreters."""

from __future__ import annotations

import numpy as np

VARIANTS = ("lucene", "robertson", "atire", "bm25l", "bm25+", "bm25", "okapi")
TOY = [list("aba"), list("bc"), list("accd")]
Documents = list[list[str]]


def zipf(n_docs: int, n_terms: int, mean_length: float, seed: int) -> Documents:
    """Words by Zipf's law, lengths by a geometric law (so some documents are empty)."""
    generator = np.random.default_rng(seed)
    lengths = generator.geometric(1 / (mean_length + 1), n_docs) - 1
    weights = 1 / (np.arange(n_terms) + 2.7)
    words = generator.choice(n_terms, size=int(lengths.sum()), p=weights / weights.sum())
    ends = lengths.cumsum()
    return [[f"w{word}" for word in words[end - n : end].tolist()] for n, end in zip(lengths, ends, strict=True)]


def adversarial(kind: str, n_docs: int, seed: int = 0) -> Documents:
    """Corpora in which many scores are equal, or one list is very long."""
    generator = np.random.default_rng(seed)
    if kind == "equal documents":
        return [["w0", "w1", "w1"]] * n_docs
    if kind == "one term":
        return [["w0"] * int(n) for n in generator.integers(0, 4, n_docs)]
    if kind == "two kinds":
        return [["w0", "w1"] if bit else ["w2"] for bit in generator.integers(0, 2, n_docs)]
    if kind == "blocks":  # equal documents side by side: the cut at k falls into a block
        return [[f"w{i * 7 // n_docs}", "w7"] for i in range(n_docs)]
    if kind == "last":  # only the last documents match the rare word
        return [["w1"] if i < n_docs - 3 else ["w0", "w1"] for i in range(n_docs)]
    if kind == "long lists":
        return [[f"w{j}" for j in range(12) if (i >> j) & 1 == 0] + [f"w{12 + i % 97}"] for i in range(n_docs)]
    raise ValueError(kind)


ADVERSARIAL = ("equal documents", "one term", "two kinds", "blocks", "last", "long lists")


def queries(documents: Documents, n: int, seed: int, *, most: int = 8) -> list[list[str]]:
    """Words of random documents, some repeated, some unknown; and the empty query."""
    generator = np.random.default_rng(seed)
    full = [i for i, document in enumerate(documents) if document]
    found: list[list[str]] = [[], ["unknown"]]
    for _ in range(n if full else 0):
        words = list(dict.fromkeys(documents[full[int(generator.integers(len(full)))]]))
        words = [words[i] for i in generator.permutation(len(words))[: int(generator.integers(1, most + 1))]]
        if generator.random() < 0.3:
            words.append(words[0])
        if generator.random() < 0.3:
            words.insert(0, "unknown")
        found.append(words)
    return found
