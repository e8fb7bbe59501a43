"""The one check of arguments: what is taken as it is, what is converted, what is refused, and in which words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from likewise import _validation as v

rng = np.random.default_rng(0)
DATA = rng.standard_normal((5, 4))


def misaligned(x: np.ndarray) -> np.ndarray:
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    y = buffer[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    assert not y.flags.aligned
    return y


# --- Arrays of data ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_canonical_arrays_pass_without_a_copy(dtype: type) -> None:
    x = DATA.astype(dtype)
    assert v.check_array(x, "X") is x
    x.flags.writeable = False
    assert v.check_array(x, "X") is x
    part = x[1:]
    assert v.check_array(part, "X") is part
    assert v.check_array(x[:1], "X").shape == (1, 4)
    assert np.shares_memory(v.check_array(x[:, :1].copy(), "X"), x) is False

    class Sub(np.ndarray):
        pass

    plain = v.check_array(x.view(Sub), "X")
    assert type(plain) is np.ndarray and np.shares_memory(plain, x)
    assert type(v.check_array(np.ma.masked_array(x), "X")) is np.ndarray


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "make",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: x.astype(x.dtype.newbyteorder(">")),
        misaligned,
        lambda x: x.tolist() if x.dtype == np.float64 else np.asfortranarray(x),
        lambda x: x.astype(object) if x.dtype == np.float64 else np.asfortranarray(x),
    ],
)
def test_other_layouts_are_copied_with_equal_bits(dtype: type, make: Any) -> None:
    x = DATA.astype(dtype)
    y = v.check_array(make(x), "X")
    assert y.dtype == dtype and y.dtype.isnative and y.flags.c_contiguous and y.flags.aligned
    assert y.tobytes() == x.tobytes()


def test_broadcast_is_copied() -> None:
    x = np.broadcast_to(np.float32(2), (3, 4))
    y = v.check_array(x, "X")
    assert y.flags.c_contiguous and (y == 2).all()


def test_exact_conversions_of_numbers() -> None:
    assert v.check_array(DATA.astype(np.float16), "X").dtype == np.float32
    for dtype in (bool, np.int8, np.uint16, np.int32, np.int64, np.uint64):
        y = v.check_array(np.array([[0, 1]], dtype), "X")
        assert y.dtype == np.float64 and y.tolist() == [[0.0, 1.0]]
    assert v.check_array(np.array([[-(2**63), 2**53]]), "X").tolist() == [[-(2.0**63), 2.0**53]]
    for bad in (2**53 + 1, 2**63 - 1, -(2**53) - 1):
        with pytest.raises(ValueError, match=rf"^X: expected .* float64 holds exactly, got {bad} at row 0, column 1$"):
            v.check_array(np.array([[0, bad]], np.int64), "X")
    with pytest.raises(ValueError, match=f"got {2**64 - 1} at row 0, column 0"):
        v.check_array(np.array([[2**64 - 1]], np.uint64), "X")
    assert v.check_array(np.array([[2**63]], np.uint64), "X").tolist() == [[2.0**63]]
    with pytest.raises(ValueError, match="<301 bits> at row 0"):
        v.check_array([[2**300 + 1]], "X")
    with pytest.raises(ValueError, match="X: expected"):
        v.check_array([[10**400]], "X")
    for mixed in ([[2**53 + 1, 0.5]], [[2**63 + 1, -1]]):  # numpy alone would round them
        with pytest.raises(ValueError, match="holds exactly, got .* at row 0, column 0$"):
            v.check_array(mixed, "X")


REFUSED: list[tuple[Any, type, str]] = [
    (DATA.astype(np.longdouble), ValueError, r"dtype float128|dtype longdouble"),
    (DATA.astype(complex), ValueError, "Complex data not supported"),
    (np.zeros((2, 2), "M8[s]"), ValueError, r"dtype datetime64\[s\]"),
    (np.zeros((2, 2), [("a", "f4")]), ValueError, "dtype"),
    (np.array([["a"]]), TypeError, "dtype <U1"),
    (np.array([[b"a"]]), TypeError, r"dtype \|S1"),
    ("abc", TypeError, "got str 'abc'"),
    (b"abc", TypeError, "got bytes b'abc'"),
    (None, TypeError, "got None"),
    ({"a": 1}, TypeError, "got dict"),
    (object(), TypeError, "got object"),
    ((x for x in [1.0]), TypeError, "got generator"),
    ([[1.0, 2.0], [3.0]], ValueError, "got a ragged list"),
    (np.array([[1.0, None]], object), TypeError, "got None at row 0, column 1"),
    (np.array([[1.0, "7"]], object), TypeError, "got str '7' at row 0, column 1"),
    (np.array([[1, 2], [3]], object), ValueError, "rectangular array of numbers, got list at position 0"),
    (DATA[0], ValueError, "Reshape your data"),
    (np.float64(3), ValueError, "Reshape your data"),
    (3.0, ValueError, "Reshape your data"),
    (DATA[None], ValueError, r"expected a 2-D array, got shape \(1, 5, 4\)$"),
    (np.zeros((0, 4)), ValueError, r"0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1 is required"),
    (np.zeros((4, 0)), ValueError, r"0 feature\(s\) \(shape=\(4, 0\)\) while a minimum of 1 is required"),
    (np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]), ValueError, "masked"),
    (np.lib.stride_tricks.as_strided(np.zeros(1), (2**29 + 1, 2**30), (0, 0)), ValueError, "fits into memory"),
    (np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), (2**30, 2**30), (0, 0)), ValueError, "fits into memory"),
]


@pytest.mark.parametrize(("value", "kind", "text"), REFUSED, ids=lambda x: str(x)[:25].replace("\n", " "))
def test_refused_data(value: Any, kind: type, text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        v.check_array(value, "X")
    assert str(caught.value).startswith("X: expected ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_number_of_features() -> None:
    with pytest.raises(ValueError, match="^X: X has 4 features, but Whitening is expecting 3 features as input$"):
        v.check_array(DATA, "X", n_features=3, owner="Whitening")
    assert v.check_array(np.zeros((0, 3)), "X", n_features=3, min_rows=0).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_bad_value_is_found_anywhere(dtype: type) -> None:
    for n in range(1, 131):
        x = np.ones((1, n), dtype)
        v.check_array(x, "X")
        for i in {0, n // 2, n - 1}:
            for bad, text in ((math.nan, "NaN"), (math.inf, "infinity"), (-math.inf, "-infinity")):
                x[0, i] = bad
                with pytest.raises(ValueError, match=f"^X: expected finite values, got {text} at row 0, column {i}$"):
                    v.check_array(x, "X")
                x[0, i] = 1


def test_extreme_finite_values_pass() -> None:
    for x in (
        np.full((3, 3), 1e308),
        np.full((3, 3), -0.0),
        np.full((3, 3), 5e-324),
        np.full((2, 2), 3e38, np.float32),
    ):
        assert v.check_array(x, "X") is x
    assert v.check_array([[math.nan]], "X", finite=False).shape == (1, 1)
    with pytest.raises(ValueError, match="got NaN at position 1"):
        v.check_array([1.0, math.nan], "w", ndim=1)
    with pytest.raises(ValueError, match="got -infinity at row 0, column 1"):
        v.check_array([[math.inf, 0], [1.0, -math.inf]][::-1], "X")


class FakeTensor:
    """Stands for arrays of other libraries: only their attributes are looked at."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("attributes", "hint"),
    [
        ({"is_cuda": True}, r"\[call \.cpu\(\)\]"),
        ({"__cuda_array_interface__": {}}, r"\[call \.cpu\(\)\]"),
        ({"__dlpack_device__": lambda: (2, 0)}, r"\[call \.cpu\(\)\]"),
        ({"requires_grad": True}, r"\[call \.detach\(\)\]"),
        ({"is_sparse": True}, r"\[call \.to_dense\(\)\]"),
        ({"layout": "torch.sparse_csr"}, r"\[call \.to_dense\(\)\]"),
        ({"dtype": "torch.bfloat16"}, r"\[call \.float\(\)\]"),
        ({"is_conj": lambda: True, "is_neg": lambda: False}, "conjugated"),
        ({"tocsr": None, "nnz": 3}, r"\[call \.toarray\(\)\]"),
    ],
)
def test_foreign_arrays_name_the_fix(attributes: dict[str, Any], hint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^X: expected .*{hint}"):
        v.check_array(FakeTensor(**attributes), "X")


def test_arrays_of_other_libraries() -> None:
    x = DATA.copy()

    class Producer:
        def __dlpack__(self, **kw: Any) -> Any:
            return x.__dlpack__(**kw)

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    class Arrayish:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return x

    assert np.shares_memory(v.check_array(Producer(), "X"), x)
    assert v.check_array(Arrayish(), "X") is x
    pandas = pytest.importorskip("pandas")
    assert v.check_array(pandas.DataFrame(x), "X").tobytes() == x.tobytes()
    polars = pytest.importorskip("polars")
    assert v.check_array(polars.DataFrame(x), "X").tobytes() == x.tobytes()


@given(
    hnp.arrays(
        st.one_of(
            hnp.floating_dtypes(),
            hnp.integer_dtypes(),
            hnp.boolean_dtypes(),
            hnp.complex_number_dtypes(),
            hnp.unicode_string_dtypes(),
            hnp.datetime64_dtypes(),
        ),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    st.booleans(),
    st.integers(-2, 2),
)
def test_either_an_error_or_equal_values(x: np.ndarray, fortran: bool, step: int) -> None:
    if fortran:
        x = np.asfortranarray(x)
    if x.ndim and step:
        x = x[::step]
    try:
        y = v.check_array(x, "X")
    except (ValueError, TypeError) as error:
        assert str(error).startswith("X: ")
    else:
        assert y.flags.c_contiguous and y.dtype in (np.float32, np.float64) and y.dtype.isnative
        assert np.array_equal(y, np.ascontiguousarray(x))


# --- Indices ---


def test_indices() -> None:
    x = np.array([0, 3], np.int64)
    assert v.check_indices(x, "ids", n=4) is x
    for dtype in (np.int8, np.uint32, np.uint64, ">i4"):
        y = v.check_indices(np.array([0, 3], dtype), "ids", n=4)
        assert y.dtype == np.int64 and y.tolist() == [0, 3]
    assert v.check_indices([], "ids", n=0).dtype == np.int64
    assert v.check_indices([1, 2], "ids", n=3, dtype=np.uint32).dtype == np.uint32


@pytest.mark.parametrize("bad", [-1, 4, 2**31, 2**32 + 2, 2**63, 2**64, -(2**70)])
@pytest.mark.parametrize("dtype", [np.int64, np.uint32])
def test_indices_are_never_wrapped(bad: int, dtype: Any) -> None:
    with pytest.raises(ValueError, match=rf"^ids: expected integers from 0 to 3, got {bad} at position 1$"):
        v.check_indices([0, bad], "ids", n=4, dtype=dtype)
    if not 0 <= bad < 2**32:
        with pytest.raises(ValueError, match=rf"^ids: expected integers that fit uint32, got {bad} at position 1$"):
            v.check_indices([0, bad], "ids", dtype=np.uint32)


@pytest.mark.parametrize(
    "bad", [[1.0], [True], [0, True], [0, 1.0], ["1"], [math.nan], np.array([1.0]), np.array([], float), [None], "12"]
)
def test_indices_of_a_wrong_kind(bad: Any) -> None:
    with pytest.raises(TypeError, match="^ids: expected "):
        v.check_indices(bad, "ids", n=4)


def test_indices_of_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"^ids: expected a 1-D array of integers, got shape \(1, 1\)$"):
        v.check_indices([[1]], "ids", n=4)
    with pytest.raises(ValueError, match="nothing to point at, got 0 at position 0"):
        v.check_indices([0], "ids", n=0)


# --- out= ---


def test_out() -> None:
    out = np.zeros((2, 3), np.float32)
    assert v.check_out(out, "out", shape=(2, 3), dtype=np.float32) is not None
    for bad in (out.astype(np.float64), out[:, :2], np.zeros((3, 2), np.float32)):
        with pytest.raises(ValueError, match=r"^out: expected shape \(2, 3\) and dtype float32, got an array of shape"):
            v.check_out(bad, "out", shape=(2, 3), dtype=np.float32)
    frozen = out.copy()
    frozen.flags.writeable = False
    for bad, text in (
        (np.asfortranarray(out), "C-contiguous"),
        (frozen, "writeable"),
        (misaligned(out), "aligned"),
        (out.astype(">f4"), "dtype"),
        (np.ma.masked_array(out), "masked"),
    ):
        with pytest.raises(ValueError, match=f"^out: expected .*{text}"):
            v.check_out(bad, "out", shape=(2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="overlaps an input"):
        v.check_out(out, "out", shape=(2, 3), dtype=np.float32, inputs=[out.reshape(-1)[3:]])
    with pytest.raises(TypeError, match="^out: expected a numpy array, got list$"):
        v.check_out([0.0], "out", shape=(1,), dtype=np.float32)


# --- Scalars ---


@pytest.mark.parametrize("good", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers(good: Any) -> None:
    value = v.check_scalar_int(good, "k", minimum=1)
    assert type(value) is int and value == 3


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (True, TypeError),
        (np.True_, TypeError),
        (3.0, TypeError),
        ("3", TypeError),
        (None, TypeError),
        ([3], TypeError),
        (np.array([3]), TypeError),
        (np.array(True), TypeError),
        (math.nan, TypeError),
        (0, ValueError),
        (-1, ValueError),
    ],
)
def test_refused_integers(bad: Any, kind: type) -> None:
    with pytest.raises(kind, match="^k: expected an integer >= 1, got "):
        v.check_scalar_int(bad, "k", minimum=1)
    with pytest.raises(kind, match="^k: expected an integer >= 1, got "):
        v.check_k(bad)


def test_bounds_of_integers() -> None:
    with pytest.raises(ValueError, match="^n: expected an integer from 1 to 5, got 6$"):
        v.check_scalar_int(6, "n", minimum=1, maximum=5)
    with pytest.raises(ValueError, match="^n: expected an integer <= 5, got <16610 bits>$"):
        v.check_scalar_int(10**5000, "n", maximum=5)
    assert v.check_k(10**30) == 2**63 - 1


@pytest.mark.parametrize("good", [0.5, 1, np.float32(0.5), np.int64(1), np.array(0.5)])
def test_floats(good: Any) -> None:
    value = v.check_scalar_float(good, "b", minimum=0, maximum=1)
    assert type(value) is float and value == good


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (True, TypeError),
        ("0.5", TypeError),
        (None, TypeError),
        (0.5j, TypeError),
        ([0.5], TypeError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (-math.inf, ValueError),
        (-0.1, ValueError),
        (1.1, ValueError),
        (10**30, ValueError),
        (10**400, ValueError),
    ],
)
def test_refused_floats(bad: Any, kind: type) -> None:
    with pytest.raises(kind, match="^b: expected a finite number from 0 to 1, got "):
        v.check_scalar_float(bad, "b", minimum=0, maximum=1)


