"""Word vectors of gensim's models."""

from __future__ import annotations

from typing import Any

from .._validation import describe
from ..transport import WordVectors

__all__ = ["word_vectors"]


def word_vectors(keyed_vectors: Any) -> WordVectors:
    """The words and vectors of a gensim model, for Word Mover's Distance.

    Parameters
    ----------
    keyed_vectors : gensim.models.KeyedVectors
        ``model.wv`` of a Word2Vec or FastText model, or what ``KeyedVectors.load`` gives. The vectors are used where
        they are, without a copy: train no further.

    Returns
    -------
    WordVectors
        float32. FastText's vectors for unknown words are left out.

    Raises
    ------
    ImportError
        gensim is not installed.
    TypeError
        Another object.

    Examples
    --------
    >>> from gensim.models import KeyedVectors
    >>> from likewise.integrations.gensim import word_vectors
    >>> from likewise.transport import word_movers_distance
    >>> keyed = KeyedVectors(vector_size=2)
    >>> keyed.add_vectors(["wing", "flap"], [[1.0, 0.0], [0.6, 0.8]])
    >>> round(word_movers_distance("a wing", "the flap", word_vectors(keyed)), 6)
    0.894427
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise ImportError("likewise.integrations.gensim needs gensim; pip install 'likewise[gensim]'") from error
    if not isinstance(keyed_vectors, KeyedVectors):
        hint = " [pass model.wv]" if isinstance(getattr(keyed_vectors, "wv", None), KeyedVectors) else ""
        raise TypeError(f"keyed_vectors: expected gensim KeyedVectors, got {describe(keyed_vectors)}{hint}")
    return WordVectors(keyed_vectors.vectors, list(keyed_vectors.index_to_key))
