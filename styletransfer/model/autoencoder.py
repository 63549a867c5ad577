"""The network: an encoder, a decoder, and a transfer of statistics at every scale.

The classic WCT chains five autoencoders. Here the content is encoded once. On the way up, the decoder adds
the encoder's features of each scale to its own and gives the sum the style's mean and covariance of that
scale before it convolves on. At the end the picture itself gets the mean and the covariance of the style's
colors. So the style enters at every scale, from coarse to fine, and in the colors, and detail of the content
reaches the output only after it has taken on the statistics of the style.

A level is anything whose statistics are transferred: level 0 is the picture, level l is the features of
scale l - 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WeightsError
from ..linalg import Statistics, compute_statistics
from ..transfer import transfer_features, whiten_features
from ..transfer.patch_matching import Matches, PatchBank, balance_use, cut_pieces, find_matches, paste_pieces

Pooling = Literal["average", "max"]
# Soft clipping begins this far from black and white: 5 of 255 levels.
KNEE = 0.02
# Fields that are missing in files of networks without matching.
MATCHING_FIELDS = {"key_widths", "match_strengths"}


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of an encoder and of the decoder that goes back up its scales.

    Attributes:
        widths: Channels at every scale, finest first. Each scale has half the height and width of the one
            before.
        convolutions: Number of 3x3 convolutions of the encoder at every scale.
        decoder_convolutions: Number of 3x3 convolutions of the decoder at every scale; None repeats the
            encoder's.
        pooling: How the encoder halves its features. Averages shift smoothly with the picture, which keeps
            video steady; "max" is for encoders with the weights of VGG-19.
        negative_slope: Slope of the leaky ReLUs below zero. With 0, most coarse channels die in training,
            because whitening removes their scale and with it the gradient that would keep them active.
        key_widths: Length of the keys by which patches are matched at every scale; 0 where a scale has none.
            Empty for a network without matching.
        match_strengths: Share of the matched patches at every scale, 0..1. A scale without keys takes the
            matches of the next coarser scale that has some.

    Raises:
        WeightsError: The numbers do not describe a network.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128, 64)
    convolutions: tuple[int, ...] = (2, 2, 2, 1, 1)
    pooling: Pooling = "average"
    decoder_convolutions: tuple[int, ...] | None = None
    negative_slope: float = 0.1
    key_widths: tuple[int, ...] = ()
    match_strengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        depths = (self.convolutions, self.decoder_depths)
        if not self.widths or any(len(depth) != len(self.widths) for depth in depths):
            counts = [len(depth) for depth in depths]
            raise WeightsError(f"architecture of {len(self.widths)} widths, {counts} depths")
        if min(*self.widths, *self.convolutions, *self.decoder_depths) < 1:
            raise WeightsError(f"architecture {self} has an empty scale")
        if self.pooling not in {"average", "max"}:
            raise WeightsError(f"architecture with unknown pooling {self.pooling!r}")
        if not 0 <= self.negative_slope <= 1:
            raise WeightsError(f"architecture with a negative slope of {self.negative_slope}")
        self._check_matching()

    def _check_matching(self) -> None:
        """Check that every matched scale has keys, its own or those of a coarser scale."""
        keys, strengths = self.key_widths, self.match_strengths
        matched = [scale for scale, strength in enumerate(strengths) if strength]
        has_keys = max(matched, default=-1) <= max(self.key_scales, default=-1)
        in_range = all(width >= 0 for width in keys) and all(0 <= strength <= 1 for strength in strengths)
        # Matches are handed on from scale to scale, so that none is left out up to the coarsest.
        coarsest = list(range(len(self.widths) - len(matched), len(self.widths)))
        fits = {len(keys), len(strengths)} == {len(self.widths)} and matched == coarsest
        if (keys or strengths) and not (has_keys and in_range and fits):
            raise WeightsError(f"architecture with keys {keys} for matching of strengths {strengths}")

    @property
    def decoder_depths(self) -> tuple[int, ...]:
        """Number of 3x3 convolutions of the decoder at every scale."""
        return self.convolutions if self.decoder_convolutions is None else self.decoder_convolutions

    def key_scale(self, scale: int) -> int | None:
        """Return the scale whose matches place the patches of a scale; None if it is not matched."""
        if not self.match_strengths or not self.match_strengths[scale]:
            return None
        return next(coarser for coarser in range(scale, len(self.widths)) if self.key_widths[coarser])

    @property
    def key_scales(self) -> list[int]:
        """The scales at which matches are chosen."""
        return [scale for scale, width in enumerate(self.key_widths) if width]

    @property
    def depth(self) -> int:
        """The deepest scale."""
        return len(self.widths) - 1

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the deepest features."""
        return 1 << self.depth

    def to_json(self) -> str:
        """Return the architecture as it is written in the header of a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what `to_json` wrote.

        Raises:
            WeightsError: The text does not describe an architecture of this program.
        """
        try:
            values: dict[str, Any] = {
                name: tuple(map(float if name == "match_strengths" else int, value))
                if isinstance(value, list)
                else value
                for name, value in json.loads(text).items()
            }
            names = {field.name for field in fields(cls)}
            if not names - MATCHING_FIELDS <= values.keys() <= names:
                raise ValueError("fields are missing or unknown")
            return cls(**values)
        except (AttributeError, TypeError, ValueError) as error:
            raise WeightsError(f"unknown architecture {text!r}", hint="update styletransfer") from error


