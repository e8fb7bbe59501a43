"""What is packed: the source distribution, and what the installed package carries."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import likewise

ROOT = Path(__file__).resolve().parent.parent


def test_version_is_one() -> None:
    """The module, its metadata (where it is installed) and the build file name one version."""
    import tomllib

    assert likewise.__version__ == likewise._core.__version__
    if (ROOT / "pyproject.toml").is_file():
        assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == likewise.__version__
    try:
        assert importlib.metadata.version("likewise") == likewise.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from a source tree that is not installed")


def test_package_is_typed_and_carries_its_stubs() -> None:
    folder = Path(likewise.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_core" / "__init__.pyi").is_file()


@pytest.mark.slow
def test_contents_of_the_source_distribution(tmp_path: Path) -> None:
    """All that a build, the tests, the benchmarks and the documentation need; nothing built, nothing private."""
    pytest.importorskip("scikit_build_core")
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("no source tree")
    program = "import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for needed in (
        "pyproject.toml",
        "CMakeLists.txt",
        "CMakePresets.json",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "src/cpp/CMakeLists.txt",
        "src/cpp/likewise-config.cmake.in",
        "src/cpp/include/likewise/search.hpp",
        "src/cpp/include/likewise/version.hpp.in",
        "src/cpp/kernels/simd.hpp",
        "src/python/likewise/__init__.py",
        "src/python/likewise/py.typed",
        "src/python/likewise/_core/search.pyi",
        "tests/conftest.py",
        "tests/cpp/CMakeLists.txt",
        "tests/fuzz/segment.cpp",
        "benchmarks/__init__.py",
        "docs/conf.py",
        "examples/embed_cpp/CMakeLists.txt",
        "scripts/generate_unicode.py",
    ):
        assert needed in names, needed
    for name in names:
        assert not name.endswith((".so", ".o", ".a", ".pyc")), name
        assert not name.startswith((".git/", "build/", ".mypy_cache", ".hypothesis", "docs/_build")), name
    assert path.stat().st_size < 5 << 20
