"""A picture in memory: integer sRGB samples and an optional alpha channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

from ..errors import ImageError

DTYPES = {8: torch.uint8, 16: torch.uint16}
BLOCK = 4  # pixels along an edge of the blocks whose visible colors are averaged
GRAY = 128.0
# Pixels below this opacity are as good as hidden: their own color hardly shows, but a network would see it.
FAINT = 1 / 8
# A style that is less opaque than this on average is a drawing: its paper belongs to how it looks.
DRAWING_COVERAGE = 1 / 4
# A style whose colors deviate less than this, relative to white, has its picture in the alpha channel.
FLAT_DEVIATION = 0.02
STRIP_PIXELS = 2**20  # as float32, the colors of a strip take 12 MB


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels of one picture, as every reader returns and every writer takes them.

    Samples stay integers because a photograph of 100 megapixels takes 300 MB as uint8 and 1.2 GB as float32.

    Attributes:
        pixels: sRGB samples, [3, H, W], uint8 or uint16, on the CPU.
        alpha: Opacity, not premultiplied, [1, H, W], the dtype of `pixels`; None if all pixels are opaque.

    Raises:
        ImageError: A tensor has another shape or dtype.
    """

    pixels: Tensor
    alpha: Tensor | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[0] != 3 or self.pixels.numel() == 0:
            raise ImageError(f"a picture needs pixels [3, H, W], not {list(self.pixels.shape)}")
        if self.pixels.dtype not in DTYPES.values():
            raise ImageError(f"a picture needs uint8 or uint16 pixels, not {self.pixels.dtype}")
        if self.alpha is not None:
            if self.alpha.shape != (1, self.height, self.width):
                raise ImageError(f"alpha is {list(self.alpha.shape)} for pixels {list(self.pixels.shape)}")
            if self.alpha.dtype != self.pixels.dtype:
                raise ImageError(f"alpha is {self.alpha.dtype} for pixels of {self.pixels.dtype}")

    @property
    def width(self) -> int:
        """Number of pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """Number of pixels from top to bottom."""
        return self.pixels.shape[1]

    @property
    def bit_depth(self) -> int:
        """Bits per sample, 8 or 16."""
        return 8 if self.pixels.dtype == torch.uint8 else 16

    def to_float(self) -> Tensor:
        """Return the pixels without alpha as the networks take them: [1, 3, H, W], float32 in 0..1."""
        white = 2**self.bit_depth - 1
        return self.pixels.to(torch.float32).div_(white).unsqueeze(0)

    def coverage(self) -> Tensor | None:
        """Return how visible each pixel is, [1, 1, H, W], float32 in 0..1; None if all pixels are opaque.

        These are the weights with which pixels should count in statistics.
        """
        if self.alpha is None:
            return None
        return self.alpha.to(torch.float32).div_(2**self.bit_depth - 1).unsqueeze(0)

    def on_white(self) -> Picture:
        """Return the picture laid on white paper, without alpha; itself if it has no alpha."""
        if self.alpha is None:
            return self
        white, pixels = 2**self.bit_depth - 1, torch.empty_like(self.pixels)
        for rows in _row_strips(self.height, self.width):
            opacity = self.alpha[:, rows].to(torch.float32).div_(white)
            mixed = self.pixels[:, rows].to(torch.float32).sub_(white).mul_(opacity).add_(white)
            pixels[:, rows] = mixed.round_().to(pixels.dtype)
        return Picture(pixels)

    def with_hidden_colors_filled(self) -> Picture:
        """Replace the colors of transparent pixels by those of visible pixels near them.

        Pixels of opacity `FAINT` and more keep their values; the colors of fainter ones are mixed with those
        of their neighbors, the more the fainter they are. The result does not depend on the hidden colors, so
        pictures that look alike become alike. Without any visible pixel, the result is gray.

        Returns:
            The filled picture with the same alpha, or itself if no pixel is fainter than `FAINT`.

        Source: the pull-push algorithm of Gortler et al., The Lumigraph (1996), section 3.4. Differs: the
        first level averages blocks of 4 x 4 pixels, which takes a sixteenth of the memory of the picture.
        """
        if self.alpha is None:
            return self
        strips = list(_row_strips(self.height, self.width))
        solid = FAINT * (2**self.bit_depth - 1)
        if all(bool((self.alpha[:, rows].to(torch.float32) >= solid).all()) for rows in strips):
            return self
        coarse = _pull_push(*_average_blocks(self.pixels, self.alpha, solid))
        pixels = self.pixels.clone()
        for rows in strips:
            share = self.alpha[0, rows].to(torch.float32).div_(solid).clamp_(max=1)
            if (share < 1).any():
                fill = _enlarge_rows(coarse, rows)[:, :, : self.width]
                strip = pixels[:, rows]
                own = strip.to(torch.float32)
                strip.copy_(torch.where(share < 1, fill.lerp(own, share), own).round_().to(strip.dtype))
        return Picture(pixels, self.alpha)

    def as_style(self) -> Picture:
        """Return the picture as a style: without hidden colors, or on white paper if alpha is the picture.

        Statistics of colors weighted by alpha describe a painting with transparent parts. They know nothing
        of a drawing whose paper is transparent, nor of ink of one color whose strokes are in the alpha
        channel, so both are laid on white.
        """
        if self.alpha is None:
            return self
        white = 2**self.bit_depth - 1
        total, sums, squares = 0.0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        varies = False
        for rows in _row_strips(self.height, self.width):
            opacity = self.alpha[:, rows].to(torch.float32).div_(white)
            colors = self.pixels[:, rows].to(torch.float32).div_(white)
            total += opacity.sum(dtype=torch.float64).item()
            sums += (colors * opacity).sum((1, 2), dtype=torch.float64)
            squares += (colors.square() * opacity).sum((1, 2), dtype=torch.float64)
            varies = varies or bool((opacity != self.alpha[0, 0, 0].item() / white).any())
        if not total:
            return self.on_white()
        variance = (squares / total - (sums / total).square()).amax().item()
        flat = varies and variance < FLAT_DEVIATION**2
        drawing = total < DRAWING_COVERAGE * self.height * self.width
        return self.on_white() if flat or drawing else self.with_hidden_colors_filled()

    @classmethod
    def from_float(cls, pixels: Tensor, alpha: Tensor | None = None, bit_depth: int = 8) -> Picture:
        """Make a picture of the output of a network.

        Args:
            pixels: Finite sRGB values, [1, 3, H, W] or [3, H, W], on any device; clamped to 0..1 and rounded.
            alpha: Integer alpha channel [1, H, W] of 8 or 16 bits; converted to `bit_depth`.
            bit_depth: Bits per sample, 8 or 16.

        Raises:
            ImageError: `pixels` is not a single picture, or the bit depth is neither 8 nor 16.
        """
        if bit_depth not in DTYPES:
            raise ImageError(f"a picture has 8 or 16 bits per sample, not {bit_depth}")
        if pixels.ndim == 4 and pixels.shape[0] == 1:
            pixels = pixels[0]
        scaled = pixels.detach().to(torch.float32).clamp(0, 1).mul_(2**bit_depth - 1).round_()
        # Integers are a quarter of the bytes that the device would have to send as float32.
        integers = scaled.to(DTYPES[bit_depth]).cpu()
        return cls(integers, None if alpha is None else with_bit_depth(alpha, bit_depth))

    def with_bit_depth(self, bit_depth: int) -> Picture:
        """Return the picture with 8 or 16 bits per sample, or itself if it has that depth already."""
        if bit_depth == self.bit_depth:
            return self
        if bit_depth not in DTYPES:
            raise ImageError(f"a picture has 8 or 16 bits per sample, not {bit_depth}")
        alpha = None if self.alpha is None else with_bit_depth(self.alpha, bit_depth)
        return Picture(with_bit_depth(self.pixels, bit_depth), alpha)


@dataclass(frozen=True)
class PhotoMetadata:
    """What the file of a photograph records beside the pixels, and a result of it should keep.

    Attributes:
        exif: EXIF data with date, camera and lens, without orientation and thumbnail; may be empty.
        dpi: Pixels per inch, horizontally and vertically; None if the file does not say.
        animated: Whether the file holds more frames than the first, which alone is read.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    animated: bool = False


