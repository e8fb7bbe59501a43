from typing import Any

import numpy as np
from numpy.typing import NDArray

class Projection:
    def __init__(
        self,
        method: str,
        n_features: int,
        n_components: int,
        seed: int,
        nnz: int = ...,
        density: float = ...,
    ) -> None: ...
    @property
    def method(self) -> str: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_components(self) -> int: ...
    def transform(self, X: NDArray[Any], out: NDArray[Any], n_threads: int) -> int: ...
    def transform_csr(
        self,
        indptr: NDArray[Any],
        indices: NDArray[Any],
        data: NDArray[Any],
        out: NDArray[Any],
        n_threads: int,
    ) -> int: ...
    def rows(self, first: int, out: NDArray[Any]) -> None: ...

def simhash(projection: Projection, X: NDArray[Any], out: NDArray[np.uint8], n_threads: int) -> int: ...
def hamming(A: NDArray[np.uint8], B: NDArray[np.uint8], out: NDArray[np.int32], n_threads: int) -> None: ...
