"""Stylize tensors of the final size: choose the strokes, measure the styles, blend them, refine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from .color_grading import ColorGrader
from .errors import OptionError
from .media import Picture, resize_picture
from .media.cube_lut import CubeLut
from .model import StyleStatistics
from .model.vgg import load_vgg19
from .options import StylizeOptions, resolve_stroke_scale
from .picture_conversion import measure_edges, name_style, to_picture
from .pipeline import Pipeline, ProgressCallback
from .refinement import REFINE_LAYERS, PerceptualNetwork, Refiner
from .region_maps import RegionMaps
from .style_measurer import StyleMeasurer, StyleSource, as_sequence


class TensorStylizer:
    """Stylizes tensors [3, H, W] or [1, 3, H, W] of the final size.

    Args:
        pipeline: The pipeline that computes.
        measurer: Measures the styles.
        grader: Gives contents and styles the colors of others.
    """

    def __init__(self, pipeline: Pipeline, measurer: StyleMeasurer, grader: ColorGrader) -> None:
        self.pipeline, self.measurer, self.grader = pipeline, measurer, grader

    def stylize(
        self,
        content: Tensor,
        alpha: Tensor | None,
        style: StyleSource | Sequence[StyleSource],
        options: StylizeOptions,
        dtype: torch.dtype | None,
        progress: ProgressCallback | None,
        maps: RegionMaps | None = None,
    ) -> tuple[Tensor, StylizeOptions, CubeLut | None]:
        """Stylize samples; return the result, the resolved options, and with color_only the map of colors.

        Args:
            content: The content.
            alpha: Its opacity [1, H, W]; None if all pixels are opaque.
            style: One style or a sequence of them.
            options: How the result looks; the size is the content's.
            dtype: Type of the result; None for the content's.
            progress: Called after every strip with the share of the work that is done.
            maps: Where each style is painted; None for everywhere.
        """
        sources = as_sequence(style)
        if maps is not None:
            maps.check_styles(len(sources), options)
        if options.color_only:
            pixels, lut = self.grader.grade(content, alpha, sources, options, dtype, progress)
            return pixels, options, lut
        options = self.resolve_options(options, content, sources)
        painted = sources
        if options.preserve_color == "palette":
            palette = self.grader.measure_palette(content, alpha)
            painted = self.grader.recolor_styles(sources, palette, options)
        styles = self.measure_styles(painted, options, maps, exact=dtype != torch.uint8)
        masks = None if maps is None else maps.content_masks(content.shape[-2], content.shape[-1], alpha)
        if masks is None or len(masks) != len(styles):
            # One style stays the same object, so that the pipeline finds its square roots again.
            weights = options.style_weights or [1.0] * len(styles)
            single = len(styles) == 1 and options.style_weights is None
            styles = styles if single else [StyleStatistics.blend(styles, weights)]
        refiner = self._prepare_refiner(painted, options) if options.refine else None
        wanted = styles[0] if masks is None else styles
        pixels = self.pipeline.stylize(content, wanted, options, dtype, progress, refiner, alpha, masks)
        return pixels, options, None

    def resolve_options(
        self, options: StylizeOptions, content: Tensor | Picture, styles: Sequence[StyleSource]
    ) -> StylizeOptions:
        """Choose the stroke scale and the style size; see `Stylizer.resolve_options`."""
        if not self.pipeline.paints:
            unfit = {
                "--refine": options.refine > 0,
                "--passes": options.passes > 1,
                "--stroke-scale": options.stroke_scale not in {None, 1},
            }
            if any(unfit.values()):
                name = next(name for name, given in unfit.items() if given)
                raise OptionError("this model paints no strokes", hint=f"leave out {name}")
            options = replace(options, stroke_scale=1)
        opened = [self.measurer.open(each) for each in styles]
        statistics = [each for each in opened if isinstance(each, StyleStatistics)]
        measured = [each.stroke_scale for each in statistics if not each.larger]
        return resolve_stroke_scale(options, *measure_edges(content), measured)

    def measure_styles(
        self,
        sources: Sequence[StyleSource],
        options: StylizeOptions,
        maps: RegionMaps | None = None,
        *,
        exact: bool,
    ) -> list[StyleStatistics]:
        """Return the statistics of styles: one per style, or one per region of a style that has a map.

        Args:
            sources: The styles.
            options: Options with stroke scale and style size resolved.
            maps: Where each style is painted; None for everywhere.
            exact: Whether to measure in float32 under mixed precision too.
        """
        assert options.stroke_scale is not None
        assert options.style_size is not None
        parts: Sequence[Picture | None] = [None] * len(sources)
        if maps is not None and maps.style_masks:
            parts, sources = maps.style_masks, list(sources) * len(maps.style_masks)
        scales = (options.stroke_scale,)
        return [
            self.measurer.measure(source, options.style_size, scales, exact=exact, mask=part)
            for source, part in zip(sources, parts, strict=True)
        ]

    @cached_property
    def _perceptual_network(self) -> PerceptualNetwork:
        network = load_vgg19(None, REFINE_LAYERS).to(self.pipeline.device)
        return PerceptualNetwork(network, bfloat16=self.pipeline.precision.name != "fp32")

    def _prepare_refiner(self, styles: Sequence[StyleSource], options: StylizeOptions) -> Refiner:
        """Prepare the refinement of results with some styles, at full strength."""
        assert options.style_size is not None
        pictures = []
        for each in styles:
            if isinstance(opened := self.measurer.open(each), StyleStatistics):
                raise OptionError(
                    f"{name_style(each)}: refinement needs the picture of the style, not its statistics",
                    hint="give the picture, or leave out --refine",
                )
            picture = to_picture(opened).as_style()
            edge = min(max(measure_edges(picture)), options.style_size)
            pictures.append(resize_picture(picture, edge).with_hidden_colors_filled().to_float())
        weights = options.style_weights or (1.0,) * len(pictures)
        shares = [weight / sum(weights) for weight in weights]
        plain = StylizeOptions(transform=options.transform)

        def stylize(content: Tensor, styles: Sequence[Tensor]) -> Tensor:
            measured = [self.pipeline.measure(each) for each in styles]
            blended = measured[0] if len(measured) == 1 else StyleStatistics.blend(measured, shares)
            return self.pipeline.stylize(content, blended, plain)

        return Refiner(pictures, shares, self._perceptual_network, options.refine, stylize)
