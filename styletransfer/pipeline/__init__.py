"""From content and style tensors to a stylized tensor: device, precision, alpha, colour; no files."""

from .stylization import StylizationPipeline

__all__ = ["StylizationPipeline"]
