"""Words as vectors, and documents as the words that have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_array, check_indices, check_text, check_texts, describe

if TYPE_CHECKING:
    from ..search import Analyzer

_NO_COUNTS = np.empty(0)
Vectors = NDArray[np.float32] | NDArray[np.float64]


class Bag(NamedTuple):
    """The known words of a document as rows of a table, repeated as they are, and how often each counts.

    `counts` is empty where each word counts once. `n_unknown` words were dropped.
    """

    words: NDArray[np.int64]
    counts: NDArray[np.float64]
    n_unknown: int

    @property
    def is_empty(self) -> bool:
        return not len(self.words)


class WordVectors:
    """A table of word vectors with the words that its rows stand for.

    Parameters
    ----------
    vectors : array-like of shape (n_words, n_features)
        float32 or float64, finite; kept without a copy where it is canonical, and not to be changed afterwards.
    vocabulary : sequence of str, optional
        The word of each row, each once. None: documents are given as ``(ids, counts)`` with rows as ids.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: NaN or infinity with its row and column, a word that stands twice, another number of words
        than rows.

    Notes
    -----
    Checking and hashing take one pass over vectors and words: make one object, and use it for many documents.

    Examples
    --------
    >>> from likewise.transport import WordVectors, word_movers_distance
    >>> vectors = WordVectors([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [6.0, 8.0]], ["a", "b", "c", "d"])
    >>> "b" in vectors, len(vectors), vectors["b"]
    (True, 4, array([3., 4.]))
    >>> round(word_movers_distance(["a", "a", "b"], ["c", "d"], vectors, normalize_vectors=False), 10)
    3.8333333333
    """

    def __init__(self, vectors: Any, vocabulary: Sequence[str] | None = None) -> None:
        self._vectors = _frozen(check_array(vectors, "vectors"))
        self._words = None if vocabulary is None else Vocabulary.make(vocabulary, len(self._vectors))

    @classmethod
    def _of(cls, vectors: Vectors, words: Vocabulary | None) -> WordVectors:
        """Of a canonical table; whoever calls has checked it."""
        made = cls.__new__(cls)
        made._vectors, made._words = _frozen(vectors), words
        return made

    @property
    def vectors(self) -> Vectors:
        """The table: float32 or float64, shape (n_words, n_features), read-only."""
        return self._vectors

    @property
    def n_features(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._words is not None and self._words.find(word) >= 0

    def __getitem__(self, word: str) -> Vectors:
        """The vector of a word, read-only; `KeyError` if it has none."""
        row = self._words.find(word) if self._words is not None and isinstance(word, str) else -1
        if row < 0:
            raise KeyError(f"word: expected a word with a vector, got {describe(word)}")
        vector: Vectors = self._vectors[row]
        return vector

    def __repr__(self) -> str:
        known = "no vocabulary" if self._words is None else f"{len(self)} words"
        return f"WordVectors({known}, n_features={self.n_features}, dtype={self._vectors.dtype})"

    def bag(self, document: Any, name: str) -> Bag:
        """The words of one document: str, tokens, or (ids, counts)."""
        if is_ids(document):
            return bag_of_ids(document, name, len(self))
        tokens = tokens_of(document, name)
        if self._words is None:
            raise ValueError(
                f"{name}: expected (ids, counts), as the vectors have no vocabulary, got {describe(document)}"
            )
        found = self._words.find_all(tokens)
        known = found[found >= 0]
        return Bag(known, _NO_COUNTS, len(found) - len(known))

    def refuse_zero(self, words: NDArray[np.int64]) -> None:
        """Raise for the first word whose vector has no direction."""
        has_direction = self._vectors[words].any(axis=1)
        if not has_direction.all():
            row = int(words[np.argmin(has_direction)])
            raise ValueError(
                f"vectors: expected a vector other than zero for each word, got zero for {self._name_of(row)} "
                "[drop the word, or pass normalize_vectors=False]"
            )

    def refuse_not_finite(self, words: NDArray[np.int64]) -> None:
        """Raise for the first word whose vector has a NaN or an infinity."""
        finite = np.isfinite(self._vectors[words])
        if not finite.all():
            position, column = (int(i) for i in np.argwhere(~finite)[0])
            row = int(words[position])
            raise ValueError(
                f"vectors: expected finite values, got {self._vectors[row, column]} for {self._name_of(row)}, "
                f"column {column}"
            )

    def _name_of(self, row: int) -> str:
        return f"row {row}" if self._words is None else f"the word {self._words.get(row)!r}"


class Vocabulary:
    """Distinct words in a hash table that is stored as it is."""

    def __init__(self, offsets: NDArray[np.uint64], bytes_: NDArray[np.uint8], slots: NDArray[np.uint32]) -> None:
        self._arrays: dict[str, NDArray[Any]] = {
            "vocabulary_bytes": bytes_,
            "vocabulary_offsets": offsets,
            "vocabulary_slots": slots,
        }
        self._table = _core.search.StringTable(offsets, bytes_, slots, "vocabulary")
        self.find, self.find_all, self.get, self.check = (
            self._table.find, self._table.find_all, self._table.get, self._table.check,
        )  # fmt: skip

    @classmethod
    def make(cls, vocabulary: Any, n: int) -> Vocabulary:
        words = check_texts(vocabulary, "vocabulary")
        if len(words) != n:
            raise ValueError(f"vocabulary: expected one word a row of vectors ({n}), got {len(words)}")
        offsets, bytes_, slots, duplicate = _core.search.pack_strings(words)
        if duplicate >= 0:
            first = words.index(words[duplicate])
            raise ValueError(
                f"vocabulary: expected different words, got {describe(words[duplicate])} at positions {first} "
                f"and {duplicate}"
            )
        return cls(offsets, bytes_, slots)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored with an index."""
        return self._arrays


