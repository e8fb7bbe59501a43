"""Keywords: the words from which a text is best guessed, by a word2vec skip-gram model.

The score of a word w is the log-likelihood of the text given w, ``s(w) = sum_u n_u log p(u | w)``. `Word2VecKeywords`
takes p from a hierarchical softmax, `NegativeSamplingKeywords` from the softmax that negative sampling stands for.

Background: Su Jianlin, kexue.fm/archives/4316.
"""

from .negative_sampling import NegativeSamplingKeywords
from .tree import Word2VecKeywords

__all__ = ["NegativeSamplingKeywords", "Word2VecKeywords"]
