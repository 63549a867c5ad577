"""A feature map for the tests of layers and of statistics."""

from __future__ import annotations

from torch import Tensor

from styletransfer.pipeline.streamed_maps import FeatureMap, MapShape


class FixedMap(FeatureMap):
    """A map with given features [H, W, C]."""

    def __init__(self, features: Tensor) -> None:
        height, width, channels = features.shape
        super().__init__(MapShape(height, width, channels, features.dtype, features.device))
        self.features = features

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        rows = self.features[start:stop]
        return rows if out is None else out.copy_(rows)