def word_vectors(vectors: Any, name: str = "vectors") -> WordVectors:
    """What stands for word vectors: `WordVectors`, a dict, an array with or without a vocabulary."""
    if isinstance(vectors, WordVectors):
        return vectors
    if isinstance(vectors, Mapping):
        return _of_mapping(vectors, list(vectors), name)
    _refuse_models(vectors, name)
    if isinstance(vectors, tuple) and len(vectors) == 2:
        return WordVectors(*vectors)
    return WordVectors(vectors)


def bags_of(vectors: Any, documents: dict[str, Any]) -> tuple[WordVectors, list[Bag]]:
    """Vectors and bags of a few documents, whose keys are the names of arguments: of a dict or a plain array only the
    vectors that they need are looked at."""
    if isinstance(vectors, Mapping):
        documents = {name: tokens_of(document, name) for name, document in documents.items()}
        words = list(dict.fromkeys(word for tokens in documents.values() for word in tokens if word in vectors))
        table = _of_mapping(vectors, words, "vectors")
    elif isinstance(vectors, WordVectors | tuple):
        table = word_vectors(vectors)
    else:
        _refuse_models(vectors, "vectors")
        table = WordVectors._of(check_array(vectors, "vectors", finite=False), None)
    bags = [table.bag(document, name) for name, document in documents.items()]
    if not isinstance(vectors, WordVectors | tuple):
        for bag in bags:
            table.refuse_not_finite(bag.words)
    return table, bags


def _of_mapping(mapping: Mapping[Any, Any], words: list[Any], name: str) -> WordVectors:
    if not words:
        return WordVectors._of(np.zeros((0, 1)), Vocabulary.make([], 0))
    rows = [mapping[word] for word in words]
    try:
        table = check_array(rows, name, finite=False)
    except ValueError:
        lengths = [np.shape(row) for row in rows]
        for word, shape in zip(words, lengths, strict=True):
            if shape != lengths[0] or len(shape) != 1:
                raise ValueError(
                    f"{name}: expected vectors of one length, got shape {lengths[0]} for {words[0]!r} and {shape} "
                    f"for {word!r}"
                ) from None
        raise
    return WordVectors._of(table, Vocabulary.make(words, len(words)))


def _refuse_models(vectors: Any, name: str) -> None:
    if hasattr(vectors, "key_to_index") or hasattr(vectors, "wv"):
        raise TypeError(
            f"{name}: expected an array, a dict or WordVectors, got {describe(vectors)} "
            "[wrap it: likewise.integrations.gensim.word_vectors(...)]"
        )


def _frozen(vectors: Vectors) -> Vectors:
    """A read-only view: nobody writes through us."""
    view = vectors[:]
    view.flags.writeable = False
    return view


# --- Documents ---


@lru_cache(maxsize=1)
def analyzer() -> Analyzer:
    """What cuts a str into tokens."""
    from ..search import Analyzer

    return Analyzer(stopwords=None, stem=False)


def is_ids(document: Any) -> bool:
    """Whether a document is (ids, counts) rather than tokens."""
    return isinstance(document, tuple) and len(document) == 2 and not any(isinstance(part, str) for part in document)


def tokens_of(document: Any, name: str) -> list[str]:
    """The tokens of a str, or of a sequence of them."""
    if is_ids(document):
        raise ValueError(f"{name}: expected a str or tokens, as the vectors are a dict, got (ids, counts)")
    if isinstance(document, str):
        return analyzer()(check_text(document, name))
    if type(document) is list:
        try:
            if all(map(str.isascii, document)):  # a third of the time of looking at each word from here
                return document
        except TypeError:  # not all str: the check below says which
            pass
    return check_texts(document, name)


def bag_of_ids(document: tuple[Any, Any], name: str, n_words: int) -> Bag:
    """The bag of (ids, counts): rows of the table, and finite counts >= 0."""
    ids = check_indices(document[0], name, n=n_words)
    counts = check_array(document[1], name, ndim=1, min_rows=0).astype(np.float64, copy=False)
    if len(counts) != len(ids):
        raise ValueError(f"{name}: expected one count an id ({len(ids)}), got {len(counts)}")
    if (counts < 0).any():
        position = int(np.argmax(counts < 0))
        raise ValueError(f"{name}: expected counts >= 0, got {counts[position]} at position {position}")
    present = counts > 0
    return Bag(ids[present], counts[present], 0)
