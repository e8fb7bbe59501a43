"""Threads and processes: the same bits from 16 threads, from a forked child, from a fresh one; little memory."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from likewise.search import Index
from tests.conftest import Fresh
from tests.search.corpora import queries, zipf


def test_sixteen_threads() -> None:
    """All threads start on an index that has derived nothing yet, and agree with one thread."""
    documents = zipf(6000, 2000, 12, 31)
    asked = queries(documents, 60, 32)
    expected = Index.build(documents, analyzer=None)
    results = [expected.search(query, 20).to_list() for query in asked]
    related = [expected.related(doc_id, 5).to_list() for doc_id in range(30)]
    for _ in range(3):
        ix = Index.build(documents, analyzer=None)
        barrier = threading.Barrier(16)
        failures: list[str] = []

        def work(
            number: int, ix: Index = ix, barrier: threading.Barrier = barrier, failures: list[str] = failures
        ) -> None:
            barrier.wait()
            order = np.random.default_rng(number).permutation(len(asked)).tolist()
            for i in order:
                if ix.search(asked[i], 20, n_threads=1 + number % 2).to_list() != results[i]:
                    failures.append(f"query {i} in thread {number}")
            for doc_id in range(number % 7, 30, 7):
                if ix.related(doc_id, 5, n_threads=2).to_list() != related[doc_id]:
                    failures.append(f"related to {doc_id} in thread {number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert failures == []


FORK = """
import os, signal, sys, threading
from likewise.search import Index
from tests.search.corpora import queries, zipf

documents = zipf(5000, 1000, 12, 41)
asked = queries(documents, 30, 42)
built = Index.build(documents, analyzer=None, n_threads=2)
built.save(sys.argv[1])
opened = Index.open(sys.argv[1])
used = sys.argv[2] == "used"

def results(ix):
    return ix.search_batch(asked, 20, n_threads=2).to_list()

expected = results(Index.build(documents, analyzer=None)) if used else None
if used:
    results(built), results(opened)
busy = [threading.Thread(target=lambda: [results(built) for _ in range(20)]) for _ in range(4)] if used else []
for thread in busy:
    thread.start()
for ix in (built, opened):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        grandchild = os.fork()
        found = results(ix)
        ok = found == (expected or found) and results(Index.open(sys.argv[1], verify="header")) == found
        if grandchild:
            ok = ok and os.waitpid(grandchild, 0)[1] == 0
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
for thread in busy:
    thread.join()
assert results(built) == results(opened)
print("done")
"""


@pytest.mark.parametrize("pool", ["used", "unused"])
def test_forked_children(fresh: Fresh, tmp_path: Path, pool: str) -> None:
    """Children of a process whose pool was used, or not, answer; while 4 threads are inside native calls too."""
    program = FORK.replace(
        "import os,", "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\nimport os,"
    )
    assert fresh(program, str(tmp_path / "ix"), pool).strip() == "done"


MEMORY = """
import re, sys
from likewise.search import Index

def private():
    with open("/proc/self/smaps_rollup") as lines:
        return int(re.search(r"Anonymous: +(\\d+)", lines.read())[1])

import likewise.search.storage
Index.open(sys.argv[1], verify=sys.argv[2])  # what is imported and allocated once
before = private()
ix = Index.open(sys.argv[1], verify=sys.argv[2])
added = private() - before
assert ix.doc_ids(["key-5", "key-99999"]).tolist() == [5, 99999]
assert "key-100000" not in ix
print(added, private() - before)
"""


@pytest.mark.parametrize("verify", ["full", "header"])
def test_an_opened_index_adds_little_memory(fresh: Fresh, tmp_path: Path, verify: str) -> None:
    documents = zipf(100_000, 50_000, 15, 51)
    ix = Index.build(documents, analyzer=None, ids=[f"key-{i}" for i in range(len(documents))])
    ix.save(tmp_path / "ix")
    opened, with_keys = map(int, fresh(MEMORY, str(tmp_path / "ix"), verify).split())
    assert opened < 5000 and with_keys < 5000, f"{opened} and {with_keys} kB of {ix.nbytes // 1000} kB"
