"""Inside scikit-learn: its own checks, with an empty list of expected failures, and its compositions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.projection import RandomProjection
from tests.conftest import SCIKIT_LEARN_CHECK

checks = pytest.importorskip("sklearn.utils.estimator_checks")

ESTIMATORS = [
    RandomProjection(random_state=0),
    RandomProjection(1, method="sjlt", nnz=1, random_state=0),
    RandomProjection(1, method="very_sparse", density=0.5, random_state=0),
    RandomProjection(1, method="gaussian", random_state=0),
    RandomProjection(1, method="srht", random_state=0),
]
FRAMES = [
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
]
with warnings.catch_warnings():  # that they do not inherit from BaseEstimator, whose import takes a second, is meant
    warnings.filterwarnings("ignore", "Estimator .* does not inherit from `sklearn.base.BaseEstimator`")
    each_check = checks.parametrize_with_checks(ESTIMATORS)


@each_check
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning")
@pytest.mark.filterwarnings("ignore:.*TypeError occurred during set_params:UserWarning")
def test_its_checks(estimator: Any, check: Any, record_property: Callable[[str, object], None]) -> None:
    record_property(SCIKIT_LEARN_CHECK, type(estimator).__name__)
    check(estimator)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.filterwarnings("ignore:X .* feature names, but .* was fitted:UserWarning")
def test_its_checks_of_frames(name: str, estimator: Any, record_property: Callable[[str, object], None]) -> None:
    record_property(SCIKIT_LEARN_CHECK, type(estimator).__name__)
    pytest.importorskip(name.rpartition("_")[2])
    getattr(checks, name)(type(estimator).__name__, estimator)


def test_its_compositions(tmp_path: Path) -> None:
    import joblib
    from scipy.sparse import csr_array
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import FeatureUnion, make_pipeline

    rows, y = np.random.default_rng(0).standard_normal((60, 40)), np.arange(60) % 2
    pipe = make_pipeline(RandomProjection(16, random_state=0), LogisticRegression())
    grid = {"randomprojection__method": ["hadamard", "sjlt"], "randomprojection__n_components": [8, 16]}
    search = GridSearchCV(pipe, grid, cv=2).fit(rows, y)
    assert set(search.best_params_) == set(grid)
    assert (GridSearchCV(pipe, grid, cv=2).fit(csr_array(rows), y).predict(rows) == search.predict(rows)).all()
    joblib.dump(search.best_estimator_, tmp_path / "pipe")
    assert (joblib.load(tmp_path / "pipe").predict(rows) == search.predict(rows)).all()
    parts = [("a", RandomProjection(16, random_state=0)), ("b", RandomProjection(8, random_state=1))]
    assert FeatureUnion(parts).fit_transform(rows).shape == (60, 24)
    column = ColumnTransformer([("a", RandomProjection(4, random_state=0), list(range(20)))], remainder="passthrough")
    assert column.fit_transform(rows).shape == (60, 24)
    framed = make_pipeline(RandomProjection(4, random_state=0)).set_output(transform="pandas").fit_transform(rows)
    assert list(framed.columns) == [f"randomprojection{i}" for i in range(4)]
    automatic = clone(RandomProjection(epsilon=0.5, random_state=3)).fit(rows)
    assert automatic.get_feature_names_out().shape == (automatic.n_components_,)
    assert clone(automatic).n_components == "auto"


def test_results_are_those_of_a_process_without_it(fresh: Any) -> None:
    program = """if True:
        import sys
        sys.modules["sklearn"] = sys.modules["scipy"] = None
        import numpy as np, likewise as lw
        p = lw.projection.RandomProjection(16, random_state=0).fit(np.arange(60.0).reshape(2, 30))
        print(p.transform(np.arange(60.0).reshape(2, 30)).tobytes().hex(), lw.projection.min_dim(100, 0.2))
        p.inverse_transform(np.ones((1, 16)))
    """
    X = np.arange(60.0).reshape(2, 30)
    expected = RandomProjection(16, random_state=0).fit_transform(X).tobytes().hex()
    assert fresh(program).split()[0] == expected