def test_exclusive_bound() -> None:
    with pytest.raises(ValueError, match="^epsilon: expected a finite number > 0 and <= 1, got 0$"):
        v.check_scalar_float(0, "epsilon", exclusive_minimum=0, maximum=1)


def test_booleans_and_choices() -> None:
    assert v.check_bool(np.True_, "store") is True
    for bad in (1, "yes", None):
        with pytest.raises(TypeError, match="^store: expected True or False, got "):
            v.check_bool(bad, "store")
    assert v.check_choice("a", "method", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="^method: expected one of 'a', 'b', got 'c'$"):
        v.check_choice("c", "method", ("a", "b"))
    with pytest.raises(TypeError, match="^method: expected one of 'a', 'b', got None$"):
        v.check_choice(None, "method", ("a", "b"))


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    available = v.check_n_threads(None)
    assert available >= 1 and v.check_n_threads(2) == 2
    for bad, kind in ((0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("2", TypeError)):
        with pytest.raises(kind, match="^n_threads: expected an integer >= 1, got "):
            v.check_n_threads(bad)
    monkeypatch.setenv("LIKEWISE_NUM_THREADS", "1")
    assert v.check_n_threads(None) == 1
    for bad in ("0", "-1", "two", "1.5", "2 "):
        monkeypatch.setenv("LIKEWISE_NUM_THREADS", bad)
        with pytest.raises(ValueError, match="^LIKEWISE_NUM_THREADS: expected an integer from 1 to 1024, got "):
            v.check_n_threads(None)


def test_random_state() -> None:
    assert v.check_random_state(2**64 - 1) == 2**64 - 1
    assert v.check_random_state(None) != v.check_random_state(None)
    assert v.check_random_state(np.random.default_rng(3)) == v.check_random_state(np.random.default_rng(3))
    assert v.check_random_state(np.random.RandomState(3)) == v.check_random_state(np.random.RandomState(3))
    for bad, kind in ((-1, ValueError), (2**64, ValueError), (1.0, TypeError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(kind, match="^random_state: expected an integer from 0 to 18446744073709551615, got "):
            v.check_random_state(bad)


# --- Texts ---


def test_texts() -> None:
    texts = ["", "a\0b", "naïve 漢字 😀"]
    assert v.check_texts(texts, "queries") is texts
    assert v.check_texts(tuple(texts), "queries") == texts
    assert v.check_texts(np.array(texts), "queries") == texts
    assert v.check_text("x" * 10**6, "query") == "x" * 10**6


@pytest.mark.parametrize("bad", [None, math.nan, b"a", 3, ["a"]])
def test_texts_of_a_wrong_kind(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"^queries: expected a str, got .* at index 1$|got list at index 1$"):
        v.check_texts(["a", bad], "queries")
    with pytest.raises(TypeError, match="^query: expected a str, got "):
        v.check_text(bad, "query")


def test_no_sequence_of_texts() -> None:
    with pytest.raises(TypeError, match=r"^queries: expected a sequence of str, got str \[wrap it in a list\]$"):
        v.check_texts("abc", "queries")
    for bad in (iter(["a"]), (x for x in ["a"]), {"a"}, {"a": 1}, None, 3):
        with pytest.raises(TypeError, match="^queries: expected a sequence of str, got "):
            v.check_texts(bad, "queries")


def test_lone_surrogates() -> None:
    with pytest.raises(ValueError, match=r"^queries: expected valid .* U\+D800 at index 1 in character 2$"):
        v.check_texts(["a", "bc\ud800"], "queries")
    with pytest.raises(ValueError, match=r"U\+DFFF at character 0$"):
        v.check_text("\udfff", "query")
