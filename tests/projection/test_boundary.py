"""The wall of the Python layer: arrays in every form that users have them.

What is accepted gives the very bits of the canonical call; what is refused is refused in words that name the argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from likewise.errors import InternalError
from likewise.projection import (
    RandomProjection,
    distortion,
    hamming_distance,
    randomized_range_finder,
    randomized_svd,
    simhash,
    simhash_cosine,
)

N, D = 12, 16
P = RandomProjection(D, random_state=0).fit(np.zeros((1, D)))
# Small integers: every dtype of the matrix holds them.
ROWS = np.random.default_rng(0).integers(-9, 9, (N, D)).astype(np.float64)
CODES = np.random.default_rng(0).integers(0, 256, (N, 4), dtype=np.uint8)
IMAGES = P.transform(ROWS)


def fitted(X: Any) -> bytes:
    p = RandomProjection(D, random_state=0, dtype="float64").fit(X)
    return p.components_.tobytes() + bytes(str(p.n_features_in_), "ascii")


def joined(parts: Any) -> bytes:
    return b"".join(np.ascontiguousarray(part, dtype=np.float64).tobytes() for part in parts)


ARGUMENTS: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "fit": ("X", fitted),
    "transform": ("X", lambda X: joined([P.transform(X)])),
    "inverse_transform": ("Y", lambda X: joined([P.inverse_transform(X)])),
    "distortion X": ("X", lambda X: joined([distortion(X, IMAGES).ratio_squared])),
    "distortion Y": ("Y", lambda X: joined([distortion(ROWS + 1, X).ratio_squared])),
    "simhash": ("X", lambda X: simhash(X, 32, random_state=0).tobytes()),
    "range": ("M", lambda X: joined([randomized_range_finder(X, 3, random_state=0)])),
    "svd": ("M", lambda X: joined(randomized_svd(X, 3, random_state=0))),
}


class Sub(np.ndarray):
    pass


def misaligned(x: NDArray[Any]) -> NDArray[Any]:
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    y = buffer[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def read_only(x: NDArray[Any]) -> NDArray[Any]:
    y = x.copy()
    y.flags.writeable = False
    return y


FORMS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "read-only": read_only,
    "offset": lambda x: np.concatenate([np.ones((1, D)), x])[1:],
    "Fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(">f8"),
    "misaligned": misaligned,
    "objects": lambda x: x.astype(object),
    "integers": lambda x: x.astype(np.int16),
    "list": np.ndarray.tolist,
    "tuple": lambda x: tuple(map(tuple, x.tolist())),
    "subclass": lambda x: x.view(Sub),
    "unmasked": np.ma.masked_array,
    "pandas": lambda x: pytest.importorskip("pandas").DataFrame(x),
    "polars": lambda x: pytest.importorskip("polars").DataFrame(x, schema=[f"c{i}" for i in range(D)]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.filterwarnings("ignore:X has feature names, but RandomProjection was fitted without:UserWarning")
def test_any_form_gives_the_same_bits(argument: str, form: str) -> None:
    call = ARGUMENTS[argument][1]
    values = np.rint(IMAGES[:, [0] * D]) if form == "integers" and argument == "distortion Y" else ROWS
    assert call(FORMS[form](values)) == call(values.copy())


BAD: dict[str, Any] = {
    "NaN": np.where(ROWS[5, 5] == ROWS, np.nan, ROWS),
    "infinity": np.where(np.arange(N * D).reshape(N, D) == N * D - 1, np.inf, ROWS),
    "complex": ROWS.astype(complex),
    "text": ROWS.astype(str),
    "bytes": ROWS.astype("S"),
    "dates": ROWS.astype("M8[s]"),
    "structured": np.zeros((N, D), [("a", "f8")]),
    "long double": ROWS.astype(np.longdouble),
    "ragged": [[1.0, 2.0], [3.0]],
    "objects": np.full((N, D), None),
    "scalar": np.float64(1.0),
    "0-d": np.array(1.0),
    "1-D": ROWS[0],
    "3-D": ROWS[None],
    "no columns": ROWS[:, :0],
    "masked": np.ma.masked_array(ROWS, ROWS > 0),
    "None": None,
    "str": "abc",
    "dict": {"a": [1.0]},
    "large integers": np.full((N, D), 2**53 + 1),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_is_refused_is_refused_in_words(argument: str, bad: str) -> None:
    name, call = ARGUMENTS[argument]
    with pytest.raises((TypeError, ValueError), match=f"^{name}: ") as caught:
        call(BAD[bad])
    assert not isinstance(caught.value, InternalError)
    assert not re.search(r"incompatible function|Unable to cast|\bstd::", str(caught.value))
    assert "\n" not in str(caught.value)


CODED: list[Callable[[Any], Any]] = [
    lambda A: hamming_distance(A, CODES),
    lambda A: hamming_distance(CODES, A).T,
    lambda A: simhash_cosine(A, CODES, 32),
    lambda A: simhash_cosine(CODES, A, 32).T,
]


@pytest.mark.parametrize("call", CODED)
def test_codes(call: Callable[[Any], Any]) -> None:
    for form in (
        read_only,
        np.asfortranarray,
        misaligned,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x.view(Sub),
    ):
        np.testing.assert_array_equal(call(form(CODES)), call(CODES))
    for bad in (CODES.astype(np.int8), CODES.astype(float), CODES.tolist(), None, CODES[0], CODES[:, :0], CODES[:, :3]):
        with pytest.raises((TypeError, ValueError), match=r"^(A|B|n_bits): expected ") as caught:
            call(bad)
        assert not isinstance(caught.value, InternalError)


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.byte_string_dtypes() | hnp.unicode_string_dtypes() | hnp.complex_number_dtypes(),
        hnp.array_shapes(max_dims=3, max_side=4, min_side=0),
    )
)
@settings(max_examples=150, deadline=None)
def test_a_result_or_a_clear_error(x: NDArray[Any]) -> None:
    for value in (x, x.T, x[..., ::-1], x[::2]):
        try:
            p = RandomProjection(1, random_state=0).fit(value)
            found = p.transform(value)
        except (TypeError, ValueError) as error:
            assert str(error).startswith("X: ") and not isinstance(error, InternalError)
        except FloatingPointError as error:
            assert str(error).startswith("X: expected sums")
        else:
            again = RandomProjection(1, random_state=0).fit_transform(np.ascontiguousarray(value))
            assert found.tobytes() == again.tobytes()


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    x = torch.arange(2 * D, dtype=torch.float32).reshape(2, D)
    assert P.transform(x).tobytes() == P.transform(x.numpy()).tobytes()
    for bad, fix in ((x.requires_grad_(), r"\.detach\(\)"), (x.detach().to_sparse(), r"\.to_dense\(\)")):
        with pytest.raises((TypeError, ValueError), match=f"^X: expected .*{fix}"):
            P.transform(bad)
