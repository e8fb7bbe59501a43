"""The EMO loss: numbers checked by hand, properties, an obvious reference, and what is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.references.transport_emo_numpy import emo_reference
from likewise.transport import FixedEmbeddingCache, emo_loss

MIXINGS = ["none", "balanced", "balanced-clamped", "rescaled-mle", "patch-1", "patch-1-clamped", "patch-2", "sum"]
UNIT_ROWS = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
Z = np.array([[2.0, 1.0, 0.0]])


def problem(seed: int, n: int = 17, v: int = 53, h: int = 8, dtype: Any = np.float64) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return dict(
        logits=(3 * rng.standard_normal((n, v))).astype(dtype),
        targets=rng.integers(0, v, n) % 11,  # each several times
        embedding=(rng.standard_normal((v, h)) * rng.uniform(0.1, 9, (v, 1))).astype(dtype),
    )


def soft(n: int, v: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).dirichlet(np.full(v, 0.2), n)


# --- Numbers of the papers' formulas, computed by hand ---


@pytest.mark.parametrize(
    ("mixing", "value", "gradient"),
    [
        ("none", 0.2779525348, [-0.1849054099, 0.0298684896, 0.1550369203]),
        ("balanced", 0.4076059644, [-0.3029576127, 0.1442646915, 0.1586929213]),
        ("balanced-clamped", 0.4076059644, [-0.3029576127, 0.1442646915, 0.1586929213]),
        ("rescaled-mle", 0.5559050695, [-0.4131825524, 0.1967524529, 0.2164300995]),
        ("patch-1", 0.4076059644, [-0.2073334386, 0.1288181470, 0.0785152917]),
        ("patch-1-clamped", 0.4076059644, [-0.2073334386, 0.1288181470, 0.0785152917]),
        ("patch-2", 1.8863869808, [-0.9595323263, 0.5961661420, 0.3633661842]),
        ("sum", 0.4076059644 + 0.2779525348, [-0.3347590442 - 0.1849054099, 0.2447284711 + 0.0298684896, 0.2450674935]),
    ],
)
def test_values_by_hand(mixing: str, value: float, gradient: list[float]) -> None:
    loss, grad, parts = emo_loss(Z, [0], UNIT_ROWS, mixing=mixing, return_parts=True)
    assert loss == pytest.approx(value, abs=2e-10)
    assert grad[0] == pytest.approx(gradient, abs=2e-10)
    assert parts.transport[0] == pytest.approx(0.2779525348, abs=1e-10)
    assert parts.cross_entropy[0] == pytest.approx(0.4076059644, abs=1e-10)
    assert parts.losses[0] == pytest.approx(value, abs=2e-10) and parts.n_kept == 1


@pytest.mark.parametrize(
    ("mixing", "value", "gradient"),
    [
        ("balanced-clamped", 4.0999575017, [-0.5000906421, 0.5000422436, 0.0000483985]),
        ("balanced", 7.0009281519, [-0.5027335308, 0.5024913030, 0.0002422277]),
    ],
)
def test_the_clamp(mixing: str, value: float, gradient: list[float]) -> None:
    loss, grad, parts = emo_loss([[-2.0, 5.0, -6.0]], [0], UNIT_ROWS, mixing=mixing, return_parts=True)
    assert loss == pytest.approx(value, abs=2e-10)
    assert grad[0] == pytest.approx(gradient, abs=2e-10)
    assert parts.transport[0] == pytest.approx(0.3996622835, abs=1e-10)
    assert parts.cross_entropy[0] == pytest.approx(7.0009281528, abs=1e-10)


def test_soft_targets_by_hand() -> None:
    p = np.array([[0.5, 0.5, 0.0]])
    loss, grad = emo_loss(Z, None, UNIT_ROWS, soft_targets=p, mixing="none")
    assert loss == pytest.approx(0.3440489171, abs=1e-10)
    assert grad[0] == pytest.approx([-0.0958272393, -0.0352528712, 0.1310801105], abs=1e-10)
    assert loss > 0.2101452994  # the earth mover's distance, by linear programming


def test_published_implementation() -> None:
    """The PyPI package EMOLoss 0.0.3 shifts: its targets are one token ahead."""
    torch = pytest.importorskip("torch", reason="pip install torch")
    emo = pytest.importorskip("emo", reason="pip install EMOLoss==0.0.3")
    p = problem(5)
    z = torch.tensor(p["logits"][None], requires_grad=True)
    labels = torch.tensor(np.concatenate([[0], p["targets"][:-1]])[None])
    for mode, mixing in ((1, "balanced-clamped"), (2, "rescaled-mle")):
        theirs = emo.EMOLoss(z, labels, torch.tensor(p["embedding"]), mode=mode)
        (their_grad,) = torch.autograd.grad(theirs, z)
        loss, grad = emo_loss(p["logits"][:-1], p["targets"][:-1], p["embedding"], mixing=mixing)
        assert loss == pytest.approx(theirs.item(), rel=1e-9)
        assert np.abs(grad - their_grad[0, :-1].numpy()).max() < 1e-9


# --- Against the reference ---


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_reference(mixing: str, reduction: str, dtype: Any, tolerance: float) -> None:
    for seed, (n, v, h) in enumerate([(17, 53, 8), (1, 1, 1), (5, 2, 3), (33, 1031, 16), (8, 16, 4)]):
        p = problem(seed, n, v, h, dtype)
        p["targets"] %= v
        if n > 4:
            p["targets"][[1, n - 1]] = -100
        options = dict(mixing=mixing, reduction=reduction) | (dict(alpha=0.3, beta=2.5) if mixing == "sum" else {})
        loss, grad = emo_loss(**p, **options)
        expected, gradient = emo_reference(**p, **options)
        assert grad.dtype == dtype and grad.shape == p["logits"].shape
        assert np.abs(grad - gradient).max() <= tolerance * max(np.abs(gradient).max(), 1e-2)
        assert np.asarray(loss) == pytest.approx(expected, rel=10 * tolerance, abs=tolerance)
        assert not n > 4 or not grad[[1, n - 1]].any()


@pytest.mark.parametrize("mixing", [m for m in MIXINGS if "patch" not in m])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_soft_targets_equal_reference(mixing: str, dtype: Any, tolerance: float) -> None:
    p = problem(3, dtype=dtype)
    p["soft_targets"] = soft(17, 53).astype(dtype)
    p["targets"] = np.where(np.arange(17) % 5 == 2, 7, 0)
    loss, grad = emo_loss(**p, mixing=mixing, ignore_index=7)
    expected, gradient = emo_reference(**p, mixing=mixing, ignore_index=7)
    assert np.abs(grad - gradient).max() <= tolerance * np.abs(gradient).max()
    assert loss == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("mixing", MIXINGS)
def test_soft_targets_that_are_hard(mixing: str) -> None:
    p = problem(4)
    hard = np.eye(53)[p["targets"]]
    if "patch" in mixing:
        with pytest.raises(ValueError, match="mixing: expected one that needs no single target"):
            emo_loss(p["logits"], None, p["embedding"], soft_targets=hard, mixing=mixing)
        return
    loss, grad = emo_loss(**p, mixing=mixing)
    other, other_grad = emo_loss(p["logits"], None, p["embedding"], soft_targets=hard, mixing=mixing)
    assert loss == pytest.approx(other, rel=1e-12)
    assert np.abs(grad - other_grad).max() < 1e-14


# --- Properties ---


@pytest.mark.parametrize("mixing", ["none", "sum"])
def test_finite_differences(mixing: str) -> None:
    """Of the mixings without a factor that counts as a constant."""
    p, step = problem(6, 3, 9, 4), 1e-5
    for more in ({}, dict(soft_targets=soft(3, 9))):
        _, grad = emo_loss(**p, **more, mixing=mixing)
        for i, j in np.ndindex(3, 9):
            values = []
            for sign in (1, -1):
                z = p["logits"].copy()
                z[i, j] += sign * step
                values.append(emo_loss(**{**p, "logits": z}, **more, mixing=mixing)[0])
            assert grad[i, j] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 6),
    v=st.integers(1, 70),
    mixing=st.sampled_from(MIXINGS),
    float32=st.booleans(),
    spread=st.sampled_from([0.0, 1.0, 4.0]),
)
def test_properties(seed: int, n: int, v: int, mixing: str, float32: bool, spread: float) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.float32 if float32 else np.float64
    z = (spread * rng.standard_normal((n, v))).astype(dtype)
    e = rng.standard_normal((v, 3)).astype(dtype) + dtype(0.01)
    t = rng.integers(0, v, n)
    tolerance = 1e-5 if float32 else 1e-12
    loss, grad, parts = emo_loss(z, t, e, mixing=mixing, reduction="sum", return_parts=True)
    assert (parts.transport >= 0).all() and (parts.transport <= 2 + tolerance).all()
    assert (parts.cross_entropy >= -tolerance).all()
    # A ratio of a cost to a cross entropy near 0 multiplies what rounding left of the latter.
    ratio = 2 / (parts.cross_entropy.min() + 1e-10) if mixing in ("rescaled-mle", "patch-2") else 1
    assert np.abs(grad.sum(axis=1)).max() <= 10 * tolerance * max(1, abs(ratio))
    # A constant added to the logits changes nothing, nor does the length of a row of the embedding.
    lengths = rng.uniform(0.5, 20, (v, 1)).astype(dtype)
    other, other_grad = emo_loss(z + dtype(4), t, e * lengths, mixing=mixing, reduction="sum")
    assert other == pytest.approx(loss, rel=100 * tolerance, abs=100 * tolerance)
    assert np.abs(other_grad - grad).max() <= 100 * tolerance * max(1, np.abs(grad).max())
    # A permutation of the vocabulary permutes the gradient; one of the tokens, its rows.
    order, tokens = rng.permutation(v), rng.permutation(n)
    moved, moved_grad = emo_loss(
        z[tokens][:, order], np.argsort(order)[t][tokens], e[order], mixing=mixing, reduction="sum"
    )
    assert moved == pytest.approx(loss, rel=100 * tolerance, abs=100 * tolerance)
    assert np.abs(moved_grad - grad[tokens][:, order]).max() <= 100 * tolerance * max(1, np.abs(grad).max())


def test_orthogonal_rows_make_one_minus_the_probability() -> None:
    z = problem(7, 9, 12)["logits"]
    t = np.arange(9)
    loss, _, parts = emo_loss(z, t, np.eye(12), mixing="none", reduction="none", return_parts=True)
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert parts.transport == pytest.approx(1 - q[np.arange(9), t], abs=1e-14)
    assert (loss == parts.losses).all()


def test_a_perfect_prediction_costs_exactly_nothing() -> None:
    """What rounding leaves of a target's cost to itself does not become a loss, nor a negative ratio."""
    p = problem(8, 40, 40, 31, np.float32)
    p["targets"] = np.arange(40)
    p["logits"] = np.where(np.eye(40), 200, 0).astype(np.float32)
    for mixing in MIXINGS:
        loss, grad, parts = emo_loss(**p, mixing=mixing, return_parts=True)
        assert not parts.transport.any() and not parts.cross_entropy.any()
        assert loss == pytest.approx(1.0 if mixing == "patch-2" else 0.0) and np.isfinite(grad).all()


