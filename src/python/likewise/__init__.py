"""likewise: how alike are texts, vectors, distributions and matrices? Exact answers, fast, on CPUs."""

import logging as _logging
import warnings as _warnings

from . import _core

_level: str = _core.dispatch.level()  # first: raises if this CPU, or LIKEWISE_CPU_LEVEL, has no level of ours

TYPE_CHECKING = False  # type checkers take it for that of typing, which is slow to import
if TYPE_CHECKING:
    from . import adversarial as adversarial  # not in __all__: a star would import torch
    from . import decoding, errors, keywords, matrices, persistence, projection, search, transport, whitening
    from ._info import info
    from .persistence import load
else:

    def __getattr__(name: str) -> object:
        """Import what is named here at its first use: a program pays for what it uses."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, attribute = _LAZY[name].partition(":")
        found = import_module(module, __name__)
        value = getattr(found, attribute) if attribute else found
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LAZY})


_LAZY = {
    "adversarial": ".adversarial",
    "decoding": ".decoding",
    "errors": ".errors",
    "info": "._info:info",
    "keywords": ".keywords",
    "load": ".persistence:load",
    "matrices": ".matrices",
    "persistence": ".persistence",
    "projection": ".projection",
    "search": ".search",
    "transport": ".transport",
    "whitening": ".whitening",
}

__all__ = [
    "__version__",
    "decoding",
    "errors",
    "info",
    "keywords",
    "load",
    "matrices",
    "persistence",
    "projection",
    "search",
    "transport",
    "whitening",
]

__version__: str = _core.__version__

_logging.getLogger("likewise").addHandler(_logging.NullHandler())

_levels = _core.dispatch.levels()
if _levels["capped"]:
    _warnings.warn(
        f"LIKEWISE_CPU_LEVEL: expected one of {', '.join(_levels['available'])} on this machine, "
        f"got '{_levels['requested']}': the level is {_level}",
        RuntimeWarning,
        stacklevel=2,
    )
