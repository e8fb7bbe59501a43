"""What runs here, and why: versions, CPU level, threads, formats, extras."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

from . import _core


def info() -> dict[str, Any]:
    """Describe this installation: what to look at first when a result or a speed surprises, and to attach to a report.

    Returns
    -------
    dict
        JSON-able. Keys stay the same through a major version; new ones may come.

        - ``version``, ``commit`` ("unknown" outside a checkout), ``python``, ``platform``
        - ``compiler``, ``cxx_flags``, ``sanitizers``, ``pybind11``
        - ``cpu``: ``model``, ``known_levels`` (of this build), ``available_levels`` (of this machine), ``level`` (whose
          kernels run) and ``reason``
        - ``threads``: ``default`` (what ``n_threads=None`` means), ``affinity`` (CPUs of the affinity mask) and
          ``environment`` (LIKEWISE_NUM_THREADS or None)
        - ``numpy``: ``version`` and ``blas`` (a list of the loaded libraries if threadpoolctl is installed, otherwise
          the one numpy was built with)
        - ``formats``: readable file formats, name to ``versions`` and ``features``
        - ``packages``: run-time requirements and extras, name to version or None
        - ``environment``: the variables LIKEWISE_*

    Examples
    --------
    >>> import likewise
    >>> likewise.info()["cpu"]["level"] in likewise.info()["cpu"]["available_levels"]
    True
    """
    build = _core.dispatch.build()
    return {
        "version": _core.__version__,
        "commit": build["commit"],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "compiler": build["compiler"],
        "cxx_flags": build["flags"],
        "sanitizers": build["sanitize"],
        "pybind11": build["pybind11"],
        "cpu": _cpu(),
        "threads": {
            "default": _core.dispatch.available_threads(),
            "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "environment": os.environ.get("LIKEWISE_NUM_THREADS"),
        },
        "numpy": {"version": np.__version__, "blas": _blas()},
        "formats": _formats(),
        "packages": {name: _installed(name) for name in _optional_packages()},
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith("LIKEWISE_")},
    }


def _cpu() -> dict[str, Any]:
    levels = _core.dispatch.levels()
    level = _core.dispatch.level()
    if levels["requested"] is None:
        reason = "the highest level of this machine"
    elif levels["capped"]:
        reason = f"LIKEWISE_CPU_LEVEL={levels['requested']} is above this machine: its highest level"
    else:
        reason = f"LIKEWISE_CPU_LEVEL={levels['requested']}"
    return {
        "model": _cpu_model(),
        "known_levels": levels["known"],
        "available_levels": levels["available"],
        "level": level,
        "reason": reason,
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _blas() -> list[dict[str, str]]:
    try:
        import threadpoolctl
    except ImportError:
        config: Any = np.show_config(mode="dicts")
        blas = config.get("Build Dependencies", {}).get("blas", {})
        return [{"name": str(blas.get("name", "unknown")), "version": str(blas.get("version", "unknown"))}]
    found = [x for x in threadpoolctl.threadpool_info() if x.get("user_api") == "blas"]
    return [{"name": str(x.get("internal_api")), "version": str(x.get("version"))} for x in found]


def _formats() -> dict[str, dict[str, list[Any]]]:
    from .persistence.container import FEATURES, FORMAT_VERSION  # when asked: importing the package loads numpy alone

    return {"container": {"versions": [FORMAT_VERSION], "features": sorted(FEATURES)}}


def _optional_packages() -> list[str]:
    """The run-time requirements and the packages that the extras name, from our own metadata."""
    import importlib.metadata  # here and below: it loads all of `email`

    try:
        requirements = importlib.metadata.requires("likewise") or []
    except importlib.metadata.PackageNotFoundError:  # run from a source tree that was never installed
        requirements = ["numpy", "xxhash", "PyStemmer", "tqdm"]
    skipped = re.compile(r"extra == ['\"](test|bench|docs)['\"]")
    names = {re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0] for r in requirements if not skipped.search(r)}
    return sorted(names - {"likewise"}, key=str.lower)


def _installed(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
