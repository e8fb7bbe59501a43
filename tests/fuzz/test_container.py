"""A short run of the container's fuzzer; `.ci/nightly` runs it for longer."""

from __future__ import annotations

from tests.fuzz.container import fuzz


def test_short_run() -> None:
    report = fuzz(seconds=20, seed=1, max_runs=4000)
    print(report)
    assert report.n_runs > 500
    assert report.corpus_share >= 0.5
    assert min(report.stages[stage] for stage in ("header", "digests", "structure", "accepted")) > 20
