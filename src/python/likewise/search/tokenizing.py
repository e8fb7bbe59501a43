"""Tokenizers that the user brings: how they are called, and what they may give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

Tokenizer = Callable[[str], Iterable[Any]]
Span = tuple[str, int, int]


def called(tokenizer: Tokenizer, text: str) -> Iterator[str | Span]:
    """What a tokenizer gives for a text, checked."""
    given = tokenizer(text)
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise TypeError(f"tokenizer: expected an iterable of tokens, got {type(given).__name__}")
    earlier = 0
    for i, token in enumerate(given):
        if isinstance(token, str):
            yield token
            continue
        if not isinstance(token, tuple) or len(token) != 3 or not isinstance(token[0], str):
            raise TypeError(f"tokenizer: expected str or (str, start, end), got {type(token).__name__} at token {i}")
        start, end = token[1:]
        for bound in (start, end):
            if isinstance(bound, bool) or not isinstance(bound, (int, np.integer)):
                raise TypeError(f"tokenizer: expected int spans, got {type(bound).__name__} at token {i}")
        if not earlier <= start <= end <= len(text):
            raise ValueError(
                f"tokenizer: expected ascending spans within the {len(text)} characters of the text, "
                f"got ({start}, {end}) at token {i}"
            )
        earlier = int(start)
        yield token[0], int(start), int(end)


def name_of(tokenizer: Tokenizer) -> str:
    """The name by which a file knows a tokenizer."""
    kind = tokenizer if hasattr(tokenizer, "__qualname__") else type(tokenizer)
    module = getattr(kind, "__module__", None) or "builtins"  # method descriptors such as str.split have none
    return f"{module}.{kind.__qualname__}"
