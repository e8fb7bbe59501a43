"""Keywords of scientific abstracts by word2vec: train on a corpus at hand, extract, compare with TF-IDF.

    python examples/extract_keywords.py FOLDER [EPOCHS]

FOLDER is Inspec's, with Inspec-train-dev.zip. Needs gensim: pip install 'likewise[gensim]'. Ten epochs take a minute.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from gensim.models import Word2Vec

import likewise as lw

SHOWN = 5


def main(folder: str, epochs: str = "10") -> None:
    """Train on all abstracts, and print the keywords of a few."""
    with zipfile.ZipFile(Path(folder) / "Inspec-train-dev.zip") as archive:
        names = sorted(Path(name).stem for name in archive.namelist() if name.endswith(".key"))
        texts = [archive.read(f"Inspec/docsutf8/{name}.txt").decode("utf-8", "replace") for name in names]
        keys = [archive.read(f"Inspec/keys/{name}.key").decode() for name in names[:SHOWN]]
    analyzer = lw.search.Analyzer(stopwords=None, stem=False)
    tokens = [analyzer(text) for text in texts]
    index = lw.search.Index.build(tokens, analyzer=None)
    trained = Word2Vec(
        tokens, vector_size=100, sg=1, hs=0, negative=5, window=10, min_count=1, seed=1, epochs=int(epochs)
    )
    model = lw.keywords.NegativeSamplingKeywords.from_gensim(trained)

    stop = set(lw.search.Analyzer().stopwords) | {word for word in model.vocabulary if len(word) < 3}
    plain = model.extract_batch(tokens[:SHOWN], 5, stopwords=stop)
    fused = model.extract_batch(tokens[:SHOWN], 5, stopwords=stop, self_term=False, fuse="tfidf", idf=index)
    for number in range(SHOWN):
        print(texts[number].splitlines()[0].strip())
        print("  chosen by people: ", ", ".join(" ".join(line.split()) for line in keys[number].splitlines()[:5]))
        print("  by TF-IDF:        ", ", ".join(word for word, _ in index.keywords(number, 5)))
        print("  by word2vec:      ", ", ".join(word for word, _ in plain[number]))
        print("  fused:            ", ", ".join(word for word, _ in fused[number]))


if __name__ == "__main__":
    main(*sys.argv[1:])
