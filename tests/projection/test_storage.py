"""A projection as a file: parameters and a seed."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise
from likewise import persistence
from likewise.errors import CorruptFileError, NotFittedError, UnsupportedFormatError
from likewise.projection import RandomProjection
from likewise.projection.estimator import RandomProjection as Loader

X = np.random.default_rng(0).standard_normal((10, 100)).astype(np.float32)

MODELS: list[dict[str, Any]] = [
    {"n_components": 32},
    {"epsilon": 0.5, "n_threads": 1},
    {"n_components": 32, "method": "sjlt", "nnz": 16},
    {"n_components": 8, "method": "countsketch", "dtype": "float64"},
    {"n_components": 8, "method": "very_sparse", "density": 0.5, "dtype": np.float32},
    {"n_components": np.int64(8), "method": "achlioptas"},
    {"n_components": 8, "method": "gaussian", "random_state": 2**64 - 1},
    {"n_components": 8, "method": "srht", "random_state": np.random.default_rng(0)},
]


@pytest.mark.parametrize("parameters", MODELS, ids=lambda p: str(p.get("method", "auto")))
def test_round_trip(parameters: dict[str, Any], tmp_path: Path) -> None:
    p = RandomProjection(**parameters).fit(X)
    path = tmp_path / "p.lw"
    p.save(path)
    assert path.stat().st_size < 1000
    assert path.read_bytes() == p.to_bytes()
    for q in (
        RandomProjection.load(path),
        RandomProjection.load(path, mmap=False, verify="header"),
        likewise.load(path),
        RandomProjection.from_bytes(p.to_bytes()),
        pickle.loads(pickle.dumps(p)),
        copy.deepcopy(p),
    ):
        assert isinstance(q, RandomProjection)
        assert q.transform(X).tobytes() == p.transform(X).tobytes()
        assert q.transform(X).dtype == p.transform(X).dtype
        for name in ("n_components_", "method_", "nnz_", "density_", "seed_", "n_features_in_"):
            assert getattr(q, name) == getattr(p, name) and type(getattr(q, name)) is type(getattr(p, name))
        assert type(q.components_) is type(p.components_) and q.components_.dtype == p.components_.dtype
        assert q.inverse_transform(p.transform(X)).tobytes() == p.inverse_transform(p.transform(X)).tobytes()
        assert q.fit(X).transform(X).shape == p.transform(X).shape
    assert RandomProjection.load(path).to_bytes() == p.to_bytes()


def test_a_loaded_generator_is_the_seed_that_it_gave(tmp_path: Path) -> None:
    p = RandomProjection(8, random_state=np.random.RandomState(3)).fit(X)
    q = RandomProjection.from_bytes(p.to_bytes())
    assert q.random_state == int(p.seed_)
    assert q.fit(X).transform(X).tobytes() == p.transform(X).tobytes()


def test_names_of_columns_are_kept() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"ä{i}" for i in range(100)])
    p = RandomProjection(8).fit(frame)
    q = RandomProjection.from_bytes(p.to_bytes())
    assert q.feature_names_in_.tolist() == list(frame.columns)
    assert not hasattr(RandomProjection.from_bytes(RandomProjection(8).fit(X).to_bytes()), "feature_names_in_")


def test_what_cannot_be_stored() -> None:
    with pytest.raises(NotFittedError):
        RandomProjection().to_bytes()
    unfitted = RandomProjection(5, nnz=3)
    assert pickle.loads(pickle.dumps(unfitted)).get_params() == unfitted.get_params()
    p = RandomProjection(8).fit(X).set_params(n_components=object())
    with pytest.raises(TypeError, match="^n_components: expected a number or text, which a file can hold, got object"):
        p.to_bytes()


def stored(changes: dict[str, Any], arrays: dict[str, Any] | None = None, **options: Any) -> bytes:
    """A file whose parameters were changed, digests and all."""
    version, params, kept = RandomProjection(16, random_state=1, **options).fit(X)._to_container()
    params.update(changes)
    params = {name: value for name, value in params.items() if value != "absent"}
    kept.update(arrays or {})
    return persistence.to_bytes("projection", version, params, {k: v for k, v in kept.items() if v is not None})


@pytest.mark.parametrize("version", [0, 2, "1", None, True, "absent", [1]])
def test_an_unknown_construction(version: Any) -> None:
    with pytest.raises(UnsupportedFormatError, match="expected version 1, got version .* of its construction"):
        RandomProjection.from_bytes(stored({"construction": version}))


def test_an_unknown_version_of_the_kind(tmp_path: Path) -> None:
    _, params, arrays = RandomProjection(16).fit(X)._to_container()
    path = tmp_path / "p.lw"
    path.write_bytes(persistence.to_bytes("projection", "2", params, arrays))
    with pytest.raises(UnsupportedFormatError, match="kind 'projection' version '2'"):
        likewise.load(path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "p.lw"
    persistence.write_container(path, "example", "1", {}, {"a": np.zeros(3)})
    with pytest.raises(TypeError, match="expected a file of kind 'projection', got 'example'"):
        RandomProjection.load(path)


PARAMETERS = RandomProjection(16).get_params()


@pytest.mark.parametrize(
    ("changes", "arrays", "options"),
    [
        ({"n_features": 0}, {}, {}),
        ({"n_features": -1}, {}, {}),
        ({"n_features": 2**32}, {}, {}),
        ({"n_features": 100.0}, {}, {}),
        ({"n_features": True}, {}, {}),
        ({"n_features": "absent"}, {}, {}),
        ({"n_components": 0}, {}, {}),
        ({"n_components": 2**32}, {}, {}),
        ({"n_components": "16"}, {}, {}),
        ({"n_components": 17}, {}, {"method": "sjlt", "nnz": 16}),
        ({"n_components": 129}, {}, {"method": "srht"}),
        ({"method": "eval"}, {}, {}),
        ({"method": None}, {}, {}),
        ({"method": ["hadamard"]}, {}, {}),
        ({"dtype": "float16"}, {}, {}),
        ({"dtype": "absent"}, {}, {}),
        ({"nnz": 4}, {}, {}),
        ({"nnz": None}, {}, {"method": "sjlt"}),
        ({"nnz": 0}, {}, {"method": "sjlt"}),
        ({"nnz": 17}, {}, {"method": "sjlt"}),
        ({"density": 0.5}, {}, {}),
        ({"density": None}, {}, {"method": "very_sparse"}),
        ({"density": 0.0}, {}, {"method": "very_sparse"}),
        ({"density": 1.5}, {}, {"method": "very_sparse"}),
        ({"density": True}, {}, {"method": "very_sparse"}),
        ({"parameters": None}, {}, {}),
        ({"parameters": {**PARAMETERS, "other": 1}}, {}, {}),
        ({"parameters": {**PARAMETERS, "epsilon": [1]}}, {}, {}),
        ({"parameters": {}}, {}, {}),
        ({}, {"seed": None}, {}),
        ({}, {"seed": np.array([1, 2], np.uint64)}, {}),
        ({}, {"seed": np.array([1], np.int64)}, {}),
        ({}, {"seed": np.array([], np.uint64)}, {}),
        ({}, {"feature_names": np.frombuffer(b'["a"]', np.uint8)}, {}),
        ({}, {"feature_names": np.frombuffer(b"[", np.uint8)}, {}),
    ],
    ids=str,
)
def test_hostile_content(changes: Any, arrays: Any, options: Any, tmp_path: Path) -> None:
    data = stored(changes, arrays, **options)
    with pytest.raises(CorruptFileError):
        RandomProjection.from_bytes(data)
    path = tmp_path / "p.lw"
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        likewise.load(path)
    assert not persistence.check(path).ok
    path.write_bytes(stored({}, {}, **options))
    assert persistence.check(path).ok


def test_a_small_file_takes_no_memory_for_a_giant_matrix() -> None:
    giant = stored({"n_features": 2**32 - 1, "n_components": 2**31 - 1})
    assert Loader.from_bytes(giant).n_features_in_ == 2**32 - 1  # the matrix is built where it is used


def test_every_flipped_bit_is_refused() -> None:
    data = RandomProjection(8, random_state=0).fit(X).to_bytes()
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptFileError, UnsupportedFormatError)):
            RandomProjection.from_bytes(bytes(flipped))
