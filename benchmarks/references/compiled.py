"""Plain Cython loops, compiled at their first use into the cache folder."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.corpora import cache_folder
from benchmarks.peers.engine import MissingPeerError


@cache
def compiled(name: str) -> Any:
    """The compiled module of a .pyx file beside this one."""
    try:
        import Cython  # noqa: F401
    except ImportError as error:
        raise MissingPeerError("pip install Cython setuptools") from error
    source = Path(__file__).with_name(f"{name}.pyx")
    digest = sha256(source.read_bytes() + version("Cython").encode()).hexdigest()[:12]
    folder = cache_folder() / f"cython-{digest}"
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / source.name)
        # In a process of its own: setuptools changes global state. -O3 is what a careful user would ask for.
        program = (
            "from setuptools import Extension, setup; from Cython.Build import cythonize; "
            "setup(script_args=['build_ext', '--inplace'], "
            f"ext_modules=cythonize([Extension('{name}', ['{name}.pyx'], extra_compile_args=['-O3'])]))"
        )
        run = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
        if not target.exists():
            raise MissingPeerError(f"pip install Cython setuptools, and a C compiler ({run.stderr[-300:]})")
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
