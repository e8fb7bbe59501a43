"""A fitted whitening as the parameters and arrays of a container, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError
from .affine import AffineMap
from .hyper import Hyper
from .moments import Moments
from .state import State, solve


def to_arrays(state: State, *, statistics: bool) -> dict[str, NDArray[Any]]:
    """The statistics, where they are wanted and known, and the map, where it is known or all that there is."""
    arrays: dict[str, NDArray[Any]] = {}
    if statistics and state.moments is not None:
        arrays |= state.moments._to_arrays()
    else:
        solve(state)
    if state.model is not None:
        arrays |= {
            "mean": state.model.mean,
            "eigenvalues": state.model.eigenvalues,
            "components": state.model.components,
            "counts": np.array([state.n_samples, state.rank], np.int64),
        }
    return arrays


def read_state(container: Any) -> State:
    """What is fitted, from a container, whose author nobody knows."""
    try:
        hyper = Hyper.check(container.params)
    except (TypeError, ValueError, KeyError) as error:
        raise CorruptFileError(container.path, "params", f"expected those of a Whitening: {error}") from None
    moments = None
    if "has_float32" in container.arrays:
        moments = Moments()
        moments._from_arrays(container)
    state = State(hyper, moments, None, 0, 0)
    if moments is None or "counts" in container.arrays:
        _read_model(container, state)
    return state


def _read_model(container: Any, state: State) -> None:
    """Take the map from a container, whose author nobody knows."""

    def array(name: str, *shape: int | None, dtype: Any = np.float64) -> NDArray[Any]:
        found = container.arrays.get(name)
        if (
            found is None
            or found.dtype != dtype
            or found.ndim != len(shape)
            or any(size not in (None, is_) or is_ == 0 for size, is_ in zip(shape, found.shape, strict=True))
            or not np.isfinite(found).all()
        ):
            raise CorruptFileError(
                container.path, name, f"expected finite values of the model's shape, as {dtype.__name__}"
            )
        return found  # type: ignore[no-any-return]

    d = None if state.moments is None else state.moments.n_features
    mean = array("mean", d)
    d = len(mean)
    eigenvalues, components = array("eigenvalues", d), array("components", None, d)
    n, rank = (int(x) for x in array("counts", 2, dtype=np.int64))
    if eigenvalues[-1] < 0 or (np.diff(eigenvalues) > 0).any():
        raise CorruptFileError(container.path, "eigenvalues", "expected descending values, none negative")
    k = len(components)
    if k > d or (state.hyper.gamma > 0 and eigenvalues[k - 1] <= 0):
        raise CorruptFileError(container.path, "components", f"expected no more than have an eigenvalue > 0, got {k}")
    if n < 2 or (state.moments is not None and n != state.moments.n) or not 0 <= rank <= d:
        raise CorruptFileError(container.path, "counts", "expected the numbers of rows and of directions")
    state.n, state.rank = n, rank
    with np.errstate(all="ignore"):
        model = AffineMap(mean, state.hyper.beta, state.hyper.gamma, eigenvalues, components)
    if not np.isfinite(model.matrix).all() or not np.isfinite(model.offset).all():
        raise CorruptFileError(container.path, "components", "expected a map within float64")
    state.model = model
