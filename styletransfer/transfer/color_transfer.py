"""Give a picture the colors of another: affine maps between Gaussians, and tables beyond them.

A color grade is a map of colors alone, so that it knows no texture. The Gaussian map matches mean and
covariance. Beyond it, the whole distribution of the colors is moved towards the style's along sliced optimal
transport, one direction of color space at a time, while the map stays a smooth table with bounded slopes:
what belongs together in the content stays together, and neither noise nor the steps of a gradient are
enlarged much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..linalg import Statistics, compute_statistics, transfer_map, wasserstein_barycenter
from .color_lut import apply_lut, bound_slopes, fit_lut, identity_lut

# Bins along each channel of the histogram that stands for the colors of a picture. Every bin keeps the mean
# of its colors, so that nothing is rounded to its center.
BINS = 32
# Largest change of an output relative to the input. A gradient that rises by one level then rises by at most
# two after dithering, and noise is enlarged by no more than this. docs/colors.md has a table of other values.
LARGEST_SLOPE = 2.0
# Weight of the second derivatives of the table.
SMOOTHNESS = 1e-5
ROUNDS = 14  # of a step along the sliced transport and a fit of the table to it
BASES_PER_ROUND = 2  # orthogonal bases, three directions each
FIT_STEPS = 15
SLOPE_SWEEPS, FINAL_SLOPE_SWEEPS = 8, 100
# Values up to this distance from black and white, and this share of the largest chroma that fits between
# them, are not changed where colors are brought back into the range.
LUMA_MARGIN, CHROMA_KNEE = 0.05, 0.8
# Standard deviation below which a direction of color counts as absent, a quarter of a level of 8 bits.
LEAST_DEVIATION = 0.001
LUMA = (0.299, 0.587, 0.114)  # Rec. 601, of gamma-encoded R'G'B'


class ColorDistribution(NamedTuple):
    """The colors of a picture and how often they occur.

    Attributes:
        colors: RGB in 0..1, [M, 3], float32.
        weights: Shares of the picture, [M], float64; they add up to 1.
    """

    colors: Tensor
    weights: Tensor

    def compute_statistics(self) -> Statistics:
        """Return mean [1, 3] and covariance [1, 3, 3] of the colors, float64."""
        return compute_statistics(self.colors.double().mT[None], self.weights[None])


class ColorHistogram:
    """Collects the colors of a picture part by part, in bounded memory."""

    def __init__(self) -> None:
        self._counts = torch.zeros(BINS**3, dtype=torch.float64)
        self._sums = torch.zeros(BINS**3, 3, dtype=torch.float64)

    def add(self, colors: Tensor, weights: Tensor | None = None) -> None:
        """Add colors.

        Args:
            colors: RGB in 0..1, [M, 3].
            weights: How much each color counts, [M], at least 0; None counts all alike.
        """
        cells = (colors * BINS).long().clamp_(0, BINS - 1)
        index = (cells[:, 0] * BINS + cells[:, 1]) * BINS + cells[:, 2]
        exact = colors.double()
        counts = exact.new_ones(len(exact)) if weights is None else weights.double()
        self._counts += torch.bincount(index, counts, BINS**3)
        for channel in range(3):
            self._sums[:, channel] += torch.bincount(index, exact[:, channel] * counts, BINS**3)

    def summarize(self) -> ColorDistribution | None:
        """Return the distribution of the colors; None if none of them counts."""
        present = self._counts > 0
        counts = self._counts[present]
        if not len(counts):
            return None
        return ColorDistribution((self._sums[present] / counts[:, None]).float(), counts / counts.sum())


def gaussian_color_map(
    content: Statistics, style: Statistics, largest_slope: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the optimal transport map y = matrix @ x + offset between Gaussians of colors.

    Args:
        content: Mean [1, 3] and covariance [1, 3, 3] of the colors to be mapped.
        style: Mean and covariance to reach.
        largest_slope: Largest eigenvalue of the matrix. Where the content hardly varies, as in the chroma of
            a gray photograph, the map would turn its noise into color. None sets no bound.

    Returns:
        Symmetric matrix [3, 3] and offset [3], float64.

    Source: Pitié & Kokaram 2007 (CVMP), linear Monge-Kantorovitch color mapping. Differs: bounded slopes.
    """
    matrix = transfer_map(content, style, method="monge")[0][0]
    if largest_slope is not None:
        eigenvalues, vectors = torch.linalg.eigh(matrix)
        matrix = vectors * eigenvalues.clamp(0, largest_slope) @ vectors.mT
    return matrix, style.mean[0] - matrix @ content.mean[0]


