"""The EMO loss, Sinkhorn's distance and the self-terminating heads as differentiable functions of PyTorch.

For EMO and Sinkhorn, CPU tensors of float32 and float64 are read where they lie and go through the native code;
float16, bfloat16 and tensors on other devices go through the same formulas in operations of torch, as the heads always
do.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("likewise.integrations.torch: expected torch, got none [pip install torch]") from error

from .emo import EMOLoss, emo_loss
from .fused import fused_linear_emo_loss
from .heads import nll, non_monotonic_self_terminating, self_terminating
from .sinkhorn import sinkhorn

__all__ = [
    "EMOLoss",
    "emo_loss",
    "fused_linear_emo_loss",
    "nll",
    "non_monotonic_self_terminating",
    "self_terminating",
    "sinkhorn",
]
