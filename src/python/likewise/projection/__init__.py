"""Random projection: fewer dimensions, nearly the same distances, no training."""

from .dimension import min_dim
from .estimator import RandomProjection
from .hashing import hamming_distance, simhash, simhash_cosine
from .low_rank import randomized_range_finder, randomized_svd
from .measuring import DistortionReport, distortion

sign_hash = simhash

__all__ = [
    "DistortionReport",
    "RandomProjection",
    "distortion",
    "hamming_distance",
    "min_dim",
    "randomized_range_finder",
    "randomized_svd",
    "sign_hash",
    "simhash",
    "simhash_cosine",
]
