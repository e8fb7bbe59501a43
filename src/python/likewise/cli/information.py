"""``likewise info``: what this installation is, or what an index says about itself."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import likewise
from likewise.persistence import inspect

from .output import Output, plain


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Describe the path, or the installation if there is none."""
    facts = likewise.info() if arguments.path is None else inspect(arguments.path)
    if output.json:
        output.result_json(facts)
    else:
        _print(facts, output, 0)
    return 0


def _print(facts: Mapping[str, Any], output: Output, indent: int) -> None:
    width = max((len(str(name)) for name in facts), default=0)
    for name, value in facts.items():
        start = f"{' ' * indent}{plain(str(name)):{width}}"
        if isinstance(value, Mapping) and value:
            output.result(start.rstrip())
            _print(value, output, indent + 2)
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, Mapping) for item in value):
            output.result(start.rstrip())
            _print_table(value, output, indent + 2)
        else:
            output.result(f"{start}  {_shown(value)}".rstrip())


def _print_table(items: Sequence[Mapping[str, Any]], output: Output, indent: int) -> None:
    names = list(dict.fromkeys(name for item in items for name in item))
    rows = [names, *([_shown(item.get(name)) for name in names] for item in items)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True))
        output.result((" " * indent + line).rstrip())


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return plain(" ".join(map(str, value)) or "-")
    if isinstance(value, Mapping):
        return plain(" ".join(f"{name}={part}" for name, part in value.items()) or "-")
    return plain(str(value))
