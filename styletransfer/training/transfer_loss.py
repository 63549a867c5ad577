"""The training loss: content, style, patches, colors, identity, stability, range, and spectral norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Every so many steps no patches are matched, for pictures that are painted over a copy and for --match 0.
PLAIN_STEP_EVERY = 5
# Terms that take long and change little from step to step are computed at every n-th step, n times as strong.
DEEP_EVERY, STABILITY_EVERY, IDENTITY_EVERY = 2, 2, 4
# Octaves whose features are smaller than this have too few patches of 3 x 3 to be compared.
SMALLEST_PATCH_MAP = 8

# Motion of the simulated camera in pixels, and the standard deviation of its noise, that of a good camera.
SHIFT_X, SHIFT_Y = 3, 1
NOISE = 2 / 255
# The range term pulls pixels this far inside 0..1, because soft clipping beyond leaves little gradient.
MARGIN = 0.01


class LossTerms(NamedTuple):
    """Scalar terms of the loss, not weighted, and `total`, their weighted sum.

    A term that is computed at every n-th step is n times as large then, and zero otherwise, so that its mean
    over the steps is that of the term.
    """

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

    def forward(self, content: Tensor, style: Tensor, step: int | None = None) -> LossTerms:
        """Compute the loss of a batch.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.
            step: Number of the step, which decides what is computed at it. None computes every term, with
                matching.

        Returns:
            Scalars. If the features overflow, all are NaN and so is every gradient, so that all processes of
            a distributed run skip the same step.
        """
        try:
            return self._compute(content, style, step)
        except NumericalError:
            nan = torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum() * torch.nan
            return LossTerms(*[nan] * len(LossTerms._fields))

    def _compute(self, content: Tensor, style: Tensor, step: int | None) -> LossTerms:
        model, options = self.model, self.options
        content_features, style_features = model.encode(content), model.encode(style)
        style_levels = measure_levels(style_features)
        matches = bool(model.architecture.match_strengths) and (step is None or step % PLAIN_STEP_EVERY != 0)
        banks = model.decoder.collect_patches(style_features, style_levels) if matches else None
        raw = model.decode(content_features, style_levels, banks=banks).float()
        stylized = soft_clip(raw)
        identity_term = stability_term = deep_term = raw.new_zeros(())
        if times := _count_times(step, IDENTITY_EVERY, first=1):
            identity_term = times * self._compute_identity(content, content_features, matches)
        if times := _count_times(step, STABILITY_EVERY, first=1):
            next_features = model.encode(simulate_next_frame(content))
            next_stylized = soft_clip(model.decode(next_features, style_levels, banks=banks).float())
            stability_term = times * F.mse_loss(next_stylized, stylized[..., SHIFT_Y:, SHIFT_X:])
        if self.deep_network is not None and (times := _count_times(step, DEEP_EVERY)):
            with torch.no_grad():
                deep_target = self.deep_network(style)
            deep_term = times * _compare_styles(self.deep_network(stylized), deep_target)

        with torch.no_grad():
            style_targets = [self.perceptual(octave) for octave in build_pyramid(style, options.octaves)]
            content_target = self.perceptual(content)[CONTENT_LAYER]
        outputs = [self.perceptual(octave) for octave in build_pyramid(stylized, options.octaves)]
        octaves = list(zip(outputs, style_targets, strict=True))
        style_term = average_octaves([_compare_styles(*octave) for octave in octaves], options.octave_decay)
        patches = [
            patch_distance(output[PATCH_LAYER].float(), target[PATCH_LAYER].float())
            for output, target in octaves[1:]
            if min(*output[PATCH_LAYER].shape[2:]) >= SMALLEST_PATCH_MAP
        ]
        zero = raw.new_zeros(())
        patch_term = torch.stack(patches).mean() if patches else zero
        with torch.autocast(content.device.type, enabled=False):
            content_term = content_distance(outputs[0][CONTENT_LAYER].float(), content_target.float())
            color_term = color_distance(stylized, style)
            range_term = ((raw - 0.5).abs() - (0.5 - MARGIN)).relu().mean()
            spectral_term = self.penalty() if self.penalty else zero
        total = (
            options.content_weight * content_term
            + options.style_weight * style_term
            + options.patch_weight * patch_term
            + options.deep_weight * deep_term
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

    def _compute_identity(self, content: Tensor, features: Sequence[Tensor], matches: bool) -> Tensor:
        """Compute how far the content in its own style is from the content."""
        levels = measure_levels(features)
        patches = self.model.decoder.collect_patches(features, levels) if matches else None
        reconstruction = soft_clip(self.model.decode(features, levels, banks=patches).float())
        return F.mse_loss(reconstruction, content) + 0.1 * F.l1_loss(reconstruction, content)


def _count_times(step: int | None, every: int, first: int = 0) -> int:
    """Return how many times a term counts that is computed at every n-th step; 0 if not at this one."""
    if step is None:
        return 1
    return every if step % every == first else 0


def _compare_styles(output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Compute the style distance of features in float32: it is a small difference of large sums."""
    with torch.autocast(next(iter(output.values())).device.type, enabled=False):
        return style_distance(output, target)


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
