"""Times of the peers alone: ``python -m benchmarks.search.peer_times [--corpus debian 1M] [--engine likewise bm25s]``.

Prints microseconds per query, tokens in, the Python call included, for bm25s (numba), tantivy and PISA.
"""

from __future__ import annotations

import argparse
import time

from benchmarks import corpora
from benchmarks.measure import CLOCKS, Contestant, race
from benchmarks.peers import Engine, MissingPeerError, engine_class
from benchmarks.peers.engine import compare_hits, overlap

DEFAULT_ENGINES = ("bm25s", "tantivy", "pisa-bmw", "pisa-bmm", "pisa-maxscore")


def main() -> None:
    """Print one table for every corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", nargs="+", default=["debian", "1M"])
    parser.add_argument("--engine", nargs="+", default=list(DEFAULT_ENGINES))
    parser.add_argument("--k", nargs="+", type=int, default=[10, 1000])
    parser.add_argument("--queries", type=int, default=200, help="queries of a setting")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu: for a machine with other work")
    arguments = parser.parse_args()
    for name in arguments.corpus:
        corpus = corpora.load(name)
        print(f"{corpus.name}: {corpus.n_docs} documents, {corpus.n_tokens} tokens", flush=True)
        engines: list[Engine] = []
        for engine_name in arguments.engine:
            try:
                started = time.perf_counter()
                engines.append(engine_class(engine_name)(corpus, corpora.cache_folder() / corpus.name))
                print(f"  {engine_name} ready in {time.perf_counter() - started:.1f} s", flush=True)
            except MissingPeerError as error:
                print(f"  {engine_name} skipped: install it by {error}")
        for setting in corpus.queries:
            queries = corpus.query_words(setting, arguments.queries)
            prepared = {engine.name: [engine.prepare(words) for words in queries] for engine in engines}
            for k in arguments.k:
                contestants = [Contestant(e.name, e.searcher(k), prepared[e.name], e.warming) for e in engines]
                first = [e.hits(e.searcher(k)(prepared[e.name][0])) for e in engines]
                shares = [f"{e.name} {overlap(first[0], hits):.2f}" for e, hits in zip(engines, first, strict=True)]
                timings = race(contestants, rounds=arguments.rounds, budget=60, clock=CLOCKS[arguments.clock])
                line = "  ".join(f"{t.name} {t.median * 1e6:.0f}" for t in timings.values())
                print(f"  {setting} k={k}: us per query: {line}   (overlap, query 0: {', '.join(shares)})", flush=True)
                if first and engines[0].exact:
                    for engine, hits in zip(engines[1:], first[1:], strict=True):
                        if engine.exact and engine.variant == engines[0].variant:
                            difference = compare_hits(first[0], hits)
                            if difference:
                                print(f"    {engine.name} differs: {difference}")


if __name__ == "__main__":
    main()
