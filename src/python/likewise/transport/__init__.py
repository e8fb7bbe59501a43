"""Optimal transport: how far apart are two distributions, by Sinkhorn's iterations or exactly?"""

from .emo import EMOParts, emo_loss
from .exact import EMDBatchResult, EMDResult, emd, emd_batch
from .one_dimensional import sliced_wasserstein, wasserstein_1d

__all__ = [
    "EMDBatchResult",
    "EMDResult",
    "EMOParts",
    "emd",
    "emd_batch",
    "emo_loss",
    "sliced_wasserstein",
    "wasserstein_1d",
]
