"""A whitening in a file, in bytes, and pickled: the same results, and the same future."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise
from likewise.errors import CorruptFileError
from likewise.whitening import Whitening
from tests.whitening.vectors import cone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_and_loaded(tmp_path: Path, dtype: Any) -> None:
    X, more = cone(3000, 6, dtype), cone(1000, 6, dtype, seed=3)
    path = tmp_path / "w.safetensors"
    for made in (
        Whitening(4, beta=0.5, gamma=0.25, normalize=True, eigenvalue_floor=1e-9).fit(X),
        Whitening().partial_fit(X[:1]).partial_fit(X[1:]),
        Whitening(0.9, n_threads=1, dtype="float32").fit(X[:2048]),
    ):
        made.save(path)
        for again in (
            Whitening.load(path),
            Whitening.load(path, mmap=False),
            likewise.load(path),
            Whitening.from_bytes(made.to_bytes()),
            pickle.loads(pickle.dumps(made)),
        ):
            assert again.get_params() == made.get_params()
            assert again.transform(X).tobytes() == made.transform(X).tobytes()
            expected = pickle.loads(pickle.dumps(made)).partial_fit(more)
            assert again.partial_fit(more).whitening_matrix_.tobytes() == expected.whitening_matrix_.tobytes()
            assert again.set_hyper(gamma=0.0).gamma == 0 and again.n_samples_seen_ == made.n_samples_seen_ + 1000
        assert likewise.persistence.check(path).ok
        assert made.to_bytes() == made.to_bytes()


def test_saved_without_statistics(tmp_path: Path) -> None:
    X = cone(3000, 50)
    made = Whitening(4, beta=0.5).fit(X)
    made.save(tmp_path / "w", statistics=False)
    assert (tmp_path / "w").stat().st_size < 8 * 50 * 4 + 4096
    again = Whitening.load(tmp_path / "w")
    assert again.transform(X).tobytes() == made.transform(X).tobytes()
    assert again.inverse_transform(again.transform(X)).tobytes() == made.inverse_transform(made.transform(X)).tobytes()
    assert (again.rank_, again.n_samples_seen_, again.n_components_) == (50, 3000, 4)
    assert np.array_equal(again.mean_, made.mean_) and np.array_equal(again.eigenvalues_, made.eigenvalues_)
    for call in (
        lambda: again.set_hyper(beta=1.0),
        lambda: again.partial_fit(X),
        lambda: again.merge(made),
        lambda: Whitening().merge(again),
    ):
        with pytest.raises(ValueError, match="expected a model with its statistics, got one that was saved without"):
            call()
    assert not hasattr(again, "moments_") and not hasattr(again, "covariance_")
    assert pickle.loads(pickle.dumps(again)).transform(X).tobytes() == made.transform(X).tobytes()
    assert again.fit(X).set_hyper(beta=1.0).beta == 1.0  # a new life


def test_parameters_set_after_the_fit_survive_a_pickle() -> None:
    X = cone(100, 4)
    made = Whitening().fit(X).set_params(gamma=0.5)
    again = pickle.loads(pickle.dumps(made))
    assert again.gamma == 0.5 and again.transform(X).tobytes() == made.transform(X).tobytes()
    assert pickle.loads(pickle.dumps(Whitening(3))).get_params() == Whitening(3).get_params()


def test_nothing_is_half_written(tmp_path: Path) -> None:
    made = Whitening().fit(cone(100, 4))
    made.save(tmp_path / "w")
    with pytest.raises(FileExistsError):
        made.save(tmp_path / "w", overwrite=False)
    made.save(tmp_path / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    data = bytearray((tmp_path / "w").read_bytes())
    data[-70] ^= 1
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(CorruptFileError):
        Whitening.load(tmp_path / "w")
