"""The schema of `likewise.info()`: its keys stay the same through a major version."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

import likewise

SCHEMA: dict[str, Any] = {
    "version": str,
    "commit": str,
    "python": str,
    "platform": str,
    "compiler": str,
    "cxx_flags": str,
    "sanitizers": str,
    "pybind11": str,
    "cpu": {"model": str, "known_levels": [str], "available_levels": [str], "level": str, "reason": str},
    "threads": {"default": int, "affinity": int, "environment": (str, type(None))},
    "numpy": {"version": str, "blas": [{"name": str, "version": str}]},
    "formats": {"container": {"versions": [int], "features": [str]}},
    "packages": dict,
    "environment": dict,
}


def check(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        assert isinstance(value, dict) and set(value) == set(schema), where
        for key, part in schema.items():
            check(value[key], part, f"{where}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for i, item in enumerate(value):
            check(item, schema[0], f"{where}[{i}]")
    else:
        assert isinstance(value, schema), (where, value)


def test_schema() -> None:
    found = likewise.info()
    check(found, SCHEMA, "info")
    assert json.loads(json.dumps(found)) == found


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_NUM_THREADS", "1")
    monkeypatch.setenv("LIKEWISE_OTHER", "x")
    found = likewise.info()
    assert found["version"] == likewise.__version__
    assert found["threads"]["default"] == 1 and found["threads"]["environment"] == "1"
    assert found["environment"]["LIKEWISE_OTHER"] == "x"
    assert found["cpu"]["level"] in found["cpu"]["available_levels"]
    assert set(found["cpu"]["available_levels"]) <= set(found["cpu"]["known_levels"])
    assert found["numpy"]["version"] == np.__version__
    assert {"numpy", "xxhash", "PyStemmer", "tqdm"} <= set(found["packages"])
    assert all(value is None or isinstance(value, str) for value in found["packages"].values())
    assert "-ffp-contract=off" in found["cxx_flags"]


def test_blas_by_threadpoolctl_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub:
        @staticmethod
        def threadpool_info() -> list[dict[str, str]]:
            return [{"user_api": "blas", "internal_api": "openblas", "version": "0.3"}, {"user_api": "openmp"}]

    monkeypatch.setitem(sys.modules, "threadpoolctl", Stub)
    assert likewise.info()["numpy"]["blas"] == [{"name": "openblas", "version": "0.3"}]
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    (blas,) = likewise.info()["numpy"]["blas"]
    assert blas["name"]


def test_reason_of_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = likewise._core.dispatch.levels()
    for requested, capped, text in (
        (None, False, "the highest level of this machine"),
        ("v2", False, "LIKEWISE_CPU_LEVEL=v2"),
        ("v4", True, "LIKEWISE_CPU_LEVEL=v4 is above this machine: its highest level"),
    ):
        changed = dict(levels, requested=requested, capped=capped)
        monkeypatch.setattr(likewise._core.dispatch, "levels", lambda changed=changed: changed)
        assert likewise.info()["cpu"]["reason"] == text
