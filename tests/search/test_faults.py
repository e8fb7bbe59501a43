"""Saving an index when calls fail, disks are full, writers are interrupted; readers in other processes and threads."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from likewise import persistence
from likewise.persistence.files import Directory
from likewise.search.index import Index
from likewise.search.storage import generations
from tests.faulty_directory import SITES, FaultyDirectory, calls_of
from tests.search.stored import (
    OTHER,
    TOY,
    answers,
    names,
    save,
    segments_of,
)

# --- Saving when calls fail ---


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("site", SITES)
def test_a_failing_call_in_a_first_save(tmp_path: Path, site: str, code: int) -> None:
    n_calls = calls_of(lambda directory: save(directory.path, directory=directory), tmp_path / "counted")[site]
    (tmp_path / "empty").mkdir()
    for name, left in (("new", None), ("empty", [])):
        path = tmp_path / name
        for at in range(n_calls):
            directory = FaultyDirectory(path, site, at, code)
            with pytest.raises(OSError, match=r".") as caught:
                save(path, directory=directory)
            assert caught.value.errno == code and str(caught.value.filename).startswith(str(path))
            assert directory.n_faults == 1
            assert (names(path) if path.exists() else None) == left
    assert n_calls > 0
    save(tmp_path / "new")
    assert answers(tmp_path / "new")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("site", SITES)
def test_a_failing_call_in_a_later_save(index: Path, site: str, code: int) -> None:
    save(index, OTHER, overwrite=True)
    listing, before = names(index), answers(index)
    counted = index.with_name("counted")
    shutil.copytree(index, counted)

    def overwrite(directory: Directory) -> None:
        save(directory.path, TOY, overwrite=True, directory=directory)

    n_calls = calls_of(overwrite, counted)[site]
    for at in range(n_calls):
        directory = FaultyDirectory(index, site, at, code)
        with pytest.raises(OSError, match=r"."):
            overwrite(directory)
        assert directory.n_faults == 1 and names(index) == listing and answers(index) == before
        assert persistence.check(index).ok
    assert n_calls > 0
    overwrite(directory)  # the same object goes on when the fault is over
    assert answers(index) != before and generations(index) == [3, 2]


def test_failing_unlink_leaves_work_for_the_next_writer(index: Path) -> None:
    save(index, OTHER, overwrite=True)
    n_calls = calls_of(lambda d: save(d.path, overwrite=True, directory=d), index)["unlink"]
    assert n_calls == 2
    for at in range(n_calls):
        directory = FaultyDirectory(index, "unlink", at, errno.EIO)
        save(index, overwrite=True, directory=directory)  # the commit stands
        assert directory.n_faults == 1 and persistence.check(index).ok
    save(index, overwrite=True)
    assert len(names(index)) == 5


def test_failing_clean_up_keeps_the_first_error(index: Path) -> None:
    directory = FaultyDirectory(index, "write", 3, errno.ENOSPC)
    directory.unlink_fails = True
    before = answers(index)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        save(index, OTHER, overwrite=True, directory=directory)
    report = persistence.check(index)
    assert report.ok and len(report.orphans) == 1 and answers(index) == before
    save(index, OTHER, overwrite=True)
    assert persistence.check(index).orphans == []


def test_short_writes(tmp_path: Path) -> None:
    n_calls = calls_of(lambda directory: save(directory.path, directory=directory), tmp_path / "counted")["write"]
    expected = segments_of(tmp_path / "counted")[0].read_bytes()
    for at in range(n_calls):
        directory = FaultyDirectory(tmp_path / str(at), "write", at, None)
        save(directory.path, directory=directory)
        assert directory.n_faults == 1 and segments_of(directory.path)[0].read_bytes() == expected
        assert answers(directory.path) == answers(tmp_path / "counted")


def test_an_interrupted_save(tmp_path: Path, index: Path) -> None:
    class Interrupted(Directory):
        def sync_file(self, descriptor: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "new", directory=Interrupted(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    listing = names(index)
    with pytest.raises(KeyboardInterrupt):
        save(index, overwrite=True, directory=Interrupted(index))
    assert names(index) == listing


@contextlib.contextmanager
def mounted(path: Path, *options: str) -> Iterator[None]:
    """A small file system in memory; skips where it may not be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs: the faults above are injected instead")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    disk = tmp_path / "disk"
    with mounted(disk, "-o", "size=4m"):
        documents = [[f"t{t}" for t in rng.integers(0, 5000, 30)] for _ in range(3000)]
        save(disk / "i", documents)
        before = Index.open(disk / "i").search(["t1", "t2"]).to_list()
        (disk / "ballast").write_bytes(bytes(1 << 20))
        full = 0
        for _ in range(6):
            try:
                save(disk / "i", documents, overwrite=True)
            except OSError as error:
                assert error.errno == errno.ENOSPC and str(error.filename).startswith(str(disk / "i"))
                full += 1
            assert persistence.check(disk / "i").ok and persistence.check(disk / "i").orphans == []
            assert Index.open(disk / "i").search(["t1", "t2"]).to_list() == before
        assert full > 0
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            save(disk / "other", documents * 3)
        assert not (disk / "other").exists()
        (disk / "ballast").unlink()
        newest = generations(disk / "i")[0]
        save(disk / "i", documents, overwrite=True)
        assert generations(disk / "i")[0] == newest + 1


def test_a_read_only_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk):
        save(disk / "i")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert answers(disk / "i") and persistence.check(disk / "i").ok
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            save(disk / "i", overwrite=True)
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            save(disk / "other")


# --- Processes and threads ---


def test_a_reader_in_forked_children(tmp_path: Path) -> None:
    rng = random.Random(2)
    documents = [[f"t{rng.randrange(300)}" for _ in range(40)] for _ in range(2000)]
    save(tmp_path / "i", documents)
    opened = Index.open(tmp_path / "i")
    queries = [[f"t{rng.randrange(300)}" for _ in range(5)] for _ in range(50)]
    expected = opened.search_batch(queries, 10, n_threads=2)  # the pool is warm
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                hits = opened.search_batch(queries, 10, n_threads=2)
                same = np.array_equal(hits.doc_ids, expected.doc_ids) and np.array_equal(hits.scores, expected.scores)
                status = 0 if same else 2
            finally:
                os._exit(status)
        pids.append(pid)
    again = opened.search_batch(queries, 10, n_threads=2)
    assert np.array_equal(again.scores, expected.scores)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]


def test_eight_threads_share_a_reader(tmp_path: Path) -> None:
    rng = random.Random(3)
    save(tmp_path / "i", [[f"t{rng.randrange(200)}" for _ in range(30)] for _ in range(1500)])
    queries = [[f"t{rng.randrange(200)}" for _ in range(4)] for _ in range(100)]
    opened = Index.open(tmp_path / "i", verify="header")  # postings are checked by whoever comes first
    expected = [Index.open(tmp_path / "i").search(query).to_list() for query in queries[:1]]
    reference = Index.open(tmp_path / "i")
    expected = [reference.search(query).to_list() for query in queries]
    failures: list[object] = []
    start = threading.Barrier(8)

    def search(offset: int) -> None:
        start.wait()
        for i in range(len(queries)):
            j = (i + offset) % len(queries)
            if opened.search(queries[j]).to_list() != expected[j]:
                failures.append(j)

    threads = [threading.Thread(target=search, args=(13 * t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    opened.verify()
    for thread in threads:
        thread.join(60)
    assert failures == []
