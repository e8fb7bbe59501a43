"""What a search found."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, overload

import numpy as np
from numpy.typing import NDArray

from .._validation import describe
from .keys import Keys


class Hits:
    """Documents that were found, best first: of one query (1-D), or of a batch of queries (2-D).

    Equal scores are ordered by ascending doc_id. A batch is padded where a query has fewer than k hits: doc_id -1, id
    -1 (None where ids are str), score -inf.

    Attributes
    ----------
    doc_ids : ndarray of int64, shape (n_hits,) or (n_queries, k)
        The documents' numbers, in the order in which they were indexed.
    scores : ndarray of the index's dtype, same shape
        Their scores.
    ids : ndarray of int64 or of str objects, same shape
        Their ids; made when first asked for.
    n_hits : int, or ndarray of int64, shape (n_queries,)
        How many documents each query found.

    Examples
    --------
    >>> import likewise as lw
    >>> ix = lw.search.Index.build(["wing flow", "heat flow", "plates"], ids=["a", "b", "c"])
    >>> hits = ix.search("wing flow")
    >>> hits.ids.tolist(), hits.doc_ids.tolist()
    (['a', 'b'], [0, 1])
    >>> for id, score in hits:
    ...     print(id, round(score, 4))
    a 0.6096
    b 0.1975
    """

    __slots__ = ("_ids", "_keys", "_n_hits", "doc_ids", "scores")

    def __init__(
        self,
        doc_ids: NDArray[np.int64],
        scores: NDArray[Any],
        keys: Keys,
        n_hits: NDArray[np.int64] | None = None,
    ) -> None:
        self.doc_ids = doc_ids
        self.scores = scores
        self._keys = keys
        self._n_hits = n_hits
        self._ids: NDArray[Any] | None = None

    @property
    def ids(self) -> NDArray[Any]:
        """The documents' ids; made when first asked for."""
        if self._ids is None:
            self._ids = self._keys.take(self.doc_ids)
        return self._ids

    @property
    def n_hits(self) -> Any:
        """How many documents were found: an int, or int64[n_queries] of a batch."""
        return len(self.doc_ids) if self._n_hits is None else self._n_hits

    @property
    def ndim(self) -> int:
        """1 for one query, 2 for a batch."""
        return self.doc_ids.ndim

    def __len__(self) -> int:
        return len(self.doc_ids)

    def __iter__(self) -> Iterator[Any]:
        """Over (id, score) of one query, or over the `Hits` of each query of a batch."""
        if self._n_hits is None:
            return zip(self.ids.tolist(), self.scores.tolist(), strict=True)
        return (self._row(i) for i in range(len(self)))

    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    @overload
    def __getitem__(self, index: int) -> Any: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The hits of query `index` of a batch, or (id, score) of hit `index`; a slice gives `Hits`."""
        if isinstance(index, slice):
            n_hits = None if self._n_hits is None else self._n_hits[index]
            return Hits(self.doc_ids[index], self.scores[index], self._keys, n_hits)
        if self._n_hits is not None:
            n = len(self)
            position = operator.index(index)
            if not -n <= position < n:
                raise IndexError(f"index: expected a query of the {n} in the batch, got {position}")
            return self._row(position % n)
        return self._keys.key(int(self.doc_ids[index])), self.scores[index].item()

    def _row(self, i: int) -> Hits:
        assert self._n_hits is not None
        n = int(self._n_hits[i])
        return Hits(self.doc_ids[i, :n], self.scores[i, :n], self._keys)

    def __repr__(self) -> str:
        if self._n_hits is not None:
            return f"Hits({len(self)} queries, k={self.doc_ids.shape[1]})"
        shown = [f"({key!r}, {score:.6g})" for key, score in self[:5]]
        return f"Hits([{', '.join(shown)}{f', ... {len(self) - 5} more' if len(self) > 5 else ''}])"

    def to_list(self) -> list[Any]:
        """Plain Python: [(id, score), ...] of one query, a list of these of a batch."""
        return list(self) if self._n_hits is None else [list(row) for row in self]

    def to_run(self, query_ids: Sequence[Any] | None = None) -> dict[str, dict[str, float]]:
        """{query id: {document id: score}}, as pytrec_eval and ir_measures take it; all ids become str.

        Parameters
        ----------
        query_ids : sequence, optional
            One unique id a query; without it the queries' positions, from "0".
        """
        names = self._query_names(query_ids)
        rows = [self] if self._n_hits is None else list(self)
        return {name: {str(key): score for key, score in row} for name, row in zip(names, rows, strict=True)}

    def to_trec(self, path: str | os.PathLike[str] | TextIO, run: str, query_ids: Sequence[Any] | None = None) -> None:
        """Write a run in the format of TREC: ``query Q0 document rank score run``, ranks from 1.

        Parameters
        ----------
        path : path or text file
            Where to write; a file of that name is replaced when all lines are written.
        run : str
            The run's name.
        query_ids : sequence, optional
            One unique id a query; without it the queries' positions, from "0".

        Raises
        ------
        ValueError
            If a name or an id is empty or holds white space: the format separates by it.
        """
        names = self._query_names(query_ids)
        for argument, values in (("run", [run]), ("query_ids", names)):
            for value in values:
                _check_word(value, argument)
        rows = [self] if self._n_hits is None else list(self)
        lines = []
        for name, row in zip(names, rows, strict=True):
            # str of a numpy scalar: the shortest text that reads back as the same number
            for rank, (key, score) in enumerate(zip(row.ids.tolist(), row.scores, strict=True), 1):
                lines.append(f"{name} Q0 {_check_word(str(key), 'ids')} {rank} {score!s} {run}\n")
        if hasattr(path, "write"):
            path.write("".join(lines))
            return
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_text("".join(lines), encoding="utf-8")
            part.replace(target)
        except OSError as error:  # the caller knows the file by its own name
            part.unlink(missing_ok=True)
            raise type(error)(error.errno, error.strerror, str(target)) from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _query_names(self, query_ids: Sequence[Any] | None) -> list[str]:
        n = 1 if self._n_hits is None else len(self)
        if query_ids is None:
            return [str(i) for i in range(n)]
        if isinstance(query_ids, str) or not hasattr(query_ids, "__len__"):
            raise TypeError(f"query_ids: expected a sequence of ids, got {describe(query_ids)}")
        names = [str(name) for name in query_ids]
        if len(names) != n or len(set(names)) != n:
            raise ValueError(f"query_ids: expected {n} unique ids, got {len(names)} ({len(set(names))} distinct)")
        return names


def _check_word(value: str, argument: str) -> str:
    if not isinstance(value, str) or value.split() != [value]:
        raise ValueError(f"{argument}: expected words without white space, got {describe(value)}")
    return value
