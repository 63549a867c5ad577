"""From content and style tensors to a stylized tensor: device, precision, memory, strips; no files."""

from .base import Pipeline
from .streamed_maps import ProgressCallback, share_progress
from .stylization import StylizationPipeline

__all__ = ["Pipeline", "ProgressCallback", "StylizationPipeline", "share_progress"]
