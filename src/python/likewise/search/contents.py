"""What an index holds: its parts, and what can be asked about them without a search."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._validation import check_text
from .analyzer import Analyzer
from .keys import Keys
from .parts import Parts
from .queries import UNKNOWN, QueryReader
from .scoring import Scoring
from .storage import StoredIndex


class Contents:
    """Base of `Searching`, and so of `Index`: its attributes, properties and counts."""

    __slots__ = (
        "_analyzer",
        "_analyzer_params",
        "_engine",
        "_k3",
        "_keys",
        "_n_docs",
        "_n_overlong",
        "_parts",
        "_reader",
        "_scoring",
        "_stored",
    )
    _analyzer: Analyzer | None
    _analyzer_params: dict[str, Any] | None
    _engine: _core.search.Index
    _k3: float
    _keys: Keys
    _n_docs: int
    _n_overlong: int
    _parts: Parts
    _reader: QueryReader
    _scoring: Scoring
    _stored: StoredIndex | None

    @classmethod
    def _of(
        cls,
        parts: Parts,
        scoring: Scoring,
        analyzer: Analyzer | str | None,
        analyzer_params: dict[str, Any] | None,
        n_overlong: int,
        stored: StoredIndex | None,
    ) -> Self:
        """Put one together. `analyzer` is a str where a tokenizer of that name is missing."""
        self = object.__new__(cls)
        self._parts, self._scoring, self._analyzer_params = parts, scoring, analyzer_params
        self._analyzer = None if isinstance(analyzer, str) else analyzer
        self._n_overlong, self._stored = n_overlong, stored
        self._engine, self._keys = parts.core, parts.keys
        self._k3, self._n_docs = scoring.core_k3, parts.core.n_docs
        self._reader = QueryReader(parts.core, analyzer, self._k3)
        return self

    @property
    def n_docs(self) -> int:
        """Number of documents."""
        return self._n_docs

    @property
    def n_terms(self) -> int:
        """Number of distinct terms."""
        return self._engine.n_terms

    @property
    def n_postings(self) -> int:
        """Number of pairs of a term and a document that contains it."""
        return self._engine.n_postings

    @property
    def n_tokens(self) -> int:
        """Number of tokens in all documents."""
        return self._engine.n_tokens

    @property
    def n_overlong(self) -> int:
        """How many tokens were dropped because they are longer than the analyzer's `max_length`."""
        return self._n_overlong

    @property
    def avgdl(self) -> float:
        """Mean number of tokens in a document; 0.0 without documents."""
        return self._engine.average_length

    @property
    def nbytes(self) -> int:
        """Bytes of the index in memory: its arrays, mapped ones included, and what searches derive from them."""
        return self._parts.nbytes

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that the index was built with, by their names in `build`."""
        return {**self._scoring.to_params(), "analyzer": self._analyzer, "store": self._parts.texts is not None}

    @property
    def analyzer(self) -> Analyzer | None:
        """How texts become tokens."""
        return self._analyzer

    @property
    def ids(self) -> NDArray[Any]:
        """The ids of all documents in the order of their doc_ids: int64, or str objects."""
        return self._keys.all()

    @property
    def path(self) -> str | None:
        """The directory that the index was opened from."""
        return None if self._stored is None else str(self._stored.path)

    @property
    def generation(self) -> int | None:
        """The generation that was opened."""
        return None if self._stored is None else self._stored.generation

    def df(self, term: str) -> int:
        """Return the number of documents that contain a term (as it is indexed, i.e. stemmed); 0 if none does."""
        number = self._term_number(term)
        return 0 if number == UNKNOWN else self._engine.document_frequency(number)

    def idf(self, term: str) -> float:
        """Return a term's inverse document frequency under the variant; 0.0, as it adds nothing, if it is unknown."""
        number = self._term_number(term)
        return 0.0 if number == UNKNOWN else self._engine.idf(number)

    def _term_number(self, term: str) -> int:
        return int(self._engine.find_terms([check_text(term, "term")])[0])

    def doc_ids(self, ids: Any) -> NDArray[np.int64]:
        """Return the doc_ids of ids. `KeyError` lists the first 5 that are unknown."""
        return self._keys.doc_ids(ids)

    def __len__(self) -> int:
        return self._n_docs

    def __contains__(self, id: object) -> bool:
        return id in self._keys

    def __repr__(self) -> str:
        variant = self._scoring.variant
        return f"<likewise.search.Index: {self._n_docs} documents, {self.n_terms} terms, variant {variant!r}>"

    def __copy__(self) -> Self:
        return self  # an index does not change

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("Index: expected to be saved, got pickled [call .save(path), and Index.open(path) over there]")
