"""Damaged and hostile index directories: each is refused, and the refusal changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise import persistence
from likewise.errors import CorruptFileError, RecoveredIndexWarning, UnsupportedFormatError
from likewise.persistence.container import canonical_json, encode
from likewise.persistence.files import Directory
from likewise.search.index import Index
from likewise.search.storage import open_index, writing
from likewise.search.storage.manifest import parse_manifest
from tests.search.stored import (
    OTHER,
    REFUSED,
    answers,
    manifest_of,
    names,
    refuse,
    rewrite_manifest,
    save,
    seal_manifest,
    segments_of,
)

# --- Damage ---


def test_every_bit_flip_of_the_manifest(index: Path) -> None:
    manifest = manifest_of(index)
    data = manifest.read_bytes()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(REFUSED):
            parse_manifest(bytes(changed), manifest, 1)
        if bit % 50 == 0:
            manifest.write_bytes(changed)
            with pytest.raises(REFUSED):
                open_index(index, verify="header")


def test_every_truncation_of_the_manifest(index: Path) -> None:
    manifest = manifest_of(index)
    data = manifest.read_bytes()
    for length in range(len(data)):
        with pytest.raises(REFUSED):
            parse_manifest(data[:length], manifest, 1)
    manifest.write_bytes(data + b"\n")
    refuse(index)


def test_flips_truncations_and_sectors_of_the_segment(tmp_path: Path) -> None:
    rng = random.Random(11)
    index = tmp_path / "i"
    words = ["wing", "flow", "heat", "plate", "layer"]
    documents = [rng.choices(words, k=rng.randrange(1, 30)) for _ in range(400)]
    save(index, documents)
    segment = segments_of(index)[0]
    data = segment.read_bytes()
    for i in range(2000):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        segment.write_bytes(changed)
        with pytest.raises(REFUSED):
            Index.open(index, mmap=bool(i % 2))
    for start in range(0, len(data), 512):
        changed = bytearray(data)
        changed[start : start + 512] = bytes(len(changed[start : start + 512]))
        if changed != data:
            segment.write_bytes(changed)
            with pytest.raises(REFUSED):
                Index.open(index)
    header = int.from_bytes(data[:8], "little")
    lengths = {0, 1, 7, 8, 9, 8 + header - 1, 8 + header, 8 + header + 1, len(data) // 2, len(data) - 8, len(data) - 1}
    for length in lengths | set(range(0, len(data), 511)):
        segment.write_bytes(data[:length])
        refuse(index, length)
    segment.write_bytes(data + b"\0")
    refuse(index)
    segment.write_bytes(data)
    assert persistence.check(index).ok


def test_mixed_up_files(tmp_path: Path, index: Path) -> None:
    save(tmp_path / "other", OTHER)
    segment, other = segments_of(index)[0], segments_of(tmp_path / "other")[0]
    sound = segment.read_bytes()
    for content in (other.read_bytes(), manifest_of(index).read_bytes(), b"", b"\0" * len(sound)):
        segment.write_bytes(content)
        refuse(index)
    # The same shapes, other numbers: only the check in the manifest can tell.
    save(tmp_path / "similar", [list("aba"), list("bc"), list("accd")[::-1], []][:3])
    save(tmp_path / "swapped", [list("bab"), list("bc"), list("accd")])
    segment.write_bytes(segments_of(tmp_path / "swapped")[0].read_bytes())
    refuse(index)
    segment.write_bytes(sound)
    # An older manifest under a newer name.
    shutil.copy(manifest_of(index), manifest_of(index, 2))
    with pytest.raises(CorruptFileError, match="generation: expected 2 as in the file's name"):
        open_index(index)
    manifest_of(index, 2).unlink()
    assert persistence.check(index).ok


def test_damaged_newest_generation(index: Path) -> None:
    before = answers(index)
    save(index, OTHER, overwrite=True)
    newest = json.loads(manifest_of(index, 2).read_bytes().split(b"\n")[0])["segments"][0]["file"]
    data = bytearray((index / newest).read_bytes())
    data[-100] ^= 1
    (index / newest).write_bytes(data)
    listing = names(index)
    with pytest.raises(CorruptFileError, match=r"generation 2 is damaged, generation 1 opens \[recover=True") as caught:
        Index.open(index)
    assert caught.value.path == str(index / newest) and caught.value.array
    with pytest.warns(RecoveredIndexWarning, match=r"opened generation 1 instead: 1 generation.* 0 document") as record:
        recovered = Index.open(index, recover=True)
    assert record[0].filename == __file__
    assert recovered.generation == 1 and [recovered.search([t]).to_list() for t in "abcdxyz"] == before
    report = persistence.check(index)
    assert not report.ok and report.generation == 1
    with pytest.raises(CorruptFileError):
        Index.open(index, generation=2)
    assert Index.open(index, generation=1).generation == 1
    manifest_of(index, 2).write_bytes(b"")
    with pytest.warns(RecoveredIndexWarning, match="an unknown number of document"):
        Index.open(index, recover=True)
    for segment in segments_of(index):
        segment.write_bytes(b"")
    with pytest.raises(CorruptFileError, match="no older generation opens"):
        Index.open(index, recover=True)
    assert names(index) == listing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(index.with_name("fresh"))
        Index.open(index.with_name("fresh"), recover=True)  # nothing to recover from


# --- Hostile manifests ---


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../other/segment-0123456789abcdef.safetensors", "segment-0123456789abcdef.safetensors\0",
        "", ".", "..", "LOCK", "segment-0123456789ABCDEF.safetensors", "segment-0123456789abcdef.safetensors/", 1, None,
        "segment-0123456789abcdef.safetensors\n", "x" * 1000, "segment-٠123456789abcdef.safetensors",
    ],
)  # fmt: skip
def test_file_names_in_a_manifest(tmp_path: Path, index: Path, name: Any) -> None:
    save(tmp_path / "other", OTHER)
    rewrite_manifest(index, lambda value: value["segments"][0].update(file=name))
    with pytest.raises(CorruptFileError, match="segments: expected a file name"):
        open_index(index)
    assert not persistence.check(index).ok


def test_links_are_not_followed(tmp_path: Path, index: Path) -> None:
    segment = segments_of(index)[0]
    segment.rename(tmp_path / "outside")
    segment.symlink_to(tmp_path / "outside")
    refuse(index)
    segment.unlink()
    segment.mkdir()
    refuse(index)
    segment.rmdir()
    os.mkfifo(segment)
    refuse(index)
    segment.unlink()
    (tmp_path / "outside").rename(segment)
    assert answers(index)
    manifest = manifest_of(index)
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to(tmp_path / "manifest")
    refuse(index)


HOSTILE_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "generation of another": lambda v: v.update(generation=2),
    "generation true": lambda v: v.update(generation=True),
    "parent later": lambda v: v.update(parent=1),
    "parent float": lambda v: v.update(parent=0.0),
    "next_doc_id small": lambda v: v.update(next_doc_id=2),
    "next_doc_id float": lambda v: v.update(next_doc_id=3.0),
    "next_doc_id huge": lambda v: v.update(next_doc_id=2**62 + 1),
    "no next_doc_id": lambda v: v.pop("next_doc_id"),
    "parameters a list": lambda v: v.update(parameters=[]),
    "no statistics": lambda v: v.pop("statistics"),
    "negative count": lambda v: v["statistics"].update(n_docs=-1),
    "float count": lambda v: v["statistics"].update(n_tokens=9.0),
    "huge count": lambda v: v["statistics"].update(n_postings=2**63),
    "string count": lambda v: v["statistics"].update(n_terms="4"),
    "count missing": lambda v: v["statistics"].pop("n_terms"),
    "other n_docs": lambda v: (v["statistics"].update(n_docs=2), v["segments"][0].update(n_docs=2)),
    "other n_terms": lambda v: v["statistics"].update(n_terms=5),
    "other n_postings": lambda v: v["statistics"].update(n_postings=6),
    "other n_tokens": lambda v: v["statistics"].update(n_tokens=10),
    "n_docs do not add up": lambda v: v["segments"][0].update(n_docs=4),
    "no segments": lambda v: v.update(segments=[]),
    "segments an object": lambda v: v.update(segments={}),
    "segment a string": lambda v: v.update(segments=["x"]),
    "segment twice": lambda v: v.update(segments=v["segments"] * 2),
    "size float": lambda v: v["segments"][0].update(size=1.0),
    "size other": lambda v: v["segments"][0].update(size=v["segments"][0]["size"] + 64),
    "check other": lambda v: v["segments"][0].update(check="0" * 16),
    "check upper": lambda v: v["segments"][0].update(check="A" * 16),
    "check a number": lambda v: v["segments"][0].update(check=1),
    "deletes": lambda v: v["segments"][0].update(deletes={"file": "x"}),
    "no deletes": lambda v: v["segments"][0].pop("deletes"),
    "requires a string": lambda v: v.update(requires="x"),
    "requires a number": lambda v: v.update(requires=[1]),
    "unknown variant": lambda v: v["parameters"].update(variant="bm26"),
    "negative k1": lambda v: v["parameters"].update(k1=-1.0),
    "k1 a string": lambda v: v["parameters"].update(k1="1"),
    "no k1": lambda v: v["parameters"].pop("k1"),
    "b above 1": lambda v: v["parameters"].update(b=1.5),
    "dtype": lambda v: v["parameters"].update(dtype="int8"),
    "key kind": lambda v: v["parameters"].update(key_kind="int"),
    "key kind none": lambda v: v["parameters"].update(key_kind="none"),
    "analyzer": lambda v: v["parameters"].update(analyzer={"kind": "os.system"}),
    "analyzer a string": lambda v: v["parameters"].update(analyzer="default"),
}


@pytest.mark.parametrize("name", HOSTILE_MANIFESTS)
def test_hostile_manifests(index: Path, name: str) -> None:
    rewrite_manifest(index, HOSTILE_MANIFESTS[name])
    with pytest.raises(CorruptFileError):
        Index.open(index)
    with pytest.raises(CorruptFileError):  # the number of tokens is believed until the lengths are added up
        Index.open(index, verify="header").verify() if name == "other n_tokens" else Index.open(index, verify="header")
    assert not persistence.check(index).ok


def test_later_versions(index: Path) -> None:
    original = manifest_of(index).read_bytes()
    changes: list[dict[str, Any]] = [
        {"format": "other"}, {"format_version": 2}, {"format_version": "1"}, {"format_version": True},
        {"kind": "search.other"}, {"kind_version": "2"}, {"requires": ["deletes"]},
    ]  # fmt: skip
    for change in changes:
        rewrite_manifest(index, lambda value, change=change: value.update(change))  # type: ignore[misc]
        for function in (Index.open, persistence.check, persistence.inspect):
            call: Callable[[Path], object] = function
            with pytest.raises(UnsupportedFormatError):
                call(index)
        manifest_of(index).write_bytes(original)
    rewrite_manifest(index, lambda value: value.update(future="ignored"))
    assert answers(index)


def test_texts_of_a_manifest(index: Path) -> None:
    line = manifest_of(index).read_bytes().split(b"\n")[0]
    for bad in (
        b"", b"{}", b"[]", b"[" * 100_000, b"\xff", line[:-1], line + b" ", line.replace(b":", b": ", 1),
        line.replace(b"{", b'{"format":"likewise",', 1), line.replace(b"1.2", b"NaN"), line.replace(b"1.2", b"1e999"),
    ):  # fmt: skip
        seal_manifest(manifest_of(index), bad)
        refuse(index, bad)
    with manifest_of(index).open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(CorruptFileError, match="expected at most 16777216 bytes"):
        open_index(index)


# --- Files of other kinds, other versions ---


def test_a_container_of_another_kind(tmp_path: Path, index: Path) -> None:
    segment = segments_of(index)[0]
    for kind, version in (("example", "1"), ("search.segment", "2")):
        parts = encode(kind, version, {}, open_index(index, mmap=False, generation=1).arrays)
        content = b"".join(parts)
        original = segment.read_bytes(), manifest_of(index).read_bytes()
        segment.write_bytes(content)
        facts = {"size": len(content), "check": f"{int.from_bytes(content[-8:], 'little'):016x}"}
        rewrite_manifest(index, lambda value, facts=facts: value["segments"][0].update(facts))  # type: ignore[misc]
        with pytest.raises(CorruptFileError, match="expected kind 'search.segment' version '1'"):
            Index.open(index)
        segment.write_bytes(original[0])
        manifest_of(index).write_bytes(original[1])
    content = bytearray(segment.read_bytes())
    content[content.index(b"likewise")] ^= 1
    segment.write_bytes(content)
    with pytest.raises(CorruptFileError, match="not a likewise file"):  # not UnsupportedFormatError: it is damaged
        Index.open(index)


def test_inspect_and_digest(index: Path) -> None:
    facts = persistence.inspect(index)
    assert (facts["kind"], facts["generation"], facts["statistics"]["n_docs"]) == ("search.index", 1, 3)
    assert facts["n_bytes"] == segments_of(index)[0].stat().st_size == facts["files"][0]["n_bytes"]
    assert [array["name"] for array in facts["arrays"]] == sorted(open_index(index).arrays)
    content = manifest_of(index).read_bytes() + segments_of(index)[0].read_bytes()
    assert persistence.digest(index) == hashlib.sha256(content).hexdigest()
    save(index, OTHER, overwrite=True)
    assert persistence.digest(index) != hashlib.sha256(content).hexdigest()


def test_a_damaged_manifest_that_is_kept_keeps_all_files(index: Path) -> None:
    save(index, OTHER, overwrite=True)
    manifest_of(index, 1).write_bytes(b"damaged")
    (index / "segment-0123456789abcdef.safetensors").touch()
    writing.collect(Directory(index))
    assert len(segments_of(index)) == 3
    save(index, OTHER, overwrite=True)  # now it is not kept any more
    assert len(segments_of(index)) == 2 and persistence.check(index).ok


def test_an_older_manifest_of_a_later_version(index: Path) -> None:
    rewrite_manifest(index, lambda value: value.update(format_version=2))
    line = manifest_of(index).read_bytes()
    manifest_of(index).unlink()
    save(index.with_name("next"), OTHER)
    for file in index.with_name("next").iterdir():
        shutil.copy(file, index / file.name.replace("0001.json", "0002.json"))
    value = json.loads(manifest_of(index, 2).read_bytes().split(b"\n")[0])
    seal_manifest(manifest_of(index, 2), canonical_json({**value, "generation": 2}).encode())
    manifest_of(index).write_bytes(line)
    report = persistence.check(index)
    assert report.generation == 2 and [file for file, _, _ in report.problems] == [manifest_of(index).name]
