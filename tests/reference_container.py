"""A slow reader of containers, written from the format's description alone, to be compared with the library's.

It walks the file byte by byte and rule by rule, shares no code with the library, and takes no care of speed.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import xxhash

SIZES = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
LETTERS = set("abcdefghijklmnopqrstuvwxyz0123456789_.")
HEX = set("0123456789abcdef")


class Refused(Exception):
    """The file breaks a rule."""


def require(condition: object, rule: str) -> None:
    if not condition:
        raise Refused(rule)


def hash64(data: bytes) -> int:
    return int(xxhash.xxh3_64_hexdigest(data), 16)


def loads(text: str) -> Any:
    """Canonical JSON: no duplicate keys, keys sorted, no blanks, no NaN."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len({key for key, _ in items}) == len(items), "duplicate keys")
        return dict(items)

    def constant(name: str) -> None:
        raise Refused(name)

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from None
    require(again == text, "not canonical")
    return value


def integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**62


def read(data: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """The arrays of a sound file: dtype, shape and bytes by name. `Refused` for any other."""
    require(len(data) >= 8, "a length")
    (n,) = struct.unpack("<Q", data[:8])
    require(n <= 1 << 20 and 8 + n <= len(data) and (8 + n) % 64 == 0, "length of the header")
    try:
        text = data[8 : 8 + n].decode("utf-8").rstrip(" ")
    except UnicodeDecodeError:
        raise Refused("UTF-8") from None
    header = loads(text)
    require(isinstance(header, dict), "an object")
    metadata = header.pop("__metadata__", None)
    require(isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values()), "metadata")
    require(metadata.get("format") == "likewise" and metadata.get("format_version") == "1", "format")
    require({"kind", "kind_version", "params", "requires"} <= metadata.keys(), "keys of the metadata")
    require(not metadata["requires"].strip(","), "requires")
    require(isinstance(loads(metadata["params"]), dict), "params")

    body = data[8 + n :]
    arrays: dict[str, tuple[str, list[int], bytes]] = {}
    spans = {}
    for name, entry in header.items():
        require(0 < len(name) <= 64 and set(name) <= LETTERS, "name")
        require(isinstance(entry, dict) and sorted(entry) == ["data_offsets", "dtype", "shape"], "entry")
        dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
        require(isinstance(dtype, str) and dtype in SIZES, "dtype")
        require(isinstance(shape, list) and len(shape) <= 4 and all(map(integer, shape)), "shape")
        require(isinstance(span, list) and len(span) == 2 and all(map(integer, span)), "offsets")
        size = SIZES[dtype]
        for length in shape:
            size *= length
        require(span[1] - span[0] == size and span[1] <= len(body), "size")
        spans[name] = span
        arrays[name] = (dtype, shape, body[span[0] : span[1]])

    # Every byte belongs to exactly one tensor.
    owners = [0] * len(body)
    for begin, end in spans.values():
        for i in range(begin, end):
            owners[i] += 1
    require(all(count == 1 for count in owners), "holes, overlaps or trailing bytes")
    require("__check" in arrays and arrays["__check"][:2] == ("U64", [1]), "check")
    require(spans["__check"][1] == len(body), "check last")
    pads = [name for name in arrays if name.startswith("__pad")]
    names = sorted(name for name in arrays if not name.startswith("__"))
    require(len(names) + len(pads) + 1 == len(arrays) and len(names) <= 1024, "names")
    last = 0
    for name in [*names, "__check"]:
        begin, end = spans[name]
        require(begin >= last, "order")
        require(begin == end or (8 + n + begin) % 64 == 0, "alignment")
        last = end
    by_position = sorted(pads, key=lambda name: spans[name])
    require(by_position == [f"__pad{i}" for i in range(len(pads))], "fillers in order")
    for name in pads:
        dtype, shape, content = arrays[name]
        require(dtype == "U8" and len(shape) == 1 and content and not any(content), "zero fillers")

    digests = {key.removeprefix("xxh3:"): value for key, value in metadata.items() if key.startswith("xxh3:")}
    require(sorted(digests) == names, "a digest for each array")
    for name in names:
        dtype, _, content = arrays[name]
        require(len(digests[name]) == 16 and set(digests[name]) <= HEX, "hexadecimal digits")
        require(int(digests[name], 16) == hash64(content), "digest")
        require(dtype != "BOOL" or set(content) <= {0, 1}, "booleans")
    require(struct.unpack("<Q", arrays["__check"][2])[0] == hash64(data[: 8 + n]), "check of the header")
    return {name: arrays[name] for name in names}
