"""``likewise whiten``: learn a whitening from a file of vectors, and apply it to another."""

import argparse
import time
from typing import Any

from likewise.whitening import Whitening

from .output import Output
from .vectors import VectorFile, refuse_bad_output, transform_file


def fit(arguments: argparse.Namespace, output: Output) -> int:
    """Fit a model to the rows of a file, and save it."""
    refuse_bad_output(arguments.model)
    start = time.perf_counter()
    vectors = VectorFile(arguments.input)
    whitening = Whitening(arguments.components, beta=arguments.beta, gamma=arguments.gamma, n_threads=arguments.threads)
    for _ in vectors.map(whitening.partial_fit, output):
        pass
    report: dict[str, Any] = {
        "path": arguments.model,
        "n_samples": int(whitening.n_samples_seen_),
        "n_features": int(whitening.n_features_in_),
        "rank": int(whitening.rank_),  # here the map is made, and refused if it cannot be: before anything is written
        "n_components": int(whitening.n_components_),
        "explained_ratio": float(whitening.explained_ratio_[: whitening.n_components_].sum()),
        "beta": arguments.beta,
        "gamma": arguments.gamma,
    }
    whitening.save(arguments.model)
    seconds = time.perf_counter() - start
    report["seconds"] = round(seconds, 3)
    if output.json:
        output.result_json(report)
    else:
        output.result(
            f"{arguments.model}: {report['n_samples']} rows, {report['n_features']} -> {report['n_components']} "
            f"columns (rank {report['rank']}), which hold {100 * report['explained_ratio']:.1f} % of the variance, "
            f"beta {arguments.beta:g}, gamma {arguments.gamma:g}, in {seconds:.2f} s"
        )
    return 0


def apply(arguments: argparse.Namespace, output: Output) -> int:
    """Transform the rows of a file by a saved model."""
    refuse_bad_output(arguments.out)
    start = time.perf_counter()
    whitening = Whitening.load(arguments.model)
    whitening.set_params(n_threads=arguments.threads)
    vectors = VectorFile(arguments.input)
    transform_file(vectors, whitening.transform, arguments.out, start, output, {})
    return 0
