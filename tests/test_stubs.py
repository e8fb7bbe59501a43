"""The committed stubs of the extension module say what the built module says: no drift."""

from __future__ import annotations

import ast
import re
import types
from pathlib import Path
from typing import Any

import pytest

import likewise
from likewise import _core

FOLDER = Path(likewise.__file__).parent / "_core"
MODULES: dict[str, types.ModuleType] = {"__init__": _core} | {
    name: value for name, value in vars(_core).items() if isinstance(value, types.ModuleType)
}


def stub_names(body: list[ast.stmt], prefix: str = "") -> dict[str, list[str] | None]:
    """Qualified name -> argument names (with * and = marks), or None for an attribute."""
    found: dict[str, list[str] | None] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            decorators = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
            a = node.args
            positional = [x.arg for x in a.posonlyargs + a.args if x.arg != "self"]
            marked = [
                name + ("=" if i >= len(positional) - len(a.defaults) else "") for i, name in enumerate(positional)
            ]
            keyword = [x.arg + ("=" if d else "") for x, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
            found[prefix + node.name] = (
                None if "property" in decorators else marked + (["*", *keyword] if keyword else [])
            )
        elif isinstance(node, ast.ClassDef):
            found[prefix + node.name] = None
            found |= stub_names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and prefix == "":
            found[node.target.id] = None
    return found


def signature(function: Any) -> list[str]:
    """Argument names from the first line of the docstring that pybind11 writes."""
    first = (function.__doc__ or "").splitlines()[0]
    match = re.fullmatch(r"\w+\((.*)\) -> .*", first)
    assert match, first
    depth, part, parts = 0, "", []
    for character in match[1] + ",":
        depth += (character in "[({") - (character in "])}")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    names = []
    for part in filter(None, parts):
        name = re.split(r"[:=]", part)[0].strip()
        if name not in ("self", "/"):
            names.append(name + ("=" if re.search(r"=", part) else ""))
    return names


def module_names(module: types.ModuleType) -> dict[str, list[str] | None]:
    found: dict[str, list[str] | None] = {}
    for name, value in vars(module).items():
        if isinstance(value, types.ModuleType) or (name.startswith("__") and name != "__version__"):
            continue
        found[name] = signature(value) if callable(value) and not isinstance(value, type) else None
        if isinstance(value, type) and not issubclass(value, Exception):
            for member, attribute in vars(value).items():
                if member == "__init__" and not (attribute.__doc__ or "").startswith("Initialize self"):
                    found[f"{name}.__init__"] = signature(attribute)
                elif not member.startswith("_"):
                    attribute = getattr(value, member)
                    found[f"{name}.{member}"] = None if isinstance(attribute, property) else signature(attribute)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_stub_equals_module(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.pyi").read_text())
    stub = {k: v for k, v in stub_names(tree.body).items() if not re.match(r"\w+Error\.", k)}
    assert stub == module_names(MODULES[name])


def test_every_stub_has_its_module() -> None:
    assert {path.stem for path in FOLDER.glob("*.pyi")} == set(MODULES)
