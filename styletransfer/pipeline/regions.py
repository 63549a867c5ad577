"""Regions of a picture: each is given the statistics and the patches of a style of its own.

A region has a share of every pixel, 0..1, and the shares of all regions add up to 1. At every level its
features are measured with these shares as weights, and the maps that give it the statistics of its style are
mixed by them. So borders are as soft as the masks, and the network decodes one picture, not several that are
blended when they are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..linalg import Statistics, merge_statistics
from ..linalg.device_placement import limit_threads
from ..model import StyleStatistics
from ..options import StylizeOptions
from ..transfer import TransferTarget, blend_statistics
from ..transfer.color_curves import blend_quantiles
from ..transfer.content_moments import ContentMoments
from ..transfer.patch_matching import PatchBank
from .resampling import WHITE, average_blocks, white_level

# Statistics of every level: the picture, then the features of every scale, finest first.
Levels = Sequence[Statistics]
# Matrix [C, C] and offset [C] of y = matrix @ x + offset.
AffineMap = tuple[Tensor, Tensor]
# A region of fewer pixels than this, per channel, borrows statistics from the whole picture. A covariance of
# as many samples as channels is singular, and one of four times as many is within a factor of two.
SAMPLES_PER_CHANNEL = 4


class RegionStyle(NamedTuple):
    """What a region, or a whole picture, is given.

    Attributes:
        target: The statistics to reach, or a function that returns them for those of the region itself and
            the quantiles of its colors.
        bank: Patches of the style, which are matched where the network does that; None matches none.
        match: Factors for the strength of matching, 0..1, one per scale, finest first; None for 1.
        keeps_pixels: Whether the caller puts the region's own pixels into the result.
    """

    target: TransferTarget | Callable[[Levels, Tensor | None], TransferTarget]
    bank: PatchBank | None = None
    match: Sequence[float] | None = None
    keeps_pixels: bool = False

    @property
    def matches(self) -> bool:
        """Whether patches are matched at any scale."""
        return self.bank is not None and (self.match is None or any(self.match))

    def match_factor(self, scale: int) -> float:
        """Return the factor for the strength of matching at a scale."""
        return 1.0 if self.match is None else self.match[scale]


def find_region_style(
    style: StyleStatistics | None,
    options: StylizeOptions,
    scales: int,
    find_target: Callable[[StyleStatistics, str], TransferTarget],
) -> RegionStyle:
    """Return what a region is given; None keeps its pixels, and its features for those beside it.

    Args:
        style: Statistics of the region's style.
        options: How strongly it is given.
        scales: Number of scales of the network.
        find_target: Returns the target of a style for a transform.
    """
    if style is None:
        return RegionStyle(lambda own, _: TransferTarget(own, options.transform), keeps_pixels=True)
    alphas = options.level_alphas(scales)
    strength = options.match
    if strength is None:
        strength = 0.0 if style.bank is None else style.bank.strength
    # Towards the content itself the patches fade out.
    match = [strength * alpha for alpha in alphas[1:]]
    if min(alphas) == 1:
        return RegionStyle(find_target(style, options.transform), style.bank, match)

    def blend(own: Levels, quantiles: Tensor | None) -> TransferTarget:
        levels = [
            blend_statistics([[content], [target]], [1 - alpha, alpha])[0]
            for content, target, alpha in zip(own, style.levels, alphas, strict=True)
        ]
        colors = blend_quantiles([quantiles, style.colors], [1 - alphas[0], alphas[0]])
        return TransferTarget(levels, options.transform, colors)

    return RegionStyle(blend, style.bank, match)


def find_targets(styles: Sequence[RegionStyle], moments: ContentMoments) -> list[TransferTarget]:
    """Return the target of every region, for a content whose moments are known at the levels it needs."""
    own: Iterator[Levels] = zip(*moments.levels, strict=True)
    quantiles: Sequence[Tensor | None] = moments.quantiles or [None] * len(styles)
    return [
        style.target if isinstance(style.target, TransferTarget) else style.target(region, colors)
        for style, region, colors in zip(styles, own, quantiles, strict=True)
    ]


class RegionWeights:
    """Weights of the pixels for every region, at the scales of the network.

    Args:
        samples: [R, H, W], uint8, uint16 or float in 0..1.
        device: Device on which rows are needed.
    """

    def __init__(self, samples: Tensor, device: torch.device) -> None:
        self.samples, self.regions, self.device = samples, len(samples), device
        self._scales = [samples]
        self._columns: dict[int, list[slice]] = {}

    def rows(self, scale: int, start: int, stop: int) -> Tensor:
        """Return rows of the weights at a scale, [R, stop - start, W], float32 in 0..1."""
        samples = self._find(scale)
        return samples[:, start:stop].to(self.device).float() / white_level(samples)

    def parts(self, scale: int, start: int, stop: int) -> Iterator[tuple[int, slice, slice, Tensor]]:
        """Find the regions in some rows.

        Args:
            scale: Scale of the rows.
            start: The first row.
            stop: The row behind the last one.

        Yields:
            For every region in these rows its index; its first to its last row, counted from `start`; its
            first to its last column in the whole picture, so that they are the same in every strip; and its
            weights there, [h, w], float32 in 0..1.
        """
        if scale not in self._columns:
            self._columns[scale] = [find_extent((region != 0).any(0)) for region in self._find(scale)]
        for index, weights in enumerate(self.rows(scale, start, stop)):
            columns = self._columns[scale][index]
            rows = find_extent((weights != 0).any(1))
            if rows.stop:
                yield index, rows, columns, weights[rows, columns]

    def _find(self, scale: int) -> Tensor:
        """Return the weights of a scale, averaged as often as the scale was halved."""
        while len(self._scales) <= scale:
            self._scales.append(average_blocks(self._scales[-1], 2))
        return self._scales[scale]


class PixelWeights(NamedTuple):
    """How pixels count.

    Attributes:
        statistics: Weights of the pixels in the statistics of every region; None if all count.
        shares: Shares of the regions in every pixel, which add up to 1; None for a single region.
    """

    statistics: RegionWeights | None = None
    shares: RegionWeights | None = None

    @classmethod
    def of(cls, shares: Tensor | None, alpha: Tensor | None, device: torch.device) -> PixelWeights:
        """Return how pixels count.

        Args:
            shares: Shares of the regions, [R, H, W]; None for a single region.
            alpha: Opacity of the pixels, [1, H, W]; None if all are opaque.
            device: Device of the features.
        """
        if shares is None:
            return cls(None if alpha is None else RegionWeights(alpha, device))
        weights = RegionWeights(shares, device)
        if alpha is None:
            return cls(weights, weights)
        visible = shares.float().mul_(WHITE / white_level(shares)).mul_(alpha.float() / white_level(alpha))
        return cls(RegionWeights(visible.round_().to(torch.uint8), device), weights)


NO_WEIGHTS = PixelWeights()


def mix_maps(
    rows: Tensor,
    maps: Sequence[AffineMap],
    shares: RegionWeights | None,
    scale: int,
    start: int,
    out: Tensor | None = None,
) -> Tensor:
    """Apply the map of each region to rows of features and mix the results by the regions' shares.

    Args:
        rows: [h, W, C], float32.
        maps: One map per region, float32.
        shares: Shares of the regions; None for a single region.
        scale: Scale of the features.
        start: Index of the first row.
        out: Where the result is written, float32; None for new memory.

    Returns:
        [h, W, C], float32.
    """
    if shares is None:
        return map_rows(rows, *maps[0])
    mixed = torch.zeros_like(rows) if out is None else out.zero_()
    for region, inside, columns, share in shares.parts(scale, start, start + len(rows)):
        part = map_rows(rows[inside, columns], *maps[region])
        mixed[inside, columns].addcmul_(part, share.unsqueeze(2))
    return mixed


def find_extent(present: Tensor) -> slice:
    """Return the slice from the first to the last true value of a vector; an empty one if there is none."""
    inside = present.nonzero()
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def map_rows(rows: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Map every pixel of rows [h, W, C] to matrix @ x + offset."""
    # A product for every row: with other numbers of rows it would round differently.
    with limit_threads(rows, len(rows)):
        return torch.baddbmm(offset, rows, matrix.T.expand(len(rows), -1, -1))


