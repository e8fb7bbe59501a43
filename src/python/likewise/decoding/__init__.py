"""Decoding that is guaranteed to stop: sampling, heads, search and certificates."""

from .floor import TerminationFloor, survival_bound
from .heads import SelfTerminatingState, non_monotonic_self_terminating, self_terminating
from .loops import LoopDetector
from .sampling import SampleInfo, filter_logits, sample

__all__ = [
    "LoopDetector",
    "SampleInfo",
    "SelfTerminatingState",
    "TerminationFloor",
    "filter_logits",
    "non_monotonic_self_terminating",
    "sample",
    "self_terminating",
    "survival_bound",
]
