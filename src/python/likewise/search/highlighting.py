"""Marks the words of a query in a text."""

from __future__ import annotations

from collections.abc import Mapping

from .analyzer import Analyzer

Span = tuple[str, int, int]


def highlight(
    text: str,
    terms_idf: Mapping[str, float],
    analyzer: Analyzer,
    *,
    pre: str = "<mark>",
    post: str = "</mark>",
    escape: bool = True,
    max_chars: int | None = None,
) -> str:
    """The text, or its best window, with every token that is a query term between `pre` and `post`.

    Parameters
    ----------
    text : str
        What is shown.
    terms_idf : mapping of str to float
        The query's terms (stems) and what each is worth.
    analyzer : Analyzer
        The one of the index. Tokens that overlap, such as bigrams of Chinese, are marked as one.
    pre, post : str
        Inserted as they are.
    escape : bool
        Whether ``&``, ``<``, ``>`` and quotes of the text are replaced for HTML.
    max_chars : int, optional
        At most so many characters of the text: the window with the most distinct query terms, then the largest sum of
        their idf, then the earliest. It is widened around its words as far as it goes, and cut between words.

    Returns
    -------
    str
    """
    import html  # here: it loads the table of all named characters

    spans = analyzer.spans(text)
    found = [span for span in spans if span[0] in terms_idf]
    start, end = 0, len(text)
    if max_chars is not None and len(text) > max_chars:
        start, end = _window(text, spans, found, terms_idf, max_chars)
    shown = html.escape if escape else str
    parts, at = [], start
    for first, last in _merged([(s, e) for _, s, e in found if s >= start and e <= end]):
        parts += [shown(text[at:first]), pre, shown(text[first:last]), post]
        at = last
    return "".join([*parts, shown(text[at:end])])


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges, those that overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def _window(
    text: str, spans: list[Span], found: list[Span], terms_idf: Mapping[str, float], max_chars: int
) -> tuple[int, int]:
    """The start and end of the best window. Some best window begins with a query term: those are tried, in one pass."""
    best_value, best = (0, 0.0), (0, 0)
    counts: dict[str, int] = {}
    last = 0
    for first, (term, start, _) in enumerate(found):
        while last < len(found) and found[last][2] <= start + max_chars:
            counts[found[last][0]] = counts.get(found[last][0], 0) + 1
            last += 1
        # Summed anew, so that equal windows have equal sums; queries have few terms.
        value = (len(counts), sum(terms_idf[t] for t in sorted(counts)))
        if last > first and value > best_value:
            best_value, best = value, (start, found[last - 1][2])
        if last > first:
            counts[term] -= 1
            if counts[term] == 0:
                del counts[term]
        else:
            last = first + 1  # a token longer than the window
    start, end = best
    spare = max_chars - (end - start)
    start = max(0, min(start - spare // 2, len(text) - max_chars))
    limit = start + max_chars
    # Cut between words: never through one that is not marked either, unless nothing else is left.
    inner = [(s, e) for _, s, e in spans if s < limit and e > start]
    first_whole = min((s for s, _ in inner if s >= start), default=start)
    last_whole = max((e for _, e in inner if e <= limit), default=limit)
    if any(s < start < e for s, e in inner) and first_whole <= best[0]:
        start = first_whole
    if any(s < limit < e for s, e in inner) and last_whole >= best[1]:
        limit = last_whole
    return start, min(limit, len(text))
