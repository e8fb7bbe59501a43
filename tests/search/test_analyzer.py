"""The analyzer against search.md's own lines, and against the Unicode data of Python and of `regex`."""

from __future__ import annotations

import pickle
import threading
import unicodedata
import warnings

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise import _core
from likewise.search.analyzer import Analyzer
from likewise.search.stopwords import ENGLISH_STOPWORDS

BARE = Analyzer(language=None)
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3021, 0x3029),
    (0x3031, 0x3035), (0x3038, 0x303C), (0x3041, 0x318F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC), (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)  # fmt: skip
WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d\u00ad]*")


def is_unspaced(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in UNSPACED)


def joins(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in "\u200c\u200d"


def cut(word: str) -> list[tuple[int, int, bool]]:
    """Where a word changes between unspaced and other characters."""
    parts: list[tuple[int, int, bool]] = []
    for i, c in enumerate(word):
        joined = bool(parts) and parts[-1][2] and joins(c)
        unspaced = joined or is_unspaced(c)
        if parts and parts[-1][2] == unspaced:
            parts[-1] = (parts[-1][0], i + 1, unspaced)
        else:
            parts.append((i, i + 1, unspaced))
    return parts


def units(part: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for i, c in enumerate(part):
        if found and joins(c):
            found[-1] = (found[-1][0], i + 1)
        else:
            found.append((i, i + 1))
    return found


def form(word: str, lowercase: bool = True) -> str:
    word = unicodedata.normalize("NFKC", regex.sub("[\u200c\u200d\u00ad]", "", word))
    return unicodedata.normalize("NFKC", word.casefold()) if lowercase else word


def reference(text: str, cjk: str | None = "bigram", lowercase: bool = True) -> list[tuple[str, int, int]]:
    """Steps 1 to 3 of the analysis, written for clarity."""
    spans = []
    for match in WORD.finditer(text):
        for start, end, unspaced in cut(match[0]):
            own = units(match[0][start:end])
            if not unspaced or cjk is None or len(own) == 1:
                spans.append((start, end, match.start()))
                continue
            for i, (a, b) in enumerate(own):
                if cjk == "unigram+bigram":
                    spans.append((start + a, start + b, match.start()))
                if i + 1 < len(own):
                    spans.append((start + a, start + own[i + 1][1], match.start()))
    tokens = ((form(text[o + s : o + e], lowercase), o + s, o + e) for s, e, o in spans)
    return [(token, s, e) for token, s, e in tokens if 1 <= len(token) <= 64]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (
            "can\u2019t 3.14 U.S. naïve e-mail C++ 5G snake_case",
            "can t 3 14 u s naïve e mail c 5g snake case",
        ),
        ("北京大学生物系", "北京 京大 大学 学生 生物 物系"),
        ("用BERT做句向量", "用 bert 做句 句向 向量"),
        ("สวัสดีครับ", "สวั วัส สดี ดีค ครั รับ"),
        ("हिन्दी में", "हिन्दी में"),
        ("한국어 검색", "한국 국어 검색"),
        ("Straße \ufb01ne \uff26\uff55\uff4c\uff4c x² ①", "strasse fine full x2 1"),
        ("nai\u0308ve", "naïve"),
        ("", ""),
        ("\0 \u202e \u0301 😀 _", ""),
        ("so\u00adft zero\u200djoin", "soft zerojoin"),
        ("北\u00ad京大", "北 京大"),  # a soft hyphen is no part of an unspaced character
        ("北\u200d京\u0301大a\u0e31x", "北京\u0301 京\u0301大 a \u0e31 x"),
    ],
)
def test_lines_of_the_specification(text: str, tokens: str) -> None:
    assert BARE(text) == tokens.split()
    assert [token for token, _, _ in BARE.spans(text)] == tokens.split()


def test_default_analyzer() -> None:
    text = "The motions of running wings were studied in 1958"
    assert Analyzer()(text) == "motion run wing were studi 1958".split()  # noqa: SIM905
    assert BARE.spans("a  Wing北京大学") == [
        ("a", 0, 1),
        ("wing", 3, 7),
        ("北京", 7, 9),
        ("京大", 8, 10),
        ("大学", 9, 11),
    ]


