"""Plots of results. Each function draws on the Axes it is given, or on a new figure, and returns the Axes.

Nothing is shown and no setting of matplotlib is changed; with ``ax`` given, pyplot is not touched at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_scalar_float

if TYPE_CHECKING:
    from ..projection import DistortionReport
    from ..whitening import TuneResult, Whitening

__all__ = ["plot_distortion", "plot_spectrum", "plot_tuning"]

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
