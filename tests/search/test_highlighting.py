"""Marked words, and windows that no other window beats."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.search.analyzer import Analyzer
from likewise.search.highlighting import highlight

ENGLISH, BARE = Analyzer(), Analyzer(language=None)


def test_marks_by_stem_and_escapes_the_rest() -> None:
    text = 'The wings of a <b>"Wing"</b> & winged flow'
    terms = {"wing": 1.0}
    assert highlight(text, terms, ENGLISH) == (
        "The <mark>wings</mark> of a &lt;b&gt;&quot;<mark>Wing</mark>&quot;&lt;/b&gt; &amp; <mark>winged</mark> flow"
    )
    assert highlight(text, terms, ENGLISH, pre="[", post="]", escape=False) == (
        'The [wings] of a <b>"[Wing]"</b> & [winged] flow'
    )


def test_overlapping_tokens_are_one_mark() -> None:
    assert highlight("在北京大学读书", {"北京": 1.0, "京大": 1.0, "读书": 1.0}, BARE) == (
        "在<mark>北京大</mark>学<mark>读书</mark>"
    )


def test_nothing_to_mark() -> None:
    assert highlight("", {"a": 1.0}, BARE) == ""
    assert highlight("a < b", {}, BARE) == "a &lt; b"
    assert highlight("one two three four", {"x": 1.0}, BARE, max_chars=9) == "one two"


def test_window() -> None:
    text = "aa bb cc dd " * 3 + "rare common " + "aa bb " * 5 + "common common common"
    shown = highlight(text, {"rare": 5.0, "common": 1.0}, BARE, max_chars=20)
    assert "<mark>rare</mark> <mark>common</mark>" in shown
    assert len(re.sub("<.*?>", "", shown)) <= 20
    # The same number of terms: the idf decides; equal windows: the earlier one.
    assert "rare" in highlight("common " + "x " * 30 + "rare", {"rare": 5.0, "common": 1.0}, BARE, max_chars=10)
    assert highlight("a1 " + "x " * 30 + "a1 yy", {"a1": 1.0}, BARE, max_chars=5).startswith("<mark>a1</mark>")
    assert highlight("x" * 30 + " a", {"x" * 30: 1.0}, BARE, max_chars=5) == "xxxxx"


SENTENCE = "moving mass, at (least) cost; the others stay where they were, naïve"


@pytest.mark.parametrize("analyzer", [ENGLISH, BARE, Analyzer(tokenizer=lambda text: _spans_of(r"\w+", text))])
def test_no_window_cuts_through_a_word(analyzer: Analyzer) -> None:
    # "at", "the", "they" and "were" are no tokens of the first analyzer, but words all the same.
    for max_chars in range(7, len(SENTENCE)):
        for term in ("mass", "cost", "where", "naïv", "none"):
            shown = highlight(SENTENCE, {term: 1.0}, analyzer, max_chars=max_chars, pre="", post="")
            border = r"(?:(?<!\w)|(?!\w))"
            assert re.search(border + re.escape(shown) + border, SENTENCE), (max_chars, term, shown)
            assert shown and shown == shown.strip() and len(shown) <= max_chars
    assert highlight(SENTENCE, {"cost": 1.0}, analyzer, max_chars=18, pre="", post="") == "least) cost; the"


def test_unspaced_words_are_cut_between_their_characters() -> None:
    text = "北京大学生物系" * 9 + "สวัสดีครับ"
    assert highlight(text, {"生物": 1.0}, BARE, max_chars=6) == "大学<mark>生物</mark>系北"
    # A mark stays with its letter.
    shown = [highlight(text, {"ครั": 1.0}, BARE, max_chars=n) for n in range(3, 8)]
    best = ["<mark>ครั</mark>", "<mark>ครั</mark>บ", "<mark>ครั</mark>บ", "ดี<mark>ครั</mark>บ", "สดี<mark>ครั</mark>บ"]
    assert shown == best


def _spans_of(pattern: str, text: str) -> list[tuple[str, int, int]]:
    return [(match[0], *match.span()) for match in re.finditer(pattern, text)]


words = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "<", "北京大", "eeeeeeee"]), max_size=30).map(" ".join)


@settings(deadline=None)
@given(words, st.integers(1, 30))
def test_no_window_is_better(text: str, max_chars: int) -> None:
    terms = {"a": 0.5, "bb": 2.0, "dddd": 1.0, "北京": 1.5, "京大": 0.25, "eeeeeeee": 3.0}
    shown = highlight(text, terms, BARE, max_chars=max_chars, pre="\x01", post="\x02")
    plain = html.unescape(re.sub("[\x01\x02]", "", shown))
    assert len(plain) <= max_chars and plain in text
    assert len(text) > max_chars or plain == text

    def value(spans: list[tuple[str, int, int]]) -> tuple[int, float]:
        distinct = {t for t, _, _ in spans if t in terms}
        return len(distinct), sum(terms[t] for t in sorted(distinct))

    spans = BARE.spans(text)
    best = max(
        value([s for s in spans if s[1] >= start and s[2] <= start + max_chars]) for start in range(len(text) + 1)
    )
    # The window's own tokens, wherever in the text it was taken from.
    ours = max(
        value([s for s in spans if s[1] >= m.start() and s[2] <= m.start() + len(plain)])
        for m in re.finditer(f"(?={re.escape(plain)})", text)
    )
    assert ours == best
    marked = "".join(re.findall("\x01(.*?)\x02", shown))
    assert bool(marked) == (best[0] > 0)


@pytest.mark.parametrize("text", [None, 3])
def test_bad_text(text: object) -> None:
    with pytest.raises(TypeError, match="text: expected"):
        highlight(text, {}, BARE)  # type: ignore[arg-type]
