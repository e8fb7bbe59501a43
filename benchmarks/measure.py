"""Timing of contestants against one another: one pinned core, warmed up, rounds interleaved at random."""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

SHORTEST_ROUND = 0.05  # seconds: a round of three milliseconds says little on a machine that does other things

# CPU time is for machines with other work on them: what others take from the core does not count. Of this thread: a
# virtual machine that compiles in the background is not charged for it.
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}


class Clock:
    """The clock of this run, a key of `CLOCKS`; the option ``--clock`` sets it."""

    name = "wall"


@dataclass
class Timing:
    """Times of one contestant in one setting, in seconds for one unit (a query, a document, a call)."""

    name: str
    rounds: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def best(self) -> float:
        return min(self.rounds)


@dataclass(frozen=True)
class Scale:
    """How much of everything a run does."""

    quick: bool
    rounds: int
    budget: float  # seconds of one race
    queries: dict[str, int]


@contextmanager
def pinned(n_cores: int = 1) -> Iterator[None]:
    """Keep the process on its last ``n_cores`` cores (the first one serves most interrupts)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-n_cores:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Contestant:
    """A workload of one contestant: ``call`` is applied to every item, a round is one pass over all of them."""

    name: str
    call: Callable[[Any], Any]
    items: Sequence[Any]
    warming: float = 0.0  # seconds of warming that its machinery needs


def race(
    contestants: Sequence[Contestant],
    *,
    rounds: int = 7,
    budget: float = 60.0,
    seed: int = 0,
    warm: bool = True,
    n_cores: int = 1,
    clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Time contestants in interleaved rounds.

    Each contestant sees its items once to warm up (compiled code, caches, files), then every round visits all
    contestants in a new random order. A round lasts at least `SHORTEST_ROUND`, by several passes over the items. A
    contestant whose share of the budget is spent sits out further rounds; it has run at least one.

    Parameters
    ----------
    contestants : sequence of Contestant
    rounds : int
        Rounds of a contestant, at most.
    budget : float
        Seconds for the whole race, shared evenly.
    seed : int
        Seed of the order.
    warm : bool
        Whether to run every item once beforehand.
    n_cores : int
        Cores to be pinned to.
    clock : callable, optional
        Seconds. Default: the run's clock for one core, the wall's for more.

    Returns
    -------
    dict of str to Timing
        Seconds for one item.
    """
    order = random.Random(seed)
    timings = {contestant.name: Timing(contestant.name) for contestant in contestants}
    spent = dict.fromkeys(timings, 0.0)
    share = budget / max(len(contestants), 1)
    now = clock or (time.perf_counter if n_cores > 1 else CLOCKS[Clock.name])
    passes = dict.fromkeys(timings, 1)
    with pinned(n_cores):
        if warm:
            for contestant in contestants:
                warm_until = time.perf_counter() + min(contestant.warming, share)
                while time.perf_counter() < warm_until:
                    contestant.call(order.choice(contestant.items))
                started = time.perf_counter()
                for item in contestant.items:
                    contestant.call(item)
                    if time.perf_counter() - started > share / 4:
                        break
                elapsed = max(time.perf_counter() - started, 1e-9)
                passes[contestant.name] = max(1, min(1000, round(min(SHORTEST_ROUND, share / rounds) / elapsed)))
        for number in range(rounds):
            waiting = list(contestants)
            order.shuffle(waiting)
            for contestant in waiting:
                if number and spent[contestant.name] >= share:
                    continue
                call, items, n_passes = contestant.call, contestant.items, passes[contestant.name]
                gc.collect()
                gc.disable()
                began, started = time.perf_counter(), now()
                for _ in range(n_passes):
                    for item in items:
                        call(item)
                elapsed = now() - started
                gc.enable()
                spent[contestant.name] += time.perf_counter() - began
                timings[contestant.name].rounds.append(elapsed / (n_passes * max(len(items), 1)))
    return timings


def hand_over(benchmark: Any, timings: dict[str, Timing], group: str) -> None:
    """Give the interleaved rounds to pytest-benchmark, one entry a contestant.

    pytest-benchmark has no public way to add times measured elsewhere; its own `pedantic` mode uses the same calls.
    """
    if benchmark.disabled:
        return
    benchmark._mode = "race"
    for timing in timings.values():
        stats = benchmark._make_stats(iterations=1)
        stats.name, stats.fullname, stats.group = timing.name, f"{stats.fullname}::{timing.name}", group
        for seconds in timing.rounds:
            stats.update(seconds)
