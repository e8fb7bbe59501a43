"""Plots: the data of what is drawn, and that nothing is shown or changed beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from likewise.decoding import TerminationFloor, survival_bound
from likewise.integrations.matplotlib import plot_convergence, plot_plan, plot_survival
from likewise.projection import RandomProjection, distortion
from likewise.transport import emd, sinkhorn
from likewise.whitening import Whitening, tune

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def never_shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import matplotlib.pyplot as plt

    def show(*_: Any, **__: Any) -> None:
        pytest.fail("a plot called show")

    monkeypatch.setattr(plt, "show", show)
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings
    plt.close("all")


@pytest.fixture
def axes() -> Any:
    """Axes of a figure that pyplot does not know."""
    from matplotlib.figure import Figure

    return Figure().add_subplot()


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 20)) * np.linspace(1, 5, 20) + 1


def draw(ax: Any) -> None:
    """Let every artist be drawn, labels and legends included."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(ax.figure).draw()


def lines(ax: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {str(line.get_label()): tuple(map(np.asarray, line.get_data())) for line in ax.get_lines()}


def test_spectrum(rows: np.ndarray, axes: Any) -> None:
    whitening = Whitening(6, eigenvalue_floor=1e-3).fit(rows)
    ax = whitening.plot_spectrum(ax=axes)
    draw(ax)
    assert ax is axes
    found = lines(ax)
    np.testing.assert_array_equal(found["eigenvalues"][0], np.arange(1, 21))
    np.testing.assert_array_equal(found["eigenvalues"][1], whitening.eigenvalues_)
    np.testing.assert_allclose(found["floor (rank 20)"][1], 1e-3 * whitening.eigenvalues_[0])
    np.testing.assert_array_equal(found["6 components"][0], 6)
    [share] = [other for other in ax.figure.axes if other is not ax]
    np.testing.assert_array_equal(lines(share)["cumulative share"][1], np.cumsum(whitening.explained_ratio_))
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "component" and "eigenvalue" in ax.get_ylabel() and "share" in share.get_ylabel()


@pytest.mark.filterwarnings("ignore::likewise.errors.RankDeficiencyWarning")
def test_spectrum_of_a_missing_rank(rows: np.ndarray, axes: Any) -> None:
    whitening = Whitening().fit(np.hstack([rows, np.zeros((300, 2))]))
    ax = whitening.plot_spectrum(ax=axes)
    draw(ax)
    found = lines(ax)
    assert len(found["eigenvalues"][0]) == 20  # those of zero have no place on a logarithmic axis
    assert "floor (rank 20)" in found and "20 components" in found


def test_distortion(rows: np.ndarray, axes: Any) -> None:
    report = distortion(rows, RandomProjection(16, random_state=0).fit(rows), n_pairs=2000)
    ax = report.plot(ax=axes)
    draw(ax)
    assert ax is axes
    counts, edges = np.histogram(report.ratio_squared, bins=80)
    bars = ax.containers[0].patches
    assert [bar.get_height() for bar in bars] == counts.tolist()
    np.testing.assert_allclose([bar.get_x() for bar in bars], edges[:-1])
    [band] = [patch for patch in ax.patches if "±" in patch.get_label()]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.9, 1.1))
    share = 100 * np.mean(np.abs(report.ratio_squared - 1) <= 0.1)
    assert band.get_label() == f"1 ± 0.1: {share:.1f} % of pairs"
    bound = report.theory["gaussian"]["quantiles"][0.99]
    assert [line.get_xdata()[0] for line in ax.get_lines()] == pytest.approx([1, 1 - bound, 1 + bound])
    assert "squared distance" in ax.get_xlabel() and ax.get_ylabel() == "pairs"


def test_distortion_band_is_as_wide_as_asked(rows: np.ndarray, axes: Any) -> None:
    from likewise.integrations.matplotlib import plot_distortion

    report = distortion(rows, RandomProjection(16, random_state=0).fit(rows), n_pairs=100)
    plot_distortion(report, axes, epsilon=0.25)
    assert any(patch.get_label().startswith("1 ± 0.25") for patch in axes.patches)
    with pytest.raises(ValueError, match="^epsilon: expected a finite number > 0"):
        plot_distortion(report, axes, epsilon=0)


def test_tuning_with_scores(rows: np.ndarray, axes: Any) -> None:
    a, b = rows[:150], rows[150:]
    scores = (a * b)[:, :3].sum(axis=1)
    result = tune(a, b, scores, beta=(0, 0.5, 1), gamma=(0, 0.5, 1), n_components=[5, 20])
    ax = result.plot(ax=axes)
    draw(ax)
    assert ax is axes
    best = result.params
    for beta in (0, 0.5, 1):
        x, y = lines(ax)[f"beta = {beta:g}"]
        chosen = result.table[(result.table["n_components"] == best["n_components"]) & (result.table["beta"] == beta)]
        assert x.tolist() == [0, 0.5, 1]
        np.testing.assert_array_equal(y, np.sort(chosen, order="gamma")["score"])
    assert lines(ax)["chosen"] == ([best["gamma"]], [result.score])
    np.testing.assert_array_equal(lines(ax)["raw cosine"][1], result.baseline)
    assert ax.get_xlabel() == "gamma" and ax.get_title() == f"{best['n_components']} components"


