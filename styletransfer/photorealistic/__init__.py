"""Photographs in the light and the colors of others: an invertible network, moved by optimal transport."""

from .pipeline import PhotorealisticPipeline

__all__ = ["PhotorealisticPipeline"]
