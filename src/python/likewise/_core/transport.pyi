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