def test_batches_are_rows() -> None:
    p = problem(9, 12)
    p["targets"][5] = -100
    loss, grad, _ = emo_loss(**p, reduction="none", return_parts=True)
    p3 = {**p, "logits": p["logits"].reshape(3, 4, -1), "targets": p["targets"].reshape(3, 4)}
    loss3, grad3, parts3 = emo_loss(**p3, reduction="none", return_parts=True)
    assert loss3.shape == (3, 4) and parts3.transport.shape == (3, 4) and grad3.shape == (3, 4, 53)
    assert loss3.tobytes() == loss.tobytes() and grad3.tobytes() == grad.tobytes()
    assert parts3.n_kept == 11


def test_batches_that_do_not_lie_together() -> None:
    """As a causal language model slices them: read where they are, with the bits of a copy."""
    p = problem(28, 12)
    z, t = p["logits"].reshape(3, 4, -1), p["targets"].reshape(3, 4)
    p_soft = soft(9, 53).reshape(3, 3, 53)
    t[1, 2] = -100
    for sliced in (z[:, :-1], z[::-1, 1:], z[::2, :-1]):
        labels = t[: len(sliced), 1:]
        for more in ({}, dict(soft_targets=p_soft[: len(sliced)])):
            loss, grad, parts = emo_loss(sliced, labels, p["embedding"], return_parts=True, **more)
            want, gradient, expected = emo_loss(sliced.copy(), labels, p["embedding"], return_parts=True, **more)
            assert loss == want and grad.tobytes() == gradient.tobytes() and grad.flags.c_contiguous
            assert parts.losses.tobytes() == expected.losses.tobytes()
    z[1, 2, 4] = z[2, 0, 5] = np.nan
    with pytest.raises(ValueError, match="logits: .* got nan at row 1, position 2"):
        emo_loss(z[:, :-1], np.ones((3, 3), int), p["embedding"])
    assert not np.shares_memory(emo_loss(z[:1, :-1], np.ones((1, 3), int), p["embedding"])[1], z)


