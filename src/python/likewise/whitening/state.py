"""What is fitted: statistics and, once it is needed, the map that follows from them."""

from __future__ import annotations

import threading

import numpy as np

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

    @property
    def n_samples(self) -> int:
        """Number of rows learnt from, known with or without the statistics."""
        return self.n if self.moments is None else self.moments.n

    @property
    def n_features(self) -> int:
        """Number of columns of a row."""
        if self.moments is not None and self.moments.n_features is not None:
            return self.moments.n_features
        assert self.model is not None
        return len(self.model.mean)


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
