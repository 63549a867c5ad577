"""The Python interface: everything the command line can do to a picture, for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack, overload

import torch
from torch import Tensor

from .errors import ImageError, OptionError
from .media import Picture, PILImage, picture_from_pil, picture_to_pil, read_picture, resize_picture
from .model import StyleStatistics, fingerprint_model, load_model
from .options import (
    DEFAULT_MODEL,
    Measurement,
    PreserveColor,
    RuntimeOptions,
    StylizeOptions,
    Transform,
    settle_strokes,
)
from .pipeline import StylizationPipeline

Source: TypeAlias = str | Path | Tensor | PILImage | Picture
Style: TypeAlias = Source | StyleStatistics


class Look(TypedDict, total=False):
    """The fields of `StylizeOptions`, as keywords."""

    alpha: float
    style_weights: tuple[float, ...] | None
    size: int | None
    style_size: int | None
    stroke_scale: int | None
    preserve_color: PreserveColor
    transform: Transform
    statistics: Measurement


# Pixels of a style enlarged for larger strokes, which exists in full.
LARGEST_STYLE = 2**26
# What is one style and not a sequence of them.
ONE_STYLE = (str, Path, Tensor, PILImage, Picture, StyleStatistics)


class Stylizer:
    """Repaint pictures in the style of others; loads its model once.

    Args:
        model: Name of a shipped model or path of a weights file.
        runtime: Device, precision, threads, seed.
        weights_folder: A folder to search for named models before all others.

    Raises:
        WeightsError: The weights are missing or damaged.
        OptionError: The machine lacks the device.

    Example:
        >>> from styletransfer import Stylizer
        >>> stylizer = Stylizer("default")
        >>> stylizer.stylize("cat.jpg", "waves.jpg", alpha=0.7).save("cat_waves.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        runtime: RuntimeOptions | None = None,
        weights_folder: Path | None = None,
    ) -> None:
        self.model_name = str(model)
        network = load_model(model, weights_folder=weights_folder)
        fingerprint = fingerprint_model(model, weights_folder=weights_folder)
        self.pipeline = StylizationPipeline(network, fingerprint, runtime)

    @property
    def device(self) -> str:
        """The device that was chosen, such as "cpu" or "cuda"."""
        return str(self.pipeline.device)

    @property
    def precision(self) -> str:
        """The precision of the convolutions that was chosen: "fp32", "mixed" or "bf16"."""
        return self.pipeline.arithmetic.name

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights in use."""
        return self.pipeline.fingerprint

    def measure_style(
        self, style: Style, *, style_size: int | None = None, stroke_scale: int | None = None
    ) -> StyleStatistics:
        """Compute the statistics of a style once, to be reused, saved or blended.

        Args:
            style: Path, PIL image, Picture, tensor [3, H, W] or [1, 3, H, W] in 0..1, a `.safetensors`
                file of statistics, or statistics, which are returned as they are.
            style_size: Long edge to which a larger picture is reduced first; see `StylizeOptions`.
            stroke_scale: That of the results to be made; None for 1, which suits those below 1024 pixels.

        Raises:
            ImageError: The style cannot be read.
            OptionError: A size is out of range, or the enlarged style would be too large.
        """
        look = settle_strokes(StylizeOptions(style_size=style_size, stroke_scale=stroke_scale))
        assert look.stroke_scale is not None
        assert look.style_size is not None
        scale, opened = look.stroke_scale, open_style(style)
        if isinstance(opened, StyleStatistics):
            return opened
        picture = as_batch(opened) if isinstance(opened, Tensor) else load_picture(opened)
        size = min(max(measure_edges(picture)), look.style_size)
        if isinstance(picture, Tensor):  # which stays float unless it is to be resized
            if scale == 1 and size == max(measure_edges(picture)):
                return self.pipeline.measure(picture)
            picture = load_picture(picture)
        reduced = resize_picture(picture, size)
        if scale > 1 and reduced.width * reduced.height * scale**2 > LARGEST_STYLE:
            raise OptionError(
                f"a style of {reduced.width}x{reduced.height} cannot be enlarged {scale} times",
                hint=f"measure it smaller, for example --style-size {math.isqrt(LARGEST_STYLE) // scale}",
            )
        measured = self.pipeline.measure(reduced.pixels)
        if scale == 1:
            return measured
        enlarged, sharp = (
            self.pipeline.measure(resize_picture(picture, round(factor * size)).pixels)
            for factor in (scale, math.sqrt(scale))
        )
        return measured.enlarge(scale, enlarged, sharp)

    @overload
    def stylize(self, content: Tensor, style: Style | Sequence[Style], **options: Unpack[Look]) -> Tensor: ...
    @overload
    def stylize(
        self, content: Picture, style: Style | Sequence[Style], **options: Unpack[Look]
    ) -> Picture: ...
    @overload
    def stylize(
        self, content: str | Path | PILImage, style: Style | Sequence[Style], **options: Unpack[Look]
    ) -> PILImage: ...
    def stylize(
        self, content: Source, style: Style | Sequence[Style], **options: Unpack[Look]
    ) -> Tensor | Picture | PILImage:
        """Repaint a picture.

        Args:
            content: Path, PIL image, Picture or tensor [3, H, W] or [1, 3, H, W] in 0..1.
            style: One style or a sequence of them (see `measure_style`), which are blended.
            options: Fields of `StylizeOptions`: alpha, style_weights, size, style_size, ...

        Returns:
            What came in: a tensor for a tensor, a Picture for a Picture, else a PIL image.

        Raises:
            ImageError: A picture cannot be read.
            OptionError: An option is unknown or out of range.
        """
        names = {field.name for field in fields(StylizeOptions)}
        if unknown := sorted(set(options) - names):
            raise OptionError(
                f"unknown option {unknown[0]!r}", hint=f"choose among {', '.join(sorted(names))}"
            )
        look = StylizeOptions(**options)
        # Floats stay floats, unless they are to be resized.
        opened = as_batch(content) if isinstance(content, Tensor) else load_picture(content)
        if look.size is not None:
            opened = resize_picture(load_picture(opened), look.size)
        styles = [open_style(one) for one in ([style] if isinstance(style, ONE_STYLE) else style)]
        scales = [one.stroke_scale for one in styles if isinstance(one, StyleStatistics)]
        look = settle_strokes(look, *measure_edges(opened), scales)
        measured = [
            self.measure_style(one, style_size=look.style_size, stroke_scale=look.stroke_scale)
            for one in styles
        ]
        if isinstance(opened, Tensor):
            floats = self.pipeline.stylize(opened, self._blend(measured, look), look)
        else:
            result = self.stylize_picture(opened, measured, look)
            if isinstance(content, Picture):
                return result
            if not isinstance(content, Tensor):
                return picture_to_pil(result)
            floats = result.to_float()
        return floats if isinstance(content, Tensor) and content.dim() == 4 else floats[0]

    def stylize_picture(
        self,
        content: Picture,
        styles: Sequence[StyleStatistics],
        options: StylizeOptions,
        bit_depth: int | None = None,
    ) -> Picture:
        """Repaint a picture in the blend of one or more measured styles; alpha channels are kept.

        Args:
            content: Of any size from a single pixel.
            styles: At least one, blended by `options.style_weights`.
            options: How it shall look; the sizes are the caller's, strokes are those of the styles.
            bit_depth: Of the result, 8 or 16; None for the content's own.
        """
        depth = bit_depth or content.bit_depth
        dtype = torch.uint8 if depth == 8 else torch.uint16
        pixels = self.pipeline.stylize(content.pixels, self._blend(styles, options), options, dtype)
        return Picture(pixels, content.with_bit_depth(depth).alpha)

    @staticmethod
    def _blend(styles: Sequence[StyleStatistics], options: StylizeOptions) -> StyleStatistics:
        if len(styles) == 1 and options.style_weights is None:
            return styles[0]  # itself, so that what was worked out for it is found again
        return StyleStatistics.blend(styles, options.style_weights or [1.0] * len(styles))


def stylize(
    content: str | Path | PILImage,
    style: Style | Sequence[Style],
    *,
    model: str | Path = DEFAULT_MODEL,
    **options: Unpack[Look],
) -> PILImage:
    """Repaint one picture; `Stylizer` does the same, for tensors too, and keeps the model for the next."""
    return Stylizer(model).stylize(content, style, **options)


def as_batch(pixels: Tensor) -> Tensor:
    """View a tensor [3, H, W] or [1, 3, H, W] as [1, 3, H, W], or say what is wrong with it."""
    batch = pixels if pixels.dim() == 4 else pixels.unsqueeze(0)
    if batch.dim() != 4 or batch.shape[:2] != (1, 3) or not batch.numel() or not batch.is_floating_point():
        raise ImageError(
            f"a tensor {list(pixels.shape)} of {pixels.dtype}",
            hint="give floats [3, H, W] or [1, 3, H, W] in 0..1",
        )
    return batch


def open_style(style: Style) -> Style:
    """Load statistics from their file; what else a style may be is returned as it is."""
    if isinstance(style, str | Path) and Path(style).suffix == ".safetensors":
        return StyleStatistics.load(style)
    return style


def measure_edges(picture: Tensor | Picture) -> tuple[int, int]:
    """Return width and height."""
    if isinstance(picture, Picture):
        return picture.width, picture.height
    return picture.shape[-1], picture.shape[-2]


def load_picture(source: Source) -> Picture:
    """Make a Picture of whatever a caller may hold."""
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | Path):
        return read_picture(source)
    if isinstance(source, Tensor):
        if not torch.isfinite(source).all():
            raise ImageError("a tensor with NaN or infinity", hint="give floats in 0..1")
        return Picture.from_float(as_batch(source), bit_depth=16)
    return picture_from_pil(source)
