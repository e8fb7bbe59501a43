"""Fuzzing of containers: bytes -> open -> verify -> structure -> query, by mutations that know the format.

Half of the mutants get their digests recomputed, so that they come past the digests to the checks of the structure.
What is accepted must answer queries without harm, and as a plain reader of the same integers does.

Run for a minute with ``python -m tests.fuzz.container --seconds 60 --seed 1``; under atheris, where that is installed,
with ``--atheris DIRECTORY`` (libFuzzer's options follow). Prints counts; a finding is written to ``--findings``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import re
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from likewise import _core
from likewise.errors import CorruptFileError, UnsupportedFormatError
from likewise.persistence.container import Container, encode, parse_container
from likewise.search.parts import Parts
from likewise.search.scoring import Scoring
from likewise.search.storage.reading import check_arrays
from tests.search.segments import Arrays, make_segment, reference_scores

SIZES = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
ODD_NUMBERS = [0, 1, 2, 3, 4, 7, 8, 63, 64, 254, 255, 256, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1]
SCORING = Scoring.check(variant="lucene", k1=1.2, b=0.75, delta=None, k3=None, nonoccurrence=True, dtype="float32")


def digest(data: bytes) -> str:
    return str(xxhash.xxh3_64_hexdigest(data))


@dataclass
class Draft:
    """A container taken apart, so that a part can be changed."""

    header: dict[str, Any]
    body: bytearray

    @classmethod
    def read(cls, data: bytes) -> Draft:
        """Take apart what is at least JSON; ValueError for anything else."""
        if len(data) < 16:
            raise ValueError("too short")
        (n,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + min(n, len(data))])
        if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
            raise ValueError("no header")
        return cls(header, bytearray(data[8 + n :]))

    def spans(self) -> dict[str, tuple[int, int]]:
        """Where the arrays are, as far as that makes sense."""
        found = {}
        for name, entry in self.header.items():
            if isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list):
                span = entry["data_offsets"]
                if len(span) == 2 and all(type(n) is int for n in span) and 0 <= span[0] <= span[1] <= len(self.body):
                    found[name] = (span[0], span[1])
        return found

    def write(self, recompute: bool) -> bytes:
        """Put it together again, with right digests if asked."""
        if recompute:
            metadata = self.header["__metadata__"]
            for name, (begin, end) in self.spans().items():
                if f"xxh3:{name}" in metadata:
                    metadata[f"xxh3:{name}"] = digest(bytes(self.body[begin:end]))
        text = json.dumps(self.header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        raw = text.encode(errors="surrogatepass")
        raw += b" " * (-(8 + len(raw)) % 64)
        prefix = struct.pack("<Q", len(raw)) + raw
        body = bytes(self.body)
        if recompute and len(body) >= 8:
            body = body[:-8] + struct.pack("<Q", int(digest(prefix), 16))
        return prefix + body

    def lay_out(self, arrays: dict[str, tuple[str, list[int], bytes]]) -> None:
        """Replace all arrays, in a layout that follows the rules."""
        metadata = {k: v for k, v in self.header["__metadata__"].items() if not k.startswith("xxh3:")}
        self.header, self.body = {"__metadata__": metadata}, bytearray()
        n_pads = 0
        for name in [*sorted(arrays), "__check"]:
            dtype, shape, content = arrays.get(name, ("U64", [1], bytes(8)))
            gap = -len(self.body) % 64
            if gap and content:
                place = [len(self.body), len(self.body) + gap]
                self.header[f"__pad{n_pads}"] = {"dtype": "U8", "shape": [gap], "data_offsets": place}
                self.body += bytes(gap)
                n_pads += 1
            place = [len(self.body), len(self.body) + len(content)]
            self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": place}
            self.body += content
            if name != "__check":
                metadata[f"xxh3:{name}"] = digest(content)

    def arrays(self) -> dict[str, tuple[str, list[int], bytes]]:
        return {
            name: (str(self.header[name].get("dtype")), list(self.header[name].get("shape", [])), bytes(self.body[a:b]))
            for name, (a, b) in self.spans().items()
            if not name.startswith("__") and isinstance(self.header[name].get("shape", []), list)
        }


# --- Mutations ---


def change_entry(draft: Draft, rng: random.Random) -> None:
    """A field of the header's entries: shape, offsets, dtype, name."""
    names = [name for name in draft.header if name != "__metadata__"]
    if not names:
        return
    name = rng.choice(names)
    entry = draft.header[name]
    kind = rng.randrange(6)
    if kind == 0 or not isinstance(entry, dict):
        draft.header[rng.choice([*names, "a", "Z", "__pad9", "__x", "", "é", "n" * 65])] = draft.header.pop(name)
    elif kind == 1:
        entry["dtype"] = rng.choice([*SIZES, "F8", 1, None])
    elif kind in (2, 3):
        key = "shape" if kind == 2 else "data_offsets"
        if isinstance(entry.get(key), list) and entry[key]:
            at = rng.randrange(len(entry[key]))
            old = entry[key][at]
            near = [old + 1, old - 1, -old, float(old), str(old)] if type(old) is int else []
            entry[key][at] = rng.choice([*near, *ODD_NUMBERS])
    elif kind == 4:
        rng.choice([lambda: entry.pop("shape", 0), lambda: entry.update(x=1), lambda: entry.update(shape=[])])()
    else:
        draft.header.pop(name)


