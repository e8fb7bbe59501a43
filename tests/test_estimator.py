"""The base of the transformers, through a small one made here."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise._estimator import Transformer, is_chunks, iterate_chunks, names_of
from likewise.errors import NotFittedError
from likewise.whitening import Whitening
from tests.conftest import SCIKIT_LEARN_CHECK


class Scale(Transformer):
    """Multiplies by a factor: the least that is a transformer."""

    _KIND = "example"

    def __init__(self, factor: float = 2.0, *, inner: Any = None) -> None:
        self.factor = factor
        self.inner = inner

    def fit(self, X: Any, y: Any = None) -> Scale:
        names = names_of(X)
        X = np.asarray(X)
        self._remember(X.shape[1], names)
        return self

    def transform(self, X: Any) -> Any:
        self._require_fitted()
        return self._wrap(X, self._check_rows(X) * self.factor)

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_

    def _to_container(self) -> Any:
        return "1", {"factor": self.factor}, {"width": np.array([self.n_features_in_])}

    @classmethod
    def _from_container(cls, container: Any) -> Scale:
        made = cls(container.params["factor"])
        made._remember(int(container.arrays["width"][0]), None)
        return made


X = np.arange(6.0).reshape(3, 2)


def test_parameters() -> None:
    scale = Scale(3.0, inner=Scale(4.0))
    assert scale.get_params(deep=False) == {"factor": 3.0, "inner": scale.inner}
    assert scale.get_params()["inner__factor"] == 4.0
    assert scale.set_params(factor=5.0, inner__factor=6.0) is scale
    assert (scale.factor, scale.inner.factor) == (5.0, 6.0)
    with pytest.raises(ValueError, match="^wrong: expected a parameter of Scale .factor, inner"):
        scale.set_params(factor=1.0, wrong=2)
    assert scale.factor == 5.0  # nothing was set
    with pytest.raises(ValueError, match="^factor: expected an object with parameters"):
        scale.set_params(factor__x=1)


def test_what_it_looks_like() -> None:
    assert repr(Scale()) == "Scale()"
    assert repr(Scale(3.0)) == "Scale(factor=3.0)"
    html = Scale(3.0, inner="<b>")._repr_html_()
    assert "&lt;b&gt;" in html and "not fitted" in html


def test_it_says_that_it_is_not_fitted() -> None:
    for call in (Scale().transform, lambda X: Scale().get_feature_names_out(), lambda X: Scale().to_bytes()):
        with pytest.raises(NotFittedError, match="This Scale instance is not fitted yet") as caught:
            call(X)
        assert isinstance(caught.value, ValueError) and isinstance(caught.value, AttributeError)
        assert isinstance(pickle.loads(pickle.dumps(caught.value)), NotFittedError)


def test_where_sklearn_is_loaded_the_error_is_its_own_too() -> None:
    exceptions = pytest.importorskip("sklearn.exceptions")
    with pytest.raises(exceptions.NotFittedError) as caught:
        Scale().transform(X)
    assert isinstance(caught.value, NotFittedError)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), NotFittedError)


def test_names_of_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"])
    scale = Scale().fit(frame)
    assert scale.feature_names_in_.tolist() == ["a", "b"] and scale.feature_names_in_.dtype == object
    assert scale.transform(frame).tolist() == (X * 2).tolist()
    with pytest.raises(ValueError, match=r"same order as they were in fit"):
        scale.transform(frame[["b", "a"]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- c\nFeature names seen at fit time, .*:\n- b\n"):
        scale.transform(frame.rename(columns={"b": "c"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but Scale"):
        scale.transform(X)
    with pytest.warns(UserWarning, match="X has feature names, but Scale was fitted without"):
        Scale().fit(X).transform(frame)
    with pytest.raises(TypeError, match="all str, got ..int., .str..: Feature names are only supported"):
        Scale().fit(pd.DataFrame(X, columns=["a", 1]))
    assert not hasattr(scale.fit(X), "feature_names_in_")
    assert not hasattr(Scale().fit(pd.DataFrame(X)), "feature_names_in_")


def test_names_of_results() -> None:
    scale = Scale().fit(X)
    assert scale.get_feature_names_out().tolist() == ["scale0", "scale1"]
    with pytest.raises(ValueError, match="input_features should have length equal to number of features .2."):
        scale.get_feature_names_out(["a"])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_as_results(library: str) -> None:
    frames = pytest.importorskip(library)
    made = Scale().set_output(transform=library).fit_transform(X)
    assert isinstance(made, frames.DataFrame)
    assert list(made.columns) == ["scale0", "scale1"] and np.array_equal(made.to_numpy(), X * 2)
    assert isinstance(Scale().set_output(transform=library).set_output(transform=None).fit_transform(X), type(made))
    made = Scale().set_output(transform=library).set_output(transform="default").fit_transform(X)
    assert isinstance(made, np.ndarray)


def test_a_pandas_result_keeps_the_index() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"], index=["x", "y", "z"])
    assert Scale().set_output(transform="pandas").fit_transform(frame).index.tolist() == ["x", "y", "z"]


def test_an_unknown_or_missing_container_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="^transform: expected one of 'default', 'pandas', 'polars', got str 'arrow'"):
        Scale().set_output(transform="arrow")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas; pip install pandas"):
        Scale().set_output(transform="pandas")


def test_pickle_and_copy() -> None:
    for made in (Scale(3.0), Scale(3.0).fit(X), Scale(3.0, inner=[1]).fit(X).set_output(transform="default")):
        for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), copy.copy(made)):
            assert again.get_params() == made.get_params()
            assert vars(again).keys() == vars(made).keys()
            assert again.__sklearn_is_fitted__() == made.__sklearn_is_fitted__()


def test_what_is_a_chunk() -> None:
    pl = pytest.importorskip("polars")
    rows = [[1.0, 2.0], [3.0, 4.0]]
    for one in (X, rows, tuple(rows), [], "text", {"a": 1}, 3, None, pl.DataFrame(X), memoryview(b"x"), [1.0, 2.0]):
        assert not is_chunks(one), one
    for several in ([X, X], (X,), [rows, rows], iter([X]), (x for x in rows), [pl.DataFrame(X)], map(np.sin, [X])):
        assert is_chunks(several), several
    sparse = pytest.importorskip("scipy.sparse")
    assert not is_chunks(sparse.csr_matrix(X)) and not is_chunks(sparse.csr_array(X))


def test_chunks_without_rows_are_left_out() -> None:
    assert [name for name, _ in iterate_chunks([X, X[:0], X])] == ["X[0]", "X[2]"]


def test_an_iterator_is_not_read_twice() -> None:
    with pytest.raises(TypeError, match="^X: expected what can be read twice, got the iterator"):
        Scale().fit_transform(iter([X]))


def test_it_does_not_import_sklearn(fresh: Any) -> None:
    program = """if True:
        import sys, numpy as np
        from likewise._estimator import Transformer
        assert not {"sklearn", "scipy", "pandas", "polars", "xxhash"} & set(sys.modules), sorted(sys.modules)
    """
    fresh(program)


# --- scikit-learn's own checks, with an empty list of expected failures ---

sklearn_checks = pytest.importorskip("sklearn.utils.estimator_checks")


ESTIMATORS = [Whitening(), Whitening(beta=0.5, gamma=0.0), Whitening(1, normalize=True)]
with warnings.catch_warnings():  # that they do not inherit from BaseEstimator, whose import takes a second, is meant
    warnings.filterwarnings("ignore", "Estimator .* does not inherit from `sklearn.base.BaseEstimator`")
    each_check = sklearn_checks.parametrize_with_checks(ESTIMATORS)


@each_check
@pytest.mark.filterwarnings("ignore::likewise.errors.RankDeficiencyWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning")
@pytest.mark.filterwarnings("ignore:.*TypeError occurred during set_params:UserWarning")
def test_scikit_learns_checks(estimator: Any, check: Any, record_property: Callable[[str, object], None]) -> None:
    record_property(SCIKIT_LEARN_CHECK, type(estimator).__name__)
    check(estimator)


FRAME_CHECKS = [
    "check_set_output_transform_pandas", "check_global_output_transform_pandas",
    "check_set_output_transform_polars", "check_global_set_output_transform_polars",
]  # fmt: skip


@pytest.mark.parametrize("name", FRAME_CHECKS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.filterwarnings("ignore:X .* feature names, but .* was fitted:UserWarning")
def test_scikit_learns_checks_of_frames(
    name: str, estimator: Any, record_property: Callable[[str, object], None]
) -> None:
    record_property(SCIKIT_LEARN_CHECK, type(estimator).__name__)
    pytest.importorskip(name.rpartition("_")[2])
    getattr(sklearn_checks, name)(type(estimator).__name__, estimator)


def test_inside_scikit_learn(tmp_path: Any) -> None:
    import joblib
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import FeatureUnion, make_pipeline

    rng = np.random.default_rng(0)
    rows, y = rng.standard_normal((60, 6)), np.arange(60) % 2
    pipe = make_pipeline(Whitening(3), LogisticRegression())
    assert "Whitening" in pipe._repr_html_()
    search = GridSearchCV(pipe, {"whitening__gamma": [0.0, 1.0], "whitening__n_components": [2, 4]}, cv=2).fit(rows, y)
    assert set(search.best_params_) == {"whitening__gamma", "whitening__n_components"}
    joblib.dump(search.best_estimator_, tmp_path / "pipe")
    assert np.array_equal(joblib.load(tmp_path / "pipe").predict(rows), search.predict(rows))
    both = FeatureUnion([("a", Whitening(2)), ("b", Whitening(1))]).fit_transform(rows)
    assert both.shape == (60, 3)
    parts = ColumnTransformer([("a", Whitening(2), [0, 1, 2])], remainder="passthrough").fit_transform(rows)
    assert parts.shape == (60, 5)
    frame = make_pipeline(Whitening(2)).set_output(transform="pandas").fit_transform(rows)
    assert list(frame.columns) == ["whitening0", "whitening1"]
    copied = clone(Whitening(2, dtype="float32").set_output(transform="pandas"))
    assert list(copied.fit_transform(rows).columns) == ["whitening0", "whitening1"]


def test_without_scikit_learn(fresh: Any) -> None:
    program = """if True:
        import sys
        for name in ("sklearn", "scipy", "pandas", "threadpoolctl"):
            sys.modules[name] = None
        import numpy as np, pickle
        from likewise.whitening import Whitening
        X = np.random.default_rng(0).standard_normal((50, 3))
        made = Whitening(2).fit(X)
        assert pickle.loads(pickle.dumps(made)).transform(X).shape == (50, 2)
        try:
            Whitening().transform(X)
        except ValueError as error:
            assert "not fitted" in str(error)
        import warnings
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            Whitening(2, n_threads=1).fit(X).transform(X)
        assert len(seen) == 1 and "threadpoolctl" in str(seen[0].message), seen
    """
    fresh(program)
