"""``likewise check``: is this index or file sound?"""

import argparse

from likewise.persistence import check

from .output import Output


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Check the path, and print what was found."""
    report = check(arguments.path, full=not arguments.fast)
    output.result(report.to_json() if output.json else str(report))
    return 0 if report.ok else 1
