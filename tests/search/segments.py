"""Small segments made by plain Python, and a plain reader of them: what the stored integers mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise import _core

Arrays = dict[str, NDArray[Any]]

PARAMETERS: dict[str, Any] = {
    "variant": "lucene", "k1": 1.2, "b": 0.75, "delta": None, "k3": None, "nonoccurrence": True, "dtype": "float32",
    "analyzer": None, "n_overlong": 0, "key_kind": "none", "stored": False,
}  # fmt: skip


def strings(values: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    encoded = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.uint64)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8).copy()


def make_segment(
    documents: Sequence[Sequence[str]],
    *,
    keys: Sequence[str] | Sequence[int] | None = None,
    texts: bool = False,
    forms: bool = False,
) -> tuple[Arrays, dict[str, Any], dict[str, int]]:
    """(arrays, parameters, statistics) of documents given as tokens."""
    counts = [Counter(tokens) for tokens in documents]
    terms = sorted({term for count in counts for term in count}, key=str.encode)
    lists: dict[str, list[tuple[int, int]]] = {term: [] for term in terms}
    for d, count in enumerate(counts):
        for term, tf in count.items():
            lists[term].append((d, tf))
    postings = list(lists.values())
    frequencies = [tf for posting in postings for _, tf in posting]
    large = [i for i, tf in enumerate(frequencies) if tf >= 255]
    term_offsets, term_bytes = strings(terms)
    arrays: Arrays = {
        "document_lengths": np.array([len(tokens) for tokens in documents], np.uint32),
        "posting_offsets": np.cumsum([0, *map(len, postings)]).astype(np.uint64),
        "posting_documents": np.array([d for posting in postings for d, _ in posting], np.uint32),
        "posting_frequencies": np.array([min(tf, 255) for tf in frequencies], np.uint8),
        "large_positions": np.array(large, np.uint64),
        "large_frequencies": np.array([frequencies[i] for i in large], np.uint32),
        "term_offsets": term_offsets,
        "term_bytes": term_bytes,
        "term_slots": _core.search.pack_strings(terms)[2],
    }
    parameters = dict(PARAMETERS)
    if texts:
        arrays["text_offsets"], arrays["text_bytes"] = strings([" ".join(tokens) for tokens in documents])
        parameters["stored"] = True
    if forms:
        arrays["form_offsets"], arrays["form_bytes"] = strings([term + "s" for term in terms])
    if keys is not None and all(isinstance(key, str) for key in keys):
        offsets, bytes_, slots, _ = _core.search.pack_strings(list(keys))
        arrays |= {"key_offsets": offsets, "key_bytes": bytes_, "key_slots": slots}
        parameters["key_kind"] = "str"
    elif keys is not None:
        arrays["key_values"] = np.array(keys, np.int64)
        arrays["key_slots"] = _core.search.hash_integers(arrays["key_values"])[0]
        parameters["key_kind"] = "int"
    statistics = {
        "n_docs": len(documents),
        "n_terms": len(terms),
        "n_postings": len(frequencies),
        "n_tokens": int(arrays["document_lengths"].sum()),
    }
    return arrays, parameters, statistics


def reference_scores(arrays: Arrays, term: str, k1: float = 1.2, b: float = 0.75) -> list[float]:
    """The lucene scores of all documents for a query of one term, read from the stored integers."""
    lengths = arrays["document_lengths"].tolist()
    offsets = arrays["term_offsets"].tolist()
    content = arrays["term_bytes"].tobytes()
    terms = [content[begin:end] for begin, end in pairwise(offsets)]
    scores = [0.0] * len(lengths)
    if term.encode() not in terms:
        return scores
    t = terms.index(term.encode())
    begin, end = arrays["posting_offsets"].tolist()[t : t + 2]
    large = dict(zip(arrays["large_positions"].tolist(), arrays["large_frequencies"].tolist(), strict=True))
    n, df = len(lengths), end - begin
    idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
    mean = sum(lengths) / n if n else 0.0
    for i in range(begin, end):
        d, tf = int(arrays["posting_documents"][i]), large.get(i, int(arrays["posting_frequencies"][i]))
        # A hostile file may claim a length of 0 for a document that has postings, and any mean.
        norm = 1 - b + (b * lengths[d] / mean if mean else 0.0)
        scores[d] = idf * tf / (tf + k1 * norm)
    return scores
