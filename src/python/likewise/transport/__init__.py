"""Optimal transport: how far apart are two distributions, by Sinkhorn's iterations or exactly?"""

from .emo import EMOParts, emo_loss

__all__ = ["EMOParts", "emo_loss"]
