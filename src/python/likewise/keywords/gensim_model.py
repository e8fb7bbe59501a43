"""Reads gensim models by their attributes; gensim itself is not imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_bool, check_choice, describe
from .negative_sampling import NegativeSamplingKeywords
from .texts import offsets
from .tree import Word2VecKeywords


def read(model: Any, output: str, copy: bool) -> Word2VecKeywords | NegativeSamplingKeywords:
    """The model of the kind that `output` names, or the first that there is."""
    check_choice(output, "output", ("auto", "hs", "ns"))
    check_bool(copy, "copy")
    vectors = getattr(model, "wv", None)
    if vectors is None or not hasattr(model, "sg"):
        raise TypeError(
            f"model: expected a gensim Word2Vec model, got {describe(model)} [KeyedVectors have no output layer]"
        )
    if not model.sg:
        raise ValueError("model: expected a skip-gram model, got CBOW [train with Word2Vec(sg=1, hs=1, negative=0)]")
    has = {"hs": bool(model.hs) and hasattr(model, "syn1"), "ns": model.negative > 0 and hasattr(model, "syn1neg")}
    if output == "auto":
        output = "hs" if has["hs"] else "ns"
    if not has[output]:
        wanted = "hs=1, negative=0" if output == "hs" or not has["hs"] else "hs=0, negative=5"
        raise ValueError(
            f"model: expected one trained with output {output!r}, got hs={model.hs}, negative={model.negative} "
            f"[train with Word2Vec(sg=1, {wanted})]"
        )
    words = list(vectors.index_to_key)
    counts = np.array([vectors.get_vecattr(i, "count") for i in range(len(words))], np.int64)
    x, outputs = vectors.vectors, model.syn1 if output == "hs" else model.syn1neg
    if copy:
        x, outputs = x.copy(), outputs.copy()
    if output == "ns":
        return NegativeSamplingKeywords(x, outputs, words, counts=counts, ns_exponent=float(model.ns_exponent))
    codes = [np.asarray(vectors.get_vecattr(i, "code"), np.uint8) for i in range(len(words))]
    points = [np.asarray(vectors.get_vecattr(i, "point"), np.uint32) for i in range(len(words))]
    return Word2VecKeywords(
        x, outputs, offsets(codes), np.concatenate(points), np.concatenate(codes), words, counts=counts
    )
