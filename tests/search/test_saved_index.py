"""An index that was saved and opened is the index that was built; a damaged one is refused, whatever the mode."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise
from likewise.errors import CorruptFileError
from likewise.search import Analyzer, Index
from likewise.search.storage import open_index, write_index
from tests.search.corpora import TOY, VARIANTS, queries, zipf

TEXTS = ["The library of libraries", "Flow past a wing", "", "北京大学生物系"]


def same(one: Index, other: Index) -> None:
    assert one.params == other.params and one.ids.tolist() == other.ids.tolist()
    for name in ("n_docs", "n_terms", "n_postings", "n_tokens", "n_overlong", "avgdl"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", ["full", "header"])
@pytest.mark.parametrize("ids", [None, ["a", "", "ç", "d"], [5, -7, 2**62, 0]], ids=["none", "str", "int"])
def test_round_trip(tmp_path: Path, ids: Any, verify: str, mmap: bool) -> None:
    built = Index.build([*TEXTS[:3], TEXTS[3] + " x" + "y" * 80], ids=ids, store=True, variant="bm25+", k1=0.9, k3=8)
    built.save(tmp_path / "ix")
    opened = Index.open(tmp_path / "ix", verify=verify, mmap=mmap, prefault="populate")
    same(built, opened)
    assert opened.n_overlong == 1 and opened.path == str(tmp_path / "ix") and opened.generation == 1
    for query in ("libraries wing", "大学", {"wing": 0.5}, "zebra"):
        assert opened.search(query).to_list() == built.search(query).to_list()
        assert np.array_equal(opened.scores(query), built.scores(query))
    first = built.ids.tolist()[0]
    assert opened.keywords(first) == built.keywords(first) and opened.keywords(first)[0][0] in ("library", "libraries")
    assert opened.highlight("wings", id=built.ids.tolist()[1]) == "Flow past a <mark>wing</mark>"
    assert str(opened.explain("wing the", first)) == str(built.explain("wing the", first))
    opened.verify()
    opened.save(tmp_path / "again")
    segments = [next(folder.glob("segment-*")).read_bytes() for folder in (tmp_path / "ix", tmp_path / "again")]
    assert segments[0] == segments[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_same_bits(tmp_path: Path, variant: str, dtype: str) -> None:
    documents = zipf(600, 300, 12, 61)
    built = Index.build(documents, analyzer=None, variant=variant, dtype=dtype)
    built.save(tmp_path / "ix")
    opened = Index.open(tmp_path / "ix", verify="header")
    asked = queries(documents, 20, 62)
    one, other = built.search_batch(asked, 50), opened.search_batch(asked, 50)
    assert np.array_equal(one.doc_ids, other.doc_ids) and np.array_equal(one.scores, other.scores)
    assert np.array_equal(built.related(range(50)).scores, opened.related(range(50)).scores)


@pytest.mark.parametrize("documents", [[], [""], ["", ""]])
def test_empty(tmp_path: Path, documents: list[str]) -> None:
    Index.build(documents, ids=[str(i) for i in range(len(documents))], store=True).save(tmp_path / "ix")
    opened = Index.open(tmp_path / "ix")
    opened.verify()
    assert len(opened) == len(documents) and len(opened.search("wing")) == 0


def test_generations(tmp_path: Path) -> None:
    Index.build(["wing"]).save(tmp_path / "ix")
    with pytest.raises(FileExistsError):
        Index.build(["flow"]).save(tmp_path / "ix")
    Index.build(["flow", "heat"]).save(tmp_path / "ix", overwrite=True)
    newest = Index.open(tmp_path / "ix")
    assert newest.generation == 2 and len(newest) == 2
    assert len(Index.open(tmp_path / "ix", generation=1)) == 1
    newest.save(tmp_path / "ix", overwrite=True)  # onto the files that it maps
    assert Index.open(tmp_path / "ix").generation == 3 and len(newest.search("flow")) == 1


def test_load(tmp_path: Path) -> None:
    Index.build(TEXTS).save(tmp_path / "ix")
    ix = likewise.load(tmp_path / "ix")
    assert isinstance(ix, Index) and len(ix.search("wing")) == 1
    assert isinstance(likewise.load(tmp_path / "ix", mmap=False, verify="header"), Index)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "a"}, ValueError, "mode: expected one of 'r'"),
        ({"mode": None}, TypeError, "mode: expected"),
        ({"verify": "none"}, ValueError, "verify: expected"),
        ({"prefault": "all"}, ValueError, "prefault: expected"),
        ({"mmap": 1}, TypeError, "mmap: expected True or False"),
        ({"recover": "yes"}, TypeError, "recover: expected True or False"),
        ({"generation": True}, TypeError, "generation: expected an integer"),
        ({"generation": 7}, FileNotFoundError, "no generation 7"),
        ({"tokenizer": "split"}, TypeError, "tokenizer: expected a callable or None"),
        ({"tokenizer": str.split}, ValueError, "tokenizer: expected None, as the index was built without a tokenizer"),
    ],
)
def test_refused_options(tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    Index.build(TEXTS).save(tmp_path / "ix")
    with pytest.raises(error, match=message):
        Index.open(tmp_path / "ix", **options)


@pytest.mark.parametrize(
    ("path", "error"), [(None, TypeError), (3, TypeError), (b"ix", TypeError), ("", ValueError), ("a\0b", ValueError)]
)
def test_refused_paths(path: Any, error: type[Exception]) -> None:
    persistence = likewise.persistence
    calls: list[Any] = [Index.build(TEXTS).save, Index.open, likewise.load, persistence.check, persistence.inspect]
    for call in [*calls, persistence.digest]:
        with pytest.raises(error, match="path: expected"):
            call(path)


def test_check_takes_a_bool(tmp_path: Path) -> None:
    Index.build(TEXTS).save(tmp_path / "ix")
    with pytest.raises(TypeError, match="full: expected True or False, got int 1"):
        likewise.persistence.check(tmp_path / "ix", full=1)  # type: ignore[arg-type]


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Index.open(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        Index.open(tmp_path / "empty")
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotADirectoryError):
        Index.open(tmp_path / "file")
    with pytest.raises(FileExistsError):
        Index.build(TEXTS).save(tmp_path / "file")


def words(text: str) -> list[str]:
    return text.split()


def test_missing_tokenizer(tmp_path: Path) -> None:
    built = Index.build(TEXTS[:2], analyzer=Analyzer(tokenizer=words))
    built.save(tmp_path / "ix")
    opened = Index.open(tmp_path / "ix")
    assert opened.search(["wing"]).to_list() == built.search("wings").to_list()
    for call in (opened.search, opened.scores, lambda q: opened.explain(q, 0), lambda q: opened.search_batch([q])):
        with pytest.raises(ValueError, match="texts need the tokenizer '.*words'"):
            call("wings")
    opened.save(tmp_path / "again")
    again = Index.open(tmp_path / "again", tokenizer=words)
    assert again.search("wings").to_list() == built.search("wings").to_list()


# --- Damage that no digest shows: someone wrote it on purpose ---


def rewritten(tmp_path: Path, **changes: Any) -> Path:
    """An index with changed arrays, parameters or statistics, and digests that fit."""
    source = tmp_path / "source"
    if not source.exists():
        Index.build(TEXTS, ids=["a", "b", "c", "d"], store=True).save(source)
    stored = open_index(source)
    arrays, parameters, statistics = dict(stored.arrays), dict(stored.parameters), dict(stored.statistics)
    for name, value in changes.items():
        target = next((part for part in (arrays, parameters, statistics) if name in part), arrays)
        if value is None:
            del target[name]
        else:
            target[name] = value(np.array(target[name])) if callable(value) else value
    path = tmp_path / f"changed{len(list(tmp_path.iterdir()))}"
    write_index(path, arrays, parameters, statistics)
    return path


def edit(position: int, value: int) -> Any:
    def change(array: Any) -> Any:
        array[position] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "array"),
    [
        ({"document_lengths": edit(0, 9)}, "document_lengths|statistics"),
        ({"posting_documents": edit(0, 4)}, "posting_documents"),
        ({"posting_documents": edit(0, 2**32 - 1)}, "posting_documents"),
        ({"posting_frequencies": edit(0, 0)}, "posting_frequencies"),
        ({"posting_frequencies": edit(0, 255)}, "large_positions|posting_frequencies"),
        ({"posting_offsets": edit(1, 2**40)}, "posting_offsets"),
        ({"posting_offsets": edit(0, 1)}, "posting_offsets"),
        ({"term_offsets": edit(1, 2**40)}, "term_offsets"),
        ({"term_slots": lambda a: np.roll(a, 1)}, "term_slots"),
        ({"term_slots": lambda a: np.zeros_like(a)}, "term_slots"),
        ({"term_bytes": edit(0, 0xFF)}, "term_bytes"),
        ({"term_bytes": edit(0, 0x7F)}, "term_bytes|term_slots"),
        ({"key_offsets": edit(1, 2**40)}, "key_offsets"),
        ({"key_slots": lambda a: np.roll(a, 1)}, "key_slots"),
        ({"key_slots": edit(0, 99)}, "key_slots"),
        ({"key_bytes": edit(0, ord("b"))}, "key_slots"),
        ({"key_bytes": edit(0, 0xFF)}, "key_bytes"),
        ({"text_offsets": edit(1, 2**40)}, "text_offsets"),
        ({"text_bytes": edit(0, 0xFF)}, "text_bytes"),
        ({"key_kind": "int"}, "parameters"),
        ({"key_kind": "none"}, "parameters"),
        ({"key_kind": 7}, "parameters"),
        ({"variant": "bm26"}, "parameters"),
        ({"k1": -1}, "parameters"),
        ({"k1": "1.2"}, "parameters"),
        ({"b": None}, "parameters"),
        ({"dtype": "float16"}, "parameters"),
        ({"n_overlong": -1}, "parameters"),
        ({"analyzer": 7}, "parameters"),
        ({"analyzer": {"kind": "other"}}, "parameters"),
        ({"n_tokens": 7}, "statistics"),
    ],
    ids=str,
)
def test_hostile_content(tmp_path: Path, changes: dict[str, Any], array: str) -> None:
    path = rewritten(tmp_path, **changes)
    with pytest.raises(CorruptFileError) as caught:
        Index.open(path)
    assert str(caught.value.array) in array.split("|")
    # Opened without a scan of the postings, it is refused at the latest by a check; nothing crashes in between.
    try:
        ix = Index.open(path, verify="header")
    except CorruptFileError:
        return
    for use in (
        lambda: ix.search("library wing flow 大学"),
        lambda: ix.scores("library wing flow 大学"),
        lambda: ix.search_batch(["library", "wing"]).ids,
        lambda: [ix.related(name, mode=mode) for name in "abcd" for mode in ("full", "keywords") if name in ix],
        lambda: [ix.keywords(name) for name in "abcd" if name in ix],
        lambda: ix.explain("library wing", "a"),
        lambda: ix.highlight("library", id="a"),
        lambda: ix.ids,
        ix.warm,
    ):
        with contextlib.suppress(CorruptFileError, KeyError):
            use()
    with pytest.raises(CorruptFileError):
        ix.verify()


def test_digests_show_damage_after_a_header_open(tmp_path: Path) -> None:
    Index.build(TOY, analyzer=None).save(tmp_path / "ix")
    segment = next((tmp_path / "ix").glob("segment-*"))
    data = bytearray(segment.read_bytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    start = header["posting_frequencies"]["data_offsets"][0] + 8 + int.from_bytes(data[:8], "little")
    data[start] += 1
    segment.write_bytes(data)
    with pytest.raises(CorruptFileError):
        Index.open(tmp_path / "ix")
    ix = Index.open(tmp_path / "ix", verify="header")
    with pytest.raises(CorruptFileError, match="posting_frequencies"):
        ix.verify()


def test_damaged_ids_are_an_error_of_the_file(tmp_path: Path) -> None:
    """Without a full check nobody has looked at the text of the ids: it shows when one is asked for."""
    path = rewritten(tmp_path, key_bytes=edit(0, 0xFF))
    ix = Index.open(path, verify="header")
    hits = ix.search("library", n_threads=1)
    position = hits.doc_ids.tolist().index(0)
    for use in (lambda: ix.ids, lambda: hits.ids, lambda: hits[position]):
        with pytest.raises(CorruptFileError, match="key_bytes: expected UTF-8") as caught:
            use()
        assert Path(caught.value.path).parent == path


def test_damage_found_in_use_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = rewritten(tmp_path, text_bytes=edit(0, 0xFF), posting_documents=edit(0, 2**32 - 1))
    ix = Index.open(path, verify="header")
    for use, array in (
        (lambda: ix.highlight("library", id="a"), "text_bytes"),
        (ix.warm, "posting_documents"),
        (lambda: [ix.search([ix._engine.term(t)]) for t in range(ix.n_terms)], "posting_documents"),
    ):
        with pytest.raises(CorruptFileError) as caught:
            use()
        assert caught.value.array == array and Path(caught.value.path).parent == path


def test_logs_what_it_did(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="likewise"):
        index = Index.build(["short", "x" * 65], progress=False)
        index.save(tmp_path / "index")
        Index.open(tmp_path / "index")
    found = [(record.levelname, record.getMessage().split()[0]) for record in caplog.records]
    assert found == [("DEBUG", "built"), ("INFO", "1"), ("INFO", "committed"), ("DEBUG", "opened")]
