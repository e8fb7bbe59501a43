"""Bytes a posting, on disk and in memory while searching."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from benchmarks import corpora
from benchmarks.arena import Arena
from benchmarks.measure import Scale
from benchmarks.memory import ContestantError, measure
from benchmarks.results import OURS, Record, Row

# Not part of the index proper: term strings, ids and stored fields.
STRINGS = ("term_bytes", "form_bytes", "key_bytes", "key_values", "text_bytes")


def folder_size(path: Path) -> int:
    """Bytes of all files in a folder, or of one file."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def saved_indexes(arena: Arena, peers: Collection[str] = ("bm25s", "tantivy")) -> dict[str, str]:
    """Our index and the peers' on disk, and the queries beside them, for the processes that measure memory."""

    def make() -> dict[str, str]:
        folder = corpora.cache_folder() / arena.corpus.name
        folder.mkdir(parents=True, exist_ok=True)
        ours = arena.engine("likewise")
        bm25s, tantivy = (arena.engine(name) if name in peers else None for name in ("bm25s", "tantivy"))
        assert ours is not None
        paths = {OURS: str(folder / "likewise.lw")}
        shutil.rmtree(paths[OURS], ignore_errors=True)  # overwriting would keep the generation before
        ours.index.save(paths[OURS])  # type: ignore[attr-defined]
        if bm25s is not None:
            paths["bm25s"] = str(folder / "bm25s")
            if not Path(paths["bm25s"]).exists():
                bm25s.retriever.save(paths["bm25s"], show_progress=False)  # type: ignore[attr-defined]
        if tantivy is not None:
            paths["tantivy"] = str(tantivy.folder)  # type: ignore[attr-defined]
        queries = [words for setting in arena.corpus.queries for words in arena.corpus.query_words(setting, 200)]
        (corpora.cache_folder() / f"{arena.corpus.name}-queries.json").write_text(
            json.dumps({"queries": queries, "paths": paths}), encoding="utf-8"
        )
        return paths

    kept: dict[str, str] = arena.keep(f"saved with {sorted(peers)}", make)
    return kept


@pytest.mark.parametrize("arena", ["debian", "1M"], indirect=True)
def test_disk(arena: Arena, record: Callable[[Record], Record]) -> None:
    paths = saved_indexes(arena)
    engine = arena.engine("likewise")
    assert engine is not None
    index = engine.index  # type: ignore[attr-defined]
    from likewise.search.storage import open_index

    arrays = open_index(paths[OURS]).arrays
    strings = sum(arrays[name].nbytes for name in STRINGS if name in arrays)
    whole = folder_size(Path(paths[OURS]))
    n_postings = index.n_postings
    rows = [
        Row(OURS, (whole - strings) / n_postings, note=f"{whole / 1e6:.1f} MB in all, {strings / 1e6:.1f} of strings")
    ]
    for name in ("tantivy", "bm25s"):
        if name in paths:
            rows.append(Row(name, folder_size(Path(paths[name])) / n_postings, note="strings included"))
    pisa = arena.engine("pisa-bmm")
    if pisa is not None:
        folder = pisa.folder  # type: ignore[attr-defined]
        files = [p for p in folder.iterdir() if ".bmw." in p.name or p.suffix in (".termlex", ".sizes")]
        rows.append(Row("pisa", sum(p.stat().st_size for p in files) / n_postings, note="strings included"))
    found = Record("disk", arena.corpus.name, "bytes a posting", rows, axes={"corpus": arena.corpus.name})
    found.limit("<= 6 B a posting", rows[0].value, 6.0)
    record(found)


@pytest.mark.parametrize("arena", ["debian", "1M"], indirect=True)
def test_while_searching(arena: Arena, scale: Scale, record: Callable[[Record], Record]) -> None:
    """Resident memory gained by opening and answering 200 queries of every setting, mapped pages counted."""
    paths = saved_indexes(arena)
    n_postings = len(arena.corpus.postings[1])
    rows = []
    for name in paths:
        try:
            found = measure("search", name, arena.corpus.name)
        except ContestantError as error:
            if name == OURS:
                raise
            print(f"{name} sits out: {error}")
            continue
        rows.append(Row(name, found["grown"] / n_postings, note=f"{found['grown'] / 1e6:.0f} MB"))
    ours = next(row for row in rows if row.name == OURS)
    table = Record(
        "memory while searching", arena.corpus.name, "bytes a posting", rows, axes={"corpus": arena.corpus.name}
    )
    table.limit("<= 12 B a posting", ours.value, 12.0)
    record(table)
