"""From text to tokens: words, their forms, stop words, stems."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .. import _core
from .._validation import check_text
from .forms import NO_LIMIT, forms_of
from .segmenting import JiebaWords
from .stemming import Stems, stemmer_version, stems
from .stopwords import check_stopwords
from .token_batch import TokenBatch
from .tokenizing import Span, Tokenizer, called, name_of

_CJK = {"bigram": "bigram", "unigram+bigram": "unigram+bigram", "jieba": "segmenter", None: "whole"}


class Analyzer:
    """Turns a text into the tokens that an index counts.

    The steps, in this order: words (runs of letters, numbers and their marks); scripts that are written without
    spaces are cut into overlapping pairs of characters; each word's form (soft hyphens and joiners removed,
    NFKC, case folding); words too short, too long, or in the stop list are dropped; what remains is stemmed.

    Parameters
    ----------
    language : str or None, default "english"
        A language that Snowball stems (``Stemmer.algorithms()``). None: no stemming and no stop words.
    stopwords : bool, "english", iterable of str, or None, default True
        True: the list of `language`, of which only English is shipped. An iterable is normalised as tokens are, but
        not stemmed. None or False: no word is dropped.
    stem : bool, default True
        Whether to stem, by PyStemmer.
    lowercase : bool, default True
        Whether case is folded.
    min_length, max_length : int, default 1 and 64
        Code points of a form; others are dropped. ``max_length=None``: no limit.
    cjk : {"bigram", "unigram+bigram", "jieba", None}, default "bigram"
        How runs of Chinese, Japanese, Korean, Thai and other unspaced characters are cut. "jieba" cuts Han with jieba
        (``pip install 'likewise[jieba]'``) and the other scripts into bigrams; None leaves runs whole.
    tokenizer : callable, optional
        ``str -> iterable of str, or of (str, start, end)`` in place of the first two steps; the others still apply.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter. Stop words of a language without a shipped list: pass a list, or None.

    Notes
    -----
    Immutable, hashable, safe to share between threads, and picklable unless `tokenizer` is not.

    Examples
    --------
    >>> from likewise.search import Analyzer
    >>> Analyzer()("The motions of running wings were studied in 1958")
    ['motion', 'run', 'wing', 'were', 'studi', '1958']
    >>> Analyzer().spans("a  Wing北京大学")
    [('wing', 3, 7), ('北京', 7, 9), ('京大', 8, 10), ('大学', 9, 11)]
    """

    __slots__ = ("_core", "_kind", "_parameters", "_stems", "_words", "is_native")
    _NAMES: ClassVar[tuple[str, ...]] = (
        "language", "stopwords", "stem", "lowercase", "min_length", "max_length", "cjk", "tokenizer",
    )  # fmt: skip
    _core: Any
    _kind: str
    _parameters: dict[str, Any]
    _stems: Stems | None
    _words: Callable[[str], list[Span]] | None
    is_native: bool  # no Python callable finds the words

    def __init__(
        self,
        language: str | None = "english",
        *,
        stopwords: bool | str | Iterable[str] | None = True,
        stem: bool = True,
        lowercase: bool = True,
        min_length: int = 1,
        max_length: int | None = 64,
        cjk: str | None = "bigram",
        tokenizer: Tokenizer | None = None,
    ) -> None:
        _check_language(language)
        for name, flag in (("stem", stem), ("lowercase", lowercase)):
            if not isinstance(flag, (bool, np.bool_)):
                raise TypeError(f"{name}: expected bool, got {type(flag).__name__}")
        minimum = _check_length("min_length", min_length, 1)
        maximum = None if max_length is None else _check_length("max_length", max_length, minimum)
        if (cjk is not None and not isinstance(cjk, str)) or cjk not in _CJK:
            raise ValueError(f"cjk: expected 'bigram', 'unigram+bigram', 'jieba' or None, got {cjk!r}")
        if tokenizer is not None and not callable(tokenizer):
            raise TypeError(f"tokenizer: expected a callable, got {type(tokenizer).__name__}")
        self._build(
            "unicode",
            {
                "language": language,
                "stopwords": check_stopwords(stopwords, language, bool(lowercase)),
                "stem": bool(stem) and language is not None,
                "lowercase": bool(lowercase),
                "min_length": minimum,
                "max_length": maximum,
                "cjk": cjk,
                "tokenizer": tokenizer,
            },
        )

    @classmethod
    def plain(cls) -> Analyzer:
        """The analyzer of the Cranfield experiments: runs of ``[a-z0-9]`` after ASCII lower-casing, nothing else."""
        analyzer = cls.__new__(cls)
        analyzer._build(
            "plain",
            {
                "language": None, "stopwords": (), "stem": False, "lowercase": True, "min_length": 1,
                "max_length": None, "cjk": None, "tokenizer": None,
            },
        )  # fmt: skip
        return analyzer

    @classmethod
    def resolve(cls, spec: Analyzer | str | None) -> Analyzer | None:
        """The analyzer that ``analyzer=`` of an index names: "default", "plain", an Analyzer, or None for tokens."""
        if spec is None or isinstance(spec, Analyzer):
            return spec
        if isinstance(spec, str):
            if spec == "default":
                return _default()
            if spec == "plain":
                return _plain()
            raise ValueError(f"analyzer: expected 'default', 'plain', an Analyzer or None, got {spec!r}")
        raise TypeError(f"analyzer: expected 'default', 'plain', an Analyzer or None, got {type(spec).__name__}")

    def _build(self, kind: str, parameters: dict[str, Any]) -> None:
        set_ = object.__setattr__
        core = _core.search.Analyzer(
            words=kind,
            lowercase=parameters["lowercase"],
            cjk=_CJK[parameters["cjk"]],
            min_length=parameters["min_length"],
            max_length=NO_LIMIT if parameters["max_length"] is None else parameters["max_length"],
            stopwords=list(parameters["stopwords"]),
        )
        set_(self, "_core", core)
        set_(self, "_kind", kind)
        set_(self, "_parameters", parameters)
        set_(self, "_stems", stems(parameters["language"]) if parameters["stem"] else None)
        words: Callable[[str], list[Span]] | None = None
        if parameters["cjk"] == "jieba" and parameters["tokenizer"] is None:
            words = JiebaWords(core)
        set_(self, "_words", words)
        set_(self, "is_native", words is None and parameters["tokenizer"] is None)

    # Tokens.

    def __call__(self, text: str) -> list[str]:
        """The tokens of a text, in order.

        >>> Analyzer.plain()("C++ 3.14")
        ['c', '3', '14']
        """
        return self.query_tokens(text)

    def query_tokens(self, text: str) -> list[str]:
        """The tokens of a text; the stems of words seen before come from a cache."""
        if self.is_native:
            try:
                forms: list[str] = self._core.forms(text)
            except (TypeError, ValueError):
                _check_text(text)  # the core speaks of the text at index 0
                raise
        else:
            forms = [form for form in self._core.normalise(self.surfaces(_check_text(text))) if form is not None]
        return forms if self._stems is None else self._stems.cached(forms)

    def spans(self, text: str) -> list[Span]:
        """Each token with the code points [start, end) of the text that it stands for.

        Raises
        ------
        ValueError
            If a tokenizer gives tokens without spans.
        """
        if self.is_native:
            found: list[Span] = self._core.tokens(_check_text(text))
        else:
            pieces = self._surface_spans(_check_text(text))
            forms = self._core.normalise([surface for surface, _, _ in pieces])
            found = [(form, s, e) for form, (_, s, e) in zip(forms, pieces, strict=True) if form is not None]
        if self._stems is None:
            return found
        stems = self._stems.cached([form for form, _, _ in found])
        return [(stem, start, end) for stem, (_, start, end) in zip(stems, found, strict=True)]

    def batch(self, texts: Any, *, n_threads: int | None = None) -> TokenBatch:
        """The tokens of many texts as numbers.

        Parameters
        ----------
        texts : list of str, array or Arrow strings, or iterable of str
            As the documents of ``Index.build``.
        n_threads : int, optional
            At most so many threads; None: every CPU. The result does not depend on it.

        Returns
        -------
        TokenBatch

        Examples
        --------
        >>> batch = Analyzer().batch(["red wing", "wing of a wing"])
        >>> batch.indptr.tolist(), batch.tokens.tolist(), batch.vocabulary
        ([0, 2, 4], [0, 1, 1, 1], ['red', 'wing'])
        """
        from .building import tokenize  # building uses this module

        return tokenize(texts, self, n_threads=n_threads)

    # What building, highlighting and explaining need.

    def surfaces(self, text: str) -> list[str]:
        """The tokens of the tokenizer callable (or of jieba) before their forms are taken."""
        if self._words is not None:
            return [surface for surface, _, _ in self._words(text)]
        return [token if isinstance(token, str) else token[0] for token in called(self._parameters["tokenizer"], text)]

    def words(self, text: str) -> list[tuple[int, int]]:
        """Where the words of a text are, those included that are dropped later."""
        if self.is_native:
            return [(start, end) for start, end, _ in self._core.pieces(_check_text(text))]
        return [(start, end) for _, start, end in self._surface_spans(_check_text(text))]

    def _surface_spans(self, text: str) -> list[Span]:
        if self._words is not None:
            return self._words(text)
        spans = []
        for i, token in enumerate(called(self._parameters["tokenizer"], text)):
            if isinstance(token, str):
                raise ValueError(
                    f"tokenizer: expected (token, start, end) where spans are needed, got str at token {i}"
                )
            spans.append(token)
        return spans

    def stems_of(self, forms: list[str]) -> list[str] | None:
        """The terms of distinct forms in one call of PyStemmer; None where forms are their own terms."""
        return None if self._stems is None else self._stems.all(forms)

    def reasons(self, text: str) -> list[tuple[str, str | None]]:
        """Each word of a text and why it is dropped: "stop word", "too short", "too long", or None where it stays."""
        if self.is_native:
            words = [text[start:end] for start, end, _ in self._core.pieces(_check_text(text))]
        else:
            words = self.surfaces(_check_text(text))
        forms = self._core.normalise(words)
        full_forms = forms_of(words, lowercase=self._parameters["lowercase"])
        reasons: list[tuple[str, str | None]] = []
        for word, form, full in zip(words, forms, full_forms, strict=True):
            if form is not None:
                reasons.append((word, None))
            elif len(full) < self._parameters["min_length"]:
                reasons.append((word, "too short"))
            elif self.max_length is not None and len(full) > self.max_length:
                reasons.append((word, "too long"))
            else:
                reasons.append((word, "stop word"))
        return reasons

    # Parameters.

    @property
    def language(self) -> str | None:
        """The language of the stemmer, or None."""
        value: str | None = self._parameters["language"]
        return value

    @property
    def stopwords(self) -> tuple[str, ...]:
        """The forms that are dropped, sorted."""
        value: tuple[str, ...] = self._parameters["stopwords"]
        return value

    @property
    def stem(self) -> bool:
        """Whether tokens are stemmed."""
        return bool(self._parameters["stem"])

    @property
    def lowercase(self) -> bool:
        """Whether case is folded."""
        return bool(self._parameters["lowercase"])

    @property
    def min_length(self) -> int:
        """The fewest code points of a token."""
        return int(self._parameters["min_length"])

    @property
    def max_length(self) -> int | None:
        """The most code points of a token; None: no limit."""
        value: int | None = self._parameters["max_length"]
        return value

    @property
    def cjk(self) -> str | None:
        """How unspaced scripts are cut."""
        value: str | None = self._parameters["cjk"]
        return value

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The callable that replaces the first two steps, or None."""
        value: Tokenizer | None = self._parameters["tokenizer"]
        return value

    def to_params(self) -> dict[str, Any]:
        """The parameters as JSON values, with the versions of the Unicode tables and of the stemmer.

        A tokenizer is given by its name only.
        """
        if self._kind == "plain":
            return {"kind": "plain"}
        params = {name: self._parameters[name] for name in self._NAMES}
        params["stopwords"] = list(params["stopwords"])
        params["tokenizer"] = None if self.tokenizer is None else name_of(self.tokenizer)
        params["kind"] = "unicode"
        params["unicode_version"] = _core.search.unicode_version
        params["stemmer_version"] = stemmer_version() if self.stem else None
        return params

    @classmethod
    def from_params(cls, params: Mapping[str, Any], *, tokenizer: Tokenizer | None = None) -> Analyzer:
        """The analyzer that `to_params` described.

        Parameters
        ----------
        params : mapping
            What `to_params` returned.
        tokenizer : callable, optional
            The tokenizer that was named.

        Raises
        ------
        ValueError
            If parameters are missing, unknown or out of range, or a tokenizer was named and none is given.

        Warns
        -----
        RuntimeWarning
            If the stemmer or the Unicode tables have another version now: a few words may differ.
        """
        if not isinstance(params, Mapping):
            raise TypeError(f"params: expected a mapping, got {type(params).__name__}")
        if params.get("kind") == "plain":
            return _plain()
        known = {*cls._NAMES, "kind", "unicode_version", "stemmer_version"}
        if params.get("kind") != "unicode" or set(params) != known:
            raise ValueError(f"params: expected the parameters {sorted(known)}, got {sorted(map(str, params))}")
        if params["tokenizer"] is not None and tokenizer is None:
            raise ValueError(f"tokenizer: expected the callable {params['tokenizer']!r}, got None")
        analyzer = cls(
            params["language"],
            stopwords=None,
            **{name: params[name] for name in ("stem", "lowercase", "min_length", "max_length", "cjk")},
            tokenizer=tokenizer if params["tokenizer"] is not None else None,
        )
        stopwords = params["stopwords"]
        if not isinstance(stopwords, list) or not all(isinstance(word, str) for word in stopwords):
            raise ValueError("params: expected a list of str as stopwords")
        analyzer._build("unicode", {**analyzer._parameters, "stopwords": tuple(sorted(set(stopwords)))})
        for name, now in (
            ("unicode_version", _core.search.unicode_version),
            ("stemmer_version", stemmer_version() if analyzer.stem else None),
        ):
            if params[name] != now:
                warnings.warn(
                    f"the analyzer was saved with {name} {params[name]}, here it is {now}: a few words may be "
                    "analysed differently; rebuild the index to be sure",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return analyzer

    def _key(self) -> tuple[Any, ...]:
        return (self._kind, *(self._parameters[name] for name in self._NAMES))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Analyzer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: an Analyzer is immutable; make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name}: an Analyzer is immutable; make another one")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._kind, self._parameters)

    def __repr__(self) -> str:
        if self._kind == "plain":
            return "Analyzer.plain()"
        defaults, language = dict(_default()._parameters), self.language
        if language is None:
            defaults |= {"stopwords": (), "stem": False}
        elif language != "english":
            defaults["stopwords"] = True  # there is no list that it stands for: always shown
        names = (name for name in self._NAMES if name != "language")
        changed = {name: self._parameters[name] for name in names if self._parameters[name] != defaults[name]}
        if "stopwords" in changed:
            changed["stopwords"] = list(changed["stopwords"]) or None
        arguments = [] if language == "english" else [repr(language)]
        return f"Analyzer({', '.join(arguments + [f'{name}={value!r}' for name, value in changed.items()])})"


@lru_cache(maxsize=1)
def _default() -> Analyzer:
    return Analyzer()


@lru_cache(maxsize=1)
def _plain() -> Analyzer:
    return Analyzer.plain()


def _restore(kind: str, parameters: dict[str, Any]) -> Analyzer:
    analyzer = Analyzer.__new__(Analyzer)
    analyzer._build(kind, parameters)
    return analyzer


def _check_text(text: object) -> str:
    return check_text(text, "text")


def _check_language(language: object) -> None:
    if language is None:
        return
    if not isinstance(language, str):
        raise TypeError(f"language: expected str or None, got {type(language).__name__}")
    import Stemmer

    if language not in Stemmer.algorithms():
        raise ValueError(
            f"language: expected None or one of {', '.join(sorted(Stemmer.algorithms()))}, got {language!r}"
        )


def _check_length(name: str, value: object, least: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected int, got {type(value).__name__}")
    if not least <= value < NO_LIMIT:
        raise ValueError(f"{name}: expected an integer from {least} to {NO_LIMIT - 1}, got {value}")
    return int(value)
