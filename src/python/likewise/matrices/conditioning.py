"""Condition numbers of exact matrices, whose entries may be beyond floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engines import Rows, exact_engine


def exact_condition(p: NDArray[Any]) -> float | None:
    """kappa_2 of an invertible object array of fractions; None where it is above 1.8e308.

    The largest singular values of P and of its exact inverse: each is accurate, the smallest of P would not be.
    """
    n = len(p)
    if n == 0:
        return 1.0
    denominator = math.lcm(*(x.denominator for x in p.flat))
    rows = [[int(x * denominator) for x in row] for row in p]
    engine = exact_engine()
    solution, d = engine.solve(engine.matrix(rows), engine.matrix([[int(i == j) for j in range(n)] for i in range(n)]))
    norm, exponent = _norm(rows)
    inverse_norm, inverse_exponent = _norm(engine.rows(solution))
    d_exponent = d.bit_length()
    mantissa = norm * inverse_norm / (abs(d) / (1 << d_exponent))
    try:
        return math.ldexp(mantissa, exponent + inverse_exponent - d_exponent)
    except OverflowError:
        return None


def _norm(rows: Rows) -> tuple[float, int]:
    """The spectral norm as a float times a power of two."""
    exponent = max(abs(x) for row in rows for x in row).bit_length()
    scale = 1 << exponent
    floats = np.array([[x / scale for x in row] for row in rows])
    return float(np.linalg.norm(floats, 2)), exponent
