"""Choosing beta, gamma and the number of components from pairs of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._estimator import Rows
from .._validation import check_array, check_choice, check_scalar_float, check_scalar_int, describe
from .correlation import Column, kendall, pearson, spearman
from .estimator import Whitening
from .hyper import Hyper, check_gamma
from .moments import Moments, refuse_sparse
from .spectrum import Spectrum

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)

Metric = Callable[[Column, Column], float]

_METRICS: dict[str, Metric] = {"spearman": spearman, "pearson": pearson, "kendall": kendall}
_TABLE = np.dtype([("beta", "f8"), ("gamma", "f8"), ("n_components", "i8"), ("score", "f8")])
_BLOCK = 2048  # pairs that are rotated at a time
_SAME = 13  # decimals: cosines that differ by less differ by rounding


@dataclass(frozen=True)
class TuneResult:
    """What `tune` found.

    Attributes
    ----------
    params : dict
        ``beta``, ``gamma`` and ``n_components``, for `Whitening.set_hyper`.
    score : float
        Of these parameters on the pairs that chose them: report what you measure on other pairs.
    table : structured ndarray
        Fields ``beta``, ``gamma``, ``n_components`` and ``score``, a row for each point of the grid. NaN: the cosines
        are constant, or there are fewer directions than components.
    baseline : float
        Score of the cosines of the vectors as they are; NaN if there were no scores to compare with.
    metric : str
        Its name.
    n_zero : int
        Pairs with a zero vector, whose cosine counts as 0.
    """

    params: dict[str, Any]
    score: float
    table: NDArray[Any] = field(repr=False)
    baseline: float
    metric: str
    n_zero: int

    def __str__(self) -> str:
        chosen = ", ".join(f"{k}={v:g}" for k, v in self.params.items())
        if np.isnan(self.baseline):
            return f"{chosen}: {self.metric} {self.score:.4f} with the cosines of the vectors as they are"
        return (
            f"{chosen}: {self.metric} {self.score:.4f} on the pairs it was chosen on (raw cosine {self.baseline:.4f}); "
            "measure it on others"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the scores of the grid.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from ..integrations.matplotlib import plot_tuning

        return plot_tuning(self, ax=ax)


def tune(
    vectors_a: Any,
    vectors_b: Any,
    scores: Any = None,
    *,
    whitening: Whitening | Moments | None = None,
    beta: float | Iterable[float] = GRID,
    gamma: float | Iterable[float] = GRID,
    n_components: int | Iterable[int] | None = None,
    metric: str | Metric = "spearman",
    target: float = 0.99,
) -> TuneResult:
    """Choose the parameters of a `Whitening` from pairs of vectors.

    With `scores`: the point of the grid whose cosines agree best with them. Without: ``beta = gamma = 0``, a pure
    rotation, and the smallest number of components whose cosines keep the order of the original ones. (How much
    whitening helps cannot be seen without scores: Su, kexue.fm/archives/9079.)

    Parameters
    ----------
    vectors_a, vectors_b : array-like of shape (n, d), n >= 3
        Row i of one and row i of the other are a pair.
    scores : array-like of shape (n,), optional
        How alike the pairs are; larger is more.
    whitening : Whitening or Moments, optional
        Whose statistics to use, and floor; it is not changed. None: those of the pairs themselves.
    beta, gamma : sequences of float
        The grid; only with `scores`.
    n_components : sequence of int, optional
        None: powers of two up to the rank, and the rank.
    metric : {"spearman", "pearson", "kendall"} or callable
        ``callable(cosines, scores) -> float``, larger is better. Without scores only "spearman".
    target : float, default 0.99
        Without scores: the rank correlation to reach.

    Returns
    -------
    TuneResult
        Equal scores: fewer components, then smaller gamma, then smaller beta. The score is that of the pairs that
        chose the parameters: choose on a training or development set, report on another one.

    Raises
    ------
    ValueError
        Fewer than 3 pairs, different lengths, NaN, constant scores or cosines, a grid without scores, no grid point
        that can be scored, or a target out of reach.

    Notes
    -----
    One eigen-problem and one rotation of the pairs for each beta; gamma and the number of components then take sums of
    products along the sorted components, never a transform for each point.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.whitening import Whitening, tune
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((200, 8)) * [9, 1, 1, 1, 1, 1, 1, 1] + 3.0
    >>> b = a + rng.standard_normal((200, 8)) * [9, 1, 1, 1, 1, 1, 1, 1]
    >>> alike = ((a - b)[:, 1:] ** 2).sum(axis=1)  # the first column says nothing
    >>> best = tune(a, b, -alike)
    >>> best.params["gamma"] > 0, best.score > best.baseline
    (True, True)
    >>> Whitening().fit(a).set_hyper(**best.params).n_components_ == best.params["n_components"]
    True
    """
    a, b = (_vectors(v, name) for v, name in ((vectors_a, "vectors_a"), (vectors_b, "vectors_b")))
    if a.shape != b.shape:
        raise ValueError(f"vectors_b: expected shape {a.shape} as vectors_a, got {b.shape}")
    if len(a) < 3:
        raise ValueError(f"vectors_a: expected at least 3 pairs, got {len(a)}")
    labels = None if scores is None else _labels(scores, len(a))
    score_of, metric_name = _metric(metric)
    if labels is None:
        for name, grid in (("beta", beta), ("gamma", gamma)):
            if grid is not GRID:
                raise ValueError(f"{name}: expected no grid without scores, which alone can choose, got one")
        if metric_name != "spearman":
            raise ValueError(f"metric: expected 'spearman' without scores, got {metric_name!r}")
        betas, gammas = [0.0], [0.0]
    else:
        betas = _grid(beta, "beta", check_scalar_float)
        gammas = _grid(gamma, "gamma", check_gamma)
    target = check_scalar_float(target, "target", exclusive_minimum=0, maximum=1)
    moments, hyper = _statistics(whitening, a, b)
    d = a.shape[1]
    ks = None if n_components is None else _grid(n_components, "n_components", _component_check(d))

    raw = _cosines_of(a, b)
    if np.ptp(raw) == 0:
        raise ValueError("vectors_a: expected pairs whose cosines differ, got the same for all")
    compared = raw if labels is None else labels
    rows: list[tuple[float, float, int, float]] = []
    for one_beta in betas:
        spectrum = Spectrum.of(moments.covariance(one_beta), one_beta, moments.n)
        rank = spectrum.rank(hyper.floor(d, moments.has_float32))
        sizes = ks or _powers(rank)
        if not sizes:
            continue  # rank 0: all rows equal
        cosines = _grid_cosines(a, b, one_beta * moments.mean, spectrum, rank, gammas, sizes)
        for i, one_gamma in enumerate(gammas):
            for j, k in enumerate(sizes):
                column = cosines[:, i, j]
                possible = (k <= rank or one_gamma == 0) and np.ptp(column) > 0
                score = float(score_of(column, compared)) if possible else float("nan")
                rows.append((one_beta, one_gamma, k, score))
    table = np.array(rows, _TABLE)
    table.setflags(write=False)
    chosen = _best(table) if labels is not None else _smallest(table, target)
    return TuneResult(
        params={
            "beta": float(chosen["beta"]),
            "gamma": float(chosen["gamma"]),
            "n_components": int(chosen["n_components"]),
        },
        score=float(chosen["score"]),
        table=table,
        baseline=float("nan") if labels is None else float(score_of(raw, labels)),
        metric=metric_name,
        n_zero=int(np.count_nonzero(~(a.any(axis=1) & b.any(axis=1)))),
    )


# --- Arguments ---


def _vectors(value: Any, name: str) -> Rows:
    return check_array(refuse_sparse(value, name), name)


def _labels(scores: Any, n: int) -> Column:
    labels = check_array(scores, "scores", ndim=1).astype(np.float64)
    if len(labels) != n:
        raise ValueError(f"scores: expected one for each of {n} pairs, got {len(labels)}")
    if np.ptp(labels) == 0:
        raise ValueError("scores: expected values that differ, got the same for all pairs")
    return labels


def _metric(metric: str | Metric) -> tuple[Metric, str]:
    if callable(metric):
        return metric, getattr(metric, "__name__", type(metric).__name__)
    name = check_choice(metric, "metric", tuple(_METRICS))
    return _METRICS[name], name


def _grid(values: Any, name: str, check: Callable[[object, str], Any]) -> list[Any]:
    """The values of one axis, checked, ascending, each once."""
    if isinstance(values, str) or values is None:
        raise TypeError(f"{name}: expected a sequence of numbers, got {describe(values)}")
    items = list(values) if isinstance(values, Iterable) and np.ndim(values) > 0 else [values]  # type: ignore[arg-type]
    if not items:
        raise ValueError(f"{name}: expected at least one value, got none")
    return sorted({check(item, name) for item in items})


def _component_check(d: int) -> Callable[[object, str], int]:
    return lambda value, name: check_scalar_int(value, name, minimum=1, maximum=d)


def _statistics(whitening: Any, a: Rows, b: Rows) -> tuple[Moments, Hyper]:
    hyper = Hyper.check(Whitening().get_params())
    if whitening is None:
        return Moments().update(a).update(b), hyper
    if isinstance(whitening, Whitening):
        whitening._require_fitted()
        moments, hyper = whitening._statistics("whitening"), whitening._state.hyper
    elif isinstance(whitening, Moments):
        moments = whitening
    else:
        raise TypeError(f"whitening: expected a Whitening or Moments, got {describe(whitening)}")
    if moments.n < 2:
        raise ValueError(f"whitening: expected statistics of at least 2 rows, got {moments.n} sample(s)")
    if moments.n_features != a.shape[1]:
        raise ValueError(
            f"vectors_a: X has {a.shape[1]} features, but Whitening is expecting {moments.n_features} features as input"
        )
    return moments, hyper


def _powers(rank: int) -> list[int]:
    """Powers of two up to the rank, and the rank."""
    return sorted({2**i for i in range(rank.bit_length())} | {rank} if rank else set())


# --- Cosines ---


def _cosines(dots: NDArray[Any], squares_a: NDArray[Any], squares_b: NDArray[Any]) -> NDArray[Any]:
    lengths = np.sqrt(squares_a) * np.sqrt(squares_b)
    cosines: NDArray[Any] = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosines.round(_SAME)  # so that rounding does not order what is equal


def _cosines_of(a: Rows, b: Rows) -> Column:
    """Cosines of pairs; each vector is first divided by its largest entry, whose square float64 might not hold."""
    found = np.empty(len(a))
    for first in range(0, len(a), _BLOCK):
        x, y = (v[first : first + _BLOCK].astype(np.float64) for v in (a, b))
        for v in (x, y):
            size = np.abs(v).max(axis=1, keepdims=True)
            np.divide(v, size, out=v, where=size > 0)
        dots, squares_x, squares_y = (np.einsum("ij,ij->i", *pair) for pair in ((x, y), (x, x), (y, y)))
        found[first : first + _BLOCK] = _cosines(dots, squares_x, squares_y)
    return found


def _grid_cosines(
    a: Rows,
    b: Rows,
    offset: Column,
    spectrum: Spectrum,
    rank: int,
    gammas: Sequence[float],
    sizes: Sequence[int],
) -> NDArray[np.float64]:
    """Cosines of shape (pairs, gammas, sizes) at one beta."""
    vectors = np.ascontiguousarray(spectrum.vectors[:, : sizes[-1]])
    # A common factor changes no cosine, so eigenvalues are taken relative to the first; below the rank gamma is 0.
    weights = np.zeros((sizes[-1], len(gammas)))
    for i, gamma in enumerate(gammas):
        used = min(rank, sizes[-1]) if gamma > 0 else sizes[-1]
        weights[:used, i] = (spectrum.eigenvalues[:used] / spectrum.eigenvalues[0]) ** -gamma if gamma > 0 else 1.0
    found = np.empty((len(a), len(gammas), len(sizes)))
    for first in range(0, len(a), _BLOCK):
        x, y = ((v[first : first + _BLOCK] - offset) @ vectors for v in (a, b))
        sums = [np.zeros((len(x), len(gammas))) for _ in range(3)]
        with np.errstate(over="ignore"):  # what float64 cannot hold scores NaN
            products = (x * y, x * x, y * y)
        done = 0
        for j, k in enumerate(sizes):
            for total, product in zip(sums, products, strict=True):
                total += product[:, done:k] @ weights[done:k]
            found[first : first + _BLOCK, :, j] = _cosines(*sums)
            done = k
    return found


# --- Choosing ---


def _best(table: NDArray[Any]) -> Any:
    possible = table[np.isfinite(table["score"])]
    if not len(possible):
        raise ValueError("scores: expected a point of the grid whose cosines differ, got none")
    order = np.lexsort((possible["beta"], possible["gamma"], possible["n_components"], -possible["score"]))
    return possible[order[0]]


def _smallest(table: NDArray[Any], target: float) -> Any:
    reached = table[table["score"] >= target]
    if not len(reached):
        best = _best(table)
        found = f"{best['score']:.6f}, reached at n_components={best['n_components']}"
        raise ValueError(f"target: expected at most {found}, got {target}")
    return reached[np.argmin(reached["n_components"])]
