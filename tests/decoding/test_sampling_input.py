"""What may come in: dtypes, strides and foreign arrays where they are; and what is refused, by name."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from likewise.decoding import TerminationFloor, filter_logits, sample

NAN, INF = float("nan"), float("inf")
FLOOR = TerminationFloor(0.1)
ROWS = np.random.default_rng(0).normal(0, 3, (6, 700)).astype(np.float32)
ROWS.flags.writeable = False
SETTINGS: dict[str, Any] = dict(top_p=0.9, temperature=0.7, eos_id=5, random_state=3)


def strided(z: Any, row: int, element: int) -> Any:
    """The same values with other strides, in elements."""
    room = np.zeros((z.shape[0] * abs(row) + z.shape[1] * abs(element) + 8) * 2, z.dtype)
    view = np.lib.stride_tricks.as_strided(
        room[len(room) // 2 :], z.shape, (row * z.itemsize, element * z.itemsize), writeable=True
    )
    view[...] = z
    return view


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("strides", [(700, 1), (2000, 1), (2100, 3), (1, 6), (1400, -2), (-700, 1)])
def test_any_strides(dtype: Any, strides: tuple[int, int]) -> None:
    z = ROWS.astype(dtype)
    view = strided(z, *strides)
    assert sample(view, **SETTINGS).tolist() == sample(z, **SETTINGS).tolist()
    expected = filter_logits(z, top_k=30)
    assert filter_logits(view, top_k=30).tobytes() == expected.tobytes()
    assert filter_logits(view, top_k=30, inplace=True) is view
    assert np.ascontiguousarray(view).tobytes() == expected.tobytes()


def test_a_view_of_structures() -> None:
    """llama.cpp's array of {id, logit, p}."""
    data = np.zeros((2, 700), [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    data["logit"] = ROWS[:2]
    before = data.copy()
    assert sample(data["logit"], **SETTINGS).tolist() == sample(ROWS[:2], **SETTINGS).tolist()
    filter_logits(data["logit"], top_k=3, inplace=True)
    assert np.isfinite(data["logit"]).sum() == 6
    assert data["id"].tolist() == before["id"].tolist() and data["p"].tolist() == before["p"].tolist()


@pytest.mark.parametrize("form", ["big-endian", "misaligned", "list", "read-only", "masked", "subclass", "integers"])
def test_forms_that_are_read_as_any_array(form: str) -> None:
    z: Any = np.round(ROWS)
    expected = sample(z, **SETTINGS).tolist()
    if form == "big-endian":
        z = z.astype(">f4")
    elif form == "misaligned":
        room = np.zeros(z.nbytes + 1, np.uint8)
        view = room[1:].view(np.float32).reshape(z.shape)
        view[...] = z
        z = view
    elif form == "list":
        z = z.tolist()
    elif form == "read-only":
        assert not ROWS.flags.writeable
        z = ROWS
        expected = sample(ROWS.copy(), **SETTINGS).tolist()
    elif form == "masked":
        z = np.ma.masked_array(z)
    elif form == "subclass":
        z = z.view(type("Array", (np.ndarray,), {}))
    else:
        z = z.astype(np.int64)
    assert sample(z, **SETTINGS).tolist() == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
def test_tensors(dtype: str, transposed: bool) -> None:
    torch = pytest.importorskip("torch", reason="pip install torch")
    z = torch.from_numpy(ROWS.copy()).to(getattr(torch, dtype))
    plain = z.to(torch.float64).numpy()
    z = z.T.contiguous().T if transposed else z
    work = plain.astype(np.float32) if dtype != "float64" else plain
    assert sample(z, **SETTINGS).tolist() == sample(work, **SETTINGS).tolist()
    assert sample(z[2], **SETTINGS) == sample(work[2], **SETTINGS)
    expected = torch.from_numpy(filter_logits(work, top_k=30, temperature=0.7)).to(z.dtype)
    if dtype == "bfloat16":
        assert filter_logits(z, top_k=30, temperature=0.7).dtype == np.float32
    before = z.data_ptr()
    assert filter_logits(z, top_k=30, temperature=0.7, inplace=True) is z
    assert z.data_ptr() == before and torch.equal(z, expected)


def test_only_dlpack() -> None:
    class Producer:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    assert sample(Producer(ROWS), **SETTINGS).tolist() == sample(ROWS, **SETTINGS).tolist()


def test_half_precision_round_trips() -> None:
    """Every number of 16 bits, through both directions of both types."""
    torch = pytest.importorskip("torch", reason="pip install torch")
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    z = every[np.isfinite(every)]
    np.testing.assert_array_equal(filter_logits(z), z)
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    tensor = bits[torch.isfinite(bits)]
    kept = tensor.clone()
    filter_logits(tensor, inplace=True)
    assert torch.equal(tensor, kept)
    # Rounding, ties to even: z / T in float64, then to the dtype.
    small = z[np.abs(z.astype(np.float64)) < 100]
    exact = (small.astype(np.float64) / 3).astype(np.float32)
    np.testing.assert_array_equal(filter_logits(small, temperature=3.0), exact.astype(np.float16))
    numbers = torch.from_numpy(small.astype(np.float32)).to(torch.bfloat16)
    expected = torch.from_numpy((numbers.to(torch.float64).numpy() / 3).astype(np.float32)).to(torch.bfloat16)
    filter_logits(numbers, temperature=3.0, inplace=True)
    assert torch.equal(numbers, expected)


def test_nothing_is_copied_whole() -> None:
    z = np.zeros((8, 200_000), np.float16)[:, ::2]
    sample(z, random_state=0)
    tracemalloc.start()
    sample(z, random_state=0, top_k=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("temperature", [1e-300, 1e-42, 1e-31, 1e31, 1e300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_extreme_temperatures(temperature: float, dtype: Any) -> None:
    z = np.array([1.0, 3.0, 3.0, -np.inf, 2.0], dtype)
    expected = [0, 0.5, 0.5, 0, 0] if temperature < 1 else [0.25, 0.25, 0.25, 0, 0.25]
    np.testing.assert_allclose(np.exp(filter_logits(z, temperature=temperature, normalize=True)), expected, rtol=1e-3)
    assert {sample(z, temperature=temperature, u=[u]) for u in (0.1, 0.9)} <= {0, 1, 2, 4}


def test_extreme_logits() -> None:
    for dtype in (np.float32, np.float64):
        top = np.finfo(dtype).max
        z = np.array([top, -top, top, -np.inf, 0], dtype)
        np.testing.assert_array_equal(np.exp(filter_logits(z, normalize=True)), [0.5, 0, 0.5, 0, 0])
        assert sample(z, u=[0.6], return_info=True)[1].kept == 4
        wide = np.array([top, -top], dtype)
        assert sample(wide, temperature=1e308, u=[0.99]) in (0, 1)
        tiny = np.array([0.0, np.finfo(dtype).smallest_subnormal, -0.0], dtype)
        np.testing.assert_allclose(np.exp(filter_logits(tiny, normalize=True)), 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_anywhere(bad: float, dtype: Any) -> None:
    for n in (*range(1, 70), 255, 256, 257, 300):
        z = np.zeros((2, n), dtype)
        for position in {0, n // 2, n - 1}:
            z[1, position] = bad
            got = "NaN" if bad != bad else r"\+infinity"
            for settings in (dict(), dict(top_k=1), dict(temperature=0)):
                with pytest.raises(ValueError, match=f"^logits: expected .*, got {got} at row 1$"):
                    sample(z, **settings)
            z[1, position] = 0
    negative = np.full(300, -np.nan, dtype)
    with pytest.raises(ValueError, match="got NaN at row 0"):
        sample(negative)


def test_masked_rows() -> None:
    z = ROWS[:2].copy()
    z[1] = -INF
    with pytest.raises(ValueError, match="^logits: expected a finite number, got -infinity only at row 1$"):
        sample(z)
    z = ROWS[:3].copy()
    z[1:, [5, 9]] = -INF
    text = (
        "^logits: expected an end token with a finite logit, as the floor is in force, got -infinity at row 1, step 4"
    )
    for greedy in (0.0, 1.0):
        with pytest.raises(ValueError, match=text):
            sample(z, temperature=greedy, eos_id=[9, 5], floor=FLOOR, step=4)
        skipping = TerminationFloor(0.1, masked_eos="skip")
        _, info = sample(z, temperature=greedy, eos_id=[9, 5], floor=skipping, return_info=True)
        assert info.floored.tolist() == [True, False, False] and info.eos_prob[1:].tolist() == [0, 0]
    late = TerminationFloor(0.1, start=5)  # not in force yet
    assert not sample(z, eos_id=[9, 5], floor=late, step=4, return_info=True)[1].floored.any()
    z[1, 7] = -INF
    for settings in (dict(), dict(top_k=700), dict(top_k=699), dict(top_p=0.9999)):
        assert filter_logits(z, eos_id=5, consistent=True, **settings)[1, 5] == -INF


Z = np.zeros((2, 4), np.float32)
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(temperature=-0.1), ValueError, "temperature: expected a finite number >= 0.0, got -0.1"),
    (dict(temperature=NAN), ValueError, "temperature: expected"),
    (dict(temperature=INF), ValueError, "temperature: expected"),
    (dict(temperature=[1.0, NAN]), ValueError, "temperature: expected finite numbers >= 0, got nan at position 1"),
    (dict(temperature=[1.0]), ValueError, "temperature: expected one number, or one for each of 2 rows, got 1"),
    (dict(temperature="1"), TypeError, "temperature: expected"),
    (dict(temperature=True), TypeError, "temperature: expected"),
    (dict(temperature=None), TypeError, "temperature: expected"),
    (dict(top_p=0.0), ValueError, "top_p: expected"),
    (dict(top_p=1.5), ValueError, "top_p: expected"),
    (dict(top_p=[0.5, 0.0]), ValueError, r"top_p: expected numbers > 0 and <= 1, got 0\.0 at position 1"),
    (dict(typical_p=0.0), ValueError, "typical_p: expected"),
    (dict(typical_p=NAN), ValueError, "typical_p: expected"),
    (dict(min_p=-0.5), ValueError, "min_p: expected"),
    (dict(min_p=1.5), ValueError, "min_p: expected"),
    (dict(min_p=[[0.5, 0.5]]), ValueError, "min_p: expected a 1-D array"),
    (dict(top_k=-1), ValueError, "top_k: expected"),
    (dict(top_k=2.0), TypeError, "top_k: expected"),
    (dict(top_k=[1, -1]), ValueError, "top_k: expected integers >= 0, got -1 at position 1"),
    (dict(top_k=[1, 2, 3], top_p=[0.5, 0.5]), ValueError, "top_p: expected as many values as top_k, 3, got 2"),
    (dict(eos_id=4), ValueError, "eos_id: expected ids from 0 to 3, got 4"),
    (dict(eos_id=-1), ValueError, "eos_id: expected"),
    (dict(eos_id=[0, 9]), ValueError, "eos_id: expected ids from 0 to 3, got 9"),
    (dict(eos_id=[]), ValueError, "eos_id: expected at least one id"),
    (dict(eos_id=1.0), TypeError, "eos_id: expected"),
    (dict(consistent=1), TypeError, "consistent: expected"),
    (dict(floor=FLOOR), ValueError, "floor: expected an eos_id"),
    (dict(floor=FLOOR, eos_id=1, consistent=False), ValueError, "floor: expected consistent=True"),
    (dict(floor=0.1, eos_id=1), TypeError, "floor: expected a TerminationFloor"),
    (dict(step=-1), ValueError, "step: expected"),
    (dict(step=2**33), ValueError, "step: expected"),
    (dict(step=1.0), TypeError, "step: expected"),
    (dict(step=[1, 2, 3]), ValueError, "step: expected one integer, or one for each of 2 rows, got 3"),
    (dict(step=[1, -1]), ValueError, "step: expected integers >= 0, got -1 at position 1"),
    (dict(n_threads=0), ValueError, "n_threads: expected"),
]
OF_SAMPLE: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(u=[0.5]), ValueError, "u: expected 2 numbers"),
    (dict(u=[0.5, 1.0]), ValueError, r"u: expected numbers >= 0 and < 1, got 1\.0 at position 1"),
    (dict(u=[0.5, NAN]), ValueError, "u: expected numbers"),
    (dict(u=[-0.5, 0.5]), ValueError, "u: expected numbers"),
    (dict(u=[0.5, 0.5], random_state=0), ValueError, "u: expected either u or random_state, got both"),
    (dict(random_state=-1), ValueError, "random_state: expected"),
    (dict(random_state=0.5), TypeError, "random_state: expected"),
    (dict(row_ids=[1]), ValueError, "row_ids: expected 2 ids"),
    (dict(row_ids=[0.5, 1.0]), TypeError, "row_ids: expected"),
    (dict(out=np.zeros(2, np.int32)), ValueError, "out: expected"),
    (dict(out=np.zeros(3, np.int64)), ValueError, "out: expected"),
    (dict(out=[0, 0]), TypeError, "out: expected"),
    (dict(return_info=1), TypeError, "return_info: expected"),
]


@pytest.mark.parametrize(("settings", "error", "text"), REFUSED)
def test_settings_that_are_refused(settings: dict[str, Any], error: type[Exception], text: str) -> None:
    for function in (sample, filter_logits):
        for _ in range(2):  # also where settings are remembered
            with pytest.raises(error, match=f"^{text}"):
                function(Z, **settings)


@pytest.mark.parametrize(("settings", "error", "text"), OF_SAMPLE)
def test_arguments_of_sample_that_are_refused(settings: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}"):
        sample(Z, **settings)


def test_remembered_settings_tell_types_apart() -> None:
    assert sample(Z, top_k=1, temperature=1, random_state=0).tolist() == [0, 0]
    with pytest.raises(TypeError, match="^top_k: expected"):
        sample(Z, top_k=1.0, temperature=1, random_state=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^top_k: expected"):
        sample(Z, top_k=True, temperature=1, random_state=0)


@pytest.mark.parametrize(
    ("logits", "error", "text"),
    [
        (np.zeros((1, 2, 3)), ValueError, "logits: expected shape"),
        (np.float32(1.0), ValueError, "logits: expected shape"),
        (np.zeros((2, 0)), ValueError, "logits: expected shape"),
        (np.zeros(3, complex), ValueError, "logits: expected real numbers"),
        (np.zeros(3, np.longdouble), ValueError, "logits: expected"),
        (np.array(["a"]), TypeError, "logits: expected"),
        (None, TypeError, "logits: expected"),
        ("abc", TypeError, "logits: expected"),
        ([[1.0], [1.0, 2.0]], ValueError, "logits: expected a rectangular array"),
        (np.ma.masked_array([1.0, 2.0], mask=[True, False]), ValueError, "logits: expected no masked values"),
    ],
)
def test_logits_that_are_refused(logits: Any, error: type[Exception], text: str) -> None:
    for function in (sample, filter_logits):
        with pytest.raises(error, match=f"^{text}"):
            function(logits)


def test_tensors_that_are_refused() -> None:
    torch = pytest.importorskip("torch", reason="pip install torch")
    for dtype in (torch.float32, torch.bfloat16):
        z = torch.zeros(3, dtype=dtype)
        with pytest.raises(ValueError, match=r"^logits: expected plain numbers, .*\[call .detach\(\)\]"):
            sample(z.clone().requires_grad_())
        with pytest.raises(ValueError, match=r"^logits: expected a dense array"):
            sample(z.to_sparse())


def test_what_inplace_refuses() -> None:
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="^logits: expected a writeable array"):
        filter_logits(frozen, inplace=True)
    for wrong in (np.zeros(3, np.int64), [1.0, 2.0]):
        with pytest.raises(TypeError, match="^logits: expected an array of floats"):
            filter_logits(wrong, inplace=True)
    with pytest.raises(ValueError, match="^logits: expected an aligned array in native byte order"):
        filter_logits(np.zeros(3, ">f4"), inplace=True)
    with pytest.raises(TypeError, match="^inplace: expected"):
        filter_logits(np.zeros(3), inplace=1)


def test_logits_that_do_not_fit_their_dtype_any_more() -> None:
    for dtype, temperature in ((np.float16, 1e-4), (np.float32, 1e-40)):
        with pytest.raises(ValueError, match="^temperature: expected one by which the logits can be divided"):
            filter_logits(np.array([1.0, 30.0], dtype), temperature=temperature)
        assert filter_logits(np.array([1.0, 30.0], dtype), temperature=temperature, normalize=True).tolist() == [
            -INF,
            0,
        ]
