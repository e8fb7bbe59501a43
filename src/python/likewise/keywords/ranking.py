"""From the scores of a text's words to the best of them, with the options of `extract`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_bool, check_choice, check_k, check_scalar_float, check_texts, describe
from .fusion import UNKNOWN_RANK, Idf, check_fuse, fuse, ranks
from .texts import Bag, candidate_ids, check_tokens, known_ids
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class Job:
    """What is to be scored for one text, and the words of the result before they are ordered."""

    bag: Bag  # the text
    candidates: NDArray[np.int64]
    words: list[str]  # of the candidates, then words that the model does not know
    tfidf: NDArray[np.float64] | None


class Extraction:
    """The options of `extract`, checked once for all texts."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        counts: NDArray[np.int64] | None,
        *,
        topn: object = 10,
        stopwords: object = None,
        context: object = None,
        self_term: object = True,
        normalize: object = False,
        candidates: object = None,
        missing: str = "raise",
        fuse: object = None,
        idf: object = None,
        rrf_k: object = 20,
    ) -> None:
        self._vocabulary = vocabulary
        self.topn = check_k(topn, "topn")
        self.self_term = check_bool(self_term, "self_term")
        self.normalize = check_bool(normalize, "normalize")
        self._stop = _check_stopwords(stopwords)
        self._strip = self._stop is not None
        if context is not None:
            if self._stop is None:
                raise ValueError("context: expected None without stopwords, got " + describe(context))
            self._strip = check_choice(context, "context", ("content", "all")) == "content"
        self._stop_ids = frozenset(vocabulary.ids[word] for word in self._stop or () if word in vocabulary.ids)
        check_choice(missing, "missing", ("raise", "ignore"))
        self._candidates: NDArray[np.int64] | None = None
        if candidates is not None:
            chosen = candidate_ids(vocabulary, candidates, missing).tolist()
            self._candidates = np.array([i for i in chosen if i not in self._stop_ids], np.int64)
        self._rrf_k = check_scalar_float(rrf_k, "rrf_k", exclusive_minimum=0)
        self._idf = Idf(idf, vocabulary, counts) if check_fuse(fuse) else None
        if self._idf is None and idf is not None:
            raise ValueError("idf: expected None without fuse='tfidf', got " + describe(idf))

    def job(self, tokens: object, name: str = "tokens") -> Job:
        """One text made ready."""
        items = check_tokens(tokens, name)
        bag = Bag.of(known_ids(self._vocabulary, items, name))
        content = bag.without(self._stop_ids)
        candidates = content.ids if self._candidates is None else self._candidates
        words = [self._vocabulary.words[i] for i in candidates.tolist()]
        tfidf = None
        if self._idf is not None:
            number = dict(zip(bag.ids.tolist(), bag.counts.tolist(), strict=True))
            occurrences = [number.get(i, 0.0) for i in candidates.tolist()]
            if self._idf.knows_others and self._candidates is None and isinstance(items, list):
                others = [w for w in items if w not in self._vocabulary.ids and w not in (self._stop or ())]
                times = dict.fromkeys(others, 0)
                for word in others:
                    times[word] += 1
                words += list(times)
                occurrences += list(times.values())
            tfidf = np.array(occurrences) * self._idf(words)
        return Job(content if self._strip else bag, candidates, words, tfidf)

    def best(self, job: Job, scores: NDArray[Any]) -> list[tuple[str, float]]:
        """The words of the largest scores, ties in the order of the candidates."""
        values = np.asarray(scores, np.float64)
        if job.tfidf is not None:
            unknown = np.full(len(job.words) - len(values), UNKNOWN_RANK)
            values = fuse(np.concatenate([ranks(values), unknown]), job.tfidf, self._rrf_k)
        order = np.argsort(-values, kind="stable")[: self.topn]
        return [(job.words[i], float(values[i])) for i in order.tolist()]


def _check_stopwords(stopwords: object) -> frozenset[str] | None:
    if stopwords is None:
        return None
    if isinstance(stopwords, str | bytes) or not isinstance(stopwords, Iterable):
        raise TypeError(f"stopwords: expected a set of str, got {describe(stopwords)}")
    return frozenset(check_texts(list(stopwords), "stopwords"))
