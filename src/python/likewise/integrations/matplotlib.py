"""Plots of results. Each function draws on the Axes it is given, or on a new figure, and returns the Axes.

Nothing is shown and no setting of matplotlib is changed; with ``ax`` given, pyplot is not touched at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_array, check_scalar_float, check_scalar_int, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..decoding import TerminationFloor
    from ..projection import DistortionReport
    from ..transport import EMDResult, Plan, SparsePlan, TransportResult
    from ..whitening import TuneResult, Whitening

__all__ = ["plot_convergence", "plot_distortion", "plot_plan", "plot_spectrum", "plot_survival", "plot_tuning"]

# Okabe and Ito's palette: told apart by readers with any kind of colour vision.
_BLUE, _ORANGE, _GREEN, _PINK, _RED, _SKY, _GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#777777",
)  # fmt: skip
_LINES = ((_BLUE, "o"), (_ORANGE, "s"), (_GREEN, "^"), (_PINK, "D"), (_RED, "v"), (_SKY, "P"))


def plot_spectrum(whitening: Whitening, ax: Any = None) -> Any:
    """Draw the eigenvalues of a fitted whitening: how many directions matter, and which are never divided by.

    Eigenvalues of the covariance stand on a logarithmic axis, their cumulative share of the total on a second axis;
    lines mark the floor below which a direction counts as empty, and the number of components.

    Parameters
    ----------
    whitening : Whitening
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the eigenvalues. Values of zero have no place on it and are left out.

    Raises
    ------
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.integrations.matplotlib import plot_spectrum
    >>> from likewise.whitening import Whitening
    >>> X = np.random.default_rng(0).normal(size=(100, 8)) * np.arange(1, 9)
    >>> plot_spectrum(Whitening(4).fit(X)).get_ylabel()
    'eigenvalue (squared units of the data)'
    """
    ax = _axes(ax)
    eigenvalues = np.asarray(whitening.eigenvalues_)
    number = np.arange(1, len(eigenvalues) + 1)
    above = eigenvalues > 0
    ax.plot(number[above], eigenvalues[above], color=_BLUE, label="eigenvalues")
    ax.set_yscale("log")
    floor = whitening.eigenvalue_floor_ * eigenvalues[0]
    if floor > 0:
        ax.axhline(floor, color=_RED, linestyle=":", label=f"floor (rank {whitening.rank_})")
    n_components = whitening.n_components_
    ax.axvline(n_components, color=_GREY, linestyle="--", label=f"{n_components} components")
    ax.set_xlabel("component")
    ax.set_ylabel("eigenvalue (squared units of the data)")
    share = ax.twinx()
    share.plot(number, np.cumsum(whitening.explained_ratio_), color=_ORANGE, label="cumulative share")
    share.set_ylim(0, 1.02)
    share.set_ylabel("cumulative share of the total")
    handles = [*ax.get_lines(), *share.get_lines()]
    share.legend(handles, [str(line.get_label()) for line in handles], loc="center right", frameon=False)
    return ax


def plot_distortion(report: DistortionReport, ax: Any = None, *, epsilon: float = 0.1, bins: int = 80) -> Any:
    """Draw what a projection did to squared distances: a histogram of projected over original.

    Parameters
    ----------
    report : DistortionReport
        What `likewise.projection.distortion` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.
    epsilon : float, default 0.1
        Half the width of the shaded band around 1; the legend says which share of the pairs lies in it.
    bins : int, default 80
        Of the histogram.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.integrations.matplotlib import plot_distortion
    >>> from likewise.projection import RandomProjection, distortion
    >>> X = np.random.default_rng(0).normal(size=(200, 256))
    >>> report = distortion(X, RandomProjection(64, random_state=0).fit(X))
    >>> plot_distortion(report, epsilon=0.2).get_ylabel()
    'pairs'
    """
    epsilon = check_scalar_float(epsilon, "epsilon", exclusive_minimum=0.0)
    ax = _axes(ax)
    ratios = np.asarray(report.ratio_squared)
    inside = float(np.mean(np.abs(ratios - 1) <= epsilon))
    ax.axvspan(
        1 - epsilon, 1 + epsilon, color=_ORANGE, alpha=0.2, label=f"1 ± {epsilon:g}: {100 * inside:.1f} % of pairs"
    )
    ax.hist(ratios, bins=bins, color=_BLUE, label=f"std {report.std:.4f}")
    ax.axvline(1.0, color=_GREY, linewidth=1)
    bound = report.theory["gaussian"]["quantiles"][0.99]
    for side, label in ((1 - bound, "99 % of Gaussian's, in theory"), (1 + bound, "_nolegend_")):
        ax.axvline(side, color=_RED, linestyle=":", label=label)
    ax.set_xlabel("squared distance, projected / original")
    ax.set_ylabel("pairs")
    ax.legend()
    return ax


def plot_tuning(result: TuneResult, ax: Any = None) -> Any:
    """Draw the grid of a tuning: score against gamma, a line for each beta, at the best number of components.

    Without labelled pairs only the number of components was chosen: then the score stands against that.

    Parameters
    ----------
    result : TuneResult
        What `likewise.whitening.tune` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.integrations.matplotlib import plot_tuning
    >>> from likewise.whitening import tune
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 60, 8)) + 3
    >>> plot_tuning(tune(a, b, scores=rng.normal(size=60))).get_xlabel()
    'gamma'
    """
    ax = _axes(ax)
    table, best = result.table, result.params
    if len(np.unique(table["gamma"])) > 1:
        x = "gamma"
        rows = table[table["n_components"] == best["n_components"]]
        for place, beta in enumerate(np.unique(rows["beta"])):
            line = np.sort(rows[rows["beta"] == beta], order=x)
            colour, marker = _LINES[place % len(_LINES)]
            ax.plot(line[x], line["score"], color=colour, marker=marker, label=f"beta = {beta:g}")
        ax.set_title(f"{best['n_components']} components")
    else:
        x = "n_components"
        rows = table[(table["beta"] == best["beta"]) & (table["gamma"] == best["gamma"])]
        line = np.sort(rows, order=x)
        ax.plot(line[x], line["score"], color=_BLUE, marker="o", label=f"beta = {best['beta']:g}")
    if np.isfinite(result.baseline):
        ax.axhline(result.baseline, color=_GREY, linestyle="--", label="raw cosine")
    ax.plot([best[x]], [result.score], "*", color=_RED, markersize=14, label="chosen", zorder=3)
    ax.set_xlabel("gamma" if x == "gamma" else "components")
    ax.set_ylabel("score on these pairs")
    ax.legend(frameon=False)
    return ax


def plot_plan(
    plan: Plan | SparsePlan | TransportResult | EMDResult,
    ax: Any = None,
    *,
    x: Any = None,
    y: Any = None,
    n_lines: int = 1000,
) -> Any:
    """Draw what a transport plan sends where: as a matrix, or as lines between points of the plane.

    Parameters
    ----------
    plan : Plan, SparsePlan, or a result that has one
        Its n times m entries are computed.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.
    x, y : array-like of shapes (n, 2) and (m, 2), optional
        Where the points lie. With both, the heaviest entries are drawn as lines, the darker the heavier, over points
        whose area is their mass. Without, entry (i, j) is a pixel, whose colour is its share of the largest.
    n_lines : int, default 1000
        Most lines; the title says how much of the mass they carry.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        Points that do not fit the plan, or only one side of them.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> from likewise.integrations.matplotlib import plot_plan
    >>> x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    >>> plot_plan(lw.transport.sinkhorn(None, None, x=x, y=y), x=x, y=y).get_title()
    '900 lines carry 100.0 % of the mass'
    """
    n_lines = check_scalar_int(n_lines, "n_lines", minimum=1)
    if (x is None) != (y is None):
        raise ValueError(f"{'x' if x is None else 'y'}: expected points of both sides or of none, got None")
    held: Any = getattr(plan, "plan", plan)
    entries = np.asarray(held.dense(), dtype=np.float64)
    points = [
        _points(side, name, size) for side, name, size in ((x, "x", len(entries)), (y, "y", entries.shape[1]))
        if side is not None
    ]  # fmt: skip
    ax = _axes(ax)
    if not points:
        image = ax.imshow(entries, cmap="cividis", vmin=0, interpolation="nearest", aspect="auto")
        ax.figure.colorbar(image, ax=ax, label="mass")
        ax.set_xlabel("column (where to)")
        ax.set_ylabel("row (where from)")
        return ax
    from matplotlib.collections import LineCollection

    heaviest = np.argsort(entries, axis=None, kind="stable")[::-1][:n_lines]
    heaviest = heaviest[entries.flat[heaviest] > 0][::-1]
    rows, columns = np.unravel_index(heaviest, entries.shape)
    masses = entries[rows, columns]
    colours = np.zeros((len(masses), 4))
    colours[:, 3] = masses / masses.max(initial=np.finfo(np.float64).tiny)
    ends = list(np.stack([points[0][rows], points[1][columns]], axis=1))
    ax.add_collection(LineCollection(ends, colors=colours, linewidths=0.7, zorder=1))
    for side, axis, colour, marker, label in (
        (points[0], 1, _BLUE, "o", "x (where from)"), (points[1], 0, _ORANGE, "s", "y (where to)"),
    ):  # fmt: skip
        sums = entries.sum(axis=axis)
        ax.scatter(*side.T, s=30 * sums / sums.mean(), color=colour, marker=marker, label=label, zorder=2)
    share = masses.sum() / entries.sum()
    ax.set_title(f"{len(masses)} lines carry {100 * share:.1f} % of the mass")
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
    ax.set_aspect("equal", adjustable="datalim")
    ax.legend(frameon=False)
    return ax


def _points(value: Any, name: str, size: int) -> Any:
    points = check_array(value, name)
    if points.shape != (size, 2):
        raise ValueError(f"{name}: expected points of shape ({size}, 2), got shape {points.shape}")
    return points


def plot_convergence(
    results: TransportResult | Sequence[TransportResult], ax: Any = None, *, labels: Sequence[str] | None = None
) -> Any:
    """Draw the marginal error against the iterations: how fast a transport problem, or several, came to rest.

    Parameters
    ----------
    results : TransportResult or sequence of them
        Each becomes a line: the errors that the iterations met, and a dot for the one that was verified at the end.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.
    labels : sequence of str, optional
        What the legend says of each. Default: method and epsilon.

    Returns
    -------
    matplotlib.axes.Axes
        Errors of zero have no place on its logarithmic axis and are left out.

    Raises
    ------
    ValueError
        As many labels as results are expected.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, likewise as lw
    >>> from likewise.integrations.matplotlib import plot_convergence
    >>> x, y = np.random.default_rng(0).normal(size=(2, 50, 2))
    >>> runs = [lw.transport.sinkhorn(None, None, x=x, y=y, epsilon=0.1, anderson=n) for n in (0, 10)]
    >>> plot_convergence(runs, labels=["plain", "accelerated"]).get_ylabel()
    'marginal error (share of the mass)'
    """
    several: list[TransportResult] = [results] if hasattr(results, "history") else list(results)  # type: ignore[list-item]
    if labels is not None and len(labels) != len(several):
        raise ValueError(f"labels: expected {len(several)}, one a result, got {len(labels)}")
    ax = _axes(ax)
    for place, result in enumerate(several):
        label = labels[place] if labels is not None else f"{result.method}, epsilon {result.epsilon:.3g}"
        colour, marker = _LINES[place % len(_LINES)]
        history = np.asarray(result.history)
        iterations = np.arange(len(history)) + result.n_iter + 1 - len(history)
        above = history > 0
        ax.plot(iterations[above], history[above], color=colour, label=label)
        if result.marginal_error > 0:
            ax.plot([result.n_iter], [result.marginal_error], marker=marker, color=colour, label="_nolegend_")
    ax.set_yscale("log")
    ax.set_xlabel("iterations")
    ax.set_ylabel("marginal error (share of the mass)")
    ax.legend(frameon=False)
    return ax


def plot_survival(floor: TerminationFloor, ax: Any = None, *, delta: float = 1e-9) -> Any:
    """Draw what a termination floor proves: how probable a text without an end is at most, token by token.

    Parameters
    ----------
    floor : TerminationFloor
        Its bound is drawn from the first token to the one at which it falls below `delta`; lines mark where half of all
        texts have ended at the latest, and where greedy decoding stops.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.
    delta : float, default 1e-9
        The lower end of the axis, in (0, 1).

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        Another object, delta outside (0, 1).
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import likewise as lw
    >>> from likewise.integrations.matplotlib import plot_survival
    >>> plot_survival(lw.decoding.TerminationFloor.for_budget(512)).get_xlabel()
    'tokens generated'
    """
    from ..decoding import TerminationFloor, survival_bound

    if not isinstance(floor, TerminationFloor):
        raise TypeError(f"floor: expected a TerminationFloor, got {describe(floor)}")
    end, half = floor.quantile(delta), floor.quantile(0.5)
    ax = _axes(ax)
    tokens = np.arange(end + 1)
    bound = survival_bound(floor.epsilon, np.maximum(tokens - floor.start, 0))
    ax.plot(tokens, bound, color=_BLUE, label="sampling: at most")
    ax.axvline(half, color=_ORANGE, linestyle="--", label=f"half have ended by {half}")
    ax.axvline(floor.greedy_stop(), color=_GREY, linestyle=":", label=f"greedy ends by {floor.greedy_stop()}")
    ax.set_yscale("log")
    ax.set_xlabel("tokens generated")
    ax.set_ylabel("probability of no end token yet")
    ax.legend(frameon=False)
    return ax


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "likewise.integrations.matplotlib needs matplotlib; pip install 'likewise[matplotlib]'"
        ) from error
    return plt.subplots(layout="constrained")[1]
