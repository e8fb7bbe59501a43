"""Sinkhorn's distance as an autograd function."""

from __future__ import annotations

from typing import Any

import torch

from ...transport import sinkhorn as _native_sinkhorn
from .formulas import array_of, check_tensor, is_native, refuse_second

__all__ = ["sinkhorn"]

_WRT = ("a", "b", "cost", "x", "y")


def sinkhorn(
    a: torch.Tensor | None,
    b: torch.Tensor | None,
    cost: torch.Tensor | None = None,
    *,
    x: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """The regularised cost of `likewise.transport.sinkhorn`, differentiable with respect to every tensor.

    Parameters
    ----------
    a, b : Tensor of shapes (n,) and (m,), or None
        Weights >= 0 of equal mass; None: uniform.
    cost : Tensor of shape (n, m), optional
        Costs.
    x, y : Tensor of shapes (n, d) and (m, d), optional
        Points, in place of costs.
    **options
        `metric`, `epsilon`, `epsilon_scale`, `tol`, ... as in `likewise.transport.sinkhorn`.

    Returns
    -------
    Tensor
        A scalar: ``<P,C> + epsilon KL(P | a b^T)`` at the optimum.

    Raises
    ------
    ValueError, TypeError
        As `likewise.transport.sinkhorn`; tensors that are not float32 or float64 on the CPU, or not all of one dtype.
    RuntimeError
        When it is differentiated twice.

    Notes
    -----
    Gradients come from the optimum alone, by the envelope theorem, so they are as exact as `tol` lets the optimum be;
    nothing is unrolled. Epsilon counts as a constant, also where it is relative to the costs. Gradients with respect to
    weights sum to 0 over the points that have weight: only changes that keep the mass have a derivative.

    Examples
    --------
    >>> import torch
    >>> from likewise.integrations.torch import sinkhorn
    >>> x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64, requires_grad=True)
    >>> y = torch.tensor([[0.5], [2.0], [2.5]], dtype=torch.float64)
    >>> a, b = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.4, 0.4, 0.2]).double()
    >>> loss = sinkhorn(a / a.sum(), b / b.sum(), x=x, y=y, epsilon=1.0, epsilon_scale="absolute", tol=1e-12)
    >>> loss.backward()
    >>> round(loss.item(), 4), x.grad.numpy().ravel().round(4).tolist()
    (1.4527, [-0.9084, -0.5594, 0.2678])
    """
    tensors = dict(zip(_WRT, (a, b, cost, x, y), strict=True))
    given = [(name, value) for name, value in tensors.items() if value is not None]
    for name, value in given:
        check_tensor(value, name, like=given[0][1] if isinstance(given[0][1], torch.Tensor) else None)
        if not is_native(value):
            raise ValueError(
                f"{name}: expected float32 or float64 on the CPU, got {value.dtype} on {value.device} "
                "[call .cpu(), .float()]"
            )
    return _Sinkhorn.apply(*tensors.values(), options)


class _Sinkhorn(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, cost: Any, x: Any, y: Any, options: dict[str, Any]) -> Any:
        a_, b_, cost_, x_, y_ = (None if value is None else array_of(value) for value in (a, b, cost, x, y))
        ctx.result = _native_sinkhorn(a_, b_, cost_, x=x_, y=y_, **options)
        dtype = next((value.dtype for value in (a, b, cost, x, y) if value is not None), torch.float64)
        return torch.tensor(ctx.result.regularised_cost, dtype=dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        refuse_second("sinkhorn")
        found = [
            torch.as_tensor(ctx.result.gradient(name)) * upstream if wanted else None
            for name, wanted in zip(_WRT, ctx.needs_input_grad, strict=False)
        ]
        return (*found, None)
