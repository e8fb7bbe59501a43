"""Optimal transport: how far apart are two distributions, by Sinkhorn's iterations or exactly?"""

from .documents import relaxed_wmd, word_centroid_distance, word_movers_distance
from .emo import EMOParts, emo_loss
from .exact import EMDBatchResult, EMDResult, emd, emd_batch
from .one_dimensional import sliced_wasserstein, wasserstein_1d
from .wmd_index import WMDIndex, WMDStats, wmd_search
from .word_vectors import WordVectors

__all__ = [
    "EMDBatchResult",
    "EMDResult",
    "EMOParts",
    "WMDIndex",
    "WMDStats",
    "WordVectors",
    "emd",
    "emd_batch",
    "emo_loss",
    "relaxed_wmd",
    "sliced_wasserstein",
    "wasserstein_1d",
    "wmd_search",
    "word_centroid_distance",
    "word_movers_distance",
]
from .emo_embedding import FixedEmbeddingCache

__all__ = ["EMOParts", "FixedEmbeddingCache", "emo_loss"]
