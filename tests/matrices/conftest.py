"""Both exact engines: python-flint, and what takes its place where it is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from likewise.matrices.engines import exact_engine


@pytest.fixture(params=["flint", "python"], scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "flint":
            pytest.importorskip("flint", reason="needs python-flint: pip install '.[flint]'")
        else:
            patch.setitem(sys.modules, "flint", None)
        exact_engine.cache_clear()
        assert exact_engine().name == request.param
        yield request.param
    exact_engine.cache_clear()
