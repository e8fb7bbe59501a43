"""A producer of the Arrow C data interface made by hand, which counts how often it is released and may lie."""

from __future__ import annotations

import ctypes
import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, ctypes.POINTER(Schema))
RELEASE_ARRAY = ctypes.CFUNCTYPE(None, ctypes.POINTER(Array))
RELEASE_STREAM = ctypes.CFUNCTYPE(None, ctypes.POINTER(Stream))
GET_SCHEMA = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Schema))
GET_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Array))
GET_LAST_ERROR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(Stream))

Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", RELEASE_SCHEMA),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", RELEASE_ARRAY),
    ("private_data", ctypes.c_void_p),
]
Stream._fields_ = [
    ("get_schema", GET_SCHEMA),
    ("get_next", GET_NEXT),
    ("get_last_error", GET_LAST_ERROR),
    ("release", RELEASE_STREAM),
    ("private_data", ctypes.c_void_p),
]

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Column:
    """A schema and an array over given buffers. `changes` overwrite members of the array."""

    def __init__(
        self,
        format: str,
        buffers: Sequence[bytes | None],
        length: int,
        *,
        name: str = "",
        children: Sequence[Column] = (),
        dictionary: Column | None = None,
        **changes: int,
    ) -> None:
        self.released: Counter[str] = Counter()
        self._keep: list[Any] = [*children, dictionary]
        self.schema = Schema(format=format.encode(), name=name.encode(), n_children=len(children))
        pointers = (ctypes.c_void_p * max(1, len(buffers)))()
        for i, data in enumerate(buffers):
            if data is not None:
                memory = ctypes.create_string_buffer(data, max(1, len(data)))
                self._keep.append(memory)
                pointers[i] = ctypes.addressof(memory)
        self.array = Array(length=length, n_buffers=len(buffers), n_children=len(children), buffers=pointers)
        if children:
            schemas = (ctypes.POINTER(Schema) * len(children))(*(ctypes.pointer(c.schema) for c in children))
            arrays = (ctypes.POINTER(Array) * len(children))(*(ctypes.pointer(c.array) for c in children))
            self.schema.children, self.array.children = schemas, arrays
            self._keep += [schemas, arrays]
        if dictionary is not None:
            self.schema.dictionary = ctypes.pointer(dictionary.schema)
            self.array.dictionary = ctypes.pointer(dictionary.array)
        for name_, value in changes.items():
            setattr(self.array, name_, value)
        self._keep.append(pointers)
        self.schema.release = self._counted(RELEASE_SCHEMA, "schema")
        self.array.release = self._counted(RELEASE_ARRAY, "array")

    def _counted(self, kind: Any, what: str) -> Any:
        def release(pointer: Any) -> None:
            self.released[what] += 1
            pointer.contents.release = kind()

        callback = kind(release)
        self._keep.append(callback)
        return callback


class ArrayProducer:
    """Offers one column through ``__arrow_c_array__``."""

    def __init__(self, column: Column) -> None:
        self.column = column

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return (
            _new_capsule(ctypes.addressof(self.column.schema), b"arrow_schema", None),
            _new_capsule(ctypes.addressof(self.column.array), b"arrow_array", None),
        )


class StreamProducer:
    """Offers columns of one type through ``__arrow_c_stream__``; `error` ends the stream with that message."""

    def __init__(self, columns: Sequence[Column], error: str | None = None, schema_error: bool = False) -> None:
        self.columns = columns
        self.released = 0
        left = list(columns)
        message = ctypes.create_string_buffer((error or "").encode())

        def get_schema(stream: Any, out: Any) -> int:
            if schema_error:
                return 22
            ctypes.memmove(out, ctypes.addressof(columns[0].schema), ctypes.sizeof(Schema))
            return 0

        def get_next(stream: Any, out: Any) -> int:
            if left:
                ctypes.memmove(out, ctypes.addressof(left.pop(0).array), ctypes.sizeof(Array))
                return 0
            if error is not None:
                return 5
            ctypes.memset(out, 0, ctypes.sizeof(Array))
            return 0

        def release(pointer: Any) -> None:
            self.released += 1
            pointer.contents.release = RELEASE_STREAM()

        self.stream = Stream(
            get_schema=GET_SCHEMA(get_schema),
            get_next=GET_NEXT(get_next),
            get_last_error=GET_LAST_ERROR(lambda stream: ctypes.addressof(message)),
            release=RELEASE_STREAM(release),
        )

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return _new_capsule(ctypes.addressof(self.stream), b"arrow_array_stream", None)


def strings(texts: Sequence[bytes], **changes: Any) -> Column:
    """A column of format ``u``."""
    offsets = [0]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    return Column("u", [None, struct.pack(f"<{len(offsets)}i", *offsets), b"".join(texts)], len(texts), **changes)


def views(entries: Sequence[bytes], buffers: Sequence[bytes], **changes: Any) -> Column:
    """A column of format ``vu`` from entries of 16 bytes."""
    sizes = struct.pack(f"<{len(buffers)}q", *map(len, buffers))
    return Column("vu", [None, b"".join(entries), *buffers, sizes], len(entries), **changes)
