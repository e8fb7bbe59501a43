"""Words that say little: the list that is shipped, and the check of others."""

from __future__ import annotations

from collections.abc import Iterable

from .._validation import check_text
from .forms import forms_of

ENGLISH_STOPWORDS = (
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
)  # fmt: skip
"""Lucene's list, which is also bm25s's."""


def check_stopwords(stopwords: object, language: str | None, lowercase: bool) -> tuple[str, ...]:
    """The forms of the stop words that an analyzer is asked to drop, sorted. Raises `TypeError` or `ValueError`."""
    if stopwords is None or stopwords is False or (language is None and stopwords is True):
        return ()
    if stopwords is True or isinstance(stopwords, str):
        if stopwords is True and language != "english":
            raise ValueError(
                f"stopwords: expected a list or None for language {language!r}, got True [only English stop words are "
                "shipped]"
            )
        if stopwords is not True and stopwords != "english":
            raise ValueError(f"stopwords: expected True, 'english', an iterable of str or None, got {stopwords!r}")
        stopwords = ENGLISH_STOPWORDS
    if not isinstance(stopwords, Iterable) or isinstance(stopwords, bytes):
        raise TypeError(
            f"stopwords: expected True, 'english', an iterable of str or None, got {type(stopwords).__name__}"
        )
    words: list[str] = list(stopwords)
    for i, word in enumerate(words):
        if not isinstance(word, str):
            raise TypeError(f"stopwords: expected str, got {type(word).__name__} at position {i}")
        check_text(word, f"stopwords[{i}]")
    return tuple(sorted(set(forms_of(words, lowercase=lowercase))))
