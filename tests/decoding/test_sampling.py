"""The law that is sampled from: numbers by hand, a slow float64 reference, frequencies, and equal tokens everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.references.decoding_numpy import draw, law
from likewise.decoding import SampleInfo, TerminationFloor, filter_logits, sample
from tests.conftest import Fresh

P = np.array([0.5, 0.3, 0.15, 0.05])
DTYPES = [np.float16, np.float32, np.float64]
EXACT = {np.float16: 2e-3, np.float32: 2e-6, np.float64: 1e-12}


def probabilities(logits: Any, **settings: Any) -> Any:
    return np.exp(filter_logits(logits, normalize=True, **settings).astype(np.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("truncation", [dict(top_k=2), dict(top_p=0.7)])
def test_consistent_truncation_by_hand(dtype: Any, truncation: dict[str, Any]) -> None:
    z = np.log(P).astype(dtype)
    expected = [0.58823529, 0.35294118, 0, 0.05882353]
    np.testing.assert_allclose(probabilities(z, eos_id=3, **truncation), expected, rtol=max(EXACT[dtype], 2e-8))
    drawn = [sample(z, eos_id=3, u=[u], return_info=True, **truncation) for u in (0.58, 0.59, 0.95)]
    assert [token for token, _ in drawn] == [0, 1, 3]
    assert all(info.kept[0] == 3 for _, info in drawn)
    floored = probabilities(z, eos_id=3, floor=TerminationFloor(0.1), step=2, **truncation)
    np.testing.assert_allclose(floored, [0.455625, 0.273375, 0, 0.271], rtol=max(EXACT[dtype], 2e-8))
    assert probabilities(z, eos_id=3, consistent=False, **truncation)[3] == 0


def test_the_floor_by_hand() -> None:
    z, floor = np.log(P), TerminationFloor(0.1)
    np.testing.assert_allclose(
        probabilities(z, eos_id=3, floor=floor), [0.47368421, 0.28421053, 0.14210526, 0.1], rtol=1e-7
    )
    expected = [0.38368421, 0.23021053, 0.11510526, 0.271]
    np.testing.assert_allclose(probabilities(z, eos_id=3, floor=floor, step=2), expected, rtol=1e-7)
    assert filter_logits(z, eos_id=3, floor=floor, step=2)[3] == pytest.approx(-1.04084821, rel=1e-8)
    two = probabilities(np.log([0.6, 0.2, 0.1, 0.1]), eos_id=[1, 2], floor=TerminationFloor(0.5))
    np.testing.assert_allclose(two, [0.42857143, 0.33333333, 0.16666667, 0.07142857], rtol=1e-7)


def test_truncations_renormalise_one_after_the_other() -> None:
    z = np.log([0.4, 0.3, 0.15, 0.1, 0.05])
    assert (probabilities(z, top_k=3, top_p=0.8) > 0).tolist() == [True, True, False, False, False]
    assert (probabilities(z, top_p=0.8) > 0).sum() == 3
    for mass, kept in ((0.29, [1]), (0.31, [0, 1]), (0.81, [0, 1, 2]), (0.96, [0, 1, 2, 3])):
        assert np.flatnonzero(probabilities(np.log(P), typical_p=mass)).tolist() == kept
    assert np.flatnonzero(probabilities(np.log(P), min_p=0.29)).tolist() == [0, 1, 2]
    # The entropy of what top_k left decides, not that of all.
    assert np.flatnonzero(probabilities(np.log(P), top_k=2, typical_p=0.5)).tolist() == [0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 300, 5000])
def test_ties_go_by_ascending_id(dtype: Any, n: int) -> None:
    z = np.zeros(n, dtype)
    z[0] = -1
    assert np.flatnonzero(probabilities(z, top_k=2)).tolist() == [1, 2]
    kept = np.flatnonzero(probabilities(z, top_p=0.5))
    k = int(np.ceil(0.5 * (n - 1 + np.exp(-1.0))))
    assert kept.tolist() == list(range(1, k + 1))
    assert np.flatnonzero(probabilities(z, typical_p=0.5)).tolist() == kept.tolist()
    assert sample(z, temperature=0) == 1 and sample(z, top_k=1, random_state=0) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_greedy(dtype: Any) -> None:
    z = np.log(P).astype(dtype)
    token, info = sample(z, temperature=0, top_k=1, top_p=0.1, eos_id=3, return_info=True)
    assert (token, info.kept[0], info.floored[0]) == (0, 1, False)
    assert np.exp(info.logprob[0]) == pytest.approx(0.5, rel=EXACT[dtype]) and info.eos_prob[0] == pytest.approx(
        0.05, rel=EXACT[dtype]
    )
    assert filter_logits(z, temperature=0).tolist() == [0, -np.inf, -np.inf, -np.inf]
    floor = TerminationFloor(0.1)
    tokens = [sample(z, temperature=0, eos_id=3, floor=floor, step=step) for step in range(floor.greedy_stop())]
    # It stops where f >= 0.5 / 0.95 (1 - f): n >= ln(1 - 0.3448) / ln(0.9), well before it must.
    assert tokens.index(3) == 4 and set(tokens[:4]) == {0} and set(tokens[4:]) == {3}
    # Two end tokens count together; the more probable one is drawn.
    both = np.log([0.35, 0.3, 0.25, 0.1]).astype(dtype)
    assert sample(both, temperature=0, eos_id=[2, 1], floor=TerminationFloor(1e-6)) == 1
    assert sample(both, temperature=0, eos_id=[2, 1]) == 0


def random_row(rng: np.random.Generator, n: int, kind: str) -> Any:
    z = rng.normal(0, rng.choice([0.1, 1.0, 3.0, 10.0]), n)
    if kind == "ties":
        z = np.round(z)
    elif kind == "ramp":
        z = -np.log(np.arange(1.0, n + 1))
    elif kind == "masked":
        z[rng.random(n) < 0.4] = -np.inf
        z[rng.integers(n)] = 1.0
    return z


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["normal", "ties", "ramp", "masked"])
def test_against_the_reference(dtype: Any, kind: str) -> None:
    rng = np.random.default_rng([7, len(kind)])
    for n in (1, 2, 3, 15, 16, 17, 50, 255, 256, 257, 511, 513, 1500, 5000) * 6:
        z = random_row(rng, n, kind).astype(dtype)
        ends = [int(i) for i in rng.choice(n, min(n, int(rng.integers(0, 4))), replace=False)]
        settings: dict[str, Any] = dict(
            temperature=float(rng.choice([0, 0.3, 0.8, 1, 1, 2])),
            top_k=int(rng.choice([0, 0, 1, 5, 50, 700])),
            top_p=float(rng.choice([1, 1, 0.9137, 0.5137, 0.99937])),
            min_p=float(rng.choice([0, 0, 0.0131, 0.4137])),
            typical_p=float(rng.choice([1, 1, 0.7137])),
            consistent=bool(rng.integers(2)),
        )
        floor, step = None, int(rng.integers(4))
        if ends and settings["consistent"] and rng.random() < 0.5:
            floor = TerminationFloor(float(rng.choice([1e-3, 0.3, 0.9])), start=1, masked_eos="skip")
        common = dict(eos_id=ends or None, floor=floor, step=step)
        q = law(z.astype(np.float64), eos_id=ends, floor=floor.value(step) if floor else 0.0, **settings)
        u = float(rng.random())
        token, info = sample(z, u=[u], return_info=True, **common, **settings)
        got = probabilities(z, **common, **settings)
        if settings["temperature"] == 0:
            assert q[token] == 1 and got.tolist() == q.tolist() and info.kept[0] == 1
            continue
        tolerance = EXACT[dtype]
        # 1e-300 and 1e-6: what the dtype of the logits can still tell from 0.
        np.testing.assert_allclose(got, q, rtol=5 * tolerance, atol=1e-6 if dtype == np.float16 else 1e-300)
        exact = 1e-12 if dtype == np.float64 else 2e-6
        assert np.exp(info.logprob[0]) == pytest.approx(q[token], rel=exact)
        assert info.eos_prob[0] == pytest.approx(q[ends].sum() if ends else 0.0, rel=exact)
        if q[q > 0].min() > 1e-30:
            assert info.kept[0] == (q > 0).sum()
        below, upto = q[:token].sum(), q[: token + 1].sum()
        assert below - 1e-6 <= u <= upto + 1e-6
        if dtype == np.float64 and min(u - below, upto - u) > 1e-12:
            assert token == draw(q, u)
        if dtype != np.float16:
            raw = filter_logits(z, **common, **settings).astype(np.float64)
            softmax = np.exp(raw - raw.max()) / np.exp(raw - raw.max()).sum()
            np.testing.assert_allclose(softmax, q, rtol=1e-4 if dtype == np.float32 else 1e-11, atol=1e-30)


@pytest.mark.parametrize("name", ["peaked", "zipf", "flat", "tied", "one"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_vocabularies(name: str, dtype: Any) -> None:
    """Every way in which a nucleus is found, against the reference."""
    rng, n = np.random.default_rng(3), 128_256
    z = rng.normal(0, 1, n)
    if name == "peaked":
        z[rng.choice(n, 60, replace=False)] += rng.uniform(8, 16, 60)
    elif name == "zipf":
        z = -np.log(np.arange(1.0, n + 1))[rng.permutation(n)]
    elif name == "tied":
        z = np.round(2 * z) / 2
    elif name == "one":
        z[n // 2] = 60
    z = z.astype(dtype)
    exact = z.astype(np.float64)
    for settings in (
        dict(),
        dict(top_p=0.9),
        dict(top_p=0.9, temperature=0.3),
        dict(top_p=0.99999),
        dict(top_p=0.9, min_p=0.05),
        dict(top_k=50, top_p=0.9),
        dict(top_k=2000),
        dict(min_p=0.01),
        dict(typical_p=0.9, top_p=0.95),
    ):
        q = law(exact, eos_id=[11], **settings)
        token, info = sample(z, eos_id=11, u=[0.7], return_info=True, **settings)
        got = probabilities(z, eos_id=11, **settings)
        assert info.kept[0] == np.isfinite(filter_logits(z, eos_id=11, **settings)).sum()
        # Rounding may move the end of a nucleus by what weighs 1e-6 of all.
        boundary, full = (got > 0) != (q > 0), law(exact, temperature=settings.get("temperature", 1.0))
        assert full[boundary].sum() <= 1e-6 and abs(info.kept[0] - (q > 0).sum()) <= boundary.sum()
        if dtype == np.float64:
            assert not boundary.any()
        tolerance = 1e-12 if dtype == np.float64 else 2e-6
        moved = full[boundary].sum() / full[q > 0].sum()
        np.testing.assert_allclose(got[~boundary], q[~boundary], rtol=5 * tolerance + 2 * moved)
        cumulative = np.cumsum(q)
        assert cumulative[token] > 0.7 - 1e-5 and (token == 0 or cumulative[token - 1] <= 0.7 + 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nuclei_of_peaked_rows(dtype: Any) -> None:
    """A rough sum decides where they end, or an exact one, or tokens further from the top are needed."""
    rng, n = np.random.default_rng(8), 12_000
    for scale in (0.5, 1.0, 2.0, 2.5):
        z = rng.normal(0, scale, (25, n))
        for row in z:
            row[rng.choice(n, 30, replace=False)] += rng.uniform(4, 12, 30)
        z = z.astype(dtype)
        ours = np.isfinite(filter_logits(z, top_p=0.9))
        for row, kept in zip(z, ours, strict=True):
            differ = kept != (law(row.astype(np.float64), top_p=0.9) > 0)
            assert law(row)[differ].sum() <= (1e-6 if dtype == np.float32 else 0.0)


LAWS = [
    dict(),
    dict(temperature=0.5),
    dict(top_k=5),
    dict(top_p=0.8),
    dict(min_p=0.1, temperature=1.5),
    dict(typical_p=0.6),
    dict(top_k=8, top_p=0.9, eos_id=[3, 17], floor=TerminationFloor(0.05), step=3),
]


@pytest.mark.parametrize("settings", LAWS, ids=lambda settings: "-".join(settings) or "plain")
@pytest.mark.parametrize("n", [20, 700])
def test_frequencies(settings: dict[str, Any], n: int) -> None:
    """Chi-square of 200,000 draws at most 6 standard deviations above its mean, and no draw of what is excluded."""
    rng, n_draws = np.random.default_rng(n), 200_000
    z = rng.normal(0, 2, n).astype(np.float32)
    floor = settings.get("floor")
    plain = {key: value for key, value in settings.items() if key not in ("floor", "step", "eos_id")}
    ends = settings.get("eos_id", ())
    q = law(z, eos_id=ends, floor=floor.value(3) if floor else 0.0, **plain)
    tokens = sample(np.broadcast_to(z, (n_draws, n)), random_state=1, n_threads=2, **settings)
    counts = np.bincount(tokens, minlength=n)
    assert counts[q == 0].sum() == 0
    expected = n_draws * q
    rare = expected < 5
    pooled = [(counts[rare].sum(), expected[rare].sum())] if expected[rare].sum() >= 5 else []
    pairs = np.array([*zip(counts[~rare], expected[~rare], strict=True), *pooled])
    chi_square = ((pairs[:, 0] - pairs[:, 1]) ** 2 / pairs[:, 1]).sum()
    freedom = max(1, len(pairs) - 1)
    assert chi_square <= freedom + 6 * np.sqrt(2 * freedom)


@pytest.mark.slow
def test_excluded_tokens_are_never_drawn() -> None:
    rng, n = np.random.default_rng(0), 48
    z = rng.normal(0, 4, n).astype(np.float32)
    z[[0, 1, 20, n - 1]] = -np.inf
    for i, settings in enumerate((dict(), dict(top_k=7), dict(top_p=0.95), dict(min_p=0.01), dict(typical_p=0.8))):
        allowed = probabilities(z, **settings) > 0
        for part in range(2):
            rows = np.broadcast_to(z, (1_000_000, n))
            tokens = sample(rows, random_state=np.random.default_rng([i, part]), **settings)
            assert allowed[tokens].all()


@pytest.mark.parametrize("u", [0.0, 5e-324, 1e-300, 1 - 2**-53])
def test_the_ends_of_the_unit_interval(u: float) -> None:
    for n in (3, 300, 3000):
        z = np.full(n, -np.inf, np.float32)
        z[[1, n - 2]] = [-3.0, 2.0]
        for settings in (dict(), dict(top_k=2), dict(top_p=0.9999), dict(eos_id=0), dict(temperature=0.01)):
            token = sample(z, u=[u], **settings)
            q = law(z, **{key: value for key, value in settings.items() if key != "eos_id"})
            assert q[token] > 0 or token == 1
            assert token in (1, n - 2)


def test_end_tokens_never_lose_probability() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        n = int(rng.integers(2, 400))
        z = rng.normal(0, 4, n).astype(np.float32)
        end = int(rng.integers(n))
        full = law(z)[end]
        settings = dict(top_k=int(rng.integers(0, 5)), top_p=float(rng.uniform(0.1, 1)), min_p=float(rng.uniform(0, 1)))
        assert sample(z, eos_id=end, u=[0.5], return_info=True, **settings)[1].eos_prob[0] >= full * (1 - 2e-6)


def test_an_end_token_that_weighs_nothing_gets_the_floor() -> None:
    z = np.array([0.0, -1000.0, -2000.0, -np.inf], np.float32)
    floor = TerminationFloor(0.25)
    for settings in (dict(), dict(top_k=1), dict(top_p=0.5)):
        np.testing.assert_allclose(probabilities(z, eos_id=[2, 1, 3], floor=floor, **settings), [0.75, 0, 0.25, 0])
        raw = filter_logits(z, eos_id=[2, 1, 3], floor=floor, **settings)
        assert raw[2] == pytest.approx(np.log(1 / 3), rel=1e-6) and raw[3] == -np.inf
        assert sample(z, eos_id=[2, 1, 3], floor=floor, u=[0.9], **settings) == 2
    # A floor of exactly 1 leaves nothing else.
    sure = TerminationFloor(0.9)
    assert probabilities(z, eos_id=[2, 1], floor=sure, step=400).tolist() == [0, 0, 1, 0]
    token, info = sample(z, eos_id=[2, 1], floor=sure, step=400, u=[0.0], return_info=True)
    assert token == 2 and info.logprob[0] == 0 and info.eos_prob[0] == 1


def test_only_end_tokens_are_left() -> None:
    z = np.array([-np.inf, 3.0, -np.inf, 1.0])
    for settings in (dict(), dict(floor=TerminationFloor(0.2))):
        token, info = sample(z, eos_id=[1, 3], u=[0.99], return_info=True, **settings)
        assert token == 3 and info.eos_prob[0] == 1 and info.kept[0] == 2
        assert info.logprob[0] == pytest.approx(-2 - np.log1p(np.exp(-2.0)), rel=1e-12)
        filtered = filter_logits(z, eos_id=[1, 3], **settings)
        assert filtered.tolist() == [-np.inf, 3.0, -np.inf, 1.0]


def test_one_token() -> None:
    for z in (np.array([-5.0], np.float32), np.array([-np.inf, 7.0, -np.inf])):
        token, info = sample(z, top_k=3, top_p=0.5, return_info=True, random_state=0)
        assert token == z.argmax() and info == SampleInfo(0.0, 1, 0.0, False)


def test_empty_batches() -> None:
    z = np.zeros((0, 7), np.float32)
    tokens, info = sample(z, random_state=0, return_info=True, temperature=np.zeros(0), u=None)
    assert tokens.shape == (0,) and tokens.dtype == np.int64 and all(len(field) == 0 for field in info)
    assert filter_logits(z).shape == (0, 7)


# --- The same tokens everywhere ---


def batch(n_rows: int = 37, n: int = 1000) -> Any:
    rng = np.random.default_rng(11)
    return rng.normal(0, 3, (n_rows, n)).astype(np.float32)


SETTINGS = [dict(), dict(top_k=40), dict(top_p=0.9), dict(top_p=0.97, temperature=3.0), dict(typical_p=0.8)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_tokens_do_not_depend_on_the_batch(settings: dict[str, Any]) -> None:
    z, steps, ids = batch(), np.arange(37) % 5, np.arange(37) * 3 - 7
    together = sample(z, random_state=5, step=steps, row_ids=ids, eos_id=9, **settings)
    for n_threads in (1, 2, 3):
        again = sample(z, random_state=5, step=steps, row_ids=ids, eos_id=9, n_threads=n_threads, **settings)
        assert again.tolist() == together.tolist()
    order = np.random.default_rng(0).permutation(37)
    shuffled = sample(z[order], random_state=5, step=steps[order], row_ids=ids[order], eos_id=9, **settings)
    assert shuffled.tolist() == together[order].tolist()
    for i in (0, 5, 36):
        one = sample(z[i], random_state=5, step=int(steps[i]), row_ids=[ids[i]], eos_id=9, **settings)
        assert one == together[i]
    assert sample(z, random_state=6, step=steps, row_ids=ids, eos_id=9, **settings).tolist() != together.tolist()


def test_many_rows_over_threads() -> None:
    z = np.random.default_rng(2).normal(0, 3, (64, 20_000)).astype(np.float32)
    one = sample(z, random_state=0, top_p=0.9, n_threads=1, return_info=True)
    two = sample(z, random_state=0, top_p=0.9, n_threads=2, return_info=True)
    assert one[0].tolist() == two[0].tolist()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one[1], two[1], strict=True))


def test_settings_of_each_row() -> None:
    z, rng = batch(12), np.random.default_rng(1)
    rows = dict(
        temperature=rng.choice([0.0, 0.7, 1.3], 12),
        top_k=rng.integers(0, 50, 12),
        top_p=rng.uniform(0.5, 1, 12),
        min_p=rng.uniform(0, 0.1, 12),
        typical_p=rng.uniform(0.5, 1, 12),
        step=rng.integers(0, 9, 12),
    )
    floor = TerminationFloor(0.1, start=2)
    together, info = sample(z, random_state=3, eos_id=4, floor=floor, return_info=True, **rows)
    filtered = filter_logits(z, eos_id=4, floor=floor, **rows)
    for i in range(12):
        own = {name: values[i].item() for name, values in rows.items()}
        token, single = sample(z[i], random_state=3, row_ids=[i], eos_id=4, floor=floor, return_info=True, **own)
        assert token == together[i] and [field[i] for field in info] == [field[0] for field in single]
        assert filter_logits(z[i], eos_id=4, floor=floor, **own).tobytes() == filtered[i].tobytes()


def test_every_cpu_level_gives_the_same_bits(fresh: Fresh, levels: list[str]) -> None:
    program = """