def test_plain() -> None:
    plain = Analyzer.plain()
    assert plain("C++ na\u00efve X\u212ay 3.14 " + "z" * 100) == ["c", "na", "ve", "x", "y", "3", "14", "z" * 100]
    assert repr(plain) == "Analyzer.plain()"
    assert plain == Analyzer.resolve("plain") != Analyzer()


@pytest.mark.parametrize(
    ("cjk", "tokens"),
    [
        ("bigram", "京a 北京 京大"),
        ("unigram+bigram", "北 北京 京 京大 大"),
        (None, "北京大"),
    ],
)
def test_modes_of_cjk(cjk: str | None, tokens: str) -> None:
    assert Analyzer(language=None, cjk=cjk)("北京大") == [t for t in tokens.split() if "a" not in t]


def test_jieba() -> None:
    pytest.importorskip("jieba")
    analyzer = Analyzer(cjk="jieba")
    text = "我来到北京清华大学, 한국어 running BERT模型"
    spans = analyzer.spans(text)
    assert [t for t, _, _ in spans] == ["我", "来到", "北京", "清华大学", "한국", "국어", "run", "bert", "模型"]
    assert all(form(text[s:e])[:3] == t[:3] for t, s, e in spans)
    assert analyzer(text) == [t for t, _, _ in spans] == analyzer.batch([text])[0]


TRICKY = "aA1 _ß\u00ad\u200c\u200d\u0301\u0308\u0e31北京한ㄱกカﾞが\u1100\u1161\u11a8ﷺİıſ\uff21①²\u0345\u1e9e"
characters = st.one_of(st.characters(max_codepoint=0x7F), st.characters(), st.sampled_from(TRICKY)).filter(
    lambda c: not 0xD800 <= ord(c) <= 0xDFFF and unicodedata.category(c) != "Cn"
)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.text(characters, max_size=40), st.text(TRICKY, max_size=40)),
    st.sampled_from(["bigram", "unigram+bigram", None]),
    st.booleans(),
)
def test_equals_the_reference(text: str, cjk: str | None, lowercase: bool) -> None:
    analyzer = Analyzer(language=None, cjk=cjk, lowercase=lowercase)
    expected = reference(text, cjk, lowercase)
    assert analyzer.spans(text) == expected
    assert analyzer(text) == [token for token, _, _ in expected]
    assert analyzer.batch([text, text])[1] == [token for token, _, _ in expected]


@pytest.mark.slow
def test_every_code_point() -> None:
    """Alone, before a letter, and behind one: the class and the form of all assigned characters."""
    for code in range(0x110000):
        c = chr(code)
        if unicodedata.category(c) in ("Cn", "Cs"):
            continue
        text = f"{c} a{c} {c}\u0301e"
        assert BARE.spans(text) == reference(text), hex(code)


