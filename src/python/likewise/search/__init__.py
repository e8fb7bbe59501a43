"""Full-text search: exact BM25 from raw text to ranked hits."""

from .analyzer import Analyzer, TokenBatch
from .explanation import Explanation, TermExplanation
from .hits import Hits
from .index import Index

__all__ = ["Analyzer", "Explanation", "Hits", "Index", "TermExplanation", "TokenBatch"]
