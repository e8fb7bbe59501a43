"""The table written and restored, in place of a hook."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch")

from torch import nn  # noqa: E402

from likewise.adversarial import perturb_rows  # noqa: E402

NAN = float("nan")


class TestPerturbRows:
    """The table is written, and restored bit for bit."""

    @staticmethod
    def table() -> tuple[Any, Any]:
        torch.manual_seed(0)
        table = nn.Embedding(8, 3)
        ids = torch.tensor([[1, 5], [5, 2]])
        (table(ids) * torch.arange(1.0, 4.0)).sum().backward()
        return table, ids

    @pytest.mark.parametrize("rows", ["touched", "all"])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_inside_and_after(self, rows: str, sparse: bool) -> None:
        table, ids = self.table()
        g = table.weight.grad.clone()
        if sparse:  # not coalesced: a row twice
            table.weight.grad = None
            other = nn.Embedding(8, 3, sparse=True, _weight=table.weight.detach())
            (other(ids) * torch.arange(1.0, 4.0)).sum().backward()
            table.weight.grad, table = other.weight.grad, other
            assert not other.weight.grad.is_coalesced()
        before = table.weight.detach().clone()
        with perturb_rows(table.weight, ids, 0.6, rows=rows):
            expected = before + 0.6 * g / (g.norm() + 1e-8)
            torch.testing.assert_close(table.weight.detach(), expected)
            assert torch.equal(table.weight[[0, 3, 4, 6, 7]], before[[0, 3, 4, 6, 7]])
        assert torch.equal(table.weight, before)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
    def test_after_an_exception(self, dtype: Any, kind: type[BaseException]) -> None:
        table, ids = self.table()
        g = table.weight.grad
        weight = table.weight.detach().to(dtype)
        before = weight.clone()
        with pytest.raises(kind, match="stop"), perturb_rows(weight, ids.tolist(), 0.6, grad=g.to(dtype)):
            assert not torch.equal(weight, before)
            raise kind("stop")
        assert torch.equal(weight, before)

    def test_a_tied_table_is_named(self) -> None:
        table, ids = self.table()
        (table.weight @ torch.ones(3)).sum().backward()  # an output layer touches every row
        with (
            pytest.raises(ValueError, match=r"^grad: expected zeros outside of ids, got others at row 0 .*rows='all'"),
            perturb_rows(table.weight, ids, 0.6),
        ):
            pass
        before = table.weight.detach().clone()
        with perturb_rows(table.weight, ids, 0.6, rows="all"):
            assert (table.weight != before).any(dim=1).all()
        assert torch.equal(table.weight, before)

    def test_max_norm(self) -> None:
        table, ids = self.table()
        fights = nn.Embedding(8, 3, max_norm=0.5, _weight=table.weight.detach().clone())
        fights(ids).sum().backward()
        with (
            pytest.raises(ValueError, match=r"^weight: expected an embedding without max_norm"),
            perturb_rows(fights, ids, 0.6),
        ):
            pass
        before = fights.weight.detach().clone()
        with (
            pytest.raises(ValueError, match=r"^weight: expected that nothing else writes"),
            perturb_rows(fights.weight, ids, 5.0),
        ):
            fights(ids)
        assert torch.equal(fights.weight, before)

    def test_refusals(self) -> None:
        table, ids = self.table()
        for arguments, kind, text in (
            ((table.weight, ids, -1.0), ValueError, "epsilon: "),
            ((table.weight, [8], 1.0), ValueError, "ids: expected integers from 0 to 7, got 8"),
            ((table.weight, [-1], 1.0), ValueError, "ids: "),
            ((table.weight, [1.5], 1.0), TypeError, "ids: "),
            ((table.weight, "no", 1.0), TypeError, "ids: "),
            ((table.weight[0], ids, 1.0), TypeError, "weight: "),
            ((nn.Dropout(), ids, 1.0), TypeError, "weight: "),
        ):
            with pytest.raises(kind, match=f"^{text}"), perturb_rows(*arguments):
                pass
        for grad, kind in (
            (torch.zeros(8, 2), ValueError),
            ([1], TypeError),
            (table.weight.detach() * NAN, FloatingPointError),
        ):
            with pytest.raises(kind, match="^grad: "), perturb_rows(table.weight, ids, 1.0, grad=grad, rows="all"):
                pass
        table.weight.grad = None
        with (
            pytest.raises(ValueError, match=r"^grad: expected a gradient, got None"),
            perturb_rows(table.weight, ids, 1.0),
        ):
            pass

    def test_zero_gradient_and_no_ids(self) -> None:
        table, ids = self.table()
        before = table.weight.detach().clone()
        with perturb_rows(table.weight, ids, 1.0, grad=torch.zeros(8, 3)):
            assert torch.equal(table.weight, before)
        with perturb_rows(table.weight, [], 1.0, grad=torch.zeros(8, 3)):
            assert torch.equal(table.weight, before)
