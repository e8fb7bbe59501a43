"""Optimal transport: how far apart are two distributions, by Sinkhorn's iterations or exactly?"""

__all__: list[str] = []
