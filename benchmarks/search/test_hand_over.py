"""Getting at the UTF-8 of every document, by itself: whoever analyses documents pays for it first."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Record


def make_texts(n_docs: int, share: float) -> list[str]:
    """Texts of 500 characters on average; a share of the words is not ASCII."""
    generator = random.Random(1)
    words = ["".join(generator.choices("etaoinshrdlu", k=generator.randint(2, 10))) for _ in range(20_000)]
    words[: int(share * len(words))] = ["café"] * int(share * len(words))
    text = " ".join(generator.choices(words, k=300_000))
    lengths = np.random.default_rng(1).lognormal(np.log(420), 0.6, n_docs).astype(int).tolist()
    texts = []
    for number, length in enumerate(lengths):
        start = generator.randrange(len(text) - 100_000)
        texts.append(f"{number} {text[start : start + length]}")
    return texts


def add_up(documents: Any) -> tuple[int, int]:
    """Read every byte by the way of a scan, as it stands before the search for words."""
    from likewise import _core
    from likewise.search.documents import ArrowBlock, Documents, TextBlock

    n_bytes = total = 0
    for block in Documents(documents).blocks():
        if isinstance(block, ArrowBlock):
            _, block_bytes, block_total = block._reader.add_up()
        else:
            assert isinstance(block, TextBlock)
            _, block_bytes, block_total = _core.search.add_up(block._texts)
        n_bytes, total = n_bytes + block_bytes, (total + block_total) % (1 << 64)
    return n_bytes, total


@pytest.mark.parametrize(("name", "share"), [("ASCII", 0.0), ("2 % of words not ASCII", 0.02)])
def test_hand_over(
    name: str, share: float, scale: Scale, contest: Callable[..., Record], record: Callable[..., Record]
) -> None:
    """The same documents as a list and in the formats of Arrow; none of the 100 MB is in a cache."""
    pyarrow = pytest.importorskip("pyarrow")
    texts = make_texts(20_000 if scale.quick else 200_000, share)
    sources: dict[str, Any] = {
        "list[str]": texts,
        OURS: pyarrow.array(texts),
        "large_string": pyarrow.array(texts, pyarrow.large_string()),
    }
    if hasattr(pyarrow, "string_view"):
        sources["string_view"] = pyarrow.array(texts, pyarrow.string_view())
    sources["chunked, 5000 each"] = pyarrow.chunked_array([texts[i : i + 5000] for i in range(0, len(texts), 5000)])
    for library in ("polars", "pandas"):
        try:
            series = __import__(library).Series
        except ImportError:
            continue
        sources[library] = series(texts) if library == "polars" else series(texts, dtype="string[pyarrow]")
    expected = add_up(texts)
    for source in sources.values():
        assert add_up(source) == expected
    contestants = [Contestant(source, add_up, [documents]) for source, documents in sources.items()]
    found = contest(
        "hand-over",
        f"{expected[0] / 1e6:.0f} MB, {name}",
        contestants,
        unit="ms",
        factor=1e3,
        rounds=2 * scale.rounds + 1,
    )
    values = {row.name: row.value for row in found.rows}
    from_list = values.pop("list[str]")
    found.limit("Arrow <= 0.5x list[str]", values[OURS] / from_list, 0.5)
    found.limit("any format <= 1.1x list[str]", max(values.values()) / from_list, 1.1)
    record(found)