def compress_gamut(colors: Tensor) -> Tensor:
    """Bring colors into 0..1 without hard edges and without turning their hue.

    The luma is moved inside first, with all three channels. Then the chroma is reduced where a channel comes
    near its end or lies beyond. Both are smooth and increasing, so that colors that differ still do.

    Args:
        colors: RGB, [M, 3], any finite values.

    Returns:
        [M, 3] in 0..1. Colors well inside do not change.
    """
    weights = torch.tensor(LUMA, dtype=colors.dtype, device=colors.device)
    luma = (colors * weights).sum(1, keepdim=True)
    chroma = colors - luma
    # Hyperbolas beyond the margins, with the same slope where they begin.
    low = LUMA_MARGIN**2 / (2 * LUMA_MARGIN - luma).clamp_min(LUMA_MARGIN)
    high = LUMA_MARGIN**2 / (luma - (1 - 2 * LUMA_MARGIN)).clamp_min(LUMA_MARGIN)
    luma = luma.clamp(LUMA_MARGIN, 1 - LUMA_MARGIN) + low - high
    room = torch.where(chroma > 0, 1 - luma, luma)
    reach = (chroma.abs() / room).amax(1, keepdim=True)  # 1 where a channel just reaches its end
    width = 1 - CHROMA_KNEE
    beyond = (reach - CHROMA_KNEE).clamp_min(0)
    compressed = reach.clamp(max=CHROMA_KNEE) + width * beyond / (width + beyond)
    return (luma + chroma * (compressed / reach.clamp_min(1e-12))).clamp(0, 1)


def fit_color_lut(
    content: ColorDistribution, styles: Sequence[ColorDistribution], weights: Sequence[float]
) -> Tensor:
    """Fit the table that gives a content the colors of a style, or of a blend of styles.

    Args:
        content: Colors of the content.
        styles: Colors of one or more styles. The target of a blend is their barycenter, in which colors are
            mixed and do not stand side by side.
        weights: One number per style, at least 0 and not all 0; only their ratios matter.

    Returns:
        Table [33, 33, 33, 3], float32 in 0..1, indexed by red, green, blue; see `color_lut`.

    Source: Bonneel et al. 2015 (JMIV 51), sliced barycenters. Differs: after every step the displacements are
    fitted by a smooth table, which is what moves the colors; colors are weighted means of bins, each of which
    moves to the mean of its share of the style.
    """
    shares = [weight / sum(weights) for weight in weights]
    used = [(style, share) for style, share in zip(styles, shares, strict=True) if share > 0]
    center = wasserstein_barycenter([style.compute_statistics() for style, _ in used], [s for _, s in used])
    matrix, offset = gaussian_color_map(content.compute_statistics(), center, LARGEST_SLOPE)
    lut = identity_lut() @ matrix.float().mT + offset.float()
    generator = torch.Generator().manual_seed(0)
    for _ in range(ROUNDS):
        moved = apply_lut(lut, content.colors).clamp_(0, 1)
        displacement = torch.zeros_like(moved)
        for _ in range(BASES_PER_ROUND):
            basis = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
            for direction in basis.mT:
                for style, share in used:
                    moves = _transport_along(direction, moved, content.weights, style)
                    displacement += share * torch.outer(moves, direction)
        targets = moved + displacement / BASES_PER_ROUND
        lut = fit_lut(
            lut, content.colors, content.weights.float(), targets, smoothness=SMOOTHNESS, steps=FIT_STEPS
        )
        lut = bound_slopes(lut, LARGEST_SLOPE, SLOPE_SWEEPS)
    lut = _project_onto_span(lut, center)
    return bound_slopes(lut.clamp_(0, 1), LARGEST_SLOPE, FINAL_SLOPE_SWEEPS)


def _project_onto_span(lut: Tensor, style: Statistics) -> Tensor:
    """Return a table without the directions of color in which the style has none; gray gives gray."""
    eigenvalues, vectors = torch.linalg.eigh(style.covariance[0])
    kept = vectors[:, eigenvalues > LEAST_DEVIATION**2]
    mean = style.mean[0].float()
    projected: Tensor = mean + (lut - mean) @ (kept @ kept.mT).float()
    return projected


def _transport_along(direction: Tensor, colors: Tensor, weights: Tensor, style: ColorDistribution) -> Tensor:
    """Return how far each color has to move along a direction to match the style's distribution there, [M].

    A color takes an interval of the quantiles as long as its weight, and moves to the mean of the style's
    values in this interval.
    """
    position = colors @ direction
    order = position.argsort()
    values, style_order = (style.colors @ direction).double().sort()
    sizes = style.weights[style_order]
    ends = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    integral = torch.cat([sizes.new_zeros(1), (sizes * values).cumsum(0)])  # of the quantile function
    bounds = torch.cat([weights.new_zeros(1), weights[order].cumsum(0)]).clamp_(max=float(ends[-1]))
    right = torch.searchsorted(ends, bounds).clamp_(1, len(values))
    sums = integral[right - 1] + (bounds - ends[right - 1]) * values[right - 1]
    means = sums.diff() / bounds.diff().clamp_min(1e-15)
    # Rounding of the sums must not carry the mean of a tiny interval out of the style's range.
    means = torch.minimum(torch.maximum(means, values[0]), values[-1])
    moves = torch.zeros_like(position)
    moves[order] = means.to(position.dtype) - position[order]
    return moves
