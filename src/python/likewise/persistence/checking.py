"""Reading about files rather than opening them: `inspect`, `check` and `digest`. Nothing here changes anything."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._validation import check_bool, check_path
from ..errors import CorruptFileError, UnsupportedFormatError
from .container import FORMAT_VERSION, MAX_HEADER, Container, read_container, reads
from .files import open_regular
from .kinds import INDEX, kind_of, resolve

__all__ = ["CheckReport", "check", "digest", "inspect"]


@dataclass
class CheckReport:
    """What `check` found.

    Attributes
    ----------
    path : str
        The file or directory.
    problems : list of (file, array, reason)
        Everything that is wrong; `array` is "" where no single array is at fault.
    generation : int or None
        Of an index: the newest generation that opens. None for a model file, and where none opens.
    files : list of (file, n_bytes)
        The files that were looked at.
    orphans : list of str
        Files of an interrupted save. They do no harm; the next writer removes them.
    full : bool
        Whether every byte was read, or the headers alone.
    """

    path: str
    full: bool
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    generation: int | None = None
    files: list[tuple[str, int]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    is_index: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> str:
        """The report as one line of JSON."""
        value = {
            "path": self.path,
            "ok": self.ok,
            "full": self.full,
            "generation": self.generation,
            "problems": [dict(zip(("file", "array", "reason"), problem, strict=True)) for problem in self.problems],
            "files": [{"file": name, "bytes": n_bytes} for name, n_bytes in self.files],
            "orphans": self.orphans,
        }
        return json.dumps(value, ensure_ascii=False)

    def __str__(self) -> str:
        lines = []
        for name in dict.fromkeys([name for name, _ in self.files] + [problem[0] for problem in self.problems]):
            reasons = [": ".join(filter(None, problem[1:])) for problem in self.problems if problem[0] == name]
            lines.append(f"{name}: {'; '.join(reasons) or 'ok'}")
        lines += [f"{name}: orphan of an interrupted save" for name in self.orphans]
        total = sum(n_bytes for _, n_bytes in self.files)
        lines.append(f"{len(self.files)} file(s), {total} bytes, {len(self.problems)} problem(s)")
        if self.is_index:
            lines.append("no generation opens" if self.generation is None else f"generation {self.generation} opens")
        return "\n".join(lines)


def check(path: str | os.PathLike[str], *, full: bool = True) -> CheckReport:
    """Look for damage in a model file or an index directory.

    Parameters
    ----------
    path : path-like
        A model file or an index directory.
    full : bool, default True
        Read every byte, compare every digest and check the structure of every array; otherwise the headers alone.

    Returns
    -------
    CheckReport
        `.ok` is False if anything is damaged.

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        There is nothing to check at `path`, or it cannot be read.
    UnsupportedFormatError
        Nothing shows that this was ever a file of likewise, or it is of a later version.

    Examples
    --------
    >>> import likewise as lw
    >>> lw.search.Index.build(["a wing", "a wake"]).save("papers.lw")  # doctest: +SKIP
    >>> lw.persistence.check("papers.lw").ok  # doctest: +SKIP
    True
    """
    path, full = check_path(path), check_bool(full, "full")
    if Path(path).is_dir():
        report: CheckReport = resolve(INDEX.check)(path, full=full)
        return report
    report = CheckReport(os.fspath(path), full)
    report.problems.extend(problem_rows(file_problems(path, report, full)))
    return report


def file_problems(path: str | os.PathLike[str], report: CheckReport, full: bool) -> Iterator[CorruptFileError]:
    """Everything that is wrong with one container file; notes its size in the report."""
    try:
        container = _read_header(path)
    except CorruptFileError as problem:
        report.files.append((Path(path).name, Path(path).stat().st_size))
        yield problem
        return
    kind_of(container)
    report.files.append((Path(path).name, container.size))
    yield from content_problems(container, full)


def _read_header(path: str | os.PathLike[str]) -> Container:
    """A container whose header is sound. Raises `UnsupportedFormatError` for a file that never was one."""
    try:
        return read_container(path, verify="header")
    except CorruptFileError:
        if _shows_a_container(path):
            raise
        raise UnsupportedFormatError(path, "something else (not a likewise file)", reads()) from None


def _shows_a_container(path: str | os.PathLike[str]) -> bool:
    """Whether a file that is no sound container may have been one: what is empty or all zeros lost its content.

    A single damaged place cannot hide all marks of a header.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        start = file.read(8 + MAX_HEADER)
    if start.startswith(b"{"):
        return False  # a manifest: a container begins with a length
    return not start.strip(b"\0") or any(mark in start for mark in (b'"likewise"', b'"xxh3:', b'"__check"'))


def content_problems(container: Container, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with the arrays of a container whose header is sound."""
    damaged = False
    for problem in container.problems() if full else ():
        damaged = True
        yield problem
    rules = kind_of(container).check
    # The structure of damaged bytes says nothing new.
    if rules is not None and not damaged:
        yield from resolve(rules)(container, full)


def problem_rows(problems: Iterator[CorruptFileError]) -> Iterator[tuple[str, str, str]]:
    """Problems as a report lists them."""
    for problem in problems:
        yield Path(problem.path).name, problem.array or "", problem.reason


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the header of a model file, or the newest manifest of an index, says. No array is read.

    Parameters
    ----------
    path : path-like
        A model file or an index directory.

    Returns
    -------
    dict
        ``kind``, ``kind_version``, ``format_version``, ``params``, ``requires``, ``n_bytes`` and ``arrays``, a list of
        dicts with ``name``, ``dtype``, ``shape`` and ``n_bytes``; of an index also ``generation``, ``statistics`` and
        ``files``.

    Raises
    ------
    CorruptFileError, UnsupportedFormatError, FileNotFoundError, OSError
    """
    path = check_path(path)
    if Path(path).is_dir():
        facts: dict[str, Any] = resolve(INDEX.inspect)(path)
        return facts
    return describe(_read_header(path))


def describe(container: Container) -> dict[str, Any]:
    """The facts of a container's header."""
    return {
        "path": container.path,
        "kind": container.kind,
        "kind_version": container.kind_version,
        "format_version": FORMAT_VERSION,
        "params": container.params,
        "requires": list(container.requires),
        "created_by": container.created_by,
        "n_bytes": container.size,
        "arrays": [
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "n_bytes": array.nbytes}
            for name, array in container.arrays.items()
        ],
    }


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of what is stored, in hexadecimal: of a model file, or of the newest manifest and the files it names.

    Sign it elsewhere if you need to know who wrote a file; the digests inside the files detect accidents only. It
    reads the files but does not check them.
    """
    import hashlib  # here: it loads a cryptographic library

    path = check_path(path)

    state = hashlib.sha256()
    if not Path(path).is_dir():
        _add_file(state, path)
        return state.hexdigest()
    for _ in range(20):
        state = hashlib.sha256()
        files = resolve(INDEX.files)(path)
        with contextlib.suppress(FileNotFoundError):  # a newer commit collected it: list again
            for file in files:
                _add_file(state, file)
            return state.hexdigest()
    raise FileNotFoundError(errno.ENOENT, "a file that the newest manifest names is missing", os.fspath(path))


def _add_file(state: Any, path: str | os.PathLike[str]) -> None:
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            state.update(block)
