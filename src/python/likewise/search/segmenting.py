"""Words of scripts without spaces, by a segmenter: jieba for Chinese."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any


class JiebaWords:
    """Words with their spans, Han cut by jieba."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._tokenize = _load_jieba()

    def __call__(self, text: str) -> list[tuple[str, int, int]]:
        words = []
        for start, end, han in self._core.pieces(text):
            if han:
                words += [(word, start + s, start + e) for word, s, e in self._tokenize(text[start:end])]
            else:
                words.append((text[start:end], start, end))
        return words


@lru_cache(maxsize=1)
def _load_jieba() -> Callable[[str], Iterable[tuple[str, int, int]]]:
    import logging

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in its source, pkg_resources
            import jieba
    except ImportError as error:
        raise ImportError("cjk='jieba' needs jieba; pip install 'likewise[jieba]'") from error
    level = jieba.default_logger.level
    jieba.default_logger.setLevel(logging.WARNING)  # it tells how long loading took, on stderr
    try:
        jieba.initialize()
    finally:
        jieba.default_logger.setLevel(level)
    tokenize: Callable[[str], Iterable[tuple[str, int, int]]] = jieba.tokenize
    return tokenize
