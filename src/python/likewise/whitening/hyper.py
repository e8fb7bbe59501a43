"""The parameters of a whitening, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_bool, check_float_dtype, check_scalar_float, check_scalar_int, describe


@dataclass(frozen=True)
class Hyper:
    """What `Whitening` was given, checked, and as it goes into a file."""

    n_components: int | float | None
    beta: float
    gamma: float
    eigenvalue_floor: float | None  # None: "auto"
    normalize: bool
    dtype: np.dtype[Any] | None
    n_threads: int | None

    @classmethod
    def check(cls, parameters: dict[str, Any]) -> Hyper:
        """Of the parameters by name. Raises naming the first that is wrong."""
        given = dict(parameters)
        threads = given.pop("n_threads")
        return cls(
            n_components=check_n_components(given.pop("n_components")),
            beta=check_scalar_float(given.pop("beta"), "beta"),
            gamma=check_gamma(given.pop("gamma")),
            eigenvalue_floor=_check_floor(given.pop("eigenvalue_floor")),
            normalize=check_bool(given.pop("normalize"), "normalize"),
            dtype=check_float_dtype(given.pop("dtype")),
            n_threads=None if threads is None else check_scalar_int(threads, "n_threads", minimum=1),
        )

    def floor(self, n_features: int, has_float32: bool) -> float:
        """The share of the largest eigenvalue above which one counts."""
        if self.eigenvalue_floor is not None:
            return self.eigenvalue_floor
        return 1e-6 if has_float32 else n_features * 2.0**-52

    def to_params(self) -> dict[str, Any]:
        """As JSON; `check` takes it back."""
        return {
            "n_components": self.n_components,
            "beta": self.beta,
            "gamma": self.gamma,
            "eigenvalue_floor": "auto" if self.eigenvalue_floor is None else self.eigenvalue_floor,
            "normalize": self.normalize,
            "dtype": None if self.dtype is None else self.dtype.name,
            "n_threads": self.n_threads,
        }


def check_n_components(value: object, name: str = "n_components") -> int | float | None:
    """None, an integer >= 1, or a share of the variance in (0, 1)."""
    if value is None:
        return None
    if isinstance(value, float | np.floating):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name}: expected an integer >= 1, or a float between 0 and 1, got {describe(value)}")
        return float(value)
    try:
        return check_scalar_int(value, name, minimum=1)
    except (TypeError, ValueError) as error:
        expected = "an integer >= 1, a float between 0 and 1, or None"
        raise type(error)(f"{name}: expected {expected}, got {describe(value)}") from None


def check_gamma(value: object, name: str = "gamma") -> float:
    """A number from 0 to 2."""
    return check_scalar_float(value, name, minimum=0, maximum=2)


def _check_floor(value: object) -> float | None:
    if isinstance(value, str) and value == "auto":
        return None
    try:
        floor = check_scalar_float(value, "eigenvalue_floor", minimum=0)
    except (TypeError, ValueError) as error:
        raise type(error)(f"eigenvalue_floor: expected 'auto' or a number in [0, 1), got {describe(value)}") from None
    if floor >= 1:
        raise ValueError(f"eigenvalue_floor: expected 'auto' or a number in [0, 1), got {describe(value)}")
    return floor
