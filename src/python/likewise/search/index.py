"""The index: exact BM25 from texts to ranked documents."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _core
from .._validation import (
    check_bool,
    check_choice,
    check_k,
    check_n_threads,
    check_out,
    check_path,
    check_scalar_float,
    check_scalar_int,
    check_text,
    describe,
)
from ..errors import CorruptFileError
from .analyzer import Analyzer
from .building import build_segment
from .contents import Contents
from .explanation import Explanation, explain
from .highlighting import highlight
from .hits import Hits
from .keys import Id, make_keys
from .parts import Parts, corrupt
from .queries import UNKNOWN, Query
from .scoring import Scoring
from .storage import StoredIndex, open_with, write_index

_METHODS = ("auto", "exhaustive")
_logger = logging.getLogger("likewise")


class Index(Contents):
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

    # --- Making, saving, opening ---

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
        k1 : float, >= 0
            How fast a term's repetition saturates.
        b : float in [0, 1]
            How much a document's length counts.
        delta : float, >= 0, optional
            Lower bound of f for bm25l (default 0.5) and bm25+ (default 1); None for all others.
        k3 : float, >= 0, optional
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

    # --- Searching ---

    def search(self, query: Query, k: int = 10, *, method: str = "auto", n_threads: int | None = 1) -> Hits:
        """Find the k best documents.

        Parameters
        ----------
        query : str, sequence of str, or mapping of str to float
            A text, which is analysed as the documents were; tokens, taken as they are; or tokens with weights (0, or
            from 1e-20 to 1e20; 1e-200 to 1e200 in float64), which replace w_t. A text has no operators.
        k : int, >= 1
            How many at most.
        method : "auto" or "exhaustive"
            "exhaustive" scores every document; the result is the same.
        n_threads : int, optional
            For this one query; None: all CPUs that this process may use.

        Returns
        -------
        Hits
            1-D. A hit scores strictly above a document without any of the query's terms; equal scores are ordered by
            ascending doc_id. Fewer than k hits are normal.
        """
        if type(k) is not int or k < 1:
            k = check_k(k)
        if k > self._n_docs:
            k = self._n_docs
        exhaustive = method != "auto" and check_choice(method, "method", _METHODS) == "exhaustive"
        if type(n_threads) is int and n_threads == 1 and (type(query) is list or not isinstance(query, Mapping)):
            tokens = query if type(query) is list else self._reader.tokens(query)
            doc_ids, scores = self._engine.search_tokens(tokens, self._k3, k, exhaustive)
        else:
            terms, weights = self._reader.arrays(query)
            doc_ids, scores = self._engine.search(terms, weights, k, exhaustive, -1, check_n_threads(n_threads))
        return Hits(doc_ids, scores, self._keys)

    def search_batch(
        self, queries: Sequence[Query], k: int = 10, *, method: str = "auto", n_threads: int | None = None
    ) -> Hits:
        """Find the k best documents of each of many queries: a 2-D `Hits` of shape [len(queries), k].

        Parameters are those of `search`; the queries are shared out among the threads.
        """
        k = check_k(k)
        exhaustive = check_choice(method, "method", _METHODS) == "exhaustive"
        n_threads = check_n_threads(n_threads)
        offsets, terms, weights = self._reader.batch(queries)
        _check_room(len(offsets) - 1, k)
        doc_ids, scores, n_hits = self._engine.search_batch(offsets, terms, weights, k, exhaustive, n_threads)
        return Hits(doc_ids, scores, self._keys, n_hits)

    def scores(self, query: Query, *, ids: Any = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Score all documents, or those of `ids`.

        Parameters
        ----------
        query : str, sequence of str, or mapping of str to float
            As in `search`.
        ids : sequence of ids, optional
            Which documents, in this order.
        out : ndarray, optional
            Where to write: shape [n_docs] or [len(ids)], the index's dtype, C-contiguous.

        Returns
        -------
        ndarray, shape [n_docs] or [len(ids)], of the index's dtype
        """
        terms, weights = self._reader.arrays(query)
        doc_ids = None if ids is None else self._keys.doc_ids(ids)
        out = self._output(out, (self._n_docs if doc_ids is None else len(doc_ids),), doc_ids)
        if doc_ids is None:
            self._engine.score_all(terms, weights, out)
        else:
            self._engine.score_some(terms, weights, doc_ids, out)
        return out

    def scores_batch(
        self,
        queries: Sequence[Query],
        *,
        ids: Any = None,
        out: NDArray[Any] | None = None,
        n_threads: int | None = None,
    ) -> NDArray[Any]:
        """Score all documents, or those of `ids`, for each of many queries: shape [len(queries), n_docs or len(ids)].

        Parameters are those of `scores`; the queries are shared out among the threads.
        """
        n_threads = check_n_threads(n_threads)
        offsets, terms, weights = self._reader.batch(queries)
        doc_ids = None if ids is None else self._keys.doc_ids(ids)
        shape = (len(offsets) - 1, self._n_docs if doc_ids is None else len(doc_ids))
        out = self._output(out, shape, doc_ids)
        if doc_ids is None:
            self._engine.score_batch(offsets, terms, weights, out, n_threads)
        else:
            for row, (begin, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
                self._engine.score_some(terms[begin:end], weights[begin:end], doc_ids, out[row])
        return out

    def _output(
        self, out: NDArray[Any] | None, shape: tuple[int, ...], doc_ids: NDArray[np.int64] | None
    ) -> NDArray[Any]:
        if out is None:
            return np.empty(shape, dtype=self._scoring.dtype)
        inputs = () if doc_ids is None else (doc_ids,)
        return check_out(out, "out", shape=shape, dtype=np.dtype(self._scoring.dtype), inputs=inputs)

    def explain(self, query: Query, id: Id) -> Explanation:
        """Take the score of one document apart.

        Parameters
        ----------
        query : str, sequence of str, or mapping of str to float
            As in `search`.
        id : str or int
            The document; `KeyError` if there is none of that id.

        Returns
        -------
        Explanation
            Its `score` is the one that `search` gives; its terms' contributions add up to it.
        """
        doc_id = self._keys.doc_id(id)
        return explain(self._engine, self._scoring, self._reader, query, self._keys.key(doc_id), doc_id)

    def keywords(
        self, id: Id, n: int = 10, *, min_df: int | float = 1, max_df: int | float = 1.0
    ) -> list[tuple[str, float]]:
        """Return the n terms of a document with the largest tf * idf, best first.

        Parameters
        ----------
        id : str or int
            The document; `KeyError` if there is none of that id.
        n : int, >= 1
            How many at most.
        min_df, max_df : int or float
            Only terms that so many documents contain: an int counts them, a float from 0 to 1 is their share.

        Returns
        -------
        list of (str, float)
            Words in their most frequent unstemmed form, and tf * idf with the idf of "lucene", whatever the variant.
            Equal values are ordered by the term's UTF-8 bytes.
        """
        doc_id = self._keys.doc_id(id)
        n = check_scalar_int(n, "n", minimum=1, maximum=2**63 - 1)
        bounds = self._df_bound(min_df, "min_df"), self._df_bound(max_df, "max_df")
        terms, scores = self._engine.keywords(doc_id, n, *bounds)
        word = self._engine.term if self._parts.forms is None else self._parts.forms.get
        return [(word(term), score) for term, score in zip(terms.tolist(), scores.tolist(), strict=True)]

    def related(
        self,
        id: Any,
        k: int = 10,
        *,
        mode: str = "keywords",
        n_keywords: int = 10,
        min_df: int | float = 2,
        n_threads: int | None = None,
    ) -> Hits:
        """Find the documents most like a given one, which itself is left out.

        Parameters
        ----------
        id : str or int, or a sequence of them
            The document, or many; `KeyError` if there is none of that id.
        k : int, >= 1
            How many at most.
        mode : "keywords" or "full"
            The query is the document's `n_keywords` best keywords, each with weight 1; or all its terms with their
            counts.
        n_keywords : int, >= 1
            How many keywords.
        min_df : int or float
            Only keywords that so many documents contain (an int counts them, a float is their share): a term that no
            other document has finds none.
        n_threads : int, optional
            For many documents; None: all CPUs that this process may use.

        Returns
        -------
        Hits
            1-D for one id, 2-D for many. Identical copies of the document are found.
        """
        k = check_k(k)
        full = check_choice(mode, "mode", ("keywords", "full")) == "full"
        n_keywords = check_scalar_int(n_keywords, "n_keywords", minimum=1, maximum=2**63 - 1)
        bounds = self._df_bound(min_df, "min_df"), float(self._n_docs)
        n_threads = check_n_threads(n_threads)
        single = self._keys.is_single(id)
        wanted = np.array([self._keys.doc_id(id)], dtype=np.int64) if single else self._keys.doc_ids(id, "id")
        if single:
            k = min(k, self._n_docs)
        _check_room(len(wanted), k)
        doc_ids, scores, n_hits = self._engine.related(wanted, k, full, n_keywords, *bounds, self._k3, n_threads)
        hits = Hits(doc_ids, scores, self._keys, n_hits)
        return hits[0] if single else hits

    def _df_bound(self, value: object, name: str) -> float:
        """A number of documents, from a count or a share."""
        if isinstance(value, float | np.floating):
            return check_scalar_float(value, name, minimum=0.0, maximum=1.0) * self._n_docs
        return float(check_scalar_int(value, name, minimum=1, maximum=2**53))

    def highlight(
        self,
        query: Query,
        text: str | None = None,
        *,
        id: Id | None = None,
        pre: str = "<mark>",
        post: str = "</mark>",
        escape: bool = True,
        max_chars: int | None = None,
    ) -> str:
        """Mark the words of a text whose terms the query holds.

        Parameters
        ----------
        query : str, sequence of str, or mapping of str to float
            As in `search`.
        text : str
            The text; or else
        id : str or int
            the document whose stored text is taken (``store=True`` when the index was built).
        pre, post : str
            What is put around a word.
        escape : bool
            HTML-escape the text.
        max_chars : int, optional
            Only the window of that many characters with the most distinct query terms, then the largest sum of idf,
            then the earliest.

        Examples
        --------
        >>> import likewise as lw
        >>> ix = lw.search.Index.build(["Wings & flows"], store=True)
        >>> ix.highlight("winged flow", id=0)
        '<mark>Wings</mark> &amp; <mark>flows</mark>'
        """
        if (text is None) == (id is None):
            raise TypeError(f"text: expected either a text or an id, got {'both' if text is not None else 'neither'}")
        if self._analyzer is None:
            raise ValueError(
                "text: expected an index that has its analyzer, got one built with analyzer=None, or opened without "
                "its tokenizer"
            )
        self._reader.arrays(query)  # refuses what is no query
        tokens = list(dict.fromkeys(query if isinstance(query, Mapping) else self._reader.tokens(query)))
        numbers = self._engine.find_terms(tokens).tolist()
        idf = {t: 0.0 if n == UNKNOWN else self._engine.idf(n) for t, n in zip(tokens, numbers, strict=True)}
        return highlight(
            self._stored_text(id) if text is None else check_text(text, "text"),
            idf,
            self._analyzer,
            pre=check_text(pre, "pre"),
            post=check_text(post, "post"),
            escape=check_bool(escape, "escape"),
            max_chars=None if max_chars is None else check_scalar_int(max_chars, "max_chars", minimum=1),
        )

    def _stored_text(self, id: object) -> str:
        doc_id = self._keys.doc_id(id)
        if self._parts.texts is None:
            raise ValueError("id: expected an index that stores its texts, got one built with store=False [pass text]")
        return self._parts.texts.get(doc_id)


def _check_room(n_queries: int, k: int) -> None:
    """A batch has k places for each query, filled or not; numpy's own error would not say what is too large."""
    if n_queries * k > 2**58:
        raise ValueError(f"k: expected an array of {n_queries} x k results that fits the memory, got {k}")


def _open_analyzer(params: Any, tokenizer: Callable[[str], Iterable[Any]] | None) -> Analyzer | str | None:
    """The analyzer that a file describes, or the name of the tokenizer that it needs and nobody handed in."""
    if params is None:
        return None
    named = _tokenizer_name(params)
    return named if named is not None and tokenizer is None else Analyzer.from_params(params, tokenizer=tokenizer)


def _tokenizer_name(params: Any) -> str | None:
    name = params.get("tokenizer") if isinstance(params, Mapping) else None
    return None if name is None else str(name)
