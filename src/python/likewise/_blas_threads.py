"""The number of threads of numpy's BLAS, where threadpoolctl is installed to set it."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    """Of the libraries loaded now: looking for them takes 1.5 ms, so it is done once."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        warnings.warn(
            "n_threads: expected threadpoolctl to be installed, got none: numpy's BLAS keeps its own number of threads "
            "[pip install threadpoolctl]",
            RuntimeWarning,
            stacklevel=4,
        )
        return None
    return ThreadpoolController()


def blas_threads(n_threads: int | None) -> AbstractContextManager[Any]:
    """Within the block numpy's BLAS uses that many threads (of the whole process); None changes nothing."""
    if n_threads is None:
        return nullcontext()
    controller = _controller()
    return nullcontext() if controller is None else controller.limit(limits=n_threads, user_api="blas")
