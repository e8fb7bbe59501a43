"""Similar matrices: ours on both exact engines and on floats, beside sympy, the only peer with a Jordan form."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Record
from likewise import matrices
from likewise.matrices.engines import exact_engine

pytestmark = pytest.mark.usefixtures("one_blas_thread")

PYTHON = "likewise, python"
Rows = list[list[int]]
Contest = Callable[..., Record]
Keep = Callable[[Record], Record]


def by_engine(call: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """The call with python-flint, or with what takes its place where it is not installed."""
    if importlib.util.find_spec("flint") is None and name == "flint":
        Arena.missing["python-flint"] = "pip install python-flint"
        pytest.skip("needs python-flint: pip install python-flint")

    def run(item: Any) -> Any:
        before = sys.modules.get("flint")
        exact_engine.cache_clear()
        if name == "python":
            sys.modules["flint"] = None  # type: ignore[assignment]
        try:
            return call(item)
        finally:
            exact_engine.cache_clear()
            if before is not None:
                sys.modules["flint"] = before
            elif name == "python":
                del sys.modules["flint"]

    return run


def disguised(rows: Any, draw: random.Random) -> Rows:
    """P^-1 A P for a random unimodular P."""
    a = [list(map(int, row)) for row in rows]
    n = len(a)
    for _ in range(3 * n):
        i, j = draw.sample(range(n), 2)
        c = draw.choice((-1, 1))
        for row in a:  # A E, then E^-1 A E
            row[j] += c * row[i]
        a[i] = [x - c * y for x, y in zip(a[i], a[j], strict=True)]
    return a


def random_pair(n: int) -> tuple[Rows, Rows]:
    """A with entries from -5 to 5, and B similar to it."""
    draw = random.Random(n)
    a = [[draw.randint(-5, 5) for _ in range(n)] for _ in range(n)]
    return a, disguised(a, draw)


def derogatory_pair(n_factors: int) -> tuple[Rows, Rows]:
    """As many invariant factors: x^2 + x + 1, the last times x + 2."""
    draw = random.Random(n_factors)
    n = 2 * n_factors + 1
    a = [[0] * n for _ in range(n)]
    for first in range(0, n - 1, 2):
        a[first][first + 1], a[first + 1][first], a[first + 1][first + 1] = -1, 1, -1
    a[-1][-1] = -2
    return disguised(a, draw), disguised(a, draw)


def integer_spectrum_pair(n: int, seed: int) -> tuple[Rows, Rows]:
    """Jordan blocks of size 2 with integer eigenvalues, one of them twice."""
    draw = random.Random(seed)
    a = [[0] * n for _ in range(n)]
    for i in range(n):
        a[i][i] = max(i // 2, 1)
        if i % 2:
            a[i - 1][i] = 1
    return disguised(a, draw), disguised(a, draw)


def decide(pair: tuple[Any, Any]) -> Any:
    """The decision alone."""
    return matrices.is_similar(*pair, transform=False)


def transform(pair: tuple[Any, Any]) -> Any:
    """Decision, transform and its check."""
    return matrices.is_similar(*pair)


def check(pair: tuple[Any, Any], verdict: Any) -> str:
    """The transform again, in numpy's object arithmetic; digits of its largest entry."""
    assert verdict.similar
    if verdict.transform is None:
        return verdict.reason
    a, b = (np.array(rows, dtype=object) for rows in pair)
    p = verdict.transform
    assert (a @ p == p @ b).all()
    bits = max(abs(x.numerator).bit_length() for x in p.flat)
    return f"{int(bits * 0.30103) + 1} digits"


