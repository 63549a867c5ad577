"""Score everything that was made of one pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..model.vgg import VGG19
from .colors import clip, swd_rgb
from .perception import content_in, perceive, style_gram, style_pyr
from .scores import Scores
from .similarity import psnr, ssim
from .stability import warp_rmse

# Content and style, [1, 3, H, W] in 0..1, and alpha in 0..1 to the stylized content, of any size.
Stylize = Callable[[Tensor, Tensor, float], Tensor]


class Fidelity(NamedTuple):
    """How well a model gives back a content, in dB: at alpha 0, and in the content's own style."""

    reconstruction: float
    identity: float


class PairScorer:
    """Scores any number of outputs of one pair; what they share is computed once.

    Args:
        network: Returns relu1_1, relu2_1, relu3_1; pictures are moved to its device.
        content: RGB in 0..1, [1, 3, H, W], sides of at least 32 pixels.
        style: RGB in 0..1, [1, 3, H', W'], sides of at least 32 pixels.

    Raises:
        ImageError: A picture is too small.
    """

    def __init__(self, network: VGG19, content: Tensor, style: Tensor) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self.content, self.style = content.to(self.device), style.to(self.device)
        self._content_seen = perceive(network, self.content)
        self._style_seen = perceive(network, self.style)
        self._fidelity: dict[Stylize, Fidelity] = {}

    @torch.inference_mode()
    def score(self, output: Tensor) -> Scores:
        """Score one picture.

        Args:
            output: RGB in 0..1, [1, 3, h, w]; where its size is not the content's, the content is resized
                to it.

        Raises:
            ImageError: The picture is too small.
        """
        output = output.to(self.device)
        content, content_seen = self.content, self._content_seen
        if output.shape != content.shape:
            content = resize(content, output.shape[2:])
            content_seen = perceive(self.network, content)
        seen = content_seen if torch.equal(output, content) else perceive(self.network, output)
        return Scores(
            style_gram=style_gram(seen, self._style_seen),
            style_pyr=style_pyr(seen, self._style_seen),
            content_in=content_in(seen, content_seen),
            ssim=ssim(output, content),
            swd_rgb=swd_rgb(output, self.style),
            clip=clip(output),
        )

    @torch.inference_mode()
    def score_model(self, stylize: Stylize, alpha: float = 1.0) -> tuple[Tensor, Scores]:
        """Stylize the content and score the result, and with it the model.

        Args:
            stylize: What it returns is brought to the size of its content before it is measured.
            alpha: Strength of the transfer, also of the pan's frames.

        Returns:
            The stylized content [1, 3, H, W], and all scores.
        """

        def paint(content: Tensor, style: Tensor, alpha: float) -> Tensor:
            return resize(stylize(content, style, alpha).to(self.device), content.shape[2:])

        output = paint(self.content, self.style, alpha)
        if stylize not in self._fidelity:
            self._fidelity[stylize] = Fidelity(
                reconstruction=psnr(paint(self.content, self.style, 0), self.content),
                identity=psnr(paint(self.content, self.content, 1), self.content),
            )
        warp = warp_rmse(lambda frame: paint(frame, self.style, alpha), self.content)
        return output, replace(self.score(output), **self._fidelity[stylize]._asdict(), warp=warp)


def resize(picture: Tensor, size: torch.Size) -> Tensor:
    """Resample a picture [1, 3, H, W] in 0..1 to a size (bicubic, antialiased); itself where it has it."""
    if picture.shape[2:] == size:
        return picture
    return interpolate(picture, list(size), mode="bicubic", antialias=True).clamp(0, 1)