def test_out() -> None:
    p = problem(10)
    loss, grad = emo_loss(**p)
    buffer = np.full_like(grad, np.nan)
    again, result = emo_loss(**p, out=buffer)
    assert result is buffer and again == loss and buffer.tobytes() == grad.tobytes()
    for wrong, text in (
        (p["logits"], "overlaps an input"),
        (np.empty_like(grad[:, :-1]), "expected shape"),
        (np.empty_like(grad, dtype=np.float32), "expected shape"),
        (np.asfortranarray(grad), "C-contiguous"),
    ):
        with pytest.raises(ValueError, match=f"out: .*{text}"):
            emo_loss(**p, out=wrong)


def test_memory_beyond_the_gradient() -> None:
    """A row of the embedding for each distinct target, and one number for each row of it: no copy of the logits, of the
    embedding or of the costs."""
    rng = np.random.default_rng(29)
    e = rng.standard_normal((20_000, 64), dtype=np.float32)
    for z in (rng.standard_normal((96, 20_000), dtype=np.float32), np.ones((4, 25, 20_000), np.float32)[:, :-1]):
        t = rng.integers(0, 20_000, z.shape[:-1])
        emo_loss(z[:1], t[:1], e)
        tracemalloc.start()
        _, grad = emo_loss(z, t, e)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= grad.nbytes + 1.5e6 < 2 * grad.nbytes