@pytest.mark.skipif(unicodedata.unidata_version != _core.search.unicode_version, reason="another Unicode version")
def test_generated_tables_are_current() -> None:
    import importlib.util
    from pathlib import Path

    script = Path(__file__).parents[2] / "scripts" / "generate_unicode.py"
    if not script.exists():
        pytest.skip("no scripts/ beside the tests")
    spec = importlib.util.spec_from_file_location("generate_unicode", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.OUTPUT.read_text() == module.tables()


def test_lengths_and_stop_words() -> None:
    assert Analyzer(min_length=3, max_length=4)("ab abc abcd abcde") == ["abc", "abcd"]
    assert Analyzer(max_length=None)("x" * 5000) == ["x" * 5000]
    assert Analyzer()("x" * 64 + " " + "y" * 65) == ["x" * 64]
    assert Analyzer(None, stopwords=["STRASSE", "b"])("Straße a B c") == ["a", "c"]
    assert Analyzer(None, stopwords=["STRASSE"], lowercase=False)("STRASSE strasse") == ["strasse"]
    assert Analyzer(stopwords=None)("the")[0] == "the"
    assert Analyzer()(" ".join(ENGLISH_STOPWORDS)) == []
    assert Analyzer(stopwords=["running"])("run running") == ["run"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"language": "klingon"}, ValueError, "language: expected"),
        ({"language": 3}, TypeError, "language: expected"),
        ({"language": "german"}, ValueError, "stopwords: expected a list or None"),
        ({"stopwords": "german"}, ValueError, "stopwords: expected"),
        ({"stopwords": [1]}, TypeError, "stopwords: expected"),
        ({"stopwords": 3}, TypeError, "stopwords: expected"),
        ({"stopwords": ["a", "\ud800"]}, ValueError, r"stopwords\[1\]: expected valid Unicode"),
        ({"max_length": 2**40}, ValueError, "max_length: expected an integer from 1 to 4294967294, got 1099511627776"),
        ({"stem": "yes"}, TypeError, "stem: expected"),
        ({"lowercase": 1}, TypeError, "lowercase: expected"),
        ({"min_length": 0}, ValueError, "min_length: expected"),
        ({"min_length": True}, TypeError, "min_length: expected"),
        ({"min_length": 5, "max_length": 4}, ValueError, "max_length: expected"),
        ({"cjk": "trigram"}, ValueError, "cjk: expected"),
        ({"cjk": []}, (TypeError, ValueError), "cjk: expected"),
        ({"tokenizer": "split"}, TypeError, "tokenizer: expected"),
    ],
)
def test_bad_parameters(arguments: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Analyzer(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["list"]])
def test_bad_text(text: object) -> None:
    for call in (BARE, BARE.spans, BARE.query_tokens, Analyzer(tokenizer=str.split)):
        with pytest.raises(TypeError, match=r"^text: expected a str, got"):
            call(text)  # type: ignore[operator]


def test_lone_surrogate() -> None:
    with pytest.raises(
        ValueError, match=r"^text: expected valid Unicode, got a lone surrogate U\+D800 at character \d+$"
    ):
        BARE("a \ud800")


class TestTokenizer:
    def test_tokens(self) -> None:
        analyzer = Analyzer(tokenizer=str.split)
        assert analyzer("The C++ RUNNING") == ["c++", "run"]
        assert analyzer.batch(["The C++ RUNNING"])[0] == ["c++", "run"]
        with pytest.raises(ValueError, match="tokenizer: expected"):
            analyzer.spans("a b")

    def test_spans(self) -> None:
        analyzer = Analyzer(tokenizer=lambda text: ((m[0], m.start(), m.end()) for m in regex.finditer(r"\S+", text)))
        assert analyzer.spans("Wings of C++") == [("wing", 0, 5), ("c++", 9, 12)]
        assert analyzer("Wings of C++") == ["wing", "c++"]

    @pytest.mark.parametrize(
        ("result", "error"),
        [
            (None, TypeError),
            ("a str", TypeError),
            ([1], TypeError),
            ([("a", 0)], TypeError),
            ([("a", 0, 1.0)], TypeError),
            ([("a", 0, 9)], ValueError),
            ([("a", -1, 1)], ValueError),
            ([("b", 2, 3), ("a", 0, 1)], ValueError),
        ],
    )
    def test_bad_results(self, result: object, error: type[Exception]) -> None:
        analyzer = Analyzer(tokenizer=lambda text: result)  # type: ignore[arg-type,return-value]
        with pytest.raises(error, match="^tokenizer: expected"):
            analyzer("abc")
        with pytest.raises(error, match="^tokenizer: expected") as caught:
            analyzer.batch(["abc"])
        assert caught.value.__notes__ == ["in the document at index 0"]

    def test_exception_passes_through_with_its_document(self) -> None:
        def tokenize(text: str) -> list[str]:
            if "bad" in text:
                raise RuntimeError("no")
            return text.split()

        with pytest.raises(RuntimeError, match="no") as caught:
            Analyzer(tokenizer=tokenize).batch(["a", "b", "bad"])
        assert caught.value.__notes__ == ["in the document at index 2"]


