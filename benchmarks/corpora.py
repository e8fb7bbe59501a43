"""Corpora and query sets of the benchmarks: one token stream for every contestant, prepared once and cached.

A corpus is term ids in CSR form, so that no contestant's own analysis enters a comparison of engines. The texts are
there too, for the benchmarks that start from raw text.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

K1, B = 1.2, 0.75  # tantivy and Lucene fix them, so every contestant uses them
CHECKOUT = Path(__file__).resolve().parent.parent

# Lucene's list, also bm25s' "en" and the one of likewise's default analyzer.
_STOP_WORDS = """a an and are as at be but by for if in into is it no not of on or such that the their then there these
they this to was will with"""
ENGLISH_STOP_WORDS = frozenset(_STOP_WORDS.split())
WORD = r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d\u00ad]*"


def cache_folder() -> Path:
    """The folder of prepared corpora and of peers' indexes: never inside the checkout."""
    named = os.environ.get("LIKEWISE_BENCH_CACHE")
    if named:
        folder = Path(named)
    elif os.environ.get("XDG_CACHE_HOME"):
        folder = Path(os.environ["XDG_CACHE_HOME"]) / "likewise-benchmarks"
    else:
        folder = Path(tempfile.gettempdir()) / f"likewise-benchmarks-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def data_folder() -> Path | None:
    """The folder of evaluation data (LIKEWISE_DATA, by default ``../shared/data`` beside the checkout), or None."""
    named = os.environ.get("LIKEWISE_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


class MissingCorpusError(RuntimeError):
    """The data of a corpus is not on this machine; the text says where it is looked for."""


def _data_file(*parts: str) -> Path:
    folder = data_folder()
    path = folder.joinpath(*parts) if folder else None
    if path is None or not path.exists():
        raise MissingCorpusError(f"{'/'.join(parts)} not found: set LIKEWISE_DATA to the folder of evaluation data")
    return path


@dataclass(frozen=True)
class Queries:
    """Queries as term ids in CSR form; every query's terms are distinct."""

    indptr: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, position: int) -> npt.NDArray[np.int32]:
        return self.tokens[self.indptr[position] : self.indptr[position + 1]]

    @classmethod
    def from_lists(cls, lists: list[list[int]]) -> Queries:
        indptr = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(terms) for terms in lists], out=indptr[1:])
        return cls(indptr, np.array([term for terms in lists for term in terms], dtype=np.int32))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as term ids in CSR form, with the query sets drawn from them."""

    name: str
    indptr: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int32]
    queries: dict[str, Queries]
    vocabulary: tuple[str, ...] | None = field(default=None, repr=False)  # None: term r is the word t<r>
    load_texts: Callable[[], list[str]] | None = field(default=None, repr=False)

    @property
    def n_docs(self) -> int:
        return len(self.indptr) - 1

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    @cached_property
    def words(self) -> list[str]:
        """The word of every term id, unused ids included."""
        if self.vocabulary is not None:
            return list(self.vocabulary)
        return [f"t{rank}" for rank in range(self.n_terms)]

    @cached_property
    def n_terms(self) -> int:
        """The size of the vocabulary (the largest term id + 1)."""
        return len(self.vocabulary) if self.vocabulary is not None else int(self.tokens.max(initial=-1)) + 1

    @cached_property
    def postings(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The inverted file: offsets int64[n_terms+1], documents int32 and frequencies int32, documents ascending."""
        documents = np.repeat(np.arange(self.n_docs, dtype=np.int64), np.diff(self.indptr))
        keys = self.tokens.astype(np.int64)
        keys *= self.n_docs
        keys += documents
        del documents
        keys.sort()
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.zeros(0, np.int64)
        frequencies = np.diff(np.append(first, len(keys))).astype(np.int32)
        keys = keys[first]
        terms = keys // max(self.n_docs, 1)
        offsets = np.zeros(self.n_terms + 1, dtype=np.int64)
        np.cumsum(np.bincount(terms, minlength=self.n_terms), out=offsets[1:])
        keys -= terms * self.n_docs
        return offsets, keys.astype(np.int32), frequencies

    @cached_property
    def lucene_impacts(self) -> npt.NDArray[np.float32]:
        """The float32 impact idf·f of each posting, formula ``lucene``: what bm25s and the references precompute."""
        offsets, documents, frequencies = self.postings
        lengths = np.diff(self.indptr).astype(np.float64)
        n = np.diff(offsets)
        impacts = np.repeat(np.log(1 + (self.n_docs - n + 0.5) / (n + 0.5)).astype(np.float32), n)
        normaliser = K1 * (1 - B + B * lengths / lengths.mean())
        block = 1 << 22  # float64 temporaries of 44 million postings at once are not wanted
        for start in range(0, len(documents), block):
            part = slice(start, start + block)
            impacts[part] *= frequencies[part] / (frequencies[part] + normaliser[documents[part]])
        return impacts

    def token_lists(self) -> Iterator[list[str]]:
        """The documents as lists of words, one after the other."""
        words = np.array(self.words, dtype=object)
        for start, stop in pairwise(self.indptr):
            yield words[self.tokens[start:stop]].tolist()

    def texts(self) -> list[str]:
        """The raw texts; for a synthetic corpus its words, separated by blanks."""
        if self.load_texts is not None:
            return self.load_texts()
        return [" ".join(words) for words in self.token_lists()]

    def query_words(self, setting: str, limit: int | None = None) -> list[list[str]]:
        """The queries of a setting as lists of words."""
        queries = self.queries[setting]
        return [[self.words[term] for term in queries[i]] for i in range(min(len(queries), limit or len(queries)))]


