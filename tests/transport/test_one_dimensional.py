"""wasserstein_1d and sliced_wasserstein: hand-checked numbers, the linear program, scipy, POT."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import InternalError
from likewise.transport import emd, sliced_wasserstein, wasserstein_1d

X, Y = [0, 1, 3], [0.5, 2, 2.5]
A, B = [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]


def test_the_three_points_of_the_definition() -> None:
    assert wasserstein_1d(X, Y, a=A, b=B) == pytest.approx(0.8, abs=1e-15)
    assert wasserstein_1d(X, Y, a=A, b=B, p=2, power=True) == pytest.approx(0.85, abs=1e-15)
    assert wasserstein_1d(X, Y, a=A, b=B, p=2) == pytest.approx(math.sqrt(0.85), abs=1e-15)
    assert wasserstein_1d([3], [5], p=3, power=True) == 8 and wasserstein_1d([3], [5], p=3) == pytest.approx(2)
    assert wasserstein_1d([1, 2], [1, 2, 1, 2]) == 0


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sampled_from([1.0, 1.5, 2.0, 3.7]),
    st.sampled_from(["uniform", "a", "b", "both"]),
)
@settings(max_examples=150, deadline=None)
def test_the_linear_program_agrees(n: int, m: int, seed: int, p: float, weighted: str) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-3, 4, k) if seed % 2 else rng.standard_normal(k) for k in (n, m))
    a = rng.dirichlet(np.ones(n)) if weighted in ("a", "both") else None
    b = np.where(rng.random(m) < 0.3, 0, rng.random(m)) if weighted in ("b", "both") else None
    if b is not None:
        b[rng.integers(m)] += 1
        b /= b.sum()
    exact = emd(a, b, np.abs(np.subtract.outer(x, y).astype(float)) ** p).cost
    found = wasserstein_1d(x, y, a=a, b=b, p=p, power=True)
    assert found == pytest.approx(exact, rel=1e-10, abs=1e-13)
    assert wasserstein_1d(x, y, a=a, b=b, p=p) == pytest.approx(exact ** (1 / p), rel=1e-10, abs=1e-13 ** (1 / p))
    assert wasserstein_1d(y, x, a=b, b=a, p=p, power=True) == pytest.approx(found, rel=1e-12, abs=1e-14)


def test_masses_count_as_for_emd() -> None:
    a, b = np.array([3.0, 1, 2]), np.array([2.0, 2, 2])
    cost = np.abs(np.subtract.outer(X, Y))
    assert wasserstein_1d(X, Y, a=a, b=b) == pytest.approx(emd(a, b, cost).cost, rel=1e-14)
    assert wasserstein_1d(X, Y, a=a) == pytest.approx(emd(a, None, cost).cost, rel=1e-14)


def test_scipy_agrees() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(5000), rng.standard_normal(7001) + 0.3
    a, b = rng.random(5000), rng.random(7001)
    assert wasserstein_1d(x, y) == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-11)
    expected = stats.wasserstein_distance(x, y, a, b)
    assert wasserstein_1d(x, y, a=a / a.sum(), b=b / b.sum()) == pytest.approx(expected, rel=1e-11)
    single = wasserstein_1d(x.astype(np.float32), y.astype(np.float32))
    assert single == pytest.approx(wasserstein_1d(x, y), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-30, 1e30, 1e170, 5e307])
@pytest.mark.parametrize("p", [1.0, 2.0, 7.0])
def test_points_of_any_size(scale: float, p: float) -> None:
    x, y = np.array([-1.0, 1.0, 3.0]), np.array([0.5, 2.0, 2.5])
    assert wasserstein_1d(x * scale, y * scale, p=p) / scale == pytest.approx(wasserstein_1d(x, y, p=p), rel=1e-13)


def test_what_float64_cannot_hold() -> None:
    with pytest.raises(FloatingPointError, match=r"^x: expected points whose W_p\^p float64 holds with p=2"):
        wasserstein_1d([0.0], [1e200], p=2, power=True)
    with pytest.raises(FloatingPointError, match=r"^x: expected points whose W_p float64 holds"):
        wasserstein_1d([-1.7e308], [1.7e308])
    assert wasserstein_1d([0.0], [1e200], p=2) == pytest.approx(1e200)
    assert wasserstein_1d([1e8], [1e8 + 1]) == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    (dict(x=[]), "x: expected at least 1 row"),
    (dict(x=[[1.0]]), "x: expected a 1-D array"),
    (dict(y=[1.0, np.nan]), "y: expected finite values, got NaN at position 1"),
    (dict(a=[0.5, 0.5]), "a: expected 3 weights"),
    (dict(b=[0.5, 0.6, -0.1]), "b: expected weights >= 0, got -0.1 at position 2"),
    (dict(a=[1, 2, 3], b=[1, 2, 4]), "b: expected the mass of a"),
    (dict(p=0.5), "p: expected a finite number >= 1"),
    (dict(p=math.inf), "p: expected a finite number >= 1"),
    (dict(power=1), "power: expected True or False"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
def test_refusals(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        wasserstein_1d(**{"x": X, "y": Y, **arguments})
    assert str(caught.value).startswith(text) and not isinstance(caught.value, InternalError)


# --- Slices ---


def test_one_dimension_is_one_slice() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 1)), rng.standard_normal((30, 1))
    a = rng.dirichlet(np.ones(40))
    for p in (1.0, 2.0, 3.0):
        found = sliced_wasserstein(x, y, a=a, p=p, n_projections=7)
        assert found == pytest.approx(wasserstein_1d(x[:, 0], y[:, 0], a=a, p=p), rel=1e-13)


def test_a_shift_gives_the_mean_projection() -> None:
    # W_2 along a direction t is |<t, s>|, whose mean square is |s|^2 / d.
    x = np.random.default_rng(1).standard_normal((50, 5))
    found = sliced_wasserstein(x, x + np.array([2.0, 0, 0, 0, 1]), n_projections=20_000)
    assert found == pytest.approx(1.0, rel=0.02)


def test_directions_are_uniform_and_come_from_the_seed() -> None:
    from likewise.transport.one_dimensional import _directions

    t = _directions(0, 20_000, 3, 5)
    np.testing.assert_allclose(np.linalg.norm(t, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(t.T @ t / len(t), np.eye(3) / 3, atol=0.01)
    np.testing.assert_allclose(t.mean(axis=0), 0, atol=0.02)
    assert _directions(7, 5, 3, 5).tobytes() == t[7:12].tobytes()
    x, y = np.random.default_rng(2).standard_normal((2, 30, 3))
    assert sliced_wasserstein(x, y, random_state=1) == sliced_wasserstein(x, y, random_state=1)
    assert sliced_wasserstein(x, y, random_state=1) != sliced_wasserstein(x, y, random_state=2)


def test_pot_agrees_given_our_directions() -> None:
    ot = pytest.importorskip("ot")
    from likewise.transport.one_dimensional import _directions

    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((60, 4)), rng.standard_normal((45, 4)) + 1
    a, b = rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(45))
    expected = ot.sliced_wasserstein_distance(x, y, a, b, p=2, projections=_directions(0, 50, 4, 0).T)
    assert sliced_wasserstein(x, y, a=a, b=b) == pytest.approx(expected, rel=1e-10)


def test_slices_of_any_size_and_form() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((20, 3))
    expected = sliced_wasserstein(x, y)
    for scale in (1e-200, 1e200):
        assert sliced_wasserstein(x * scale, y * scale) / scale == pytest.approx(expected, rel=1e-12)
    assert sliced_wasserstein(np.asfortranarray(x), y.tolist()) == pytest.approx(expected, rel=1e-14)
    assert sliced_wasserstein(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(expected, rel=1e-6)
    assert sliced_wasserstein(x, x) == 0
    for arguments, text in (
        (dict(y=y[:, :2]), "y: expected 3 columns, as x has, got 2"),
        (dict(x=x[0]), "x: expected a 2-D array"),
        (dict(n_projections=0), "n_projections: expected an integer"),
        (dict(random_state=-1), "random_state: expected an integer"),
        (dict(p=0), "p: expected a finite number >= 1"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            sliced_wasserstein(**{"x": x, "y": y, **arguments})
        assert str(caught.value).startswith(text)
