"""A picture in memory: integer sRGB samples and, where there is one, an alpha channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ImageError

DTYPES = {8: torch.uint8, 16: torch.uint16}


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels of one picture, as every reader returns and every writer takes them.

    Integers, not floats, are kept: a 100-megapixel photograph is 300 MB so, and 1.2 GB as float32.

    Attributes:
        pixels: sRGB, [3, H, W], uint8 or uint16, on the CPU.
        alpha: Opacity, not premultiplied, [1, H, W], the dtype of `pixels`; None where all is opaque.

    Raises:
        ImageError: Shapes or dtypes are others than these.
    """

    pixels: Tensor
    alpha: Tensor | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[0] != 3 or self.pixels.numel() == 0:
            raise ImageError(f"a picture has pixels [3, H, W], not {list(self.pixels.shape)}")
        if self.pixels.dtype not in DTYPES.values():
            raise ImageError(f"a picture has uint8 or uint16 pixels, not {self.pixels.dtype}")
        if self.alpha is not None:
            if self.alpha.shape != (1, self.height, self.width):
                raise ImageError(f"alpha is {list(self.alpha.shape)} for pixels {list(self.pixels.shape)}")
            if self.alpha.dtype != self.pixels.dtype:
                raise ImageError(f"alpha is {self.alpha.dtype} for pixels of {self.pixels.dtype}")

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]

    @property
    def bit_depth(self) -> int:
        """Bits per sample, 8 or 16."""
        return 8 if self.pixels.dtype == torch.uint8 else 16

    def to_float(self) -> Tensor:
        """Return the pixels as the network takes them: [1, 3, H, W], float32 in 0..1, without alpha."""
        white = 2**self.bit_depth - 1
        return self.pixels.to(torch.float32).div_(white).unsqueeze(0)

    @classmethod
    def from_float(cls, pixels: Tensor, alpha: Tensor | None = None, bit_depth: int = 8) -> Picture:
        """Make a picture of the values that a network gives.

        Args:
            pixels: sRGB, [1, 3, H, W] or [3, H, W], finite, on any device; clamped to 0..1 and rounded.
            alpha: An integer alpha channel [1, H, W] of either depth, brought to `bit_depth`.
            bit_depth: 8 or 16.

        Raises:
            ImageError: The tensor is no single picture, or the depth is another one.
        """
        if bit_depth not in DTYPES:
            raise ImageError(f"a picture has 8 or 16 bits per sample, not {bit_depth}")
        if pixels.ndim == 4 and pixels.shape[0] == 1:
            pixels = pixels[0]
        scaled = pixels.detach().to(torch.float32).clamp(0, 1).mul_(2**bit_depth - 1).round_()
        # Rounded on the device and moved as integers: a quarter of the bytes.
        integers = scaled.to(DTYPES[bit_depth]).cpu()
        return cls(integers, None if alpha is None else with_bit_depth(alpha, bit_depth))

    def with_bit_depth(self, bit_depth: int) -> Picture:
        """Return the picture at 8 or 16 bits per sample; itself where it has them already."""
        if bit_depth == self.bit_depth:
            return self
        if bit_depth not in DTYPES:
            raise ImageError(f"a picture has 8 or 16 bits per sample, not {bit_depth}")
        alpha = None if self.alpha is None else with_bit_depth(self.alpha, bit_depth)
        return Picture(with_bit_depth(self.pixels, bit_depth), alpha)


def with_bit_depth(samples: Tensor, bit_depth: int) -> Tensor:
    """Bring integer samples of any shape to 8 or 16 bits: 255 and 65535 are the same white.

    Widening is exact (x 257) and narrowing rounds to the nearest, so 8 -> 16 -> 8 returns the same bytes.
    """
    if samples.dtype == DTYPES[bit_depth]:
        return samples
    if samples.dtype not in DTYPES.values():
        raise ImageError(f"samples are uint8 or uint16, not {samples.dtype}")
    # torch has no arithmetic on uint16.
    wide = samples.to(torch.int32)
    wide = wide.mul_(257) if bit_depth == 16 else wide.add_(128).floor_divide_(257)
    return wide.to(DTYPES[bit_depth])
