"""What the EMO loss refuses, in words that name the argument, and the forms of arrays that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise.transport import emo_loss
from tests.transport.test_emo import problem, soft

P = problem(20)


def with_column(column: int, value: float) -> Any:
    return np.where(np.arange(8) == column, value, P["embedding"])


def negative_soft() -> Any:
    p = np.full((17, 53), 1 / 51)
    p[:, 7] = -1 / 51
    return p


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        dict(targets=np.where(np.arange(17) == 4, 53, 0)),
        ValueError,
        "targets: .* from 0 to 52, .* got 53 at position 4",
    ),
    (dict(targets=np.where(np.arange(17) == 4, -1, 0)), ValueError, "targets: .* got -1 at position 4"),
    (dict(targets=np.zeros(17)), TypeError, "targets: expected integers, got dtype float64"),
    (dict(targets=np.zeros(17, bool)), TypeError, "targets: expected integers"),
    (dict(targets=np.zeros(16, int)), ValueError, r"targets: expected shape \(17,\), got \(16,\)"),
    (dict(targets=np.zeros((17, 1), int)), ValueError, "targets: expected a 1-D array"),
    (dict(targets=None), TypeError, "targets: expected integers, got None"),
    (dict(targets=["a"] * 17), TypeError, "targets: expected integers"),
    (dict(embedding=P["embedding"][:-1]), ValueError, "logits: .* as the embedding has rows, 52, got 53 .*padded"),
    (
        dict(embedding=with_column(3, np.nan)),
        ValueError,
        "embedding: expected finite values, got NaN at row 0, column 3",
    ),
    (dict(embedding=with_column(3, np.inf)), ValueError, "embedding: expected finite values, got infinity"),
    (dict(embedding=P["embedding"][0]), ValueError, "embedding: expected a 2-D array"),
    (dict(embedding=None), TypeError, "embedding: expected an array of numbers, got None"),
    (dict(logits=P["logits"][0]), ValueError, "logits: expected a 2-D array"),
    (dict(logits=P["logits"].astype(complex)), ValueError, "logits: expected real numbers"),
    (dict(mixing="clamped"), ValueError, "mixing: expected one of 'none'"),
    (dict(mixing=None), TypeError, "mixing: expected one of"),
    (dict(alpha=2.0), ValueError, "alpha: expected mixing='sum', got 'balanced-clamped'"),
    (dict(beta=np.nan, mixing="sum"), ValueError, "beta: expected a finite number"),
    (dict(reduction="max"), ValueError, "reduction: expected one of"),
    (dict(zero_norm="ignore"), ValueError, "zero_norm: expected one of"),
    (dict(ignore_index=1.0), TypeError, "ignore_index: expected an integer"),
    (dict(return_parts=1), TypeError, "return_parts: expected True or False"),
    (dict(n_threads=0), ValueError, "n_threads: expected an integer >= 1"),
    (dict(soft_targets=soft(17, 52)), ValueError, "soft_targets: expected the shape of the logits"),
    (
        dict(soft_targets=2 * soft(17, 53)),
        ValueError,
        "soft_targets: expected rows that sum to 1, got .* at position 0",
    ),
    (
        dict(soft_targets=negative_soft()),
        ValueError,
        "soft_targets: expected values >= 0, got -.* at position 0, column 7",
    ),
    (dict(soft_targets=np.full((17, 53), np.nan)), ValueError, "soft_targets: expected values >= 0, got nan"),
]


@pytest.mark.parametrize(("change", "error", "text"), BAD, ids=lambda x: next(iter(x)) if isinstance(x, dict) else None)
def test_refused(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        emo_loss(**{**P, **change})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf")])
def test_logits_that_are_no_numbers(dtype: Any, value: float, text: str) -> None:
    for v in (1, 2, 15, 16, 17, 40):
        for column in {0, v // 2, v - 1}:
            p = problem(21, 6, v, dtype=dtype)
            p["targets"] %= v
            p["logits"][4, column] = value
            with pytest.raises(ValueError, match=f"^logits: expected finite values, .* got {text} at position 4"):
                emo_loss(**p)


def change_logits(change: Callable[[Any, Any], None]) -> dict[str, Any]:
    p = problem(22)
    change(p["logits"], p["targets"])
    return p


def test_tokens_without_probability() -> None:
    def nothing(z: Any, t: Any) -> None:
        z[5] = -np.inf

    def target(z: Any, t: Any) -> None:
        z[5, t[5]] = -np.inf

    with pytest.raises(ValueError, match="logits: expected finite values, .* got -inf at position 5"):
        emo_loss(**change_logits(nothing))
    text = "logits: expected a finite value at the target, got -infinity"
    with pytest.raises(ValueError, match=f"{text} at position 5"):
        emo_loss(**change_logits(target))
    p = change_logits(target)
    with pytest.raises(ValueError, match=f"{text} at row 1, position 0"):
        emo_loss(p["logits"][1:].reshape(4, 4, -1), p["targets"][1:].reshape(4, 4), p["embedding"], reduction="sum")


def test_forms_of_arrays_give_equal_bits() -> None:
    loss, grad = emo_loss(**P)
    misaligned = np.frombuffer(b"x" + P["logits"].tobytes(), np.uint8)[1:].view(np.float64).reshape(17, 53)
    wide = np.zeros((17, 106))
    wide[:, ::2] = P["logits"]
    for z in (
        P["logits"].astype(">f8"),
        np.asfortranarray(P["logits"]),
        wide[:, ::2],
        misaligned,
        P["logits"].tolist(),
    ):
        again, again_grad = emo_loss(z, P["targets"].tolist(), np.asfortranarray(P["embedding"]))
        assert again == loss and again_grad.tobytes() == grad.tobytes()
    for t in (np.int8, np.uint16, np.int32, np.uint64, ">i4"):
        assert emo_loss(P["logits"], P["targets"].astype(t), P["embedding"])[0] == loss


def test_message_reads_as_all_do() -> None:
    for change, error, _ in BAD:
        with pytest.raises(error) as caught:
            emo_loss(**{**P, **change})
        assert re.match(r"^[a-z_]+: expected .*, got ", str(caught.value)), str(caught.value)
