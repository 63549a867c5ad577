"""Prepare the refinement of results: the pictures of the styles, and the network that judges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from .errors import OptionError
from .media import resize_picture
from .model import StyleStatistics
from .model.vgg import load_vgg19
from .options import StylizeOptions
from .picture_sources import measure_edges, name_style, to_picture
from .pipeline import Pipeline
from .refinement import REFINE_LAYERS, PerceptualNetwork, Refiner
from .style_measurer import StyleMeasurer, StyleSource


class RefinerFactory:
    """Builds refiners for any styles; the perceptual network is loaded once.

    Args:
        pipeline: The pipeline whose results are refined.
        measurer: Opens the styles.
    """

    def __init__(self, pipeline: Pipeline, measurer: StyleMeasurer) -> None:
        self._pipeline, self._measurer = pipeline, measurer

    @cached_property
    def _network(self) -> PerceptualNetwork:
        network = load_vgg19(None, REFINE_LAYERS).to(self._pipeline.device)
        return PerceptualNetwork(network, bfloat16=self._pipeline.precision.name != "fp32")

    def build(self, styles: Sequence[StyleSource], options: StylizeOptions) -> Refiner:
        """Prepare the refinement of results with some styles, at full strength.

        Args:
            styles: The styles, which are blended if there are several.
            options: Its iterations, transform, style_size and style_weights are used.

        Raises:
            OptionError: A style is not a picture.
        """
        assert options.style_size is not None
        pictures = []
        for each in styles:
            if isinstance(opened := self._measurer.open(each), StyleStatistics):
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
            measured = [self._pipeline.measure(each) for each in styles]
            blended = measured[0] if len(measured) == 1 else StyleStatistics.blend(measured, shares)
            return self._pipeline.stylize(content, blended, plain)

        return Refiner(pictures, shares, self._network, options.refine, stylize)
