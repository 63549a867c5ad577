"""What a network has to know of a content to stylize it, and its mean over several contents.

Frames of a scene that share these moments are given the same maps, so that something that comes into the
picture does not change the colors and strokes of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..linalg import Statistics


@dataclass(frozen=True, eq=False)
class ContentMoments:
    """Moments of one content, for every region of it.

    Attributes:
        levels: Statistics of the encoder's features: for every level, the picture's first, or for the deepest
            alone, one for each region.
        found: Statistics that the passes have measured in their order, the deepest level's first and the
            output's colors last, one for each region.
        biases: For each scale at which matches are chosen, the bias [M] of the patches of every region's
            style; None for a region that matches none. See `transfer.patch_matching.balance_use`.
        colors: For every region the distribution of its colors once they have mean and covariance of its
            style, see `transfer.color_curves.measure_distribution`.
        quantiles: For every region those of its own colors, where `levels` has all levels; empty otherwise.
    """

    levels: list[list[Statistics]]
    found: list[list[Statistics]]
    biases: dict[int, list[Tensor | None]] = field(default_factory=dict)
    colors: list[Tensor] = field(default_factory=list)
    quantiles: list[Tensor] = field(default_factory=list)

    @classmethod
    def mean(
        cls,
        parts: Sequence[ContentMoments],
        weights: Sequence[float],
        bias_weights: Sequence[float] | None = None,
    ) -> ContentMoments:
        """Return the weighted mean over contents with the same regions; that of equals is equal to the bit.

        Args:
            parts: The moments, at least one.
            weights: One positive number per content; only their ratios matter.
            bias_weights: The weights of the biases, 0 for contents that were given other patches. If all are
                0, the mean has no biases. None for the same weights.
        """
        levels, found = (
            [
                [merge_moments(region, weights) for region in zip(*level, strict=True)]
                for level in zip(*each, strict=True)
            ]
            for each in ([part.levels for part in parts], [part.found for part in parts])
        )
        bias_weights = weights if bias_weights is None else bias_weights
        known = [
            (part.biases, weight) for part, weight in zip(parts, bias_weights, strict=True) if weight > 0
        ]
        biases: dict[int, list[Tensor | None]] = {}
        for scale in known[0][0] if known else ():
            regions = zip(*(part[scale] for part, _ in known), strict=True)
            biases[scale] = [_mean_biases(region, [weight for _, weight in known]) for region in regions]
        colors, quantiles = (
            [_mean(region, weights) for region in zip(*each, strict=True)]
            for each in ([part.colors for part in parts], [part.quantiles for part in parts])
        )
        return cls(levels, found, biases, colors, quantiles)


class MomentsRecord:
    """The moments of one picture, which may be stylized in two sizes: those of the copy come first.

    Args:
        given: Moments to use instead of those of the picture; None to measure it.
        measures_only: Whether the moments are wanted and not the result.

    Attributes:
        measured: What was measured.
    """

    def __init__(self, given: Iterable[ContentMoments] | None = None, *, measures_only: bool = False) -> None:
        self.given: Iterator[ContentMoments] | None = None if given is None else iter(given)
        self.measures_only = measures_only
        self.measured: list[ContentMoments] = []

    def of_copy(self) -> MomentsRecord:
        """Return the same record for the copy that is stylized first, whose result is always wanted."""
        record = MomentsRecord(self.given)
        record.measured = self.measured
        return record


def merge_moments(parts: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Return the statistics of a mixture of contents.

    Args:
        parts: Statistics of each content.
        weights: Their weights, which are multiplied by the counts unless all of these are 0.

    Returns:
        Mean and covariance of the mixture, and the weighted mean of the counts. Written as deviations from
        the first content, so that the mixture of equals is equal to the bit, whatever the weights.
    """
    shares = torch.tensor(weights, dtype=torch.float64)
    counts = torch.stack([part.count.double().mean() for part in parts])
    shares = shares / shares.sum()
    count = parts[0].count + sum(
        float(share) * (part.count - parts[0].count) for share, part in zip(shares, parts, strict=True)
    )
    if counts.any():
        shares = shares * counts / (shares * counts).sum()
    first = parts[0]
    mean, covariance = first.mean.clone(), first.covariance.clone()
    for share, part in zip(shares.tolist(), parts, strict=True):
        mean += share * (part.mean - first.mean)
        covariance += share * (part.covariance - first.covariance)
    for share, part in zip(shares.tolist(), parts, strict=True):
        deviation = part.mean - mean
        covariance += share * deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
    return Statistics(mean, covariance, count)


def _mean_biases(parts: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return _mean(known, weights) if known else None


def _mean(parts: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted mean of tensors; that of equals is equal to the bit."""
    mean, total = parts[0].clone(), sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        mean += weight / total * (part - parts[0])
    return mean
