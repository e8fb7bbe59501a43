"""Files of likewise: one container for models and for the parts of an index, safe to open and loud when damaged."""

from .container import Container, read_container

__all__ = ["Container", "read_container"]