def test_identity() -> None:
    a, b = Analyzer(stopwords=["x", "y"]), Analyzer(stopwords=("y", "x"))
    assert a == b and hash(a) == hash(b) and a != Analyzer() and a != 3
    assert pickle.loads(pickle.dumps(a)) == a
    assert pickle.loads(pickle.dumps(Analyzer.plain())) == Analyzer.plain()
    with pytest.raises(AttributeError, match="immutable"):
        a.stem = False  # type: ignore[misc]
    with pytest.raises(AttributeError):
        pickle.dumps(Analyzer(tokenizer=lambda text: []))
    assert repr(Analyzer()) == "Analyzer()"
    assert repr(Analyzer(None)) == "Analyzer(None)"
    assert repr(Analyzer("german", stopwords=None, min_length=2)) == "Analyzer('german', stopwords=None, min_length=2)"
    for analyzer in (
        a,
        Analyzer(None, cjk=None),
        Analyzer("german", stopwords=["und"], stem=False),
        Analyzer(None, stopwords="english"),
        Analyzer("german", stopwords="english"),
    ):
        assert eval(repr(analyzer)) == analyzer


def test_parameters_round_trip() -> None:
    for analyzer in (Analyzer(), Analyzer.plain(), Analyzer("french", stopwords=["le"], cjk=None, max_length=None)):
        assert Analyzer.from_params(analyzer.to_params()) == analyzer
    named = Analyzer(tokenizer=str.split).to_params()
    assert named["tokenizer"] == "builtins.str.split"
    with pytest.raises(ValueError, match="tokenizer: expected the callable"):
        Analyzer.from_params(named)
    assert Analyzer.from_params(named, tokenizer=str.split) == Analyzer(tokenizer=str.split)
    with pytest.raises(ValueError, match="params: expected"):
        Analyzer.from_params({"kind": "unicode"})
    old = Analyzer().to_params() | {"stemmer_version": "0.0"}
    with pytest.warns(RuntimeWarning, match="stemmer_version 0.0"):
        Analyzer.from_params(old)


def test_resolve() -> None:
    assert Analyzer.resolve(None) is None
    assert Analyzer.resolve("default") == Analyzer()
    assert Analyzer.resolve(BARE) is BARE
    with pytest.raises(ValueError, match="analyzer: expected"):
        Analyzer.resolve("english")
    with pytest.raises(TypeError, match="analyzer: expected"):
        Analyzer.resolve(3)  # type: ignore[arg-type]


def test_reasons() -> None:
    found = Analyzer(min_length=2, max_length=4).reasons("the a ab abcde fine")
    assert found == [("the", "stop word"), ("a", "too short"), ("ab", None), ("abcde", "too long"), ("fine", None)]


def test_threads_share_an_analyzer() -> None:
    analyzer = Analyzer()
    texts = [f"running wing{i} studies{i % 7}" for i in range(200)]
    expected = [analyzer(text) for text in texts]
    failures: list[str] = []

    def work() -> None:
        fresh = pickle.loads(pickle.dumps(analyzer))
        for text, tokens in zip(texts, expected, strict=True):
            if analyzer(text) != tokens or fresh(text) != tokens:
                failures.append(text)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_batch() -> None:
    batch = Analyzer().batch(["red wings", "", "wing of a wing"])
    assert len(batch) == 3
    assert batch.indptr.dtype == np.int64 and batch.indptr.tolist() == [0, 2, 2, 4]
    assert batch.tokens.dtype == np.int32 and batch.tokens.tolist() == [0, 1, 1, 1]
    assert batch.vocabulary == ["red", "wing"]
    assert [batch[i] for i in range(-1, 3)] == [["wing", "wing"], ["red", "wing"], [], ["wing", "wing"]]
    with pytest.raises(IndexError):
        batch[3]
    assert Analyzer().batch([]).indptr.tolist() == [0]


def test_no_warning_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Analyzer()("running")