def _cached(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    path = cache_folder() / f"{name}.npz"
    if not path.exists():
        started = time.perf_counter()
        arrays = make()
        # A reader never meets half a file: the name appears when the bytes are whole.
        temporary = path.with_name(f"{name}.{os.getpid()}.tmp.npz")
        np.savez(temporary, **arrays)
        temporary.replace(path)
        print(f"prepared the corpus {name} in {time.perf_counter() - started:.1f} s", flush=True)
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def _corpus(name: str, arrays: dict[str, Any], load_texts: Callable[[], list[str]] | None = None) -> Corpus:
    settings = [key.removesuffix("_indptr") for key in arrays if key.endswith("_indptr")]
    queries = {name: Queries(arrays[f"{name}_indptr"], arrays[f"{name}_tokens"]) for name in settings}
    vocabulary = tuple(arrays["vocabulary"].tobytes().decode().split("\n")) if "vocabulary" in arrays else None
    return Corpus(name, arrays["indptr"], arrays["tokens"], queries, vocabulary, load_texts)


def _arrays(
    indptr: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int32],
    queries: dict[str, list[list[int]]],
    vocabulary: list[str] | None = None,
) -> dict[str, Any]:
    arrays: dict[str, Any] = {"indptr": indptr, "tokens": tokens}
    for setting, lists in queries.items():
        packed = Queries.from_lists(lists)
        arrays[f"{setting}_indptr"], arrays[f"{setting}_tokens"] = packed.indptr, packed.tokens
    if vocabulary is not None:
        arrays["vocabulary"] = np.frombuffer("\n".join(vocabulary).encode(), dtype=np.uint8)
    return arrays


def analyse(texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], list[str]]:
    """Term ids of texts by the steps of likewise's default analyzer (CJK bigrams aside), written with `regex`.

    Returns
    -------
    indptr : int64[n_texts + 1]
    tokens : int32[n_tokens]
    vocabulary : list of str
    """
    import unicodedata

    import regex
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    find_words = regex.compile(WORD).findall
    term_of_form: dict[str, int] = {}
    term_ids: dict[str, int] = {}
    indptr, tokens = np.zeros(len(texts) + 1, dtype=np.int64), []
    for position, text in enumerate(texts):
        for word in find_words(text):
            term = term_of_form.get(word)
            if term is None:
                bare = word.replace("\u200c", "").replace("\u200d", "").replace("\u00ad", "")
                form = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())
                if form in ENGLISH_STOP_WORDS or not 1 <= len(form) <= 64:
                    term = -1
                else:
                    term = term_ids.setdefault(stemmer.stemWord(form), len(term_ids))
                term_of_form[word] = term
            if term >= 0:
                tokens.append(term)
        indptr[position + 1] = len(tokens)
    return indptr, np.array(tokens, dtype=np.int32), list(term_ids)


