"""Self-terminating heads: hand-computed numbers, the bound, sums, steps against whole sequences, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.decoding import SelfTerminatingState, non_monotonic_self_terminating, self_terminating

HEADS = {"st": self_terminating, "nmst": non_monotonic_self_terminating}


def plain(logits: Any, eos: int, epsilon: float, start: int, kind: str) -> Any:
    """The definitions as they read, for logits of a few steps."""
    found = np.empty_like(logits)
    going_on = 1.0
    for t, z in enumerate(logits):
        n = max(0, t - start + 1)
        sigmoid = 1 / (1 + np.exp(-z[eos]))
        others = np.exp(np.delete(z, eos))
        if kind == "st":
            going_on *= (1 - epsilon) * sigmoid if t >= start else 1
            stop, rest = 1 - going_on, going_on
        else:
            f = 1 - (1 - epsilon) ** n
            stop, rest = (1 - sigmoid) * f + sigmoid, (1 - sigmoid) * (1 - epsilon) ** n
        found[t] = np.insert(rest * others / others.sum(), eos, stop)
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("st", [0.89271737, 0.97403253, 0.98831464, 0.99231159]),
        ("nmst", [0.20728263, 0.40784255, 0.6355, 0.82354753]),
    ],
)
def test_numbers_of_the_specification(kind: str, expected: list[float]) -> None:
    logits = np.stack([np.zeros(4), np.array([-2.0, -1, 0, 1])], axis=1)
    found = np.exp(HEADS[kind](logits, 1, 0.1))
    np.testing.assert_allclose(found[:, 1], expected, atol=5e-9)
    assert (found[:, 1] >= np.array([0.1, 0.19, 0.271, 0.3439]) - 1e-15).all()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("st", [0.05433655, 0.89271737, 0.01998930, 0.03295678]),
        ("nmst", [0.40149580, 0.20728263, 0.14770205, 0.24351951]),
    ],
)
def test_eos_stays_in_its_column(kind: str, expected: list[float]) -> None:
    np.testing.assert_allclose(np.exp(HEADS[kind]([[1.0, -2, 0, 0.5]], 1, 0.1)), [expected], atol=5e-9)


@pytest.mark.parametrize("kind", HEADS)
@given(
    seed=st.integers(0, 1000),
    n_steps=st.integers(1, 8),
    n_tokens=st.integers(2, 6),
    epsilon=st.floats(1e-3, 0.9),
    start=st.integers(0, 9),
)
@settings(deadline=None)
def test_equals_the_definition(kind: str, seed: int, n_steps: int, n_tokens: int, epsilon: float, start: int) -> None:
    rng = np.random.default_rng(seed)
    logits, eos = 2 * rng.normal(size=(3, n_steps, n_tokens)), int(rng.integers(n_tokens))
    found = np.exp(HEADS[kind](logits, eos, epsilon, start=start))
    for row, expected in zip(found, logits, strict=True):
        np.testing.assert_allclose(row, plain(expected, eos, epsilon, start, kind), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("a", [-80.0, 80.0])
def test_long_and_extreme(kind: str, a: float) -> None:
    """Sums stay 1 and logarithms finite over a hundred thousand steps."""
    logits = np.random.default_rng(0).normal(size=(100_000, 3))
    logits[:, 2] = a
    found = HEADS[kind](logits, 2, 1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-12)
    bound = -np.expm1(np.arange(1, 100_001) * np.log1p(-1e-9))
    assert (np.exp(found[:, 2]) >= bound * (1 - 1e-12)).all()
    if kind == "st":
        assert (np.diff(found[:, 2]) >= 0).all()


@pytest.mark.parametrize("kind", HEADS)
def test_types_and_shapes(kind: str) -> None:
    head = HEADS[kind]
    logits = np.random.default_rng(1).normal(size=(2, 3, 5, 7))
    wide = head(logits, 3, 0.01, start=1)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float16, 2e-2)):
        narrow = head(logits.astype(dtype), 3, 0.01, start=1)
        assert narrow.dtype == np.float32 and narrow.shape == logits.shape
        np.testing.assert_allclose(narrow, wide, atol=tolerance)
    assert (wide[..., 0, 3] == -np.inf).all() == (kind == "st")  # before start
    assert head(np.zeros((0, 4)), 0, 0.5).shape == (0, 4)


@pytest.mark.parametrize("kind", HEADS)
def test_masked_tokens_get_nothing(kind: str) -> None:
    found = HEADS[kind]([[0.0, -np.inf, 1.0]], 0, 0.1)
    assert found[0, 1] == -np.inf
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("kind", HEADS)
def test_steps_equal_the_sequence(kind: str) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4, 6, 5))
    state = SelfTerminatingState(2, 0.05, 4, kind, start=2)
    expected = HEADS[kind](logits, 2, 0.05, start=2)
    for t in range(6):
        np.testing.assert_array_equal(state.step(logits[:, t]), expected[:, t])


@pytest.mark.parametrize("kind", HEADS)
def test_reorder_and_reset(kind: str) -> None:
    """Rows that change places take their history along; a row that begins anew has none."""
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=(2, 2, 3)), rng.normal(size=(3, 3))
    state = SelfTerminatingState(0, 0.2, 2, kind)
    for t in range(2):
        state.step(before[:, t])
    state.reorder([1, 1, 0])
    assert state.batch_size == 3
    state.reset([1])
    found = state.step(after)
    for row, history in ((0, before[1]), (2, before[0]), (1, before[0][:0])):
        expected = HEADS[kind](np.vstack([history, after[row]]), 0, 0.2)[-1]
        np.testing.assert_allclose(found[row], expected, rtol=1e-14)
    state.reorder([2, 1])  # steps go along, too: row 1 has made one, row 2 three
    again = state.step(after[:2])
    for row, history in ((0, [*before[0], after[2]]), (1, [after[1]])):
        expected = HEADS[kind](np.vstack([*history, after[row]]), 0, 0.2)[-1]
        np.testing.assert_allclose(again[row], expected, rtol=1e-14)
    state.reset()
    after = after[:2]
    np.testing.assert_array_equal(state.step(after), HEADS[kind](after[:, None], 0, 0.2)[:, 0])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(epsilon=0.0), ValueError, "epsilon: expected a finite number > 0"),
        (dict(epsilon=1), ValueError, "epsilon: expected"),
        (dict(epsilon=float("nan")), ValueError, "epsilon: expected"),
        (dict(epsilon="a"), TypeError, "epsilon: expected"),
        (dict(eos_id=3), ValueError, "eos_id: expected an integer from 0 to 2, got 3"),
        (dict(eos_id=-1), ValueError, "eos_id: expected"),
        (dict(eos_id=1.0), TypeError, "eos_id: expected"),
        (dict(start=-1), ValueError, "start: expected an integer >= 0, got -1"),
        (dict(logits_seq=[0.0, 1.0]), ValueError, "logits_seq: expected a 2-D array"),
        (dict(logits_seq=[[0.0], [1.0]]), ValueError, "logits_seq: expected at least 2 tokens"),
        (dict(logits_seq=[[0.0, 1.0], [1.0]]), ValueError, "logits_seq: expected a rectangular array"),
        (
            dict(logits_seq=[[0.0, 1, 2], [0, np.nan, 0]]),
            ValueError,
            "logits_seq: expected numbers or -inf, got NaN or infinity at row 1",
        ),
        (dict(logits_seq=[[0.0, np.inf, 2]]), ValueError, "logits_seq: expected numbers or -inf"),
        (dict(logits_seq=[[-np.inf, 1.0, 2]]), ValueError, "logits_seq: expected a finite logit of the end token"),
        (
            dict(logits_seq=np.where(np.arange(12).reshape(2, 2, 3) % 3, -np.inf, 0.0)),
            ValueError,
            r"logits_seq: expected a finite logit beside that of the end token, got none at row \(0, 0\)",
        ),
    ],
)
@pytest.mark.parametrize("kind", HEADS)
def test_refusals(kind: str, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    given_ = dict(logits_seq=[[0.0, 1.0, 2.0]], eos_id=0, epsilon=0.1) | arguments
    with pytest.raises(error, match=text):
        HEADS[kind](**given_)


def test_refusals_of_the_state() -> None:
    with pytest.raises(ValueError, match="kind: expected one of 'st', 'nmst', got 'x'"):
        SelfTerminatingState(0, 0.1, 1, "x")
    with pytest.raises(ValueError, match="batch_size: expected an integer >= 0"):
        SelfTerminatingState(0, 0.1, -1)
    state = SelfTerminatingState(0, 0.1, 2)
    first = state.step([[0.0, 1], [0, 2]])
    for wrong in ([[0.0, 1]], [[0.0, 1], [0, np.nan]]):
        with pytest.raises(ValueError, match="logits: expected"):
            state.step(wrong)
    with pytest.raises(ValueError, match="index: expected integers from 0 to 1, got 2 at position 0"):
        state.reorder([2])
    with pytest.raises(ValueError, match="rows: expected integers from 0 to 1"):
        state.reset([-1])
    state.reset()
    np.testing.assert_array_equal(state.step([[0.0, 1], [0, 2]]), first)
    assert repr(state) == "SelfTerminatingState(eos_id=0, epsilon=0.1, batch_size=2, kind='st', start=0)"
