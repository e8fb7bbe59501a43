"""On real texts: what adversarial training gains and costs (the design of examples/robust_sentiment.py, smaller)."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

EXAMPLE = Path(__file__).parents[2] / "examples" / "robust_sentiment.py"


@pytest.mark.slow
def test_robust_at_little_cost(data: Path) -> None:
    folder = data / "sentiment_zh"
    if not folder.is_dir():
        pytest.skip(f"no sentiment_zh in {data}")
    spec = importlib.util.spec_from_file_location("robust_sentiment", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    texts, labels = example.read(folder / "sentiment.train.data", 2000)
    unseen_texts, truth = example.read(folder / "sentiment.valid.data", 400)
    counts = Counter(character for text in texts for character in text[: example.LENGTH])
    known = {character: i for i, (character, n) in enumerate(counts.most_common(), 2) if n > 1}
    ids, unseen = example.numbered(texts, known), example.numbered(unseen_texts, known)
    found = {}
    for name in ("plain", "FGM of each text, epsilon .5"):
        model = example.train(name, len(known) + 2, ids, labels, seed=0, epochs=4)

        def accuracy(perturbed: Any = None, model: Any = model) -> float:
            return float(example.accuracy(model, unseen, truth, perturbed))

        clean, noisy = accuracy(), accuracy(example.noise(0.5))
        fgm = accuracy(example.gradient(0.5, 1))
        pgd = [accuracy(example.gradient(radius, 10)) for radius in (0.25, 0.5, 1.0)]
        # Noise of the norm of an attack is harmless: the gradient is not merely masked.
        assert abs(noisy - clean) <= 0.02
        assert clean >= pgd[0] >= pgd[1] >= pgd[2] and pgd[1] <= fgm
        found[name] = clean, pgd[1]
    (plain, plain_attacked), (clean, attacked) = found.values()
    assert attacked >= plain_attacked + 0.10 and clean >= plain - 0.02, found