def _distinct(tokens: npt.NDArray[np.int32]) -> list[int]:
    return list(dict.fromkeys(tokens.tolist()))


@lru_cache(maxsize=1)
def debian_records() -> list[dict[str, str]]:
    """The package descriptions of Debian 12: dicts with ``id``, ``title`` and ``text``."""
    with gzip.open(_data_file("debian-descriptions", "packages.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def debian_texts() -> list[str]:
    """Title and description of every Debian package."""
    return [f"{record['title']}\n{record['text']}" for record in debian_records()]


def debian() -> Corpus:
    """Debian package descriptions (64 512 documents): *short* queries are titles, *long* ones whole documents."""

    def make() -> dict[str, Any]:
        records = debian_records()
        indptr, tokens, vocabulary = analyse(debian_texts())
        ids = {word: term for term, word in enumerate(vocabulary)}
        title_indptr, title_tokens, title_vocabulary = analyse([record["title"] for record in records])
        to_corpus = np.array([ids[word] for word in title_vocabulary], dtype=np.int32)
        order = list(range(len(records)))
        random.Random(1).shuffle(order)
        short: list[list[int]] = []
        long: list[list[int]] = []
        for document in order:
            title = _distinct(to_corpus[title_tokens[title_indptr[document] : title_indptr[document + 1]]])
            if len(short) < 1000 and 2 <= len(title) <= 8:
                short.append(title)
            terms = _distinct(tokens[indptr[document] : indptr[document + 1]])
            if len(long) < 500 and 50 <= len(terms) <= 200:
                long.append(terms)
        return _arrays(indptr, tokens, {"short": short, "long": long}, vocabulary)

    _data_file("debian-descriptions", "packages.jsonl.gz")
    return _corpus("debian", _cached("debian", make), debian_texts)


def cranfield_texts() -> list[str]:
    """The 1400 abstracts of the Cranfield collection."""
    # The file is a sequence of <doc> elements without a root.
    source = _data_file("cranfield", "cran.all.1400.xml").read_text(encoding="utf-8")
    return [text.strip() for text in re.findall(r"<text>(.*?)</text>", source, re.DOTALL)]


def cranfield_questions() -> list[str]:
    """The 225 questions of the Cranfield collection."""
    source = _data_file("cranfield", "cran.qry.xml").read_text(encoding="utf-8")
    return re.findall(r"<title>(.*?)</title>", source, re.DOTALL)


def cranfield() -> Corpus:
    """The Cranfield collection (1400 documents): *short* queries are its own 225."""

    def make() -> dict[str, Any]:
        indptr, tokens, vocabulary = analyse(cranfield_texts())
        query_indptr, query_tokens, query_vocabulary = analyse(cranfield_questions())
        ids = {word: term for term, word in enumerate(vocabulary)}
        to_corpus = np.array([ids.get(word, -1) for word in query_vocabulary], dtype=np.int32)
        short: list[list[int]] = []
        for start, stop in pairwise(query_indptr):
            short.append([term for term in _distinct(to_corpus[query_tokens[start:stop]]) if term >= 0])
        return _arrays(indptr, tokens, {"short": short}, vocabulary)

    _data_file("cranfield", "cran.all.1400.xml")
    return _corpus("cranfield", _cached("cranfield", make), cranfield_texts)


def demo() -> Corpus:
    """The corpus of ``likewise demo``, docstrings of Python and numpy; *short* queries are some of their words."""
    from likewise.cli.demo import docstring_corpus

    _, texts = docstring_corpus()

    def make() -> dict[str, Any]:
        indptr, tokens, vocabulary = analyse(texts)
        generator = random.Random(1)
        order = list(range(len(texts)))
        generator.shuffle(order)
        short: list[list[int]] = []
        for document in order:
            terms = _distinct(tokens[indptr[document] : indptr[document + 1]])
            if len(terms) >= 2 and len(short) < 1000:
                short.append(generator.sample(terms, min(len(terms), generator.randint(2, 8))))
        return _arrays(indptr, tokens, {"short": short}, vocabulary)

    return _corpus("demo", _cached(f"demo-{len(texts)}", make), lambda: texts)


VOCABULARY_SIZE = 500_000
N_TOPICS = 5000
TOPIC_SIZE = 120


def _synthetic_documents(n_docs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    generator = np.random.default_rng(42)
    ranks = np.arange(1, VOCABULARY_SIZE + 1, dtype=np.float64)
    cumulative = np.cumsum((ranks + 2.7) ** -1.07)
    cumulative /= cumulative[-1]
    topics = np.exp(generator.uniform(np.log(200), np.log(200_000), (N_TOPICS, TOPIC_SIZE))).astype(np.int32)
    topic_cumulative = np.cumsum(1.0 / (np.arange(TOPIC_SIZE) + 3.0))
    topic_cumulative /= topic_cumulative[-1]
    lengths = np.maximum(3, generator.lognormal(np.log(42), 0.6, n_docs).astype(np.int64))
    topic_of_document = generator.integers(0, N_TOPICS, n_docs)
    indptr = np.zeros(n_docs + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    tokens = np.empty(indptr[-1], dtype=np.int32)
    # In blocks: the float64 draws of 50 million tokens at once would take gigabytes.
    for first in range(0, n_docs, 50_000):
        last = min(first + 50_000, n_docs)
        n_tokens = int(indptr[last] - indptr[first])
        from_topic = generator.random(n_tokens) < 0.35
        draws = generator.random(n_tokens)
        topic = np.repeat(topic_of_document[first:last], lengths[first:last])
        block = np.empty(n_tokens, dtype=np.int32)
        places = np.searchsorted(topic_cumulative, draws[from_topic], side="right")
        block[from_topic] = topics[topic[from_topic], places]
        block[~from_topic] = 1 + np.searchsorted(cumulative, draws[~from_topic], side="right")
        tokens[indptr[first] : indptr[last]] = block
    return indptr, tokens


def synthetic(n_docs: int = 1_000_000) -> Corpus:
    """Seeded synthetic corpus (seed 42): Zipf-like global words and topics, vocabulary 500 000.

    Queries come from a random document's distinct words: *short* 2-8 of rank >= 150, *head* 2-8 of rank >= 8,
    *long* all words of documents with 50-200 of them.
    """

    def make() -> dict[str, Any]:
        indptr, tokens = _synthetic_documents(n_docs)
        generator = random.Random(1)
        queries: dict[str, list[list[int]]] = {"short": [], "head": [], "long": []}

        def draw() -> list[int]:
            document = generator.randrange(n_docs)
            return _distinct(tokens[indptr[document] : indptr[document + 1]])

        for setting, lowest_rank in (("short", 150), ("head", 8)):
            while len(queries[setting]) < 1000:
                terms = [term for term in draw() if term >= lowest_rank]
                if len(terms) >= 2:
                    queries[setting].append(generator.sample(terms, min(len(terms), generator.randint(2, 8))))
        while len(queries["long"]) < 500:
            terms = draw()
            if 50 <= len(terms) <= 200:
                queries["long"].append(terms)
        return _arrays(indptr, tokens, queries)

    return _corpus(f"synthetic-{n_docs}", _cached(f"synthetic-{n_docs}", make))


def chinese_texts() -> list[str]:
    """Sentences of the Chinese semantic textual similarity sets, for the throughput of the analysis."""
    texts: list[str] = []
    for path in sorted(_data_file("csts").rglob("*.t[xs][tv]")):
        if path.name == "SOURCE.txt":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            texts += [part for part in line.split("\t" if "\t" in line else "||") if not part.strip().isascii()]
    return texts


def load(name: str) -> Corpus:
    """A corpus by name: ``debian``, ``cranfield``, ``demo``, ``1k`` to ``5M`` or ``synthetic-<n_docs>``."""
    sizes = {"1k": 1000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000, "5M": 5_000_000}
    if name in sizes or name.startswith("synthetic-"):
        return synthetic(sizes.get(name) or int(name.removeprefix("synthetic-")))
    makers = {"debian": debian, "cranfield": cranfield, "demo": demo}
    if name not in makers:
        raise ValueError(f"corpus: expected one of {[*makers, *sizes]} or synthetic-<n_docs>, got {name!r}")
    return makers[name]()
