"""Segments whose digests are right and whose arrays break the rules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise import persistence
from likewise.errors import CorruptFileError
from likewise.search.index import Index
from likewise.search.storage import write_index
from tests.search.segments import Arrays, make_segment
from tests.search.stored import (
    TOY,
    save,
    segments_of,
)

# --- Hostile structure: every digest is right ---


def put(name: str, at: int, value: int) -> Callable[[Arrays], object]:
    def change(arrays: Arrays) -> None:
        arrays[name][at] = value

    return change


def replace(name: str, make: Callable[[Any], Any]) -> Callable[[Arrays], object]:
    def change(arrays: Arrays) -> None:
        arrays[name] = np.ascontiguousarray(make(arrays[name]))

    return change


# Postings of the toy: a 0 2 | b 0 1 | c 1 2 | d 2
HOSTILE_ARRAYS: dict[str, tuple[str, Callable[[Arrays], object]]] = {
    "offsets not from 0": ("posting_offsets", put("posting_offsets", 0, 1)),
    "offsets decrease": ("posting_offsets", put("posting_offsets", 1, 5)),
    "offsets end early": ("posting_offsets", put("posting_offsets", 4, 6)),
    "offsets end late": ("posting_offsets", put("posting_offsets", 4, 8)),
    "offsets huge": ("posting_offsets", put("posting_offsets", 2, 2**64 - 1)),
    "offsets too few": ("posting_offsets", replace("posting_offsets", lambda a: a[:-1])),
    "documents unsorted": ("posting_documents", replace("posting_documents", lambda a: a[[1, 0, 2, 3, 4, 5, 6]])),
    "documents equal": ("posting_documents", put("posting_documents", 1, 0)),
    "document beyond": ("posting_documents", put("posting_documents", 6, 3)),
    "document 2e9": ("posting_documents", put("posting_documents", 6, 2_000_000_000)),
    "document -5": ("posting_documents", put("posting_documents", 6, 2**32 - 5)),
    "frequency 0": ("posting_frequencies", put("posting_frequencies", 3, 0)),
    "frequency 255 without its value": ("large_positions", put("posting_frequencies", 3, 255)),
    "frequencies too few": ("posting_frequencies", replace("posting_frequencies", lambda a: a[:-1])),
    "large position beyond": ("large_positions", lambda a: a.update(
        large_positions=np.array([7], np.uint64), large_frequencies=np.array([300], np.uint32))),
    "large position of a small one": ("large_frequencies", lambda a: a.update(
        large_positions=np.array([0], np.uint64), large_frequencies=np.array([300], np.uint32))),
    "large without frequencies": ("large_frequencies", lambda a: a.update(large_positions=np.array([0], np.uint64))),
    "terms unsorted": ("term_bytes", replace("term_bytes", lambda a: a[[1, 0, 2, 3]])),
    "terms equal": ("term_bytes", put("term_bytes", 1, ord("a"))),
    "terms not UTF-8": ("term_bytes", put("term_bytes", 3, 0xFF)),
    "term offsets not from 0": ("term_offsets", put("term_offsets", 0, 1)),
    "term offsets decrease": ("term_offsets", put("term_offsets", 1, 3)),
    "term offsets beyond": ("term_offsets", put("term_offsets", 4, 5)),
    "term offsets missing": ("term_offsets", lambda a: a.pop("term_offsets")),
    "slots empty": ("term_slots", replace("term_slots", lambda a: a * 0)),
    "slots full": ("term_slots", replace("term_slots", lambda a: a * 0 + 1)),
    "slot beyond": ("term_slots", replace("term_slots", lambda a: np.where(a == 1, 5, a))),
    "slots moved": ("term_slots", replace("term_slots", lambda a: np.roll(a, 1))),
    "slots too few": ("term_slots", replace("term_slots", lambda a: a[: len(a) // 2])),
    "form offsets": ("form_offsets", put("form_offsets", 2, 1000)),
    "form not UTF-8": ("form_", put("form_bytes", 0, 0x80)),
    "form bytes missing": ("form_offsets", lambda a: a.pop("form_bytes")),
    "text offsets": ("text_offsets", put("text_offsets", 1, 2**63)),
    "text not UTF-8": ("text_", put("text_bytes", 0, 0xC0)),
    "texts too few": ("text_offsets", replace("text_offsets", lambda a: a[:-1])),
    "key offsets": ("key_offsets", put("key_offsets", 1, 100)),
    "keys equal": ("key_", put("key_bytes", 1, ord("1"))),
    "key not UTF-8": ("key_", put("key_bytes", 0, 0xFF)),
    "key slots": ("key_slots", replace("key_slots", lambda a: np.roll(a, 1))),
    "key slots missing": ("key_offsets", lambda a: a.pop("key_slots")),
    "wrong dtype": ("document_lengths", replace("document_lengths", lambda a: a.astype(np.int32))),
    "wrong rank": ("document_lengths", replace("document_lengths", lambda a: a[:, None])),
    "lengths too few": ("statistics", replace("document_lengths", lambda a: a[:-1])),
}  # fmt: skip


def hostile(path: Path, change: Callable[[Arrays], object]) -> None:
    arrays, parameters, statistics = make_segment(TOY, keys=["k0", "k1", "k2"], texts=True, forms=True)
    change(arrays)
    write_index(path, arrays, parameters, statistics)


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_hostile_structure(tmp_path: Path, name: str) -> None:
    array, change = HOSTILE_ARRAYS[name]
    index = tmp_path / "i"
    hostile(index, change)
    with pytest.raises(CorruptFileError) as caught:
        Index.open(index)
    assert str(caught.value.array).startswith(array) or array == "statistics"
    assert caught.value.path == str(segments_of(index)[0])
    report = persistence.check(index)
    assert not report.ok and report.generation is None
    # Without a scan of the postings it may open, answer wrongly or complain, but nothing else.
    with contextlib.suppress(CorruptFileError, ValueError, KeyError):
        opened = Index.open(index, verify="header")
        for method in ("auto", "exhaustive"):
            with contextlib.suppress(CorruptFileError, ValueError):
                opened.search(list("abcd"), method=method)
        with pytest.raises(CorruptFileError):
            opened.verify()


def test_hostile_integers_as_keys(tmp_path: Path) -> None:
    arrays, parameters, statistics = make_segment(TOY, keys=[7, -1, 2**62])
    arrays["key_values"][1] = 7
    write_index(tmp_path / "i", arrays, parameters, statistics)
    with pytest.raises(CorruptFileError, match="key_"):
        Index.open(tmp_path / "i")


def test_arrays_of_two_kinds_of_keys(tmp_path: Path) -> None:
    hostile(tmp_path / "i", lambda arrays: arrays.update(key_values=np.arange(3)))
    with pytest.raises(CorruptFileError, match="keys of one type"):
        Index.open(tmp_path / "i")


def test_a_segment_by_itself(tmp_path: Path) -> None:
    save(tmp_path / "sound")
    assert persistence.check(segments_of(tmp_path / "sound")[0]).ok
    hostile(tmp_path / "hostile", put("posting_documents", 6, 3))
    report = persistence.check(segments_of(tmp_path / "hostile")[0])
    assert [array for _, array, _ in report.problems] == ["posting_documents"]
