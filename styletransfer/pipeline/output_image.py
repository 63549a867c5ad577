"""The result: color transfer, soft clipping, chroma of the content where it is kept, and the final dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import soft_clip
from ..transfer import TransferTarget
from ..transfer.color_curves import (
    OUTPUT_PIXELS,
    PICTURE_PIXELS,
    bend_colors,
    measure_distribution,
    measure_quantiles,
)
from ..transfer.color_transfer import LUMA
from .regions import RegionWeights, map_rows, sample_weights, spread_positions
from .resampling import WHITE, white_level

# White of an integer type relative to 255, the white of the strips.
SCALES = {torch.uint8: 1.0, torch.uint16: 257.0}
# A smaller share of the style is none: that of one level of an 8-bit mask is four times as large.
SMALLEST_SHARE = 1e-3


class ColorTransfer(NamedTuple):
    """What is done to the colors of a region's output, in 0..255.

    Attributes:
        matrix: [3, 3].
        offset: [3].
        curves: Curves that follow, [3, NODES]; None for none.
    """

    matrix: Tensor
    offset: Tensor
    curves: Tensor | None

    @classmethod
    def find(cls, target: TransferTarget, found: Statistics, *, keeps_pixels: bool) -> ColorTransfer:
        """Find the map that gives an output mean and covariance of a target, without curves.

        Args:
            target: What to reach.
            found: Statistics of the output's colors in 0..1.
            keeps_pixels: Whether the region adds nothing to the result.
        """
        matrix, offset = target.find_map(found, 0)
        share = 0 if keeps_pixels else 1
        return cls((share * matrix).float(), (share * WHITE * offset).float(), None)

    def measure(self, pixels: Tensor, weights: Tensor | None) -> Tensor:
        """Measure how the map distributes some pixels of the output.

        Args:
            pixels: [N, 1, 1, 3] in 0..255.
            weights: How much each pixel counts, [N]; None if all count alike.

        Returns:
            See `transfer.color_curves.measure_distribution`.
        """
        colors = torch.addmm(self.offset.unsqueeze(1), self.matrix, pixels.cpu().flatten(1).T)
        return measure_distribution(colors / WHITE, weights)

    def to(self, device: torch.device) -> ColorTransfer:
        """Return the transfer on a device."""
        curves = None if self.curves is None else self.curves.to(device)
        return ColorTransfer(self.matrix.to(device), self.offset.to(device), curves)

    def bend(self, colors: Tensor) -> Tensor:
        """Send colors [3, ...] in 0..255 through the curves."""
        return colors if self.curves is None else bend_colors(colors, self.curves, WHITE)


def find_color_transfers(
    targets: Sequence[TransferTarget],
    found: Sequence[Statistics],
    kept: Sequence[bool],
    distributions: list[Tensor],
    pixels: Tensor | None,
    counts: RegionWeights | None,
) -> list[ColorTransfer]:
    """Find the color transfer of every region.

    Args:
        targets: What each region shall reach.
        found: Statistics of each region's output, colors in 0..1.
        kept: Whether each region keeps its pixels and adds nothing to the result.
        distributions: For each region what `ColorTransfer.measure` returns; with pixels, it is added here.
        pixels: Some pixels of the output, [N, 1, 1, 3] in 0..255; None if the distributions are known.
        counts: How the pixels count in every region; None if all count alike.
    """
    transfers = [
        ColorTransfer.find(target, region, keeps_pixels=keeps)
        for target, region, keeps in zip(targets, found, kept, strict=True)
    ]
    if pixels is not None:
        weights: Sequence[Tensor | None] = [None] * len(transfers)
        if counts is not None:
            weights = list(sample_weights(0, counts.samples, OUTPUT_PIXELS))
        distributions += [
            each.measure(pixels, weight) for each, weight in zip(transfers, weights, strict=True)
        ]
    return [
        transfer._replace(curves=target.find_curves(distribution))
        for transfer, target, distribution in zip(transfers, targets, distributions, strict=True)
    ]


def transfer_colors(
    rows: Tensor, transfers: Sequence[ColorTransfer], shares: RegionWeights | None, start: int
) -> Tensor:
    """Transfer the colors of some rows, and mix those of regions by their shares.

    Args:
        rows: Rows of the output, [h, W, 3] in 0..255.
        transfers: One transfer per region.
        shares: Shares of the regions; None for a single region.
        start: Index of the first row.

    Returns:
        [3, h, W], float32.
    """
    if shares is None:
        # Contiguous wherever the rows come from, because products of other strides round differently.
        colors = rows.permute(2, 0, 1).float().contiguous().flatten(1)
        moved = torch.addmm(transfers[0].offset.unsqueeze(1), transfers[0].matrix, colors)
        return transfers[0].bend(moved).view(3, *rows.shape[:2])
    mixed = torch.zeros(3, *rows.shape[:2], device=rows.device)
    for region, inside, columns, share in shares.parts(0, start, start + len(rows)):
        transfer = transfers[region]
        moved = map_rows(rows[inside, columns].float(), transfer.matrix, transfer.offset)
        mixed[:, inside, columns].addcmul_(transfer.bend(moved.permute(2, 0, 1)), share)
    return mixed


def measure_colors(samples: Tensor, alpha: Tensor | None) -> Tensor:
    """Measure the quantiles of a picture's colors at pixels that are spread evenly over it.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        alpha: How much each pixel counts, [1, H, W]; None if all count alike.

    Returns:
        See `transfer.color_curves.measure_quantiles`.
    """
    height, width = samples.shape[1:]
    rows, columns = spread_positions(height, width, PICTURE_PIXELS)
    colors = samples[:, rows.to(samples.device)][:, :, columns.to(samples.device)].flatten(1).cpu()
    weights = None if alpha is None else sample_weights(0, alpha, PICTURE_PIXELS)[0].cpu()
    return measure_quantiles(colors.float() / white_level(samples), weights)


class OutputImage:
    """The pixels of a result.

    Args:
        content: The content [3, H, W].
        dtype: Type of the result: uint8, uint16 or a float type.
        keep_chroma: Whether the colors of the content are kept.
        kept: Share of the content itself in every pixel, [1, H, W]; None for none of it.
        premultiplied: Whether the strips hold the rest multiplied by its share.
        reuse: A tensor that the result may overwrite row by row, so that it takes no memory of its own. It is
            used if it has the right type and is on the CPU.

    Attributes:
        pixels: [3, H, W], on the CPU; floats are in 0..1.
    """

    def __init__(
        self,
        content: Tensor,
        dtype: torch.dtype,
        *,
        keep_chroma: bool,
        reuse: Tensor | None = None,
        kept: Tensor | None = None,
        premultiplied: bool = True,
    ) -> None:
        self.content = content
        self.kept, self.premultiplied = kept, premultiplied
        self.keep_chroma = keep_chroma
        if reuse is not None and reuse.dtype == dtype and reuse.device.type == "cpu":
            self.pixels = reuse
        else:
            self.pixels = torch.empty(content.shape, dtype=dtype)

    def write(self, start: int, strip: Tensor) -> None:
        """Write a strip [3, h, W], float32 near 0..255, from row `start` on."""
        rows = slice(start, start + strip.shape[1])
        if self.kept is not None:
            kept = self.kept[:, rows].to(strip.device).float() / white_level(self.kept)
            if self.premultiplied:
                strip = strip / (1 - kept).clamp_min(SMALLEST_SHARE)
        strip = soft_clip(strip, 255)
        if self.keep_chroma:
            strip = self._keep_chroma(strip, self.content[:, rows])
        if self.kept is not None:
            original = self.content[:, rows].to(strip.device).float() * (255 / white_level(self.content))
            strip = strip.lerp(original, kept)
        if self.pixels.is_floating_point():
            strip = strip / 255
        else:
            strip = strip.mul_(SCALES[self.pixels.dtype]).round_()
        self.pixels[:, rows] = strip.to(self.pixels.dtype)

    @staticmethod
    def _keep_chroma(strip: Tensor, content: Tensor) -> Tensor:
        """Give a strip in 0..255 the chroma of the content."""
        white = 1 if content.is_floating_point() else 255 * SCALES[content.dtype]
        original = content.to(strip.device).float() / white
        return keep_chroma(strip[None] / 255, original[None])[0] * 255


def compute_luma(pictures: Tensor) -> Tensor:
    """Return the luma [B, 1, H, W] of pictures [B, 3, H, W]."""
    weights = torch.tensor(LUMA, dtype=pictures.dtype, device=pictures.device).view(1, 3, 1, 1)
    return (pictures * weights).sum(1, keepdim=True)


def keep_chroma(stylized: Tensor, content: Tensor) -> Tensor:
    """Give stylized pictures the chroma of the content and keep only their own luma.

    Args:
        stylized: [B, 3, H, W] in 0..1.
        content: [B, 3, H, W] in 0..1.

    Returns:
        [B, 3, H, W] in 0..1. Adding the same number to R', G' and B' changes only the luma. Where the sum
        would leave the range, the chroma is reduced just enough to stay inside, so that no hue shifts.
    """
    luma = compute_luma(stylized)
    chroma = content - compute_luma(content)  # [B, 3, H, W]
    room = torch.where(chroma > 0, 1 - luma, luma) / chroma.abs().clamp_min(1e-6)
    return (luma + chroma * room.amin(1, keepdim=True).clamp(0, 1)).clamp(0, 1)