def test_inputs_stay_as_they_are() -> None:
    p = problem(11)
    p["soft_targets"] = soft(17, 53)
    copies = {name: value.copy() for name, value in p.items()}
    for value in p.values():
        value.flags.writeable = False
    emo_loss(**p)
    emo_loss(**{**p, "soft_targets": None})
    assert all((copies[name] == value).all() for name, value in p.items())


def test_mixed_types_are_float64() -> None:
    p = problem(12)
    half = {**p, "logits": p["logits"].astype(np.float32)}
    loss, grad = emo_loss(**half)
    expected, gradient = emo_loss(**{**p, "logits": half["logits"].astype(np.float64)})
    assert grad.dtype == np.float64 and loss == expected and (grad == gradient).all()
    assert (
        emo_loss(**{**p, "logits": p["logits"].astype(np.float16), "embedding": p["embedding"].astype(np.float16)})[
            1
        ].dtype
        == np.float32
    )


# --- Edges ---


def test_masked_logits() -> None:
    p = problem(13)
    p["logits"][:, 20:40] = -np.inf
    loss, grad = emo_loss(**p)
    rest = np.r_[0:20, 40:53]
    expected, gradient = emo_loss(p["logits"][:, rest], p["targets"], p["embedding"][rest])
    assert loss == pytest.approx(expected, rel=1e-13) and not grad[:, 20:40].any()
    assert np.abs(grad[:, rest] - gradient).max() < 1e-15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits(dtype: Any, size: float) -> None:
    p = problem(14, dtype=dtype)
    p["logits"] += dtype(size)
    p["logits"][:, 3] = 2 * size
    expected, gradient = emo_reference(**p)
    loss, grad = emo_loss(**p)
    assert loss == pytest.approx(expected, rel=1e-5) and np.abs(grad - gradient).max() < 1e-6


