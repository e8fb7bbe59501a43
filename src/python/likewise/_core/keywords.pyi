from typing import Any

import numpy as np
from numpy.typing import NDArray

class Tree:
    def __init__(
        self,
        vectors: NDArray[Any],
        theta: NDArray[Any],
        path_ptr: NDArray[np.int64],
        path_node: NDArray[np.uint32],
        path_code: NDArray[np.uint8],
    ) -> None: ...
    def scores(
        self,
        text_ptr: NDArray[np.int64],
        words: NDArray[np.int64],
        counts: NDArray[np.float64],
        candidate_ptr: NDArray[np.int64],
        candidates: NDArray[np.int64],
        self_term: bool,
        out: NDArray[np.float64],
        n_threads: int,
    ) -> None: ...
    def log_probabilities(
        self, of: NDArray[np.int64], given: NDArray[np.int64], out: NDArray[np.float64], n_threads: int
    ) -> None: ...

class Softmax:
    def __init__(self, vectors: NDArray[Any], output_vectors: NDArray[Any], bias: NDArray[np.float64]) -> None: ...
    def scores(
        self,
        text_ptr: NDArray[np.int64],
        words: NDArray[np.int64],
        counts: NDArray[np.float64],
        candidate_ptr: NDArray[np.int64],
        candidates: NDArray[np.int64],
        self_term: bool,
        out: NDArray[np.float64],
        n_threads: int,
    ) -> None: ...
    def log_probabilities(
        self, of: NDArray[np.int64], given: NDArray[np.int64], out: NDArray[np.float64], n_threads: int
    ) -> None: ...
