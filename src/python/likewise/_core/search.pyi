from typing import Any

import numpy as np
from numpy.typing import NDArray

class Index:
    @staticmethod
    def validate(
        arrays: dict[str, NDArray[Any]],
        *,
        variant: str,
        k1: float,
        b: float,
        delta: float,
        nonoccurrence: bool,
        float64: bool,
        full: bool,
    ) -> Index: ...
    @property
    def n_docs(self) -> int: ...
    @property
    def n_terms(self) -> int: ...
    @property
    def n_postings(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def average_length(self) -> float: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def float64(self) -> bool: ...
    def check(self) -> None: ...
    def find_terms(self, tokens: list[str]) -> NDArray[np.uint32]: ...
    def term(self, term: int) -> str: ...
    def document_frequency(self, term: int) -> int: ...
    def idf(self, term: int) -> float: ...
    def document_length(self, document: int) -> int: ...
    def posting(self, term: int, document: int) -> tuple[int, float]: ...
    def make_query(self, tokens: list[str], k3: float) -> tuple[NDArray[np.uint32], NDArray[np.float64]]: ...
    def make_queries(
        self, queries: list[list[str]], k3: float
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]: ...
    def search_tokens(
        self, tokens: list[str], k3: float, k: int, exhaustive: bool
    ) -> tuple[NDArray[np.int64], NDArray[Any]]: ...
    def search(
        self,
        terms: NDArray[np.uint32],
        weights: NDArray[np.float64],
        k: int,
        exhaustive: bool,
        excluded: int = -1,
        n_threads: int = 1,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]: ...
    def search_batch(
        self,
        indptr: NDArray[np.int64],
        terms: NDArray[np.uint32],
        weights: NDArray[np.float64],
        k: int,
        exhaustive: bool,
        n_threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]: ...
    def score_all(self, terms: NDArray[np.uint32], weights: NDArray[np.float64], out: NDArray[Any]) -> None: ...
    def score_some(
        self,
        terms: NDArray[np.uint32],
        weights: NDArray[np.float64],
        documents: NDArray[np.int64],
        out: NDArray[Any],
    ) -> None: ...
    def score_batch(
        self,
        indptr: NDArray[np.int64],
        terms: NDArray[np.uint32],
        weights: NDArray[np.float64],
        out: NDArray[Any],
        n_threads: int,
    ) -> None: ...
    def baseline(self, terms: NDArray[np.uint32], weights: NDArray[np.float64]) -> float: ...
    def keywords(
        self, document: int, n: int, min_df: float, max_df: float
    ) -> tuple[NDArray[np.uint32], NDArray[np.float64]]: ...
    def related(
        self,
        documents: NDArray[np.int64],
        k: int,
        full: bool,
        n_keywords: int,
        min_df: float,
        max_df: float,
        k3: float,
        n_threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]: ...
    def warm(self, n_threads: int) -> None: ...
