"""Hits: what they hold, how they are walked, and the formats that other programs read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.search import Hits, Index

DOCUMENTS = [["a", "b"], ["a"], ["b", "b"], ["c"]]


@pytest.fixture(params=[None, ["w", "x", "y", "z"], [40, -1, 7, 2**40]], ids=["none", "str", "int"])
def ix(request: pytest.FixtureRequest) -> Index:
    return Index.build(DOCUMENTS, analyzer=None, ids=request.param)


def test_one_query(ix: Index) -> None:
    hits = ix.search(["b"], 3)
    names = ix.ids.tolist()
    assert hits.doc_ids.tolist() == [2, 0] and hits.doc_ids.dtype == np.int64
    assert hits.ids.tolist() == [names[2], names[0]] and hits.scores.dtype == np.float32
    assert hits.ids is hits.ids
    assert len(hits) == hits.n_hits == 2 and hits.ndim == 1
    assert list(hits) == hits.to_list() == [(names[2], hits.scores[0]), (names[0], hits.scores[1])]
    assert hits[0] == hits[-2] == hits.to_list()[0]
    assert hits[1:].to_list() == hits.to_list()[1:]
    with pytest.raises(IndexError):
        hits[2]
    assert repr(hits).startswith("Hits([(") and repr(names[2]) in repr(hits)
    assert dict(hits)[names[2]] == hits.scores[0]


def test_batch(ix: Index) -> None:
    names = ix.ids.tolist()
    missing = None if isinstance(names[0], str) else -1
    hits = ix.search_batch([["b"], [], ["a", "c"]], 3)
    assert hits.doc_ids.shape == hits.scores.shape == hits.ids.shape == (3, 3) and hits.ndim == 2
    assert hits.n_hits.tolist() == [2, 0, 3] and len(hits) == 3
    assert hits.doc_ids[0].tolist() == [2, 0, -1] and hits.doc_ids[1].tolist() == [-1] * 3
    assert hits.ids[0].tolist() == [names[2], names[0], missing] and hits.ids[1].tolist() == [missing] * 3
    assert hits.scores[0, 2] == -np.inf
    assert (
        hits[0].to_list() == ix.search(["b"], 3).to_list() and hits[-1].to_list() == ix.search(["a", "c"], 3).to_list()
    )
    assert [len(row) for row in hits] == [2, 0, 3]
    assert hits.to_list() == [row.to_list() for row in hits]
    assert hits[1:].n_hits.tolist() == [0, 3] and hits[1:][1].to_list() == hits[2].to_list()
    for outside in (3, -4):
        with pytest.raises(IndexError, match=f"^index: expected a query of the 3 in the batch, got {outside}$"):
            hits[outside]
    assert repr(hits) == "Hits(3 queries, k=3)"


def test_more_than_there_are(ix: Index) -> None:
    assert len(ix.search(["a"], 10**30)) == 2
    assert ix.search_batch([["a"]], 100).doc_ids.shape == (1, 100)
    assert ix.search_batch([], 5).doc_ids.shape == (0, 5)


def test_run(ix: Index) -> None:
    names = [str(name) for name in ix.ids.tolist()]
    one, batch = ix.search(["b"]), ix.search_batch([["b"], []])
    assert one.to_run() == {"0": {names[2]: one.scores[0], names[0]: one.scores[1]}}
    assert batch.to_run(["q1", 2]) == {"q1": one.to_run()["0"], "2": {}}
    for wrong, error in ((["q"], ValueError), (["q", "q"], ValueError), ("ab", TypeError), (iter("ab"), TypeError)):
        with pytest.raises(error, match="query_ids: expected"):
            batch.to_run(wrong)  # type: ignore[arg-type]


def test_trec(tmp_path: Path) -> None:
    ix = Index.build(DOCUMENTS, analyzer=None, ids=list("wxyz"))
    hits = ix.search_batch([["b"], ["a"]], 1)
    hits.to_trec(tmp_path / "run.txt", "test", ["q1", "q2"])
    lines = [line.split() for line in (tmp_path / "run.txt").read_text().splitlines()]
    assert [line[:4] for line in lines] == [["q1", "Q0", "y", "1"], ["q2", "Q0", "x", "1"]]
    # The score reads back as the very same float32.
    assert [np.float32(line[4]) for line in lines] == hits.scores[:, 0].tolist()
    assert {line[5] for line in lines} == {"test"}
    text = io.StringIO()
    hits.to_trec(text, "test", ["q1", "q2"])
    assert text.getvalue() == (tmp_path / "run.txt").read_text()


@pytest.mark.parametrize(
    ("run", "query_ids", "ids"),
    [("a b", ["q"], "wxyz"), ("", ["q"], "wxyz"), ("r", ["q 1"], "wxyz"), ("r", ["q"], ["x x", *"abc"])],
)
def test_trec_refuses_white_space(tmp_path: Path, run: str, query_ids: Any, ids: Any) -> None:
    hits = Index.build(DOCUMENTS, analyzer=None, ids=list(ids)).search(["a"])
    with pytest.raises(ValueError, match="expected words without white space"):
        hits.to_trec(tmp_path / "run.txt", run, query_ids)
    assert list(tmp_path.iterdir()) == []


def test_trec_replaces_only_when_done(tmp_path: Path) -> None:
    hits = Index.build(DOCUMENTS, analyzer=None).search(["a"])
    with pytest.raises(FileNotFoundError, match="/nowhere/run[.]txt'$"):
        hits.to_trec(tmp_path / "nowhere" / "run.txt", "test")
    hits.to_trec(tmp_path / "run.txt", "one")
    hits.to_trec(tmp_path / "run.txt", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["run.txt"]
    assert "two" in (tmp_path / "run.txt").read_text()


def test_results_own_their_memory() -> None:
    ix = Index.build(DOCUMENTS, analyzer=None, ids=[5, 6, 7, 8])
    hits = ix.search(["a"])
    hits.ids[:] = 0
    hits.doc_ids[:] = 3
    ids = ix.ids
    ids[:] = 0
    assert isinstance(hits, Hits) and ix.search(["a"]).ids.tolist() == [6, 5] and ix.ids.tolist() == [5, 6, 7, 8]
