"""Snowball stems, by PyStemmer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

_MOST_CACHED = 1 << 18


class Stems:
    """Snowball stems of one language, each distinct form once. Safe to share between threads."""

    def __init__(self, language: str) -> None:
        import Stemmer

        # PyStemmer's own cache would keep every form a second time. A stemmer is not safe in two threads at once.
        self._stemmer = Stemmer.Stemmer(language, 0)
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def all(self, forms: list[str]) -> list[str]:
        """The stem of each form, not remembered."""
        with self._lock:
            return list(self._stemmer.stemWords(forms))

    def cached(self, forms: list[str]) -> list[str]:
        """The stem of each form, remembered: for the few words of a query."""
        known = self._known
        try:
            return [known[form] for form in forms]
        except KeyError:
            stems = self.all(forms)
            if len(known) + len(forms) > _MOST_CACHED:
                known = self._known = {}
            known.update(zip(forms, stems, strict=True))
            return stems


@lru_cache(maxsize=64)
def stems(language: str) -> Stems:
    """The stems of a language, one object for the process."""
    return Stems(language)


def stemmer_version() -> str:
    """The version of PyStemmer: other releases of Snowball may stem a few words differently."""
    import Stemmer

    version: Callable[[], str] | str | None = getattr(Stemmer, "__version__", None) or getattr(Stemmer, "version", None)
    return str(version() if callable(version) else version)
