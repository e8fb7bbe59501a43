"""Documents to be searched by Word Mover's Distance: exact nearest ones, few of the distances computed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_bool, check_k, check_n_threads, check_path, describe
from ..errors import CorruptFileError
from .document_arrays import Adding, Documents, Floats, Int64s, chunks, joined
from .documents import refuse_empty
from .word_vectors import Bag, Vectors, Vocabulary, WordVectors, analyzer, word_vectors


@dataclass(frozen=True)
class WMDStats:
    """What a search did.

    Attributes
    ----------
    n_docs : int
        Documents of the index.
    n_empty : int
        Those without known words: never returned.
    n_bounded : int
        Documents whose lower bound was computed: all others.
    n_refined : int
        Documents whose bound was below the distance sought, so that a sharper one was computed.
    n_solved : int
        Documents whose distance was computed. All others have a bound above the last distance returned.
    n_unknown_in_query, n_unknown_in_docs : int
        Words without a vector that were dropped.
    """

    n_docs: int
    n_empty: int
    n_bounded: int
    n_refined: int
    n_solved: int
    n_unknown_in_query: int
    n_unknown_in_docs: int


class WMDIndex:
    """Documents that are ranked by their Word Mover's Distance from a query, exactly.

    A search computes the distances between the words of the query and those of the documents once, and from them a
    lower bound for every document. Documents are then looked at in the order of their bounds; the bound of one that may
    be among the nearest is sharpened by a few steps of Sinkhorn's iteration, and only if that is still not above the
    k-th distance, the transport problem is solved. The result is that of solving all of them.

    Parameters
    ----------
    vectors : WordVectors, dict of str to array, (array, vocabulary), or array of shape (n_words, n_features)
        float32 or float64. The index keeps a copy, normalised if so asked. Without a vocabulary, documents are given as
        (ids, counts).
    docs : iterable of documents, optional
        What to `add` at once.
    normalize_vectors : bool, default True
        Bring each vector to length one first.

    Attributes
    ----------
    n_docs : int
        Number of documents; their ids are 0 to ``n_docs - 1``.
    n_empty : int
        Those without known words.
    n_unknown : int
        Words without a vector, each time that one was dropped.
    nbytes : int
        Bytes of its arrays.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    See Also
    --------
    word_movers_distance : of two documents.
    likewise.search.Index : BM25, which needs no vectors, is far faster, and often ranks better.

    Notes
    -----
    A search takes O(U m) time and memory for the distances (U: distinct words of all documents, m: of the query), O(w)
    time for the bounds (w: words of all documents), and what the few exact distances cost. Searches may run in several
    threads at once, also while documents are added: they see the documents that were there when they began.

    References
    ----------
    M. Kusner, Y. Sun, N. Kolkin, K. Weinberger. From word embeddings to document distances. ICML 2015.

    Examples
    --------
    >>> from likewise.transport import WMDIndex
    >>> vectors = {"wing": [1.0, 0.1], "flap": [0.9, 0.4], "heat": [-0.2, 1.0], "flow": [0.3, 0.8]}
    >>> index = WMDIndex(vectors, ["wing and flap", "heat flow", "flap flow", "unknown"])
    >>> distances, ids = index.search("a wing", k=2)
    >>> distances.round(3), ids
    (array([0.159, 0.687]), array([0, 2]))
    >>> index.search("a wing", k=1, return_stats=True)[2].n_solved
    1
    """

    _KIND: ClassVar[str] = "transport.wmd_index"

    def __init__(self, vectors: Any, docs: Iterable[Any] | None = None, *, normalize_vectors: bool = True) -> None:
        self._normalize = check_bool(normalize_vectors, "normalize_vectors")
        given = word_vectors(vectors)
        prepared: Any = np.empty_like(given.vectors)
        self._exponent = _core.transport.prepare_vectors(
            given.vectors, self._normalize, prepared, check_n_threads(None)
        )
        self._table = WordVectors._of(prepared, given._words)
        self._start(Documents.none())
        if docs is not None:
            self.add(docs)

    def _start(self, documents: Documents) -> None:
        self._lock = threading.Lock()
        self._pieces = [documents]
        self._n_docs = len(documents.indptr) - 1
        self._n_empty = int(np.count_nonzero(np.diff(documents.indptr) == 0))
        self._searcher: tuple[Documents, _core.transport.DocumentIndex] | None = None

    # --- Documents ---

    def add(self, docs: Iterable[Any]) -> Int64s:
        """Add documents.

        Parameters
        ----------
        docs : iterable of documents, or Arrow strings
            Each a str, a sequence of str, or (ids, counts); see `word_movers_distance`. Those without known words are
            counted, and never found.

        Returns
        -------
        ndarray of int64
            The ids of the new documents.

        Raises
        ------
        TypeError, ValueError
            Naming the document. Nothing has been added then.
        """
        parts = list(chunks(self._bags(docs)))  # before the lock is taken: it runs code of the caller
        with self._lock:
            terms = [piece.terms for piece in self._pieces]
            adding = Adding(self._table, np.concatenate(terms), self._normalize)
            first = self._n_docs
            pieces = [adding.piece(bags) for bags in parts]
            self._pieces = [*self._pieces, *pieces]
            self._n_docs += sum(len(piece.indptr) - 1 for piece in pieces)
            self._n_empty += sum(int(np.count_nonzero(np.diff(piece.indptr) == 0)) for piece in pieces)
            if pieces:
                self._searcher = None
            return np.arange(first, self._n_docs, dtype=np.int64)

    def _bags(self, docs: Any) -> Iterator[Bag]:
        is_arrow = hasattr(docs, "__arrow_c_stream__") or hasattr(docs, "__arrow_c_array__")
        if isinstance(docs, str | bytes) or not (isinstance(docs, Iterable) or is_arrow):
            hint = " [wrap it in a list]" if isinstance(docs, str) else ""
            raise TypeError(f"docs: expected an iterable of documents, got {describe(docs)}{hint}")
        words = self._table._words
        all_texts = is_arrow or (isinstance(docs, list) and all(isinstance(document, str) for document in docs))
        if words is not None and all_texts:
            batch = analyzer().batch(docs)
            rows = words.find_all(batch.vocabulary)[batch.tokens]
            for begin, end in zip(batch.indptr[:-1].tolist(), batch.indptr[1:].tolist(), strict=True):
                known = rows[begin:end]
                known = known[known >= 0]
                yield Bag(known, np.empty(0), end - begin - len(known))
        else:
            for position, document in enumerate(docs):
                yield self._table.bag(document, f"docs[{position}]")

    @property
    def n_docs(self) -> int:
        """Number of documents."""
        return self._n_docs

    def __len__(self) -> int:
        return self._n_docs

    @property
    def n_empty(self) -> int:
        """Number of documents without known words."""
        return self._n_empty

    @property
    def n_unknown(self) -> int:
        """How many words without a vector have been dropped."""
        return sum(piece.n_unknown for piece in self._pieces)

    @property
    def normalize_vectors(self) -> bool:
        """Whether vectors are brought to length one."""
        return self._normalize

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in self._arrays().values())

    def __repr__(self) -> str:
        return f"WMDIndex(n_docs={self.n_docs}, n_words={len(self._table)}, n_features={self._table.n_features})"

    # --- Search ---

    def search(self, query: Any, k: int = 10, return_stats: bool = False, *, n_threads: int | None = None) -> Any:
        """The nearest documents.

        Parameters
        ----------
        query : str, sequence of str, or (ids, counts)
            As a document.
        k : int, default 10
            How many to return; all, if there are no more.
        return_stats : bool, default False
            Also say how much of the work was needed.
        n_threads : int, optional
            At most so many threads; None: every CPU. The result does not depend on it.

        Returns
        -------
        distances : ndarray of float64, shape (k,)
            Ascending.
        ids : ndarray of int64, shape (k,)
            Equal distances by ascending id.
        stats : WMDStats
            Only if asked for.

        Raises
        ------
        TypeError, ValueError
            Naming the argument: a query without known words, or with a word whose vector is zero where it is to be
            normalised.
        """
        k = check_k(k)
        return_stats = check_bool(return_stats, "return_stats")
        threads = check_n_threads(n_threads)
        bag = self._table.bag(query, "query")
        refuse_empty(bag, "query")
        if self._normalize:
            self._table.refuse_zero(bag.words)
        documents, core = self._ready()
        distances, ids, n_bounded, n_refined, n_solved = core.search(bag.words, bag.counts, k, threads)
        if self._exponent:
            distances = np.ldexp(distances, self._exponent)
        if not return_stats:
            return distances, ids
        n_docs = len(documents.indptr) - 1
        return distances, ids, WMDStats(
            n_docs, n_docs - n_bounded, n_bounded, n_refined, n_solved, bag.n_unknown, documents.n_unknown
        )  # fmt: skip

    def _ready(self) -> tuple[Documents, _core.transport.DocumentIndex]:
        """The documents in one piece, and what searches them."""
        ready = self._searcher
        if ready is None:
            with self._lock:
                documents = joined(self._pieces)
                core = _core.transport.DocumentIndex(
                    self._table.vectors, documents.terms, documents.indptr, documents.words, documents.weights
                )
                self._pieces = [documents]
                self._searcher = ready = documents, core
        return ready

    # --- Storage ---

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Store the index, vectors and vocabulary included, as one file.

        Raises
        ------
        FileExistsError, OSError
        """
        from .. import persistence

        persistence.write_container(check_path(path), self._KIND, "1", *self._to_container(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True, verify: str = "full") -> Self:
        """Open what `save` stored. Parameters and errors are those of `likewise.load`.

        The content is looked at in full with any `verify`, as searches rely on it; ``"header"`` leaves out the digests.
        """
        from .. import persistence

        container = persistence.read_container(check_path(path), mmap=mmap, verify=verify)
        persistence.expect_kind(container, cls._KIND)
        return cls._from_container(container)

    def to_bytes(self) -> bytes:
        """The bytes that `save` would store."""
        from .. import persistence

        return persistence.to_bytes(self._KIND, "1", *self._to_container())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The index in these bytes."""
        from .. import persistence

        container = persistence.from_bytes(data)
        persistence.expect_kind(container, cls._KIND)
        return cls._from_container(container)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        documents, _ = self._ready()
        words = self._table._words
        return {
            "indptr": documents.indptr,
            "terms": documents.terms,
            "vectors": self._table.vectors,
            "weights": documents.weights,
            "words": documents.words,
            **({} if words is None else words.arrays()),
        }

    def _to_container(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays = self._arrays()
        params = {"exponent": self._exponent, "n_unknown": self.n_unknown, "normalize_vectors": self._normalize}
        return params, arrays

    @classmethod
    def _from_container(cls, container: Any) -> Self:
        params, arrays = container.params, container.arrays

        def damaged(array: str, reason: str) -> CorruptFileError:
            return CorruptFileError(container.path, array, reason)

        def integer(name: str, least: int, most: int) -> int:
            value = params.get(name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise damaged("params", f"expected {name} from {least} to {most}")
            return value

        made = cls.__new__(cls)
        made._exponent = integer("exponent", -1100, 1100)
        normalize = params.get("normalize_vectors")
        if not isinstance(normalize, bool):
            raise damaged("params", "expected normalize_vectors true or false")
        made._normalize = normalize
        vectors: Vectors | None = arrays.get("vectors")
        if vectors is None or vectors.dtype.str not in ("<f4", "<f8") or vectors.ndim != 2 or not vectors.shape[1]:
            raise damaged("vectors", "expected a table of float32 or float64")
        parts: dict[str, Any] = {}
        for name, dtype in _DTYPES.items():
            array = arrays.get(name)
            if name.startswith("vocabulary") and array is None:
                continue
            if array is None or array.dtype != dtype or array.ndim != 1:
                raise damaged(name, f"expected an array of {np.dtype(dtype)} of rank 1")
            parts[name] = array
        names = [name for name in parts if name.startswith("vocabulary")]
        if len(names) not in (0, 3):
            raise damaged("vocabulary", "expected offsets, bytes and slots, or none of them")
        try:
            words = None
            if names:
                words = Vocabulary(*(parts[f"vocabulary_{part}"] for part in ("offsets", "bytes", "slots")))
                words.check()
                if len(parts["vocabulary_offsets"]) - 1 != len(vectors):
                    raise damaged("vocabulary_offsets", f"expected {len(vectors)} words")
            documents = Documents(
                parts["terms"], parts["indptr"], parts["words"], parts["weights"], integer("n_unknown", 0, 2**62)
            )
            core = _core.transport.DocumentIndex(
                vectors, documents.terms, documents.indptr, documents.words, documents.weights
            )
        except _core.CorruptError as error:
            raise damaged(error.array, error.reason) from None
        made._table = WordVectors._of(vectors, words)
        made._start(documents)
        made._searcher = documents, core
        return made


_DTYPES: dict[str, Any] = {
    "indptr": np.int64,
    "terms": np.int32,
    "weights": np.float64,
    "words": np.int32,
    "vocabulary_bytes": np.uint8,
    "vocabulary_offsets": np.uint64,
    "vocabulary_slots": np.uint32,
}


def wmd_search(query: Any, corpus: Any, k: int = 10, *, vectors: Any = None) -> tuple[Floats, Int64s]:
    """The documents nearest to a query by Word Mover's Distance, exactly.

    Parameters
    ----------
    query : str, sequence of str, or (ids, counts)
        See `word_movers_distance`.
    corpus : WMDIndex, or iterable of documents
        For more than one query, make the index once.
    k : int, default 10
        How many to return.
    vectors : optional
        Where the corpus is documents: the vectors of their words, as of `WMDIndex`.

    Returns
    -------
    distances : ndarray of float64, shape (k,)
        Ascending.
    ids : ndarray of int64, shape (k,)
        Positions in the corpus; equal distances by ascending id.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> from likewise.transport import wmd_search
    >>> vectors = {"wing": [1.0, 0.1], "flap": [0.9, 0.4], "heat": [-0.2, 1.0]}
    >>> distances, ids = wmd_search("the wing", ["hot heat", "wing and flap"], vectors=vectors)
    >>> ids
    array([1, 0])
    """
    if isinstance(corpus, WMDIndex):
        if vectors is not None:
            raise ValueError(f"vectors: expected None, as the index has its own, got {describe(vectors)}")
        index = corpus
    else:
        if vectors is None:
            raise ValueError("vectors: expected the vectors of the documents' words, got None [or pass a WMDIndex]")
        index = WMDIndex(vectors, corpus)
    distances, ids = index.search(query, k)
    return distances, ids


def check_wmd_index(container: Any, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with a stored index, for `likewise.persistence.check`."""
    try:
        WMDIndex._from_container(container)
    except CorruptFileError as error:
        yield error
