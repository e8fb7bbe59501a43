"""What every model can do: score the words of a text, and take the best of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import persistence
from .._validation import check_bool, check_choice, check_indices, check_n_threads, check_path, describe
from ..errors import CorruptFileError
from .ranking import Extraction, Job
from .texts import Bag, candidate_ids, check_counts, check_tokens, known_ids, offsets
from .vocabulary import Vocabulary


class KeywordModel(ABC):
    """Scores words by how well they predict a text; the kinds differ in what gives them log p(u | w)."""

    KIND: ClassVar[str]
    _native: Any
    _vectors: NDArray[Any]
    _vocabulary: Vocabulary
    _counts: NDArray[np.int64] | None

    # --- What it holds ---

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, in the order of their ids."""
        return self._vocabulary.words

    @property
    def n_words(self) -> int:
        """Number of words."""
        return len(self._vocabulary)

    @property
    def dim(self) -> int:
        """Number of components of a vector."""
        return int(self._vectors.shape[1])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_words={self.n_words}, dim={self.dim})"

    def transform_ids(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids of the known tokens; unknown ones are left out.

        Parameters
        ----------
        tokens : sequence of str

        Returns
        -------
        ndarray of int64
        """
        return known_ids(self._vocabulary, check_tokens(tokens))

    # --- Scores ---

    def log_prob(self, ids_out: Any, ids_in: Any) -> NDArray[np.float64]:
        """Return log p(out | in) of pairs of ids.

        Parameters
        ----------
        ids_out, ids_in : array-like of int
            Broadcast against each other.

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError, TypeError
            Ids that are no integers from 0 to n_words - 1, or shapes that do not fit.
        """
        pair = []
        for ids, name in ((ids_out, "ids_out"), (ids_in, "ids_in")):
            array = np.asarray(ids)
            pair.append(check_indices(array.reshape(-1), name, n=self.n_words).reshape(array.shape))
        try:
            of, given = np.broadcast_arrays(*pair)
        except ValueError:
            raise ValueError(
                f"ids_in: expected a shape that broadcasts with ids_out {pair[0].shape}, got {pair[1].shape}"
            ) from None
        out = np.empty(of.size)
        self._native.log_probabilities(
            np.ascontiguousarray(of).reshape(-1), np.ascontiguousarray(given).reshape(-1), out, check_n_threads(None)
        )
        return out.reshape(of.shape)

    def score(
        self,
        tokens_or_ids: Any,
        counts: Any = None,
        candidates: Any = None,
        self_term: bool = True,
        *,
        normalize: bool = False,
        missing: str = "raise",
        n_threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Score words by the log-likelihood of a text: ``s(w) = sum_u n_u log p(u | w)``.

        Parameters
        ----------
        tokens_or_ids : sequence of str, or array of int
            The text. Unknown words are left out; ids must be known.
        counts : array-like, optional
            With ids: how often each occurs.
        candidates : sequence of str or int, optional
            What to score, in the text or not; the distinct words of the text if not given.
        self_term : bool, default True
            False: a word's own occurrences do not count for it.
        normalize : bool, default False
            Divide by the number of terms of the sum: comparable across texts.
        missing : {"raise", "ignore"}
            What to do with candidates that the model does not know.
        n_threads : int, optional

        Returns
        -------
        ids : ndarray of int64
            The candidates, in the given order or that of their first occurrence.
        scores : ndarray
            Of the vectors' dtype.
        """
        items = check_tokens(tokens_or_ids, "tokens_or_ids")
        ids = known_ids(self._vocabulary, items, "tokens_or_ids")
        if counts is not None and isinstance(items, list):
            raise ValueError("counts: expected None with words, got " + describe(counts))
        bag = Bag.of(ids, None if counts is None else check_counts(counts, len(ids)))
        if counts is not None and not (present := bag.counts > 0).all():
            bag = Bag(bag.ids[present], bag.counts[present])
        chosen = bag.ids if candidates is None else candidate_ids(self._vocabulary, candidates, missing)
        check_choice(missing, "missing", ("raise", "ignore"))
        own, mean = check_bool(self_term, "self_term"), check_bool(normalize, "normalize")
        return chosen, self._scores([(bag, chosen)], own, mean, check_n_threads(n_threads))[0]

    def _scores(
        self, texts: Sequence[tuple[Bag, NDArray[np.int64]]], self_term: bool, normalize: bool, n_threads: int
    ) -> list[NDArray[Any]]:
        """Scores of each text's candidates, in one call of the core."""
        ends = offsets([candidates for _, candidates in texts])
        out = np.empty(int(ends[-1]))
        self._native.scores(
            offsets([bag.ids for bag, _ in texts]),
            np.concatenate([bag.ids for bag, _ in texts]),
            np.concatenate([bag.counts for bag, _ in texts]),
            ends,
            np.concatenate([candidates for _, candidates in texts]),
            self_term,
            out,
            n_threads,
        )
        found = []
        for (bag, candidates), start, end in zip(texts, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            scores = out[start:end]
            if normalize:
                terms = np.full(len(candidates), bag.counts.sum())
                if not self_term:
                    order = np.argsort(bag.ids)
                    at = np.searchsorted(bag.ids, candidates, sorter=order).clip(max=max(len(order) - 1, 0))
                    if len(order):
                        same = bag.ids[order[at]] == candidates
                        terms -= np.where(same, bag.counts[order[at]], 0)
                scores = np.divide(scores, terms, out=np.zeros(len(scores)), where=terms > 0)
            found.append(scores.astype(self._vectors.dtype))
        return found

    # --- Keywords ---

    def extract(
        self,
        tokens: Any,
        topn: int = 10,
        *,
        stopwords: Any = None,
        context: str | None = None,
        self_term: bool = True,
        normalize: bool = False,
        candidates: Any = None,
        missing: str = "raise",
        fuse: str | None = None,
        idf: Any = None,
        rrf_k: float = 20,
    ) -> list[tuple[str, float]]:
        """Return the words that predict the text best.

        With the defaults this is the definition: every known word of the text is a candidate and counts as text. The
        options that follow were measured to find more of the keywords that people choose; the guide has the table.

        Parameters
        ----------
        tokens : sequence of str
        topn : int, default 10
        stopwords : set of str, optional
            No candidates.
        context : {"content", "all"}, optional
            Whether stop words are left out of the text as well; "content", once they are given.
        self_term : bool, default True
            False: a word's own occurrences do not count for it, which also favours frequent words.
        normalize : bool, default False
            Divide by the number of terms of the sum.
        candidates : sequence of str or int, optional
            What to rank instead of the text's words, in the text or not: tagging.
        missing : {"raise", "ignore"}
            What to do with candidates that the model does not know.
        fuse : {None, "tfidf"}
            Order by ``1 / (rrf_k + r1) + 1 / (rrf_k + r2)`` of the ranks by this score and by TF-IDF.
        idf : mapping, array or likewise.search.Index, optional
            Inverse document frequencies for `fuse`; if not given, ``-ln(count / total)`` from the model's counts. With
            a mapping or an Index, words that the model does not know take part with r1 = 999.
        rrf_k : float, default 20

        Returns
        -------
        list of (str, float)
            Descending; ties in the order of their first occurrence.

        Raises
        ------
        ValueError, TypeError
            Naming the argument.
        """
        options = Extraction(
            self._vocabulary,
            self._counts,
            topn=topn,
            stopwords=stopwords,
            context=context,
            self_term=self_term,
            normalize=normalize,
            candidates=candidates,
            missing=missing,
            fuse=fuse,
            idf=idf,
            rrf_k=rrf_k,
        )
        return self._extracted(options, [options.job(tokens)], check_n_threads(None))[0]

    def extract_batch(
        self, docs: Sequence[Any], topn: int = 10, *, n_threads: int | None = None, **options: Any
    ) -> list[list[tuple[str, float]]]:
        """Extract the keywords of many texts, on several threads.

        Parameters
        ----------
        docs : sequence of sequences of str
        topn : int, default 10
        n_threads : int, optional
        **options
            As of `extract`.

        Returns
        -------
        list of lists
            The same as `extract` gives for each.
        """
        threads = check_n_threads(n_threads)
        if isinstance(docs, str | bytes) or not hasattr(docs, "__len__"):
            raise TypeError(f"docs: expected a sequence of token sequences, got {describe(docs)}")
        extraction = Extraction(self._vocabulary, self._counts, topn=topn, **options)
        jobs = [extraction.job(tokens, f"docs[{i}]") for i, tokens in enumerate(docs)]
        return self._extracted(extraction, jobs, threads) if jobs else []

    def _extracted(self, options: Extraction, jobs: list[Job], n_threads: int) -> list[list[tuple[str, float]]]:
        texts = [(job.bag, job.candidates) for job in jobs]
        found = self._scores(texts, options.self_term, options.normalize, n_threads)
        return [options.best(job, scores) for job, scores in zip(jobs, found, strict=True)]

    # --- Making one ---

    @staticmethod
    def from_gensim(model: Any, output: str = "auto", copy: bool = False) -> KeywordModel:
        """Take over a gensim ``Word2Vec(sg=1)`` model; gensim itself is not imported.

        Parameters
        ----------
        model : gensim.models.Word2Vec
            With hierarchical softmax (``hs=1, negative=0``), the method itself, or negative sampling, its variant.
        output : {"auto", "hs", "ns"}
            Which output layer to use; "auto" prefers the tree.
        copy : bool, default False
            False shares the model's memory: training it further changes the scores.

        Returns
        -------
        Word2VecKeywords or NegativeSamplingKeywords

        Raises
        ------
        ValueError, TypeError
            For a model that gives no p(u | w): CBOW, one without the output layer asked for, or mere vectors.
        """
        from .gensim_model import read

        return read(model, output, copy)

    # --- Storage ---

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {"vectors": self._vectors, **self._vocabulary.to_arrays()}
        if self._counts is not None:
            arrays["counts"] = self._counts
        return arrays

    def _params(self) -> dict[str, Any]:
        return {}

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Store the model as one file: completely, or not at all.

        Parameters
        ----------
        path : path-like
        overwrite : bool, default True
            False: `FileExistsError` where the file exists.
        """
        persistence.write_container(
            check_path(path),
            self.KIND,
            "1",
            self._params(),
            self._arrays(),
            overwrite=check_bool(overwrite, "overwrite"),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> Any:
        """Open a stored model.

        Parameters
        ----------
        path : path-like
        mmap : bool, default True
            The matrices stay in the mapped file. False: they are read into memory.

        Raises
        ------
        CorruptFileError
            The file is damaged, or its tree is none.
        TypeError
            A file of another kind.
        """
        container = persistence.read_container(check_path(path), mmap=check_bool(mmap, "mmap"))
        persistence.expect_kind(container, cls.KIND)
        return cls._from_container(container)

    @classmethod
    @abstractmethod
    def _from_container(cls, container: Any) -> Any:
        """The model in a container, whose author nobody knows."""

    def __reduce__(self) -> tuple[Any, ...]:
        data = persistence.to_bytes(self.KIND, "1", self._params(), self._arrays())
        return _from_bytes, (type(self), data)


def _from_bytes(cls: type[KeywordModel], data: bytes) -> Any:
    return cls._from_container(persistence.from_bytes(data))


def problems(container: Any, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with a stored model, for `likewise.persistence.check`."""
    from . import NegativeSamplingKeywords, Word2VecKeywords

    kinds = {kind.KIND: kind for kind in (NegativeSamplingKeywords, Word2VecKeywords)}
    try:
        model = kinds[container.kind]._from_container(container)
        if full:
            len(model.vocabulary)
    except CorruptFileError as error:
        yield error
