"""The forms of words as the core makes them, with none of them dropped."""

from __future__ import annotations

from .. import _core

NO_LIMIT = 2**32 - 1
"""The core's `max_length` where there is none."""


def forms_of(words: list[str], *, lowercase: bool) -> list[str]:
    """The form of each word, whatever its length."""
    core = _core.search.Analyzer(
        words="unicode", lowercase=lowercase, cjk="whole", min_length=0, max_length=NO_LIMIT, stopwords=[]
    )
    return list(map(str, core.normalise(words)))