def borrow_statistics(regions: Sequence[Statistics]) -> list[Statistics]:
    """Complete the statistics of small regions by those of the whole picture.

    Args:
        regions: Statistics of every region, batch 1.

    Returns:
        The same for regions with at least `SAMPLES_PER_CHANNEL` pixels per channel, by the sum of their
        weights. For smaller ones, mean and covariance move towards those of all regions together, in
        proportion to what is missing; a region of no weight gets the latter. All are finite.
    """
    if len(regions) == 1:
        return list(regions)
    present = [region for region in regions if float(region.count) > 0]
    whole = merge_statistics(*present)
    return [complete_statistics(region, whole) for region in regions]


def find_missing_share(region: Statistics) -> float:
    """Return the share, 0..1, of the pixels that a region lacks for statistics of its own."""
    return max(0.0, 1 - float(region.count) / (SAMPLES_PER_CHANNEL * region.mean.shape[-1]))


def complete_statistics(region: Statistics, whole: Statistics) -> Statistics:
    """Move the statistics of a region towards those of a whole as far as it has too few pixels."""
    missing = find_missing_share(region)
    if missing <= 0:
        return region
    if missing >= 1:
        return whole._replace(count=region.count)
    return region._replace(
        mean=torch.lerp(region.mean, whole.mean, missing),
        covariance=torch.lerp(region.covariance, whole.covariance, missing),
    )


