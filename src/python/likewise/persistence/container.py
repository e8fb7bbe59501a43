"""The container: named arrays in one file, a valid safetensors file of a stricter profile in which every bit counts.

Layout: header length ``n`` (u64, little-endian), ``n`` bytes of canonical JSON padded with spaces to a multiple of 64,
then the arrays in order of their names, each at a multiple of 64, gaps filled by zero tensors ``__pad0``, ``__pad1``,
..., and at the end ``__check``: XXH3-64 of the first ``8 + n`` bytes. The header carries the XXH3-64 of each array.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError, UnsupportedFormatError
from .files import open_regular

__all__ = [
    "FEATURES",
    "FORMAT_VERSION",
    "Container",
    "canonical_json",
    "encode",
    "parse_canonical",
    "read_container",
    "xxh3",
]


VERIFY = ("full", "header")
PREFAULT = ("none", "willneed", "populate")

FORMAT_VERSION = 1
#: Names that may stand in `requires`: what a reader of this version knows beyond the base format.
FEATURES: frozenset[str] = frozenset()

ALIGNMENT = 64
MAX_HEADER = 1 << 20
MAX_ARRAYS = 1024
MAX_RANK = 4
MAX_COUNT = 1 << 62
DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4",
        "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
    }.items()
}  # fmt: skip
_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_NAME_RULE = "a-z 0-9 _ . without leading __"
_ARRAY_NAME = re.compile(r"[a-z0-9_.]{1,64}", re.ASCII)
_PAD_NAME = re.compile(r"__pad(0|[1-9][0-9]{0,3})", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{16}", re.ASCII)


def check_choices(*, verify: object = "full", prefault: object = "none") -> None:
    """Refuse what is no mode of opening."""
    for name, value, choices in (("verify", verify, VERIFY), ("prefault", prefault, PREFAULT)):
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{name}: expected {' or '.join(map(repr, choices))}, got {value!r:.80}")


def xxh3(data: memoryview | bytes) -> int:
    """XXH3-64 with seed 0. It detects accidents; it does not stop an attacker."""
    import xxhash

    state = xxhash.xxh3_64()
    state.update(data)  # releases the GIL
    return state.intdigest()


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of a C-contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


# --- JSON ------------------------------------------------------------------------------------------------------------


def canonical_json(value: object) -> str:
    """JSON with sorted keys and without spaces, NaN or infinities: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refuse_constant(name: str) -> object:
    raise ValueError(f"the constant {name}")


def parse_json(text: str) -> Any:
    """The value of JSON without duplicate keys and NaN; ValueError for any other text."""
    try:
        return json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def require_canonical(value: Any, text: str) -> None:
    """Raise ValueError unless the text is the one that a writer makes of the value."""
    try:
        same = canonical_json(value) == text
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not same:
        raise ValueError("not in canonical form (sorted keys, no spaces, each string and number in its one form)")


def parse_canonical(text: str) -> Any:
    """The value of canonical JSON; ValueError for any other text."""
    value = parse_json(text)
    require_canonical(value, text)
    return value


def is_count(value: object) -> bool:
    """Whether a parsed value may be a size, an offset or a number of things."""
    return type(value) is int and 0 <= value <= MAX_COUNT


# --- Writing ---------------------------------------------------------------------------------------------------------


def _check_storable(arrays: Mapping[str, NDArray[Any]]) -> None:
    if len(arrays) > MAX_ARRAYS:
        raise ValueError(f"arrays: expected at most {MAX_ARRAYS} arrays, got {len(arrays)}")
    for name, array in arrays.items():
        if not isinstance(name, str) or not _ARRAY_NAME.fullmatch(name) or name.startswith("__"):
            raise ValueError(f"arrays: expected names of 1 to 64 characters {_NAME_RULE}, got {name!r}")
        if not isinstance(array, np.ndarray) or array.dtype not in _DTYPE_NAMES or not array.dtype.isnative:
            found = getattr(array, "dtype", type(array))
            raise ValueError(f"{name}: expected a native array of {', '.join(DTYPES)}, got {found}")
        if array.ndim > MAX_RANK or not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a C-contiguous array of rank <= {MAX_RANK}, got shape {array.shape}")


