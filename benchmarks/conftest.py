"""Fixtures of the benchmarks: the arena (a corpus and its contestants) and the race (interleaved, compared, recorded).

Nothing here asserts a time. A benchmark fails where results differ; a missed bar is printed and recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import corpora, machine, results
from benchmarks.arena import Arena
from benchmarks.measure import Contestant, Scale, hand_over, race
from benchmarks.results import OURS, Record, Row

QUICK_CORPORA = {"1M": "100k", "5M": "100k"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("likewise benchmarks")
    group.addoption("--quick", action="store_true", help="small corpora, few rounds")
    group.addoption("--results", metavar="FILE", help="write what was found to this JSON file")
    group.addoption("--five-million", action="store_true", help="also run what needs the corpus of 5 M documents")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDS] = []
    # Peers warn about their own affairs; the suite's "warnings are errors" is about ours.
    config.addinivalue_line("filterwarnings", "default")


RECORDS = pytest.StashKey[list[Record]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--results")
    if path:
        results.save(session.config.stash[RECORDS], Path(path), machine.describe())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for name, command in Arena.missing.items():
        terminalreporter.line(f"{name} sat out; to install it: {command}")
    judged = [record for record in config.stash[RECORDS] if record.met is not None]
    missed = [record for record in judged if not record.met]
    if judged:
        terminalreporter.section("bars")
        terminalreporter.line(f"{len(judged) - len(missed)} of {len(judged)} reached")
        for record in missed:
            terminalreporter.line(f"{record.group}: {record.workload}: {record.verdict()}")


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """The size of the run: quick or whole."""
    if request.config.getoption("--quick"):
        return Scale(True, 3, 4.0, {"short": 100, "head": 100, "long": 30})
    return Scale(False, 7, 45.0, {"short": 500, "head": 500, "long": 100})


@pytest.fixture(scope="session")
def arena(request: pytest.FixtureRequest, scale: Scale) -> Iterator[Arena]:
    """A corpus with its engines; parametrise it indirectly by the corpus's name."""
    name = request.param
    if scale.quick:
        name = QUICK_CORPORA.get(name, name)
    try:
        corpus = corpora.load(name)
    except (corpora.MissingCorpusError, ImportError) as error:
        pytest.skip(str(error))
    arena = Arena(corpus)
    yield arena
    arena.close()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Record], Record]:
    """Keep a record for the report and print it."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def keep(found: Record) -> Record:
        request.config.stash[RECORDS].append(found)
        with capture.global_and_fixture_disabled():
            print("\n" + "\n".join(results.lines(found)), flush=True)
        return found

    return keep


@pytest.fixture
def contest(benchmark: Any, record: Callable[[Record], Record], scale: Scale) -> Callable[..., Record]:
    """Race contestants, record the table, hand the times to pytest-benchmark."""

    def run(
        group: str,
        workload: str,
        contestants: Sequence[Contestant],
        *,
        unit: str = "us per query",
        factor: float = 1e6,
        bar: str = "",
        needed: float | None = None,
        notes: dict[str, str] | None = None,
        axes: dict[str, Any] | None = None,
        rounds: int | None = None,
        budget: float | None = None,
        warm: bool = True,
        n_cores: int = 1,
        against: str | None = None,
    ) -> Record:
        timings = race(
            contestants,
            rounds=rounds or scale.rounds,
            budget=budget or scale.budget,
            seed=len(workload),
            warm=warm,
            n_cores=n_cores,
        )
        rows = [
            Row(t.name, t.median * factor, t.best * factor, len(t.rounds), (notes or {}).get(t.name, ""))
            for t in timings.values()
        ]
        found = Record(group, workload, unit, rows, bar, None, needed, axes=axes or {})
        ours, peer = found.row(OURS), found.row(against) if against else found.fastest_peer()
        if bar and ours and peer:
            found.ratio = peer.value / ours.value
            found.bar = f"{bar} ({peer.name})"
        hand_over(benchmark, timings, f"{group}: {workload}")
        return record(found)

    return run
