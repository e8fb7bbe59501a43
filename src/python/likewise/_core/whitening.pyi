from typing import Any

from numpy.typing import NDArray

def centre(X: NDArray[Any], mean: NDArray[Any], rest: NDArray[Any], out: NDArray[Any]) -> float: ...
