"""Distances of documents: Word Mover's Distance, and what bounds it from below."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from .._validation import check_bool, check_choice
from .word_vectors import Bag, bags_of


def word_movers_distance(
    doc_a: Any, doc_b: Any, vectors: Any, *, normalize_vectors: bool = True, on_empty: str = "raise"
) -> float:
    """The least total distance that the words of one document travel to become the other (Kusner et al. 2015).

    Exact optimal transport between the two bags of words, each of total weight 1, where moving a word costs the
    Euclidean distance of the two vectors: ``min sum_ij P_ij |x_i - y_j|`` over plans with the words' frequencies as
    row and column sums.

    Parameters
    ----------
    doc_a, doc_b : str, sequence of str, or (ids, counts)
        A text (its tokens are those of ``search.Analyzer(stopwords=None, stem=False)``), tokens, or rows of the vectors
        with a number >= 0 for each. Tokens without a vector are dropped.
    vectors : WordVectors, dict of str to array, (array, vocabulary), or array of shape (n_words, n_features)
        float32 or float64. For many documents make a `WordVectors` once: anything else is looked at in every call. Of a
        gensim model: ``likewise.integrations.gensim.word_vectors(model.wv)``.
    normalize_vectors : bool, default True
        Bring each vector to length one first. False: take them as they are.
    on_empty : {"raise", "inf"}, default "raise"
        What a document without known words leads to: `ValueError`, or infinity (gensim's answer).

    Returns
    -------
    float
        Of vectors in float32 the single distances are float32, their sum is float64.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: an empty document, a NaN in a vector, a vector of zeros where it is to be normalised (with
        its word), ids that are no rows.

    See Also
    --------
    WMDIndex : the nearest of many documents, without computing all distances.

    Notes
    -----
    The network simplex takes O(n m) memory and, for usual documents, time that grows little faster than n m. Words that
    stand in both documents stay where they are, as far as their weights allow: Euclidean distances make that free.
    float32 distances are within 1e-6 of the largest one.

    References
    ----------
    M. Kusner, Y. Sun, N. Kolkin, K. Weinberger. From word embeddings to document distances. ICML 2015.

    Examples
    --------
    >>> from likewise.transport import word_movers_distance
    >>> vectors = {"king": [1.0, 0.1], "queen": [0.9, 0.3], "cabbage": [-0.2, 1.0]}
    >>> near = word_movers_distance("a king", "the queen", vectors)
    >>> far = word_movers_distance("a king", "one cabbage", vectors)
    >>> round(near, 4), round(far, 4)
    (0.2216, 1.4816)
    """
    return _distance("word_movers", doc_a, doc_b, vectors, normalize_vectors, on_empty)


def relaxed_wmd(
    doc_a: Any, doc_b: Any, vectors: Any, *, normalize_vectors: bool = True, on_empty: str = "raise"
) -> float:
    """A lower bound of Word Mover's Distance: every word goes to the nearest word of the other document.

    The larger of the two costs, from `doc_a` to `doc_b` and back, each of which drops one side's constraint (Kusner et
    al. 2015, RWMD). O(n m) time.

    Parameters
    ----------
    doc_a, doc_b, vectors, normalize_vectors, on_empty
        As of `word_movers_distance`.

    Returns
    -------
    float
        At most the Word Mover's Distance.

    Examples
    --------
    >>> from likewise.transport import relaxed_wmd
    >>> vectors = {"a": [0.0, 0.0], "b": [3.0, 4.0], "c": [0.0, 1.0], "d": [6.0, 8.0]}
    >>> relaxed_wmd(["a", "a", "b"], ["c", "d"], vectors, normalize_vectors=False)
    3.0
    """
    return _distance("relaxed", doc_a, doc_b, vectors, normalize_vectors, on_empty)


def word_centroid_distance(
    doc_a: Any, doc_b: Any, vectors: Any, *, normalize_vectors: bool = True, on_empty: str = "raise"
) -> float:
    """A lower bound of Word Mover's Distance: the Euclidean distance of the two documents' mean vectors.

    Means are weighted by the words' frequencies (Kusner et al. 2015, WCD). O((n + m) d) time. Neither this bound nor
    `relaxed_wmd` is always the larger one.

    Parameters
    ----------
    doc_a, doc_b, vectors, normalize_vectors, on_empty
        As of `word_movers_distance`.

    Returns
    -------
    float
        At most the Word Mover's Distance.

    Examples
    --------
    >>> from likewise.transport import word_centroid_distance
    >>> vectors = {"a": [0.0, 0.0], "b": [3.0, 4.0], "c": [0.0, 1.0], "d": [6.0, 8.0]}
    >>> round(word_centroid_distance(["a", "a", "b"], ["c", "d"], vectors, normalize_vectors=False), 6)
    3.745368
    """
    return _distance("centroid", doc_a, doc_b, vectors, normalize_vectors, on_empty)


def _distance(kind: str, doc_a: Any, doc_b: Any, vectors: Any, normalize_vectors: Any, on_empty: Any) -> float:
    normalize = check_bool(normalize_vectors, "normalize_vectors")
    on_empty = check_choice(on_empty, "on_empty", ("raise", "inf"))
    table, (a, b) = bags_of(vectors, {"doc_a": doc_a, "doc_b": doc_b})
    if a.is_empty or b.is_empty:
        if on_empty == "inf":
            return math.inf
        refuse_empty(a, "doc_a", " [on_empty='inf' gives infinity]")
        refuse_empty(b, "doc_b", " [on_empty='inf' gives infinity]")
    try:
        return _core.transport.document_distance(kind, table.vectors, a.words, a.counts, b.words, b.counts, normalize)
    except ValueError:
        if normalize:  # the core knows the row, not the word
            table.refuse_zero(a.words)
            table.refuse_zero(b.words)
        raise


def refuse_empty(bag: Bag, name: str, hint: str = "") -> None:
    """Raise for a document without known words."""
    if bag.is_empty:
        found = f"{bag.n_unknown} unknown ones" if bag.n_unknown else "an empty document"
        raise ValueError(f"{name}: expected at least one word with a vector, got {found}{hint}")
