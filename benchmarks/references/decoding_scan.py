"""The search for repetitions of vLLM's scheduler, written from its description: after every token, every period."""

from __future__ import annotations


def repeats(tokens: list[int], period: int, count: int) -> bool:
    """Whether the last `period` tokens stand there `count` times. Ends at the first token that differs."""
    for n in range(1, period + 1):
        token = tokens[-n]
        for m in range(1, count):
            if tokens[-(period * m + n)] != token:
                return False
    return True


def find_period(tokens: list[int], max_period: int, count: int) -> int:
    """The smallest period of a repetition at the end; 0 for none."""
    for period in range(1, max_period + 1):
        if period * count > len(tokens):
            return 0
        if repeats(tokens, period, count):
            return period
    return 0
