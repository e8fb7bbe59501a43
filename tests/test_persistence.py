"""The container: bytes that are fixed, damage that is refused, saves that happen completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from likewise import persistence
from likewise.errors import CorruptFileError, UnsupportedFormatError
from likewise.persistence.container import encode, read_container, xxh3
from likewise.persistence.files import Directory, replace_file
from tests import reference_container
from tests.containers import REFUSED, example_bytes, example_parts, many_arrays, parse, sealed
from tests.faulty_directory import SITES, FaultyDirectory, calls_of


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "example.safetensors"
    path.write_bytes(example_bytes())
    return path


# --- Oracles ---


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "2d06800538d394c2"),
        (b"likewise", "9556bbd6074bf071"),
        (np.array([0, 1, 2], np.int64).tobytes(), "7fb6f0c094f81c5d"),
        (np.array([1.5, -2], np.float32).tobytes(), "28521d0357d6f77e"),
    ],
)
def test_xxh3(data: bytes, digest: str) -> None:
    assert f"{xxh3(data):016x}" == digest


def test_byte_exact_file() -> None:
    data = example_bytes()
    assert len(data) == 648
    assert hashlib.sha256(data).hexdigest() == "fd06c33f4a818b12054054239768a01b12d5c1e7289b8a6724e88b5ea7be2dfd"
    header, body = example_parts()
    assert struct.unpack("<Q", data[:8]) == (504,)
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    assert spans == {
        "ids": [0, 24],
        "__pad0": [24, 64],
        "weights": [64, 72],
        "__pad1": [72, 128],
        "__check": [128, 136],
    }
    assert struct.unpack("<Q", body[128:]) == (0x3AC4F78A3920479B,)


def test_every_bit_flip_is_refused(example: Path) -> None:
    data = example_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(REFUSED):
            parse(bytes(flipped))


def test_every_truncation_and_extension_is_refused() -> None:
    data = example_bytes()
    for length in range(len(data)):
        with pytest.raises(REFUSED):
            parse(data[:length])
    for extra in (b"\0", b"\0" * 64, data):
        with pytest.raises(CorruptFileError):
            parse(data + extra)


def test_zeroed_sectors_and_flips_that_safetensors_accepts() -> None:
    rng = random.Random(1)
    arrays = {"a": np.arange(1, 20001, dtype=np.uint32), "b": np.linspace(1, 2, 5000)}
    data = b"".join(encode("example", "1", {}, arrays))
    accepted_elsewhere = 0
    for i in range(400):
        changed = bytearray(data)
        if i % 2:
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            start = 512 * rng.randrange(len(data) // 512)
            changed[start : start + 512] = bytes(512)
        if changed == data:
            continue
        try:
            safetensors.deserialize(bytes(changed))
            accepted_elsewhere += 1
        except safetensors.SafetensorError:
            pass
        with pytest.raises(REFUSED):
            parse(bytes(changed))
    assert accepted_elsewhere > 200


def test_safetensors_reads_our_files(tmp_path: Path) -> None:
    arrays = many_arrays()
    path = tmp_path / "a.safetensors"
    persistence.write_container(path, "example", "1", {"k": [1, "é"]}, arrays)
    loaded = safetensors.numpy.load_file(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["params"] == '{"k":[1,"é"]}'


# --- Round trips ---


@pytest.mark.parametrize("mapped", [True, False])
def test_round_trip(tmp_path: Path, mapped: bool) -> None:
    arrays, params = many_arrays(), {"b": None, "a": [1, 2.5, "ü", True], "c": {"d": 1e-300}}
    path = tmp_path / "m.safetensors"
    persistence.write_container(path, "example", "1", params, arrays)
    first = path.read_bytes()
    persistence.write_container(path, "example", "1", params, arrays)
    assert path.read_bytes() == first
    for verify in ("full", "header"):
        container = read_container(path, mmap=mapped, verify=verify, prefault="populate")
        assert (container.kind, container.kind_version, container.params) == ("example", "1", params)
        assert sorted(container.arrays) == sorted(arrays)
        for name, array in arrays.items():
            stored = container.arrays[name]
            assert stored.dtype == array.dtype and stored.shape == array.shape and not stored.flags.writeable
            assert stored.tobytes() == array.tobytes()
            assert array.size == 0 or stored.ctypes.data % 64 == 0
    reference_container.read(first)


def test_bytes() -> None:
    arrays = many_arrays()
    data = persistence.to_bytes("example", "1", {"a": 1}, arrays)
    for source in (data, bytearray(data), memoryview(b"x" + data)[1:]):
        container = persistence.from_bytes(source)  # type: ignore[arg-type]
        assert container.params == {"a": 1} and container.path == "<bytes>"
        for name, array in arrays.items():
            stored = container.arrays[name]
            assert stored.tobytes() == array.tobytes() and stored.flags.aligned and not stored.flags.writeable
    with pytest.raises(CorruptFileError, match="<bytes>"):
        persistence.from_bytes(data[:-1])
    with pytest.raises(CorruptFileError, match="expected at least 8 bytes"):
        persistence.from_bytes(b"")


def test_a_large_filler() -> None:
    """Fillers may be of any size: they are read as fast as arrays, so that a hostile one keeps nobody busy."""
    header, body = example_parts()
    size = 64 << 20
    for name in ("weights", "__pad1", "__check"):
        header[name]["data_offsets"] = [n + size for n in header[name]["data_offsets"]]
    header["__pad0"].update(shape=[40 + size], data_offsets=[24, 64 + size])
    data = sealed(header, body[:64] + bytes(size) + body[64:])
    assert parse(data).arrays["ids"].tolist() == [0, 1, 2]
    with pytest.raises(CorruptFileError, match="__pad0: expected zero bytes"):
        parse(data[: -8 - (32 << 20)] + b"\1" + data[-7 - (32 << 20) :])


@pytest.mark.parametrize("prefault", ["none", "willneed", "populate"])
def test_prefault_gives_the_same(example: Path, prefault: str) -> None:
    assert persistence.read_container(example, prefault=prefault).arrays["ids"].tolist() == [0, 1, 2]


def test_load_dispatches_by_kind(example: Path) -> None:
    assert persistence.load(example)["weights"].tolist() == [1.5, -2.0]
    for kind in (("transport", "1"), ("example", "2")):
        example.write_bytes(b"".join(encode(*kind, {}, {})))
        with pytest.raises(UnsupportedFormatError, match=f"kind '{kind[0]}' version '{kind[1]}'"):
            persistence.load(example)
    with pytest.raises(TypeError, match="expected a file of kind 'other', got 'example'"):
        persistence.expect_kind(parse(example_bytes()), "other")


def test_save_onto_a_mapped_file(example: Path) -> None:
    held = read_container(example)
    persistence.write_container(example, "example", "1", {}, {"ids": held.arrays["ids"] + 1})
    assert held.arrays["ids"].tolist() == [0, 1, 2]
    assert read_container(example).arrays["ids"].tolist() == [1, 2, 3]


def test_overwrite_false(example: Path) -> None:
    with pytest.raises(FileExistsError, match="example"):
        persistence.write_container(example, "example", "1", {}, {}, overwrite=False)
    persistence.write_container(example.with_name("new"), "example", "1", {}, {}, overwrite=False)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"A": np.zeros(1)}, "arrays: expected names"),
        ({"__pad0": np.zeros(1)}, "arrays: expected names"),
        ({"": np.zeros(1)}, "arrays: expected names"),
        ({"a" * 65: np.zeros(1)}, "arrays: expected names"),
        ({"a": np.zeros(1, ">f8")}, "a: expected a native array"),
        ({"a": np.zeros(1, np.complex64)}, "a: expected a native array"),
        ({"a": np.zeros(1, object)}, "a: expected a native array"),
        ({"a": [1.0]}, "a: expected a native array"),
        ({"a": np.zeros((2, 3)).T}, "a: expected a C-contiguous"),
        ({"a": np.zeros((1, 1, 1, 1, 1))}, "a: expected a C-contiguous"),
        ({f"a{i}": np.zeros(0) for i in range(1025)}, "arrays: expected at most 1024"),
    ],
)
def test_writer_refuses(arrays: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode("example", "1", {}, arrays)


@pytest.mark.parametrize("params", [{"a": float("nan")}, {"a": float("inf")}, {"a": "\ud800"}, {"a": "x" * (1 << 20)}])
def test_writer_refuses_params(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode("example", "1", params, {})


# --- Saving when calls fail ---


def save_example(directory: Directory, value: int) -> None:
    replace_file(directory, "m.safetensors", encode("example", "1", {}, {"a": np.full(5000, value)}))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("site", SITES)
def test_a_failing_call_leaves_the_old_file(tmp_path: Path, site: str, code: int) -> None:
    path = tmp_path / "m.safetensors"
    n_calls = calls_of(lambda directory: save_example(directory, 1), tmp_path)[site]
    n_faults = 0
    for at in range(n_calls):
        directory = FaultyDirectory(tmp_path, site, at, code)
        with pytest.raises(OSError, match=r".") as caught:
            save_example(directory, 2)
        assert caught.value.errno == code and caught.value.filename
        n_faults += directory.n_faults
        assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]
        # A failed fsync of the directory comes after the rename: the new file is there, whole.
        assert set(persistence.load(path)["a"].tolist()) == ({2} if site == "sync" else {1})
        save_example(directory, 1)  # the same object can go on
        assert persistence.load(path)["a"][0] == 1
    assert n_faults == n_calls > 0


def test_short_writes_are_completed(tmp_path: Path) -> None:
    n_calls = calls_of(lambda directory: save_example(directory, 1), tmp_path)["write"]
    expected = (tmp_path / "m.safetensors").read_bytes()
    for at in range(n_calls):
        directory = FaultyDirectory(tmp_path, "write", at, None)
        save_example(directory, 1)
        assert directory.n_faults == 1 and directory.calls["write"] == n_calls + 1
        assert (tmp_path / "m.safetensors").read_bytes() == expected


def test_failing_clean_up_keeps_the_first_error(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, "write", 1, errno.ENOSPC)
    directory.unlink_fails = True
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        save_example(directory, 1)
    assert directory.n_faults == 2 and [file.name[:5] for file in tmp_path.iterdir()] == [".tmp-"]


def test_read_only_map(example: Path) -> None:
    array = read_container(example).arrays["ids"]
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
