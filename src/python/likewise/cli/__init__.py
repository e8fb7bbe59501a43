"""The program ``likewise``: index, search, check and measure from a shell."""

from .program import main

__all__ = ["main"]
