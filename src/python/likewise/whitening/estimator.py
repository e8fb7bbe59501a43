"""Whitening as a transformer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import EllipsisType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .._blas_threads import blas_threads
from .._estimator import (
    Names,
    Rows,
    Transformer,
    check_same_names,
    is_chunks,
    iterate_chunks,
    names_from_bytes,
    names_of,
    names_to_bytes,
)
from .._validation import check_array, check_bool, check_out, check_path, describe
from ..errors import CorruptFileError
from .affine import AffineMap
from .hyper import Hyper
from .moments import Moments, refuse_sparse
from .state import State, solve
from .storage import read_state, to_arrays

Matrix = NDArray[np.float64]


class Whitening(Transformer):
    """BERT-whitening with beta and gamma: one affine map that evens out the directions of vectors.

    ``y = (x - beta mu) U_k Lambda_k^(-gamma/2)``, where mu is the mean of the rows seen and ``U Lambda U^T`` the
    eigen-decomposition of ``Sigma_beta = (1/N) sum((x - beta mu)^T (x - beta mu))``, eigenvalues descending. (1, 1) is
    classic whitening (covariance I), (1, 0) a centred PCA, (0, 0) a pure rotation that keeps every inner product, or,
    cut to k columns, the best approximation of rank k.

    Parameters
    ----------
    n_components : int, float or None, default None
        Columns of the result. A float in (0, 1): as many as hold that share of the variance. None: all that can be
        told from noise (`rank_`); with ``gamma=0``, where nothing is divided by, all.
    beta : float, default 1.0
        How much of the mean is subtracted, in the covariance too.
    gamma : float, default 1.0
        How far the directions are evened out; from 0 to 2.
    eigenvalue_floor : float or "auto", default "auto"
        Eigenvalues count if they are greater than this share of the largest. "auto": 1e-6 if float32 rows were among
        the data, else ``d * 2**-52``. With ``gamma > 0`` others are never divided by.
    normalize : bool, default False
        Divide each result by its 2-norm, so that dot products are cosines. A row of zeros stays.
    dtype : {"float32", "float64"} or None, default None
        Type of results; None: that of the input. Statistics and the map are float64 inside.
    n_threads : int or None, default None
        Threads of numpy's BLAS, set through threadpoolctl if that is installed. None: as they are.

    Attributes
    ----------
    mean_ : ndarray of shape (d,)
    covariance_ : ndarray of shape (d, d)
        About the mean, divided by N.
    eigenvalues_ : ndarray of shape (d,)
        Of ``Sigma_beta``, descending; negative ones, which rounding makes, are 0.
    components_ : ndarray of shape (k, d)
        Rows are eigenvectors; in each, the entry of largest absolute value is positive.
    whitening_matrix_ : ndarray of shape (d, k)
    explained_ratio_ : ndarray of shape (d,)
        Shares of the eigenvalues in their sum.
    rank_, n_components_, n_samples_seen_, n_features_in_ : int
    moments_ : Moments
        A copy of the statistics.
    feature_names_in_ : ndarray of shape (d,)
        Where the input had names.

    Notes
    -----
    One pass over the data; memory does not grow with the number of rows. The eigen-problem is solved at the first
    `transform` after `partial_fit` or `merge`; `fit` solves it at once. It costs O(d^3), the pass O(N d^2).
    Whitening often helps vectors of a language model that was not tuned for similarity, and often hurts others:
    choose beta, gamma and n_components by `tune`.

    References
    ----------
    Su Jianlin, https://kexue.fm/archives/8069 and https://kexue.fm/archives/9079;
    Su et al., "Whitening Sentence Representations", arXiv 2103.15316.

    Examples
    --------
    >>> from likewise.whitening import Whitening
    >>> whitening = Whitening(beta=1.0, gamma=1.0).fit([[2.0, 0.0], [0.0, 1.0], [4.0, 2.0], [2.0, 1.0]])
    >>> whitening.transform([[4.0, 2.0], [2.0, 1.0]]).round(4)
    array([[1.5026, 0.6394],
           [0.    , 0.    ]])
    >>> whitening.set_hyper(gamma=0.0).eigenvalues_.round(4)
    array([2.1514, 0.3486])
    """

    _KIND: ClassVar[str] = "whitening"
    _state: State

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        beta: float = 1.0,
        gamma: float = 1.0,
        eigenvalue_floor: float | str = "auto",
        normalize: bool = False,
        dtype: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.beta = beta
        self.gamma = gamma
        self.eigenvalue_floor = eigenvalue_floor
        self.normalize = normalize
        self.dtype = dtype
        self.n_threads = n_threads

    # --- Fitting ---

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X alone, whatever was fitted before.

        Parameters
        ----------
        X : array-like of shape (n, d), n >= 2, or an iterable of such arrays with at least one row each
            float32 or float64; integers count as float64; memory-mapped arrays are read in chunks.
        y : ignored

        Returns
        -------
        Whitening
            Itself. After an error it is as it was.

        Raises
        ------
        ValueError, TypeError
            A parameter, NaN or infinity (with its position), a shape, or more components than the rank of the data.
        FloatingPointError
            Squares of the values do not fit into float64.

        Warns
        -----
        RankDeficiencyWarning
            ``n_components=None``, ``gamma > 0``, and the data span fewer directions than columns.
        """
        hyper = Hyper.check(self.get_params(deep=False))
        with blas_threads(hyper.n_threads):
            moments, names = self._gathered(Moments(), X)
            state = State(hyper, moments, None, 0, 0)
            solve(state)
        self._remember(state.n_features, names)
        self._state = state
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Add rows to those seen.

        Parameters and errors are those of `fit`, except that one row is enough, and that the rank is looked at when
        the map is first needed. Parameters set since the last fit take effect.
        """
        hyper = Hyper.check(self.get_params(deep=False))
        with self._changing(), blas_threads(hyper.n_threads):
            before = self._statistics("partial_fit") if self.__sklearn_is_fitted__() else Moments()
            self._set_statistics(hyper, *self._gathered(before, X))
        return self

    def merge(self, other: Any) -> Self:
        """Add the rows that another `Whitening` or `Moments` has seen; `other` and our parameters are unchanged.

        Raises
        ------
        TypeError, ValueError
            Neither of the two, of another width, or without statistics.
        """
        hyper = Hyper.check(self.get_params(deep=False))
        if isinstance(other, Whitening):
            other._require_fitted()
            theirs, names = other._statistics("merge"), getattr(other, "feature_names_in_", None)
        elif isinstance(other, Moments):
            theirs, names = other, None
        else:
            raise TypeError(f"other: expected a Whitening or Moments, got {describe(other)}")
        with self._changing():
            ours = Moments()
            if self.__sklearn_is_fitted__():
                ours, names = self._statistics("merge"), getattr(self, "feature_names_in_", names)
            moments = ours.copy()
            if theirs.n:
                moments._check_width(theirs.mean.shape[0], "other", type(self).__name__)
            moments.merge(theirs)
            if moments.n == 0:
                raise ValueError("other: expected moments of at least one row, got 0 sample(s)")
            self._set_statistics(hyper, moments, names)
        return self

    def set_hyper(
        self,
        *,
        beta: float | None = None,
        gamma: float | None = None,
        n_components: int | float | EllipsisType | None = ...,
    ) -> Self:
        """Change hyper-parameters now, from the statistics: no second pass over the data.

        Parameters
        ----------
        beta, gamma : float, optional
            None: as it is.
        n_components : int, float or None, optional
            None: all.

        Returns
        -------
        Whitening
            Itself, with the parameters set too. After an error it is as it was.

        Raises
        ------
        ValueError
            A value out of range, more components than the rank, or a model that was saved without statistics.
        """
        self._require_fitted()
        old = self._state
        given: dict[str, Any] = {"beta": beta, "gamma": gamma}
        changed = {k: v for k, v in given.items() if v is not None}
        if n_components is not ...:
            changed["n_components"] = n_components
        hyper = Hyper.check({**old.hyper.to_params(), **changed})
        state = State(hyper, self._statistics("set_hyper"), None, 0, 0)
        if old.spectrum is not None and old.spectrum.beta == hyper.beta:
            state.spectrum = old.spectrum
        with blas_threads(hyper.n_threads):
            solve(state)
        self._state = state
        return self.set_params(**changed)

    def _changing(self) -> threading.RLock:
        """The lock of whoever adds to what others may be adding to."""
        lock: threading.RLock = vars(self).setdefault("_lock", threading.RLock())
        return lock

    def _gathered(self, before: Moments, X: Any) -> tuple[Moments, Names | None]:
        """Moments of what was seen before and X, and the names of the columns; nothing of ours is changed."""
        fitted = before.n > 0
        names: Names | None = getattr(self, "feature_names_in_", None) if fitted else None
        moments = before._draft()
        several = is_chunks(X)
        for number, (name, chunk) in enumerate(iterate_chunks(X) if several else [("X", X)]):
            if fitted:
                self._check_names(chunk)
            elif number == 0:
                names = names_of(chunk)
            else:
                check_same_names(names_of(chunk), names, name)
            moments._append(chunk, name, type(self).__name__)
        if several and moments.n == before.n:
            raise ValueError("X: expected chunks with rows, got none")
        return moments, names

    def _statistics(self, what: str) -> Moments:
        moments = self._state.moments
        if moments is None:
            raise ValueError(f"{what}: expected a model with its statistics, got one that was saved without them")
        return moments

    def _set_statistics(self, hyper: Hyper, moments: Moments, names: Names | None) -> None:
        state = State(hyper, moments, None, 0, 0)
        self._remember(state.n_features, names)
        self._state = state

    # --- Applying ---

    def transform(self, X: Any, *, out: NDArray[Any] | None = None) -> Any:
        """Whiten rows.

        Parameters
        ----------
        X : array-like of shape (n, d), or an iterable of such arrays
        out : ndarray of shape (n, k), optional
            Where to write the result: C-contiguous, of the result's type, apart from X.

        Returns
        -------
        ndarray of shape (n, k)
            float32 for float32 rows, else float64, unless `dtype` says otherwise. For chunks: an iterator of results.

        Raises
        ------
        NotFittedError
        ValueError, TypeError
            NaN or infinity (with its position), another number of columns, other names of columns, or a sparse matrix.
        FloatingPointError
            A finite row whose result is not.
        """
        self._require_fitted()
        if not is_chunks(X):
            return self._transform(X, "X", out)
        if out is not None:
            raise TypeError("out: expected None where X comes in chunks, got an array")
        solve(self._state)
        return self._transform_all(X)

    def _transform_all(self, chunks: Any) -> Iterator[Any]:
        for name, chunk in iterate_chunks(chunks):
            yield self._transform(chunk, name, None)

    def _transform(self, X: Any, name: str, out: NDArray[Any] | None) -> Any:
        state = self._state
        model = state.model or solve(state)
        rows = self._check_rows(refuse_sparse(X, name), name, finite=False)
        dtype = state.hyper.dtype or rows.dtype
        shape = (len(rows), model.n_components)
        result: Rows = np.empty(shape, dtype)
        if out is not None:
            result = check_out(out, "out", shape=shape, dtype=dtype, inputs=[rows])
        with blas_threads(state.hyper.n_threads):
            model.apply(rows, result, name, normalize=state.hyper.normalize)
        return self._wrap(X, result)

    def inverse_transform(self, Y: Any) -> Rows:
        """Rows whose images are Y: ``Y Lambda^(gamma/2) U_k^T + beta mu``.

        Exact where no component was left out (k = d = `rank_`), else a projection.

        Parameters
        ----------
        Y : array-like of shape (n, k)

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            With ``normalize=True``: the lengths of the rows are gone.
        """
        self._require_fitted()
        state = self._state
        model = solve(state)
        if state.hyper.normalize:
            raise ValueError("normalize: expected False for inverse_transform, got True: the lengths of rows are gone")
        rows = check_array(
            refuse_sparse(Y, "Y"), "Y", min_rows=0, n_features=model.n_components, finite=False,
            owner="inverse_transform",
        )  # fmt: skip
        result: Rows = np.empty((len(rows), self.n_features_in_), state.hyper.dtype or rows.dtype)
        with blas_threads(state.hyper.n_threads):
            model.invert(rows, result, "Y")
        return result

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    # --- What was found ---

    @property
    def mean_(self) -> Matrix:
        """Mean of the rows: float64, shape (d,)."""
        return self._model().mean

    @property
    def covariance_(self) -> Matrix:
        """Covariance about the mean, divided by the number of rows: float64, shape (d, d)."""
        return self._known_moments().covariance()

    @property
    def eigenvalues_(self) -> Matrix:
        """Eigenvalues of Sigma_beta, descending; what rounding makes negative is 0: float64, shape (d,)."""
        return self._model().eigenvalues

    @property
    def components_(self) -> Matrix:
        """Eigenvectors that are used, as rows: float64, shape (k, d)."""
        return self._model().components

    @property
    def whitening_matrix_(self) -> Matrix:
        """What centred rows are multiplied by: float64, shape (d, k)."""
        return self._model().matrix

    @property
    def explained_ratio_(self) -> Matrix:
        """Shares of the eigenvalues in their sum: float64, shape (d,)."""
        values = self._model().eigenvalues
        total = values.sum()
        return values / total if total > 0 else np.zeros_like(values)

    @property
    def rank_(self) -> int:
        """How many eigenvalues exceed the floor."""
        self._model()
        return self._state.rank

    @property
    def n_components_(self) -> int:
        """Number of columns of a result."""
        return self._model().n_components

    @property
    def n_samples_seen_(self) -> int:
        """Number of rows learnt from."""
        self._require_fitted()
        return self._state.n_samples

    @property
    def moments_(self) -> Moments:
        """A copy of the statistics."""
        return self._known_moments().copy()

    @property
    def eigenvalue_floor_(self) -> float:
        """The share of the largest eigenvalue that an eigenvalue must exceed to count."""
        self._require_fitted()
        moments = self._state.moments
        has_float32 = moments is not None and moments.has_float32
        return self._state.hyper.floor(self.n_features_in_, has_float32)

    def _model(self) -> AffineMap:
        self._require_fitted()
        return solve(self._state)

    def _known_moments(self) -> Moments:
        self._require_fitted()
        if self._state.moments is None:
            raise AttributeError("this Whitening was saved without its statistics")
        return self._state.moments

    def plot_spectrum(self, ax: Any = None) -> Any:
        """Draw the eigenvalues, their cumulative share, the floor, and the number of components.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from ..integrations.matplotlib import plot_spectrum

        return plot_spectrum(self, ax=ax)

    # --- Storage ---

    def save(self, path: str | os.PathLike[str], *, statistics: bool = True, overwrite: bool = True) -> None:
        """Store the fitted model as one file: completely, or not at all.

        Parameters
        ----------
        path : path-like
        statistics : bool, default True
            False: the map alone, about ``8 d k`` bytes; the loaded model can then not learn, merge or `set_hyper`.
        overwrite : bool, default True
            False: `FileExistsError` where the file exists.

        Raises
        ------
        NotFittedError, OSError
        """
        from .. import persistence

        target, statistics = check_path(path), check_bool(statistics, "statistics")
        self._require_fitted()
        content = self._to_container(statistics=statistics)
        persistence.write_container(target, self._KIND, *content, overwrite=overwrite)

    def _to_container(self, *, statistics: bool = True) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        arrays = names_to_bytes(getattr(self, "feature_names_in_", None))
        return "1", self._state.hyper.to_params(), arrays | to_arrays(self._state, statistics=statistics)

    @classmethod
    def _from_container(cls, container: Any) -> Self:
        state = read_state(container)
        made = cls(**state.hyper.to_params())
        made._remember(state.n_features, names_from_bytes(container, state.n_features))
        made._state = state
        return made


def check_whitening(container: Any, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with the content of a file of a whitening."""
    try:
        Whitening._from_container(container)
    except CorruptFileError as error:
        yield error
