"""Optimal transport: how far apart are two distributions, by Sinkhorn's iterations or exactly?"""

from .barycenter import BarycenterResult, barycenter
from .batch import BatchResult, sinkhorn_batch
from .certificate import Certificate
from .divergence import sinkhorn_divergence
from .documents import relaxed_wmd, word_centroid_distance, word_movers_distance
from .emo import EMOParts, emo_loss
from .emo_embedding import FixedEmbeddingCache
from .exact import EMDBatchResult, EMDResult, emd, emd_batch
from .one_dimensional import sliced_wasserstein, wasserstein_1d
from .partial import partial
from .plan import Plan
from .results import TransportResult
from .sinkhorn import sinkhorn
from .sparse_plan import SparsePlan
from .unbalanced import unbalanced
from .wmd_index import WMDIndex, WMDStats, wmd_search
from .word_vectors import WordVectors

__all__ = [
    "BarycenterResult",
    "BatchResult",
    "Certificate",
    "EMDBatchResult",
    "EMDResult",
    "EMOParts",
    "FixedEmbeddingCache",
    "Plan",
    "SparsePlan",
    "TransportResult",
    "WMDIndex",
    "WMDStats",
    "WordVectors",
    "barycenter",
    "emd",
    "emd_batch",
    "emo_loss",
    "partial",
    "relaxed_wmd",
    "sinkhorn",
    "sinkhorn_batch",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "unbalanced",
    "wasserstein_1d",
    "wmd_search",
    "word_centroid_distance",
    "word_movers_distance",
]
