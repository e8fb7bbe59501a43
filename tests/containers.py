"""Containers to be read, changed and sealed again, for the tests of the format."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from likewise import persistence
from likewise.errors import CorruptFileError, UnsupportedFormatError
from likewise.persistence.container import DTYPES, encode, parse_container, xxh3

REFUSED = (CorruptFileError, UnsupportedFormatError)


def example_bytes() -> bytes:
    arrays = {"ids": np.array([0, 1, 2], np.int64), "weights": np.array([1.5, -2], np.float32)}
    return b"".join(encode("example", "1", {}, arrays))


def parse(data: bytes) -> persistence.Container:
    return parse_container(memoryview(data))


def sealed(header: dict[str, Any], body: bytes) -> bytes:
    """A file with this header and these data, whose check is right."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return seal_text(text, body)


def seal_text(text: bytes, body: bytes) -> bytes:
    text += b" " * (-(8 + len(text)) % 64)
    prefix = struct.pack("<Q", len(text)) + text
    return prefix + body[:-8] + struct.pack("<Q", xxh3(prefix))


def example_parts() -> tuple[dict[str, Any], bytes]:
    data = example_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + n]), data[8 + n :]


def many_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    arrays = {f"a.{name.lower()}": rng.integers(0, 2, 7).astype(dtype) for name, dtype in DTYPES.items()}
    arrays |= {
        "scalar": np.array(2.5),
        "empty": np.empty(0, np.int32),
        "empty_rows": np.empty((3, 0, 2), np.float64),
        "rank4": rng.standard_normal((2, 3, 4, 5)),
        "z": np.arange(64, dtype=np.uint8),
        "z_empty": np.empty(0, np.uint8),
        "x" * 64: np.ones(1, np.uint8),
    }
    return arrays
