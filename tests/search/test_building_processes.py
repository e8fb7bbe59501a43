"""Building under signals, in forked children and in threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import likewise
from likewise import _core
from likewise.errors import InternalError
from likewise.search.analyzer import Analyzer
from likewise.search.building import build_segment

TEXTS = [f"w{i % 977} running x{i} é{i % 13} 北京大学" for i in range(20_000)]

INTERRUPTED = """
import signal, sys, time
from likewise.search.analyzer import Analyzer
from likewise.search.building import build_segment

word = "running wing é "
texts = [word * 2_000_000] * 40 if sys.argv[1] == "long" else [word * 20] * 2_000_000
given = texts if sys.argv[2] == "list" else iter(texts)
stopped = []

def handler(*_):
    stopped.append(time.monotonic())
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
try:
    build_segment(given, analyzer=Analyzer())
except KeyboardInterrupt:
    print(time.monotonic() - stopped[0])
else:
    print("finished")
"""


@pytest.mark.parametrize("kind", ["long", "many"])
@pytest.mark.parametrize("source", ["list", "iterator"])
def test_ctrl_c(kind: str, source: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(likewise.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, kind, source],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 2.0  # 0.5 s on an idle machine


def _digest(_: int = 0) -> bytes:
    arrays = build_segment(TEXTS, analyzer=Analyzer(), n_threads=2).arrays
    return b"".join(array.tobytes() for _, array in sorted(arrays.items()))


def test_forked_children() -> None:
    expected = _digest()
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map_async(_digest, range(4)).get(timeout=60) == [expected] * 4


def test_threads_build_at_the_same_time() -> None:
    expected = _digest()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(_digest())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == [expected] * 4


def test_the_lists_may_change_meanwhile() -> None:
    """A list that another thread empties and fills: an error or an index of what was there, never a crash."""
    texts = ["running wing " * 20] * 50_000
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            del texts[25_000:]
            texts.extend(["é" * 50 + str(time.monotonic())] * 25_000)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(3):
            assert len(build_segment(texts, analyzer=Analyzer()).arrays["document_lengths"]) >= 25_000
    finally:
        stop.set()
        thread.join()


def test_one_call_at_a_time() -> None:
    """The private objects refuse a second thread instead of racing."""
    scanner = _core.search.Scanner(Analyzer()._core)
    texts = ["running wing " * 300_000]
    errors: list[BaseException] = []

    def scan() -> None:
        for _ in range(20):
            try:
                scanner.scan(texts, 0, n_parts=1, first_position=0, argument="texts", store=None)
            except InternalError as error:
                errors.append(error)

    threads = [threading.Thread(target=scan) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("one call at a time" in str(error) for error in errors)
    assert scanner.n_documents == 40 - len(errors)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, b: s.scan(["a", "b", "c"], 0, n_parts=2, first_position=0, argument="x", store=None),
        lambda s, b: s.scan(["a"], 0, n_parts=0, first_position=0, argument="x", store=None),
        lambda s, b: s.scan_tokens(["a"], 0, first_position=0, argument="x"),
        lambda s, b: s.forms(5),
        lambda s, b: b.add(s, ["too", "many"]),
        lambda s, b: _core.search.Analyzer(
            words="x", lowercase=True, cjk="whole", min_length=1, max_length=9, stopwords=[]
        ),
    ],
)
def test_bindings_refuse(call: object) -> None:
    scanner, builder = _core.search.Scanner(Analyzer()._core), _core.search.Builder()
    with pytest.raises(InternalError):
        call(scanner, builder)  # type: ignore[operator]


def test_builder_refuses_a_scanner_that_is_not_its_own() -> None:
    builder, scanner = _core.search.Builder(), _core.search.Scanner(Analyzer()._core)
    scanner.scan(["a b x"], 0, n_parts=1, first_position=0, argument="x", store=None)
    builder.add(scanner, None)
    other = _core.search.Scanner(Analyzer()._core)
    with pytest.raises(InternalError):
        builder.add(other, None)
    with pytest.raises(ValueError):
        builder.finish(other)


@pytest.mark.skipif(bool(likewise.info()["sanitizers"]), reason="a sanitizer keeps what is freed")
def test_memory_while_building(fresh: object) -> None:
    """The input loaded before: what building adds stays below 1.5 times the finished arrays and their impacts."""
    program = """
import gc, itertools, random
from pathlib import Path
from likewise.search.analyzer import Analyzer
from likewise.search.building import build_segment

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

draw = random.Random(1)
words = [f"word{i}" for i in range(60_000)]
cumulated = list(itertools.accumulate(1 / (i + 3) for i in range(len(words))))
texts = [" ".join(draw.choices(words, cum_weights=cumulated, k=60)) for _ in range(30_000)]
analyzer = Analyzer()
build_segment(texts[:100], analyzer=analyzer)
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
arrays = build_segment(texts, analyzer=analyzer, n_threads=1).arrays
size = sum(a.nbytes for a in arrays.values()) + 4 * len(arrays["posting_documents"])
print((status("VmHWM") - before) / size)
"""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs /proc of Linux")
    assert float(fresh(program)) < 1.5  # type: ignore[operator]


def test_interrupted_scanner_can_go_on() -> None:
    scanner = _core.search.Scanner(Analyzer()._core)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            for _ in range(1000):
                scanner.scan(["running wing é " * 300_000], 0, n_parts=1, first_position=0, argument="x", store=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    scanner.take()
    scanner.scan(["wing", "b wing"], 0, n_parts=1, first_position=0, argument="x", store=None)
    indptr, forms = scanner.take()
    assert indptr.tolist() == [0, 1, 3] and forms.dtype == np.uint32
    names = scanner.forms(0)
    assert [names[i] for i in forms] == ["wing", "b", "wing"]
