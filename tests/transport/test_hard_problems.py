"""Problems on which fixed-point iterations crawl: parts of the plan hardly touch, and mass has to pass between them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.references import transport_numpy as reference
from benchmarks.transport.clouds import g2, squared_distances, u300
from likewise.errors import ConvergenceWarning
from likewise.transport import sinkhorn


def uneven(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    weights = np.exp(rng.uniform(-20, 0, n))
    return weights / weights.sum()


@pytest.mark.parametrize("first", range(0, 800, 200))
def test_small_problems_with_almost_no_entropy(first: int) -> None:
    """Sizes, weights and epsilons at random: each one converges, and its error is what numpy finds."""
    for seed in range(first, first + 200):
        rng = np.random.default_rng(seed)
        n, m = rng.choice([2, 3, 5, 17, 40], 2)
        epsilon = np.exp(rng.uniform(np.log(1e-6), np.log(1e-2)))
        a, b = (uneven(k, rng) if seed % 2 else rng.dirichlet(np.full(k, 0.1)) for k in (n, m))
        x, y = rng.integers(-3, 4, (n, 3)) + 0.01 * rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
        a, b = a / a.sum(), b / b.sum()
        r = sinkhorn(a, b, x=x, y=y, epsilon=epsilon, on_failure="raise")
        measured = reference.marginal_error(*r.potentials, a, b, reference.ground_cost(x, y), r.epsilon)
        # Rounding of potentials of 1e6 and more, in units of epsilon, is all that numpy may add.
        assert measured <= 1e-6 + 1e-14 / epsilon, seed


@pytest.mark.parametrize("cloud", [g2, u300])
def test_few_iterations_at_small_epsilon(cloud: object) -> None:
    """Newton's method ends what the accelerated iteration leaves: thousands of iterations without it."""
    assert callable(cloud)
    for seed in (100, 101, 102):
        cost = squared_distances(*cloud(seed))[:100, :100].astype(np.float32)
        r = sinkhorn(None, None, cost, epsilon=0.001, on_failure="raise")
        assert r.n_iter < 300


def test_a_point_in_the_wrong_cluster() -> None:
    """Stages of epsilon end when less than a point is out of place: where it costs little to move it."""
    cost = squared_distances(*u300(1000)).astype(np.float32)
    assert sinkhorn(None, None, cost, epsilon=0.001, on_failure="raise").n_iter < 800


def test_a_poor_guess_of_a_row_potential_loses_no_terms() -> None:
    """The first row sum is made with the potential that comes in: with this one, half of the terms are below e^-100."""
    cost = np.repeat([[0.0, 6.0]], 8, axis=1)
    cost = np.concatenate([cost, cost[:, ::-1], np.ones((1, 16))])
    a, b = np.full(3, 1 / 3), np.full(16, 1 / 16)
    start = (np.full(3, -95.0), np.zeros(16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        r = sinkhorn(
            a, b, cost, epsilon=1, epsilon_scale="absolute", init=start, max_iter=1, anderson=0, method="log", tol=1e-14
        )
    f, g = reference.iterate(a, b, cost, 1.0, 1)
    np.testing.assert_allclose(r.potentials[0], f, atol=1e-12)
    np.testing.assert_allclose(r.potentials[1], g, atol=1e-12)


def test_newton_within_the_iterations_that_are_allowed() -> None:
    cost = squared_distances(*g2(100))
    for most in (41, 89, 90, 91, 95, 110):
        with pytest.warns(ConvergenceWarning):
            r = sinkhorn(None, None, cost, epsilon=0.001, max_iter=most, tol=1e-9)
        assert r.n_iter == most and len(r.history) == most + 1
        assert np.isfinite(r.f).all() and r.certificate.dual <= r.certificate.primal


def test_points_of_many_coordinates_are_those_of_the_matrix() -> None:
    """Their distances are taken once where they fit; in passes, and for plain iterations, they are computed anew."""
    x, y = u300(120)
    options: dict[str, Any] = {"epsilon": 0.1, "tol": 1e-9, "on_failure": "raise"}
    r = sinkhorn(None, None, x=x, y=y, **options)
    np.testing.assert_allclose(r.f, sinkhorn(None, None, reference.ground_cost(x, y), **options).f, atol=1e-6)
    np.testing.assert_allclose(r.f, sinkhorn(None, None, x=x, y=y, anderson=0, **options).f, atol=1e-6)
