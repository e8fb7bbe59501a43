"""Beam search: exhaustive search, the bounds on its length, the certificate, and refusals."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.decoding import TerminationFloor, beam_search
from likewise.decoding.beam import _bound


class Model:
    """Random logits of each prefix, always the same for the same one; asserts that parents are what they say."""

    def __init__(self, seed: int, n_tokens: int, scale: float = 2.0) -> None:
        self.seed, self.n_tokens, self.scale = seed, n_tokens, scale
        self.before = np.empty((1, 0), np.int64)

    def logits(self, prefix: Any) -> Any:
        rng = np.random.default_rng([self.seed, len(prefix), *map(int, prefix)])
        return self.scale * rng.normal(size=self.n_tokens)

    def __call__(self, tokens: Any, parents: Any) -> Any:
        assert tokens.dtype == parents.dtype == np.int64
        if self.before.shape[1]:
            np.testing.assert_array_equal(tokens[:, :-1], self.before[parents])
        self.before = tokens
        return np.array([self.logits(prefix) for prefix in tokens])


def log_softmax(z: Any) -> Any:
    return z - z.max() - np.log(np.exp(z - z.max()).sum())


def exhaustive(model: Model, eos: int, longest: int, power: float) -> list[tuple[float, tuple[int, ...]]]:
    """All sequences that end within the budget, best first."""
    others = [token for token in range(model.n_tokens) if token != eos]
    found = []
    for length in range(1, longest + 1):
        for prefix in itertools.product(others, repeat=length - 1):
            sequence = (*prefix, eos)
            score = sum(log_softmax(model.logits(sequence[:i]))[token] for i, token in enumerate(sequence))
            found.append((score / length**power, sequence))
    return sorted(found, key=lambda entry: -entry[0])


@pytest.mark.parametrize("power", [0.0, 0.7, 2.5])
@pytest.mark.parametrize("consistent", [True, False])
def test_equals_exhaustive_search(power: float, consistent: bool) -> None:
    for seed in range(5):
        result = beam_search(
            Model(seed, 3),
            eos_id=1,
            beam_size=3**4,
            n_best=5,
            max_new_tokens=4,
            length_penalty=power,
            consistent=consistent,
        )
        expected = exhaustive(Model(seed, 3), 1, 4, power)[:5]
        assert [tuple(y) for y in result.sequences] == [y for _, y in expected]
        np.testing.assert_allclose(result.scores, [score for score, _ in expected], rtol=1e-12)
        assert result.finished.all()


def certain(n_tokens: int) -> Any:
    """A model that never wants to stop."""
    return lambda tokens, parents: np.tile([0.0] * (n_tokens - 1) + [-600.0], (len(tokens), 1))


@pytest.mark.parametrize(("epsilon", "most"), [(1e-2, 30), (1e-3, 118), (1e-4, 429)])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_floor_ends_it(epsilon: float, most: int, beam_size: int) -> None:
    n = next(n for n in itertools.count(1) if -math.log1p(-epsilon) * n * (n + 1) / 2 >= -math.log(epsilon))
    assert n == most
    models = [(certain(2), 1), (certain(5), 4), *((Model(seed, 4, 5.0), 0) for seed in range(3))]
    for model, eos in models:
        result = beam_search(model, eos_id=eos, floor=TerminationFloor(epsilon), beam_size=beam_size)
        assert result.certified and result.steps <= most and result.finished.all()


@pytest.mark.parametrize("power", [0.0, 1.0, 1.9])
def test_a_floor_ends_it_with_any_penalty(power: float) -> None:
    result = beam_search(certain(3), eos_id=2, floor=TerminationFloor(0.05, start=3), length_penalty=power, n_best=3)
    assert result.certified and len(result.sequences) == 3
    assert (np.diff(result.scores) <= 0).all()
    lengths = np.array([len(y) for y in result.sequences])
    assert power == 0 or lengths.max() > 3


@given(
    score=st.floats(-50, 0),
    length=st.integers(1, 30),
    power=st.floats(0.05, 1.95),
    epsilon=st.floats(1e-3, 0.5),
    start=st.integers(0, 40),
)
@settings(deadline=None)
def test_bound_is_the_best_of_all_lengths(score: float, length: int, power: float, epsilon: float, start: int) -> None:
    floor = TerminationFloor(epsilon, start)
    paid, best = 0.0, -math.inf
    for m in range(length + 1, 5_000):
        best = max(best, (score + paid) / m**power)
        paid += math.log1p(-floor.value(m - 1)) if floor.value(m - 1) < 1 else -math.inf
        if m == length + 10:
            assert _bound(score, length, power, floor, m) == pytest.approx(best, rel=1e-9, abs=1e-12)
        if paid < -1e6:
            break
    assert _bound(score, length, power, floor, None) == pytest.approx(best, rel=1e-9, abs=1e-12)


def test_neither_floor_nor_budget_is_refused_for_good_reason() -> None:
    """p_t(eos) = 2^-(t+1): the best finished sequence has 1/4, the live ones keep 0.57757619 for ever."""

    def step_fn(tokens: Any, parents: Any) -> Any:
        stop = 2.0 ** -(tokens.shape[1] + 2)
        return np.log(np.tile([1 - stop, stop], (len(tokens), 1)))

    result = beam_search(step_fn, eos_id=1, max_new_tokens=60)
    assert np.exp(result.scores).tolist() == pytest.approx([0.25]) and not result.certified
    assert result.steps == 60
    assert math.prod(1 - 2.0 ** -(t + 1) for t in range(1, 60)) == pytest.approx(0.57757619, abs=5e-9)
    with pytest.raises(ValueError, match="max_new_tokens: expected an integer, or a floor, got None"):
        beam_search(step_fn, eos_id=1)


def test_certificate_holds() -> None:
    """Where nothing fell out of the beam, a certified result is the best of all: going on finds no better one."""
    n_certified = 0
    for seed in range(30):
        for power in (0.0, 0.8):
            options: Any = dict(eos_id=0, beam_size=200, n_best=2, length_penalty=power)
            result = beam_search(Model(seed, 3), max_new_tokens=6, **options)
            if result.certified and result.steps < 6:
                n_certified += 1
                expected = exhaustive(Model(seed, 3), 0, 6, power)[:2]
                assert [tuple(y) for y in result.sequences] == [y for _, y in expected]
    assert n_certified > 10


def test_prompt_is_given_and_not_returned() -> None:
    seen = []

    def step_fn(tokens: Any, parents: Any) -> Any:
        seen.append(tokens.copy())
        return np.zeros((len(tokens), 3), np.float32)

    result = beam_search(step_fn, eos_id=[2], prompt=[7, 8], max_new_tokens=3, beam_size=2, n_best=20)
    assert all((tokens[:, :2] == [7, 8]).all() for tokens in seen) and seen[0].shape == (1, 2)
    # Equal scores: the earlier prefix, then the smaller token; finished ones before live ones.
    assert [y.tolist() for y in result.sequences] == [[2], [0, 2], [1, 2], [0, 0, 2], [0, 1, 2], [0, 0, 0], [0, 0, 1]]
    assert result.finished.tolist() == [True] * 5 + [False] * 2
    np.testing.assert_allclose(result.scores, -np.log(3) * np.array([1, 2, 2, 3, 3, 3, 3]))


def test_several_end_tokens_and_masks() -> None:
    def step_fn(tokens: Any, parents: Any) -> Any:
        row = np.array([0.0, 1.0, 0.5, -np.inf])
        if tokens.shape[1] < 2:
            row[1:3] = -np.inf  # no end yet
        return np.tile(row, (len(tokens), 1))

    result = beam_search(step_fn, eos_id=[1, 2], max_new_tokens=9, n_best=2)
    assert [y.tolist() for y in result.sequences] == [[0, 0, 1], [0, 0, 2]]
    assert result.certified  # 1 and 2 beat every continuation of 0, 0, 0
    with pytest.raises(ValueError, match=r"step_fn: .*row 0"):
        beam_search(step_fn, eos_id=[1, 2], floor=TerminationFloor(0.1))
    skipped = beam_search(step_fn, eos_id=[1, 2], floor=TerminationFloor(0.1, masked_eos="skip"), max_new_tokens=9)
    assert skipped.sequences[0].tolist() == [0, 0, 1]


def test_everything_ends() -> None:
    """No live prefix is left: certified."""
    result = beam_search(
        lambda tokens, parents: np.tile([-np.inf, 0.0], (len(tokens), 1)), eos_id=1, max_new_tokens=5, n_best=3
    )
    assert result.certified and result.steps == 1 and [y.tolist() for y in result.sequences] == [[1]]


def test_torch_logits() -> None:
    torch = pytest.importorskip("torch", reason="pip install torch")
    rows = torch.tensor([[0.0, 1.0, 0.5]])
    ours = beam_search(lambda tokens, _: rows.expand(len(tokens), 3), eos_id=2, floor=TerminationFloor(0.1))
    same = beam_search(lambda tokens, _: rows.numpy().repeat(len(tokens), 0), eos_id=2, floor=TerminationFloor(0.1))
    assert [y.tolist() for y in ours.sequences] == [y.tolist() for y in same.sequences]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(step_fn=3), TypeError, "step_fn: expected a callable, got int 3"),
        (dict(step_fn=lambda tokens, _: np.zeros((2, 3))), ValueError, "step_fn: expected 1 rows, got 2"),
        (dict(step_fn=lambda tokens, _: np.zeros(3)), ValueError, "step_fn: expected a 2-D array"),
        (dict(step_fn=lambda tokens, _: np.full((1, 3), np.nan)), ValueError, "step_fn: .*row 0"),
        (dict(step_fn=lambda tokens, _: np.full((1, 3), -np.inf)), ValueError, "step_fn: .*row 0"),
        (dict(eos_id=3), ValueError, "eos_id: expected ids from 0 to 2, got 3"),
        (dict(eos_id=[]), ValueError, "eos_id: expected at least one id"),
        (dict(eos_id=1.5), TypeError, "eos_id: expected an integer"),
        (dict(eos_id=None), TypeError, "eos_id: expected end tokens, got None"),
        (dict(prompt=[0.5]), TypeError, "prompt: expected integers"),
        (dict(beam_size=0), ValueError, "beam_size: expected an integer >= 1"),
        (dict(n_best=0), ValueError, "n_best: expected an integer >= 1"),
        (dict(max_new_tokens=0), ValueError, "max_new_tokens: expected an integer >= 1"),
        (dict(max_new_tokens=None), ValueError, "max_new_tokens: expected an integer, or a floor, got None"),
        (dict(length_penalty=-0.1), ValueError, "length_penalty: expected a finite number >= 0"),
        (dict(length_penalty=float("nan")), ValueError, "length_penalty: expected"),
        (
            dict(length_penalty=2, max_new_tokens=None, floor=TerminationFloor(0.1)),
            ValueError,
            "length_penalty: expected a number < 2 without max_new_tokens, got 2",
        ),
        (dict(floor=0.1), TypeError, "floor: expected a TerminationFloor or None, got float 0.1"),
        (dict(floor=TerminationFloor(0.1), consistent=False), ValueError, "floor: expected consistent=True, got False"),
        (
            dict(floor=TerminationFloor(0.1, masked_eos="skip"), max_new_tokens=None),
            ValueError,
            "max_new_tokens: expected an integer, or a floor with masked_eos='raise', got None",
        ),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    given_: dict[str, Any] = dict(step_fn=lambda tokens, _: np.zeros((len(tokens), 3)), eos_id=0, max_new_tokens=3)
    with pytest.raises(error, match=text):
        step_fn, rest = (given_ | arguments).pop("step_fn"), given_ | arguments
        rest.pop("step_fn")
        beam_search(step_fn, **rest)
