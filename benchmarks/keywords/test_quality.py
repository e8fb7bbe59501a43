"""How many of the keywords that people chose are found: F1 at 10, of stems, on abstracts of Inspec."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from benchmarks.keywords.corpora import Document, inspec, is_content, stemmer, train
from benchmarks.measure import Scale
from benchmarks.results import Record, Row
from likewise.keywords import Word2VecKeywords

Keep = Callable[[Record], Record]

# What the method is expected to reach (measured with gensim 4.4, seed 1), within .005.
EXPECTED = {
    "TF-IDF": 0.403,
    "first content words": 0.386,
    "HS, all words": 0.343,
    "HS, content words": 0.375,
    "HS, content words, no self term": 0.377,
    "HS, content words + TF-IDF": 0.394,
    "NS, content words, plain softmax": 0.349,
    "NS, content words": 0.377,
    "NS, content words, no self term": 0.394,
    "NS, content words + TF-IDF, plain softmax": 0.412,
    "NS, content words + TF-IDF": 0.414,
}


def f1_at_10(documents: list[Document], ranked: Iterable[list[str]]) -> float:
    hits = sizes = 0
    for document, words in zip(documents, ranked, strict=True):
        found = list(dict.fromkeys(map(stemmer(), words)))[:10]
        hits += len(document.gold.intersection(found))
        sizes += len(found) + len(document.gold)
    return 2 * hits / sizes


def test_inspec(scale: Scale, record: Keep) -> None:
    training, documents = inspec()
    if scale.quick:
        pytest.skip("trains models on all abstracts: not in a quick run")
    df = Counter(word for document in documents for word in set(document.words))
    idf = {word: math.log(len(documents) / n) for word, n in df.items()}
    texts = [document.words for document in documents]

    def content(words: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(filter(is_content, words)))

    def by_tfidf(words: list[str]) -> list[str]:
        count = Counter(words)
        return sorted(content(words), key=lambda word: -count[word] * idf[word])

    found = {
        "TF-IDF": f1_at_10(documents, map(by_tfidf, texts)),
        "first content words": f1_at_10(documents, map(content, texts)),
    }
    sentences = [document.words for document in training + documents]
    common = dict(window=10, epochs=10, min_count=1, seed=1)
    for name, made in (
        ("HS", train(sentences, hs=1, negative=0, **common)),
        ("NS", train(sentences, hs=0, negative=5, **common)),
    ):
        model = Word2VecKeywords.from_gensim(made)
        stop = {word for word in model.vocabulary if not is_content(word)}

        def by(model: Any, stop: set[str] = stop, **options: Any) -> float:
            ranked = model.extract_batch(texts, 100, stopwords=stop, **options)
            return f1_at_10(documents, [[word for word, _ in words] for words in ranked])

        fused = dict(fuse="tfidf", idf=idf)
        if name == "HS":
            found["HS, all words"] = by(model, context="all")
        found[f"{name}, content words"] = by(model)
        found[f"{name}, content words, no self term"] = by(model, self_term=False)
        found[f"{name}, content words + TF-IDF"] = by(model, **fused)
        if name == "NS":
            plain = type(model)(made.wv.vectors, made.syn1neg, model.vocabulary, noise_correction=False)
            found["NS, content words, plain softmax"] = by(plain)
            found["NS, content words + TF-IDF, plain softmax"] = by(plain, **fused)
    kept = Record("keywords, F1 at 10", "Inspec dev, 500 abstracts", "F1", [Row(k, v) for k, v in found.items()])
    for name, expected in EXPECTED.items():
        kept.limit(f"{name}: |F1 - {expected}| <= .005", abs(found[name] - expected), 0.005)
    record(kept)
