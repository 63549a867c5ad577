"""The training loss of networks for photographs: the style of one picture in the structure of another."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg import NumericalError
from ..model import CouplingNetwork
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..transfer.color_transfer import LUMA
from ..transfer.local_affine import matting_energy
from ..transfer.losses import style_distance

# Windows in which the result is to be a local affine function of the content. In the smaller ones a slow glow
# at a skyline is one.
NARROW_RADIUS, WIDE_RADIUS = 1, 10
# Weight of what the network writes into the channels that a picture leaves empty.
EMPTY_CHANNELS_WEIGHT = 0.5
# Smallest slope with which the luma of a result is fitted to the content's, and the variance of its noise.
MIN_SLOPE, FIT_RIDGE = 0.05, 1e-4
# Variance to which the wide matting energy of a nearly flat result is relative.
MIN_VARIANCE = 1e-3
WINDOW, SIGMA = 11, 1.5  # of SSIM
STABILIZER_1, STABILIZER_2 = 0.01**2, 0.03**2


class PhotorealisticTerms(NamedTuple):
    """Scalar terms of the loss, not weighted, and `total`, their weighted sum."""

    total: Tensor
    style: Tensor
    structure: Tensor
    matting: Tensor
    halo: Tensor
    range: Tensor
    empty: Tensor


class PhotorealisticLoss(nn.Module):
    """The loss of a network of couplings on a batch of pairs.

    Args:
        model: The network in training.
        perceptual: Frozen VGG-19 with the layers in which styles are compared.
        options: Weights of the terms.
    """

    penalty: nn.Module | None = None

    def __init__(self, model: CouplingNetwork, perceptual: VGG19, options: TrainOptions) -> None:
        super().__init__()
        self.model, self.perceptual, self.options = model, perceptual, options

    def forward(self, content: Tensor, style: Tensor, step: int | None = None) -> PhotorealisticTerms:
        """Compute the loss of a batch.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.
            step: Not used; every term is computed at every step.

        Returns:
            Scalars, which are NaN with all gradients if the features overflow; see `TransferLoss`.
        """
        try:
            return self._compute(content, style)
        except NumericalError:
            nan = torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum() * torch.nan
            return PhotorealisticTerms(*[nan] * len(PhotorealisticTerms._fields))

    def _compute(self, content: Tensor, style: Tensor) -> PhotorealisticTerms:
        options = self.options
        result, empty = self.model.transfer(content, style)
        result, empty = result.float(), empty.float()
        with torch.no_grad():
            target = self.perceptual(style)
        output = self.perceptual(result)
        # The networks may run in bfloat16. The distances are small differences of large sums and must not.
        with torch.autocast(content.device.type, enabled=False):
            style_term = style_distance(
                {name: features.float() for name, features in output.items()},
                {name: features.float() for name, features in target.items()},
            )
            structure_term = structure_distance(result, content)
            matting_term = matting_energy(content, result, NARROW_RADIUS).mean()
            variance = result.var((1, 2, 3)).clamp_min(MIN_VARIANCE)
            halo_term = (matting_energy(content, result, WIDE_RADIUS) / variance).mean()
            range_term = (result - result.clamp(0, 1)).square().mean()
            empty_term = empty.square().mean()
        total = (
            options.style_weight * style_term
            + options.structure_weight * structure_term
            + options.matting_weight * matting_term
            + options.halo_weight * halo_term
            + options.range_weight * range_term
            + EMPTY_CHANNELS_WEIGHT * empty_term
        )
        terms = (style_term, structure_term, matting_term, halo_term, range_term, empty_term)
        return PhotorealisticTerms(total, *terms)


def structure_distance(output: Tensor, content: Tensor) -> Tensor:
    """Compute 1 - SSIM of the luma of two pictures after the output's was fitted to the content's.

    Plain SSIM mostly measures exposure, which is to be the style's, and so teaches a network to transfer too
    little and to keep the local exposure by glows at edges.

    Args:
        output: [B, 3, H, W] in 0..1.
        content: [B, 3, H, W] in 0..1.

    Source: Wang et al. 2004 (IEEE TIP 13(4)), SSIM with Gaussian windows.
    Differs: the mean of the output's luma is shifted, and its contrast multiplied, as a least-squares fit to
    the content asks for.
    """
    weights = torch.tensor(LUMA, dtype=output.dtype, device=output.device)
    a, b = (torch.einsum("bchw,c->bhw", picture, weights).unsqueeze(1) for picture in (output, content))
    mean_a, mean_b = a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True)
    covariance = ((a - mean_a) * (b - mean_b)).mean((2, 3), keepdim=True)
    variance = (a - mean_a).square().mean((2, 3), keepdim=True)
    slope = (covariance / (variance + FIT_RIDGE)).clamp_min(MIN_SLOPE)
    a = slope * (a - mean_a) + mean_b
    positions = torch.arange(WINDOW, dtype=output.dtype, device=output.device) - WINDOW // 2
    taps = torch.exp(-positions.square() / (2 * SIGMA**2))
    taps = taps / taps.sum()
    moments = torch.cat([a, b, a * a, b * b, a * b])
    for shape in ((1, 1, WINDOW, 1), (1, 1, 1, WINDOW)):
        moments = F.conv2d(moments, taps.view(shape))
    mean_a, mean_b, square_a, square_b, product = moments.chunk(5)
    variances = square_a - mean_a**2 + square_b - mean_b**2
    luminance = (2 * mean_a * mean_b + STABILIZER_1) / (mean_a**2 + mean_b**2 + STABILIZER_1)
    structure = (2 * (product - mean_a * mean_b) + STABILIZER_2) / (variances + STABILIZER_2)
    return 1 - (luminance * structure).mean()
