"""The certificate for Markov chains: the toy chain, the real one, random sparse chains against graphs, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.decoding import TerminationFloor, sample, survival_bound, termination_probability

TOY = np.array([[0, 0.3, 0.2, 0.5], [0.02, 0.45, 0.5, 0.03], [0.02, 0.55, 0.4, 0.03]])
PLAIN = dict(consistent=False)


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        (None, 1.0),
        (dict(top_p=0.9, **PLAIN), 0.5),
        (dict(top_p=0.9), 1.0),
        (dict(top_k=2, **PLAIN), 0.625),
        (dict(top_k=2), 1.0),
        (dict(temperature=0), 1.0),
        (dict(min_p=0.1, **PLAIN), 0.5),
    ],
)
def test_toy_chain(truncation: Any, expected: float) -> None:
    found = termination_probability(TOY, 3, 0, truncation)
    assert isinstance(found, float) and found == pytest.approx(expected, abs=1e-15)


def test_forms_of_the_chain() -> None:
    """With the end token's row or without it, wherever its column is, for one start or many."""
    for eos in range(4):
        order = np.insert(np.arange(3), eos, 3)
        tokens = np.delete(np.arange(4), eos)
        square = np.full((4, 4), np.nan)
        square[tokens] = TOY[:, order]
        found = termination_probability(square, eos, tokens, dict(top_k=2, **PLAIN))
        np.testing.assert_allclose(found, [0.625, 0, 0], atol=1e-15)
        again = termination_probability(TOY[:, order].tolist(), eos, tokens.tolist(), dict(top_k=2, **PLAIN))
        np.testing.assert_array_equal(again, found)
    assert termination_probability([[0.5, 0.5]], 0, [1]).tolist() == [1.0]
    assert termination_probability(TOY, 3, np.array([], dtype=int)).shape == (0,)


def test_horizon() -> None:
    """Powers of the matrix, and the floor's bound."""
    for truncation, matrix in ((None, TOY), (dict(top_p=0.9, **PLAIN), TOY * (TOY > 0.04))):
        moves = matrix / matrix.sum(axis=1, keepdims=True)
        for n in (0, 1, 2, 7):
            survive = np.linalg.matrix_power(moves[:, :3], n).sum(axis=1)
            found = termination_probability(TOY, 3, [0, 1, 2], truncation, horizon=n)
            np.testing.assert_allclose(found, 1 - survive, atol=1e-14)
    for n in (1, 5, 30):
        floor = TerminationFloor(0.02, start=3)
        found = termination_probability(TOY, 3, [0, 1, 2], dict(top_k=1, floor=floor), horizon=3 + n)
        assert (1 - found <= survival_bound(0.02, n) + 1e-14).all()
    found = termination_probability(TOY, 3, 1, dict(temperature=0, floor=TerminationFloor(0.1)), horizon=7)
    assert found == 1.0  # greedy: at step 6 at the latest; here at step 4
    assert termination_probability(TOY, 3, 1, dict(temperature=0, floor=TerminationFloor(0.1)), horizon=4) == 0


@given(seed=st.integers(0, 10_000), n=st.integers(1, 8))
@settings(deadline=None)
def test_random_sparse_chains(seed: int, n: int) -> None:
    """1 exactly where no set without an exit can be reached, 0 exactly within one, and else what the equations give."""
    rng = np.random.default_rng(seed)
    P = rng.exponential(size=(n, n + 1)) * (rng.random((n, n + 1)) < 0.3)
    P[:, n] *= rng.random(n) < 0.5
    P[P.sum(axis=1) == 0, rng.integers(n + 1)] = 1
    P /= P.sum(axis=1, keepdims=True)
    found = termination_probability(P, n, np.arange(n))
    reach = np.linalg.matrix_power(np.eye(n, dtype=int) + (P[:, :n] > 0), n) > 0
    ends = (reach @ P[:, n]) > 0
    loops = (reach @ ~ends) > 0
    assert ((found == 1) == ~loops).all() and ((found == 0) == ~ends).all()
    np.testing.assert_allclose(P[:, :n] @ found + P[:, n], found, atol=1e-12)


def test_slow_chains_lose_no_digits() -> None:
    """A chain that leaves its state with probability 1e-13 still knows where it goes: 1e-13 : 3e-13."""
    P = [[1 - 4e-13, 0.0, 1e-13 + 3e-13], [0, 1.0, 0]]
    P[0] = [1 - 4e-13, 3e-13, 1e-13]
    found = termination_probability(P, 2, [0, 1])
    assert found[0] == pytest.approx(0.25, rel=1e-12) and found[1] == 0


def test_many_states() -> None:
    """More than are eliminated in one block: what a solver of linear equations gives."""
    rng = np.random.default_rng(5)
    n = 150
    P = rng.exponential(size=(n, n + 1)) * (rng.random((n, n + 1)) < 0.1)
    P[:, n] *= 0.01
    P[7] = np.eye(n + 1)[7]  # a loop that most states can reach
    P /= P.sum(axis=1, keepdims=True)
    found = termination_probability(P, n, np.arange(n))
    rest = np.delete(np.arange(n), 7)
    expected = np.linalg.solve(np.eye(n - 1) - P[np.ix_(rest, rest)], P[rest, n])
    np.testing.assert_allclose(found[rest], expected, rtol=1e-11)
    assert found[7] == 0


