"""Polynomials with integer coefficients, highest degree first, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .engines import Polynomial


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """The product."""
    found = [0] * (len(p) + len(q) - 1)
    for i, c in enumerate(p):
        for j, d in enumerate(q):
            found[i + j] += c * d
    return tuple(found)


def power(p: Polynomial, exponent: int) -> Polynomial:
    """p to a power."""
    found: Polynomial = (1,)
    for _ in range(exponent):
        found = multiply(found, p)
    return found


def divide(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder by a monic q; the remainder has no leading zeros."""
    rest = list(p)
    n = len(p) - len(q) + 1
    if n <= 0:
        return (0,), strip(p)
    for i in range(n):
        if c := rest[i]:
            for j in range(1, len(q)):
                rest[i + j] -= c * q[j]
    return tuple(rest[:n]), strip(rest[n:])


def strip(p: Sequence[int]) -> Polynomial:
    """Without leading zeros; the zero polynomial is ()."""
    for i, c in enumerate(p):
        if c:
            return tuple(p[i:])
    return ()


def derivative(p: Polynomial) -> Polynomial:
    """The derivative."""
    n = len(p) - 1
    return tuple((n - i) * c for i, c in enumerate(p[:-1]))


def unscale(p: Polynomial, denominator: int) -> tuple[Fraction, ...]:
    """From a monic polynomial of ``denominator * A`` to that of A: ``p(denominator x) / denominator^degree``."""
    return tuple(Fraction(c, denominator**i) for i, c in enumerate(p))


def show(p: Sequence[Fraction | int]) -> str:
    """As text: ``x^2-5x+6``."""
    degree = len(p) - 1
    text = ""
    for i, c in enumerate(p):
        if not c:
            continue
        k = degree - i
        x = "" if k == 0 else "x" if k == 1 else f"x^{k}"
        size = "" if abs(c) == 1 and x else f"{abs(c)}" if Fraction(c).denominator == 1 or not x else f"({abs(c)})"
        sign = ("-" if c < 0 else "") if not text else "-" if c < 0 else "+"
        text += sign + size + x
    return text or "0"
