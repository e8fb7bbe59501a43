"""``likewise project``: vectors of fewer dimensions with the same distances, or how few dimensions will do."""

import argparse
import time

import numpy as np

from likewise.projection import RandomProjection, min_dim

from .output import Output
from .vectors import VectorFile, refuse_bad_output, transform_file


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Project a file, or answer ``--dim``."""
    if arguments.dim is not None:
        return _print_dimension(arguments, output)
    if arguments.input is None or arguments.out is None:
        raise ValueError("X.npy OUT.npy: expected an input and an output file, or --dim N EPS")
    refuse_bad_output(arguments.out)
    start = time.perf_counter()
    vectors = VectorFile(arguments.input)
    projection = RandomProjection(
        "auto" if arguments.components is None else arguments.components,
        method=arguments.method,
        epsilon=0.1 if arguments.epsilon is None else arguments.epsilon,
        delta=arguments.delta,
        random_state=arguments.seed,
        n_threads=arguments.threads,
    )
    # How many rows there are matters to "auto" alone; with --components one row says all that fit looks at.
    if arguments.components is None:
        projection.fit(vectors.blocks(output))
    else:
        projection.fit(np.zeros((1, vectors.n_features), vectors.dtype))
    details = {"method": projection.method_, "seed": int(projection.seed_)}
    transform_file(vectors, projection.transform, arguments.out, start, output, details)
    return 0


def _print_dimension(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.input is not None:
        raise ValueError(f"--dim: expected no files beside it, got {arguments.input}")
    n_samples, epsilon = arguments.dim
    try:
        n_samples, epsilon = int(n_samples), float(epsilon)
    except ValueError:
        raise ValueError(f"--dim: expected a number of points and an epsilon, got {n_samples} {epsilon}") from None
    n_components = int(min_dim(n_samples, epsilon, arguments.delta))
    if output.json:
        output.result_json(
            {"n_samples": n_samples, "epsilon": epsilon, "delta": arguments.delta, "n_components": n_components}
        )
    else:
        output.result(str(n_components))
    return 0