@pytest.mark.parametrize("mixing", MIXINGS)
def test_all_ignored(mixing: str) -> None:
    p = problem(15)
    p["targets"][:] = -100
    p["logits"][3, 4] = np.nan  # looked at by nobody
    for reduction in ("mean", "sum", "none"):
        with pytest.warns(UserWarning, match="targets: expected a token that counts, got none"):
            loss, grad = emo_loss(**p, mixing=mixing, reduction=reduction)
        assert not np.any(loss) and not grad.any()


def test_no_tokens() -> None:
    with pytest.warns(UserWarning, match="targets"):
        loss, grad = emo_loss(np.empty((0, 3)), np.empty(0, np.int64), UNIT_ROWS)
    assert loss == 0.0 and grad.shape == (0, 3)


def test_ignored_tokens_may_hold_anything() -> None:
    p = problem(16)
    p["targets"][[0, 8]] = 999
    loss, grad = emo_loss(**p, ignore_index=999)
    p["logits"][0], p["logits"][8, 3] = np.nan, np.inf
    again, again_grad = emo_loss(**p, ignore_index=999)
    assert again == loss and again_grad.tobytes() == grad.tobytes()


def test_ignored_index_inside_the_vocabulary() -> None:
    p = problem(17)
    loss, grad = emo_loss(**p, ignore_index=3)
    expected, gradient = emo_reference(**p, ignore_index=3)
    assert loss == pytest.approx(expected) and np.abs(grad - gradient).max() < 1e-12


def test_zero_rows() -> None:
    p = problem(18)
    p["embedding"][[5, 7]] = 0
    with pytest.raises(ValueError, match=r"embedding: expected no zero row, .* at row 5 \[zero_norm='orthogonal'"):
        emo_loss(**p)
    p["targets"][2] = 5
    loss, grad, parts = emo_loss(**p, zero_norm="orthogonal", return_parts=True)
    expected, gradient = emo_reference(**p)
    assert loss == pytest.approx(expected, rel=1e-12) and np.abs(grad - gradient).max() < 1e-14
    assert parts.transport[2] == pytest.approx(1.0, abs=1e-15)  # also to itself


@pytest.mark.parametrize(
    ("dtype", "sizes"), [(np.float32, (1e-40, 1e-25, 1e30)), (np.float64, (1e-310, 1e-200, 1e200))]
)
def test_rows_of_any_size(dtype: Any, sizes: tuple[float, ...]) -> None:
    p = problem(19, dtype=dtype)
    loss, grad = emo_loss(**p)
    for row, size in zip((1, 4, 30), sizes, strict=True):
        p["embedding"][row] = (p["embedding"][row] / np.abs(p["embedding"][row]).max() * size).astype(dtype)
    other, other_grad = emo_loss(**p)
    tolerance = 2e-4 if dtype == np.float32 else 1e-8  # numbers this small have few digits
    assert other == pytest.approx(loss, rel=tolerance) and np.abs(other_grad - grad).max() < tolerance


