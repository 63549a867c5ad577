"""Small copies of large pictures, and changes of a copy upsampled back onto the picture.

Everything goes strip by strip, so a large picture never exists in full as floats.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import Statistics

WHITE = 255  # of the maps of a picture's samples
STRIP_VALUES = 2**20  # float32 numbers of a strip: 4 MiB, several times at once
THUMBNAIL_EDGE = 1024  # pixels


def average_blocks(samples: Tensor, factor: int, alpha: Tensor | None = None) -> Tensor:
    """Average blocks of factor x factor pixels; at the right and the bottom, of the pixels that exist.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1; also an alpha channel [1, H, W].
        factor: At least 1.
        alpha: Opacity of the pixels, [1, H, W], with which they count in the averages; None if all are
            opaque. Blocks without any visible pixel get the average of their hidden colors.

    Returns:
        [3, ceil(H / factor), ceil(W / factor)], float32 in 0..1.
    """
    height, width = samples.shape[1:]
    rows = max(1, STRIP_VALUES // (3 * width * factor)) * factor
    # One tensor for all, because small blocks between the strips would keep their memory from being reused.
    size = len(samples), -(-height // factor), -(-width // factor)
    averages = samples.new_empty(size, dtype=torch.float32)
    for top in range(0, height, rows):
        strip = samples[:, top : top + rows].float()
        average = _pool(strip, factor)
        if alpha is not None:
            opacity = alpha[:, top : top + rows].float()
            weights = _pool(opacity, factor)
            average = torch.where(weights > 0, _pool(strip * opacity, factor) / weights, average)
        averages[:, top // factor : top // factor + average.shape[1]] = average
    return averages.div_(white_level(samples))


def make_thumbnail(
    samples: Tensor, alpha: Tensor | None = None, shares: Tensor | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Average blocks of k x k pixels, with k such that the long edge has at most `THUMBNAIL_EDGE` pixels.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        alpha: Opacity of the pixels, [1, H, W]; None if all are opaque.
        shares: Shares of regions, [R, H, W]; None for a single region.

    Returns:
        Colors [3, ceil(H / k), ceil(W / k)], their opacity and their shares, float32 in 0..1; the arguments
        themselves if they are small enough.
    """
    factor = -(-max(samples.shape[1:]) // THUMBNAIL_EDGE)
    if factor == 1:
        return samples, alpha, shares
    small = [None if each is None else average_blocks(each, factor) for each in (alpha, shares)]
    return average_blocks(samples, factor, alpha), small[0], small[1]


def add_upsampled(samples: Tensor, change: Tensor, factor: int) -> Tensor:
    """Add the change of a small copy, upsampled, to a picture; detail that the copy lacks stays.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        change: Float, relative to white, [3, ceil(H / factor), ceil(W / factor)].
        factor: Factor by which the copy is smaller.

    Returns:
        [3, H, W], in the type and the range of the samples.
    """
    changed, white = samples.new_empty(samples.shape), white_level(samples)
    height, width = samples.shape[1:]
    for rows, strip in upsample_strips(change, factor):
        part = strip[:, : height - rows.start, :width].mul_(white).add_(samples[:, rows].float())
        part.clamp_(0, white)
        changed[:, rows] = (part if samples.is_floating_point() else part.round_()).to(samples.dtype)
    return changed


def fade_samples_(samples: Tensor, original: Tensor, share: float) -> Tensor:
    """Mix samples with others of the same size, in place and strip by strip.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1; overwritten.
        original: [3, H, W], of any of these types, on any device.
        share: How much remains of the samples, 0..1.

    Returns:
        The samples.
    """
    white, step = white_level(samples), max(1, STRIP_VALUES // (3 * samples.shape[2]))
    for top in range(0, samples.shape[1], step):
        rows = slice(top, top + step)
        others = original[:, rows].to(samples.device).float() * (white / white_level(original))
        mixed = others.lerp(samples[:, rows].float(), share)
        samples[:, rows] = (mixed if samples.is_floating_point() else mixed.round_()).to(samples.dtype)
    return samples


def _pool(strip: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(strip[None], factor, ceil_mode=True, count_include_pad=False)[0]


def white_level(samples: Tensor) -> int:
    """Return the value of white in the type of some samples."""
    return 1 if samples.is_floating_point() else torch.iinfo(samples.dtype).max


def convert_samples(samples: Tensor, dtype: torch.dtype) -> Tensor:
    """Return samples of any type as a copy of another type, on the CPU."""
    samples = samples.detach().cpu()
    if samples.dtype == dtype:
        return samples.clone()
    floats = samples.float() / white_level(samples)
    return (
        floats.to(dtype) if dtype.is_floating_point else (floats * torch.iinfo(dtype).max).round().to(dtype)
    )


def upsample_strips(samples: Tensor, factor: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of upsampled maps [C, h, w] with their values, float32, not clamped."""
    channels, height, width = samples.shape
    step = max(1, STRIP_VALUES // (channels * width * factor**2))
    for top in range(0, height, step):
        bottom = min(top + step, height)
        # Strips get one more row on either side, which is cut off, so that they join without a seam.
        first = max(0, top - 1)
        # As a batch of maps: for three channels, PyTorch's kernel depends on the number of threads.
        strip = samples[:, None, first : bottom + 1].float()
        strip = F.interpolate(strip, scale_factor=factor, mode="bilinear").squeeze(1)
        begin = (top - first) * factor
        yield slice(top * factor, bottom * factor), strip[:, begin : begin + (bottom - top) * factor]


def in_unit_range(colors: Statistics) -> Statistics:
    """Convert statistics of a picture in 0..255 into those of the same picture in 0..1."""
    return colors._replace(mean=colors.mean / WHITE, covariance=colors.covariance / WHITE**2)


def as_weights(alpha: Tensor | None) -> Tensor | None:
    """Return an alpha channel; None if all pixels are opaque, or if none is visible, so that all count."""
    if alpha is None or not (alpha != 0).any() or bool((alpha == white_level(alpha)).all()):
        return None
    return alpha


def as_samples(picture: Tensor) -> Tensor:
    """View a picture [3, H, W] or [1, 3, H, W] as [3, H, W], without its graph."""
    return picture.detach()[0] if picture.dim() == 4 else picture.detach()
