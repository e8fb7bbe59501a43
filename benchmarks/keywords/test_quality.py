"""How many of the keywords that people chose are found: F1 at 10, of stems, on abstracts of Inspec."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from benchmarks.keywords.corpora import Document, inspec, is_content, package_descriptions, semeval, stemmer, train
from benchmarks.measure import Scale
from benchmarks.results import Record, Row
from likewise.keywords import NegativeSamplingKeywords
from likewise.keywords.base import KeywordModel

Keep = Callable[[Record], Record]

# What the method is expected to reach (measured with gensim 4.4, seed 1), within .005.
IN_DOMAIN = {
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
MORE_TEXT = {
    "Inspec": {"HS, content words": 0.323, "HS, content words + TF-IDF": 0.382},
    "SemEval2017": {"TF-IDF": 0.351, "HS, content words": 0.300, "HS, content words + TF-IDF": 0.341},
}


def f1_at_10(documents: list[Document], ranked: Iterable[list[str]]) -> float:
    hits = sizes = 0
    for document, words in zip(documents, ranked, strict=True):
        found = list(dict.fromkeys(map(stemmer(), words)))[:10]
        hits += len(document.gold.intersection(found))
        sizes += len(found) + len(document.gold)
    return 2 * hits / sizes


def content(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(is_content, words)))


class Texts:
    """Texts whose keywords are known, and how well a ranking finds them."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents, self.texts = documents, [document.words for document in documents]
        df = Counter(word for words in self.texts for word in set(words))
        self.idf = {word: math.log(len(documents) / n) for word, n in df.items()}

    def ranked_by(self, rank: Callable[[list[str]], list[str]]) -> float:
        return f1_at_10(self.documents, map(rank, self.texts))

    def by_tfidf(self) -> float:
        def rank(words: list[str]) -> list[str]:
            count = Counter(words)
            return sorted(content(words), key=lambda word: -count[word] * self.idf[word])

        return self.ranked_by(rank)

    def by(self, model: KeywordModel, **options: Any) -> float:
        stop = {word for word in model.vocabulary if not is_content(word)}
        found = model.extract_batch(self.texts, 100, stopwords=stop, **options)
        return f1_at_10(self.documents, [[word for word, _ in words] for words in found])

    def fused(self, model: KeywordModel) -> float:
        return self.by(model, fuse="tfidf", idf=self.idf)


def plain_softmax(made: Any) -> NegativeSamplingKeywords:
    return NegativeSamplingKeywords(made.wv.vectors, made.syn1neg, made.wv.index_to_key, noise_correction=False)


def table(workload: str, found: dict[str, float], expected: dict[str, float]) -> Record:
    kept = Record("keywords, F1 at 10", workload, "F1", [Row(name, value) for name, value in found.items()])
    for name, value in expected.items():
        kept.limit(f"{name}: |F1 - {value}| <= .005", abs(found[name] - value), 0.005)
    return kept


def test_inspec(scale: Scale, record: Keep) -> None:
    training, documents = inspec()
    if scale.quick:
        pytest.skip("trains models on all abstracts: not in a quick run")
    dev = Texts(documents)
    sentences = [document.words for document in training + documents]
    common = dict(window=10, epochs=10, min_count=1, seed=1)
    hs = KeywordModel.from_gensim(train(sentences, hs=1, negative=0, **common))
    made = train(sentences, hs=0, negative=5, **common)
    ns, plain = KeywordModel.from_gensim(made), plain_softmax(made)
    found = {
        "TF-IDF": dev.by_tfidf(),
        "first content words": dev.ranked_by(content),
        "HS, all words": dev.by(hs, context="all"),
        "HS, content words": dev.by(hs),
        "HS, content words, no self term": dev.by(hs, self_term=False),
        "HS, content words + TF-IDF": dev.fused(hs),
        "NS, content words, plain softmax": dev.by(plain),
        "NS, content words": dev.by(ns),
        "NS, content words, no self term": dev.by(ns, self_term=False),
        "NS, content words + TF-IDF, plain softmax": dev.fused(plain),
        "NS, content words + TF-IDF": dev.fused(ns),
    }
    record(table("Inspec dev, 500 abstracts", found, IN_DOMAIN))


def test_more_text(scale: Scale, record: Keep) -> None:
    """Models of a larger corpus, most of it package descriptions: more text, but of another domain."""
    training, documents = inspec()
    dev, papers = Texts(documents), Texts(semeval())
    if scale.quick:
        pytest.skip("trains models on 4 million words: not in a quick run")
    sentences = [document.words for document in training + documents + papers.documents]
    sentences += package_descriptions()
    common = dict(window=5, epochs=4, min_count=2, sample=1e-4, seed=1)
    hs = KeywordModel.from_gensim(train(sentences, hs=1, negative=0, **common))
    made = train(sentences, hs=0, negative=5, **common)
    ns, plain = KeywordModel.from_gensim(made), plain_softmax(made)
    for name, texts, expected in (
        ("Inspec dev, 500 abstracts", dev, MORE_TEXT["Inspec"]),
        (f"SemEval2017, {len(papers.documents)} paragraphs", papers, MORE_TEXT["SemEval2017"]),
    ):
        found = {
            "TF-IDF": texts.by_tfidf(),
            "HS, content words": texts.by(hs),
            "HS, content words + TF-IDF": texts.fused(hs),
            "NS, content words, plain softmax": texts.by(plain),
            "NS, content words": texts.by(ns),
            "NS, content words, no self term, plain softmax": texts.by(plain, self_term=False),
            "NS, content words, no self term": texts.by(ns, self_term=False),
            "NS, content words + TF-IDF": texts.fused(ns),
        }
        record(table(f"{name}, models of package descriptions", found, expected))
