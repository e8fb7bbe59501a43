"""Why a document has its score: the formula term by term."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .. import _core
from .keys import Id
from .queries import QueryReader
from .scoring import Scoring


@dataclass(frozen=True, slots=True)
class TermExplanation:
    """What one distinct query term gives to a document's score, in float64.

    Attributes
    ----------
    term : str
        The term as it is indexed, i.e. stemmed.
    qtf : int or None
        How often the query holds it; None where the query gave weights.
    weight : float
        w_t: made of qtf by the index's k3, or given by the query.
    n_t : int
        Documents that contain it.
    idf : float
        Its inverse document frequency under the index's variant.
    tf : int
        How often the document contains it.
    dl : int
        The document's number of tokens.
    avgdl : float
        The mean of dl over all documents.
    L : float
        1 - b + b dl / avgdl.
    f : float
        f(tf, L) of the variant.
    contribution : float
        weight * idf * f.
    """

    term: str
    qtf: int | None
    weight: float
    n_t: int
    idf: float
    tf: int
    dl: int
    avgdl: float
    L: float
    f: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A document's score for a query, taken apart; `str()` gives a readable table.

    Attributes
    ----------
    id : str or int
        The document.
    doc_id : int
        Its number.
    score : float
        The canonical score: the very value that `search` and `scores` return.
    terms : tuple of TermExplanation
        The query's distinct terms that the index knows, in order of first occurrence.
    rounding : float
        score - sum of the contributions: what the rounding of the index's dtype makes of the float64 formula, at most
        1e-6 of the score. So ``sum(t.contribution for t in terms) + rounding`` is the score.
    left_out : tuple of (str, str)
        Words of the query that count for nothing, with the reason: unknown to the index, a stop word, too short or
        too long.

    Examples
    --------
    >>> import likewise as lw
    >>> ix = lw.search.Index.build([list("aba"), list("bc"), list("accd")], analyzer=None)
    >>> print(ix.explain(["a", "d", "x"], 2))
    document 2: score 0.580333
    term  qtf  weight  n_t       idf  tf  dl  avgdl     L    f  contribution
    a       1       1    2  0.470004   1   4      3  1.25  0.4      0.188001
    d       1       1    1  0.980829   1   4      3  1.25  0.4      0.392332
    left out: 'x' (not in the index)
    """

    id: Id
    doc_id: int
    score: float
    terms: tuple[TermExplanation, ...]
    rounding: float
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"document {self.id!r}: score {self.score:.6g}"]
        if self.terms:
            names = TermExplanation.__slots__
            rows = [names] + [tuple(_cell(getattr(term, name)) for name in names) for term in self.terms]
            widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
            for row in rows:
                cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
                lines.append("  ".join(cells))
        else:
            lines.append("no term of the query is in the index")
        if self.left_out:
            lines.append("left out: " + ", ".join(f"{word!r} ({reason})" for word, reason in self.left_out))
        return "\n".join(lines)


def explain(
    engine: _core.search.Index,
    scoring: Scoring,
    reader: QueryReader,
    query: object,
    id: Id,
    doc_id: int,
) -> Explanation:
    """Explain the score of one document."""
    terms, weights = reader.arrays(query)
    counts = Counter(query if isinstance(query, Mapping) else reader.tokens(query))
    score = np.empty(1, dtype=scoring.dtype)
    engine.score_some(terms, weights, np.array([doc_id], dtype=np.int64), score)
    dl, avgdl = engine.document_length(doc_id), engine.average_length
    length_factor = scoring.length_factor(dl, avgdl)
    explained = []
    for number, weight in zip(terms.tolist(), weights.tolist(), strict=True):
        term, idf, (tf, _) = engine.term(number), engine.idf(number), engine.posting(number, doc_id)
        f = scoring.f(tf, length_factor)
        explained.append(
            TermExplanation(
                term=term,
                qtf=None if isinstance(query, Mapping) else counts[term],
                weight=weight,
                n_t=engine.document_frequency(number),
                idf=idf,
                tf=tf,
                dl=dl,
                avgdl=avgdl,
                L=length_factor,
                f=f,
                contribution=weight * idf * f,
            )
        )
    known = {term.term for term in explained}
    unknown = [(token, "not in the index") for token in counts if token not in known]
    rounding = score.item() - math.fsum(term.contribution for term in explained)
    return Explanation(id, doc_id, score.item(), tuple(explained), rounding, (*reader.dropped(query), *unknown))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
