"""Index directories: what a save does and in which order, what an open accepts, and what damage does."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise import _core, persistence
from likewise.errors import CorruptFileError, IndexLockedError, RecoveredIndexWarning, UnsupportedFormatError
from likewise.persistence.container import canonical_json, encode, xxh3
from likewise.persistence.files import Directory
from likewise.search.index import Index
from likewise.search.storage import generations, open_index, reading, write_index, writing
from likewise.search.storage.manifest import parse_manifest
from tests.faulty_directory import SITES, FaultyDirectory, calls_of
from tests.search.segments import Arrays, make_segment

TOY = [list("aba"), list("bc"), list("accd")]
OTHER = [list("xyz"), list("zz")]
REFUSED = (CorruptFileError, UnsupportedFormatError)


def save(path: Path, documents: Any = TOY, *, overwrite: bool = False, directory: Directory | None = None) -> None:
    write_index(path, *make_segment(documents, keys=[f"k{i}" for i in range(len(documents))], texts=True, forms=True),
                overwrite=overwrite, directory=directory)  # fmt: skip


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def segments_of(path: Path) -> list[Path]:
    return sorted(path.glob("segment-*"))


def manifest_of(path: Path, generation: int = 1) -> Path:
    return path / f"manifest-{generation:020d}.json"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "toy.lw"
    save(path)
    return path


def answers(path: Path, **options: Any) -> list[Any]:
    opened = Index.open(path, **options)
    return [opened.search([term]).to_list() for term in "abcdxyz"]


# --- Saving and opening ---


def test_layout(index: Path) -> None:
    lock, manifest, segment = names(index)
    assert lock == "LOCK" and (index / lock).stat().st_size == 0
    assert manifest == "manifest-00000000000000000001.json"
    assert re.fullmatch(r"segment-[0-9a-f]{16}\.safetensors", segment)
    line, digest, end = (index / manifest).read_bytes().split(b"\n")
    assert end == b"" and digest.decode() == f"{xxh3(line):016x}"
    value = json.loads(line)
    assert value["generation"] == 1 and value["parent"] is None and value["next_doc_id"] == 3
    assert value["statistics"] == {"n_docs": 3, "n_terms": 4, "n_postings": 7, "n_tokens": 9}
    content = (index / segment).read_bytes()
    assert value["segments"] == [
        {
            "file": segment, "size": len(content), "check": f"{int.from_bytes(content[-8:], 'little'):016x}",
            "n_docs": 3, "deletes": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("verify", ["full", "header"])
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("prefault", ["none", "willneed", "populate"])
def test_round_trip(index: Path, verify: str, mapped: bool, prefault: str) -> None:
    arrays, parameters, statistics = make_segment(TOY, keys=["k0", "k1", "k2"], texts=True, forms=True)
    stored = open_index(index, mmap=mapped, verify=verify, prefault=prefault)
    assert (stored.generation, stored.path) == (1, str(index))
    assert (stored.parameters, stored.statistics) == (parameters, statistics)
    assert stored.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert stored.arrays[name].dtype == array.dtype and not stored.arrays[name].flags.writeable
        np.testing.assert_array_equal(stored.arrays[name], array)
    stored.verify_digests()
    hits = Index.open(index, mmap=mapped, verify=verify, prefault=prefault).search(["a", "d"])
    assert hits.ids.tolist() == ["k2", "k0"]
    np.testing.assert_allclose(hits.scores, [0.58033315, 0.29375227], rtol=1e-6)


@pytest.mark.parametrize("documents", [[], [[]], [[], ["a"], []]])
def test_small_indexes(tmp_path: Path, documents: list[list[str]]) -> None:
    write_index(tmp_path / "i", *make_segment(documents))
    opened = Index.open(tmp_path / "i")
    assert len(opened) == len(documents) and len(opened.search(["a"])) == sum(map(bool, documents))
    assert persistence.check(tmp_path / "i").ok


def test_saving_twice_gives_equal_files(tmp_path: Path) -> None:
    built = Index.build(["a wing", "a wake of wings"], ids=[3, 1], store=True)
    for name in ("one", "two"):
        built.save(tmp_path / name)
    Index.open(tmp_path / "one").save(tmp_path / "three")
    one, two, three = (segments_of(tmp_path / name)[0] for name in ("one", "two", "three"))
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert one.name != two.name
    lines = [manifest_of(path.parent).read_bytes().split(b"\n")[0] for path in (one, two)]
    assert lines[0].replace(one.name.encode(), b"") == lines[1].replace(two.name.encode(), b"")


def test_generations_and_collection(index: Path) -> None:
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(index)
    for generation in range(2, 6):
        save(index, OTHER, overwrite=True)
        assert generations(index) == [generation, generation - 1]
        assert len(segments_of(index)) == 2
    assert json.loads(manifest_of(index, 5).read_bytes().split(b"\n")[0])["parent"] == 4
    assert open_index(index).generation == 5
    assert open_index(index, generation=4).generation == 4
    with pytest.raises(FileNotFoundError, match="no generation 1 in this directory, only 5, 4"):
        open_index(index, generation=1)


def test_a_held_snapshot_survives_later_generations(index: Path) -> None:
    held = Index.open(index)
    before = held.search(["a"]).to_list()
    for _ in range(3):
        save(index, OTHER, overwrite=True)
    assert held.search(["a"]).to_list() == before
    held.save(index, overwrite=True)  # onto the directory whose file it maps
    assert answers(index)[0] == before


def test_the_commit_protocol(tmp_path: Path) -> None:
    """The order of the calls is the contract."""
    log: list[str] = []

    class Recorder(Directory):
        def create(self, name: str) -> int:
            log.append("create " + name[:4])
            return super().create(name)

        def sync_file(self, descriptor: int) -> None:
            log.append("sync file")
            super().sync_file(descriptor)

        def rename(self, old: str, new: str) -> None:
            assert not (self.path / new).exists()
            log.append(f"rename {old[:4]} {new[:4]}")
            super().rename(old, new)

        def unlink(self, name: str) -> None:
            log.append("unlink " + name[:4])
            super().unlink(name)

        def sync(self) -> None:
            log.append("sync directory")
            super().sync()

    commit = [
        "create segm", "sync file", "create .tmp", "sync file", "sync directory", "rename .tmp mani", "sync directory",
    ]  # fmt: skip
    for overwrite, collected in ((False, 0), (True, 0), (True, 1), (True, 1)):
        log.clear()
        save(tmp_path / "i", overwrite=overwrite, directory=Recorder(tmp_path / "i"))
        assert log == commit + collected * ["unlink mani", "unlink segm"]


def test_what_may_be_saved_over(tmp_path: Path, index: Path) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="file"):
            save(tmp_path / "file", overwrite=overwrite)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="other"):
            save(tmp_path / "other", overwrite=overwrite)
    assert names(tmp_path / "other") == ["notes.txt"]
    with pytest.raises(FileNotFoundError, match="absent"):
        save(tmp_path / "absent" / "i")
    damaged = bytearray(segments_of(index)[0].read_bytes())
    damaged[-100] ^= 1
    segments_of(index)[0].write_bytes(damaged)
    before = names(index)
    with pytest.raises(FileExistsError, match="expected a sound index to replace"):
        save(index, overwrite=True)
    assert names(index) == before
    # What a writer leaves that was killed during its first save is no index.
    (tmp_path / "killed").mkdir()
    for name in ("LOCK", "segment-0123456789abcdef.safetensors", ".tmp-0123456789abcdef"):
        (tmp_path / "killed" / name).write_bytes(b"x")
    save(tmp_path / "killed")
    assert len(names(tmp_path / "killed")) == 3 and persistence.check(tmp_path / "killed").ok


def test_orphans_are_reported_and_collected(index: Path) -> None:
    for name in ("segment-0123456789abcdef.safetensors", ".tmp-0123456789abcdef"):
        (index / name).write_bytes(b"x")
    (index / "notes.txt").write_text("not ours")
    report = persistence.check(index)
    assert report.ok and report.orphans == [".tmp-0123456789abcdef", "segment-0123456789abcdef.safetensors"]
    save(index, overwrite=True)
    assert persistence.check(index).orphans == [] and (index / "notes.txt").exists()


# --- The lock ---


def test_two_writers(index: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (index / "LOCK").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(IndexLockedError, match="another writer") as caught:
            save(index, overwrite=True)
        assert caught.value.filename == str(index / "LOCK")
        assert answers(index)  # readers take no lock
    save(index, overwrite=True)


def test_a_killed_writer_frees_the_lock(index: Path) -> None:
    program = (
        "import fcntl, sys, time\n"
        "lock = open(sys.argv[1], 'rb'); fcntl.flock(lock, fcntl.LOCK_EX); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, index / "LOCK"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(IndexLockedError):
            save(index, overwrite=True)
        writer.kill()
        writer.wait()
    save(index, overwrite=True)


def test_the_lock_that_has_the_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking, a save that failed may remove the lock file: what has its name then is locked."""
    fcntl = pytest.importorskip("fcntl")
    lock, original, calls = tmp_path / "LOCK", fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not calls:
            lock.unlink()
            lock.touch()
        calls.append(operation)
        original(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with writing._locked(tmp_path):
        assert len(calls) == 2
        with lock.open("rb") as other, pytest.raises(BlockingIOError):
            original(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- Opening what is not there, or moves ---


def test_paths(tmp_path: Path, index: Path) -> None:
    for function in (open_index, Index.open, persistence.check, persistence.inspect, persistence.digest):
        call: Callable[[Path], object] = function
        with pytest.raises(FileNotFoundError, match="absent"):
            call(tmp_path / "absent")
        with pytest.raises(FileNotFoundError, match="no index"):
            call(tmp_path)
    with pytest.raises(NotADirectoryError, match="LOCK"):
        Index.open(index / "LOCK")
    (tmp_path / "link").symlink_to(index)
    assert answers(tmp_path / "link") == answers(index)
    with pytest.raises(UnsupportedFormatError, match="a part of an index"):
        persistence.load(segments_of(index)[0])
    assert persistence.load(index).search(["a"]).to_list() == answers(index)[0]


def test_a_generation_collected_while_it_is_opened(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = reading.read_manifest, []

    def read_manifest(directory: Path, generation: int) -> Any:
        manifest = original(directory, generation)
        if len(calls) < 3:
            calls.append(generation)
            for _ in range(2):
                save_quietly(index)
        return manifest

    def save_quietly(path: Path) -> None:
        monkeypatch.setattr(reading, "read_manifest", original)
        save(path, OTHER, overwrite=True)
        monkeypatch.setattr(reading, "read_manifest", read_manifest)

    monkeypatch.setattr(reading, "read_manifest", read_manifest)
    assert open_index(index).generation == 7
    assert calls == [1, 3, 5]


def test_a_missing_segment_is_damage(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listings = []
    original = reading.generations
    monkeypatch.setattr(reading, "generations", lambda path: listings.append(1) or original(path))
    segments_of(index)[0].unlink()
    with pytest.raises(CorruptFileError, match=r"segment-.*it is missing; generation 1 is damaged, no older"):
        open_index(index)
    assert len(listings) == reading.MAX_LISTINGS
    report = persistence.check(index)
    assert [reason for _, _, reason in report.problems] == [reading.MISSING] and report.generation is None


# --- Damage ---


def refuse(path: Path, what: object = "") -> None:
    """Both ways of opening and the check refuse, and nothing on disk changes."""
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    with pytest.raises(REFUSED):
        Index.open(path)
        print("accepted", what)
    with contextlib.suppress(UnsupportedFormatError):
        assert not persistence.check(path).ok
    assert before == {file.name: file.stat().st_mtime_ns for file in path.iterdir()}


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


def rewrite_manifest(index: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as its author would: the digest is right again."""
    manifest = manifest_of(index)
    value = json.loads(manifest.read_bytes().split(b"\n")[0])
    change(value)
    seal_manifest(manifest, canonical_json(value).encode())


def seal_manifest(manifest: Path, line: bytes) -> None:
    manifest.write_bytes(line + b"\n" + f"{xxh3(line):016x}".encode() + b"\n")


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
    with pytest.raises(CorruptFileError):
        Index.open(index, verify="header")
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


def test_a_segment_by_itself(index: Path, tmp_path: Path) -> None:
    assert persistence.check(segments_of(index)[0]).ok
    hostile(tmp_path / "hostile", put("posting_documents", 6, 3))
    report = persistence.check(segments_of(tmp_path / "hostile")[0])
    assert [array for _, array, _ in report.problems] == ["posting_documents"]


# --- Saving when calls fail ---


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("site", SITES)
def test_a_failing_call_in_a_first_save(tmp_path: Path, site: str, code: int) -> None:
    n_calls = calls_of(lambda directory: save(directory.path, directory=directory), tmp_path / "counted")[site]
    (tmp_path / "empty").mkdir()
    for name, left in (("new", None), ("empty", [])):
        path = tmp_path / name
        for at in range(n_calls):
            directory = FaultyDirectory(path, site, at, code)
            with pytest.raises(OSError, match=r".") as caught:
                save(path, directory=directory)
            assert caught.value.errno == code and str(caught.value.filename).startswith(str(path))
            assert directory.n_faults == 1
            assert (names(path) if path.exists() else None) == left
    assert n_calls > 0
    save(tmp_path / "new")
    assert answers(tmp_path / "new")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("site", SITES)
def test_a_failing_call_in_a_later_save(index: Path, site: str, code: int) -> None:
    save(index, OTHER, overwrite=True)
    listing, before = names(index), answers(index)
    counted = index.with_name("counted")
    shutil.copytree(index, counted)

    def overwrite(directory: Directory) -> None:
        save(directory.path, TOY, overwrite=True, directory=directory)

    n_calls = calls_of(overwrite, counted)[site]
    for at in range(n_calls):
        directory = FaultyDirectory(index, site, at, code)
        with pytest.raises(OSError, match=r"."):
            overwrite(directory)
        assert directory.n_faults == 1 and names(index) == listing and answers(index) == before
        assert persistence.check(index).ok
    assert n_calls > 0
    overwrite(directory)  # the same object goes on when the fault is over
    assert answers(index) != before and generations(index) == [3, 2]


def test_failing_unlink_leaves_work_for_the_next_writer(index: Path) -> None:
    save(index, OTHER, overwrite=True)
    n_calls = calls_of(lambda d: save(d.path, overwrite=True, directory=d), index)["unlink"]
    assert n_calls == 2
    for at in range(n_calls):
        directory = FaultyDirectory(index, "unlink", at, errno.EIO)
        save(index, overwrite=True, directory=directory)  # the commit stands
        assert directory.n_faults == 1 and persistence.check(index).ok
    save(index, overwrite=True)
    assert len(names(index)) == 5


def test_failing_clean_up_keeps_the_first_error(index: Path) -> None:
    directory = FaultyDirectory(index, "write", 3, errno.ENOSPC)
    directory.unlink_fails = True
    before = answers(index)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        save(index, OTHER, overwrite=True, directory=directory)
    report = persistence.check(index)
    assert report.ok and len(report.orphans) == 1 and answers(index) == before
    save(index, OTHER, overwrite=True)
    assert persistence.check(index).orphans == []


def test_short_writes(tmp_path: Path) -> None:
    n_calls = calls_of(lambda directory: save(directory.path, directory=directory), tmp_path / "counted")["write"]
    expected = segments_of(tmp_path / "counted")[0].read_bytes()
    for at in range(n_calls):
        directory = FaultyDirectory(tmp_path / str(at), "write", at, None)
        save(directory.path, directory=directory)
        assert directory.n_faults == 1 and segments_of(directory.path)[0].read_bytes() == expected
        assert answers(directory.path) == answers(tmp_path / "counted")


def test_an_interrupted_save(tmp_path: Path, index: Path) -> None:
    class Interrupted(Directory):
        def sync_file(self, descriptor: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "new", directory=Interrupted(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    listing = names(index)
    with pytest.raises(KeyboardInterrupt):
        save(index, overwrite=True, directory=Interrupted(index))
    assert names(index) == listing


@contextlib.contextmanager
def mounted(path: Path, *options: str) -> Iterator[None]:
    """A small file system in memory; skips where it may not be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs: the faults above are injected instead")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    disk = tmp_path / "disk"
    with mounted(disk, "-o", "size=4m"):
        documents = [[f"t{t}" for t in rng.integers(0, 5000, 30)] for _ in range(3000)]
        save(disk / "i", documents)
        before = Index.open(disk / "i").search(["t1", "t2"]).to_list()
        (disk / "ballast").write_bytes(bytes(1 << 20))
        full = 0
        for _ in range(6):
            try:
                save(disk / "i", documents, overwrite=True)
            except OSError as error:
                assert error.errno == errno.ENOSPC and str(error.filename).startswith(str(disk / "i"))
                full += 1
            assert persistence.check(disk / "i").ok and persistence.check(disk / "i").orphans == []
            assert Index.open(disk / "i").search(["t1", "t2"]).to_list() == before
        assert full > 0
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            save(disk / "other", documents * 3)
        assert not (disk / "other").exists()
        (disk / "ballast").unlink()
        newest = generations(disk / "i")[0]
        save(disk / "i", documents, overwrite=True)
        assert generations(disk / "i")[0] == newest + 1


def test_a_read_only_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk):
        save(disk / "i")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert answers(disk / "i") and persistence.check(disk / "i").ok
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            save(disk / "i", overwrite=True)
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            save(disk / "other")


# --- Processes and threads ---


def test_a_reader_in_forked_children(tmp_path: Path) -> None:
    rng = random.Random(2)
    documents = [[f"t{rng.randrange(300)}" for _ in range(40)] for _ in range(2000)]
    save(tmp_path / "i", documents)
    opened = Index.open(tmp_path / "i")
    queries = [[f"t{rng.randrange(300)}" for _ in range(5)] for _ in range(50)]
    expected = opened.search_batch(queries, 10, n_threads=2)  # the pool is warm
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                hits = opened.search_batch(queries, 10, n_threads=2)
                same = np.array_equal(hits.doc_ids, expected.doc_ids) and np.array_equal(hits.scores, expected.scores)
                status = 0 if same else 2
            finally:
                os._exit(status)
        pids.append(pid)
    again = opened.search_batch(queries, 10, n_threads=2)
    assert np.array_equal(again.scores, expected.scores)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]


def test_eight_threads_share_a_reader(tmp_path: Path) -> None:
    rng = random.Random(3)
    save(tmp_path / "i", [[f"t{rng.randrange(200)}" for _ in range(30)] for _ in range(1500)])
    queries = [[f"t{rng.randrange(200)}" for _ in range(4)] for _ in range(100)]
    opened = Index.open(tmp_path / "i", verify="header")  # postings are checked by whoever comes first
    expected = [Index.open(tmp_path / "i").search(query).to_list() for query in queries[:1]]
    reference = Index.open(tmp_path / "i")
    expected = [reference.search(query).to_list() for query in queries]
    failures: list[object] = []
    start = threading.Barrier(8)

    def search(offset: int) -> None:
        start.wait()
        for i in range(len(queries)):
            j = (i + offset) % len(queries)
            if opened.search(queries[j]).to_list() != expected[j]:
                failures.append(j)

    threads = [threading.Thread(target=search, args=(13 * t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    opened.verify()
    for thread in threads:
        thread.join(60)
    assert failures == []


# --- What is stored and must never change ---

MASK = (1 << 64) - 1


def mix(x: int) -> int:
    x ^= x >> 32
    x = x * 0xD6E8FEB86659FD93 & MASK
    return x ^ x >> 32


def hash_bytes(data: bytes) -> int:
    """The hash behind `term_slots` and `key_slots`, in plain Python."""
    h = 0x9E3779B97F4A7C15 ^ (len(data) * 0xFF51AFD7ED558CCD & MASK)
    for i in range(0, len(data), 8):
        block = data[i : i + 8]
        h = mix(h ^ int.from_bytes(block, "little"))
        if len(block) == 8:
            h = h + 0x9E3779B97F4A7C15 & MASK
    return mix(h)


def hash_integer(value: int) -> int:
    x = value & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def slots_of(hashes: list[int]) -> list[int]:
    size = 4
    while size < len(hashes) + len(hashes) // 3 + 1:
        size *= 2
    slots = [0] * size
    for i, h in enumerate(hashes):
        at = h % size
        while slots[at]:
            at = (at + 1) % size
        slots[at] = i + 1
    return slots


def test_hash_tables_are_frozen() -> None:
    rng = random.Random(9)
    strings = ["".join(rng.choices("abcé京\0", k=n)) + str(n) for n in range(40) for _ in range(5)]
    strings = ["", *dict.fromkeys(strings)]
    assert _core.search.pack_strings(strings)[2].tolist() == slots_of([hash_bytes(s.encode()) for s in strings])
    integers = [0, -1, 2**63 - 1, -(2**63), *range(1, 100), *(rng.getrandbits(62) for _ in range(50))]
    slots, _ = _core.search.hash_integers(np.array(integers, np.int64))
    assert slots.tolist() == slots_of([hash_integer(i) for i in integers])
