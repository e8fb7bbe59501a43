"""Marks the words of a query in a text."""

from __future__ import annotations

from collections.abc import Mapping

from .analyzer import Analyzer
from .tokenizing import Span


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

    found = [span for span in analyzer.spans(text) if span[0] in terms_idf]
    start, end = 0, len(text)
    if max_chars is not None and len(text) > max_chars:
        start, end = _window(text, found, terms_idf, max_chars, analyzer)
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
    text: str, found: list[Span], terms_idf: Mapping[str, float], max_chars: int, analyzer: Analyzer
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
    return _between_words(text, start, max_chars, best, analyzer)


def _between_words(text: str, start: int, max_chars: int, kept: tuple[int, int], analyzer: Analyzer) -> tuple[int, int]:
    """The window from `start` on without the parts of words at its ends, words that analysis drops included.

    `kept` stays in it. Where words overlap, as bigrams of Chinese do, each one's ends are places to cut. A window that
    would hold nothing but a part of a word is cut where it ends.
    """
    stop = min(len(text), kept[0] + max_chars)  # the window may move to the right by what it loses on the left
    through_word = bytearray(stop - start + 1)  # whether a cut before this character goes through a word
    borders = [0] if start == 0 else []
    borders += [stop - start] if stop == len(text) else []
    for first, last in analyzer.words(text):
        if first < stop and last > start:
            low, high = max(first + 1, start), min(last - 1, stop)
            if low <= high:
                through_word[low - start : high + 1 - start] = b"\1" * (high + 1 - low)
            borders += [border - start for border in (first, last) if start <= border <= stop]
    for border in borders:
        through_word[border] = 0
    left = start
    while left < kept[0] and (through_word[left - start] or (start > 0 and text[left].isspace())):
        left += 1
    end = right = min(left + max_chars, len(text))
    while right > max(left, kept[1]) and (
        through_word[right - start] or (end < len(text) and text[right - 1].isspace())
    ):
        right -= 1
    return (left, right) if text[left:right].strip() else (start, start + max_chars)
