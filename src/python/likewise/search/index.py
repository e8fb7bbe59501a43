"""The index: exact BM25 from texts to ranked documents."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import DTypeLike

from .. import _core
from .._validation import (
    check_bool,
    check_choice,
    check_n_threads,
    check_path,
    check_scalar_int,
    describe,
)
from ..errors import CorruptFileError
from .analyzer import Analyzer
from .building import build_segment
from .keys import make_keys
from .parts import Parts, corrupt
from .scoring import Scoring
from .searching import Searching
from .storage import StoredIndex, open_with, write_index

_logger = logging.getLogger("likewise")


class Index(Searching):
    """A full-text index over a fixed corpus, searched by exact BM25.

    Made by `Index.build` or `Index.open`. An index does not change: any number of threads may search it at once.

    The score of a document d for a query q is the sum, over the distinct terms t of q, of w_t * idf_t * f(tf, L): tf
    counts t in d, L = 1 - b + b * dl / avgdl compares the length of d with the mean, and idf and f are those of the
    `variant`. `search`, `search_batch`, `scores`, `explain` and `related` give the same bits for it.

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009). Kamphuis et al., Which BM25
    Do You Mean? (2020). Lv and Zhai, Lower-Bounding Term Frequency Normalization (2011), for bm25l and bm25+.

    Examples
    --------
    >>> import likewise as lw
    >>> ix = lw.search.Index.build(["The wing in a flow", "Heat flow", "Flat plates"], ids=["w", "h", "p"])
    >>> ix.search("flowing around wings", k=10).ids.tolist()
    ['w', 'h']
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("Index: expected a call of Index.build or Index.open, got a direct one")

    @classmethod
    def build(
        cls,
        documents: Any,
        *,
        ids: Any = None,
        fields: Sequence[str] | None = None,
        analyzer: Analyzer | str | None = "default",
        variant: str = "lucene",
        k1: float = 1.2,
        b: float = 0.75,
        delta: float | None = None,
        k3: float | None = None,
        nonoccurrence: bool = True,
        dtype: DTypeLike = "float32",
        store: bool = False,
        n_threads: int | None = None,
        progress: bool | Callable[[int, int | None], object] | None = None,
    ) -> Index:
        """Index a corpus.

        Parameters
        ----------
        documents : iterable
            Texts: a list of str, numpy, pandas, polars or Arrow strings, dicts, a frame, or any iterable of str or
            dicts, read once. With ``analyzer=None``: sequences of str tokens.
        ids : sequence of str or int, or str, optional
            One unique id a document, or the dict key or column that holds them. Without it a document's id is its
            doc_id, 0 to n_docs - 1.
        fields : sequence of str, optional
            The dict keys or columns to read; their texts are joined, separated by a line feed.
        analyzer : Analyzer, "default", "plain" or None
            How texts become tokens; queries go through the same. None: documents are sequences of tokens.
        variant : {"lucene", "robertson", "atire", "bm25l", "bm25+", "bm25", "okapi"}
            The formula of idf and f.
        k1 : float, 0 or from 1e-6 to 1e6
            How fast a term's repetition saturates.
        b : float in [0, 1]
            How much a document's length counts.
        delta : float, 0 or from 1e-6 to 1e6, optional
            Lower bound of f for bm25l (default 0.5) and bm25+ (default 1); None for all others.
        k3 : float, 0 or from 1e-6 to 1e6, optional
            Saturation of a query term's count qtf: w_t = (k3 + 1) qtf / (k3 + qtf). None: w_t = qtf. 0: w_t = 1.
        nonoccurrence : bool
            For bm25l and bm25+: whether f(0) counts for documents that lack a term.
        dtype : "float32" or "float64"
            Type of the scores, and of what they are summed from.
        store : bool
            Keep the texts, for `highlight`.
        n_threads : int, optional
            None: all CPUs that this process may use. No result depends on it.
        progress : bool or callable, optional
            None: a bar if stderr is a terminal and the work takes over about 2 seconds; a callable gets (done, total).

        Returns
        -------
        Index

        Raises
        ------
        TypeError, ValueError
            Naming the argument, and the position of a document or id at fault.

        Examples
        --------
        >>> import likewise as lw
        >>> papers = [{"key": "a", "title": "Wings", "text": "in a flow"}, {"key": "b", "title": "Plates", "text": ""}]
        >>> ix = lw.search.Index.build(papers, ids="key", fields=("title", "text"), variant="bm25+")
        >>> ix.search("flows and wings").ids.tolist()
        ['a']
        """
        started = time.perf_counter()
        scoring = Scoring.check(
            variant=variant, k1=k1, b=b, delta=delta, k3=k3, nonoccurrence=nonoccurrence, dtype=dtype
        )
        analyzer = Analyzer.resolve(analyzer)
        built = build_segment(
            documents,
            ids=ids,
            fields=fields,
            analyzer=analyzer,
            store=check_bool(store, "store"),
            n_threads=check_n_threads(n_threads),
            progress=progress,
        )
        keys = make_keys(built.keys, len(built.arrays["document_lengths"]))
        parts = Parts.make(built.arrays, keys, scoring, full=True)
        _logger.debug(
            "built an index of %d documents, %d postings in %.3f s",
            parts.core.n_docs,
            parts.core.n_postings,
            time.perf_counter() - started,
        )
        if built.n_overlong > 0:
            _logger.info("%d tokens longer than the analyzer's max_length were dropped", built.n_overlong)
        analyzer_params = None if analyzer is None else analyzer.to_params()
        return cls._of(parts, scoring, analyzer, analyzer_params, built.n_overlong, None)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the index into a directory, atomically and durably.

        Parameters
        ----------
        path : path
            A directory that is absent or empty.
        overwrite : bool
            True: `path` may hold a sound index, which gets this one as its next generation.

        Raises
        ------
        FileExistsError
            If something else is there.
        OSError
            From the file system, with the path; nothing half-written remains.
        """
        path = check_path(path)
        core, params = self._engine, self._scoring.to_params()
        params |= {
            "analyzer": self._analyzer_params,
            "n_overlong": self._n_overlong,
            "key_kind": self._keys.kind,
            "stored": self._parts.texts is not None,
        }
        statistics = {name: getattr(core, name) for name in ("n_docs", "n_terms", "n_postings", "n_tokens")}
        write_index(path, self._parts.arrays, params, statistics, overwrite=check_bool(overwrite, "overwrite"))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        mode: str = "r",
        generation: int | None = None,
        mmap: bool = True,
        verify: str = "full",
        prefault: str = "none",
        recover: bool = False,
        tokenizer: Callable[[str], Iterable[Any]] | None = None,
    ) -> Index:
        """Open a saved index.

        Parameters
        ----------
        path : path
            The index directory.
        mode : "r"
            Read.
        generation : int, optional
            A generation that is still kept; None: the newest.
        mmap : bool
            True: map the files. False: read them, for storage that others may write to.
        verify : "full" or "header"
            "full": every digest and all structure. "header": no scan of the postings; each term's are then checked
            at their first use, so that a damaged index may give wrong results but stays memory-safe. See `verify`.
        prefault : "none", "willneed" or "populate"
            Whether the operating system should read ahead, or all pages are touched now.
        recover : bool
            Fall back to an older generation if the newest is damaged, with a `RecoveredIndexWarning`.
        tokenizer : callable, optional
            The tokenizer of the index's analyzer, if that was a callable: a file holds its name alone. Without it the
            index opens, but takes no text as a query, only tokens.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            If there is no index directory.
        likewise.errors.CorruptFileError
            If the files break the rules of their format, naming the file, the array and the reason.
        likewise.errors.UnsupportedFormatError
            If another program or a later version wrote them.
        """
        check_choice(mode, "mode", ("r",))
        if tokenizer is not None and not callable(tokenizer):
            raise TypeError(f"tokenizer: expected a callable or None, got {describe(tokenizer)}")
        full, started = verify == "full", time.perf_counter()
        opened = open_with(
            check_path(path),
            lambda stored: cls._from_stored(stored, tokenizer, full=full),
            generation=None if generation is None else check_scalar_int(generation, "generation"),
            mmap=check_bool(mmap, "mmap"),
            verify=verify,
            prefault=prefault,
            recover=check_bool(recover, "recover"),
        )
        _logger.debug("opened %s (verify=%s) in %.4f s", path, verify, time.perf_counter() - started)
        return opened

    @classmethod
    def _from_stored(
        cls, stored: StoredIndex, tokenizer: Callable[[str], Iterable[Any]] | None, *, full: bool
    ) -> Index:
        """The index of opened files. Raises the core's `CorruptError` where their content breaks the rules."""
        params = stored.parameters
        if tokenizer is not None and _tokenizer_name(params.get("analyzer")) is None:
            raise ValueError("tokenizer: expected None, as the index was built without a tokenizer, got a callable")
        try:
            scoring = Scoring.check(**{name: params[name] for name in Scoring.__slots__})
            analyzer = _open_analyzer(params["analyzer"], tokenizer)
            n_overlong = check_scalar_int(params["n_overlong"], "n_overlong", minimum=0)
        except (KeyError, TypeError, ValueError) as error:
            raise corrupt("parameters", str(error)) from error
        parts = Parts.from_stored(
            stored.arrays,
            params.get("key_kind"),
            scoring,
            full=full,
            n_tokens=stored.statistics["n_tokens"],
            before_block=stored.before_block,
            path=stored.container.path,
        )
        for name in ("n_docs", "n_terms", "n_postings", "n_tokens"):
            if stored.statistics.get(name) != getattr(parts.core, name):
                raise corrupt("statistics", f"expected {name} {getattr(parts.core, name)}, as the arrays have it")
        return cls._of(parts, scoring, analyzer, params["analyzer"], n_overlong, stored)

    def verify(self) -> None:
        """Check everything that ``verify="full"`` checks. Raises `likewise.errors.CorruptFileError`."""
        if self._stored is not None:
            self._stored.verify_digests()
        try:
            self._parts.check()
        except _core.CorruptError as error:
            path = "<memory>" if self._stored is None else self._stored.container.path
            raise CorruptFileError(path, error.array, error.reason) from None

    def warm(self, n_threads: int | None = None) -> None:
        """Derive now what the first searches, `keywords` and `related` would derive at their first use."""
        self._engine.warm(check_n_threads(n_threads))


def _open_analyzer(params: Any, tokenizer: Callable[[str], Iterable[Any]] | None) -> Analyzer | str | None:
    """The analyzer that a file describes, or the name of the tokenizer that it needs and nobody handed in."""
    if params is None:
        return None
    named = _tokenizer_name(params)
    return named if named is not None and tokenizer is None else Analyzer.from_params(params, tokenizer=tokenizer)


def _tokenizer_name(params: Any) -> str | None:
    name = params.get("tokenizer") if isinstance(params, Mapping) else None
    return None if name is None else str(name)
