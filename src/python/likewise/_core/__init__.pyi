"""The extension module. Private: its names may change in any release."""

from . import decoding as decoding
from . import dispatch as dispatch
from . import keywords as keywords
from . import projection as projection
from . import search as search
from . import transport as transport
from . import whitening as whitening

__version__: str

class InternalError(RuntimeError): ...

class CorruptError(ValueError):
    array: str
    reason: str
