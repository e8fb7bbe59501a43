"""The wall of the binding: every function of the extension module, called with everything that is not canonical.

The calls stand in `bound_calls`; a function missing from its table fails the suite.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise
from likewise import _core
from likewise.errors import InternalError
from tests.bound_calls import (
    CALLS,
    EXACT,
    INDEX,
    OPTIONAL,
    OTHER_DTYPES,
    OUTPUTS,
    PROJECTION,
    ROWS,
    STRIDED,
    N,
    emo_arguments,
)


def bound_functions() -> set[str]:
    found: set[str] = set()
    for module_name, module in vars(_core).items():
        if not isinstance(module, types.ModuleType):
            continue
        for name, value in vars(module).items():
            if isinstance(value, type):
                for member in vars(value):
                    makes = member == "__init__" and not (value.__init__.__doc__ or "").startswith("Initialize self")
                    if (makes or not member.startswith("_")) and not isinstance(vars(value)[member], property):
                        found.add(f"{module_name}.{name}.{member}")
            elif callable(value):
                found.add(f"{module_name}.{name}")
    return found


def test_no_bound_function_is_forgotten() -> None:
    assert bound_functions() == set(CALLS)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b) or type(a).__module__.startswith("likewise")


def misaligned(x: np.ndarray) -> np.ndarray:
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    y = buffer[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def refused_forms(x: np.ndarray) -> Iterator[tuple[str, Any]]:
    """What the binding must refuse in place of the canonical x, whatever its values."""
    yield "strided", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "negative stride", np.flip(x, -1).copy()[..., ::-1]
    yield "broadcast", np.broadcast_to(x.reshape(-1)[:1].reshape((1,) * x.ndim), x.shape)
    if x.ndim == 2:
        yield "F-order", np.asfortranarray(x)
    if x.dtype.itemsize > 1:
        yield "other byte order", x.astype(x.dtype.newbyteorder())
        yield "misaligned", misaligned(x)
    for dtype in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64, np.float16, np.float32, np.float64):
        if x.dtype != dtype:
            yield f"dtype {np.dtype(dtype)}", np.ones(x.shape, dtype)
    for dtype in (bool, np.longdouble, complex, "M8[s]", "S1", "U1", object):
        yield f"dtype {dtype}", np.ones(x.shape, np.int64).astype(dtype)
    yield "structured", np.zeros(x.shape, [("a", x.dtype)])
    yield "rank above", x[None]
    yield "0-d", x.reshape(-1)[0].reshape(())
    if x.ndim == 2:
        yield "rank below", x.reshape(-1)
    yield from (("list", x.tolist()), ("None", None), ("str", "7"), ("number", 7), ("bytes", x.tobytes()))


ARRAY_ARGUMENTS = [
    (name, argument)
    for name, make in CALLS.items()
    if not name.startswith("search.ArrowReader")
    for argument, value in make()[1].items()
    if isinstance(value, np.ndarray)
]


@pytest.mark.parametrize("name", CALLS)
def test_the_canonical_call_works_twice(name: str) -> None:
    results = []
    for _ in range(2):
        function, arguments = CALLS[name]()
        results.append((function(**arguments), arguments.get("out")))
    assert same(results[0], results[1])


@pytest.mark.parametrize(("name", "argument"), ARRAY_ARGUMENTS)
def test_arrays_that_are_not_canonical_are_refused(name: str, argument: str) -> None:
    function, arguments = CALLS[name]()
    x = arguments[argument]
    for form, value in refused_forms(x):
        if isinstance(value, np.ndarray) and value.dtype == x.dtype and value.ndim == x.ndim and x.size < 2:
            continue  # one element is contiguous with any stride
        if value is None and (name, argument) in OPTIONAL:
            continue
        if (name, argument) in STRIDED and form in ("strided", "negative stride", "broadcast", "F-order"):
            continue
        if getattr(value, "dtype", None) in OTHER_DTYPES.get((name, argument), []) and form.startswith("dtype"):
            continue
        with pytest.raises(InternalError, match=rf"^{argument}: expected .*please report it\]$"):
            function(**{**arguments, argument: value})
            pytest.fail(f"{form}: accepted")


@pytest.mark.parametrize(("name", "argument"), ARRAY_ARGUMENTS)
def test_canonical_arrays_of_any_origin_are_accepted(name: str, argument: str) -> None:
    function, arguments = CALLS[name]()
    x = arguments[argument].copy()
    expected = function(**arguments)
    expected_out = arguments[argument]
    written = argument == "out" or (name, argument) in OUTPUTS
    longer = np.concatenate([np.zeros((1, *x.shape[1:]), x.dtype), x])
    frozen = x.copy()
    frozen.flags.writeable = False
    forms = [longer[1:], np.ma.masked_array(x.copy())] + ([] if written else [frozen])
    for value in forms:
        function, arguments = CALLS[name]()
        assert same(function(**{**arguments, argument: value}), expected)
        if written:
            assert same(np.asarray(value), expected_out)
    if written:
        with pytest.raises(InternalError, match=rf"^{argument}: expected a writeable array"):
            function(**{**arguments, argument: frozen})


@pytest.mark.parametrize("bad", [-1, N, 2**31, 2**32 + 2, 2**63 - 1])
def test_documents_outside_the_index_are_refused(bad: int) -> None:
    for name in ("posting", "document_length", "keywords"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^document: "):
            function(**{**arguments, "document": bad})
    for name in ("related", "score_some", "score_some_batch"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^document"):
            function(**{**arguments, "documents": np.array([0, bad, 1], np.int64)})
    for name in ("StringList.take", "StringTable.take"):
        function, arguments = CALLS[f"search.{name}"]()
        if bad >= 3:
            with pytest.raises(InternalError, match="^number"):
                function(numbers=np.array([0, bad], np.int64))


@pytest.mark.parametrize("bad", [INDEX.n_terms, 2**31, 2**32 - 1])
def test_terms_outside_the_index_are_refused(bad: int) -> None:
    for name in ("term", "document_frequency", "idf", "posting"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^term: "):
            function(**{**arguments, "term": bad})
    for name in ("search", "search_batch", "score_all", "score_some", "score_batch", "score_some_batch", "baseline"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^terms: "):
            function(**{**arguments, "terms": np.array([0, bad, 1], np.uint32)})


@pytest.mark.parametrize(
    "indptr", [[], [0], [1, 2, 3], [0, 2, 1, 3], [0, 2, 4], [0, 2], [0, -1, 3], [0, 2**62, 3], [-(2**63), 0, 3]]
)
def test_offsets_that_break_their_rules_are_refused(indptr: list[int]) -> None:
    for name in ("search_batch", "score_batch", "score_some_batch"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^indptr: "):
            function(**{**arguments, "indptr": np.array(indptr, np.int64)})


def test_arrays_of_unequal_length_are_refused() -> None:
    for name in ("search", "search_batch", "score_all", "score_some", "score_batch", "score_some_batch", "baseline"):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError):
            function(**{**arguments, "weights": np.ones(2)})
    for name, shape in (("score_all", N + 1), ("score_some", 2), ("score_batch", (3, N)), ("score_batch", (2, N - 1))):
        function, arguments = CALLS[f"search.Index.{name}"]()
        with pytest.raises(InternalError, match="^out: expected one score a document, got float32"):
            function(**{**arguments, "out": np.zeros(shape, np.float32)})


def test_projections_refuse_shapes_that_do_not_fit() -> None:
    for name, argument, shape in (
        ("Projection.transform", "X", (3, 5)),
        ("Projection.transform", "out", (2, 16)),
        ("Projection.transform", "out", (3, 15)),
        ("Projection.transform_csr", "out", (3, 16)),
        ("Projection.rows", "out", (3, 15)),
        ("simhash", "X", (3, 7)),
        ("simhash", "out", (3, 1)),
        ("hamming", "B", (2, 3)),
        ("hamming", "out", (2, 3)),
    ):
        function, arguments = CALLS[f"projection.{name}"]()
        with pytest.raises(InternalError, match=f"^{argument}: expected "):
            function(**{**arguments, argument: np.zeros(shape, arguments[argument].dtype)})
    for first in (4, 6, 2**62):
        with pytest.raises(InternalError, match="^first: expected rows below 6, got"):
            PROJECTION.rows(first, np.zeros((3, 16)))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (dict(rows=np.array([0, 4, 0], np.int64)), ValueError, "rows: expected integers from -1"),
        (dict(rows=np.array([0, -2, 0], np.int64)), ValueError, "rows: expected integers from -1"),
        (dict(targets=np.array([0, 6, 0], np.int64), soft_targets=ROWS[:0]), ValueError, "targets: .*got 6"),
        (dict(targets=np.array([0, -1, 0], np.int64), soft_targets=ROWS[:0]), ValueError, "targets: .*got -1"),
        (dict(rows=np.zeros(2, np.int64)), InternalError, "rows: expected length 3"),
        (dict(targets=np.zeros(4, np.int64)), InternalError, "targets: expected length 3"),
        (dict(soft_targets=ROWS[:2]), InternalError, "soft_targets: expected length 3"),
        (dict(cosines=ROWS[:, :5].copy()), InternalError, "cosines: expected length 6"),
        (dict(cached=ROWS[:, :5].copy()), InternalError, "cached: expected length 6"),
        (dict(inverse_norms=np.ones(5, np.float32)), InternalError, "inverse_norms: expected length 6"),
        (dict(out=np.zeros((2, 6), np.float32)), InternalError, "out: expected length 3"),
        (dict(out=np.zeros((3, 5), np.float32)), InternalError, "out: expected length 6"),
        (dict(mixing="clamped"), ValueError, "mixing: expected none"),
    ],
)
def test_tokens_that_do_not_fit_together_are_refused(change: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        _core.transport.emo(**{**emo_arguments(), **change})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("n_rows", [2, 0]), ("n_rows", [2, -1]), ("n_rows", [3, 1]), ("n_rows", [2**62, 1]), ("n_rows", [3]),
        ("n_columns", [3, 2**31]), ("n_columns", [2, 1]), ("n_columns", [4]), ("n_columns", [2**30, 1]),
        ("a", [0.5, 0.5]), ("b", [0.25, 0.25, 0.5, 1.0, 1.0]), ("cost", [0.0] * 6), ("cost", [0.0] * 8),
        ("a", [0.5, -0.5, 1.0]), ("a", [0.5, float("nan"), 1.0]), ("b", [0.25, 0.25, 0.6, 1.0]), ("a", [0.5, 0.5, 0.0]),
        ("b", [0.25, 0.25, float("inf"), 1.0]),
    ],
)  # fmt: skip
def test_transport_problems_that_do_not_fit_together_are_refused(argument: str, value: Any) -> None:
    bad = {**EXACT, argument: np.array(value, EXACT[argument].dtype)}
    with pytest.raises((InternalError, ValueError), match="^(n_rows|n_columns|cost|a|b): expected "):
        _core.transport.emd(**bad, max_iter=100, n_threads=1)


def test_centring_refuses_shapes_that_do_not_fit() -> None:
    for argument, shape in (("mean", 5), ("mean", 7), ("rest", 5), ("out", (2, 6)), ("out", (3, 7))):
        function, arguments = CALLS["whitening.centre"]()
        with pytest.raises(InternalError, match=f"^{argument}: expected "):
            function(**{**arguments, argument: np.zeros(shape, np.float32)})


def test_the_casts_that_pybind11_would_make_in_silence() -> None:
    function, arguments = CALLS["search.Index.search"]()
    results = []
    for trap in ([-1], [2**33 + 5], [1.9], [float("nan")], ["7"]):
        with pytest.raises(InternalError, match="^terms: expected dtype uint32, got "):
            results.append(function(**{**arguments, "terms": np.array(trap), "weights": np.ones(1)}))
    assert results == []


SCALAR_ARGUMENTS = [
    (name, argument)
    for name, make in CALLS.items()
    if not name.startswith("search.ArrowReader")
    for argument, value in make()[1].items()
    if isinstance(value, bool | int | float)
]


@pytest.mark.parametrize(("name", "argument"), SCALAR_ARGUMENTS)
def test_scalars_of_a_wrong_kind_are_refused(name: str, argument: str) -> None:
    function, arguments = CALLS[name]()
    value = arguments[argument]
    wrong: list[Any] = ["3", b"3", None, [1], np.zeros(2), 1j]
    if isinstance(value, bool):
        wrong = ["3", [1], 2, 1.5, np.zeros(2)]
    elif isinstance(value, int):
        wrong += [10**30, -(10**30), 1.5, float("nan")]
    for bad in wrong:
        with pytest.raises((TypeError, ValueError, InternalError)):
            function(**{**arguments, argument: bad})
            pytest.fail(f"{bad!r}: accepted")


# Literals of our own: pybind11 takes bytes for them too.
LABELS = {"name", "argument", "variant", "words", "cjk", "method", "metric"}
TEXT_ARGUMENTS = [
    (name, argument)
    for name, make in CALLS.items()
    if not name.startswith("search.ArrowReader")
    for argument, value in make()[1].items()
    if isinstance(value, str) or (isinstance(value, list) and name != "search.Index.make_queries")
]


@pytest.mark.parametrize(("name", "argument"), TEXT_ARGUMENTS)
def test_texts_of_a_wrong_kind_are_refused(name: str, argument: str) -> None:
    value = CALLS[name]()[1][argument]
    wrong: list[Any] = [7, None, ["a"], b"a"] if isinstance(value, str) else [7, [7], [None], [b"a"], "ab", ("a",)]
    for bad in wrong:
        function, arguments = CALLS[name]()
        if bad is None and name == "search.Builder.add":
            continue
        if bad == b"a" and argument in LABELS:
            continue
        with pytest.raises((TypeError, ValueError, InternalError)):
            function(**{**arguments, argument: bad})
            pytest.fail(f"{bad!r}: accepted")


@pytest.mark.parametrize(("name", "argument"), TEXT_ARGUMENTS)
def test_lone_surrogates_do_not_pass(name: str, argument: str) -> None:
    function, arguments = CALLS[name]()
    value = arguments[argument]
    try:
        function(**{**arguments, argument: "a\ud800" if isinstance(value, str) else ["a", "\ud800"]})
    except (TypeError, ValueError, InternalError) as error:
        assert "incompatible" not in str(error) or isinstance(value, str)
    else:
        assert name in {"search.StringTable.find", "search.StringTable.find_all"}  # found nowhere


def test_no_binding_takes_an_array_that_pybind11_may_cast() -> None:
    """py::array_t as an argument converts in silence; bindings take py::object and go through arrays.hpp."""
    folder = Path(__file__).resolve().parent.parent / "src" / "cpp" / "bindings"
    if not folder.is_dir():
        pytest.skip("the sources are not here: installed package")
    for path in folder.rglob("*.cpp"):
        text = path.read_text()
        found = re.search(r"\bforcecast\b|[(,]\s*(const )?py::array_t<[^>]*>\s*&?\s*\w+\s*[,)]", text)
        assert found is None, f"{path}: {found and found[0]}"


def test_the_package_imports_no_optional_module_at_its_top() -> None:
    """Besides the import test at run time: nothing but numpy and the standard library stands at the top of a module."""
    allowed = set(sys.stdlib_module_names) | {"numpy", "likewise"}
    for path in Path(likewise.__file__).parent.rglob("*.py"):
        if {"integrations", "adversarial"} & set(path.parts):  # the latter is PyTorch by nature
            continue
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert {name.split(".")[0] for name in names} <= allowed, path
