"""Headers that break the rules, and what `load`, `inspect` and `check` say of damaged and foreign files."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import mmap
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from likewise import persistence
from likewise.errors import CorruptFileError, IndexLockedError, UnsupportedFormatError
from likewise.persistence.container import encode, read_container, xxh3
from tests import reference_container
from tests.containers import REFUSED, example_bytes, example_parts, many_arrays, parse, seal_text, sealed
from tests.fuzz.container import Draft, mutate


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "example.safetensors"
    path.write_bytes(example_bytes())
    return path


# --- Edge cases of the header ---


def test_header_lengths(tmp_path: Path) -> None:
    data = example_bytes()
    path = tmp_path / "f"
    for length in (0, 7, 503, 505, 568, 639, 640, 641, (1 << 20) + 56, 1 << 40, 1 << 63, (1 << 64) - 1):
        path.write_bytes(struct.pack("<Q", length) + data[8:])
        with pytest.raises(REFUSED):
            read_container(path)
        with pytest.raises(REFUSED):
            read_container(path, mmap=False)
    for content in (b"", b"x", b"\0" * 7, b"\0" * 8, b"\0" * 16, b"\xff" * 4096):
        path.write_bytes(content)
        for mapped in (True, False):
            with pytest.raises(REFUSED):
                read_container(path, mmap=mapped)


NAN = float("nan")
BAD_ENTRIES: list[tuple[str, Any]] = [
    ("shape", [3.0]), ("shape", [-3]), ("shape", [True]), ("shape", ["3"]), ("shape", [2**62 + 1]), ("shape", 3),
    ("shape", [3, 1, 1, 1, 1]), ("shape", [2**32, 2**32]), ("shape", [2**62, 0]), ("shape", [0]), ("shape", [4]),
    ("shape", None), ("shape", [10**400]), ("shape", {"0": 3}),
    ("data_offsets", [0, 25]), ("data_offsets", [-24, 0]), ("data_offsets", [0.0, 24.0]), ("data_offsets", [0]),
    ("data_offsets", [8, 32]), ("data_offsets", [24, 0]), ("data_offsets", [0, 24, 24]), ("data_offsets", [False, 24]),
    ("data_offsets", [2**62 - 24, 2**62]), ("data_offsets", [64, 88]),
    ("dtype", "I63"), ("dtype", "i64"), ("dtype", 64), ("dtype", None), ("dtype", ["I64"]), ("dtype", "U32"),
    ("dtype", "F8_E4M3"), ("extra", 1),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD_ENTRIES)
def test_bad_entries(key: str, value: Any) -> None:
    header, body = example_parts()
    header["ids"][key] = value
    data = sealed(header, body)
    with pytest.raises(CorruptFileError) as caught:
        parse(data)
    assert caught.value.array
    with pytest.raises(reference_container.Refused):
        reference_container.read(data)


def test_bad_texts() -> None:
    header, body = example_parts()
    good = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    assert parse(seal_text(good, body)).arrays.keys() == {"ids", "weights"}
    assert parse(seal_text(good + b" " * 640, body)).arrays.keys() == {"ids", "weights"}
    bad = {
        "not JSON": good[:-1],
        "not UTF-8": good.replace(b"example", b"exampl\xff"),
        "spaces": good.replace(b":", b": ", 1),
        "leading space": b" " + good,
        "newline": good + b"\n",
        "duplicate key": b'{"__check":' + json.dumps(header["__check"]).replace(" ", "").encode() + b"," + good[1:],
        "NaN": good.replace(b'"shape":[3]', b'"shape":[NaN]'),
        "array": b"[]",
        "number": b"1",
        "empty": b"",
        "nested": b"[" * 500_000 + b"]" * 500_000,
        "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "surrogate": good.replace(b'"kind":"example"', b'"kind":"\\ud800"'),
        "escaped": good.replace(b'"kind":"example"', b'"kind":"\\u0065xample"'),
        "unsorted": good.replace(b'"dtype":"I64","shape":[3]', b'"shape":[3],"dtype":"I64"'),
        "big exponent": good.replace(b'"shape":[3]', b'"shape":[1e999]'),
        "long number": good.replace(b'"shape":[3]', b'"shape":[' + b"3" * 5000 + b"]"),
    }
    for name, text in bad.items():
        assert text != good, name
        with pytest.raises(CorruptFileError):
            parse(seal_text(text, body))
        with pytest.raises(reference_container.Refused):
            reference_container.read(seal_text(text, body))


def changed_metadata(**changes: Any) -> bytes:
    header, body = example_parts()
    for key, value in changes.items():
        name = key.replace("__", ":")
        if value is None:
            del header["__metadata__"][name]
        else:
            header["__metadata__"][name] = value
    return sealed(header, body)


def test_metadata() -> None:
    for changes in (
        {"xxh3__ids": None}, {"xxh3__other": "0" * 16}, {"xxh3__ids": "0" * 16}, {"xxh3__ids": "7FB6F0C094F81C5D"},
        {"xxh3__ids": "7fb6f0c094f81c5"}, {"kind": None}, {"kind_version": None}, {"params": None}, {"requires": None},
        {"params": "[]"}, {"params": "{"}, {"params": '{"a":NaN}'}, {"params": '{"a":1,"a":1}'}, {"params": '{"a": 1}'},
        {"kind": 1}, {"params": {}}, {"params": "[" * 100_000}, {"created_by": 1},
    ):  # fmt: skip
        with pytest.raises(CorruptFileError):
            parse(changed_metadata(**changes))
    for changes in (
        {"format": "other"}, {"format": None}, {"format_version": "2"}, {"format_version": "10"},
        {"format_version": None}, {"requires": "deletes"}, {"requires": ",x"},
    ):  # fmt: skip
        with pytest.raises(UnsupportedFormatError):
            parse(changed_metadata(**changes))
    assert parse(changed_metadata(created_by="a test", future="ignored")).created_by == "a test"


def test_layout() -> None:
    header, body = example_parts()

    def refuse(change: Any, data: bytes = body, array: str | None = None) -> None:
        changed = copy.deepcopy(header)
        change(changed)
        with pytest.raises(CorruptFileError) as caught:
            parse(sealed(changed, data))
        assert array is None or caught.value.array == array
        with pytest.raises(reference_container.Refused):
            reference_container.read(sealed(changed, data))

    refuse(lambda h: h.pop("__check"))
    refuse(lambda h: h.pop("__pad0"))
    refuse(lambda h: h.pop("ids"))
    refuse(lambda h: h.update(__pad7=h.pop("__pad0")))
    refuse(lambda h: h.update(other=h.pop("__pad0")))
    refuse(lambda h: h.update(__other=h.pop("__pad0")))
    refuse(lambda h: h.update({"a/b": h.pop("ids")}))
    refuse(lambda h: h.update(zz=h.pop("ids")))
    refuse(lambda h: h.update(twice=dict(h["ids"])))
    refuse(lambda h: h.update(empty={"dtype": "U8", "shape": [0], "data_offsets": [24, 24]}))  # no digest
    refuse(lambda h: h["__check"].update(dtype="I64"))
    refuse(lambda h: h["__check"].update(shape=[1, 1]))
    refuse(lambda h: h["__check"].update(data_offsets=[120, 128]))
    refuse(lambda h: h["__pad0"].update(dtype="BOOL"))
    refuse(lambda h: h["__pad0"].update(shape=[40, 1]))
    refuse(lambda h: h["__pad1"].update(data_offsets=[72, 127], shape=[55]))
    refuse(lambda h: None, body[:30] + b"\1" + body[31:], "__pad0")
    refuse(lambda h: None, body[:-8] + bytes(64) + body[-8:])
    refuse(lambda h: None, body[64:])


def test_misaligned_array_is_refused() -> None:
    header = {
        "__metadata__": {
            "format": "likewise", "format_version": "1", "kind": "example", "kind_version": "1", "params": "{}",
            "requires": "", "xxh3:a": f"{xxh3(bytes(3)):016x}", "xxh3:b": f"{xxh3(bytes(5)):016x}",
        },
        "a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
        "b": {"dtype": "U8", "shape": [5], "data_offsets": [3, 8]},
        "__pad0": {"dtype": "U8", "shape": [56], "data_offsets": [8, 64]},
        "__check": {"dtype": "U64", "shape": [1], "data_offsets": [64, 72]},
    }  # fmt: skip
    with pytest.raises(CorruptFileError, match="b: expected to begin at a multiple of 64"):
        parse(sealed(header, bytes(72)))


def test_booleans() -> None:
    data = bytearray(b"".join(encode("example", "1", {}, {"flags": np.array([True, False, True])})))
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    body = bytearray(data[8 + n :])
    body[1] = 2
    header["__metadata__"]["xxh3:flags"] = f"{xxh3(bytes(body[:3])):016x}"
    with pytest.raises(CorruptFileError, match="flags: expected booleans"):
        parse(sealed(header, bytes(body)))


def test_foreign_and_future_files(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.numpy.save_file({"a": np.arange(3)}, path, {"format": "pt"})
    with pytest.raises(UnsupportedFormatError, match="not a likewise file"):
        persistence.load(path)
    safetensors.numpy.save_file({"a": np.arange(3)}, path)
    with pytest.raises(UnsupportedFormatError, match="not a likewise file") as caught:
        persistence.check(path)
    assert caught.value.path == str(path)
    path.write_bytes(changed_metadata(format_version="2"))
    with pytest.raises(UnsupportedFormatError, match=r"format_version 1, got format_version '2'$"):
        persistence.load(path)
    path.write_bytes(changed_metadata(requires="positions"))
    with pytest.raises(UnsupportedFormatError, match="required feature 'positions'"):
        persistence.inspect(path)


def test_paths(tmp_path: Path, example: Path) -> None:
    for function in (persistence.load, persistence.inspect, persistence.check, persistence.digest):
        with pytest.raises(FileNotFoundError, match="absent"):
            function(tmp_path / "absent")
        with pytest.raises(FileNotFoundError):
            function(tmp_path)  # a directory without an index
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="regular file"):
        persistence.load(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(example)
    assert persistence.load(tmp_path / "link").keys() == {"ids", "weights"}
    with pytest.raises(ValueError, match="verify: expected 'full' or 'header', got 'none'"):
        persistence.load(example, verify="none")
    with pytest.raises(ValueError, match="prefault"):
        read_container(example, prefault="all")


def test_inspect_check_digest(example: Path) -> None:
    facts = persistence.inspect(example)
    assert facts["kind"] == "example" and facts["n_bytes"] == 648 and facts["format_version"] == 1
    assert facts["arrays"][0] == {"name": "ids", "dtype": "int64", "shape": [3], "n_bytes": 24}
    assert persistence.digest(example) == hashlib.sha256(example.read_bytes()).hexdigest()
    report = persistence.check(example)
    assert report.ok and report.problems == [] and report.generation is None
    assert str(report).startswith("example.safetensors: ok\n")
    data = bytearray(example.read_bytes())
    data[512] ^= 1  # ids
    data[580] ^= 1  # weights
    data[600] ^= 1  # the filler behind them
    example.write_bytes(data)
    report = persistence.check(example)
    assert not report.ok
    assert [array for _, array, _ in report.problems] == ["__pad1", "ids", "weights"]
    value = json.loads(report.to_json())
    assert value["ok"] is False and value["problems"][1]["array"] == "ids"
    assert persistence.check(example, full=False).ok  # header level sees no array
    data[100] ^= 1
    example.write_bytes(data)
    with pytest.raises(REFUSED):
        persistence.load(example)


def test_check_of_broken_headers(example: Path) -> None:
    data = bytearray(example.read_bytes())
    data[-1] ^= 1
    example.write_bytes(data)
    report = persistence.check(example)
    assert [array for _, array, _ in report.problems] == ["__check"] and report.files == [("example.safetensors", 648)]
    example.write_bytes(b"")
    assert not persistence.check(example).ok
    with pytest.raises(CorruptFileError):
        persistence.inspect(example)


def test_created_by_and_counts() -> None:
    parts = encode("example", "1", {}, {}, created_by="likewise 0.1.0")
    assert parse(b"".join(parts)).created_by == "likewise 0.1.0"
    header, body = example_parts()
    for i in range(1023):
        header[f"e{i}"] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
        header["__metadata__"][f"xxh3:e{i}"] = f"{xxh3(b''):016x}"
    with pytest.raises(CorruptFileError, match="at most 1024 arrays, got 1025"):
        parse(sealed(header, body))
    text = json.dumps(example_parts()[0], sort_keys=True, separators=(",", ":")).encode()
    prefix = struct.pack("<Q", len(text)) + text  # not padded
    with pytest.raises(CorruptFileError, match="expected an end at a multiple of 64"):
        parse(prefix + body[:-8] + struct.pack("<Q", xxh3(prefix)))


def test_a_file_cut_short_while_it_is_read(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(example, 600)
    monkeypatch.setattr(os, "fstat", lambda descriptor: os.stat_result([0o100644, *[0] * 5, 648, 0, 0, 0]))
    with pytest.raises(CorruptFileError):
        read_container(example, mmap=False)


def test_populate_without_the_system_call(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Map(mmap.mmap):
        def madvise(self, *arguments: int) -> None:  # type: ignore[override]
            raise OSError(errno.EINVAL, "old kernel")

    monkeypatch.setattr(mmap, "mmap", Map)
    assert read_container(example, prefault="populate").arrays["ids"].tolist() == [0, 1, 2]


def test_corrupt_error_tells_where(example: Path) -> None:
    data = bytearray(example.read_bytes())
    data[512] ^= 1
    example.write_bytes(data)
    with pytest.raises(CorruptFileError) as caught:
        persistence.load(example)
    error = caught.value
    assert (error.path, error.array, error.offset) == (str(example), "ids", 512)
    assert "7fb6f0c094f81c5d" in error.reason and str(example) in str(error)
    for original in (error, UnsupportedFormatError("p", "f", "s"), IndexLockedError(11, "locked", "p")):
        again = pickle.loads(pickle.dumps(original))
        assert str(again) == str(original) and vars(again) == vars(original)


def test_a_large_claim_allocates_nothing(tmp_path: Path) -> None:
    """A sparse file that says 1 TB is mapped or refused, not read into memory at a guess."""
    path = tmp_path / "sparse"
    path.write_bytes(example_bytes())
    os.truncate(path, 1 << 40)
    with pytest.raises(REFUSED):
        read_container(path)


def test_xxhash_is_imported_late(fresh: Any) -> None:
    fresh("import sys, likewise, likewise.persistence; assert 'xxhash' not in sys.modules")


def test_matches_the_reference_on_mutants() -> None:
    """The library and the slow reader accept and refuse the same files."""
    rng = random.Random(7)
    seeds = [example_bytes(), b"".join(encode("example", "1", {"a": 1}, many_arrays()))]
    verdicts = {True: 0, False: 0}
    for _ in range(1500):
        data = seeds[rng.random() < 0.2]
        for _ in range(rng.randint(1, 2)):
            data = mutate(data, rng)
        try:
            parsed: dict[str, Any] | None = parse(data).arrays
        except REFUSED:
            parsed = None
        try:
            expected: dict[str, Any] | None = reference_container.read(data)
        except reference_container.Refused:
            expected = None
        assert (parsed is None) == (expected is None)
        if parsed is not None and expected is not None:
            assert {name: array.tobytes() for name, array in parsed.items()} == {n: e[2] for n, e in expected.items()}
        verdicts[parsed is not None] += 1
    assert min(verdicts.values()) > 100
    assert Draft.read(seeds[0]).write(recompute=True) == seeds[0]
