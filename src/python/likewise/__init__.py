"""likewise: how alike are texts, vectors, distributions and matrices? Exact answers, fast, on CPUs."""

from . import _core

__version__: str = _core.__version__