@pytest.mark.parametrize("truncation", [dict(top_k=2, **PLAIN), dict(temperature=1.5, floor=TerminationFloor(0.01, 3))])
def test_runs_agree(truncation: dict[str, Any]) -> None:
    """20 000 runs of `sample` against the exact probability, within five standard errors."""
    with np.errstate(divide="ignore"):
        logits = np.log(TOY)
    last, ended = np.zeros(20_000, dtype=int), np.zeros(20_000, dtype=bool)
    for step in range(12):
        last = np.where(ended, 0, sample(logits[last % 3], eos_id=3, step=step, random_state=1, **truncation))
        ended |= last == 3
    exact = termination_probability(TOY, 3, 0, truncation, horizon=12)
    assert abs(ended.mean() - exact) < 5 * (exact * (1 - exact) / 20_000) ** 0.5
    assert 0.1 < exact < 0.99


@pytest.fixture(scope="module")
def lines(data: Path) -> tuple[Any, int, Any]:
    """The character chain of the specification: P, the end of a line, and the tenth characters of unseen lines."""
    path = data / "tinyshakespeare" / "input.txt"
    if not path.is_file():
        pytest.skip(f"no tinyshakespeare in {data}")
    text = path.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    kept = [line for line in text.split("\n") if len(line) > 10]
    cut = round(0.9 * len(kept))
    assert (cut, len(kept) - cut) == (24_894, 2_766)
    counts = np.full((len(number), len(number)), 0.1)
    for line in kept[:cut]:
        places = [number[character] for character in line + "\n"]
        np.add.at(counts, (places[:-1], places[1:]), 1)
    starts = [number[line[9]] for line in kept[cut:]]
    return counts / counts.sum(axis=1, keepdims=True), number["\n"], starts


@pytest.mark.parametrize(
    ("truncation", "never", "late"),
    [
        (dict(top_k=2), 0.984427, 0.984427),
        (dict(top_p=0.2), 0.993854, 0.993854),
        (dict(top_p=0.4), 0.992203, 0.992203),
        (dict(top_k=4), 0.0, 0.439485),
    ],
)
def test_real_chain(lines: tuple[Any, int, Any], truncation: dict[str, Any], never: float, late: float) -> None:
    P, eos, starts = lines
    plain = truncation | PLAIN
    assert 1 - termination_probability(P, eos, starts, plain).mean() == pytest.approx(never, abs=5e-7)
    assert 1 - termination_probability(P, eos, starts, plain, horizon=1500).mean() == pytest.approx(late, abs=5e-7)
    assert (termination_probability(P, eos, starts, truncation) == 1).all()


def test_real_chain_greedy(lines: tuple[Any, int, Any]) -> None:
    """99.4 % never end; with a floor from the 64th character on all have ended by the 88th, the end token included."""
    P, eos, starts = lines
    assert 1 - termination_probability(P, eos, starts, dict(temperature=0)).mean() == pytest.approx(0.994, abs=5e-4)
    floored = dict(temperature=0, floor=TerminationFloor(1e-2, start=64))
    assert (termination_probability(P, eos, starts, floored, horizon=88) == 1).all()
    assert termination_probability(P, eos, starts, floored, horizon=87).min() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(P=TOY[:, :3], eos_id=2), ValueError, "P: expected rows that sum to 1, got 0.5 at row 0"),
        (dict(P=TOY[:2]), ValueError, r"P: expected shape \(V - 1, V\) or \(V, V\)"),
        (dict(P=TOY[0]), ValueError, "P: expected a 2-D array"),
        (dict(P=TOY * 1.000001), ValueError, "P: expected rows that sum to 1, got 1.000001 at row 0"),
        (dict(P=np.where(TOY == 0.3, -0.3, TOY)), ValueError, "P: expected numbers >= 0, got -0.3 at row 0, column 1"),
        (dict(P=np.where(TOY == 0.3, np.nan, TOY)), ValueError, "P: expected numbers >= 0, got nan at row 0"),
        (dict(P=np.where(TOY == 0.3, np.inf, TOY)), ValueError, "P: expected rows that sum to 1, got inf at row 0"),
        (dict(eos_id=4), ValueError, "eos_id: expected an integer from 0 to 3, got 4"),
        (dict(start=4), ValueError, "start: expected integers from 0 to 3, got 4"),
        (dict(start=[0, 3]), ValueError, "start: expected tokens other than the end token, got 3"),
        (dict(start=1.0), TypeError, "start: expected integers"),
        (dict(truncation=dict(topk=3)), ValueError, "truncation: expected some of consistent, .*, got str 'topk'"),
        (dict(truncation=dict(step=3)), ValueError, "truncation: expected some of"),
        (dict(truncation=["top_k"]), TypeError, "truncation: expected a mapping"),
        (dict(truncation=dict(top_p=2.0)), ValueError, "top_p: expected"),
        (dict(truncation=dict(floor=TerminationFloor(0.1))), ValueError, "horizon: expected an integer with a floor"),
        (dict(horizon=-1), ValueError, "horizon: expected an integer >= 0"),
        (dict(horizon=1.5), TypeError, "horizon: expected an integer"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        termination_probability(**(dict(P=TOY, eos_id=3, start=0) | arguments))
