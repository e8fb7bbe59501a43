"""``likewise index``: documents in, an index out."""

import argparse
import errno
import os
import time
from pathlib import Path
from typing import Any

from likewise.persistence import inspect
from likewise.search import Index

from .documents import Documents, guess_format, open_binary
from .output import Output, human_bytes


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Build the index that the arguments ask for."""
    path: str = arguments.path
    refuse_bad_place(path, overwrite=arguments.overwrite)
    start = time.perf_counter()
    with open_binary(arguments.input) as file:
        format = arguments.format or guess_format(arguments.input)
        documents = Documents(file, format, text_fields=arguments.text_field, id_field=arguments.id_field)
        if documents.fields is not None and not arguments.text_field:
            output.note(f"indexing {', '.join(documents.fields)} (of {', '.join(documents.available)})")
        index = Index.build(
            documents,
            ids=arguments.id_field,
            fields=documents.fields,
            store=not arguments.no_store,
            n_threads=arguments.threads,
            progress=output.progress,
        )
    index.save(path, overwrite=arguments.overwrite)
    seconds = time.perf_counter() - start
    report: dict[str, Any] = {
        "path": path,
        "n_docs": index.n_docs,
        "n_terms": index.n_terms,
        "n_postings": index.n_postings,
        "n_bytes": size_on_disk(path),
        "seconds": round(seconds, 3),
        "documents_per_second": round(index.n_docs / seconds),
    }
    if output.json:
        output.result_json(report)
    else:
        output.result(
            f"{path}: {index.n_docs} documents, {index.n_terms} terms, {index.n_postings} postings, "
            f"{human_bytes(report['n_bytes'])}, in {seconds:.2f} s ({report['documents_per_second']} documents/s)"
        )
    return 0


def size_on_disk(path: str | os.PathLike[str]) -> int:
    """Bytes of the data files of the newest generation: an index that was replaced is kept beside it for a while."""
    n_bytes: int = inspect(path)["n_bytes"]
    return n_bytes


def refuse_bad_place(path: str, *, overwrite: bool, hint: str = " [--overwrite replaces an index]") -> None:
    """Raise now what Index.save would raise too, but only after all the work."""
    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(place.parent))
    if not os.path.lexists(path) or (place.is_dir() and not any(place.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(errno.EEXIST, f"exists already{hint}", path)
    if not place.is_dir():
        raise FileExistsError(errno.EEXIST, "exists already, and is no index", path)
