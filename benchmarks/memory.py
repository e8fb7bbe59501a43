"""Peak memory and time of one contestant's task, each in a process of its own.

``measure("build", "bm25s", "debian")`` starts ``python -m benchmarks.memory build bm25s debian``, which loads the
input, notes its resident memory, does the task, and prints what came of it as one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import corpora, vectors
from benchmarks.adversarial.contestants import memory_task as adversarial_task
from benchmarks.measure import pinned
from benchmarks.transport.emo_contestants import emo_task
from benchmarks.transport.exact_contestants import emd_task
from benchmarks.transport.sinkhorn_contestants import sinkhorn_task


class ContestantError(RuntimeError):
    """The process of a contestant failed; the text is the end of what it wrote."""


def resident() -> int:
    """Resident memory of this process in bytes, mapped pages included."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    """Let the kernel forget the highest resident memory so far."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """Highest resident memory since `reset_peak`, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def measure(task: str, engine: str, corpus: str, timeout: float = 1800) -> dict[str, Any]:
    """Run a task in a process of its own.

    Returns
    -------
    dict
        ``seconds`` and ``cpu_seconds`` on one pinned core, ``grown`` (resident bytes gained), ``peak`` (highest gain
        on the way), and what the task adds.
    """
    command = [sys.executable, "-m", "benchmarks.memory", task, engine, corpus]
    done = subprocess.run(command, cwd=corpora.CHECKOUT, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise ContestantError(f"{' '.join(command[1:])}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def texts_of(name: str) -> list[str]:
    """The raw texts of a corpus."""
    return corpora.debian_texts() if name == "debian" else corpora.load(name).texts()


def build_task(engine: str, corpus: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """The building of an index from raw texts, analysis included, with one thread."""
    texts = texts_of(corpus)
    corpora.debian_records.cache_clear()
    if engine == "likewise":
        from likewise.search import Index

        return lambda: Index.build(texts, n_threads=1), lambda index: {"nbytes": index.nbytes}
    if engine == "bm25s":
        import bm25s
        import Stemmer

        def build() -> Any:
            stemmer = Stemmer.Stemmer("english")
            tokens = bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)
            retriever = bm25s.BM25(k1=corpora.K1, b=corpora.B, backend="numba")
            retriever.index(tokens, show_progress=False)
            return retriever

        # Compiled code should not count as memory of the index, nor its compilation as time.
        warm = bm25s.BM25(backend="numba")
        warm.index([["a", "b"], ["b"]], show_progress=False)

        def size(retriever: Any) -> dict[str, Any]:
            return {"nbytes": sum(retriever.scores[name].nbytes for name in ("data", "indices", "indptr"))}

        return build, size
    if engine == "tantivy":
        from benchmarks.peers.tantivy_engine import TantivyText

        folder = Path(tempfile.mkdtemp(prefix="likewise-bench-"))

        def on_disk(index: Any) -> dict[str, Any]:
            nbytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            return {"nbytes": nbytes}

        return lambda: TantivyText(texts, folder), on_disk
    raise ValueError(f"no build task for {engine}")


def search_task(engine: str, corpus: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """Opening a saved index and answering every query of the corpus: k=10 and k=1000."""
    with (corpora.cache_folder() / f"{corpus}-queries.json").open(encoding="utf-8") as source:
        kept = json.load(source)
    queries, path = kept["queries"], kept["paths"][engine]
    if engine == "likewise":
        from likewise.search import Index

        def ours() -> Any:
            index = Index.open(path)
            for words in queries:
                index.search(words, 10)
                index.search(words, 1000)
            return index

        return ours, lambda index: {"n_postings": index.n_postings}
    if engine == "bm25s":
        import bm25s

        warm = bm25s.BM25(backend="numba")
        warm.index([["a", "b"], ["b"]], show_progress=False)
        warm.retrieve([["a"]], k=1, show_progress=False)

        def theirs() -> Any:
            retriever = bm25s.BM25.load(path)
            retriever.backend = "numba"
            for words in queries:
                for k in (10, 1000):
                    retriever.retrieve([words], k=k, show_progress=False, n_threads=0)
            return retriever

        return theirs, lambda retriever: {"n_postings": len(retriever.scores["data"])}
    if engine == "tantivy":
        from benchmarks.peers.tantivy_engine import Tantivy

        def tantivy() -> Any:
            opened = Tantivy.open(Path(path))
            for words in queries:
                for k in (10, 1000):
                    opened.searcher(k)(opened.prepare(words))
            return opened

        return tantivy, lambda opened: {}
    raise ValueError(f"no search task for {engine}")


def open_task(engine: str, corpus: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """Opening a saved index of ours without a query: what it adds to private memory. ``engine`` is the level."""
    with (corpora.cache_folder() / f"{corpus}-queries.json").open(encoding="utf-8") as source:
        path = json.load(source)["paths"]["likewise"]
    from likewise.search import Index

    before = private()
    return lambda: Index.open(path, verify=engine), lambda index: {"private": private() - before}


def private() -> int:
    """Anonymous resident memory of this process in bytes: mapped files are not in it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no RssAnon")


def wmd_task(engine: str, corpus: str) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """An index for Word Mover's Distance, of so many documents."""
    from benchmarks.transport.document_contestants import memory_task

    return memory_task(engine, corpus)


TASKS = {
    "adversarial": adversarial_task,
    "build": build_task,
    "search": search_task,
    "open": open_task,
    "project": vectors.project_task,
    "whiten": vectors.whiten_task,
    "wmd": wmd_task,
    "emo": emo_task,
    "emd": emd_task,
    "sinkhorn": sinkhorn_task,
}


def main() -> None:
    """Do one task and print what it took."""
    task, engine, corpus = sys.argv[1:4]
    run, describe = TASKS[task](engine, corpus)
    gc.collect()
    before = resident()
    reset_peak()
    with pinned():
        started, cpu_started = time.perf_counter(), time.process_time()
        result = run()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak": peak() - before, "grown": resident() - before}
    print(json.dumps(figures | describe(result)))


if __name__ == "__main__":
    main()
