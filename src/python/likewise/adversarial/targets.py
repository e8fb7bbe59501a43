"""Finding the module that is perturbed."""

from __future__ import annotations

from typing import Any

import torch

from .._validation import check_text, describe

_MOST = 10  # names that an error text lists


def resolve(target: Any) -> torch.nn.Module:
    """The module itself, or that of an exact name in a model; wrappers (DDP, compiled) are looked through.

    Raises
    ------
    ValueError
        No module has the name, or several: the text lists candidates.
    TypeError
    """
    if isinstance(target, torch.nn.Module):
        return target
    if not (isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], torch.nn.Module)):
        raise TypeError(f"target: expected a module or (model, name), got {describe(target)}")
    model, name = target[0], check_text(target[1], "target")
    found: list[torch.nn.Module] = []
    names: dict[str, torch.nn.Module] = {}
    while model is not None:
        here = dict(model.named_modules(remove_duplicate=False))
        if name and name in here and all(here[name] is not known for known in found):
            found.append(here[name])
        names = here
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            inner = model.module
        model = inner
    if len(found) != 1:
        what = "none" if not found else f"{len(found)} modules"
        raise ValueError(
            f"target: expected the exact name of a module, got {what} named {name!r}{_candidates(names, name)}"
        )
    return found[0]


def embedding_like(module: torch.nn.Module) -> bool:
    """Whether a module looks ids up in a table, one row for each."""
    if isinstance(module, torch.nn.EmbeddingBag):
        return False
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and hasattr(module, "num_embeddings")


def _candidates(names: dict[str, torch.nn.Module], name: str) -> str:
    """Modules of which the name says a part, then embeddings."""
    last = name.rpartition(".")[2]
    alike = [full for full in names if full and last and last in full]
    found = list(dict.fromkeys([*alike, *(full for full, module in names.items() if full and embedding_like(module))]))
    more = ", ..." if len(found) > _MOST else ""
    return f" [there are {', '.join(found[:_MOST])}{more}]" if found else ""
