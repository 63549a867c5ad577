"""What the network is asked for: the content's structure, the style's statistics and colours, steadiness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg import NumericalError
from ..model import Autoencoder, soft_clip, measure_levels
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..spectrum import SpectralPenalty
from ..transfer import gram

CONTENT_LAYER = "relu3_1"

# The motion and the noise (standard deviation, a good camera's) that a steady picture does not follow.
SHIFT_X, SHIFT_Y = 3, 1
NOISE = 2 / 255
# Colours are compared along these many directions, at every third pixel of every third row.
DIRECTIONS = 16
COLOR_STRIDE = 3
# Pixels are kept this far from 0 and 1: beyond, the compression leaves little gradient to return by.
MARGIN = 0.01


class LossTerms(NamedTuple):
    """The terms of the loss, unweighted, each a scalar; `total` is their weighted sum."""

    total: Tensor
    content: Tensor
    style: Tensor
    color: Tensor
    identity: Tensor
    stability: Tensor
    range: Tensor
    spectral: Tensor


class TransferLoss(nn.Module):
    """The loss of a network on a batch of pairs.

    Args:
        model: The network in training.
        perceptual: Frozen VGG-19 with the layers that style is compared in, relu3_1 among them.
        options: Weights of the terms, octaves of the pyramid.
    """

    def __init__(self, model: Autoencoder, perceptual: VGG19, options: TrainOptions) -> None:
        super().__init__()
        self.model = model
        self.perceptual = perceptual
        self.options = options
        self.penalty = SpectralPenalty(model.decoder) if options.spectral_penalty else None

    def forward(self, content: Tensor, style: Tensor) -> LossTerms:
        """Compute the terms.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.

        Returns:
            Scalars; all NaN, and with them every gradient, if the features overflowed, so that every
            process of a distributed run skips the same step.
        """
        try:
            return self._compute(content, style)
        except NumericalError:
            nan = torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum() * torch.nan
            return LossTerms(*[nan] * len(LossTerms._fields))

    def _compute(self, content: Tensor, style: Tensor) -> LossTerms:
        content_features, style_features = self.model.encode(content), self.model.encode(style)
        content_levels, style_levels = measure_levels(content_features), measure_levels(style_features)
        raw = self.model.decode(content_features, style_levels).float()
        stylized = soft_clip(raw)
        itself = soft_clip(self.model.decode(content_features, content_levels).float())
        moved_features = self.model.encode(move(content))
        next_frame = soft_clip(self.model.decode(moved_features, style_levels).float())

        with torch.no_grad():
            targets = [self.perceptual(octave) for octave in build_pyramid(style, self.options.octaves)]
            wanted = self.perceptual(content)[CONTENT_LAYER]
        found = [self.perceptual(octave) for octave in build_pyramid(stylized, self.options.octaves)]

        # The networks may run in bfloat16; distances, small differences of large sums, do not.
        with torch.autocast(content.device.type, enabled=False):
            content_term = content_distance(found[0][CONTENT_LAYER].float(), wanted.float())
            style_term = average_octaves(
                [style_distance(a, b) for a, b in zip(found, targets, strict=True)],
                self.options.octave_decay,
            )
            color_term = color_distance(stylized, style)
            identity_term = F.mse_loss(itself, content) + 0.1 * F.l1_loss(itself, content)
            stability_term = F.mse_loss(next_frame, stylized[..., SHIFT_Y:, SHIFT_X:])
            range_term = ((raw - 0.5).abs() - (0.5 - MARGIN)).relu().mean()
            spectral_term = self.penalty() if self.penalty else range_term.new_zeros(())
        options = self.options
        total = (
            options.content_weight * content_term
            + options.style_weight * style_term
            + options.color_weight * color_term
            + options.identity_weight * identity_term
            + options.stability_weight * stability_term
            + options.range_weight * range_term
            + options.spectral_penalty * spectral_term
        )
        return LossTerms(
            total=total,
            content=content_term,
            style=style_term,
            color=color_term,
            identity=identity_term,
            stability=stability_term,
            range=range_term,
            spectral=spectral_term,
        )


def build_pyramid(pictures: Tensor, octaves: int) -> list[Tensor]:
    """Halve pictures [B, 3, H, W] repeatedly; the first octave is the pictures themselves.

    VGG-19 sees a patch of some 40 pixels at relu3_1; on smaller octaves it compares larger strokes.
    """
    pyramid = [pictures]
    for _ in range(octaves - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def average_octaves(distances: Sequence[Tensor], decay: float) -> Tensor:
    """Average the distances of the octaves, finest first, each weighing `decay` times the one before.

    The transfers reach the coarse ones almost by themselves; the finest has to be learnt.
    """
    weights = [decay**octave for octave in range(len(distances))]
    return torch.stack(
        [weight * distance for weight, distance in zip(weights, distances, strict=True)]
    ).sum() / sum(weights)


def move(pictures: Tensor) -> Tensor:
    """Film pictures [B, 3, H, W] once more, the camera moved by a few pixels: [B, 3, H - 1, W - 3].

    The noise is the same for every picture: no network of convolutions could tell, and any number of
    processes computes the same.
    """
    view = pictures[..., SHIFT_Y:, SHIFT_X:]
    noise = torch.randn(view.shape[1:], generator=torch.Generator().manual_seed(0)).to(view)
    return (view + NOISE * noise).clamp(0, 1)


def color_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Compare the colours of pictures [B, 3, H, W] of one size: how far, on average, each has to move.

    Source: Bonneel et al. 2015 (JMIV), sliced Wasserstein distance of order 1. Gram matrices know means and
    covariances; a few pixels far out, which they hardly see, are seen by the eye.
    """
    directions = torch.randn(DIRECTIONS, 3, generator=torch.Generator().manual_seed(0)).to(found)
    directions = F.normalize(directions, dim=1)
    a, b = (
        (directions @ pictures[..., ::COLOR_STRIDE, ::COLOR_STRIDE].flatten(2)).sort(-1).values
        for pictures in (found, wanted)
    )
    return F.l1_loss(a, b)


def content_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Compare feature maps [B, C, H, W] after instance normalisation, relative to the wanted ones.

    Normalised channels hold the structure of a picture and not its palette, which is the style's.
    """
    found, wanted = F.instance_norm(found), F.instance_norm(wanted)
    # Picture by picture, so that a batch shared among processes gives the same mean as a whole one.
    return ((found - wanted).square().mean((1, 2, 3)) / wanted.square().mean((1, 2, 3))).mean()


def style_distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Compare the Gram matrices of feature maps, averaged over layers and batch.

    Source: Gatys et al. 2016 (CVPR). Differs: every layer is taken relative to the squared norm of the
    style's own matrix, so that no layer and no strong style drowns the others; and as log(1 + x), so that
    one style far out of reach (a nearly black picture) does not drown the batch.
    """
    terms = []
    for name, features in found.items():
        a, b = gram(features.flatten(2)), gram(wanted[name].flatten(2))  # [B, C, C]
        terms.append(((a - b).square().sum((1, 2)) / b.square().sum((1, 2))).log1p().mean())
    return torch.stack(terms).mean()
