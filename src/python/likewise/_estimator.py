"""The base of the transformers: the contract of scikit-learn without its import, and what is common to their input.

Parameters are stored as they come and checked by `fit`; what `fit` learns ends in an underscore. scikit-learn is looked
at only where a program has loaded it already, or where scikit-learn itself calls (`__sklearn_tags__`).
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ._validation import check_array, check_path, describe
from .errors import CorruptFileError, NotFittedError

Rows = NDArray[np.float32] | NDArray[np.float64]
Names = NDArray[np.object_]

_OUTPUTS = ("default", "pandas", "polars")


class Transformer(ABC):
    """A row-wise map that is fitted, then applied: parameters, names of columns, containers of results, storage.

    A subclass stores the arguments of its ``__init__`` under their names and nothing else, sets ``n_features_in_`` (by
    `_remember`) where it is fitted, and ends ``transform`` with `_wrap`.
    """

    _KIND: ClassVar[str]  # of its files
    n_features_in_: int
    feature_names_in_: Names

    # --- What a subclass defines ---

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X and return self."""

    @abstractmethod
    def transform(self, X: Any) -> Any:
        """The rows of X, mapped."""

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """The number of columns of a result."""

    @abstractmethod
    def _to_container(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Version of the kind, parameters (JSON) and arrays of the fitted state."""

    @classmethod
    @abstractmethod
    def _from_container(cls, container: Any) -> Self:
        """The fitted object of a verified container; raises `CorruptFileError` where its content makes no sense."""

    # --- Parameters ---

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name.

        Parameters
        ----------
        deep : bool, default True
            Also the parameters of parameters that have some, as ``name__parameter``.

        Returns
        -------
        dict
        """
        found = {name: getattr(self, name) for name in parameter_defaults(type(self))}
        if deep:
            for name, value in list(found.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    found.update({f"{name}__{inner}": v for inner, v in value.get_params().items()})
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; they are checked, and take effect, at the next fit.

        Raises
        ------
        ValueError
            A name that is no parameter; nothing is set then.
        """
        own: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {}
        known = parameter_defaults(type(self))
        for key, value in params.items():
            name, separator, inner = key.partition("__")
            if name not in known:
                raise ValueError(
                    f"{key}: expected a parameter of {type(self).__name__} ({', '.join(known)}), got Invalid parameter "
                    f"{key!r}"
                )
            if separator:
                nested.setdefault(name, {})[inner] = value
            else:
                own[name] = value
        for name in nested:
            value = own.get(name, getattr(self, name))
            if not hasattr(value, "set_params"):
                raise ValueError(f"{name}: expected an object with parameters of its own, got {describe(value)}")
        for name, value in own.items():
            setattr(self, name, value)
        for name, inner_params in nested.items():
            getattr(self, name).set_params(**inner_params)
        return self

    def _changed(self) -> dict[str, Any]:
        """The parameters that differ from their defaults."""
        defaults = parameter_defaults(type(self))
        return {k: v for k, v in self.get_params(deep=False).items() if not _same(v, defaults[k])}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r:.80}' for k, v in self._changed().items())})"

    def _repr_html_(self) -> str:
        state = "fitted" if self.__sklearn_is_fitted__() else "not fitted"
        changed = self._changed()
        rows = "".join(
            f"<tr><td>{'<b>' if k in changed else ''}{escape(k)}{'</b>' if k in changed else ''}</td>"
            f"<td>{escape(f'{v!r:.200}')}</td></tr>"
            for k, v in self.get_params(deep=False).items()
        )
        return f"<details><summary>{escape(repr(self))} ({state})</summary><table>{rows}</table></details>"

    # --- scikit-learn's questions ---

    def __sklearn_is_fitted__(self) -> bool:
        return "n_features_in_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(),
        )

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise not_fitted_error(self)

    # --- Fitting and applying ---

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """``fit(X, y)``, then ``transform(X)``.

        Parameters
        ----------
        X : array-like of shape (n, d), or a list of chunks
            Read twice, so that an iterator is refused.
        y : ignored

        Returns
        -------
        ndarray of shape (n, k)
            Or an iterator of blocks, one for each chunk.
        """
        if is_chunks(X) and iter(X) is X:
            raise TypeError(
                f"X: expected what can be read twice, got the iterator {describe(X)} [call fit, then transform]"
            )
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> Names:
        """Names of the columns of a result: the class in lower case and a number.

        Parameters
        ----------
        input_features : sequence of str, optional
            Compared with the names seen in `fit`, as scikit-learn does, and not used.

        Returns
        -------
        ndarray of shape (k,) and dtype object
        """
        self._require_fitted()
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            names = getattr(self, "feature_names_in_", None)
            if names is not None and not np.array_equal(names, given):
                raise ValueError("input_features: expected the names seen in fit, got others: "
                                 "input_features is not equal to feature_names_in_")  # fmt: skip
            if len(given) != self.n_features_in_:
                raise ValueError(
                    f"input_features: expected {self.n_features_in_} names, got {len(given)}: input_features should "
                    f"have length equal to number of features ({self.n_features_in_})"
                )
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self._n_features_out)], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of results.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            numpy arrays, or data frames with the names of `get_feature_names_out`. None changes nothing.

        Raises
        ------
        ImportError
            The library of the frames is not installed.
        """
        if transform is None:
            return self
        if transform not in _OUTPUTS:
            raise ValueError(f"transform: expected one of {', '.join(map(repr, _OUTPUTS))}, got {describe(transform)}")
        if transform != "default":
            _frame_library(transform)
        # The name under which clone of scikit-learn looks for it.
        self._sklearn_output_config = {**getattr(self, "_sklearn_output_config", {}), "transform": transform}
        return self

    def _wrap(self, X: Any, result: Rows) -> Any:
        """The result in the container that was asked for; a pandas frame keeps the index of X."""
        config = getattr(self, "_sklearn_output_config", None)
        if config is not None:
            container = config["transform"]
        else:
            get_config = getattr(sys.modules.get("sklearn"), "get_config", None)
            container = "default" if get_config is None else get_config()["transform_output"]
        if container == "default":
            return result
        library = _frame_library(container)
        names = list(self.get_feature_names_out())
        if container == "polars":
            return library.DataFrame(result, schema=names, orient="row")
        index = X.index if isinstance(X, library.DataFrame | library.Series) else None
        return library.DataFrame(result, index=index, columns=names, copy=False)

    # --- 2-D input ---

    def _check_rows(self, X: Any, name: str = "X", *, finite: bool = True, min_rows: int = 0) -> Rows:
        """X as a canonical array of as many columns as were fitted, with their names if there were any."""
        self._check_names(X)
        return check_array(
            X, name, min_rows=min_rows, n_features=self.n_features_in_, owner=type(self).__name__, finite=finite
        )

    def _check_names(self, X: Any) -> None:
        """Compare the names of X's columns with those seen in `fit`."""
        given, fitted = names_of(X), getattr(self, "feature_names_in_", None)
        if given is None and fitted is None:
            return
        owner = type(self).__name__
        if fitted is None:
            warnings.warn(f"X has feature names, but {owner} was fitted without feature names", stacklevel=4)
        elif given is None:
            warnings.warn(
                f"X does not have valid feature names, but {owner} was fitted with feature names", stacklevel=4
            )
        else:
            check_same_names(given, fitted, "X")

    def _remember(self, n_features: int, names: Names | None) -> None:
        """Note the width and the names of what is fitted."""
        self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = names
        else:
            vars(self).pop("feature_names_in_", None)

    # --- Storage ---

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Store the fitted model as one file: completely, or not at all.

        Parameters
        ----------
        path : path-like
        overwrite : bool, default True
            False: `FileExistsError` where the file exists.

        Raises
        ------
        NotFittedError, OSError
        """
        from . import persistence

        target = check_path(path)
        self._require_fitted()
        persistence.write_container(target, self._KIND, *self._to_container(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True, verify: str = "full") -> Self:
        """Open what `save` stored.

        Parameters
        ----------
        path : path-like
        mmap : bool, default True
            Arrays are read-only views of a map of the file; False: they are read.
        verify : {"full", "header"}, default "full"
            Compare every array with its digest, or look at the header alone.

        Raises
        ------
        CorruptFileError, UnsupportedFormatError, OSError
            The file is damaged, of a later version, or cannot be read.
        TypeError
            A file of another kind.
        """
        from . import persistence

        container = persistence.read_container(check_path(path), mmap=mmap, verify=verify)
        persistence.expect_kind(container, cls._KIND)
        return cls._from_container(container)

    def to_bytes(self) -> bytes:
        """The fitted model as the bytes that `save` would store."""
        from . import persistence

        self._require_fitted()
        return persistence.to_bytes(self._KIND, *self._to_container())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The model of what `to_bytes` gave, fully verified."""
        from . import persistence

        container = persistence.from_bytes(data)
        persistence.expect_kind(container, cls._KIND)
        return cls._from_container(container)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "parameters": self.get_params(deep=False),
            "model": self.to_bytes() if self.__sklearn_is_fitted__() else None,
            "output": getattr(self, "_sklearn_output_config", None),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        if state["model"] is not None:
            vars(self).update(vars(type(self).from_bytes(state["model"])))
        for name, value in state["parameters"].items():  # as they were set, not as the model was fitted with
            setattr(self, name, value)
        if state["output"] is not None:
            self._sklearn_output_config = state["output"]


@cache
def parameter_defaults(cls: type[Transformer]) -> dict[str, Any]:
    """Names and defaults of the arguments of ``__init__``, in its order."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return {p.name: p.default for p in parameters}


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and isinstance(value, bool | int | float | str) and value == default


@cache
def _not_fitted_class(sklearn_class: type[Exception]) -> type[NotFittedError]:
    # Unpickled where scikit-learn may be absent: as our own error.
    return type(
        "NotFittedError",
        (NotFittedError, sklearn_class),
        {"__module__": NotFittedError.__module__, "__reduce__": lambda error: (NotFittedError, error.args)},
    )


def not_fitted_error(estimator: object) -> NotFittedError:
    """The error to raise; where scikit-learn is loaded, its own `NotFittedError` too."""
    text = (
        f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before "
        "using this estimator."
    )
    exceptions = sys.modules.get("sklearn.exceptions")
    return (NotFittedError if exceptions is None else _not_fitted_class(exceptions.NotFittedError))(text)


def _frame_library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"set_output(transform={name!r}) needs {name}; pip install {name}") from error


# --- Names of columns ---


def names_of(X: Any) -> Names | None:
    """The names of the columns of a data frame, if all of them are str; None for anything else."""
    if isinstance(X, np.ndarray | list | tuple):
        return None
    columns = getattr(X, "columns", None)
    if columns is None or callable(columns) or not hasattr(X, "shape"):
        return None
    names = np.array(list(columns), dtype=object)
    kinds = sorted({type(name).__qualname__ for name in names})
    if "str" in kinds and len(kinds) > 1:
        raise TypeError(
            f"X: expected column names that are all str, got {kinds}: Feature names are only supported if all input "
            "features have string names [set X.columns = X.columns.astype(str)]"
        )
    return names if kinds == ["str"] and names.ndim == 1 else None


def check_same_names(given: Names | None, fitted: Names | None, name: str) -> None:
    """Raise where both have names and these differ."""
    if given is not None and fitted is not None and not np.array_equal(given, fitted):
        raise ValueError(f"{name}: expected the columns seen in fit, got others: {_difference(given, fitted)}")


def _difference(given: Names, fitted: Names) -> str:
    text = "The feature names should match those that were passed during fit.\n"
    for title, names in (
        ("Feature names unseen at fit time:\n", sorted(set(given) - set(fitted))),
        ("Feature names seen at fit time, yet now missing:\n", sorted(set(fitted) - set(given))),
    ):
        if names:
            text += title + "".join(f"- {name}\n" for name in names[:5]) + ("- ...\n" if len(names) > 5 else "")
    if set(given) == set(fitted):
        text += "Feature names must be in the same order as they were in fit.\n"
    return text


def names_to_bytes(names: Names | None) -> dict[str, NDArray[Any]]:
    """Names of columns as an array to store, under the name ``feature_names``; nothing where there are none."""
    if names is None:
        return {}
    return {"feature_names": np.frombuffer(json.dumps(list(names)).encode(), np.uint8)}


def names_from_bytes(container: Any, n_features: int) -> Names | None:
    """What `names_to_bytes` stored in a container."""
    stored = container.arrays.get("feature_names")
    if stored is None:
        return None
    try:
        names = json.loads(stored.tobytes())
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) != n_features or not all(isinstance(x, str) for x in names):
        raise CorruptFileError(container.path, "feature_names", f"expected a JSON list of {n_features} strings")
    return np.array(names, dtype=object)


# --- Chunks ---


def is_chunks(X: object) -> bool:
    """Whether X is an iterable of chunks: one without length, or a list or tuple of 2-D arrays. Else X is one array."""
    if isinstance(X, np.ndarray):
        return False
    if isinstance(X, list | tuple):
        return len(X) > 0 and _rank(X[0]) == 2
    if any(hasattr(X, name) for name in ("__array__", "__dlpack__", "__len__", "tocsr")):
        return False
    return hasattr(X, "__iter__")


def _rank(value: Any) -> int:
    """The number of dimensions, of nested lists too (by their first elements)."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return len(shape)
    rank = 0
    while isinstance(value, list | tuple):
        rank += 1
        if not value:
            break
        value = value[0]
    return rank


def iterate_chunks(X: Any, name: str = "X") -> Iterator[tuple[str, Any]]:
    """The chunks of X that have rows, each with the name that errors give it."""
    for i, chunk in enumerate(X):
        shape = getattr(chunk, "shape", None)
        if not (isinstance(shape, tuple) and len(shape) == 2 and shape[0] == 0):
            yield f"{name}[{i}]", chunk
