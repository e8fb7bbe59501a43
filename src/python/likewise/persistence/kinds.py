"""The closed table of what a container may hold. A name found in a file is looked up here, never imported or called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..errors import UnsupportedFormatError
from .container import Container

__all__ = ["INDEX", "KINDS", "DirectoryKind", "Kind", "expect_kind", "kind_of", "resolve"]


@dataclass(frozen=True)
class Kind:
    """Where the code of a kind is: ``module:attribute``, imported when it is needed.

    `load` makes the object of a container; None for a part of something else. `check` yields a `CorruptFileError` for
    each rule of the kind that the content breaks; its second argument says whether to look at everything.
    """

    load: str | None
    check: str | None


@dataclass(frozen=True)
class DirectoryKind:
    """Where the code of a kind is that is stored as a directory."""

    load: str
    check: str
    structure: str
    inspect: str
    files: str


INDEX = DirectoryKind(
    load="likewise.search.index:Index.open",
    check="likewise.search.storage.checking:check_index",
    structure="likewise.search.index:Index._from_stored",
    inspect="likewise.search.storage.checking:inspect_index",
    files="likewise.search.storage.checking:current_files",
)

KINDS: dict[tuple[str, str], Kind] = {
    # The kind of the format's documentation: arrays without a meaning.
    ("example", "1"): Kind(load="likewise.persistence.kinds:example_arrays", check=None),
    ("keywords.softmax", "1"): Kind(
        load="likewise.keywords.negative_sampling:NegativeSamplingKeywords._from_container",
        check="likewise.keywords.base:problems",
    ),
    ("keywords.tree", "1"): Kind(
        load="likewise.keywords.tree:Word2VecKeywords._from_container",
        check="likewise.keywords.base:problems",
    ),
    ("projection", "1"): Kind(
        load="likewise.projection.estimator:RandomProjection._from_container",
        check="likewise.projection.estimator:problems",
    ),
    ("search.segment", "1"): Kind(load=None, check="likewise.search.storage.checking:segment_problems"),
    ("transport.wmd_index", "1"): Kind(
        load="likewise.transport.wmd_index:WMDIndex._from_container",
        check="likewise.transport.wmd_index:check_wmd_index",
    ),
    ("whitening", "1"): Kind(
        load="likewise.whitening.estimator:Whitening._from_container",
        check="likewise.whitening.estimator:check_whitening",
    ),
    ("whitening.moments", "1"): Kind(
        load="likewise.whitening.moments:Moments._from_container",
        check="likewise.whitening.moments:check_moments",
    ),
}


def kind_of(container: Container) -> Kind:
    """The entry of a container's kind. Raises `UnsupportedFormatError` where this version has none."""
    kind = KINDS.get((container.kind, container.kind_version))
    if kind is None:
        found = f"kind {container.kind[:40]!r} version {container.kind_version[:40]!r}"
        known = ", ".join(f"{name} {version}" for name, version in sorted(KINDS))
        raise UnsupportedFormatError(container.path, found, f"one of the kinds {known}")
    return kind


def expect_kind(container: Container, kind: str) -> None:
    """Raise `TypeError` naming both kinds, unless the container holds this one."""
    if container.kind != kind:
        raise TypeError(f"{container.path}: expected a file of kind {kind!r}, got {container.kind[:40]!r}")
    kind_of(container)  # of a version that this build reads


def resolve(name: str) -> Callable[..., Any]:
    """The object that an entry of the table names."""
    module, _, attribute = name.partition(":")
    found: Any = reduce(getattr, attribute.split("."), importlib.import_module(module))
    return found  # type: ignore[no-any-return]


def example_arrays(container: Container) -> dict[str, Any]:
    """What `likewise.load` gives for the kind "example"."""
    return dict(container.arrays)
