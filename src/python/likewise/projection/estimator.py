"""The estimator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
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
    parameter_defaults,
)
from .._validation import check_array, check_float_dtype, check_n_threads, check_out, check_size, describe
from ..errors import CorruptFileError, UnsupportedFormatError
from .construction import METHODS, VERSION, Construction, choose
from .dimension import check_fraction
from .entries import components, inverse, invert_gram
from .sparse import Csr, check_csr, is_sparse

_KIND_VERSION = "1"
_CONVERTED_BYTES = 1 << 20  # of the rows that are converted at a time, where the result has another dtype than X


class RandomProjection(Transformer):
    """Project to fewer dimensions so that distances, inner products and cosines stay nearly the same.

    Row vectors become ``Y = X S^T`` with an implicit random matrix S of shape (n_components, n_features) and
    ``E |S x|^2 = |x|^2``. S is a function of a seed: it needs no data, takes no memory, and is stored as that seed. The
    same seed and parameters give the same bits on every machine, for any number of threads, any split of the rows, and
    for dense and sparse rows (with sorted indices) alike.

    Parameters
    ----------
    n_components : int or "auto", default "auto"
        k. "auto": what `min_dim` needs for the rows of `fit` at `epsilon` and `delta`, rounded up to a multiple of 16.
    method : str, default "auto"
        - "hadamard": signed block-Hadamard transforms, folded; nearly the distortion of orthonormal rows at the speed
          of reading X.
        - "sjlt": `nnz` signs a column (Kane and Nelson). "countsketch": one sign a column.
        - "very_sparse": a share `density` of nonzeros (Li, Hastie, Church). "achlioptas": a third.
        - "gaussian": normal entries. "srht": the subsampled randomised Hadamard transform.
        - "auto": "sjlt" for sparse rows of more than 65 536 columns, else "hadamard".
    epsilon, delta : float in (0, 1), default 0.1 and 0.01
        What "auto" may do to squared distances, and how probable a worse pair may be.
    density : float in (0, 1], optional
        Of "very_sparse" only; by default ``1 / sqrt(n_features)``.
    nnz : int, optional
        Of "sjlt" only; by default 4. From 16 on a multiple of 16, as n_components must be then; "auto" takes 16 where
        that holds.
    random_state : int, Generator, RandomState or None
        An integer in [0, 2^64) is the seed; None draws one.
    dtype : {"float32", "float64"} or None
        Of results; None: that of X.
    n_threads : int or None
        None: every CPU that this process may use. Results do not depend on it.

    Attributes
    ----------
    n_components_ : int
    method_ : str
    nnz_ : int or None
    density_ : float or None
    seed_ : numpy.uint64
        What was chosen. Together with ``n_features_in_`` they are the model.
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        Only where `fit` saw a data frame.

    References
    ----------
    .. [1] D. Achlioptas, Database-friendly random projections, JCSS 2003.
    .. [2] P. Li, T. Hastie, K. Church, Very sparse random projections, KDD 2006.
    .. [3] D. Kane, J. Nelson, Sparser Johnson-Lindenstrauss transforms, JACM 2014.
    .. [4] Su Jianlin, https://kexue.fm/archives/8679 and https://kexue.fm/archives/8706.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> X = np.random.default_rng(0).standard_normal((100, 768), dtype=np.float32)
    >>> p = lw.projection.RandomProjection(128, random_state=0).fit(X)
    >>> p.transform(X).shape
    (100, 128)
    >>> p
    RandomProjection(n_components=128, random_state=0)
    """

    _KIND: ClassVar[str] = "projection"

    n_components_: int
    method_: str
    nnz_: int | None
    density_: float | None
    seed_: np.uint64

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        method: str = "auto",
        epsilon: float = 0.1,
        delta: float = 0.01,
        density: float | None = None,
        nnz: int | None = None,
        random_state: Any = None,
        dtype: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.epsilon = epsilon
        self.delta = delta
        self.density = density
        self.nnz = nnz
        self.random_state = random_state
        self.dtype = dtype
        self.n_threads = n_threads

    # --- Fitting ---

    def fit(self, X: Any, y: Any = None) -> Self:
        """Look at the shape, the kind and the dtype of X, and fix the matrix.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d), or an iterable of such chunks
            Chunks are counted, and may be larger than memory together.
        y : ignored

        Returns
        -------
        RandomProjection
            Itself.

        Raises
        ------
        ValueError, TypeError
            A parameter or X is not what it should be; the object stays as it was.
        """
        epsilon, delta = check_fraction(self.epsilon, "epsilon"), check_fraction(self.delta, "delta")
        check_n_threads(self.n_threads)
        dtype = check_float_dtype(self.dtype)
        n, d, sparse, seen, names = _survey(X)
        construction = choose(
            n_samples=n,
            n_features=d,
            sparse=sparse,
            n_components=self.n_components,
            method=self.method,
            epsilon=epsilon,
            delta=delta,
            density=self.density,
            nnz=self.nnz,
            random_state=self.random_state,
            warn=True,
        )
        self._adopt(construction, names, dtype or seen, construction.build())
        return self

    def _adopt(
        self,
        construction: Construction,
        names: Names | None,
        dtype: np.dtype[Any],
        projection: _core.projection.Projection | None,
    ) -> None:
        self._construction = construction
        self._projection = projection
        self._inverse_gram: NDArray[np.float64] | None = None
        self._fitted_dtype = dtype
        self.n_components_ = construction.n_components
        self.method_ = construction.method
        self.nnz_ = construction.nnz
        self.density_ = construction.density
        self.seed_ = np.uint64(construction.seed)
        self._remember(construction.n_features, names)

    def _native(self) -> _core.projection.Projection:
        # A loaded model builds it when it is needed: a small file may name a matrix of 2^32 columns.
        if self._projection is None:
            self._projection = self._construction.build()
        return self._projection

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- Applying ---

    def transform(self, X: Any, *, out: NDArray[Any] | None = None) -> Any:
        """Project the rows of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d), or an iterable of such chunks
            Not copied if it is C-contiguous float32 or float64 (or CSR of these).
        out : ndarray of shape (n, k), optional
            Where to write; of the dtype of the result, C-contiguous, and apart from X.

        Returns
        -------
        ndarray of shape (n, k)
            In the dtype of X, or in `dtype`; a data frame after `set_output`. For chunks an iterator of such blocks.

        Raises
        ------
        ValueError, TypeError
            X has another number of columns, NaN or infinity; names where.
        FloatingPointError
            X is finite, and a sum is not.
        NotFittedError
        """
        self._require_fitted()
        if is_chunks(X):
            if out is not None:
                raise ValueError("out: expected None where X is an iterable of chunks, got an array")
            return self._transform_chunks(X)
        return self._wrap(X, self._project(X, "X", out))

    def _transform_chunks(self, chunks: Any) -> Iterator[Any]:
        for name, chunk in iterate_chunks(chunks):
            yield self._wrap(chunk, self._project(chunk, name, None))

    def _project(self, X: Any, name: str, out: Any) -> NDArray[Any]:
        n_threads = check_n_threads(self.n_threads)
        wanted = check_float_dtype(self.dtype)
        rows: Csr | Rows
        if is_sparse(X):
            self._check_names(X)
            rows = check_csr(X, name, n_features=self.n_features_in_, owner=type(self).__name__)
            arrays: list[NDArray[Any]] = [rows.indptr, rows.indices, rows.data]
        else:
            rows = self._check_rows(X, name, finite=False)
            arrays = [rows]
        dtype = wanted or arrays[-1].dtype
        shape = (len(rows), self.n_components_)
        if out is None:
            check_size(shape[0] * shape[1], dtype.itemsize, name)
            result = np.empty(shape, dtype)
        else:
            result = check_out(out, "out", shape=shape, dtype=dtype, inputs=arrays)
        if not _multiply(self._native(), rows, result, n_threads):
            raise _explain(rows, result, name)
        return result

    def inverse_transform(self, Y: Any) -> NDArray[Any]:
        """The rows of least norm that project closest to Y: ``Y pinv(S)^T``.

        Parameters
        ----------
        Y : array-like of shape (n, k)

        Returns
        -------
        ndarray of shape (n, d)
            In the dtype of Y, computed in float64. S is never written out; a k x k factor is made once and kept.

        Raises
        ------
        ValueError, TypeError
            Y is not what it should be.
        FloatingPointError
            Y is finite, and the result is not.
        NotFittedError
        """
        self._require_fitted()
        given = check_array(Y, "Y", min_rows=0, n_features=self.n_components_, owner="inverse_transform")
        check_size(len(given) * self.n_features_in_, given.dtype.itemsize, "Y")
        native = self._native()
        if self._inverse_gram is None:
            self._inverse_gram = invert_gram(self._construction, native)
        result = inverse(self._construction, native, self._inverse_gram, given)
        finite = np.isfinite(result).all(axis=1)
        if not finite.all():
            raise _overflow("Y", result.dtype, np.flatnonzero(~finite))
        return result

    @property
    def components_(self) -> Any:
        """S of shape (k, d), in the dtype of `fit`: an ndarray, or CSR (of scipy) for the sparse methods.

        Raises
        ------
        ValueError
            It would take more than 2 GiB.
        """
        self._require_fitted()
        return components(self._construction, self._native(), self._fitted_dtype)

    # --- Storage ---

    def _to_container(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        made = self._construction
        parameters = {name: _storable(name, value, made.seed) for name, value in self.get_params(deep=False).items()}
        params = {
            "construction": VERSION,
            "density": made.density,
            "dtype": self._fitted_dtype.name,
            "method": made.method,
            "n_components": made.n_components,
            "n_features": made.n_features,
            "nnz": made.nnz,
            "parameters": parameters,
        }
        names = names_to_bytes(getattr(self, "feature_names_in_", None))
        return _KIND_VERSION, params, {"seed": np.array([made.seed], np.uint64), **names}

    @classmethod
    def _from_container(cls, container: Any) -> Self:
        params = container.params

        def damaged(array: str, reason: str) -> CorruptFileError:
            return CorruptFileError(container.path, array, reason)

        def count(name: str) -> int:
            value = params.get(name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**32:
                raise damaged("params", f"expected {name} from 1 to {2**32 - 1}")
            return value

        version = params.get("construction")
        if version != VERSION or isinstance(version, bool):
            raise UnsupportedFormatError(
                container.path, f"version {str(version)[:40]} of its construction", f"version {VERSION}"
            )
        seed = container.arrays.get("seed")
        if seed is None or seed.dtype != np.uint64 or seed.shape != (1,):
            raise damaged("seed", "expected one integer of 64 bits")
        method, density, parameters = params.get("method"), params.get("density"), params.get("parameters")
        if method not in METHODS:
            raise damaged("params", f"expected a method of {', '.join(METHODS)}")
        if params.get("dtype") not in ("float32", "float64"):
            raise damaged("params", "expected the dtype float32 or float64")
        if method == "very_sparse":
            if not isinstance(density, float | int) or isinstance(density, bool) or not 2.0**-31 <= density <= 1:
                raise damaged("params", "expected a density in (0, 1]")
        elif density is not None:
            raise damaged("params", f"expected no density for the method {method}")
        if method != "sjlt" and params.get("nnz") is not None:
            raise damaged("params", f"expected no nnz for the method {method}")
        made = Construction(
            method,
            count("n_features"),
            count("n_components"),
            count("nnz") if method == "sjlt" else None,
            None if density is None else float(density),
            int(seed[0]),
        )
        problem = made.problem()
        if problem is not None:
            raise damaged("params", problem)
        known = parameter_defaults(cls)
        if not isinstance(parameters, dict) or parameters.keys() != known.keys():
            raise damaged("params", f"expected the parameters {', '.join(known)}")
        if not all(value is None or isinstance(value, bool | int | float | str) for value in parameters.values()):
            raise damaged("params", "expected parameters that are numbers or text")
        model = cls(**parameters)
        model._adopt(made, names_from_bytes(container, made.n_features), np.dtype(params["dtype"]), None)
        return model


def problems(container: Any, full: bool) -> Iterator[CorruptFileError]:
    """What is wrong with a stored projection, for `likewise.persistence.check`."""
    try:
        RandomProjection._from_container(container)
    except CorruptFileError as error:
        yield error


def _survey(X: Any) -> tuple[int, int, bool, np.dtype[Any], Names | None]:
    """Rows, columns, whether sparse, dtype and names of an array or of chunks."""
    n, first, dtype = 0, None, np.dtype(np.float32)
    chunks = iterate_chunks(X) if is_chunks(X) else iter([("X", X)])
    for name, chunk in chunks:
        if is_sparse(chunk):
            rows = check_csr(chunk, name, min_rows=1)
            rows.check_finite(name)
            seen = (*rows.shape, True, None, rows.data.dtype)
        else:
            dense = check_array(chunk, name)
            seen = (*dense.shape, False, names_of(chunk), dense.dtype)
        if first is None:
            first = seen
        elif seen[1] != first[1]:
            raise ValueError(f"{name}: expected {first[1]} columns, as the first chunk has, got {seen[1]}")
        else:
            check_same_names(seen[3], first[3], name)
        n += seen[0]
        dtype = np.result_type(dtype, seen[-1])
    if first is None:
        raise ValueError("X: expected at least 1 row, got 0 sample(s): no chunk has any")
    _, d, sparse, names, _ = first
    return n, d, sparse, dtype, names


def _multiply(native: _core.projection.Projection, rows: Csr | Rows, result: NDArray[Any], n_threads: int) -> bool:
    """X S^T into `result`. Returns whether all of it is finite."""
    if isinstance(rows, Csr):
        with np.errstate(over="ignore"):  # told from the result
            data = rows.data.astype(result.dtype, copy=False)
        return native.transform_csr(rows.indptr, rows.indices, data, result, n_threads) < 0
    if rows.dtype == result.dtype:
        return native.transform(rows, result, n_threads) < 0
    step, finite = max(1, _CONVERTED_BYTES // (rows.shape[1] * result.itemsize)), True
    for begin in range(0, len(rows), step):
        with np.errstate(over="ignore"):
            converted = rows[begin : begin + step].astype(result.dtype)
        finite &= native.transform(converted, result[begin : begin + step], n_threads) < 0
    return finite


def _explain(rows: Csr | Rows, result: NDArray[Any], name: str) -> Exception:
    """Why some rows are not finite: the input's fault, or that of their sums."""
    if isinstance(rows, Csr):
        rows.check_finite(name)
    else:
        check_array(rows, name, min_rows=0)  # raises, naming row and column
    return _overflow(name, result.dtype, np.flatnonzero(~np.isfinite(result).all(axis=1)))


def _overflow(name: str, dtype: np.dtype[Any], rows: NDArray[Any]) -> FloatingPointError:
    shown = ", ".join(str(row) for row in rows[:3]) + (", ..." if len(rows) > 3 else "")
    hint = " [pass float64]" if dtype == np.float32 else " [scale the values]"
    s = "s" if len(rows) > 1 else ""
    return FloatingPointError(f"{name}: expected sums that {dtype} holds, got infinity or NaN at row{s} {shown}{hint}")


def _storable(name: str, value: Any, seed: int) -> bool | int | float | str | None:
    """A parameter as a file holds it. A generator is stored as the seed that it gave."""
    if name == "random_state" and isinstance(value, np.random.Generator | np.random.RandomState):
        return seed
    if name == "dtype" and value is not None:
        checked = check_float_dtype(value)
        return None if checked is None else checked.name
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise TypeError(f"{name}: expected a number or text, which a file can hold, got {describe(value)}")
