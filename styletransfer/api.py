"""The Python interface and the one orchestration: resize, choose the strokes, measure the style, stylize.

The command line and the evaluation call `Stylizer` and repeat none of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from types import NoneType
from typing import Any, BinaryIO, NamedTuple, overload

import torch
from torch import Tensor

from .color_grading import ColorGrader
from .errors import OptionError, call_within_memory
from .media import Picture, PILImage, picture_to_pil, resize_picture
from .media.cube_lut import CubeLut
from .media.picture import with_bit_depth
from .model import CouplingNetwork, StyleStatistics, load_model
from .options import (
    AUTOMATIC_STROKE_SCALES,
    DEFAULT_MODEL,
    RuntimeOptions,
    StyleSchedule,
    StylizeOptions,
    change_options,
    check_kind,
)
from .options.checks import check_range
from .photorealistic import PhotorealisticPipeline
from .picture_conversion import Array, PictureSource, as_batch, to_picture
from .pipeline import Pipeline, ProgressCallback, StylizationPipeline, share_progress
from .pipeline.process_memory import check_available_memory
from .region_maps import MaskSource, RegionMaps
from .style_measurer import StyleMeasurer, StyleSource, StyleStore, as_sequence
from .temporal import Frame, FrameStylizer, convert_frames
from .tensor_stylizer import TensorStylizer


class StylizedPicture(NamedTuple):
    """A result, the options that made it with strokes resolved, and with color_only the map of colors."""

    picture: Picture
    options: StylizeOptions
    lut: CubeLut | None = None


class Stylizer:
    """Stylizes pictures with one model, which is loaded once; several threads may share it.

    Args:
        model: Name of a shipped model or path of a weights file.
        device: Device that computes; shorthand for `RuntimeOptions(device=...)`.
        runtime: Device, precision and memory; `device` replaces its device.
        weights_folder: A folder to search for named models before the package's own.
        style_folder: A folder in which the statistics of style files are kept from run to run, or another
            place that keeps them; None keeps them in memory only.
        stop: An event that is checked after every strip; once it is set, all work ends with a CancelledError.

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
        device: str | torch.device | None = None,
        runtime: RuntimeOptions | None = None,
        weights_folder: Path | None = None,
        style_folder: Path | StyleStore | None = None,
        stop: Event | None = None,
    ) -> None:
        runtime = RuntimeOptions() if runtime is None else runtime
        check_kind("model", model, (str, Path), "give the name of a model or the path of its weights")
        check_kind("runtime", runtime, (RuntimeOptions,), "give RuntimeOptions(...)")
        check_kind("stop", stop, (Event, NoneType), "give a threading.Event")
        if device is not None:
            runtime = replace(runtime, device=str(device))
        self.model_name = str(model)
        loaded = load_model(model, weights_folder=weights_folder)
        kind = PhotorealisticPipeline if isinstance(loaded.network, CouplingNetwork) else StylizationPipeline
        self.pipeline: Pipeline = kind(loaded, runtime, stop)
        self._measurer = StyleMeasurer(self.pipeline, style_folder)
        self._samples = TensorStylizer(self.pipeline, self._measurer, ColorGrader(stop))
        self._arguments = model, runtime, weights_folder, style_folder

    def __repr__(self) -> str:
        return f"Stylizer({self.model_name!r}, device={self.device!r}, precision={self.precision!r})"

    def __reduce__(self) -> tuple[Callable[..., Stylizer], tuple[object, ...]]:
        """Pickle the arguments; another process loads the model again and has no stop event."""
        model, runtime, weights_folder, style_folder = self._arguments
        build = partial(Stylizer, runtime=runtime, weights_folder=weights_folder, style_folder=style_folder)
        return build, (model,)

    @property
    def device(self) -> str:
        """Name of the device that computes, such as "cpu" or "cuda"."""
        return str(self.pipeline.device)

    @property
    def precision(self) -> str:
        """Precision of the convolutions, which is "fp32", "mixed" or "bf16"."""
        return self.pipeline.precision.name

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return self.pipeline.fingerprint

    @overload
    def stylize(
        self,
        content: Tensor,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        progress: ProgressCallback | None = None,
        **changes: Any,
    ) -> Tensor: ...
    @overload
    def stylize(
        self,
        content: Picture,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        progress: ProgressCallback | None = None,
        **changes: Any,
    ) -> Picture: ...
    @overload
    def stylize(
        self,
        content: str | Path | bytes | BinaryIO | Array | PILImage,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        progress: ProgressCallback | None = None,
        **changes: Any,
    ) -> PILImage: ...
    def stylize(
        self,
        content: PictureSource,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        progress: ProgressCallback | None = None,
        mask: MaskSource | Sequence[MaskSource] | None = None,
        regions: tuple[PictureSource, PictureSource] | None = None,
        **changes: Any,
    ) -> Tensor | Picture | PILImage:
        """Stylize a picture.

        Args:
            content: Path, bytes of a file, open binary file, PIL image, Picture, array [H, W, 3] or [H, W, 4]
                of uint8 or of floats in 0..1, or float tensor [3, H, W] or [B, 3, H, W] in 0..1.
            style: One style or a sequence of them, which are blended; see `measure_style`.
            options: How the result looks; None for the defaults.
            progress: Called after every strip with the share of the work that is done, 0..1. An exception
                that it raises ends the work and reaches the caller.
            mask: Where the style is painted: white everywhere, black nowhere, of any size. It may be an array
                [H, W] too, or "alpha" for the content's alpha channel. A sequence has one mask per style.
            regions: Maps of labels for the content and for the style. Regions of equal color belong together.
            changes: Fields of `StylizeOptions` that replace those of `options`, such as alpha=0.7.

        Returns:
            A tensor for a tensor, a Picture for a Picture, else a PIL image. Pictures of a batch are stylized
            one by one.

        Raises:
            ImageError: A picture cannot be read.
            OptionError: An option is unknown or out of its range, or does not fit the style.
            MemoryLimitError: The picture does not fit into memory.
        """
        options = change_options(StylizeOptions() if options is None else options, changes)
        maps = RegionMaps.open(mask, regions)
        if progress is not None and not callable(progress):
            raise OptionError(f"progress is {progress!r}", hint="give a function of one number")
        if isinstance(content, Tensor):
            batch = as_batch(content)
            if len(batch) > 1:
                reports = [share_progress(progress, index, len(batch)) for index in range(len(batch))]
                each = [
                    self.stylize(one, style, options, progress=report, mask=mask, regions=regions)
                    for one, report in zip(batch, reports, strict=True)
                ]
                return torch.stack(each)
            if options.size is None:  # floats stay floats unless they are resized
                pixels, *_ = self._samples.stylize(batch, None, style, options, None, progress, maps)
            else:
                picture = to_picture(batch)
                result, *_ = self.stylize_picture(picture, style, options, progress=progress, maps=maps)
                pixels = result.to_float()
            return pixels if content.dim() == 4 else pixels[0]
        picture, *_ = self.stylize_picture(to_picture(content), style, options, progress=progress, maps=maps)
        return picture if isinstance(content, Picture) else picture_to_pil(picture)

    def stylize_picture(
        self,
        content: Picture,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions,
        *,
        bit_depth: int | None = None,
        progress: ProgressCallback | None = None,
        maps: RegionMaps | None = None,
    ) -> StylizedPicture:
        """Stylize a Picture and return the result together with the resolved options; alpha is kept.

        Transparent pixels count in the statistics as much as they are visible, and their hidden colors do not
        change the visible ones.

        Args:
            content: The content.
            style: One style or a sequence of them; see `measure_style`.
            options: How the result looks.
            bit_depth: Bits per channel of the result, 8 or 16; None for the content's.
            progress: As for `stylize`.
            maps: Where each style is painted; None for everywhere.
        """
        factor = 1.0 if options.size is None else options.size / max(content.width, content.height)
        width, height = round(factor * content.width), round(factor * content.height)
        check_available_memory(width, height)

        def make() -> StylizedPicture:
            resized = content if options.size is None else resize_picture(content, options.size)
            depth = bit_depth or resized.bit_depth
            dtype = torch.uint8 if depth == 8 else torch.uint16
            filled = resized.with_hidden_colors_filled()
            pixels, resolved, lut = self._samples.stylize(
                filled.pixels, filled.alpha, style, options, dtype, progress, maps
            )
            alpha = None if resized.alpha is None else with_bit_depth(resized.alpha, depth)
            return StylizedPicture(Picture(pixels, alpha), resolved, lut)

        message = f"out of memory while {width}x{height} pixels are stylized"
        return call_within_memory(make, message, hint="make the result smaller, for example --size 1024")

    def frame_stylizer(
        self,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        steadiness: float = 1.0,
        causal: bool = False,
        schedule: StyleSchedule | None = None,
        maps: RegionMaps | None = None,
        bit_depth: int | None = None,
        workers: int = 1,
    ) -> FrameStylizer:
        """Prepare to stylize the frames of one video; see `stylize_frames`, which does the rest.

        Args:
            style: One style or a sequence of them; see `measure_style`.
            options: How the frames look; None for the defaults.
            steadiness: How steady they are, from 0 (each frame by itself) to 1.
            causal: Whether to use no frame that comes later, so that nothing waits for it.
            schedule: Weights of the styles that change with time; None for those of the options.
            maps: Where each style is painted, in every frame; None for everywhere.
            bit_depth: Bits per channel of the results, 8 or 16; None for those of each frame.
            workers: Number of frames that are computed at once. The results are the same for any number.

        Raises:
            OptionError: The options do not fit videos.
        """
        return FrameStylizer(
            self._samples,
            as_sequence(style),
            StylizeOptions() if options is None else options,
            steadiness=steadiness,
            causal=causal,
            schedule=schedule,
            maps=maps,
            bit_depth=bit_depth,
            workers=workers,
        )

    def stylize_frames(
        self,
        frames: Iterable[PictureSource | Frame],
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions | None = None,
        *,
        fps: float = 25.0,
        steadiness: float = 1.0,
        causal: bool = False,
        schedule: StyleSchedule | None = None,
        mask: MaskSource | Sequence[MaskSource] | None = None,
        masks: Iterable[MaskSource | Sequence[MaskSource]] | None = None,
        regions: tuple[PictureSource, PictureSource] | None = None,
        workers: int = 1,
        **changes: Any,
    ) -> Iterator[Tensor | Picture | PILImage | Frame]:
        """Stylize the frames of a video, so that they stay steady.

        Args:
            frames: The frames in their order: whatever `stylize` takes, or Frames, which know their times.
                They are read up to some 0.5 s ahead.
            style: As for `stylize`.
            options: As for `stylize`.
            fps: Frames per second, from which the times of frames follow that do not know them.
            steadiness: As for `frame_stylizer`, as are the next two and workers.
            mask: As for `stylize`, as is regions; for all frames.
            masks: One such mask, or one per style, for each frame; instead of mask and regions.
            changes: Fields of `StylizeOptions` that replace those of `options`.

        Yields:
            For every frame its result, as `stylize` returns it: a Frame for a Frame.
        """
        options = change_options(StylizeOptions() if options is None else options, changes)
        check_range("fps", fps, 0, open_low=True)
        if masks is not None and (mask is not None or regions is not None):
            raise OptionError("masks exclude mask and regions", hint="leave one of them out")
        stylizer = self.frame_stylizer(
            style,
            options,
            steadiness=steadiness,
            causal=causal,
            schedule=schedule,
            maps=RegionMaps.open(mask, regions),
            workers=workers,
        )
        return convert_frames(stylizer, frames, fps, masks)

    def resolve_options(
        self,
        options: StylizeOptions,
        content: Tensor | Picture,
        style: StyleSource | Sequence[StyleSource] = (),
    ) -> StylizeOptions:
        """Choose the stroke scale and the style size for a content, where the options leave them open.

        Frames of one scene, which may differ in size by a few pixels, should share the options of the first.

        Args:
            options: The options to complete.
            content: The content, before it is resized.
            style: The styles. Statistics for one stroke scale alone keep it.
        """
        return self._samples.resolve_options(options, content, as_sequence(style))

    def measure_style(
        self,
        style: StyleSource,
        *,
        style_size: int | None = None,
        stroke_scale: int | None = 1,
        exact: bool = True,
        mask: PictureSource | None = None,
    ) -> StyleStatistics:
        """Compute the statistics of a style, which can be reused, saved and blended.

        The statistics of files are remembered.

        Args:
            style: Any source of a picture (see `stylize`), the path of a `.safetensors` file of statistics,
                or statistics, which are returned as they are.
            style_size: Long edge to which a larger picture is reduced first; see `StylizeOptions`.
            stroke_scale: Stroke scale of the results; 1 suits pictures below 1024 pixels. None measures for
                all that are chosen automatically, so that contents of every size can be stylized.
            exact: Whether to measure in float32 under mixed precision too. Results of 8 bits do not need it
                and take less time without.
            mask: The part of the style that is measured, in white; None for all of it.

        Raises:
            ImageError: The style cannot be read.
            OptionError: A size is out of range, the enlarged style would be too large, or statistics were
                measured by another model or for other stroke scales.
            MemoryLimitError: The style does not fit into memory.
        """
        options = StylizeOptions(style_size=style_size, stroke_scale=stroke_scale)
        scales = AUTOMATIC_STROKE_SCALES if stroke_scale is None else (stroke_scale,)
        scales = scales if self.pipeline.paints else (1,)
        part = None if mask is None else to_picture(mask)
        return self._measurer.measure(style, options.style_size, scales, exact=exact, mask=part)


def stylize(
    content: str | Path | bytes | BinaryIO | Array | PILImage,
    style: StyleSource | Sequence[StyleSource],
    options: StylizeOptions | None = None,
    *,
    model: str | Path = DEFAULT_MODEL,
    **changes: Any,
) -> PILImage:
    """Stylize one picture. `Stylizer` does the same, also for tensors, and keeps the model for the next."""
    return Stylizer(model).stylize(content, style, options, **changes)
