"""The machine, the versions and the date that a table of results names."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "likewise", "numpy", "bm25s", "numba", "tantivy", "rank_bm25", "pyterrier_pisa", "PyStemmer", "safetensors",
    "pyarrow", "Cython", "scikit-learn", "scipy", "faiss-cpu", "POT", "ott-jax",
    "geomloss", "EMOLoss", "gensim", "sympy", "python-flint", "torch", "transformers",
)  # fmt: skip


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system, versions, date, and the load when the run began."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    try:
        import likewise

        versions["likewise"] = likewise.__version__
        level = likewise._core.dispatch.level()
    except ImportError:
        level = ""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cpu_level": str(level),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }
