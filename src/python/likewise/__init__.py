"""likewise: how alike are texts, vectors, distributions and matrices? Exact answers, fast, on CPUs."""

import logging as _logging
import warnings as _warnings

from . import _core

_level: str = _core.dispatch.level()  # first: raises if this CPU, or LIKEWISE_CPU_LEVEL, has no level of ours

from . import errors, persistence, search  # noqa: E402
from ._info import info  # noqa: E402
from .persistence import load  # noqa: E402

__all__ = ["__version__", "errors", "info", "load", "persistence", "search"]

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
