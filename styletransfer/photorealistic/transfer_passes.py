"""The two passes over a picture: measure its features, then move and decode them, strip by strip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import Statistics, compute_statistics, merge_statistics
from ..linalg.device_placement import limit_convolution_threads
from ..model import CouplingNetwork
from ..pipeline import ProgressCallback
from ..pipeline.regions import AffineMap, PixelWeights, borrow_statistics, mix_maps
from ..pipeline.resampling import WHITE, white_level
from ..pipeline.streamed_maps import Observer
from .strips import Strip, list_strips


class TransferPasses:
    """The passes of a network over one picture.

    Args:
        network: The network.
        samples: The picture, [3, H, W], uint8, uint16 or float in 0..1.
        weights: How its pixels count, and the regions' shares of them.
        rows: Height of the strips. If one strip holds the whole picture, it is encoded once for both passes.
        device: The device that computes.
        bfloat16: Whether to convolve in bfloat16.
    """

    def __init__(
        self,
        network: CouplingNetwork,
        samples: Tensor,
        weights: PixelWeights,
        rows: int,
        device: torch.device,
        *,
        bfloat16: bool,
    ) -> None:
        self.network, self.samples, self.weights, self.device = network, samples, weights, device
        self.height = samples.shape[1]
        self._strips = list(list_strips(network.architecture, self.height, rows))
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
        self._encoded: Tensor | None = None

    def measure(self, progress: ProgressCallback) -> list[Statistics]:
        """Measure the features of every region."""
        parts: list[list[Statistics]] = []
        for strip in self._strips:
            encoded = self._encode(strip._replace(inner=strip.rows, outer=strip.inner))  # nothing is decoded
            if len(self._strips) == 1:
                self._encoded = encoded
            shares: list[Tensor | None] = [None]
            if self.weights.statistics is not None:
                shares = list(self.weights.statistics.rows(0, strip.rows.start, strip.rows.stop).flatten(1))
            if not parts:
                parts = [[] for _ in shares]
            for part, share in zip(parts, shares, strict=True):
                if share is None or share.any():
                    counted = None if share is None else share[None]
                    part.append(compute_statistics(encoded.flatten(2), counted))
            progress(strip.rows.stop / self.height)
        empty = next(part[0] for part in parts if part)
        nothing = empty._replace(count=torch.zeros_like(empty.count))
        return borrow_statistics([merge_statistics(*part) if part else nothing for part in parts])

    def apply(self, maps: Sequence[AffineMap], emit: Observer, progress: ProgressCallback) -> None:
        """Move the features of every region by its map and decode them.

        Args:
            maps: One map per region.
            emit: Receives the index of the first row and a strip [3, h, W], near 0..255.
            progress: Called after every strip.
        """
        for strip in self._strips:
            encoded = self._encode(strip) if self._encoded is None else self._encoded
            self._encoded = None
            with self._autocast:
                pictures, _ = self.network.decode(self._move(encoded, maps, strip.inner.start))
            emit(strip.rows.start, strip.crop_inner(pictures)[0].float() * WHITE)
            progress(strip.rows.stop / self.height)

    def _move(self, encoded: Tensor, maps: Sequence[AffineMap], start: int) -> Tensor:
        if self.weights.shares is None:
            matrix, offset = maps[0]
            with limit_convolution_threads(encoded):
                return F.conv2d(encoded, matrix[:, :, None, None], offset)
        features = encoded[0].permute(1, 2, 0).contiguous()
        return mix_maps(features, maps, self.weights.shares, 0, start).permute(2, 0, 1)[None]

    def _encode(self, strip: Strip) -> Tensor:
        """Encode a strip and return the features [1, C, h, W] of its inner rows."""
        pixels = self.samples[:, strip.outer].to(self.device).float()[None] / white_level(self.samples)
        with self._autocast:
            encoded = self.network.encode(pixels.contiguous(memory_format=torch.channels_last))
        return strip.crop_outer(encoded)
