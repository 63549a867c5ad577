"""The training loss: content, style, colors, identity, stability, range, and spectral norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg import NumericalError
from ..model import Autoencoder, measure_levels, soft_clip
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..spectrum import SpectralPenalty
from ..transfer.losses import build_pyramid, color_distance, content_distance, style_distance

CONTENT_LAYER = "relu3_1"

# Motion of the simulated camera in pixels, and the standard deviation of its noise, that of a good camera.
SHIFT_X, SHIFT_Y = 3, 1
NOISE = 2 / 255
# The range term pulls pixels this far inside 0..1, because soft clipping beyond leaves little gradient.
MARGIN = 0.01


class LossTerms(NamedTuple):
    """Scalar terms of the loss, not weighted, and `total`, their weighted sum."""

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
        perceptual: Frozen VGG-19 with the layers in which styles are compared, relu3_1 among them.
        options: Weights of the terms and octaves of the pyramid.
    """

    def __init__(self, model: Autoencoder, perceptual: VGG19, options: TrainOptions) -> None:
        super().__init__()
        self.model = model
        self.perceptual = perceptual
        self.options = options
        self.penalty = SpectralPenalty(model.decoder) if options.spectral_penalty else None

    def forward(self, content: Tensor, style: Tensor) -> LossTerms:
        """Compute the loss of a batch.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.

        Returns:
            Scalars. If the features overflow, all are NaN and so is every gradient, so that all processes of
            a distributed run skip the same step.
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
        reconstruction = soft_clip(self.model.decode(content_features, content_levels).float())
        next_features = self.model.encode(simulate_next_frame(content))
        next_stylized = soft_clip(self.model.decode(next_features, style_levels).float())

        octaves = self.options.octaves
        with torch.no_grad():
            style_targets = [self.perceptual(octave) for octave in build_pyramid(style, octaves)]
            content_target = self.perceptual(content)[CONTENT_LAYER]
        outputs = [self.perceptual(octave) for octave in build_pyramid(stylized, octaves)]

        # The networks may run in bfloat16. The distances are small differences of large sums and must not.
        with torch.autocast(content.device.type, enabled=False):
            content_term = content_distance(outputs[0][CONTENT_LAYER].float(), content_target.float())
            style_term = average_octaves(
                [style_distance(*octave) for octave in zip(outputs, style_targets, strict=True)],
                self.options.octave_decay,
            )
            color_term = color_distance(stylized, style)
            identity_term = F.mse_loss(reconstruction, content) + 0.1 * F.l1_loss(reconstruction, content)
            stability_term = F.mse_loss(next_stylized, stylized[..., SHIFT_Y:, SHIFT_X:])
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


def average_octaves(distances: Sequence[Tensor], decay: float) -> Tensor:
    """Average the style distances of the octaves.

    The feature transforms reach the coarse octaves almost without training, while the finest has to be
    learned.

    Args:
        distances: Scalars, finest octave first.
        decay: Weight of each octave relative to the next finer one.
    """
    weights = [decay**octave for octave in range(len(distances))]
    return torch.stack(
        [weight * distance for weight, distance in zip(weights, distances, strict=True)]
    ).sum() / sum(weights)


def simulate_next_frame(pictures: Tensor) -> Tensor:
    """Simulate the next frame of a video: the camera has moved by a few pixels and adds noise.

    The noise is the same for every picture. A convolutional network cannot tell, and the result does not
    depend on how a batch is shared among processes.

    Args:
        pictures: [B, 3, H, W] in 0..1.

    Returns:
        [B, 3, H - 1, W - 3] in 0..1.
    """
    view = pictures[..., SHIFT_Y:, SHIFT_X:]
    noise = torch.randn(view.shape[1:], generator=torch.Generator().manual_seed(0)).to(view)
    return (view + NOISE * noise).clamp(0, 1)
