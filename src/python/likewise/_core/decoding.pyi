from typing import Any

import numpy as np
from numpy.typing import NDArray

class Filter:
    def __init__(
        self,
        temperature: NDArray[np.float64],
        top_k: NDArray[np.int64],
        top_p: NDArray[np.float64],
        min_p: NDArray[np.float64],
        typical_p: NDArray[np.float64],
        eos: NDArray[np.int64],
        consistent: bool,
        epsilon: float,
        start: int,
        skip_masked: bool,
    ) -> None: ...

class LoopDetector:
    def __init__(self, max_period: int, repeats: int, min_len: int, n_rows: int) -> None: ...
    @property
    def n_rows(self) -> int: ...
    def push(self, tokens: NDArray[np.int64], active: NDArray[np.uint8] | None, out: NDArray[np.int64]) -> None: ...
    def reset(self, rows: NDArray[np.int64]) -> None: ...
    def reorder(self, index: NDArray[np.int64]) -> None: ...

def bfloat16_bits(capsule: object) -> NDArray[np.uint16]: ...
def uniforms(seed: int, row_ids: NDArray[np.int64], steps: NDArray[np.int64], out: NDArray[np.float64]) -> None: ...
def sample(
    filter: Filter,
    logits: NDArray[Any],
    steps: NDArray[np.int64],
    u: NDArray[np.float64],
    out: NDArray[np.int64],
    report: bool,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]] | None: ...
def filter_logits(
    filter: Filter,
    logits: NDArray[Any],
    steps: NDArray[np.int64],
    normalize: bool,
    out: NDArray[Any],
    n_threads: int,
) -> None: ...