def with_bit_depth(samples: Tensor, bit_depth: int) -> Tensor:
    """Convert integer samples of any shape to 8 or 16 bits, such that 255 corresponds to 65535.

    Widening multiplies by 257 and narrowing rounds to the nearest, so 8 -> 16 -> 8 returns the same samples.
    """
    if samples.dtype == DTYPES[bit_depth]:
        return samples
    if samples.dtype not in DTYPES.values():
        raise ImageError(f"samples must be uint8 or uint16, not {samples.dtype}")
    # torch has no arithmetic on uint16.
    wide = samples.to(torch.int32)
    wide = wide.mul_(257) if bit_depth == 16 else wide.add_(128).floor_divide_(257)
    return wide.to(DTYPES[bit_depth])


def resize_picture(picture: Picture, long_edge: int) -> Picture:
    """Resize a picture so that its longer edge has a given length.

    The interpolation is bicubic, with antialiasing when it shrinks. Colors are weighted by alpha, so the
    hidden colors of transparent pixels do not bleed into visible neighbors.

    Args:
        picture: A picture of any size.
        long_edge: Length of the longer edge in pixels, at least 1. The other edge keeps the aspect ratio
            and is at least 1 pixel long.

    Returns:
        The resized picture, or `picture` itself if it has that size already.

    Raises:
        ImageError: `long_edge` is below 1.
    """
    if long_edge < 1:
        raise ImageError(f"the long edge is {long_edge}", hint="it must be at least 1")
    longest = max(picture.width, picture.height)
    if longest == long_edge:
        return picture
    size = tuple(max(1, round(edge * long_edge / longest)) for edge in (picture.height, picture.width))
    white = 2**picture.bit_depth - 1
    dtype = picture.pixels.dtype
    if picture.alpha is None:
        # One channel at a time, because float32 takes four times the memory of uint8.
        channels = [_round(_resize(channel, size), white, dtype) for channel in picture.pixels.chunk(3)]
        return Picture(torch.cat(channels))
    opacity = picture.alpha.to(torch.float32) / white
    # Color and opacity overshoot by the same bicubic weights, so they are clamped after the division.
    small_opacity = _resize(opacity, size)
    channels = [
        _round(_resize(channel.to(torch.float32) * opacity, size) / small_opacity, white, dtype)
        for channel in picture.pixels.chunk(3)
    ]
    return Picture(torch.cat(channels), _round(small_opacity * white, white, dtype))


