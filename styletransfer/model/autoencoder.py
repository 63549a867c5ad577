"""The network: an encoder, a decoder, and a transfer of statistics at every scale.

The classic WCT chains five autoencoders. Here the content is encoded once. On the way up the decoder
adds the encoder's features of each scale to its own and gives the sum the style's mean and covariance
of that scale, before its convolutions paint on. At last the picture itself is given the mean and the
covariance of the style's colours. Style therefore enters at every scale, coarse to fine, and in the colours;
detail reaches the output only through the statistics of the style.

Levels count what has statistics: level 0 is the picture, level l the features of scale l - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg import Statistics, compute_statistics
from ..transfer import transfer_features
from .architecture import Architecture


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Build a 3x3 convolution that keeps height and width.

    Borders are replicated, which is defined for every picture down to a single pixel (reflection needs
    two) and, unlike zeros, darkens no edge.
    """
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


def convolutions(widths: Sequence[int], negative_slope: float) -> nn.Sequential:
    """Chain convolutions from width to width, each followed by a leaky ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [convolution(inputs, outputs), nn.LeakyReLU(negative_slope, inplace=True)]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Turn pictures into features at every scale."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        # Rounding up and averaging only what is there serves odd sizes without padding.
        self.pool: nn.Module
        if architecture.pooling == "average":
            self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        else:
            self.pool = nn.MaxPool2d(2, ceil_mode=True)
        inputs = (3, *architecture.widths)
        self.scales = nn.ModuleList(
            convolutions([before, *[width] * depth], architecture.negative_slope)
            for before, width, depth in zip(
                inputs, architecture.widths, architecture.convolutions, strict=False
            )
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Encode pictures [B, 3, H, W] in 0..1.

        Returns:
            The pictures themselves, and the features [B, C_l, ceil(H / 2^l), ceil(W / 2^l)] of every scale,
            finest first.
        """
        levels = [pictures]
        for index, scale in enumerate(self.scales):
            levels.append(scale(self.pool(levels[-1]) if index else pictures))
        return levels


class Decoder(nn.Module):
    """Turn features back into pictures, painting in the style's statistics at every scale."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        outputs = (3, *architecture.widths[:-1])
        scales = [
            convolutions([*[width] * depth, after], architecture.negative_slope)
            for width, after, depth in zip(
                architecture.widths, outputs, architecture.decoder_depths, strict=True
            )
        ]
        scales[0] = scales[0][:-1]  # no activation on the picture itself
        # Its mean will be the style's whatever it is before: grey keeps numbers near those of a picture.
        nn.init.constant_(scales[0][-1].get_parameter("bias"), 0.5)
        self.scales = nn.ModuleList(scales)
        # How much of each encoder channel joins the decoder's own; the deepest has nothing to join.
        self.skips = nn.ParameterList(
            nn.Parameter(torch.full((width, 1, 1), 0.5)) for width in architecture.widths[:-1]
        )

    def forward(
        self, features: Sequence[Tensor], targets: Sequence[Statistics], transform: str = "wct"
    ) -> Tensor:
        """Decode features.

        Args:
            features: Of the content at every level, as the encoder gave them.
            targets: The statistics to reach at every level, the picture's first.
            transform: The map between the statistics, see `transfer.maps`.

        Returns:
            [B, 3, H, W]; near 0..1, not clamped.
        """
        maps = features[-1]
        for level in range(len(self.scales), 0, -1):
            if level < len(self.scales):
                height, width = features[level].shape[-2:]
                # Repeated pixels would stand as blocks in flat sky: whitening makes the coarse scales strong.
                maps = F.interpolate(maps, scale_factor=2, mode="bilinear")[..., :height, :width]
                maps = maps + self.skips[level - 1] * features[level]
            maps = self.scales[level - 1](transfer_features(maps, targets[level], transform))
        return transfer_features(maps, targets[0], transform)


class Autoencoder(nn.Module):
    """Encoder and decoder with the transfer between them.

    Source: Li et al. 2017 (arXiv 1705.08086), universal style transfer by whitening and coloring.
    Differs: one autoencoder with the transfer at every scale of its decoder, trained end to end through
    the eigendecompositions, where the paper cascades five that are trained for reconstruction only.
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.encoder = Encoder(self.architecture)
        self.decoder = Decoder(self.architecture)

    def encode(self, pictures: Tensor) -> list[Tensor]:
        """Encode pictures [B, 3, H, W] in 0..1 into features of every level, the pictures first."""
        features: list[Tensor] = self.encoder(pictures)
        return features

    def decode(
        self, features: Sequence[Tensor], targets: Sequence[Statistics], transform: str = "wct"
    ) -> Tensor:
        """Decode features with the statistics to reach at every level into pictures [B, 3, H, W]."""
        pictures: Tensor = self.decoder(features, targets, transform)
        return pictures

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Stylize content [B, 3, H, W] by style [B or 1, 3, H', W'], both 0..1, fully."""
        return self.decode(self.encode(content), measure_levels(self.encode(style)))


def measure_levels(features: Sequence[Tensor]) -> tuple[Statistics, ...]:
    """Compute mean and covariance of the features [B, C, H, W] of every level."""
    return tuple(compute_statistics(level.flatten(2).float()) for level in features)
