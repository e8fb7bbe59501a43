"""Training that resists small perturbations of the embeddings: FGM, PGD, FreeLB, VAT and the gradient penalty.

Pure PyTorch. Perturbations are added to the output of a module by a forward hook: parameters are never written.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("likewise.adversarial needs torch; pip install 'likewise[torch]'") from error

from .adversary import Adversary, adversarial_training
from .attacks import attack
from .penalty import gradient_penalty
from .rows import perturb_rows
from .settings import AdversarialStep

__all__ = [
    "AdversarialStep",
    "Adversary",
    "adversarial_training",
    "attack",
    "gradient_penalty",
    "perturb_rows",
]
