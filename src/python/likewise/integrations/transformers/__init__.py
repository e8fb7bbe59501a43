"""Adapters to Hugging Face transformers.

Native sampling, floors and loop detection inside of ``generate``; training against perturbations of the embeddings by
``Trainer``.
"""

try:
    import transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        "likewise.integrations.transformers needs transformers; pip install 'likewise[transformers]'"
    ) from error

from .decoding import LoopStoppingCriteria, NativeSampler, TerminationFloorProcessor, generation_kwargs
from .training import AdversarialTrainerMixin, TrainerPatch, adversarial_training

__all__ = [
    "AdversarialTrainerMixin",
    "LoopStoppingCriteria",
    "NativeSampler",
    "TerminationFloorProcessor",
    "TrainerPatch",
    "adversarial_training",
    "generation_kwargs",
]
