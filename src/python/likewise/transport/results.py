"""What a solver hands back: values, potentials, the plan, how far it came, and the proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import check_choice
from .certificate import Certificate
from .gradient import point_gradient, weight_gradient
from .plan import Plan

__all__ = ["TransportResult"]


@dataclass(frozen=True, eq=False)
class TransportResult:
    """A solution of an entropic transport problem, with its report.

    Attributes
    ----------
    cost : float
        ``<P, C>``.
    regularised_cost : float
        The minimum: ``<P, C> + epsilon KL(P | a b^T)``, and what relaxed marginals cost. It is read off the dual
        objective, whose error is of second order in the marginal error.
    f, g : ndarray of shapes (n,) and (m,)
        Potentials, ``<a, f> = <b, g>``; finite also where there is no weight.
    plan : Plan
        ``P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)``, computed where it is asked for.
    marginal_error : float
        ``|P 1 - a|_1 + |P^T 1 - b|_1`` over the mass, summed in float64 from the final potentials. With relaxed
        marginals, a stands for ``a exp(-f / rho)``.
    n_iter : int
    converged : bool
        Whether ``marginal_error <= tol``.
    method : str
        What ran last: ``'log'``, ``'kernel'`` or ``'sparse'``.
    epsilon : float
        The absolute strength of the entropy.
    mass : float
        The sum of the plan.
    history : ndarray of float64
        The marginal errors that the loop saw, the first before any iteration.
    potentials : (ndarray, ndarray)
        f and g in float64, as the plan has them; read-only.

    Examples
    --------
    >>> import likewise as lw
    >>> r = lw.transport.sinkhorn(None, None, [[0.0, 1.0], [1.0, 0.0]], epsilon=1, epsilon_scale="absolute")
    >>> r
    TransportResult(cost=0.268941, regularised_cost=0.379885, marginal_error=0, n_iter=1, converged=True)
    """

    cost: float
    regularised_cost: float
    f: NDArray[Any]
    g: NDArray[Any]
    plan: Plan
    marginal_error: float
    n_iter: int
    converged: bool
    method: str
    epsilon: float
    mass: float
    history: NDArray[np.float64]
    potentials: tuple[NDArray[np.float64], NDArray[np.float64]] = field(repr=False)
    _certify: Callable[[Plan], Certificate] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(cost={self.cost:.6g}, regularised_cost={self.regularised_cost:.6g}, "
            f"marginal_error={self.marginal_error:.2g}, n_iter={self.n_iter}, converged={self.converged})"
        )

    @cached_property
    def certificate(self) -> Certificate:
        """Two-sided bounds on the regularised and on the exact cost; computed when first asked for, in float64."""
        return self._certify(self.plan)

    def plot(self, ax: Any = None) -> Any:
        """Draw the marginal error against the iterations: `likewise.integrations.matplotlib.plot_convergence`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes
        """
        from ..integrations.matplotlib import plot_convergence

        return plot_convergence(self, ax=ax)

    def gradient(self, wrt: str) -> NDArray[Any]:
        """The derivative of `regularised_cost`, by the envelope theorem: epsilon counts as a constant.

        Parameters
        ----------
        wrt : {'x', 'y', 'a', 'b', 'cost'}
            The points, the weights or the cost matrix.

        Returns
        -------
        ndarray
            Shaped as what it is the derivative by. ``'cost'``: the plan. ``'a'``: f, whose mean over the points with
            weight is made 0, as only changes that keep the mass have a derivative (with relaxed marginals: the
            derivative itself). ``'x'``: ``sum_j P_ij dC_ij / dx_i``, 0 where two points coincide.

        Raises
        ------
        ValueError
            ``'x'`` or ``'y'`` of a problem that was given by its cost matrix; ``'a'`` or ``'b'`` of a partial one.
        """
        wrt = check_choice(wrt, "wrt", ("x", "y", "a", "b", "cost"))
        problem = self.plan.problem
        if wrt == "cost":
            return self.plan.dense()
        if wrt in ("a", "b"):
            if problem.partial:
                raise ValueError(f"wrt: expected 'x', 'y' or 'cost' for a partial problem, got {wrt!r}")
            return weight_gradient(problem, self.potentials, second=wrt == "b").astype(problem.dtype)
        if problem.ground.x is None:
            raise ValueError(f"wrt: expected 'a', 'b' or 'cost' for a problem given by its cost, got {wrt!r}")
        gradient = point_gradient(problem, self.potentials, second=wrt == "y", n_threads=self.plan.n_threads)
        return gradient.astype(problem.ground.dtype)
