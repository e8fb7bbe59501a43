"""Decoding that is guaranteed to stop: sampling, heads, search and certificates."""

from .beam import BeamResult, beam_search
from .floor import TerminationFloor, survival_bound
from .heads import SelfTerminatingState, non_monotonic_self_terminating, self_terminating
from .loops import LoopDetector
from .markov import termination_probability
from .sampling import SampleInfo, filter_logits, sample

__all__ = [
    "BeamResult",
    "LoopDetector",
    "SampleInfo",
    "SelfTerminatingState",
    "TerminationFloor",
    "beam_search",
    "filter_logits",
    "non_monotonic_self_terminating",
    "sample",
    "self_terminating",
    "survival_bound",
    "termination_probability",
]
