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
from benchmarks.measure import CLOCKS, Clock, Contestant, Scale, hand_over, race
from benchmarks.results import Record, Row

QUICK_CORPORA = {"1M": "100k"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("likewise benchmarks")
    group.addoption("--quick", action="store_true", help="small corpora, few rounds")
    group.addoption("--results", metavar="FILE", help="write what was found to this JSON file")
    group.addoption("--clock", choices=sorted(CLOCKS), default="wall", help="cpu: for a machine that others use too")
    group.addoption("--five-million", action="store_true", help="also run what needs the corpus of 5 M documents")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDS] = []
    Clock.name = config.getoption("--clock")
    # Peers warn about their own affairs; the suite's "warnings are errors" is about ours.
    config.addinivalue_line("filterwarnings", "default")


ORDER = ("", "cranfield", "demo", "debian", "1k", "10k", "100k", "1M", "synthetic-2500000", "5M")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # An arena takes minutes to fill and gigabytes to keep: all that want one corpus run together.
    def place(item: pytest.Item) -> int:
        callspec = getattr(item, "callspec", None)
        name = callspec.params.get("arena", "") if callspec else ""
        return ORDER.index(name)

    items.sort(key=place)


RECORDS = pytest.StashKey[list[Record]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--results")
    if path:
        results.save(session.config.stash[RECORDS], Path(path), machine.describe() | {"clock": Clock.name})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for name, command in Arena.missing.items():
        terminalreporter.line(f"{name} sat out; to install it: {command}")
    judged = [(record, bar) for record in config.stash[RECORDS] for bar in record.bars if bar.met is not None]
    missed = [(record, bar) for record, bar in judged if not bar.met]
    if judged:
        terminalreporter.section("bars")
        terminalreporter.line(f"{len(judged) - len(missed)} of {len(judged)} reached")
        for record, bar in missed:
            terminalreporter.line(f"{record.group}: {record.workload}: {bar.verdict()}")


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """The size of the run: quick or whole."""
    if request.config.getoption("--quick"):
        return Scale(True, 3, 2.5, {"short": 100, "head": 100, "long": 30})
    return Scale(False, 7, 25.0, {"short": 500, "head": 500, "long": 100})


class Arenas:
    """The arena in use: one corpus at a time, kept until another is asked for."""

    def __init__(self) -> None:
        self._current: Arena | None = None
        self._name = ""

    def get(self, name: str) -> Arena:
        """The arena of a corpus, the one before closed."""
        if self._current is None or name != self._name:
            self.close()
            self._current, self._name = Arena(corpora.load(name)), name
        return self._current

    def close(self) -> None:
        """Let go of the current one."""
        if self._current is not None:
            self._current.close()
        self._current, self._name = None, ""


@pytest.fixture(scope="session")
def arenas() -> Iterator[Arenas]:
    """A session's keeper of arenas. (pytest may end a parametrised session fixture between two tests that share it.)"""
    kept = Arenas()
    yield kept
    kept.close()


@pytest.fixture
def arena(request: pytest.FixtureRequest, arenas: Arenas, scale: Scale) -> Arena:
    """A corpus with its engines; parametrise it indirectly by the corpus's name."""
    name = QUICK_CORPORA.get(request.param, request.param) if scale.quick else request.param
    try:
        return arenas.get(name)
    except (corpora.MissingCorpusError, ImportError) as error:
        pytest.skip(str(error))


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """BLAS and OpenMP with one thread each: more of them would fight over the one core that a race is pinned to."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        pytest.skip("needs threadpoolctl: pip install '.[bench]'")
    with threadpool_limits(1):
        yield


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
def contest(benchmark: Any, scale: Scale) -> Callable[..., Record]:
    """Race contestants, hand the times to pytest-benchmark, and return the table."""

    def run(
        group: str,
        workload: str,
        contestants: Sequence[Contestant],
        *,
        unit: str = "us per query",
        factor: float = 1e6,
        notes: dict[str, str] | None = None,
        axes: dict[str, Any] | None = None,
        rounds: int | None = None,
        budget: float | None = None,
        n_cores: int = 1,
        clock: Callable[[], float] | None = None,
    ) -> Record:
        timings = race(
            contestants,
            rounds=rounds or scale.rounds,
            budget=budget or scale.budget,
            seed=len(workload),
            n_cores=n_cores,
            clock=clock,
        )
        hand_over(benchmark, timings, f"{group}: {workload}")
        rows = [
            Row(t.name, t.median * factor, t.best * factor, len(t.rounds), (notes or {}).get(t.name, ""))
            for t in timings.values()
        ]
        return Record(group, workload, unit, rows, axes=axes or {})

    return run
