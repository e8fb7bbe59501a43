"""BERT-whitening with beta and gamma, from one pass over the data, and the choice of its hyper-parameters."""

from __future__ import annotations

from .estimator import Whitening
from .moments import Moments
from .tuning import TuneResult, tune

__all__ = ["Moments", "TuneResult", "Whitening", "tune"]
