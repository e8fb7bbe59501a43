"""Which ways of decoding stop? A character model of Shakespeare's lines, judged exactly and by running it.

    python examples/stop_characters.py [FOLDER] [--limit 1500] [--seed 0] [--plot stop_characters.png]

FOLDER (default: the variable LIKEWISE_DATA) holds tinyshakespeare/input.txt. The model knows which character follows
which; the end token is the end of the line. It is trained on nine tenths of the lines; from the tenth character of each
of the others it goes on until the line ends, or to the limit. Because it is a Markov chain, the probability that it
never ends is known exactly. Needs matplotlib for the plot.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.decoding import TerminationFloor, filter_logits, sample, termination_probability

Vector = NDArray[Any]

TRUNCATIONS = {
    "top_k=2": dict(top_k=2),
    "top_k=4": dict(top_k=4),
    "top_p=0.2": dict(top_p=0.2),
    "top_p=0.4": dict(top_p=0.4),
}
GREEDY_FLOOR = TerminationFloor(1e-2, start=64)


def character_model(folder: Path) -> tuple[Vector, int, Vector]:
    """Probabilities of the next character given the last one, the end token, and the starts."""
    text = (folder / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    lines = [line for line in text.split("\n") if len(line) > 10]
    cut = round(0.9 * len(lines))
    counts = np.full((len(number), len(number)), 0.1)
    for line in lines[:cut]:
        places = [number[character] for character in f"{line}\n"]
        np.add.at(counts, (places[:-1], places[1:]), 1)
    starts = np.array([number[line[9]] for line in lines[cut:]])
    print(f"{len(number)} characters, {cut} lines to learn from, {len(starts)} starts")
    return counts / counts.sum(axis=1, keepdims=True), number["\n"], starts


def run(P: Vector, end: int, starts: Vector, limit: int, seed: int, **options: Any) -> Vector:
    """How many characters each start has generated when it ends; limit + 1 where it has not."""
    logits = np.log(P)
    lengths = np.full(len(starts), limit + 1)
    rows, last = np.arange(len(starts)), starts
    for step in range(limit):
        last = sample(logits[last], eos_id=end, step=step, random_state=seed, row_ids=rows, **options)
        lengths[rows[last == end]] = step + 1
        rows, last = rows[last != end], last[last != end]
        if not len(rows):
            break
    return lengths


def mean_length(P: Vector, end: int, starts: Vector, **options: Any) -> float:
    """The expected number of characters, (I - Q)^-1 1, of a way of decoding that ends for certain."""
    kept = np.exp(filter_logits(np.log(P), eos_id=end, normalize=True, **options))
    moves = np.delete(np.delete(kept, end, axis=0), end, axis=1)
    means = np.linalg.solve(np.eye(len(moves)) - moves, np.ones(len(moves)))
    return float(means[starts - (starts > end)].mean())


def plot(found: dict[str, Vector], limit: int, path: str) -> None:
    """The share of lines that have not ended, against the characters generated."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4))
    colours = dict(zip((*TRUNCATIONS, "full"), ("#D55E00", "#E69F00", "#0072B2", "#009E73", "#000000"), strict=True))
    tokens = np.arange(1, limit + 1)
    for name, lengths in found.items():
        alive = (lengths[:, None] > tokens).mean(axis=0)
        style = "--" if "consistent" in name or "floor" in name else "-"
        ax.plot(tokens, alive, style, color=colours.get(name.split()[0], "#777777"), label=name, linewidth=1.5)
    ax.set_xscale("log")
    ax.set_xlabel("characters generated")
    ax.set_ylabel("share of lines that have not ended")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("LIKEWISE_DATA", "."), type=Path)
    parser.add_argument("--limit", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="stop_characters.png", help="a file, or '' for none")
    options = parser.parse_args()
    P, end, starts = character_model(options.folder)
    limit = options.limit
    ways: dict[str, dict[str, Any]] = {"full softmax": {}}
    for name, truncation in TRUNCATIONS.items():
        ways[name] = truncation | dict(consistent=False)
        ways[f"{name} consistent"] = truncation
    ways["greedy"] = dict(temperature=0)
    ways["greedy + floor"] = dict(temperature=0, floor=GREEDY_FLOOR)
    print(
        f"{'':24}{'never ends':>12}{f'over {limit}':>12}{'in the run':>12}{'mean':>9}{'in the run':>12}{'longest':>9}"
    )
    found = {}
    for name, way in ways.items():
        floored = "floor" in way
        never = 0.0 if floored else 1 - termination_probability(P, end, starts, way).mean()  # with a floor: proved
        late = 1 - termination_probability(P, end, starts, way, horizon=limit).mean()
        mean = f"{mean_length(P, end, starts, **way):.1f}" if never == 0 and not floored else "-"
        found[name] = lengths = run(P, end, starts, limit, options.seed, **way)
        unfinished = (lengths > limit).mean()
        ran, longest = (f"{lengths.mean():.1f}", str(lengths.max())) if unfinished == 0 else ("-", "-")
        print(f"{name:24}{never:>12.6f}{late:>12.6f}{unfinished:>12.6f}{mean:>9}{ran:>9}{longest:>9}")
    if options.plot:
        plot(found, limit, options.plot)


if __name__ == "__main__":
    main()
