"""Texts with keywords that people chose, and models trained on them."""

from __future__ import annotations

import functools
import gzip
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_WORD = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def tokens(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Document:
    words: list[str]
    gold: frozenset[str]  # stems of the words of its keys


def folder(name: str) -> Path:
    place = Path(os.environ.get("LIKEWISE_DATA", "")) / name
    if "LIKEWISE_DATA" not in os.environ or not place.is_dir():
        pytest.skip(f"needs the folder {name} below LIKEWISE_DATA")
    return place


@functools.cache
def stemmer() -> Any:
    nltk = pytest.importorskip("nltk.stem", reason="needs nltk: pip install '.[bench]'")
    return functools.cache(nltk.PorterStemmer().stem)


@functools.cache
def stop_list() -> frozenset[str]:
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="needs scikit-learn: pip install '.[bench]'")
    return frozenset(text.ENGLISH_STOP_WORDS)


def is_content(word: str) -> bool:
    return len(word) > 2 and word not in stop_list()


@functools.cache
def inspec() -> tuple[list[Document], list[Document]]:
    """The abstracts of the train and the dev split, in the order of their lists."""
    place = folder("inspec")
    with zipfile.ZipFile(place / "Inspec-train-dev.zip") as archive:
        train, dev = (
            [_document(archive, "Inspec", key) for key in json.loads((place / f"{split}.uncontr.json").read_text())]
            for split in ("train", "dev")
        )
    return train, dev


@functools.cache
def semeval() -> list[Document]:
    with zipfile.ZipFile(folder("semeval2017-keywords") / "SemEval2017.zip") as archive:
        names = sorted(
            name for name in archive.namelist() if name.startswith("SemEval2017/docsutf8/") and name[-4:] == ".txt"
        )
        return [_document(archive, "SemEval2017", Path(name).stem) for name in names]


def _document(archive: zipfile.ZipFile, name: str, key: str) -> Document:
    text = archive.read(f"{name}/docsutf8/{key}.txt").decode("utf-8", "replace")
    keys = archive.read(f"{name}/keys/{key}.key").decode("utf-8", "replace")
    return Document(tokens(text), frozenset(stemmer()(word) for word in tokens(keys)))


def package_descriptions() -> Iterator[list[str]]:
    """Title and text of the Debian packages."""
    with gzip.open(folder("debian-descriptions") / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield tokens(" ".join(value for value in row.values() if isinstance(value, str)))


def articles() -> list[list[str]]:
    """Articles of Wikipedia, split at their headings."""
    text = "".join((folder("wikitext2") / name).read_text(encoding="utf-8") for name in ("valid.txt", "test.txt"))
    return [tokens(part) for part in re.split(r"(?m)^ = [^=]+ = \n", text) if len(part) > 200]


def train(sentences: list[list[str]], **options: Any) -> Any:
    """A gensim skip-gram model of 100 dimensions."""
    gensim = pytest.importorskip("gensim.models", reason="needs gensim: pip install '.[bench]'")
    return gensim.Word2Vec(sentences, vector_size=100, sg=1, workers=1, **options)
