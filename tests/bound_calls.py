"""A canonical call of every function of the extension module, for the tests of the wall of the binding.

The table names each bound function once, by a factory: the kinds of its arguments follow from the canonical values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise import _core

Call = tuple[Callable[..., Any], dict[str, Any]]

FLAGS = dict(words="unicode", lowercase=True, cjk="bigram", min_length=1, max_length=64, stopwords=["the"])
SCORING = dict(variant="lucene", k1=1.2, b=0.75, delta=0.0, nonoccurrence=True, float64=False, full=True)
DOCUMENTS = ["a b a é", "b c " + "b " * 300, "a c c d", "", "漢字 a"]


def scanner() -> Any:
    made = _core.search.Scanner(_core.search.Analyzer(**FLAGS))
    made.scan(DOCUMENTS, 0, n_parts=1, first_position=0, argument="documents", store=None)
    return made


def segment() -> dict[str, Any]:
    scanned, builder = scanner(), _core.search.Builder()
    builder.add(scanned, None)
    return {k: v for k, v in builder.finish(scanned).items() if not k.startswith("form")}


def validate(**arguments: Any) -> Any:
    arrays = {k: v for k, v in arguments.items() if k not in SCORING}
    return _core.search.Index.validate(arrays, **{k: v for k, v in arguments.items() if k in SCORING})


INDEX = validate(**segment(), **SCORING)
PACKED = _core.search.pack_strings(["x", "yé", "zz"])
STRINGS = dict(offsets=PACKED[0], bytes=PACKED[1])
TABLE = dict(**STRINGS, slots=PACKED[2])
VALUES = np.array([5, -7, 2**40], np.int64)
INTEGERS = dict(values=VALUES, slots=_core.search.hash_integers(VALUES)[0])
QUERY = dict(terms=np.array([0, 1, 2], np.uint32), weights=np.array([1.0, 2.0, 0.5]))
QUERIES = dict(indptr=np.array([0, 2, 3], np.int64), **QUERY)
IDS = np.array([0, 2, 4], np.int64)
N = len(DOCUMENTS)


class Arrow:
    """Texts without any library: stands where an Arrow producer is expected and is none."""


def arrow_stream() -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.chunked_array([pyarrow.array(["a b", "c"])]).__arrow_c_stream__()


def arrow_reader() -> Any:
    arguments = dict(fields=None, id_field=None, argument="documents", null_hint="")
    return _core.search.ArrowReader.from_stream(arrow_stream(), **arguments)


def arrow_arrays() -> dict[str, Any]:
    pyarrow = pytest.importorskip("pyarrow")
    schema, array = pyarrow.array(["a b", "c"]).__arrow_c_array__()
    return dict(schema=schema, array=array)


PROJECTION = _core.projection.Projection("sjlt", 6, 16, 7, nnz=4)
ROWS = np.arange(18, dtype=np.float32).reshape(3, 6)
CODES = np.array([[1, 2], [3, 255], [0, 7]], np.uint8)
CSR = dict(indptr=np.array([0, 2, 3], np.int32), indices=np.array([0, 5, 2], np.int32), data=np.ones(3))

# Two problems end to end: 2 x 3 and 1 x 1.
EXACT = dict(
    n_rows=np.array([2, 1], np.int64),
    n_columns=np.array([3, 1], np.int64),
    a=np.array([0.5, 0.5, 1.0]),
    b=np.array([0.25, 0.25, 0.5, 1.0]),
    cost=np.arange(7.0),
)

LINES = dict(x=np.arange(6.0).reshape(2, 3), y=np.arange(4.0).reshape(2, 2), a=np.full((2, 3), 1 / 3))
WORDS = np.array([[0.5, -0.5, 1.0], [1.0, 1.5, 0.0], [-1.0, 0.0, 0.25], [0.0, 2.0, 0.0]])
BAGS = dict(
    vectors=WORDS,
    terms=np.array([2, 0], np.int32),
    indptr=np.array([0, 1, 1, 3], np.int64),
    words=np.array([1, 0, 1], np.int32),
    weights=np.array([1.0, 0.25, 0.75]),
)


def emo_arguments() -> dict[str, Any]:
    return dict(
        logits=ROWS,
        rows=np.array([0, 1, -1], np.int64),
        targets=np.array([5, 0, 2], np.int64),
        soft_targets=np.full((3, 6), 1 / 6, np.float32),
        cosines=ROWS[:2],
        cached=ROWS[1:],
        inverse_norms=np.ones(6, np.float32),
        mixing="balanced",
        alpha=1.0,
        beta=1.0,
        scale=1.0,
        out=np.zeros((3, 6), np.float32),
        n_threads=1,
    )


WEIGHTS = dict(a=np.array([0.5, 0.25, 0.25]), b=np.array([0.75, 0.25]))
X, Y = np.arange(12.0).reshape(3, 4), np.arange(8.0)[::-1].reshape(2, 4).copy()
MATRIX = dict(cost=np.arange(6.0).reshape(3, 2), x=None, y=None, metric="sqeuclidean")
BATCH = dict(**EXACT, x=None, y=None, metric="sqeuclidean")
PLAN = dict(f=np.array([0.5, 0.0, 0.25]), g=np.array([0.5, -0.5]), **WEIGHTS, epsilon=2.0)


def sinkhorn(cost: dict[str, Any]) -> dict[str, Any]:
    start = dict(f=np.zeros(3), g=np.zeros(2), history=np.zeros(51))
    options = dict(epsilon=2.0, rho_a=1.0, rho_b=2.0, tol=1e-9, max_iter=50, method="log", anderson=3, n_threads=1)
    return {**WEIGHTS, **cost, **start, **options}


# Four words: a = 1, b = 01, c = 001, d = 000.
PATHS = dict(
    path_ptr=np.array([0, 1, 3, 6, 9], np.int64),
    path_node=np.array([2, 2, 1, 2, 1, 0, 2, 1, 0], np.uint32),
    path_code=np.array([1, 0, 1, 0, 0, 1, 0, 0, 0], np.uint8),
)
SOFTMAX = dict(vectors=WORDS, output_vectors=WORDS, bias=np.zeros(4))
KEYWORD_TEXTS = dict(
    text_ptr=np.array([0, 2, 2], np.int64),
    words=np.array([1, 0], np.int64),
    counts=np.array([2.0, 1.0]),
    candidate_ptr=np.array([0, 1, 3], np.int64),
    candidates=np.array([3, 0, 1], np.int64),
)


def decoding_filter() -> dict[str, Any]:
    return dict(
        temperature=np.array([0.7]),
        top_k=np.array([3], np.int64),
        top_p=np.array([0.9]),
        min_p=np.array([0.01]),
        typical_p=np.array([0.99]),
        eos=np.array([2, 4], np.int64),
        consistent=True,
        epsilon=0.1,
        start=1,
        skip_masked=False,
    )


STEPS = np.array([0, 1, 4], np.int64)


def loop_detector() -> Any:
    return _core.decoding.LoopDetector(4, 2, 2, 3)


def bfloat16_capsule() -> Any:
    torch = pytest.importorskip("torch")
    return torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).T.__dlpack__()


def keyword_tree() -> Any:
    return _core.keywords.Tree(WORDS, WORDS[:3], **PATHS)


def keyword_scores(model: Any) -> Call:
    return model.scores, dict(**KEYWORD_TEXTS, self_term=True, out=np.zeros(3), n_threads=1)


def keyword_log_probabilities(model: Any) -> Call:
    return model.log_probabilities, dict(
        of=np.array([0, 3], np.int64), given=np.array([1, 1], np.int64), out=np.zeros(2), n_threads=1
    )


ARROW = dict(fields=None, id_field=None, argument="documents", null_hint="")
CALLS: dict[str, Callable[[], Call]] = {
    "decoding.Filter.__init__": lambda: (_core.decoding.Filter, decoding_filter()),
    "decoding.LoopDetector.__init__": lambda: (
        _core.decoding.LoopDetector,
        dict(max_period=4, repeats=2, min_len=3, n_rows=2),
    ),
    "decoding.LoopDetector.push": lambda: (
        loop_detector().push,
        dict(tokens=np.array([1, -1, 7], np.int64), active=np.array([1, 0, 1], np.uint8), out=np.zeros(3, np.int64)),
    ),
    "decoding.LoopDetector.reorder": lambda: (loop_detector().reorder, dict(index=np.array([2, 0], np.int64))),
    "decoding.LoopDetector.reset": lambda: (loop_detector().reset, dict(rows=np.array([2, 0], np.int64))),
    "decoding.bfloat16_bits": lambda: (_core.decoding.bfloat16_bits, dict(capsule=bfloat16_capsule())),
    "decoding.filter_logits": lambda: (
        _core.decoding.filter_logits,
        dict(
            filter=_core.decoding.Filter(**decoding_filter()),
            logits=ROWS,
            steps=STEPS,
            normalize=False,
            out=np.zeros((3, 6), np.float32),
            n_threads=1,
        ),
    ),
    "decoding.sample": lambda: (
        _core.decoding.sample,
        dict(
            filter=_core.decoding.Filter(**decoding_filter()),
            logits=ROWS,
            steps=STEPS,
            u=np.array([0.5, 0.25, 0.75]),
            out=np.zeros(3, np.int64),
            report=True,
            n_threads=1,
        ),
    ),
    "decoding.uniforms": lambda: (
        _core.decoding.uniforms,
        dict(seed=7, row_ids=np.array([0, 5, -1], np.int64), steps=STEPS, out=np.zeros(3)),
    ),
    "dispatch.available_threads": lambda: (_core.dispatch.available_threads, {}),
    "dispatch.build": lambda: (_core.dispatch.build, {}),
    "dispatch.level": lambda: (_core.dispatch.level, {}),
    "dispatch.levels": lambda: (_core.dispatch.levels, {}),
    "keywords.Softmax.__init__": lambda: (_core.keywords.Softmax, SOFTMAX),
    "keywords.Softmax.log_probabilities": lambda: keyword_log_probabilities(_core.keywords.Softmax(**SOFTMAX)),
    "keywords.Softmax.scores": lambda: keyword_scores(_core.keywords.Softmax(**SOFTMAX)),
    "keywords.Tree.__init__": lambda: (_core.keywords.Tree, dict(vectors=WORDS, theta=WORDS[:3], **PATHS)),
    "keywords.Tree.log_probabilities": lambda: keyword_log_probabilities(keyword_tree()),
    "keywords.Tree.scores": lambda: keyword_scores(keyword_tree()),
    "projection.Projection.__init__": lambda: (
        _core.projection.Projection,
        dict(method="sjlt", n_features=6, n_components=16, seed=7, nnz=4, density=0.0),
    ),
    "projection.Projection.rows": lambda: (PROJECTION.rows, dict(first=2, out=np.zeros((3, 16), np.float32))),
    "projection.Projection.transform": lambda: (
        PROJECTION.transform,
        dict(X=ROWS, out=np.zeros((3, 16), np.float32), n_threads=1),
    ),
    "projection.Projection.transform_csr": lambda: (
        PROJECTION.transform_csr,
        dict(**CSR, out=np.zeros((2, 16)), n_threads=1),
    ),
    "projection.hamming": lambda: (
        _core.projection.hamming,
        dict(A=CODES, B=CODES[:2].copy(), out=np.zeros((3, 2), np.int32), n_threads=1),
    ),
    "projection.simhash": lambda: (
        _core.projection.simhash,
        dict(projection=PROJECTION, X=ROWS, out=np.zeros((3, 2), np.uint8), n_threads=1),
    ),
    "whitening.centre": lambda: (
        _core.whitening.centre,
        dict(X=ROWS, mean=ROWS[1].copy(), rest=ROWS[0].copy(), out=np.zeros((3, 6), np.float32)),
    ),
    "search.Analyzer.__init__": lambda: (_core.search.Analyzer, FLAGS),
    "search.Analyzer.forms": lambda: (_core.search.Analyzer(**FLAGS).forms, {"text": "A b"}),
    "search.Analyzer.normalise": lambda: (_core.search.Analyzer(**FLAGS).normalise, {"tokens": ["A", "b"]}),
    "search.Analyzer.pieces": lambda: (_core.search.Analyzer(**FLAGS).pieces, {"text": "A b"}),
    "search.Analyzer.tokens": lambda: (_core.search.Analyzer(**FLAGS).tokens, {"text": "A b"}),
    "search.ArrowReader.add_up": lambda: (arrow_reader().add_up, {}),
    "search.ArrowReader.from_array": lambda: (_core.search.ArrowReader.from_array, {**arrow_arrays(), **ARROW}),
    "search.ArrowReader.from_stream": lambda: (
        _core.search.ArrowReader.from_stream,
        {"stream": arrow_stream(), **ARROW},
    ),
    "search.ArrowReader.read": lambda: (arrow_reader().read, {"first_position": 0}),
    "search.ArrowReader.scan": lambda: (
        arrow_reader().scan,
        {"scanner": scanner(), "first_position": 0, "store": _core.search.TextStore()},
    ),
    "search.Builder.__init__": lambda: (_core.search.Builder, {}),
    "search.Builder.add": lambda: (
        _core.search.Builder().add,
        {"scanner": (s := scanner()), "terms": ["t"] * s.n_forms},
    ),
    "search.Builder.finish": lambda: (_core.search.Builder().finish, {"scanner": scanner()}),
    "search.Index.baseline": lambda: (INDEX.baseline, QUERY),
    "search.Index.check": lambda: (INDEX.check, {}),
    "search.Index.document_frequency": lambda: (INDEX.document_frequency, {"term": 1}),
    "search.Index.document_length": lambda: (INDEX.document_length, {"document": 1}),
    "search.Index.find_terms": lambda: (INDEX.find_terms, {"tokens": ["a", "unknown"]}),
    "search.Index.idf": lambda: (INDEX.idf, {"term": 1}),
    "search.Index.keywords": lambda: (INDEX.keywords, dict(document=0, n=3, min_df=1.0, max_df=9.0)),
    "search.Index.make_queries": lambda: (INDEX.make_queries, {"queries": [["a"], ["b", "a"]], "k3": -1.0}),
    "search.Index.make_query": lambda: (INDEX.make_query, {"tokens": ["a", "b"], "k3": -1.0}),
    "search.Index.posting": lambda: (INDEX.posting, {"term": 0, "document": 0}),
    "search.Index.related": lambda: (
        INDEX.related,
        dict(documents=IDS, k=2, full=True, n_keywords=3, min_df=1.0, max_df=9.0, k3=-1.0, n_threads=2),
    ),
    "search.Index.score_all": lambda: (INDEX.score_all, dict(**QUERY, out=np.zeros(N, np.float32))),
    "search.Index.score_batch": lambda: (
        INDEX.score_batch,
        dict(**QUERIES, out=np.zeros((2, N), np.float32), n_threads=1),
    ),
    "search.Index.score_some": lambda: (
        INDEX.score_some,
        dict(**QUERY, documents=IDS, out=np.zeros(3, np.float32)),
    ),
    "search.Index.score_some_batch": lambda: (
        INDEX.score_some_batch,
        dict(**QUERIES, documents=IDS, out=np.zeros((2, 3), np.float32), n_threads=2),
    ),
    "search.Index.search": lambda: (INDEX.search, dict(**QUERY, k=2, exhaustive=False, excluded=-1, n_threads=1)),
    "search.Index.search_batch": lambda: (INDEX.search_batch, dict(**QUERIES, k=2, exhaustive=False, n_threads=2)),
    "search.Index.search_tokens": lambda: (
        INDEX.search_tokens,
        dict(tokens=["a", "b"], k3=-1.0, k=2, exhaustive=False),
    ),
    "search.Index.term": lambda: (INDEX.term, {"term": 1}),
    "search.Index.validate": lambda: (validate, {**segment(), **SCORING}),
    "search.Index.warm": lambda: (INDEX.warm, {"n_threads": 1}),
    "search.IntegerTable.__init__": lambda: (_core.search.IntegerTable, {**INTEGERS, "name": "key"}),
    "search.IntegerTable.check": lambda: (_core.search.IntegerTable(**INTEGERS, name="key").check, {}),
    "search.IntegerTable.find": lambda: (_core.search.IntegerTable(**INTEGERS, name="key").find, {"key": 5}),
    "search.IntegerTable.find_all": lambda: (
        _core.search.IntegerTable(**INTEGERS, name="key").find_all,
        {"keys": np.array([5, 6], np.int64)},
    ),
    "search.Scanner.__init__": lambda: (_core.search.Scanner, {"analyzer": _core.search.Analyzer(**FLAGS)}),
    "search.Scanner.forms": lambda: (scanner().forms, {"first": 1}),
    "search.Scanner.scan": lambda: (
        scanner().scan,
        dict(texts=["a", "b c"], start=0, n_parts=1, first_position=0, argument="documents", store=None),
    ),
    "search.Scanner.scan_tokens": lambda: (
        scanner().scan_tokens,
        dict(documents=[["a"], ["b", "c"]], start=0, first_position=0, argument="documents"),
    ),
    "search.Scanner.take": lambda: (scanner().take, {}),
    "search.StringList.__init__": lambda: (_core.search.StringList, {**STRINGS, "size": 3, "name": "text"}),
    "search.StringList.check": lambda: (_core.search.StringList(**STRINGS, size=3, name="text").check, {}),
    "search.StringList.get": lambda: (_core.search.StringList(**STRINGS, size=3, name="text").get, {"number": 1}),
    "search.StringList.take": lambda: (
        _core.search.StringList(**STRINGS, size=3, name="text").take,
        {"numbers": np.array([0, 2], np.int64)},
    ),
    "search.StringTable.__init__": lambda: (_core.search.StringTable, {**TABLE, "name": "key"}),
    "search.StringTable.check": lambda: (_core.search.StringTable(**TABLE, name="key").check, {}),
    "search.StringTable.find": lambda: (_core.search.StringTable(**TABLE, name="key").find, {"key": "x"}),
    "search.StringTable.find_all": lambda: (
        _core.search.StringTable(**TABLE, name="key").find_all,
        {"keys": ["x", "q"]},
    ),
    "search.StringTable.get": lambda: (_core.search.StringTable(**TABLE, name="key").get, {"number": 1}),
    "search.StringTable.take": lambda: (
        _core.search.StringTable(**TABLE, name="key").take,
        {"numbers": np.array([0, 2], np.int64)},
    ),
    "search.TextStore.__init__": lambda: (_core.search.TextStore, {}),
    "search.TextStore.add": lambda: (
        _core.search.TextStore().add,
        dict(texts=["a"], first_position=0, argument="documents"),
    ),
    "search.TextStore.finish": lambda: (_core.search.TextStore().finish, {}),
    "search.add_up": lambda: (_core.search.add_up, {"texts": ["a", "b c"]}),
    "search.hash_integers": lambda: (_core.search.hash_integers, {"values": VALUES}),
    "search.pack_strings": lambda: (_core.search.pack_strings, {"strings": ["x", "y"]}),
    "transport.DocumentIndex.__init__": lambda: (_core.transport.DocumentIndex, BAGS),
    "transport.DocumentIndex.search": lambda: (
        _core.transport.DocumentIndex(**BAGS).search,
        dict(words=np.array([3, 0], np.int64), counts=np.array([1.0, 2.0]), k=2, n_threads=1),
    ),
    "transport.document_distance": lambda: (
        _core.transport.document_distance,
        dict(
            kind="word_movers",
            vectors=WORDS,
            words_a=np.array([0, 1, 0], np.int64),
            counts_a=np.array([1.0, 2.0, 0.5]),
            words_b=np.array([2, 3], np.int64),
            counts_b=np.array([1.0, 0.0]),
            normalize=True,
        ),
    ),
    "transport.emo": lambda: (_core.transport.emo, emo_arguments()),
    "transport.row_squares": lambda: (_core.transport.row_squares, dict(X=ROWS, out=np.zeros(3), n_threads=1)),
    "transport.cost_statistics": lambda: (_core.transport.cost_statistics, dict(**WEIGHTS, **MATRIX, n_threads=1)),
    "transport.cost_statistics_batch": lambda: (
        _core.transport.cost_statistics_batch,
        dict(**BATCH, n_threads=1),
    ),
    "transport.emd": lambda: (_core.transport.emd, dict(**EXACT, max_iter=100, n_threads=1)),
    "transport.least_slack": lambda: (
        _core.transport.least_slack,
        dict(potential=PLAN["f"], **MATRIX, out=np.zeros(2), transpose=False, n_threads=1),
    ),
    "transport.mean_cost": lambda: (_core.transport.mean_cost, dict(**WEIGHTS, **MATRIX, n_threads=1)),
    "transport.plan_apply": lambda: (
        _core.transport.plan_apply,
        dict(**PLAN, **MATRIX, v=np.ones((2, 2)), out=np.zeros((3, 2)), transpose=False, n_threads=1),
    ),
    "transport.plan_rows": lambda: (
        _core.transport.plan_rows,
        dict(**PLAN, **MATRIX, i0=1, i1=3, out=np.zeros((2, 2)), n_threads=1),
    ),
    "transport.plan_sums": lambda: (
        _core.transport.plan_sums,
        dict(
            **PLAN,
            **MATRIX,
            alpha=np.ones(3),
            beta=np.ones(2),
            left=np.zeros(3),
            right=np.zeros(2),
            rows=np.zeros(3),
            columns=np.zeros(2),
            n_threads=1,
        ),
    ),
    "transport.point_gradient": lambda: (
        _core.transport.point_gradient,
        dict(**PLAN, x=X, y=Y, metric="cosine", out=np.zeros((3, 4)), n_threads=1),
    ),
    "transport.sinkhorn": lambda: (_core.transport.sinkhorn, sinkhorn(MATRIX)),
    "transport.sinkhorn_batch": lambda: (
        _core.transport.sinkhorn_batch,
        dict(
            **BATCH,
            epsilon=np.array([1.0, 2.0]),
            f=np.zeros(3),
            g=np.zeros(4),
            tol=1e-9,
            max_iter=50,
            method="auto",
            anderson=3,
            n_threads=1,
        ),
    ),
    "transport.soft_min": lambda: (
        _core.transport.soft_min,
        dict(potential=np.zeros(2), **MATRIX, epsilon=0.5, out=np.zeros(3), transpose=False, n_threads=1),
    ),
    "transport.sorted_transport": lambda: (
        _core.transport.sorted_transport,
        dict(**LINES, b=None, p=2.0, scale=1.0),
    ),
    "transport.prepare_vectors": lambda: (
        _core.transport.prepare_vectors,
        dict(vectors=WORDS, normalize=False, out=np.zeros((4, 3)), n_threads=1),
    ),
}


# Arrays that may be left out.
OPTIONAL = {("decoding.LoopDetector.push", "active"), ("transport.sorted_transport", "a")}

# Where an array may have one of two dtypes, the other arrays follow.
OTHER_DTYPES = {
    ("decoding.filter_logits", "logits"): [np.uint16, np.float16, np.float64],
    ("decoding.filter_logits", "out"): [np.uint16, np.float16, np.float64],
    ("decoding.sample", "logits"): [np.uint16, np.float16, np.float64],
    ("keywords.Softmax.__init__", "vectors"): [np.float32],
    ("keywords.Tree.__init__", "vectors"): [np.float32],
    ("projection.Projection.rows", "out"): [np.float64],
    ("projection.Projection.transform", "X"): [np.float64],
    ("projection.Projection.transform_csr", "indptr"): [np.int64],
    ("projection.Projection.transform_csr", "indices"): [np.int64],
    ("projection.Projection.transform_csr", "data"): [np.float32],
    ("projection.simhash", "X"): [np.float64],
    ("whitening.centre", "X"): [np.float64],
    ("transport.DocumentIndex.__init__", "vectors"): [np.float32],
    ("transport.document_distance", "vectors"): [np.float32],
    ("transport.emd", "cost"): [np.float32],
    ("transport.sorted_transport", "x"): [np.float32],
    ("transport.prepare_vectors", "vectors"): [np.float32],
    ("transport.emo", "logits"): [np.float64],
    ("transport.row_squares", "X"): [np.float64],
    ("transport.cost_statistics", "cost"): [np.float32],
    ("transport.cost_statistics_batch", "cost"): [np.float32],
    ("transport.least_slack", "cost"): [np.float32],
    ("transport.plan_apply", "cost"): [np.float32],
    ("transport.point_gradient", "x"): [np.float32],
    ("transport.plan_rows", "cost"): [np.float32],
    ("transport.plan_rows", "out"): [np.float32],
    ("transport.mean_cost", "cost"): [np.float32],
    ("transport.plan_sums", "cost"): [np.float32],
    ("transport.sinkhorn", "cost"): [np.float32],
    ("transport.sinkhorn_batch", "cost"): [np.float32],
    ("transport.soft_min", "cost"): [np.float32],
}

# Arrays that are written, beside those called `out`.
OUTPUTS = {
    ("transport.plan_sums", "columns"),
    ("transport.plan_sums", "rows"),
    ("transport.sinkhorn", "f"),
    ("transport.sinkhorn", "g"),
    ("transport.sinkhorn", "history"),
    ("transport.sinkhorn_batch", "f"),
    ("transport.sinkhorn_batch", "g"),
}

# Arrays that are read or written where they are, with any strides.
STRIDED = {("decoding.filter_logits", "logits"), ("decoding.filter_logits", "out"), ("decoding.sample", "logits")}