def select_regions(
    styles: StyleStatistics | Sequence[StyleStatistics], masks: Tensor | None, *, keeps_outside: bool
) -> tuple[list[StyleStatistics | None], Tensor | None]:
    """Find the regions that a picture has.

    Args:
        styles: One style, or one per mask.
        masks: Where each style is painted, [S, H, W], uint8; None for everywhere.
        keeps_outside: Whether what no mask covers is kept. Otherwise it belongs to the first region.

    Returns:
        The style of every region that has pixels, with None for the one that is kept, which is the last; and
        the regions' shares in every pixel, None for a single region.
    """
    regions: list[StyleStatistics | None]
    regions = [styles] if isinstance(styles, StyleStatistics) else list(styles)
    if masks is None:
        return regions, None
    shares = build_shares(masks, outside=keeps_outside)
    regions = [*regions, None] if keeps_outside else regions
    present = [index for index, share in enumerate(shares) if share.any()]
    return [regions[index] for index in present], None if len(present) == 1 else shares[present]


def build_shares(masks: Tensor, *, outside: bool) -> Tensor:
    """Turn masks into shares that add up to white in every pixel.

    Args:
        masks: [S, H, W], uint8. Where they add up to more than white they are scaled down.
        outside: Whether what no mask covers is a region of its own, the last one. Otherwise it is added to
            the first region.

    Returns:
        [S + 1, H, W] or [S, H, W], uint8.
    """
    height, width = masks.shape[1:]
    shares = masks.new_empty(len(masks) + outside, height, width)
    for top in range(0, height, max(1, 2**20 // width)):  # in strips, because floats take four times as much
        rows = slice(top, min(top + max(1, 2**20 // width), height))
        covered = masks[:, rows].to(torch.int32).cumsum(0)
        scale = WHITE / covered[-1:].clamp_min(WHITE)
        # Differences of rounded sums add up exactly.
        edges = (covered * scale).round().to(torch.int32)
        edges = torch.cat([torch.zeros_like(edges[:1]), edges])
        strip = edges.diff(dim=0)
        rest = WHITE - edges[-1]
        if outside:
            strip = torch.cat([strip, rest[None]])
        else:
            strip[0] += rest
        shares[:, rows] = strip.to(torch.uint8)
    return shares


def sample_weights(scale: int, weights: Tensor, most: int) -> Tensor:
    """Return the weights of pixels in the middle of positions that are spread evenly over a scale.

    Args:
        scale: The scale.
        weights: Weights [R, H, W], uint8, uint16 or float in 0..1.
        most: Largest number of positions.

    Returns:
        [R, M] in 0..1.
    """
    cell = 1 << scale
    height, width = weights.shape[1:]
    spread = spread_positions(-(-height // cell), -(-width // cell), most)
    rows, columns = (
        (positions * cell + cell // 2).clamp(max=length - 1)
        for positions, length in zip(spread, (height, width), strict=True)
    )
    return weights[:, rows][:, :, columns].flatten(1) / white_level(weights)


def spread_positions(height: int, width: int, most: int) -> tuple[Tensor, Tensor]:
    """Spread at most `most` positions evenly over a map and return their rows and columns."""
    share = min(1.0, (most / (height * width)) ** 0.5)
    rows = min(max(1, int(share * height)), most)
    columns = min(width, most // max(1, rows))
    return _spread(rows, height), _spread(columns, width)


def _spread(count: int, length: int) -> Tensor:
    return (torch.arange(count) + 0.5).mul(length / max(1, count)).long()