# --- Cosines that are kept ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cache(dtype: Any) -> None:
    p = problem(24, 40, 61, dtype=dtype)
    p["targets"][[0, 7]] = -100
    histogram = np.bincount(p["targets"][p["targets"] >= 0], minlength=61)
    loss, grad = emo_loss(**p)
    for n_rows in (0, 1, 5, 11):
        cache = FixedEmbeddingCache(p["embedding"], histogram, max_bytes=n_rows * 61 * dtype().itemsize)
        assert cache.n_rows == n_rows and np.isnan(cache.hit_rate)
        assert cache.nbytes == n_rows * 61 * dtype().itemsize
        tolerance = 1e-6 if dtype == np.float32 else 1e-14
        for _ in range(2):
            again, again_grad = emo_loss(p["logits"], p["targets"], cache)
            assert again == pytest.approx(loss, rel=tolerance) and np.abs(again_grad - grad).max() <= tolerance
        most = np.sort(histogram)[::-1][:n_rows].sum()
        assert cache.hit_rate == pytest.approx(most / histogram.sum())
    assert repr(cache) == f"FixedEmbeddingCache(61 tokens, 11 kept, {cache.nbytes / 2**20:.1f} MiB)"


def test_cache_keeps_its_embedding() -> None:
    p = problem(25)
    cache = FixedEmbeddingCache(p["embedding"], np.ones(53, int), max_bytes=1000)
    loss, grad = emo_loss(p["logits"], p["targets"], cache)
    p["embedding"][:] = 0
    again, again_grad = emo_loss(p["logits"], p["targets"], cache)
    assert again == loss and again_grad.tobytes() == grad.tobytes()
    soft_loss, _ = emo_loss(p["logits"], None, cache, soft_targets=np.eye(53)[p["targets"]])
    assert soft_loss == pytest.approx(loss)


def test_cache_refuses() -> None:
    e, n = problem(26)["embedding"], np.ones(53, int)
    for arguments, options, error, text in (
        ((e, n[:-1]), {}, ValueError, "targets_hist: expected a count for each row of the embedding, 53, got 52"),
        ((e, n - 2 * (np.arange(53) == 9)), {}, ValueError, "targets_hist: expected counts >= 0, got -1 at position 9"),
        ((e, n / 2), {}, TypeError, "targets_hist: expected integers"),
        ((e * 0, n), {}, ValueError, "embedding: expected no zero row"),
        ((e, n), dict(max_bytes=-1), ValueError, "max_bytes: expected an integer >= 0"),
        ((e, n), dict(zero_norm="x"), ValueError, "zero_norm: expected one of"),
    ):
        with pytest.raises(error, match=text):
            FixedEmbeddingCache(*arguments, **options)
    cache = FixedEmbeddingCache(e, n)
    with pytest.raises(ValueError, match="logits: expected the dtype of the cache, float64, got float32"):
        emo_loss(np.zeros((1, 53), np.float32), [0], cache)
    with pytest.raises(ValueError, match="logits: expected as many columns"):
        emo_loss(np.zeros((1, 52)), [0], cache)


# --- Threads and levels ---


def test_n_threads_gives_equal_bits() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # threadpoolctl may be missing
        results = [emo_loss(**problem(23, 40, 517), n_threads=n) for n in (1, 2, 3)]
    assert len({(loss, grad.tobytes()) for loss, grad in results}) == 1


PROGRAM = """
import sys, numpy as np, likewise
from likewise.transport import emo_loss
from tests.transport.test_emo import problem, soft
found = []
for dtype in (np.float32, np.float64):
    p = problem(27, 9, 1501, dtype=dtype)
    for more in ({}, dict(soft_targets=soft(9, 1501).astype(dtype))):
        loss, grad = emo_loss(**p, **more)
        found += [np.float64(loss), grad.astype(np.float64)]
np.savez(sys.argv[1], *found)
"""


def test_every_cpu_level(fresh: Any, levels: list[str], tmp_path: Any) -> None:
    results = []
    for level in levels:
        fresh(PROGRAM, str(tmp_path / f"{level}.npz"), level=level)
        with np.load(tmp_path / f"{level}.npz") as found:
            results.append(list(found.values()))
    for result in results[1:]:
        for i, (a, b) in enumerate(zip(result, results[0], strict=True)):
            assert np.abs(a - b).max() <= (1e-6 if i < 4 else 1e-14) * np.abs(b).max()
