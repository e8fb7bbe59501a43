"""Full-text search: exact BM25 from raw text to ranked hits."""
