"""Search Python's own documentation, and go on from what was found.

    python examples/search_docstrings.py "shuffle a list"

Indexes the docstrings of the standard library and of numpy, prints the best hits, why the first one is there, its
keywords, and the docstrings that are most like it.
"""

import sys

import likewise as lw
from likewise.cli.demo import docstring_corpus


def main() -> int:
    query = " ".join(sys.argv[1:]) or "shuffle a list"
    names, texts = docstring_corpus()
    index = lw.search.Index.build(texts, ids=names, store=True)

    hits = index.search(query, k=5)
    if not len(hits):
        print(f"nothing found for {query!r} in {index.n_docs} docstrings", file=sys.stderr)
        return 1
    for name, score in hits:
        snippet = index.highlight(query, id=name, pre="*", post="*", escape=False, max_chars=100)
        print(f"{score:8.3f}  {name}\n          {' '.join(snippet.split())}")

    best = hits.ids[0]
    print(f"\nWhy {best} is first:\n{index.explain(query, best)}")
    print("\nIts keywords:", ", ".join(word for word, _ in index.keywords(best, n=8)))
    print("Most like it:", ", ".join(index.related(best, k=5).ids))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
