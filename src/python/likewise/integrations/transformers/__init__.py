"""Adapters to Hugging Face transformers: native sampling, floors and loop detection inside of ``generate``."""

try:
    import transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        "likewise.integrations.transformers needs transformers; pip install 'likewise[transformers]'"
    ) from error

from .decoding import LoopStoppingCriteria, NativeSampler, TerminationFloorProcessor, generation_kwargs

__all__ = ["LoopStoppingCriteria", "NativeSampler", "TerminationFloorProcessor", "generation_kwargs"]