def encode(
    kind: str,
    kind_version: str,
    params: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    requires: Sequence[str] = (),
    created_by: str | None = None,
) -> list[memoryview]:
    """The parts of a container, in the order in which they stand in the file; the arrays are not copied."""
    _check_storable(arrays)
    metadata = {
        "format": "likewise",
        "format_version": str(FORMAT_VERSION),
        "kind": kind,
        "kind_version": kind_version,
        "params": canonical_json(params),
        "requires": ",".join(requires),
    }
    if created_by is not None:
        metadata["created_by"] = created_by
    header: dict[str, Any] = {"__metadata__": metadata}
    parts: list[memoryview] = []
    position = n_pads = 0

    def place(name: str, dtype: str, shape: Sequence[int], data: memoryview) -> None:
        nonlocal position
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(data)]}
        position += len(data)
        parts.append(data)

    def align() -> None:
        nonlocal n_pads
        gap = -position % ALIGNMENT
        if gap:
            place(f"__pad{n_pads}", "U8", [gap], memoryview(bytes(gap)))
            n_pads += 1

    for name in sorted(arrays):
        array = arrays[name]
        data = bytes_of(array)
        metadata[f"xxh3:{name}"] = f"{xxh3(data):016x}"
        if len(data):
            align()
        place(name, _DTYPE_NAMES[array.dtype], array.shape, data)
    align()
    header["__check"] = {"dtype": "U64", "shape": [1], "data_offsets": [position, position + 8]}
    text = canonical_json(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise ValueError(f"params: expected a header of at most {MAX_HEADER} bytes, got {len(text)}")
    prefix = len(text).to_bytes(8, "little") + text
    return [memoryview(prefix), *parts, memoryview(xxh3(prefix).to_bytes(8, "little"))]


# --- Reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Container:
    """A container whose header has been checked. Its arrays are read-only."""

    path: str
    kind: str
    kind_version: str
    params: dict[str, Any]
    requires: tuple[str, ...]
    created_by: str | None
    arrays: dict[str, NDArray[Any]]
    digests: dict[str, int]
    check: int
    size: int
    #: Where each array lies in the file.
    offsets: dict[str, int] = field(repr=False)
    _fillers: dict[str, memoryview] = field(repr=False)

    def problems(self, without: Collection[str] = ()) -> Iterator[CorruptFileError]:
        """Everything that a full check finds, one error an array; arrays named in `without` are left out."""
        for name, filler in self._fillers.items():
            if np.frombuffer(filler, np.uint8).any():
                yield CorruptFileError(self.path, name, "expected zero bytes between arrays", self.offsets[name])
        for name, array in self.arrays.items():
            if name in without:
                continue
            found = xxh3(bytes_of(array))
            if found != self.digests[name]:
                yield self.wrong_digest(name, found)
            elif array.dtype == np.bool_ and array.size and array.reshape(-1).view(np.uint8).max() > 1:
                yield CorruptFileError(self.path, name, "expected booleans stored as 0 or 1", self.offsets[name])

    def wrong_digest(self, name: str, found: int) -> CorruptFileError:
        """The error that names an array whose bytes have another digest than the header says."""
        reason = f"expected XXH3-64 {self.digests[name]:016x}, got {found:016x}"
        return CorruptFileError(self.path, name, reason, self.offsets[name])

    def verify_digests(self, without: Collection[str] = ()) -> None:
        """Compare every array with its digest. Raises `CorruptFileError` for the first that differs."""
        for problem in self.problems(without):
            raise problem


def read_container(
    path: str | os.PathLike[str],
    *,
    mmap: bool = True,
    verify: str = "full",
    prefault: str = "none",
    follow: bool = True,
) -> Container:
    """Open a container file.

    With ``mmap`` the arrays are views of a read-only map; otherwise of a private copy, which is what is then verified.
    """
    check_choices(verify=verify, prefault=prefault)
    descriptor = open_regular(path, follow=follow)
    try:
        # Before anything large is mapped or read: the length must fit what the header says.
        size = os.fstat(descriptor).st_size
        data = _map(descriptor, size, prefault) if mmap and size else _read(descriptor, size)
    finally:
        os.close(descriptor)
    return parse_container(data, path=os.fspath(path), verify=verify)


def _map(descriptor: int, size: int, prefault: str) -> memoryview:
    mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    if prefault == "willneed" and hasattr(mmap, "MADV_WILLNEED"):
        mapped.madvise(mmap.MADV_WILLNEED)
    elif prefault == "populate":
        populate(mapped)
    return memoryview(mapped)


def populate(mapped: mmap.mmap) -> None:
    """Bring every page of the map into memory."""
    madv_populate_read = 22  # Linux 5.14; not named by Python
    try:
        mapped.madvise(madv_populate_read)
    except (OSError, ValueError, AttributeError):
        np.frombuffer(mapped, np.uint8)[:: mmap.PAGESIZE].max(initial=0)


def _read(descriptor: int, size: int) -> memoryview:
    # A file may say that it is larger than memory; numpy then raises MemoryError before anything is read.
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    aligned = buffer.data[start : start + size]
    file = io.FileIO(descriptor, closefd=False)
    done = 0
    while done < size:
        step = file.readinto(aligned[done:])
        if not step:
            break  # cut short while it was read: the sizes will not fit
        done += step
    return aligned[:done].toreadonly()


def parse_container(data: memoryview, *, path: str = "<bytes>", verify: str = "full") -> Container:
    """Check a container that lies in memory, and view its arrays."""
    container = _Parser(data, path).parse()
    if verify == "full":
        container.verify_digests()
    return container


class _Parser:
    """Reads the header. Trusts nothing: a wrong value is an error that says where."""

    def __init__(self, data: memoryview, path: str) -> None:
        self.data = data
        self.path = path

    def error(self, array: str, reason: str, offset: int | None = None) -> CorruptFileError:
        return CorruptFileError(self.path, array, reason, offset)

    def parse(self) -> Container:
        prefix = self._prefix()
        text = bytes(prefix[8:]).rstrip(b" ")
        header = self._json(text)
        stored, computed = int.from_bytes(self.data[-8:], "little"), xxh3(prefix)
        metadata = self._metadata(header, stored == computed)
        if stored != computed:
            reason = f"expected XXH3-64 {computed:016x} of the header, got {stored:016x}"
            raise self.error("__check", reason, len(self.data) - 8)
        try:
            require_canonical(header, text.decode())
        except ValueError as error:
            raise self.error("header", f"expected canonical JSON, got {error}", 8) from None
        if len(prefix) % ALIGNMENT:
            raise self.error("header", f"expected an end at a multiple of {ALIGNMENT}, got {len(prefix)}", 0)
        requires = tuple(name for name in metadata["requires"].split(",") if name)
        unknown = [name for name in requires if name not in FEATURES]
        if unknown:
            raise UnsupportedFormatError(self.path, f"the required feature {unknown[0]!r}", reads())
        entries = {name: self._entry(name, entry) for name, entry in header.items() if name != "__metadata__"}
        self._layout(entries, len(self.data) - len(prefix))
        arrays, offsets, fillers = {}, {}, {}
        for name in sorted(entries):
            dtype, shape, begin, end = entries[name]
            offsets[name] = len(prefix) + begin
            if name.startswith("__pad"):
                fillers[name] = self.data[offsets[name] : offsets[name] + end - begin]
            elif name != "__check":
                flat = (
                    np.empty(0, dtype) if end == begin else np.frombuffer(self.data, dtype, prod(shape), offsets[name])
                )
                flat.flags.writeable = False
                arrays[name] = flat.reshape(shape)
        return Container(
            path=self.path,
            kind=metadata["kind"],
            kind_version=metadata["kind_version"],
            params=self._params(metadata["params"]),
            requires=requires,
            created_by=metadata.get("created_by"),
            arrays=arrays,
            digests=self._digests(metadata, arrays),
            check=stored,
            size=len(self.data),
            offsets=offsets,
            _fillers=fillers,
        )

    def _prefix(self) -> memoryview:
        size = len(self.data)
        if size < 8:
            raise self.error("header", f"expected at least 8 bytes, got {size}", 0)
        length = int.from_bytes(self.data[:8], "little")
        if length > MAX_HEADER:
            raise self.error("header", f"expected a header of at most {MAX_HEADER} bytes, got {length}", 0)
        if 8 + length + 8 > size:
            raise self.error("header", f"expected {8 + length + 8} bytes or more, got a file of {size}", 0)
        return self.data[: 8 + length]

    def _json(self, text: bytes) -> dict[str, Any]:
        try:
            header = parse_json(text.decode())
        except ValueError as error:
            raise self.error("header", f"expected JSON, got {error}", 8) from None
        if not isinstance(header, dict):
            raise self.error("header", "expected a JSON object", 8)
        return header

    def _metadata(self, header: dict[str, Any], sound: bool) -> dict[str, str]:
        metadata = header.get("__metadata__")
        doubt = "" if sound else "or a damaged file: the check of its header differs"
        if not isinstance(metadata, dict) or metadata.get("format") != "likewise":
            raise UnsupportedFormatError(
                self.path, f"something else (not a likewise file{doubt and ', ' + doubt})", reads()
            )
        if metadata.get("format_version") != str(FORMAT_VERSION):
            found = repr(metadata.get("format_version"))[:40]
            raise UnsupportedFormatError(self.path, f"format_version {found}{doubt and f' ({doubt})'}", reads())
        if not all(isinstance(value, str) for value in metadata.values()):
            raise self.error("header", "expected strings in __metadata__", 8)
        for name in ("kind", "kind_version", "params", "requires"):
            if name not in metadata:
                raise self.error("header", f"expected {name!r} in __metadata__", 8)
        return metadata

    def _params(self, text: str) -> dict[str, Any]:
        try:
            params = parse_canonical(text)
        except ValueError as error:
            raise self.error("params", f"expected canonical JSON, got {error}", 8) from None
        if not isinstance(params, dict):
            raise self.error("params", "expected a JSON object", 8)
        return params

    def _entry(self, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
        reserved = name.startswith("__") and name != "__check" and not _PAD_NAME.fullmatch(name)
        if reserved or not _ARRAY_NAME.fullmatch(name):
            raise self.error("header", f"expected names of 1 to 64 characters {_NAME_RULE}, got {name[:80]!r}", 8)
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise self.error(name, "expected dtype, shape and data_offsets", 8)
        dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise self.error(name, f"expected a dtype of {', '.join(DTYPES)}, got {str(entry['dtype'])[:40]!r}", 8)
        shape, span = entry["shape"], entry["data_offsets"]
        if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(is_count(n) for n in shape):
            raise self.error(name, f"expected a shape of at most {MAX_RANK} integers from 0 to 2**62", 8)
        if not isinstance(span, list) or len(span) != 2 or not all(is_count(n) for n in span):
            raise self.error(name, "expected data_offsets of two integers from 0 to 2**62", 8)
        # Python's integers do not overflow.
        n_bytes = prod(shape) * dtype.itemsize
        if n_bytes > MAX_COUNT or max([1, *shape]) * dtype.itemsize > MAX_COUNT or span[1] - span[0] != n_bytes:
            raise self.error(name, f"expected data_offsets that span the {n_bytes} bytes of the shape, got {span}", 8)
        return dtype, tuple(shape), span[0], span[1]

    def _layout(self, entries: dict[str, tuple[np.dtype[Any], tuple[int, ...], int, int]], n_data: int) -> None:
        """No holes, no overlap, nothing behind the end; arrays by name, fillers by number, the check last."""
        check = entries.get("__check")
        if check is None or check[0] != DTYPES["U64"] or check[1] != (1,):
            raise self.error("__check", "expected __check of dtype U64 and shape [1]", 8)
        pads = [name for name in entries if _PAD_NAME.fullmatch(name)]
        names = sorted(name for name in entries if not name.startswith("__"))
        if len(names) > MAX_ARRAYS:
            raise self.error("header", f"expected at most {MAX_ARRAYS} arrays, got {len(names)}", 8)
        order = {name: i for i, name in enumerate([*names, "__check"])}
        position = n_pads = n_arrays = 0
        # At equal positions, an empty array comes before what lies there, and empty arrays go by name.
        for name in sorted(entries, key=lambda name: (*entries[name][2:], order.get(name, 0))):
            dtype, shape, begin, end = entries[name]
            if begin != position:
                raise self.error(name, f"expected to begin at byte {position} of the data, got {begin}", 8)
            position = end
            if name in order:
                if order[name] != n_arrays:
                    raise self.error(name, "expected arrays in order of their names, __check last", 8)
                n_arrays += 1
                if end > begin and begin % ALIGNMENT:
                    raise self.error(name, f"expected to begin at a multiple of {ALIGNMENT}, got {begin}", 8)
            else:
                if name != f"__pad{n_pads}" or dtype != DTYPES["U8"] or len(shape) != 1 or end == begin:
                    raise self.error(name, f"expected the filler __pad{n_pads} of dtype U8 and rank 1, not empty", 8)
                n_pads += 1
        if len(pads) != n_pads or position != n_data:
            raise self.error("header", f"expected {position} bytes of data, got {n_data}", 8)

    def _digests(self, metadata: dict[str, str], arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        stored = {key[5:]: value for key, value in metadata.items() if key.startswith("xxh3:")}
        for name in sorted(stored.keys() ^ arrays.keys()):
            found = "none" if name in arrays else "one without an array"
            raise self.error(name, f"expected one digest an array, got {found}", 8)
        for name, value in stored.items():
            if not _DIGEST.fullmatch(value):
                raise self.error(name, "expected a digest of 16 lower-case hexadecimal digits", 8)
        return {name: int(value, 16) for name, value in stored.items()}


def reads() -> str:
    """What this version opens, for errors."""
    features = f" and the features {', '.join(sorted(FEATURES))}" if FEATURES else ""
    return f"a likewise file of format_version {FORMAT_VERSION}{features}"
