"""Decoding that is guaranteed to stop: sampling, heads, search and certificates."""

from .heads import SelfTerminatingState, non_monotonic_self_terminating, self_terminating

__all__ = ["SelfTerminatingState", "non_monotonic_self_terminating", "self_terminating"]
