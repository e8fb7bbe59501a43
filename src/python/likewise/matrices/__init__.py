"""Whether two matrices are the same linear map in two bases, with the change of basis or a witness against one."""

from ..errors import NotSimilarError, UndecidedError
from .canonical import RationalForm, change_basis, companion, rational_canonical_form
from .invariance import MatrixInvariants, invariants
from .jordan import JordanForm, jordan_form
from .similarity import SimilarityVerdict, is_similar, similarity_transform

__all__ = [
    "JordanForm",
    "MatrixInvariants",
    "NotSimilarError",
    "RationalForm",
    "SimilarityVerdict",
    "UndecidedError",
    "change_basis",
    "companion",
    "invariants",
    "is_similar",
    "jordan_form",
    "rational_canonical_form",
    "similarity_transform",
]