def test_tuning_without_scores(rows: np.ndarray, axes: Any) -> None:
    result = tune(rows[:150], rows[150:], n_components=[2, 5, 10, 20])
    ax = result.plot(ax=axes)
    draw(ax)
    x, y = lines(ax)["beta = 0"]
    assert x.tolist() == [2, 5, 10, 20]
    np.testing.assert_array_equal(y, result.table["score"])
    assert lines(ax)["chosen"] == ([result.params["n_components"]], [result.score])
    assert ax.get_xlabel() == "components"


def test_axes_are_made_where_none_are_given(rows: np.ndarray) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    ax = Whitening(6).fit(rows).plot_spectrum()
    assert ax.figure.number not in before


def test_given_axes_leave_pyplot_alone(rows: np.ndarray, axes: Any) -> None:
    import matplotlib.pyplot as plt

    Whitening(6).fit(rows).plot_spectrum(ax=axes)
    assert plt.get_fignums() == []


def test_missing_matplotlib_is_an_import_error_with_the_fix(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"needs matplotlib; pip install 'likewise\[matplotlib\]'"):
        Whitening(6).fit(rows).plot_spectrum()


def test_plan_as_a_matrix(axes: Any) -> None:
    cost = np.random.default_rng(1).random((5, 7))
    for made in (sinkhorn(None, None, cost), emd(None, None, cost)):
        axes.clear()
        ax = made.plan.plot(ax=axes)
        draw(ax)
        [image] = ax.get_images()
        np.testing.assert_array_equal(np.asarray(image.get_array()), made.plan.dense())
        assert "row" in ax.get_ylabel() and "column" in ax.get_xlabel()
    assert plot_plan(sinkhorn(None, None, cost)).get_images()  # a result stands for its plan


def test_plan_as_lines(axes: Any) -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 6, 2))
    r = sinkhorn(None, None, x=x, y=y, epsilon=0.02)
    ax = plot_plan(r.plan, ax=axes, x=x, y=y, n_lines=10)
    draw(ax)
    lines, left, right = ax.collections
    plan = r.plan.dense()
    heaviest = np.argsort(plan, axis=None)[-10:]
    rows, columns = np.unravel_index(heaviest, plan.shape)
    np.testing.assert_array_equal(np.array(lines.get_segments()), np.stack([x[rows], y[columns]], axis=1))
    np.testing.assert_allclose(lines.get_colors()[:, 3], plan.flat[heaviest] / plan.max())
    np.testing.assert_array_equal(left.get_offsets(), x)
    np.testing.assert_array_equal(right.get_offsets(), y)
    assert ax.get_title() == f"10 lines carry {100 * plan.flat[heaviest].sum():.1f} % of the mass"
    assert ax.get_legend() is not None and ax.get_xlabel() and ax.get_ylabel()


def test_convergence(axes: Any) -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 30, 2))
    runs = [sinkhorn(None, None, x=x, y=y, epsilon=0.1, anderson=memory, method="log") for memory in (0, 10)]
    ax = plot_convergence(runs, ax=axes, labels=["plain", "accelerated"])
    draw(ax)
    found = lines(ax)
    for label, run in zip(("plain", "accelerated"), runs, strict=True):
        np.testing.assert_array_equal(found[label][1], run.history[run.history > 0])
        assert found[label][0][-1] <= run.n_iter
    assert ax.get_yscale() == "log" and "iterations" in ax.get_xlabel() and "marginal error" in ax.get_ylabel()
    axes.clear()
    ax = runs[1].plot(ax=axes)
    draw(ax)
    assert f"log, epsilon {runs[1].epsilon:.3g}" in lines(ax)


def test_refusals_of_transport_plots() -> None:
    r = sinkhorn(None, None, np.eye(3))
    with pytest.raises(ValueError, match="^y: expected points of both sides or of none"):
        plot_plan(r, x=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"^x: expected points of shape \(3, 2\), got shape \(3, 1\)"):
        plot_plan(r, x=np.zeros((3, 1)), y=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="^n_lines: "):
        plot_plan(r, n_lines=0)
    with pytest.raises(ValueError, match="^labels: expected 1, one a result, got 2"):
        plot_convergence(r, labels=["a", "b"])


def test_survival(axes: Any) -> None:
    floor = TerminationFloor.for_budget(100, start=20)
    ax = plot_survival(floor, ax=axes)
    draw(ax)
    found = lines(ax)
    tokens, bound = found["sampling: at most"]
    assert tokens.tolist() == list(range(101)) and bound[0] == bound[20] == 1 and bound[100] <= 1e-9 < bound[99]
    np.testing.assert_array_equal(bound[20:], survival_bound(floor.epsilon, np.arange(81)))
    assert found[f"half have ended by {floor.quantile(0.5)}"][0][0] == floor.quantile(0.5)
    assert found[f"greedy ends by {floor.greedy_stop()}"][0][0] == floor.greedy_stop()
    assert ax.get_yscale() == "log" and ax.get_xlabel() and ax.get_ylabel()
    with pytest.raises(TypeError, match="floor: expected a TerminationFloor, got float"):
        plot_survival(0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^delta: "):
        plot_survival(floor, delta=1.5)
