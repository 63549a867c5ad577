"""Statistics of features that come a few rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from ..linalg import NumericalError, Statistics
from .rows import FeatureMap

# Numbers of a block: 1 MiB of float32 stays in a processor's cache between subtraction and product.
BLOCK_VALUES = 2**18


class Accumulator:
    """Mean and covariance of a map, the same whatever the strips it comes in.

    Products are float32 along a row and float64 from row to row, of features shifted by the mean of the first
    row: the sums lose nothing to a large common offset, no float64 copy of the features is made, and since a
    strip consists of whole rows, its height changes nothing above the precision of float64.

    Args:
        source: The map, none of whose rows exists yet.
    """

    def __init__(self, source: FeatureMap) -> None:
        channels, device = source.shape.channels, source.shape.device
        # Apple's GPU has no float64.
        self.home = torch.device("cpu") if device.type == "mps" else device
        self.shift: Tensor | None = None  # [C], float32
        self.sums = torch.zeros(channels, dtype=torch.float64, device=self.home)
        self.products = torch.zeros(channels, channels, dtype=torch.float64, device=self.home)
        self.count = source.shape.height * source.shape.width
        source.observers.append(self._add)

    def _add(self, _: int, rows: Tensor) -> None:
        """Add rows [h, W, C]."""
        if self.shift is None:
            self.shift = rows[0].float().mean(0)
        step = max(1, BLOCK_VALUES // rows[0].numel())
        for top in range(0, len(rows), step):
            shifted = torch.sub(rows[top : top + step], self.shift)  # [h, W, C], float32
            self.products += self._total(torch.bmm(shifted.mT, shifted))
            self.sums += self._total(shifted.sum(1))

    def _total(self, rows: Tensor) -> Tensor:
        """Sum over rows in float64."""
        return rows.to(self.home).sum(0, dtype=torch.float64)

    def result(self) -> Statistics:
        """Return the statistics of the map, batch 1, float64 on the CPU.

        Raises:
            NumericalError: NaN or infinity in the map.
        """
        assert self.shift is not None
        offset, products = self.sums.cpu() / self.count, self.products.cpu() / self.count
        if not torch.isfinite(products).all():
            raise NumericalError("the features hold NaN or infinity")
        covariance = products - offset.unsqueeze(1) * offset
        covariance = (covariance + covariance.T) / 2
        mean = self.shift.cpu().double() + offset
        return Statistics(mean[None], covariance[None], torch.tensor([self.count], dtype=torch.float64))