@pytest.mark.parametrize("n", [8, 12, 20, 32, 50, 80, 120])
def test_decide(n: int, scale: Scale, contest: Contest, record: Keep) -> None:
    if scale.quick and n > 50:
        pytest.skip("long")
    pair = random_pair(n)
    calls = {OURS: by_engine(decide, "flint")}
    if n <= 32:
        calls[PYTHON] = by_engine(decide, "python")
    notes = {name: check(pair, call(pair)) for name, call in calls.items()}
    sage = sage_matrix()
    if sage and n <= 50:
        calls["passagemath"] = lambda pair: sage(pair[0]).is_similar(sage(pair[1]))
        assert calls["passagemath"](pair)
    found = contest(
        "matrices, decide",
        f"n={n}",
        [Contestant(name, call, [pair]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
        axes={"size": n},
    )
    ours = found.row(OURS)
    if n == 50 and ours:
        found.limit("<= 500 ms", ours.value, 500)
    record(found)


@pytest.mark.parametrize("n", [8, 12, 20, 32, 50])
def test_transform(n: int, scale: Scale, contest: Contest, record: Keep) -> None:
    if scale.quick and n > 32:
        pytest.skip("long")
    pair = random_pair(n)
    calls = {OURS: by_engine(transform, "flint")}
    if n <= 32:
        calls[PYTHON] = by_engine(transform, "python")
    notes = {name: check(pair, call(pair)) for name, call in calls.items()}
    found = contest(
        "matrices, transform",
        f"n={n}",
        [Contestant(name, call, [pair]) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
        axes={"size": n},
    )
    ours, python = found.row(OURS), found.row(PYTHON)
    if n == 20 and ours:
        found.limit("<= 50 ms", ours.value, 50)
    if n in (12, 20) and python:
        limit = {12: 150, 20: 1500}[n]
        found.limit(f"without python-flint <= {limit} ms", python.value, limit)
    record(found)


@pytest.mark.parametrize("n_factors", [15, 30])
def test_derogatory(n_factors: int, contest: Contest, record: Keep) -> None:
    pair = derogatory_pair(n_factors)
    calls = {OURS: by_engine(transform, "flint")}
    if n_factors == 15:
        calls[PYTHON] = by_engine(transform, "python")
    notes = {name: check(pair, call(pair)) for name, call in calls.items()}
    sage = sage_matrix()
    if sage and n_factors == 15:  # the decision alone: its transform takes half a minute
        calls["passagemath"] = lambda pair: sage(pair[0]).is_similar(sage(pair[1]))
        assert calls["passagemath"](pair)
        notes["passagemath"] = "decision alone"
    record(
        contest(
            "matrices, derogatory",
            f"{n_factors} invariant factors, n={2 * n_factors + 1}",
            [Contestant(name, call, [pair]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
            notes=notes,
        )
    )


@pytest.mark.parametrize("n", [4, 8, 10])
def test_jordan(n: int, scale: Scale, contest: Contest, record: Keep) -> None:
    """sympy's Jordan form of one matrix against our decision, transform and check of a pair."""
    sympy = peer()
    # Many pairs: sympy remembers what it was asked.
    pairs = [integer_spectrum_pair(n, seed) for seed in range(4 if scale.quick else 16)]
    calls: dict[str, Callable[[Any], Any]] = {
        OURS: by_engine(transform, "flint"),
        PYTHON: by_engine(transform, "python"),
        "likewise, jordan_form": by_engine(lambda pair: matrices.jordan_form(pair[0]), "flint"),
        "sympy jordan_form": lambda pair: sympy.Matrix(pair[0]).jordan_form(),
    }
    notes = {name: check(pairs[0], calls[name](pairs[0])) for name in (OURS, PYTHON)}
    assert matrices.is_similar(matrices.jordan_form(pairs[0][0]).form, calls["sympy jordan_form"](pairs[0])[1])
    found = contest(
        "matrices, Jordan",
        f"integer spectrum, n={n}",
        [Contestant(name, call, pairs) for name, call in calls.items()],
        unit="ms",
        factor=1e3,
        notes=notes,
    )
    if n == 10:
        found.compare(">= 50x sympy's Jordan form of one matrix", 50, "sympy jordan_form")
    record(found)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_invariant_factors(n: int, contest: Contest, record: Keep) -> None:
    """sympy's invariant factors of both matrices, from the Smith form of xI - A, against our decision."""
    sympy = peer()
    from sympy.matrices.normalforms import invariant_factors

    x = sympy.symbols("x")

    def smith(pair: tuple[Rows, Rows]) -> bool:
        factors = [
            [
                f
                for f in invariant_factors(x * sympy.eye(n) - sympy.Matrix(rows), domain=sympy.QQ[x])
                if sympy.degree(f, x)
            ]
            for rows in pair
        ]
        return len(factors[0]) == len(factors[1]) and all(
            sympy.Poly(f, x).monic() == sympy.Poly(g, x).monic() for f, g in zip(*factors, strict=True)
        )

    pair = random_pair(n)
    assert smith(pair)
    calls: dict[str, Callable[[Any], Any]] = {OURS: by_engine(decide, "flint"), PYTHON: by_engine(decide, "python")}
    for call in calls.values():
        check(pair, call(pair))
    calls["sympy invariant_factors"] = smith
    record(
        contest(
            "matrices, invariant factors",
            f"n={n}",
            [Contestant(name, call, [pair]) for name, call in calls.items()],
            unit="ms",
            factor=1e3,
        )
    )


@pytest.mark.parametrize("n", [10, 30, 100])
def test_floats(n: int, contest: Contest, record: Keep) -> None:
    """A similar pair by a P of condition 1e3, beside two calls of numpy's eig (which decide nothing)."""
    rng = np.random.default_rng(n)
    u, v = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    p = (u * np.logspace(0, 3, n)) @ v
    a = rng.normal(size=(n, n))
    pair = a, np.linalg.solve(p, a @ p)
    verdict = transform(pair)
    assert verdict.similar
    assert np.linalg.norm(a @ verdict.transform - verdict.transform @ pair[1]) < 1e-6 * np.linalg.norm(a)
    found = contest(
        "matrices, floats",
        f"n={n}",
        [
            Contestant(OURS, transform, [pair]),
            Contestant("numpy", lambda pair: [np.linalg.eig(x) for x in pair], [pair]),
        ],
        unit="ms",
        factor=1e3,
        notes={OURS: f"residual {verdict.residual:.1e}, kappa {verdict.condition:.1e}"},
    )
    ours = found.row(OURS)
    if n == 100 and ours:
        found.limit("<= 300 ms", ours.value, 300)
    record(found)


def peer() -> Any:
    """sympy, or a skip that says how to install it."""
    try:
        import sympy
    except ImportError:
        Arena.missing["sympy"] = "pip install sympy"
        pytest.skip("needs sympy: pip install sympy")
    return sympy


def sage_matrix() -> Callable[[Rows], Any] | None:
    """Rational matrices of passagemath (parts of Sage on the package index); None where it is not installed."""
    try:
        import sage.all__sagemath_modules  # noqa: F401
        from sage.matrix.constructor import matrix
        from sage.rings.rational_field import QQ
    except ImportError:
        packages = " ".join(f"passagemath-{part}" for part in ("modules", "linbox", "flint", "pari"))
        Arena.missing["passagemath"] = f"pip install {packages}"
        return None
    return lambda rows: matrix(QQ, rows)
