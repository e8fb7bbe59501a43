"""How many dimensions: the table of known answers, exact tails against scipy, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.projection import min_dim
from likewise.projection.dimension import smallest_epsilon
from likewise.projection.tails import beta_tail, chi2_quantile, chi2_tail

# N, epsilon: su and dasgupta-gupta without delta, with delta=.01 dasgupta-gupta, chi2, beta of 768 and 1024
TABLE = {
    (10_000, 0.1): (22105, 7894, 9869, 8351, 735, 949),
    (10_000, 0.2): (5527, 2125, 2657, 2206, 580, 695),
    (10_000, 0.5): (885, 442, 553, 411, 241, 269),
    (100_000, 0.1): (27632, 9868, 11842, 10262, 748, 972),
    (1_000_000, 0.5): (1327, 663, 774, 602, 295, 339),
}


@pytest.mark.parametrize(("n", "epsilon"), TABLE)
def test_known_answers(n: int, epsilon: float) -> None:
    found = (
        min_dim(n, epsilon, None, "su"),
        min_dim(n, epsilon, None, "dasgupta-gupta"),
        min_dim(n, epsilon, method="dasgupta-gupta"),
        min_dim(n, epsilon),
        min_dim(n, epsilon, method="beta", n_features=768),
        min_dim(n, epsilon, method="beta", n_features=1024),
    )
    assert found == TABLE[n, epsilon]
    assert all(type(k) is int for k in found)


def test_other_known_answers() -> None:
    assert min_dim(10_000, 0.1, method="su") == 18421
    assert [min_dim(n, method="entropy") for n in (10_000, 100_000, 5_000_000, 512)] == [77, 96, 129, 52]
    assert min_dim(2, 0.1) == 1330  # one pair


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("n", [2, 77, 10**4, 10**9])
def test_without_delta_as_scikit_learn(n: int, epsilon: float) -> None:
    sklearn = pytest.importorskip("sklearn.random_projection")
    assert min_dim(n, epsilon, None, "dasgupta-gupta") == max(1, sklearn.johnson_lindenstrauss_min_dim(n, eps=epsilon))


@pytest.mark.parametrize("epsilon", [0.9999, 0.9, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("k", [1, 2, 3, 10, 19, 20, 21, 50, 411, 1000, 8351, 10**5])
def test_chi2_tail(k: int, epsilon: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2.sf(k * (1 + epsilon), k) + stats.chi2.cdf(k * (1 - epsilon), k)
    assert chi2_tail(k, epsilon) == pytest.approx(expected, rel=1e-10, abs=1e-290)


@pytest.mark.parametrize("epsilon", [0.99, 0.5, 0.2, 0.1, 0.01, 0.001])
@pytest.mark.parametrize(("k", "d"), [(1, 2), (1, 3), (2, 3), (7, 10), (99, 100), (300, 768), (767, 768), (300, 10**7)])
def test_beta_tail(k: int, d: int, epsilon: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    law = stats.beta(k / 2, (d - k) / 2)
    expected = law.sf(k / d * (1 + epsilon)) + law.cdf(k / d * (1 - epsilon))
    assert beta_tail(k, d, epsilon) == pytest.approx(expected, rel=1e-10, abs=1e-290)


@pytest.mark.parametrize(("k", "epsilon"), [(10**9, 1e-4), (10**13, 1e-6), (10**15, 1.5e-7)])
def test_the_tail_of_huge_dimensions_is_normal(k: int, epsilon: float) -> None:
    z = epsilon * math.sqrt(k / 2)
    assert chi2_tail(k, epsilon) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)
    # Exact to the single dimension: neighbours differ, in the right direction.
    assert chi2_tail(k - k // 1000, epsilon) > chi2_tail(k, epsilon) > chi2_tail(k + k // 1000, epsilon)


@pytest.mark.parametrize("epsilon", [0.999, 0.9, 0.5, 0.2])
def test_tails_fall_with_the_dimension(epsilon: float) -> None:
    assert np.all(np.diff([chi2_tail(k, epsilon) for k in range(1, 200)]) < 0)
    for d in (2, 5, 40, 64, 200):
        tails = np.array([beta_tail(k, d, epsilon) for k in range(1, d + 1)])
        assert np.all(np.diff(tails) <= 0), d


@given(st.integers(2, 10**12), st.floats(0.02, 0.99), st.floats(1e-12, 0.99))
@settings(max_examples=60, deadline=None)
def test_the_answer_is_the_smallest(n: int, epsilon: float, delta: float) -> None:
    pairs = n * (n - 1) / 2
    k = min_dim(n, epsilon, delta)
    assert pairs * chi2_tail(k, epsilon) <= delta * (1 + 1e-9)
    assert k == 1 or pairs * chi2_tail(k - 1, epsilon) > delta * (1 - 1e-9)
    d = 300
    k = min_dim(n, epsilon, delta, "beta", d)
    assert 1 <= k <= d
    assert pairs * beta_tail(k, d, epsilon) <= delta * (1 + 1e-9)
    assert k == 1 or pairs * beta_tail(k - 1, d, epsilon) > delta * (1 - 1e-9)


def test_smallest_epsilon() -> None:
    assert smallest_epsilon(10_000, 0.01, 8351) == pytest.approx(0.1, abs=1e-6)
    e = smallest_epsilon(500, 0.01, 640)
    assert min_dim(500, e * 1.0001) <= 640 < min_dim(500, e * 0.999)
    assert smallest_epsilon(500, 0.01, 64) > 1  # impossible


def test_quantiles() -> None:
    for k in (1, 20, 256):
        for q in (0.01, 0.5, 0.9999):
            assert chi2_tail(k, chi2_quantile(k, q)) == pytest.approx(1 - q, rel=1e-9)


def test_arrays_broadcast() -> None:
    found = min_dim([[100], [10_000]], [0.2, 0.5])
    assert isinstance(found, np.ndarray) and found.dtype == np.int64
    assert found.tolist() == [[min_dim(n, e) for e in (0.2, 0.5)] for n in (100, 10_000)]
    assert min_dim(np.array([10_000]), 0.2, method="beta", n_features=[768, 1024]).tolist() == [580, 695]
    assert isinstance(min_dim(np.int32(10_000), np.float32(0.5)), int)
    assert min_dim(np.empty(0, int)).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((1,), ValueError, "n_samples: expected an integer from 2 to"),
        ((1.5,), TypeError, "n_samples: expected an integer"),
        ((True,), TypeError, "n_samples: expected an integer"),
        (([5, 1],), ValueError, "n_samples: expected an integer from 2"),
        (([5, 1.5],), TypeError, "n_samples: expected an integer"),
        ((10, 0), ValueError, r"epsilon: expected a number in \(0, 1\), got 0"),
        ((10, 1.0), ValueError, r"epsilon: expected a number in \(0, 1\), got 1.0"),
        ((10, math.nan), ValueError, r"epsilon: expected a number in \(0, 1\), got nan"),
        ((10, "0.1"), TypeError, "epsilon: expected a finite number, got str '0.1'"),
        ((10, 1e-9), ValueError, "epsilon: expected a value that needs fewer than"),
        ((10, 0.1, 0.0), ValueError, r"delta: expected a number in \(0, 1\), got 0.0"),
        ((10, 0.1, 1), ValueError, r"delta: expected a number in \(0, 1\)"),
        ((10, 0.1, None), ValueError, "delta: expected a number in .* for method='chi2', got None"),
        ((10, 0.1, 0.1, "gauss"), ValueError, "method: expected one of 'chi2', 'beta'"),
        ((10, 0.1, 0.1, "beta"), ValueError, "n_features: expected the number of features"),
        ((10, 0.1, 0.1, "beta", 0), ValueError, "n_features: expected an integer from 1"),
        (([2, 3], [0.1, 0.2, 0.3]), ValueError, "n_samples: expected arguments of shapes that broadcast"),
        (([[2, 3], [4]],), ValueError, "n_samples: expected a rectangular array"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        min_dim(*arguments)
