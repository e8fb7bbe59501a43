"""What an index is made of: its arrays, and the checked objects over them that answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from .. import _core
from ..errors import CorruptFileError
from .keys import IntegerKeys, Keys, StringKeys
from .scoring import Scoring

Arrays = dict[str, NDArray[Any]]

_KEY_ARRAYS = {"none": (), "int": ("key_values", "key_slots"), "str": ("key_offsets", "key_bytes", "key_slots")}
_NOT_OF_THE_CORE = ("key_", "form_", "text_")


@dataclass(frozen=True, slots=True)
class Parts:
    """The core's index, the documents' keys, and what is optional: display forms of the terms, stored texts."""

    arrays: Arrays
    core: _core.search.Index
    keys: Keys
    forms: _core.search.StringList | None
    texts: _core.search.StringList | None

    @classmethod
    def make(
        cls,
        arrays: Arrays,
        keys: Keys,
        scoring: Scoring,
        *,
        full: bool,
        n_tokens: int | None = None,
        before_block: Callable[[int, int], object] | None = None,
    ) -> Parts:
        """Check the arrays of a new index. `keys` adds its own to them.

        `n_tokens`, where it is given, is believed until the full check, so that opening need not read all lengths.
        `before_block` is called with each range of postings before it is checked.
        """
        core = _core.search.Index.validate(
            arrays, **scoring.core_parameters, full=full, n_tokens=n_tokens, before_block=before_block
        )
        forms, texts = (_strings(arrays, name, n) for name, n in (("form", core.n_terms), ("text", core.n_docs)))
        return cls({**arrays, **keys.arrays()}, core, keys, forms, texts)

    @classmethod
    def from_stored(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        key_kind: object,
        scoring: Scoring,
        *,
        full: bool,
        n_tokens: int | None = None,
        before_block: Callable[[int, int], object] | None = None,
        path: str = "<memory>",
    ) -> Parts:
        """Check arrays that came from a file, which has them all and of the right types; `path` is for errors.

        Raises the core's `CorruptError` where they break the rules.
        """
        names = _KEY_ARRAYS.get(key_kind) if isinstance(key_kind, str) else None
        if names is None or [name for name in arrays if name.startswith("key_")] != sorted(names):
            raise corrupt("parameters", f"expected the key_kind that fits the arrays, found {key_kind!r}")
        keys: Keys
        if key_kind == "none":
            keys = Keys(len(arrays["document_lengths"]))
        elif key_kind == "int":
            keys = IntegerKeys(*(arrays[name] for name in names))
        else:
            keys = StringKeys(*(arrays[name] for name in names), path=path)
        parts = cls.make(dict(arrays), keys, scoring, full=full, n_tokens=n_tokens, before_block=before_block)
        if full:
            parts._check_strings()
            return parts
        # What nobody has looked at yet is checked when it is first used: the error then has to know the file.
        objects = {name: getattr(parts, name) for name in ("core", "forms", "texts")}
        guarded: dict[str, Any] = {name: _Guard(part, path) for name, part in objects.items() if part is not None}
        return replace(parts, **guarded)

    def check(self) -> None:
        """Check all content. Raises the core's `CorruptError` where it breaks the rules."""
        self.core.check()
        self._check_strings()

    def _check_strings(self) -> None:
        self.keys.check()
        for strings in (self.forms, self.texts):
            if strings is not None:
                strings.check()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays and of what searches derive from them."""
        others = (array for name, array in self.arrays.items() if name.startswith(_NOT_OF_THE_CORE))
        return self.core.nbytes + sum(array.nbytes for array in others)


class _Guard:
    """Stands for an object of the core over unchecked content of a file: damage is an error that names the file."""

    __slots__ = ("_path", "_target")

    def __init__(self, target: object, path: str) -> None:
        self._target, self._path = target, path

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return value(*args, **kwargs)
            except _core.CorruptError as error:
                raise CorruptFileError(self._path, error.array, error.reason) from None

        return call


def corrupt(array: str, reason: str) -> _core.CorruptError:
    """The core's own error, for what the core does not see."""
    error = _core.CorruptError(f"{array}: {reason}")
    error.array, error.reason = array, reason
    return error


def _strings(arrays: Mapping[str, NDArray[Any]], name: str, size: int) -> _core.search.StringList | None:
    """The optional strings of this name."""
    offsets, bytes_ = arrays.get(f"{name}_offsets"), arrays.get(f"{name}_bytes")
    return None if offsets is None or bytes_ is None else _core.search.StringList(offsets, bytes_, size, name)