import hashlib, numpy as np
from likewise.decoding import TerminationFloor, filter_logits, sample
rng, digest = np.random.default_rng(0), hashlib.sha256()
for n in (5, 300, 40_000):
    for scale in (0.5, 3.0, 12.0):
        for dtype in (np.float16, np.float32, np.float64):
            z = rng.normal(0, scale, (4, n)).astype(dtype)
            z[1, ::3] = -np.inf
            z[2] = np.round(z[2])
            for settings in ({}, dict(top_k=20), dict(top_p=0.9), dict(temperature=0.37, top_p=0.999),
                             dict(typical_p=0.7),
                             dict(eos_id=[3, 1], floor=TerminationFloor(0.01), step=7, min_p=0.001)):
                tokens, info = sample(z, random_state=1, return_info=True, **settings)
                digest.update(tokens.tobytes() + b"".join(field.tobytes() for field in info))
                digest.update(filter_logits(z, normalize=True, **settings).tobytes())
                digest.update(filter_logits(z, **settings).tobytes())
print(digest.hexdigest())
"""
    assert len({fresh(program, level=level) for level in levels}) == 1


def test_seeds_and_generators() -> None:
    z = batch(200, 50)
    assert sample(z, random_state=0).tolist() == sample(z, random_state=0).tolist()
    assert sample(z, random_state=0).tolist() != sample(z, random_state=0, step=1).tolist()
    assert sample(z).tolist() != sample(z).tolist()
    for make in (np.random.default_rng, np.random.RandomState):
        generator, twin = make(7), make(7)
        first = sample(z, random_state=generator)
        assert first.tolist() == sample(z, u=twin.random(200)).tolist()
        assert first.tolist() != sample(z, random_state=generator).tolist()
    out = np.empty(200, np.int64)
    assert sample(z, random_state=0, out=out) is out and out.tolist() == sample(z, random_state=0).tolist()


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**33 - 1))
def test_any_seed_row_and_step(seed: int, row: int, step: int) -> None:
    z = np.zeros((2, 1000))
    tokens = sample(z, random_state=seed, row_ids=[row, row], step=step)
    assert tokens[0] == tokens[1] and 0 <= tokens[0] < 1000
