"""The training loss: content, style, patches, colors, identity, stability, range, and spectral norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg import NumericalError
from ..model import Autoencoder, measure_levels, soft_clip
from ..model.vgg import VGG16, VGG19
from ..options import TrainOptions
from ..spectrum import SpectralPenalty
from ..transfer.losses import (
    build_pyramid,
    color_distance,
    content_distance,
    patch_distance,
    style_distance,
)

CONTENT_LAYER = PATCH_LAYER = "relu3_1"
# The deep network takes two thirds of the time of a step, so that it judges only every second one.
DEEP_STEP_EVERY = 2
# Octaves whose features are smaller than this have too few patches of 3 x 3 to be compared.
SMALLEST_PATCH_MAP = 8

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
    patch: Tensor
    deep: Tensor
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
        deep_network: Frozen VGG-16 with the layers in which styles are compared too; None leaves them out.
    """

    def __init__(
        self,
        model: Autoencoder,
        perceptual: VGG19,
        options: TrainOptions,
        deep_network: VGG16 | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.perceptual = perceptual
        self.deep_network = deep_network
        self.options = options
        self.penalty = SpectralPenalty(model.decoder) if options.spectral_penalty else None

    def forward(self, content: Tensor, style: Tensor, *, match: bool = True, deep: bool = True) -> LossTerms:
        """Compute the loss of a batch.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.
            match: Whether the patches of the style are matched, if the network can do that.
            deep: Whether the deep network judges too, if there is one.

        Returns:
            Scalars. If the features overflow, all are NaN and so is every gradient, so that all processes of
            a distributed run skip the same step.
        """
        try:
            return self._compute(content, style, match, self.deep_network if deep else None)
        except NumericalError:
            nan = torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum() * torch.nan
            return LossTerms(*[nan] * len(LossTerms._fields))

    def _compute(self, content: Tensor, style: Tensor, match: bool, deep_network: VGG16 | None) -> LossTerms:
        model, options = self.model, self.options
        content_features, style_features = model.encode(content), model.encode(style)
        content_levels, style_levels = measure_levels(content_features), measure_levels(style_features)
        banks = own_patches = None
        if match and model.architecture.match_strengths:
            banks = model.decoder.collect_patches(style_features, style_levels)
            own_patches = model.decoder.collect_patches(content_features, content_levels)
        raw = model.decode(content_features, style_levels, banks=banks).float()
        stylized = soft_clip(raw)
        reconstruction = model.decode(content_features, content_levels, banks=own_patches).float()
        reconstruction = soft_clip(reconstruction)
        next_features = model.encode(simulate_next_frame(content))
        next_stylized = soft_clip(model.decode(next_features, style_levels, banks=banks).float())

        with torch.no_grad():
            style_targets = [self.perceptual(octave) for octave in build_pyramid(style, options.octaves)]
            content_target = self.perceptual(content)[CONTENT_LAYER]
            deep_target = {} if deep_network is None else deep_network(style)
        outputs = [self.perceptual(octave) for octave in build_pyramid(stylized, options.octaves)]
        deep_output = {} if deep_network is None else deep_network(stylized)

        # The networks may run in bfloat16. The distances are small differences of large sums and must not.
        with torch.autocast(content.device.type, enabled=False):
            content_term = content_distance(outputs[0][CONTENT_LAYER].float(), content_target.float())
            style_term = average_octaves(
                [style_distance(*octave) for octave in zip(outputs, style_targets, strict=True)],
                options.octave_decay,
            )
            patches = [
                patch_distance(output[PATCH_LAYER].float(), target[PATCH_LAYER].float())
                for output, target in zip(outputs[1:], style_targets[1:], strict=True)
                if min(*output[PATCH_LAYER].shape[2:]) >= SMALLEST_PATCH_MAP
            ]
            color_term = color_distance(stylized, style)
            identity_term = F.mse_loss(reconstruction, content) + 0.1 * F.l1_loss(reconstruction, content)
            stability_term = F.mse_loss(next_stylized, stylized[..., SHIFT_Y:, SHIFT_X:])
            range_term = ((raw - 0.5).abs() - (0.5 - MARGIN)).relu().mean()
            zero = range_term.new_zeros(())
            patch_term = torch.stack(patches).mean() if patches else zero
            deep_term = style_distance(deep_output, deep_target) if deep_output else zero
            spectral_term = self.penalty() if self.penalty else zero
        total = (
            options.content_weight * content_term
            + options.style_weight * style_term
            + options.patch_weight * patch_term
            + DEEP_STEP_EVERY * options.deep_weight * deep_term
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
            patch=patch_term,
            deep=deep_term,
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
