"""An index on disk: a directory of immutable segment files, and a manifest for each generation that is its commit.

Files: ``LOCK`` (held by a writer), ``segment-<16 hex>.safetensors``, ``manifest-<20 digits>.json`` (one line of JSON
and the XXH3-64 of that line), ``.tmp-<16 hex>`` (being written). A reader takes no lock: it opens the newest manifest
and the files that it names; nothing is ever changed in place.
"""

from .manifest import Manifest, SegmentEntry, generations
from .reading import StoredIndex, open_index, open_with
from .writing import write_index

__all__ = ["Manifest", "SegmentEntry", "StoredIndex", "generations", "open_index", "open_with", "write_index"]
