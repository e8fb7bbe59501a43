"""What a contestant of the search benchmarks offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from benchmarks.corpora import Corpus

Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


class MissingPeerError(RuntimeError):
    """A peer is not installed; the text is the command that installs it."""


class Engine(ABC):
    """A contestant with one index of one corpus.

    Subclasses build in ``__init__`` (never timed here: `benchmarks.search.build` times building by itself), may keep
    files in ``folder``, and hand out plain callables, so that no method of ours sits inside a timed call.
    """

    name: ClassVar[str]
    version: ClassVar[str] = ""
    exact: ClassVar[bool] = False  # scores are those of formula `variant` to 1e-5
    variant: ClassVar[str] = "lucene"  # the formula of likewise that this engine computes
    can_batch: ClassVar[bool] = False
    can_score_all: ClassVar[bool] = False
    # A corpus with more tokens than this is not asked of the engine: it would take hours.
    most_tokens: ClassVar[int] = 1 << 62
    most_queries: ClassVar[int] = 1 << 62  # in one round
    warming: ClassVar[float] = 0.0  # seconds before its speed is steady

    @abstractmethod
    def __init__(self, corpus: Corpus, folder: Path) -> None: ...

    def prepare(self, words: Sequence[str]) -> Any:
        """A query as this engine takes it, built outside the timed part."""
        return list(words)

    @abstractmethod
    def searcher(self, k: int) -> Callable[[Any], Any]:
        """A callable from a prepared query to the engine's own result, at most k hits."""

    def text_searcher(self, k: int) -> Callable[[str], Any] | None:
        """A callable from the text of a query to the engine's own result, its analysis included."""
        return None

    def prepare_batch(self, queries: Sequence[Sequence[str]]) -> Any:
        """Many queries as this engine's batch call takes them."""
        return [self.prepare(words) for words in queries]

    def batch_searcher(self, k: int, n_threads: int = 1) -> Callable[[Any], Any] | None:
        """A callable from a prepared batch to the engine's own result, or None without a batch call."""
        return None

    def scorer(self) -> Callable[[Any], Any] | None:
        """A callable from a prepared query to the scores of all documents, or None without such a call."""
        return None

    @abstractmethod
    def hits(self, result: Any) -> Hits:
        """Document ids and scores of one search's result, best first, without documents that score 0."""


def compare_hits(ours: Hits, theirs: Hits, tolerance: float = 1e-5) -> str | None:
    """None if both are the same top-k (scores to a relative tolerance, ids up to ties), else what differs."""
    (ids, scores), (other_ids, other_scores) = ours, theirs
    if len(scores) != len(other_scores):
        return f"{len(scores)} hits against {len(other_scores)}"
    if not len(scores):
        return None
    scores, other_scores = scores.astype(np.float64), other_scores.astype(np.float64)
    slack = tolerance * np.maximum(np.abs(scores), 1e-30)
    wrong = np.flatnonzero(np.abs(scores - other_scores) > slack)
    if len(wrong):
        rank = int(wrong[0])
        return f"score at rank {rank}: {scores[rank]:.8g} against {other_scores[rank]:.8g}"
    # Ids may differ only where the score is within the tolerance of the last one, or of a neighbour.
    for rank in np.flatnonzero(ids != other_ids).tolist():
        tied = np.abs(scores - other_scores[rank]) <= slack
        at_the_cut = abs(scores[rank] - scores[-1]) <= slack[-1]
        if not at_the_cut and other_ids[rank] not in ids[tied]:
            return f"document at rank {rank}: {ids[rank]} against {other_ids[rank]}"
    return None


def overlap(ours: Hits, theirs: Hits) -> float:
    """The share of our hits that the other one returned as well."""
    if not len(ours[0]):
        return 1.0
    return len(np.intersect1d(ours[0], theirs[0])) / len(ours[0])
