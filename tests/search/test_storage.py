"""Index directories: what a save does and in which order, and what an open does."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise import _core, persistence
from likewise.errors import CorruptFileError, IndexLockedError, UnsupportedFormatError
from likewise.persistence.container import xxh3
from likewise.persistence.files import Directory
from likewise.search.index import Index
from likewise.search.storage import generations, open_index, reading, write_index, writing
from tests.search.segments import make_segment
from tests.search.stored import (
    OTHER,
    TOY,
    answers,
    manifest_of,
    names,
    save,
    segments_of,
)

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
