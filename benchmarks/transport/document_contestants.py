"""Who measures distances of documents: gensim and POT where they are installed; and what they measure."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import corpora
from benchmarks.arena import Arena
from benchmarks.results import OURS
from likewise.transport import WMDIndex


def pot() -> Any:
    try:
        import ot
    except ImportError:
        Arena.missing["pot"] = "pip install POT"
        return None
    return ot


def keyed_vectors(words: list[str], vectors: Any) -> Any:
    """gensim's table of the same vectors."""
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        Arena.missing["gensim"] = "pip install gensim"
        return None
    keyed = KeyedVectors(vector_size=vectors.shape[1])
    keyed.add_vectors(words, vectors)
    keyed.get_normed_vectors()
    keyed.fill_norms()
    return keyed


@lru_cache(maxsize=1)
def cranfield() -> tuple[list[str], Any, list[list[int]], list[list[int]]]:
    """Words, their unit vectors of 100 values (a skip-gram model made on the spot), documents and questions as rows."""
    from likewise.search import Analyzer

    analyzer = Analyzer(stem=False)
    batch = analyzer.batch(corpora.cranfield_texts())
    documents = [batch.tokens[a:b].tolist() for a, b in zip(batch.indptr[:-1], batch.indptr[1:], strict=True)]
    number = {word: i for i, word in enumerate(batch.vocabulary)}
    questions = [
        [number[word] for word in analyzer(question) if word in number] for question in corpora.cranfield_questions()
    ]
    return batch.vocabulary, skip_gram(batch), [d for d in documents if d], [q for q in questions if len(q) >= 5]


def skip_gram(batch: Any) -> Any:
    try:
        from gensim.models import Word2Vec
    except ImportError:
        Arena.missing["gensim"] = "pip install gensim"
        raise
    model = Word2Vec(
        [batch[i] for i in range(len(batch))], vector_size=100, sg=1, min_count=1, epochs=10, seed=1, workers=1
    )
    rows = np.array([model.wv[word] for word in batch.vocabulary], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def synthetic(n_docs: int) -> tuple[Any, list[Any], list[Any]]:
    """Vectors of 20,000 words in clusters, documents of 30 words about two of them, and questions of 8."""
    generator = np.random.default_rng(0)
    n_words, n_topics = 20_000, 200
    topics = generator.integers(n_topics, size=n_words)
    vectors = generator.normal(size=(n_topics, 100))[topics] + generator.normal(size=(n_words, 100))
    members = [np.flatnonzero(topics == topic) for topic in range(n_topics)]

    def words(n: int) -> Any:
        found = np.concatenate([generator.choice(members[t], n // 2) for t in generator.integers(n_topics, size=2)])
        return found, np.ones(len(found))

    return vectors.astype(np.float32), [words(30) for _ in range(n_docs)], [words(8) for _ in range(20)]


def save_synthetic(n_docs: int, folder: Path) -> None:
    """The index of such documents, and the questions."""
    vectors, docs, questions = synthetic(n_docs)
    WMDIndex(vectors, docs).save(folder / "index")
    np.save(folder / "questions.npy", [words for words, _ in questions])


def memory_task(engine: str, size: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """A saved index read into memory: what it holds, and what searches add at most."""
    from benchmarks import memory  # which imports this module

    assert engine == OURS, engine
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name)
    # In a process of its own: what building leaves free here, the index would take without growing anything.
    build = f"from {__name__} import *; save_synthetic({int(size)}, Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=corpora.CHECKOUT, check=True)
    questions = [(words, np.ones(len(words))) for words in np.load(path / "questions.npy")]
    WMDIndex.load(path / "index").search(questions[0], 10, n_threads=1)  # code, and what is made once

    def describe(index: Any) -> dict[str, Any]:
        folder.cleanup()
        before = memory.resident()
        memory.reset_peak()
        for query in questions:
            index.search(query, 10, n_threads=1)
        return {"nbytes": index.nbytes, "search": memory.peak() - before}

    return lambda: WMDIndex.load(path / "index", mmap=False), describe
