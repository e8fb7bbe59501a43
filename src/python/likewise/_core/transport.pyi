from typing import Any

import numpy as np
from numpy.typing import NDArray

def emd(
    n_rows: NDArray[np.int64],
    n_columns: NDArray[np.int64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any],
    max_iter: int,
    n_threads: int,
) -> dict[str, NDArray[Any]]: ...
def sorted_transport(
    x: NDArray[Any],
    y: NDArray[Any],
    a: NDArray[np.float64] | None,
    b: NDArray[np.float64] | None,
    p: float,
    scale: float,
) -> NDArray[np.float64]: ...
def document_distance(
    kind: str,
    vectors: NDArray[Any],
    words_a: NDArray[np.int64],
    counts_a: NDArray[np.float64],
    words_b: NDArray[np.int64],
    counts_b: NDArray[np.float64],
    normalize: bool,
) -> float: ...
def prepare_vectors(vectors: NDArray[Any], normalize: bool, out: NDArray[Any], n_threads: int) -> int: ...

class DocumentIndex:
    def __init__(
        self,
        vectors: NDArray[Any],
        terms: NDArray[np.int32],
        indptr: NDArray[np.int64],
        words: NDArray[np.int32],
        weights: NDArray[np.float64],
    ) -> None: ...
    def search(
        self, words: NDArray[np.int64], counts: NDArray[np.float64], k: int, n_threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], int, int, int]: ...

def emo(
    logits: NDArray[Any],
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    soft_targets: NDArray[Any],
    cosines: NDArray[Any],
    cached: NDArray[Any],
    inverse_norms: NDArray[Any],
    mixing: str,
    alpha: float,
    beta: float,
    scale: float,
    out: NDArray[Any],
    n_threads: int,
) -> tuple[NDArray[np.float64], int]: ...
def row_squares(X: NDArray[Any], out: NDArray[np.float64], n_threads: int) -> None: ...
def sinkhorn(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: float,
    rho_a: float,
    rho_b: float,
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    tol: float,
    max_iter: int,
    method: str,
    anderson: int,
    n_threads: int,
    history: NDArray[np.float64],
) -> dict[str, Any]: ...
def cost_statistics(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    n_threads: int,
) -> tuple[float, float, float, float]: ...
def plan_rows(
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: float,
    i0: int,
    i1: int,
    out: NDArray[Any],
    n_threads: int,
) -> None: ...
def plan_apply(
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: float,
    v: NDArray[np.float64],
    out: NDArray[np.float64],
    transpose: bool,
    n_threads: int,
) -> None: ...
def least_slack(
    potential: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    out: NDArray[np.float64],
    transpose: bool,
    n_threads: int,
) -> None: ...
def point_gradient(
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    x: NDArray[Any],
    y: NDArray[Any],
    metric: str,
    epsilon: float,
    out: NDArray[np.float64],
    n_threads: int,
) -> None: ...
def soft_min(
    potential: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: float,
    out: NDArray[np.float64],
    transpose: bool,
    n_threads: int,
) -> None: ...
def mean_cost(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    n_threads: int,
) -> float: ...
def plan_sums(
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: float,
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    n_threads: int,
) -> tuple[float, float, float, float]: ...
def sinkhorn_batch(
    n_rows: NDArray[np.int64],
    n_columns: NDArray[np.int64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    epsilon: NDArray[np.float64],
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    tol: float,
    max_iter: int,
    method: str,
    anderson: int,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...
def cost_statistics_batch(
    n_rows: NDArray[np.int64],
    n_columns: NDArray[np.int64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    cost: NDArray[Any] | None,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    metric: str,
    n_threads: int,
) -> NDArray[np.float64]: ...
