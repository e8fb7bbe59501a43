"""The parser of the command line, and the one place where errors become messages and exit codes.

Exit codes: 0 done; 1 a check failed, or no result where one was asked for; 2 bad usage or input; 130 interrupted.
A closed pipe is no error: whoever reads has seen enough.
"""

import argparse
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

import likewise

from .documents import FORMATS
from .output import Output, discard_output, use_utf8

DONE, NOTHING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(BAD_INPUT, f"likewise: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name. Default: those of the process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from likewise.cli import main
    >>> main(["search", "no-such-index.lw", "words"])
    2
    """
    use_utf8()
    debug = False
    try:
        arguments = _parser().parse_args(argv)
        debug = arguments.debug
        module, _, function = arguments.module.partition(":")
        run = getattr(importlib.import_module(f".{module}", __package__), function or "run")
        output = Output(json=arguments.json, quiet=arguments.quiet)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            # What the library warns users of is shown, even where PYTHONWARNINGS makes errors of warnings.
            warnings.simplefilter("default", UserWarning)
            code: int = run(arguments, output)
        sys.stdout.flush()
        return code
    except SystemExit as error:  # argparse, after help, the version or a usage error
        return _flushed(int(error.code or 0))
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED, debug)
    except BrokenPipeError:
        discard_output()
        return DONE
    except Exception as error:
        return _failed(_message(error), BAD_INPUT, debug)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    return code


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    try:
        sys.stdout.flush()  # what came before the error belongs before it
    except OSError:
        discard_output()
    print(f"likewise: error: {message}", file=sys.stderr)
    return code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
        return ": ".join([*names, error.strerror])
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = str(error)
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and text:
        return text
    return f"{type(error).__name__}: {text} [--debug shows where; please report it]"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"likewise: warning: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="likewise",
        description="How alike are texts and vectors? Search, keywords, projection and whitening from a shell.",
        epilog="Start with:  likewise demo",
    )
    parser.add_argument("--version", action="version", version=f"likewise {likewise.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    index = _command(
        commands,
        "index",
        "build an index from documents",
        "likewise index papers.jsonl papers.lw --text-field title abstract --id-field id",
        """Builds an index from a file: JSON lines (one object a line), CSV (with a header) or txt (a document a line).
        The index appears at PATH only when it is complete.""",
    )
    index.set_defaults(module="indexing")
    index.add_argument("input", metavar="INPUT", help='the documents: .jsonl, .csv or .txt; "-" is standard input')
    index.add_argument("path", metavar="PATH", help="the directory to write")
    index.add_argument(
        "--text-field",
        metavar="F",
        nargs="+",
        action="extend",
        help="fields to index (default: those that hold a text in the first document)",
    )
    index.add_argument("--id-field", metavar="I", help="field with the ids (default: documents are numbered from 0)")
    index.add_argument("--format", choices=FORMATS, help="what INPUT is (default: as its name says)")
    index.add_argument("--no-store", action="store_true", help="do not keep the texts: smaller, but nothing to show")
    index.add_argument("--overwrite", action="store_true", help="replace the index at PATH")

    search = _command(
        commands,
        "search",
        "search an index",
        'likewise search papers.lw "optimal transport" -k 5',
        """Prints the best documents for each QUERY: rank, score, id, and the text around the hits where it is stored.
        Quote a query of several words. Exit code 1: no document was found.""",
    )
    search.set_defaults(module="searching")
    search.add_argument("path", metavar="PATH", help="an index")
    search.add_argument("query", metavar="QUERY", nargs="*", help="what to search for")
    search.add_argument("-k", metavar="K", type=_positive, default=10, help="hits a query (default: 10)")
    search.add_argument(
        "--queries", metavar="FILE", help='a query a line, or "id<TAB>query"; "-" is standard input; names trec output'
    )
    search.add_argument("--trust", action="store_true", help="skip the check of the whole file: opens at once")
    search.add_argument("--format", choices=("table", "jsonl", "trec"), default=None, help="default: table")

    _add_keywords_command(commands)
    _add_vector_commands(commands)

    check = _command(
        commands,
        "check",
        "check an index or a file for damage",
        "likewise check papers.lw",
        """Reads every file and reports damage. Exit code 0: sound; 1: damaged; 2: not a likewise path, of a version
        that this program does not know, or not readable. Changes nothing.""",
    )
    check.set_defaults(module="checking")
    check.add_argument("path", metavar="PATH", help="an index or a file of likewise")
    check.add_argument("--fast", action="store_true", help="sizes and headers only")

    info = _command(
        commands,
        "info",
        "describe this installation, or an index",
        "likewise info papers.lw",
        "Without PATH: version, CPU level, threads and what else matters in a report. With PATH: what the file says.",
    )
    info.set_defaults(module="information")
    info.add_argument("path", metavar="PATH", nargs="?", help="an index or a file of likewise")

    bench = _command(
        commands,
        "bench",
        "run the benchmarks and draw their charts",
        "likewise bench queries --quick",
        "Runs from a checkout or an unpacked source distribution, with the extra 'bench' installed.",
    )
    bench.set_defaults(module="bench")
    bench.add_argument("names", metavar="NAME", nargs="*", help="benchmarks to run (default: all)")
    bench.add_argument("--quick", action="store_true", help="small corpora and few rounds: does it run?")

    demo = _command(
        commands,
        "demo",
        "build, search and measure on what is installed",
        'likewise demo "shuffle a list"',
        """Collects the docstrings of Python's standard library and of numpy, builds an index of them, searches it and
        prints what it measured. Nothing is downloaded.""",
    )
    demo.set_defaults(module="demo")
    demo.add_argument("query", metavar="QUERY", nargs="*", help="what to search for (default: a few examples)")
    demo.add_argument("--save", metavar="PATH", help="keep the index at PATH (default: it is removed at the end)")
    return parser


def _add_keywords_command(commands: "argparse._SubParsersAction[_Parser]") -> None:
    keywords = _command(
        commands,
        "keywords",
        "print the keywords of each document",
        "likewise keywords papers.jsonl --text-field abstract -n 5",
        """Prints a line for each document of INPUT: its id and its keywords, best first. tfidf: the words that are
        frequent there and rare in INPUT. word2vec: the words from which the document is best guessed, by MODEL, a file
        that likewise.keywords saved.""",
    )
    keywords.set_defaults(module="keywords")
    keywords.add_argument("input", metavar="INPUT", help='the documents: .jsonl, .csv or .txt; "-" is standard input')
    keywords.add_argument("--method", choices=("tfidf", "word2vec"), default="tfidf", help="default: tfidf")
    keywords.add_argument("--model", metavar="M", help="the model of word2vec")
    keywords.add_argument("-n", metavar="N", type=_positive, default=10, help="keywords a document (default: 10)")
    keywords.add_argument(
        "--text-field",
        metavar="F",
        nargs="+",
        action="extend",
        help="fields to read (default: those that hold a text in the first document)",
    )
    keywords.add_argument("--id-field", metavar="I", help="field with the ids (default: documents are numbered from 0)")
    keywords.add_argument("--format", choices=FORMATS, help="what INPUT is (default: as its name says)")
    keywords.add_argument(
        "--cjk", choices=("bigram", "jieba"), default="bigram", help="how Chinese is cut into words (default: bigram)"
    )
    keywords.add_argument(
        "--stopwords", metavar="S", help='word2vec: "english", or a file with a word a line: no keywords, and no text'
    )
    keywords.add_argument("--no-self-term", action="store_true", help="word2vec: a word does not count for itself")
    keywords.add_argument("--fuse", choices=("tfidf",), help="word2vec: fused with the ranking by TF-IDF")


def _add_vector_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    project = _command(
        commands,
        "project",
        "project vectors to fewer dimensions, distances kept",
        "likewise project vectors.npy small.npy --components 256 --seed 0",
        """Multiplies the rows of X.npy by a random matrix that keeps distances (Johnson-Lindenstrauss), in blocks of
        rows: the file may be larger than memory. The same seed, components and method project other files the same way.
        With --dim: prints the smallest dimension in which N points keep all distances within 1 +- EPS.""",
    )
    project.set_defaults(module="projecting")
    project.add_argument("input", metavar="X.npy", nargs="?", help="the vectors, a row each")
    project.add_argument("out", metavar="OUT.npy", nargs="?", help="the file to write; one that is there is replaced")
    size = project.add_mutually_exclusive_group()
    size.add_argument("--components", metavar="K", type=_positive, help="columns of the result")
    size.add_argument(
        "--epsilon", metavar="E", type=float, help="as few columns as keep all distances within 1 +- E (default: 0.1)"
    )
    size.add_argument("--dim", metavar=("N", "EPS"), nargs=2, help="print a dimension; needs no files")
    project.add_argument("--delta", metavar="D", type=float, default=0.01, help="chance to fail (default: 0.01)")
    project.add_argument(
        "--method", metavar="M", default="auto", help="hadamard, sjlt, gaussian, ... (default: auto, which is hadamard)"
    )
    project.add_argument("--seed", metavar="S", type=int, help="of the random matrix (default: a fresh one, printed)")

    whiten = commands.add_parser("whiten", help="learn a whitening of vectors (fit), or use it (apply)")
    steps = whiten.add_subparsers(title="commands", metavar="COMMAND", required=True)
    fit = _command(
        steps,
        "fit",
        "learn a whitening from vectors",
        "likewise whiten fit vectors.npy model.safetensors --components 256",
        """Reads the rows of X.npy once, in blocks, and saves mean and covariance with the map that they give: from any
        beta = gamma = 0 (a rotation) to 1 (whitening).""",
    )
    fit.set_defaults(module="whitening:fit")
    fit.add_argument("input", metavar="X.npy", help="the vectors, a row each")
    fit.add_argument("model", metavar="MODEL", help="the file to write; one that is there is replaced")
    fit.add_argument(
        "--components",
        metavar="K",
        type=_components,
        help="columns of the result, or the share of variance to keep, such as 0.95 (default: all that the data have)",
    )
    fit.add_argument("--beta", metavar="B", type=float, default=1.0, help="share of the mean to subtract (default: 1)")
    fit.add_argument("--gamma", metavar="G", type=float, default=1.0, help="how far to even out (default: 1)")
    apply = _command(
        steps,
        "apply",
        "transform vectors by a saved whitening",
        "likewise whiten apply model.safetensors vectors.npy white.npy",
        "Transforms the rows of X.npy, in blocks: the file may be larger than memory.",
    )
    apply.set_defaults(module="whitening:apply")
    apply.add_argument("model", metavar="MODEL", help="what 'whiten fit' or Whitening.save wrote")
    apply.add_argument("input", metavar="X.npy", help="the vectors, a row each")
    apply.add_argument("out", metavar="OUT.npy", help="the file to write; one that is there is replaced")


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str, example: str, description: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=" ".join(description.split()),
        epilog=f"example:\n  {example}",
        formatter_class=_HelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print results as JSON, one object a line")
    command.add_argument("--quiet", action="store_true", help="print results and errors only")
    command.add_argument("--threads", metavar="N", type=_positive, help="threads to use (default: every CPU allowed)")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps the description, keeps the lines of the example."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return value


def _components(text: str) -> int | float:
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of columns or a share, got {text!r}") from None
