"""Full-text search: exact BM25 from raw text to ranked hits."""

from .analyzer import Analyzer
from .explanation import Explanation, TermExplanation
from .hits import Hits
from .index import Index
from .token_batch import TokenBatch

__all__ = ["Analyzer", "Explanation", "Hits", "Index", "TermExplanation", "TokenBatch"]
