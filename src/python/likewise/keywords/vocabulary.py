"""The words of a model: a list of distinct str, and their ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_texts
from ..errors import CorruptFileError


class Vocabulary:
    """Words in the order of their ids."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(check_texts(words, "vocabulary"))
        if len(self.ids) != len(self.words):
            seen: set[str] = set()
            position = next(i for i, word in enumerate(self.words) if word in seen or seen.add(word))  # type: ignore[func-returns-value]
            raise ValueError(
                f"vocabulary: expected distinct words, got {self.words[position]!r} again at index {position}"
            )

    @cached_property
    def ids(self) -> dict[str, int]:
        return dict(zip(self.words, range(len(self.words)), strict=True))

    def __len__(self) -> int:
        return len(self.words)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        encoded = [word.encode() for word in self.words]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=ends[1:])
        return {"vocabulary": np.frombuffer(b"".join(encoded), np.uint8), "vocabulary_ptr": ends}


class StoredVocabulary(Vocabulary):
    """Words in a file: decoded when the first is asked for."""

    def __init__(self, container: Any) -> None:
        self._path: str = container.path
        self._text = _array(container, "vocabulary", np.uint8)
        self._ends = _array(container, "vocabulary_ptr", np.int64)
        ends = self._ends
        if len(ends) < 2 or ends[0] != 0 or ends[-1] != len(self._text) or (np.diff(ends) < 0).any():
            raise CorruptFileError(
                self._path, "vocabulary_ptr", "expected offsets that ascend from 0 to the text's end"
            )

    def __len__(self) -> int:
        return len(self._ends) - 1

    @cached_property
    def words(self) -> tuple[str, ...]:  # type: ignore[override]
        data, ends = self._text.tobytes(), self._ends.tolist()
        try:
            words = tuple(data[a:b].decode() for a, b in pairwise(ends))
        except UnicodeDecodeError as error:
            raise CorruptFileError(self._path, "vocabulary", f"expected UTF-8: {error}") from None
        if len(set(words)) != len(words):
            raise CorruptFileError(self._path, "vocabulary", "expected distinct words")
        return words


def _array(container: Any, name: str, dtype: Any) -> NDArray[Any]:
    found = container.arrays.get(name)
    if found is None or found.dtype != dtype or found.ndim != 1:
        raise CorruptFileError(container.path, name, f"expected a 1-D array of {np.dtype(dtype)}")
    return found  # type: ignore[no-any-return]
