"""The EMO loss and Sinkhorn's distance as differentiable functions of PyTorch.

CPU tensors of float32 and float64 are read where they lie and go through the native code; float16, bfloat16 and tensors
on other devices go through the same formulas in operations of torch.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("likewise.integrations.torch: expected torch, got none [pip install torch]") from error

from .emo import EMOLoss, emo_loss
from .fused import fused_linear_emo_loss
from .sinkhorn import sinkhorn

__all__ = ["EMOLoss", "emo_loss", "fused_linear_emo_loss", "sinkhorn"]