def change_metadata(draft: Draft, rng: random.Random) -> None:
    """A string of the metadata."""
    metadata = draft.header["__metadata__"]
    key = rng.choice(sorted(metadata))
    odd = ["", "2", "0" * 16, "{}", '{"a":1}', "[1]", "likewise", "search.segment", "deletes", 1, None, "\ud800"]
    if rng.random() < 0.2:
        metadata.pop(key)
    else:
        metadata[rng.choice([key, key, "extra"])] = rng.choice(odd)


def change_bytes(draft: Draft, rng: random.Random) -> None:
    """The bytes of the arrays, without regard to what they are."""
    if not draft.body:
        return
    at = rng.randrange(len(draft.body))
    kind = rng.randrange(4)
    if kind == 0:
        draft.body[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        draft.body[at] = rng.randrange(256)
    elif kind == 2:
        start = at - at % 512
        draft.body[start : start + 512] = bytes(len(draft.body[start : start + 512]))
    else:
        other = rng.randrange(len(draft.body))
        draft.body[at : at + 8] = draft.body[other : other + 8][: len(draft.body[at : at + 8])].ljust(
            len(draft.body[at : at + 8]), b"\0"
        )


def change_number(draft: Draft, rng: random.Random) -> None:
    """One number of one array, to one that is close or odd."""
    spans = {name: span for name, span in draft.spans().items() if not name.startswith("__") and span[1] > span[0]}
    if not spans:
        return
    name = rng.choice(sorted(spans))
    begin, end = spans[name]
    size = SIZES.get(str(draft.header[name].get("dtype")), 1)
    at = begin + size * rng.randrange(max(1, (end - begin) // size))
    old = int.from_bytes(draft.body[at : at + size], "little")
    new = rng.choice([old + 1, old - 1, old ^ 1 << rng.randrange(8 * size), *ODD_NUMBERS]) % (1 << 8 * size)
    draft.body[at : at + size] = new.to_bytes(size, "little")


def change_array(draft: Draft, rng: random.Random) -> None:
    """A whole array: longer, shorter, swapped, sorted, gone. The layout follows the rules again."""
    arrays = draft.arrays()
    if not arrays:
        return
    name = rng.choice(sorted(arrays))
    dtype, shape, content = arrays[name]
    size = SIZES.get(dtype, 1)
    items = [content[i : i + size] for i in range(0, len(content), size)]
    kind = rng.randrange(8)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[rng.choice(sorted(arrays))], arrays[name] = arrays[name], arrays[rng.choice(sorted(arrays))]
    else:
        if kind == 2 and items:
            items.pop(rng.randrange(len(items)))
        elif kind == 3:
            items.insert(rng.randint(0, len(items)), rng.choice([*items, bytes(size), b"\xff" * size]))
        elif kind == 4:
            items.sort(key=lambda item: int.from_bytes(item, "little"))
        elif kind == 5:
            items = items[: rng.randint(0, len(items))]
        elif kind == 6:
            items *= 2
        elif items:
            i, j = rng.randrange(len(items)), rng.randrange(len(items))
            items[i], items[j] = items[j], items[i]
        arrays[name] = (dtype, [len(items)] if len(shape) == 1 else shape, b"".join(items))
    draft.lay_out(arrays)


#: Mutations and how often they are drawn: those that reach deep are drawn most.
MUTATIONS: list[tuple[Callable[[Draft, random.Random], None], int]] = [
    (change_entry, 2), (change_metadata, 2), (change_bytes, 3), (change_number, 8), (change_array, 5),
]  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A changed copy; of every two, one has right digests."""
    try:
        draft = Draft.read(data)
    except ValueError:
        draft = None
    if draft is None or rng.random() < 0.08:
        return mutate_blindly(data, rng)
    change = rng.choices([change for change, _ in MUTATIONS], [weight for _, weight in MUTATIONS])[0]
    untouched = dict(draft.header["__metadata__"])
    change(draft, rng)
    recompute = rng.random() < 0.5
    if not recompute and change is change_array:
        for key, value in untouched.items():
            if key.startswith("xxh3:") and key in draft.header["__metadata__"]:
                draft.header["__metadata__"][key] = value
    return draft.write(recompute)


def mutate_blindly(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data) or bytearray(1)
    kind = rng.randrange(4)
    if kind == 0:
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 2:
        changed += bytes(rng.choice([1, 8, 64]))
    else:
        changed[:8] = struct.pack("<Q", rng.choice([*ODD_NUMBERS, rng.randrange(2000)]))
    return bytes(changed)


# --- The target ---


class Finding(AssertionError):
    """Something that must not happen with any input."""


def run_once(data: bytes) -> tuple[str, str]:
    """Open, verify and use one input. Returns how far it came and why it went no further."""
    try:
        container = parse_container(memoryview(data), verify="header")
    except (CorruptFileError, UnsupportedFormatError) as error:
        return "header", reason_of(error)
    _use_unverified(container)
    try:
        container.verify_digests()
    except CorruptFileError as error:
        return "digests", reason_of(error)
    if container.kind != "search.segment":
        return "structure", "another kind"
    try:
        parts = _parts(container, full=True)
    except (CorruptFileError, _core.CorruptError) as error:
        return "structure", reason_of(error)
    use(parts, container.arrays, compare=True)
    counts = [len(container.arrays[name]) for name in ("document_lengths", "term_offsets", "posting_documents")]
    return "accepted", f"{parts.keys.kind} {counts}"


def _parts(container: Container, *, full: bool) -> Parts:
    check_arrays(container, None)
    arrays = container.arrays
    kind = "str" if "key_offsets" in arrays else "int" if "key_values" in arrays else "none"
    return Parts.from_stored(arrays, kind, SCORING, full=full)


def _use_unverified(container: Container) -> None:
    """At header level a damaged index may answer wrongly, miss an id or raise, but does no harm."""
    if container.kind == "search.segment":
        with contextlib.suppress(CorruptFileError, _core.CorruptError, UnicodeDecodeError, KeyError):
            use(_parts(container, full=False), container.arrays, compare=False)


def use(parts: Parts, arrays: Arrays, *, compare: bool) -> None:
    """Ask everything of an index that was accepted; compare with the plain reader."""
    core = parts.core
    if core.n_docs > 5000 or core.n_terms > 2000:
        return  # a claim of many empty documents is allowed; asking all of them takes too long here
    terms = [core.term(t) for t in range(core.n_terms)] if compare else []
    scores = np.empty(core.n_docs, np.float32)
    for t, term in enumerate(terms[:50]):
        found, best = core.search_tokens([term], -1.0, 10, False)
        core.score_all(np.array([t], np.uint32), np.ones(1), scores)
        expected = reference_scores(arrays, term)
        if not np.allclose(scores, expected, rtol=1e-5, atol=1e-7):
            raise Finding(f"scores of {term!r} differ from the reference")
        if not np.array_equal(scores[found], best) or len(found) != min(10, sum(score > 0 for score in scores)):
            raise Finding(f"hits of {term!r} differ from the scores")
    if not compare:
        for t in range(min(core.n_terms, 50)):
            core.search(np.array([t], np.uint32), np.ones(1), 10, True, -1, 1)
    core.search_tokens(terms[:50] or ["a"], -1.0, 5, False)
    for document in range(min(core.n_docs, 20)):
        core.keywords(document, 5, 1.0, math.inf)
        parts.keys.doc_ids([parts.keys.key(document)])
        for strings, number in ((parts.texts, document), (parts.forms, document % max(1, core.n_terms))):
            if strings is not None and (strings is parts.texts or core.n_terms):
                strings.get(number)


def reason_of(error: Exception) -> str:
    """What kind of complaint it is, without the numbers in it."""
    array = re.sub(r"[^a-z_].*", "", str(getattr(error, "array", "")))
    return f"{array}: {re.sub(r'got .*|[0-9a-f]{16}|[0-9]+', '', str(getattr(error, 'reason', error)))[:80]}"


# --- Running ---


def seeds() -> list[bytes]:
    """Small sound files of every shape."""
    toy = [list("aba"), list("bc"), list("accd")]
    words = ["wing", "flow", "heat", "plate", "boundary", "layer", "naïve", "北京", "京大", "x"]
    rng = random.Random(5)
    corpora: list[tuple[Any, dict[str, Any]]] = [
        (toy, {}),
        (toy, {"keys": ["one", "two", "drei"], "texts": True, "forms": True}),
        (toy, {"keys": [5, -7, 2**40]}),
        ([], {}),
        ([[], []], {"keys": ["", "é"], "texts": True}),
        ([["a"] * 255, ["a"] * 254 + ["b"] * 70000, ["b"]], {}),
        ([rng.choices(words, k=rng.randrange(20)) for _ in range(40)], {"texts": True}),
    ]
    files = [encode("search.segment", "1", {}, make_segment(docs, **options)[0]) for docs, options in corpora]
    files.append(encode("example", "1", {}, {"ids": np.array([0, 1, 2]), "weights": np.array([1.5, -2], np.float32)}))
    return [b"".join(parts) for parts in files]


@dataclass
class Report:
    """Counts of a run."""

    n_runs: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    reasons: set[tuple[str, str]] = field(default_factory=set)
    corpus: list[tuple[bytes, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def corpus_share(self) -> float:
        """The share of the corpus that reaches the checks of the structure."""
        return sum(stage in ("structure", "accepted") for _, stage in self.corpus) / len(self.corpus)

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {self.stages[stage]}" for stage in ("header", "digests", "structure", "accepted"))
        return (
            f"{self.n_runs} runs in {self.seconds:.1f} s; they ended at: {stages}; {len(self.reasons)} distinct ends; "
            f"corpus {len(self.corpus)}, of which {self.corpus_share:.0%} reach the structure"
        )


def fuzz(seconds: float, seed: int, max_runs: int | None = None, findings: Path | None = None) -> Report:
    """Mutate and try until the time is over. Raises what must not happen, after writing down its input."""
    rng = random.Random(seed)
    report = Report()
    for data in seeds():
        stage, _ = run_once(data)
        report.corpus.append((data, stage))
    start = time.monotonic()
    while time.monotonic() - start < seconds and (max_runs is None or report.n_runs < max_runs):
        data, stage = rng.choice(report.corpus)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            data = mutate(data, rng)
        try:
            stage, reason = run_once(data)
        except BaseException:
            if findings is not None:
                findings.mkdir(parents=True, exist_ok=True)
                (findings / f"container-{digest(data)}").write_bytes(data)
            raise
        report.n_runs += 1
        report.stages[stage] += 1
        if (stage, reason) not in report.reasons:
            report.reasons.add((stage, reason))
            # Mutants of a broken header have broken headers: only what passes the parser is worth keeping.
            if stage != "header" and len(data) < 200_000:
                report.corpus.append((data, stage))
    report.seconds = time.monotonic() - start
    return report


def fuzz_with_atheris(corpus: str, options: list[str]) -> None:
    """Let libFuzzer choose what to keep, by coverage of the Python code."""
    import atheris  # type: ignore[import-not-found]

    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for data in seeds():
        (folder / digest(data)).write_bytes(data)

    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutate(data, random.Random(seed))[:max_size]

    # Not the parser of the header: a corpus chosen by its branches would be made of broken headers.
    for name in ("persistence.container", "search.storage.reading", "search.parts", "search.keys"):
        for value in list(vars(sys.modules[f"likewise.{name}"]).values()):
            module = getattr(value, "__module__", "")
            if callable(value) and module.startswith("likewise") and value.__name__ != "_Parser":
                _instrument(atheris, value)
    atheris.Setup([sys.argv[0], corpus, *options], run_once, custom_mutator=custom_mutator)
    atheris.Fuzz()


def _instrument(atheris: Any, value: Any) -> None:
    for function in [value, *vars(value).values()] if isinstance(value, type) else [value]:
        if hasattr(function, "__code__"):
            atheris.instrument_func(function)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("build/findings"))
    parser.add_argument("--atheris", metavar="DIRECTORY")
    parser.add_argument("--stages", metavar="DIRECTORY", type=Path, help="how far the files of a corpus come")
    arguments, rest = parser.parse_known_args()
    if arguments.atheris:
        fuzz_with_atheris(arguments.atheris, rest)
        return 0
    if arguments.stages:
        print(Counter(run_once(file.read_bytes())[0] for file in sorted(arguments.stages.iterdir())))
        return 0
    report = fuzz(arguments.seconds, arguments.seed, findings=arguments.findings)
    print(f"container: {report}")
    if report.corpus_share < 0.5:
        print("container: expected at least half of the corpus to reach the checks of the structure", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
