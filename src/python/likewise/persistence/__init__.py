"""Files of likewise: one container for models and for the parts of an index, safe to open and loud when damaged.

A model is one file, an index a directory. `load` opens either, `check` looks for damage, `inspect` reads the header,
`digest` is what you sign. The format is described in the documentation, page "File format".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import check_path
from ..errors import UnsupportedFormatError
from .checking import CheckReport, check, digest, inspect
from .container import ALIGNMENT, Container, check_choices, encode, parse_container, read_container
from .files import Directory, replace_file
from .kinds import INDEX, expect_kind, kind_of, resolve

__all__ = [
    "CheckReport",
    "Container",
    "check",
    "digest",
    "encode",
    "expect_kind",
    "from_bytes",
    "inspect",
    "load",
    "parse_container",
    "read_container",
    "to_bytes",
    "write_container",
]


def load(path: str | os.PathLike[str], *, mmap: bool = True, verify: str = "full") -> Any:
    """Open a model file or an index directory, whatever its kind is.

    Parameters
    ----------
    path : path-like
        What `save` wrote.
    mmap : bool, default True
        Arrays are read-only views of a map of the file. False: they are read into memory and verified there; use it
        where another program may write to the file, as a mapped file that is cut short ends the process.
    verify : {"full", "header"}, default "full"
        Read and compare everything, or the header alone.

    Returns
    -------
    object
        An object of the class that was saved.

    Raises
    ------
    CorruptFileError
        The file is damaged.
    UnsupportedFormatError
        Not a file of likewise, or of a later version.
    FileNotFoundError, OSError
        As the system gives it.
    """
    path = check_path(path)
    check_choices(verify=verify)
    if Path(path).is_dir():
        return resolve(INDEX.load)(path, mmap=mmap, verify=verify)
    container = read_container(path, mmap=mmap, verify=verify)
    loader = kind_of(container).load
    if loader is None:
        found = f"kind {container.kind!r}, a part of an index"
        raise UnsupportedFormatError(container.path, found, "a model file or an index directory [open its directory]")
    return resolve(loader)(container)


def write_container(
    path: str | os.PathLike[str],
    kind: str,
    kind_version: str,
    params: dict[str, Any],
    arrays: dict[str, Any],
    *,
    overwrite: bool = True,
    directory: Directory | None = None,
) -> None:
    """Store a model as one file: completely, or not at all."""
    target = Path(path)
    parts = encode(kind, kind_version, params, arrays)
    replace_file(directory or Directory(target.parent), target.name, parts, overwrite=overwrite)


def to_bytes(kind: str, kind_version: str, params: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """A model as the bytes that `write_container` would store: what its `to_bytes`, pickling and copying use."""
    return b"".join(encode(kind, kind_version, params, arrays))


def from_bytes(data: bytes) -> Container:
    """The container in these bytes, fully verified. Its arrays are read-only, aligned, and keep the bytes alive."""
    view = memoryview(data).cast("B").toreadonly()
    if np.frombuffer(view, np.uint8).ctypes.data % ALIGNMENT:
        copy = np.empty(len(view) + ALIGNMENT, np.uint8)
        start = -copy.ctypes.data % ALIGNMENT
        copy[start : start + len(view)] = view
        view = copy.data[start : start + len(view)].toreadonly()
    return parse_container(view)
