"""The wall of the binding of entropic transport: shapes and values that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from likewise import _core
from likewise.errors import InternalError
from tests.bound_calls import CALLS, MATRIX, X, Y, sinkhorn


def test_transport_refuses_shapes_that_do_not_fit() -> None:
    for name, argument, shape in (
        *(("sinkhorn", argument, 4) for argument in ("a", "b", "f", "g")),
        ("sinkhorn", "history", 50),
        ("sinkhorn", "cost", (2, 3)),
        ("sinkhorn", "cost", (0, 2)),
        ("cost_statistics", "a", 2),
        ("plan_rows", "f", 2),
        ("plan_rows", "out", (1, 2)),
        ("plan_rows", "out", (2, 3)),
        ("plan_apply", "v", (3, 2)),
        ("plan_apply", "out", (3, 1)),
        ("least_slack", "potential", 2),
        ("least_slack", "out", 3),
        ("mean_cost", "b", 3),
        ("soft_min", "potential", 3),
        ("soft_min", "out", 2),
        *(("plan_sums", argument, 4) for argument in ("alpha", "beta", "left", "right", "rows", "columns")),
        ("point_gradient", "y", (2, 3)),
        ("point_gradient", "out", (3, 3)),
    ):
        function, arguments = CALLS[f"transport.{name}"]()
        named = "(a|cost)" if argument == "cost" else argument
        with pytest.raises(InternalError, match=f"^{named}: expected "):
            function(**{**arguments, argument: np.zeros(shape, np.float64)})
    for first, last in ((2, 1), (0, 4), (2**62, 2**63)):
        function, arguments = CALLS["transport.plan_rows"]()
        with pytest.raises(InternalError, match="^i0: expected rows below 3, got"):
            function(**{**arguments, "i0": first, "i1": last})
    for points in (dict(x=X), dict(y=Y), dict(x=X, y=Y), dict(cost=None, y=Y), dict(cost=None, x=X)):
        with pytest.raises(InternalError, match="^(cost|x|y): expected"):
            _core.transport.sinkhorn(**{**sinkhorn(MATRIX), **points})
    for name, value in (("metric", "l1"), ("method", "newton"), ("epsilon", 0.0), ("rho_a", -1.0), ("rho_b", np.nan)):
        with pytest.raises(InternalError, match=f"^{name}: expected"):
            _core.transport.sinkhorn(**{**sinkhorn(MATRIX), name: value})
