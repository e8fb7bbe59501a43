"""What is fitted: statistics and, once it is needed, the map that follows from them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError
from .affine import AffineMap
from .hyper import Hyper
from .moments import Moments
from .spectrum import Spectrum, choose_n_components, rank_of


class State:
    """What is fitted: the statistics, if they were kept, and the map, once it has been asked for."""

    def __init__(self, hyper: Hyper, moments: Moments | None, model: AffineMap | None, n: int, rank: int) -> None:
        self.hyper, self.moments = hyper, moments
        self.model, self.n, self.rank = model, n, rank
        self.spectrum: Spectrum | None = None  # of hyper.beta
        self.lock = threading.RLock()


def solve(state: State) -> AffineMap:
    """The map of a state, made once, by whichever thread comes first."""
    if state.model is not None:
        return state.model
    with state.lock:
        if state.model is not None:
            return state.model
        hyper, moments = state.hyper, state.moments
        assert moments is not None and moments.n_features is not None
        if moments.n < 2:
            raise ValueError(
                f"X: expected at least 2 rows, got {moments.n} sample(s) (n_samples={moments.n}) while a minimum of 2 "
                "is required: 1 sample has no covariance"
            )
        if state.spectrum is None:
            state.spectrum = Spectrum.of(moments.covariance(hyper.beta), hyper.beta, moments.n)
        spectrum = state.spectrum
        floor = hyper.floor(moments.n_features, moments.has_float32)
        k = choose_n_components(spectrum.eigenvalues, hyper, floor)
        components = np.ascontiguousarray(spectrum.vectors[:, :k].T)
        model = AffineMap(moments.mean, hyper.beta, hyper.gamma, spectrum.eigenvalues, components)
        state.n, state.rank = moments.n, rank_of(spectrum.eigenvalues, floor)
        state.model = model  # last: from here on others take it without the lock
        return model


def read_model(container: Any, state: State) -> None:
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
