"""What is asked of an index: the best documents, scores, and why they are what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import (
    check_bool,
    check_choice,
    check_k,
    check_n_threads,
    check_out,
    check_scalar_float,
    check_scalar_int,
    check_text,
)
from .contents import Contents
from .explanation import Explanation, explain
from .highlighting import highlight
from .hits import Hits
from .keys import Id
from .queries import UNKNOWN, Query

_METHODS = ("auto", "exhaustive")


class Searching(Contents):
    """Base of `Index`: its searches."""

    __slots__ = ()

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
            self._engine.score_some_batch(offsets, terms, weights, doc_ids, out, n_threads)
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
