"""Exceptions and warnings that likewise raises beside Python's own."""

from __future__ import annotations

from typing import Any

from ._core import InternalError

__all__ = [
    "ConvergenceError",
    "ConvergenceWarning",
    "CorruptFileError",
    "IndexLockedError",
    "InternalError",
    "NotFittedError",
    "NotSimilarError",
    "RankDeficiencyWarning",
    "RecoveredIndexWarning",
    "UndecidedError",
    "UnsupportedFormatError",
]


class CorruptFileError(ValueError):
    """A file breaks the rules of its format: it is damaged, cut short, or was made to mislead.

    Attributes
    ----------
    path : str
        The file, or ``"<bytes>"`` for content that came from memory.
    array : str or None
        The array (or ``"header"``, ``"manifest"``, ...) that is wrong.
    reason : str
        What was expected, and what was found.
    offset : int or None
        Position in the file, in bytes, where it is known.

    Examples
    --------
    >>> from likewise.errors import CorruptFileError
    >>> print(CorruptFileError("papers.lw", "term_bytes", "expected UTF-8", 4096))
    papers.lw: term_bytes: expected UTF-8 (at byte 4096)
    """

    def __init__(self, path: object, array: str | None, reason: str, offset: int | None = None) -> None:
        self.path = str(path)
        self.array = array
        self.reason = reason
        self.offset = offset
        where = "" if offset is None else f" (at byte {offset})"
        super().__init__(": ".join(part for part in (self.path, array, reason) if part) + where)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.array, self.reason, self.offset)


class ConvergenceError(RuntimeError):
    """An iteration did not reach its tolerance, and the call asked to be told so (``on_failure='raise'``).

    Attributes
    ----------
    result : object
        What had been reached; the same that ``on_failure='warn'`` returns.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        self.result = result
        super().__init__(message)


class ConvergenceWarning(UserWarning):
    """An iteration did not reach its tolerance; the result says how far it came."""


class UnsupportedFormatError(ValueError):
    """A file is not one of likewise's, or was written by a version that this one does not read.

    Attributes
    ----------
    path : str
        The file.
    found : str
        The format, version, kind or required feature that was found.
    supported : str
        What this build reads.
    """

    def __init__(self, path: object, found: str, supported: str) -> None:
        self.path = str(path)
        self.found = found
        self.supported = supported
        super().__init__(f"{self.path}: expected {supported}, got {found}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.found, self.supported)


class IndexLockedError(OSError):
    """Another writer holds the lock of an index directory."""


class RecoveredIndexWarning(UserWarning):
    """An older generation of an index was opened because the newest one is damaged."""


class RankDeficiencyWarning(UserWarning):
    """Data span fewer directions than there are columns, so that a whitening has fewer components than that."""


class NotFittedError(ValueError, AttributeError):
    """An estimator was used before it was fitted."""


class NotSimilarError(ValueError):
    """Two matrices are not similar, so that no transform takes one to the other.

    Attributes
    ----------
    verdict : likewise.matrices.SimilarityVerdict
        The answer, with its reason and certificate.
    """

    def __init__(self, message: str, verdict: Any = None) -> None:
        self.verdict = verdict
        super().__init__(message)


class UndecidedError(ValueError):
    """Whether two float matrices are similar could not be decided, and the answer was used as yes or no.

    Attributes
    ----------
    verdict : likewise.matrices.SimilarityVerdict
        What was found.
    """

    def __init__(self, message: str, verdict: Any = None) -> None:
        self.verdict = verdict
        super().__init__(message)
