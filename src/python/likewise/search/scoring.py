"""The parameters of a score, checked, and its formula in float64."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .._validation import check_bool, check_choice, check_scalar_float, describe

VARIANTS = ("lucene", "robertson", "atire", "bm25l", "bm25+", "bm25", "okapi")
DTYPES = ("float32", "float64")
_LARGEST = 1e6  # of k1, k3 and delta, as in the core: far beyond it scores vanish in a float32, or overflow
_DEFAULT_DELTA = {"bm25l": 0.5, "bm25+": 1.0}


@dataclass(frozen=True, slots=True)
class Scoring:
    """How an index scores: see `Index.build` for the meaning of each parameter."""

    variant: str
    k1: float
    b: float
    delta: float | None
    k3: float | None
    nonoccurrence: bool
    dtype: str

    @classmethod
    def check(
        cls, *, variant: object, k1: object, b: object, delta: object, k3: object, nonoccurrence: object, dtype: object
    ) -> Scoring:
        """Make one of what a caller, or a file, says. Raises `TypeError` or `ValueError` naming the parameter."""
        variant = check_choice(variant, "variant", VARIANTS)
        if delta is None:
            delta = _DEFAULT_DELTA.get(variant)
        elif variant not in _DEFAULT_DELTA:
            raise ValueError(f"delta: expected None for variant {variant!r}, which has none, got {describe(delta)}")
        return cls(
            variant=variant,
            k1=_check_parameter(k1, "k1"),
            b=check_scalar_float(b, "b", minimum=0.0, maximum=1.0),
            delta=None if delta is None else _check_parameter(delta, "delta"),
            k3=None if k3 is None else _check_parameter(k3, "k3"),
            nonoccurrence=check_bool(nonoccurrence, "nonoccurrence"),
            dtype=_check_dtype(dtype),
        )

    def to_params(self) -> dict[str, Any]:
        """The parameters by name."""
        return asdict(self)

    @property
    def core_k3(self) -> float:
        """k3 as the core takes it: negative stands for None."""
        return -1.0 if self.k3 is None else self.k3

    @property
    def core_parameters(self) -> dict[str, Any]:
        """The keyword arguments of the core's `validate` that this object determines."""
        return {
            "variant": self.variant,
            "k1": self.k1,
            "b": self.b,
            "delta": 0.0 if self.delta is None else self.delta,
            "nonoccurrence": self.nonoccurrence,
            "float64": self.dtype == "float64",
        }

    def length_factor(self, length: int, average_length: float) -> float:
        """L = 1 - b + b dl / avgdl."""
        return 1.0 - self.b + (self.b * length / average_length if average_length > 0 else 0.0)

    def f(self, tf: int, length_factor: float) -> float:
        """What a term that occurs `tf` times in a document gives, before its idf and weight."""
        k1, delta = self.k1, self.delta or 0.0
        if tf == 0 and not self.nonoccurrence:
            return 0.0
        if self.variant == "bm25l":
            c = tf / length_factor if tf > 0 else 0.0
            return (k1 + 1) * (c + delta) / (k1 + c + delta) if c + delta > 0 else 0.0
        saturation = tf / (tf + k1 * length_factor) if tf > 0 else 0.0
        if self.variant in ("lucene", "robertson"):
            return saturation
        return (k1 + 1) * saturation + (delta if self.variant == "bm25+" else 0.0)


def _check_parameter(value: object, name: str) -> float:
    """0, or a number that leaves a float32 room for impacts and weights of very different sizes."""
    number = check_scalar_float(value, name)
    if number != 0.0 and not 1 / _LARGEST <= number <= _LARGEST:
        raise ValueError(f"{name}: expected 0, or a number from {1 / _LARGEST:g} to {_LARGEST:g}, got {number:g}")
    return number


def _check_dtype(dtype: object) -> str:
    try:
        name = np.dtype(dtype).name if dtype is not None else ""  # type: ignore[call-overload]
    except TypeError:
        name = ""
    if name not in DTYPES:
        raise ValueError(f"dtype: expected 'float32' or 'float64', got {describe(dtype)}")
    return name
