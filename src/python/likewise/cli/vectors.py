"""Vectors in .npy files, read and written in blocks of rows: a file may be larger than memory."""

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise._progress import progress_bar
from likewise.persistence.files import Directory, replace_file

from .output import Output, human_bytes

T = TypeVar("T")

BLOCK_BYTES = 16 << 20  # of one block of rows: large enough for BLAS, small enough for any machine


class VectorFile:
    """A two-dimensional array in a .npy file.

    Parameters
    ----------
    path : str
        The file. It is mapped, a block at a time, so that no more than one block is in memory.

    Attributes
    ----------
    n_samples, n_features : int
    dtype : numpy.dtype
        As it stands in the file.

    Raises
    ------
    ValueError
        Not a .npy file, not two-dimensional, or of Python objects.
    """

    def __init__(self, path: str) -> None:
        if path == "-":
            raise ValueError("X: expected a .npy file, got standard input [rows are mapped; save them to a file first]")
        self._path = path
        try:
            whole = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: expected a .npy file of numbers, got {_reason(error)}") from error
        if not isinstance(whole, np.ndarray):
            raise ValueError(f"{path}: expected a .npy file, got an archive of several arrays (.npz)")
        if whole.ndim != 2:
            hint = " [a row a vector]" if whole.ndim == 1 else ""
            raise ValueError(f"{path}: expected a 2-D array, got shape {whole.shape}{hint}")
        self.n_samples, self.n_features = whole.shape
        self.dtype = whole.dtype
        self._offset = int(getattr(whole, "offset", 0))
        # Rows of a column-major file are not contiguous: they are sliced from a map of the whole file.
        self._columns_first = whole if not whole.flags.c_contiguous else None
        self._row_bytes = max(1, self.n_features * self.dtype.itemsize)

    def blocks(self, output: Output) -> Iterator[NDArray[Any]]:
        """Read-only blocks of consecutive rows, with a progress bar that counts rows.

        A file without rows has one block without rows.
        """
        with progress_bar(output.progress, self.n_samples, "rows") as bar:
            for start, stop in self._ranges():
                yield self._block(start, stop)
                bar.update(stop - start)

    def map(self, function: Callable[[NDArray[Any]], T], output: Output) -> Iterator[T]:
        """What a function makes of each block; the rows of a block that it refuses are named in the error."""
        ranges = self._ranges()
        for block, (start, stop) in zip(self.blocks(output), ranges, strict=True):
            try:
                yield function(block)  # kept by nobody here: two results at a time would be one too many
            except (ValueError, FloatingPointError) as error:
                if stop - start == self.n_samples:
                    raise
                where = f"{self._path}, in rows {start} to {stop - 1} (counted from {start})"
                raise ValueError(f"{where}: {error}") from error

    def _ranges(self) -> list[tuple[int, int]]:
        step = max(1, BLOCK_BYTES // self._row_bytes)
        starts = range(0, max(self.n_samples, 1), step)
        return [(start, min(start + step, self.n_samples)) for start in starts]

    def _block(self, start: int, stop: int) -> NDArray[Any]:
        if start == stop:
            return np.empty((0, self.n_features), self.dtype)
        if self._columns_first is not None:
            return self._columns_first[start:stop]
        # A map of its own: the pages of the one before leave with it, and never count as memory of this process.
        offset = self._offset + start * self._row_bytes
        return np.memmap(self._path, self.dtype, "r", offset, (stop - start, self.n_features))


def write_vectors(path: str, blocks: Iterable[NDArray[Any]], n_samples: int) -> tuple[int, Any]:
    """Write blocks of rows as one .npy file; it appears under its name when it is complete.

    Returns
    -------
    tuple of int and numpy.dtype
        The number of columns, and the type of the numbers.
    """
    place = Path(path)
    found: list[tuple[int, Any]] = []

    def parts() -> Iterator[memoryview]:
        for block in blocks:
            block = np.ascontiguousarray(block)
            if not found:
                found.append((block.shape[1], block.dtype))
                yield memoryview(_header(block.dtype, (n_samples, block.shape[1])))
            if block.size:
                with block.data.cast("B") as view:
                    yield view
            del block  # and the view was released: the next block takes its place in memory

    replace_file(Directory(place.parent), place.name, parts())
    return found[0]


def transform_file(
    source: VectorFile,
    transform: Callable[[NDArray[Any]], NDArray[Any]],
    path: str,
    start: float,
    output: Output,
    details: dict[str, Any],
) -> None:
    """Write what a function makes of each block of a file, and report it.

    Parameters
    ----------
    source : VectorFile
    transform : callable
        Of a block of rows, to as many rows.
    path : str
        The .npy file to write.
    start : float
        When the work began, by `time.perf_counter`.
    output : Output
    details : dict
        What else the report names.
    """
    n_components, dtype = write_vectors(path, source.map(transform, output), source.n_samples)
    seconds = time.perf_counter() - start
    report: dict[str, Any] = {
        "path": path,
        "n_samples": source.n_samples,
        "n_features": source.n_features,
        "n_components": n_components,
        "dtype": str(dtype),
        **details,
        "seconds": round(seconds, 3),
        "rows_per_second": round(source.n_samples / seconds),
    }
    if output.json:
        output.result_json(report)
    else:
        described = "".join(f", {name} {value}" for name, value in details.items())
        output.result(
            f"{path}: {source.n_samples} rows, {source.n_features} -> {n_components} columns of {dtype}{described}, "
            f"{human_bytes(source.n_samples * n_components * dtype.itemsize)}, "
            f"in {seconds:.2f} s ({report['rows_per_second']} rows/s)"
        )


def refuse_bad_output(path: str) -> None:
    """Raise now what writing would raise too, but only after all the work."""
    place = Path(path)
    if path == "-":
        raise ValueError("OUT: expected a file, got standard output [its size stands in its first line]")
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(2, "no such folder", str(place.parent))
    if place.is_dir():
        raise IsADirectoryError(21, os.strerror(21), path)


def _header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    start = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(start, described)
    return start.getvalue()


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else "an empty file"
    if "pickle" in text or "Python objects" in text:
        return "something else, or an array of Python objects"
    return f"a damaged one ({text})"