class Encoder(nn.Module):
    """Turn pictures into features at every scale."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        # Sizes are rounded up and only existing pixels are pooled, so odd sizes need no padding.
        self.pool: nn.Module
        if architecture.pooling == "average":
            self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        else:
            self.pool = nn.MaxPool2d(2, ceil_mode=True)
        inputs = (3, *architecture.widths)
        self.scales = nn.ModuleList(
            build_convolutions([before, *[width] * depth], architecture.negative_slope)
            for before, width, depth in zip(
                inputs, architecture.widths, architecture.convolutions, strict=False
            )
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Encode pictures [B, 3, H, W] in 0..1.

        Returns:
            The pictures themselves, then the features [B, C_l, ceil(H / 2^l), ceil(W / 2^l)] of every scale,
            finest first.
        """
        levels = [pictures]
        for index, scale in enumerate(self.scales):
            levels.append(scale(self.pool(levels[-1]) if index else pictures))
        return levels


class Decoder(nn.Module):
    """Turn features back into pictures, with the style's statistics at every scale."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        outputs = (3, *architecture.widths[:-1])
        scales = [
            build_convolutions([*[width] * depth, after], architecture.negative_slope)
            for width, after, depth in zip(
                architecture.widths, outputs, architecture.decoder_depths, strict=True
            )
        ]
        scales[0] = scales[0][:-1]  # no activation on the picture itself
        # The color transfer replaces the mean in any case; gray keeps the numbers near those of a picture.
        nn.init.constant_(scales[0][-1].get_parameter("bias"), 0.5)
        self.scales = nn.ModuleList(scales)
        # Weight with which each encoder channel is added to the decoder's. The deepest scale adds none.
        self.skips = nn.ParameterList(
            nn.Parameter(torch.full((width, 1, 1), 0.5)) for width in architecture.widths[:-1]
        )
        # Lengths do not matter, because keys are compared by their angles.
        self.keys: nn.ModuleDict = nn.ModuleDict(
            {
                str(scale): nn.Conv2d(width, keys, 3, padding=1, padding_mode="replicate", bias=False)
                for scale, (width, keys) in enumerate(
                    zip(architecture.widths, architecture.key_widths, strict=False)
                )
                if keys
            }
        )
        self.architecture = architecture

    def forward(
        self,
        features: Sequence[Tensor],
        targets: Sequence[Statistics],
        transform: str = "wct",
        banks: Sequence[PatchBank] | None = None,
    ) -> Tensor:
        """Decode features.

        Args:
            features: Features of the content at every level, as the encoder returned them.
            targets: The statistics to reach at every level, the picture's first.
            transform: The map between the statistics, see `transfer.transfer_features`.
            banks: Patches of the style of each picture of the batch, from `collect_patches`; None transfers
                statistics only.

        Returns:
            Pictures [B, 3, H, W], near 0..1 but not clamped.
        """
        maps = features[-1]
        matches: dict[int, list[Matches]] = {}
        for level in range(len(self.scales), 0, -1):
            maps = self._merge(maps, features, level)
            if banks is not None:
                maps = self._match(maps, level - 1, banks, matches)
            maps = self.scales[level - 1](transfer_features(maps, targets[level], transform))
        return transfer_features(maps, targets[0], transform)

    def collect_patches(self, features: Sequence[Tensor], targets: Sequence[Statistics]) -> list[PatchBank]:
        """Collect the patches of styles: of what the decoder makes of a style in its own statistics.

        Args:
            features: Features of the styles at every level, as the encoder returned them.
            targets: Their statistics.

        Returns:
            One bank per picture of the batch.
        """
        pieces: list[dict[int, Tensor]] = [{} for _ in features[0]]
        maps = features[-1]
        for level in range(len(self.scales), 0, -1):
            scale = level - 1
            maps = self._merge(maps, features, level)
            key_scale = self.architecture.key_scale(scale)
            if key_scale is not None:
                white = whiten_features(maps).permute(0, 2, 3, 1)
                for each, found in zip(white, pieces, strict=True):
                    found[scale] = cut_pieces(each, 1 << (key_scale - scale))
            maps = self.scales[scale](transfer_features(maps, targets[level]))
        return [PatchBank.of(found, self.architecture.key_scales) for found in pieces]

    def find_keys(self, pieces: Tensor, scale: int) -> Tensor:
        """Compute the keys by which whitened patches are compared.

        Args:
            pieces: [M, 9 * C], see `transfer.patch_matching.cut_pieces`.
            scale: A scale that has keys.

        Returns:
            Unit vectors [M, D].
        """
        weight = self.key_weight(scale).permute(2, 3, 1, 0)  # [3, 3, C, D]
        return F.normalize(pieces @ weight.flatten(0, 2), dim=1)

    def key_weight(self, scale: int) -> Tensor:
        """Return the weight [D, C, 3, 3] of the convolution from whitened features to keys."""
        weight: Tensor = self.keys[str(scale)].get_parameter("weight")
        return weight

    def _merge(self, maps: Tensor, features: Sequence[Tensor], level: int) -> Tensor:
        """Upsample the decoder's maps and add the encoder's; the deepest scale has only the encoder's."""
        if level == len(self.scales):
            return maps
        height, width = features[level].shape[-2:]
        # Nearest-neighbor upsampling would show as blocks in flat sky, because whitening amplifies the coarse
        # scales.
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear")[..., :height, :width]
        return torch.add(maps, self.skips[level - 1] * features[level])

    def _match(
        self, maps: Tensor, scale: int, banks: Sequence[PatchBank], matches: dict[int, list[Matches]]
    ) -> Tensor:
        """Whiten maps and replace their patches by those of the styles, as far as a scale is matched.

        Args:
            maps: [B, C, H, W].
            scale: Their scale.
            banks: One per picture.
            matches: Matches of coarser scales; those of this scale are added.
        """
        key_scale = self.architecture.key_scale(scale)
        if key_scale is None:
            return maps
        with torch.autocast(maps.device.type, enabled=False):
            white = whiten_features(maps)
            if key_scale == scale:
                matches[scale] = []
                for each, bank in zip(white, banks, strict=True):
                    queries, keys = (
                        self.find_keys(pieces, scale)
                        for pieces in (cut_pieces(each.permute(1, 2, 0), 1), bank.pieces[scale])
                    )
                    bias = balance_use(queries, keys, bank.shares[scale].to(keys))
                    matches[scale].append(find_matches(queries, keys, bias))
            stride = 1 << (key_scale - scale)
            height, width = maps.shape[-2:]
            strength = self.architecture.match_strengths[scale]
            mixed = []
            for each, bank, found in zip(white, banks, matches[key_scale], strict=True):
                pasted, weight = paste_pieces(bank.pieces[scale], found, -(-width // stride), stride)
                pasted, weight = (part[:height, :width].permute(2, 0, 1) for part in (pasted, weight))
                mixed.append(each + strength * (pasted - weight * each))
            return torch.stack(mixed)


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
        self,
        features: Sequence[Tensor],
        targets: Sequence[Statistics],
        transform: str = "wct",
        banks: Sequence[PatchBank] | None = None,
    ) -> Tensor:
        """Decode features into pictures [B, 3, H, W] with the given statistics and patches."""
        pictures: Tensor = self.decoder(features, targets, transform, banks)
        return pictures

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Stylize content [B, 3, H, W] with style [B or 1, 3, H', W'], both in 0..1, at full strength."""
        features = self.encode(style)
        levels = measure_levels(features)
        banks = self.decoder.collect_patches(features, levels) * (len(content) // len(style))
        return self.decode(self.encode(content), levels, banks=banks)


def build_convolutions(widths: Sequence[int], negative_slope: float) -> nn.Sequential:
    """Chain 3x3 convolutions from width to width, each followed by a leaky ReLU.

    Borders are replicated. That is defined for every picture down to a single pixel, where reflection needs
    two, and it darkens no edge, as zeros would.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.get_parameter("bias"))
        layers += [convolution, nn.LeakyReLU(negative_slope, inplace=True)]
    return nn.Sequential(*layers)


def measure_levels(features: Sequence[Tensor]) -> tuple[Statistics, ...]:
    """Compute mean and covariance of the features [B, C, H, W] of every level."""
    return tuple(compute_statistics(level.flatten(2).float()) for level in features)


def soft_clip(pictures: Tensor, white: float = 1.0) -> Tensor:
    """Clip values softly to 0..white; values that are not near an end do not change.

    This is the toe and shoulder of a film's tone curve. A decoder ends in a convolution, whose results leave
    the range where an artwork is darkest and brightest, and hard clipping would lose the detail there.

    Args:
        pictures: Any shape, any values.
        white: The value of white.

    Returns:
        x between KNEE * white and (1 - KNEE) * white. Below it is the hyperbola KNEE^2 / (2 KNEE - x), which
        continues with the same slope and maps 0 to KNEE / 2; above it is the mirror image.
    """
    knee = KNEE * white
    # One of the two fractions is always `knee`, so there are no branches, and there is a gradient everywhere.
    low = knee**2 / (2 * knee - pictures).clamp_min(knee)
    high = knee**2 / (pictures - (white - 2 * knee)).clamp_min(knee)
    return pictures.clamp(knee, white - knee) + low - high