def _resize(channel: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resample [1, H, W] to [1, *size], float32."""
    return interpolate(channel.to(torch.float32).unsqueeze(0), size, mode="bicubic", antialias=True)[0]


def _round(values: Tensor, white: int, dtype: torch.dtype) -> Tensor:
    # Where no pixel is opaque, the color is 0 / 0 and becomes black.
    return values.nan_to_num_(0, posinf=0, neginf=0).clamp_(0, white).round_().to(dtype)


def _row_strips(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows of whole blocks, about `STRIP_PIXELS` pixels each."""
    step = max(1, STRIP_PIXELS // width // BLOCK) * BLOCK
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _average_blocks(pixels: Tensor, alpha: Tensor, solid: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return means over blocks: of color times alpha, [3, h, w], and of alpha, [1, h, w], float32.

    The third result, [1, h, w], tells how solid the most visible pixel of each block is, 0..1.
    """
    height, width = (-(-edge // BLOCK) for edge in alpha.shape[1:])
    colors, weights = torch.empty(3, height, width), torch.empty(1, height, width)
    shares = torch.empty(1, height, width)
    for rows in _row_strips(*alpha.shape[1:]):
        opacity = alpha[:, rows].to(torch.float32)
        below, right = -opacity.shape[1] % BLOCK, -opacity.shape[2] % BLOCK
        blocks = slice(rows.start // BLOCK, -(-rows.stop // BLOCK))
        for values, means in ((opacity * pixels[:, rows].to(torch.float32), colors), (opacity, weights)):
            means[:, blocks] = avg_pool2d(pad(values, (0, right, 0, below)), BLOCK)
        shares[:, blocks] = max_pool2d(pad(opacity, (0, right, 0, below)), BLOCK).div_(solid).clamp_(max=1)
    return colors, weights, shares


def _pull_push(colors: Tensor, weights: Tensor, shares: Tensor) -> Tensor:
    """Return colors without holes: means where weights suffice, elsewhere mixed with those of larger blocks.

    Args:
        colors: Color times weight, [3, h, w]; overwritten.
        weights: Weights, [1, h, w], at least 0.
        shares: Shares of the blocks' own means in the result, [1, h, w]: 1 for a solid block, 0 for a hole.
    """
    if (shares == 1).all():
        return colors.div_(weights)
    height, width = shares.shape[1:]
    if height == width == 1:
        return colors.div_(weights) if weights.item() else torch.full_like(colors, GRAY)
    padding = (0, width % 2, 0, height % 2)
    coarse = _pull_push(
        avg_pool2d(pad(colors, padding), 2),
        avg_pool2d(pad(weights, padding), 2),
        max_pool2d(pad(shares, padding), 2),
    )
    for channel, smaller in zip(colors.div_(weights).nan_to_num_(), coarse, strict=True):
        enlarged = interpolate(smaller[None, None], scale_factor=2, mode="bilinear")[0, 0]
        channel.copy_(enlarged[:height, :width].lerp(channel, shares[0]))
    return colors


def _enlarge_rows(coarse: Tensor, rows: slice) -> Tensor:
    """Return rows of a picture of block means [3, h, w], interpolated to `BLOCK` times its size."""
    top, bottom = rows.start // BLOCK, -(-rows.stop // BLOCK)
    above, below = int(top > 0), int(bottom < coarse.shape[1])  # neighbors that the interpolation needs
    # As a batch of channels: for three channels, PyTorch's kernel depends on the number of threads.
    part = coarse[:, None, top - above : bottom + below]
    enlarged = interpolate(part, scale_factor=BLOCK, mode="bilinear").squeeze(1)
    start = above * BLOCK
    return enlarged[:, start : start + rows.stop - rows.start]
