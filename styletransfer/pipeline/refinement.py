"""Refine a stylized picture by optimization, so that its strokes and planes are those of the style.

The network knows a style by means and covariances, which cannot say which piece of paint belongs where. Here
every place of the picture is matched with a place of the style in the features of VGG-19, and the picture is
optimized until its features are those of the matched places, at several sizes, the smallest first.

Source: Kolkin et al. 2022 (arXiv 2203.13215), Neural Neighbor Style Transfer, hypercolumn matching with cosine
distances and a Laplacian pyramid as the parameters. Differs: starts from the network's result, which also
guides the matching; VGG-19 to relu3_4 only; moments of features and colors are part of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import compute_statistics, transfer_map, wasserstein_barycenter
from ..model import soft_clip
from ..model.vgg import VGG19
from ..transfer.losses import color_distance, content_distance, moments_distance

REFINE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
MOMENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
GRID_LAYER = "relu3_1"
# Long edges of the pictures that are optimized, coarse to fine. Up to COARSE_EDGE all iterations are spent and
# the deepest layer is matched; larger ones need fewer iterations, because they start nearer to their end.
EDGES = (128, 256, 512, 1024)
COARSE_EDGE = 256
ITERATION_SHARES = {128: 1.0, 256: 1.0, 512: 0.3, 1024: 0.2}
# Share of the network's own detail that is added when a result is enlarged to the next size.
DETAIL = 0.6
# Most places of the style that are candidates for a match, and places of the picture matched at a time.
STYLE_PLACES, BLOCK = 8192, 2048
LEVELS = 5  # of the Laplacian pyramid
LEVEL_RATES = (0.5, 0.8, 1.0, 1.0, 1.0)  # relative learning rates, finest level first
LEARNING_RATE, FINAL_RATE, WARMUP = 0.02, 0.03, 3
OCTAVES = 3
MATCH_WEIGHT, MOMENTS_WEIGHT, CONTENT_WEIGHT, COLOR_WEIGHT, RANGE_WEIGHT = 1.0, 0.5, 0.05, 1.0, 5.0


@dataclass(frozen=True)
class RefinementStep:
    """One size of the refinement.

    Attributes:
        content: [1, 3, H, W] in 0..1.
        stylized: The network's result at this size, [1, 3, H, W] in 0..1.
        styles: The styles at this size, each [1, 3, h, w] in 0..1.
    """

    content: Tensor
    stylized: Tensor
    styles: Sequence[Tensor]


def list_edges(edge: int) -> list[int]:
    """Return the long edges at which a picture of some long edge is refined, its own last."""
    return [*(each for each in EDGES if each < 0.75 * edge), min(edge, EDGES[-1])]


def count_iterations(edge: int, iterations: int) -> int:
    """Return how many iterations a size gets."""
    share = next(share for largest, share in ITERATION_SHARES.items() if edge <= largest)
    return max(1, round(share * iterations))


def refine(
    steps: Sequence[RefinementStep],
    style_weights: Sequence[float],
    network: VGG19,
    iterations: int,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Refine a stylized picture.

    Args:
        steps: The sizes, smallest first. The result has the size of the last one.
        style_weights: One per style, adding up to 1.
        network: VGG-19 that returns REFINE_LAYERS.
        iterations: Iterations at the coarse sizes.
        progress: Called after every iteration with the share of the work that is done, 0..1.

    Returns:
        [1, 3, H, W] in 0..1.
    """
    work = [count_iterations(max(s.content.shape[2:]), iterations) * s.content[0, 0].numel() for s in steps]
    done = 0.0
    picture, before = steps[0].stylized, steps[0].stylized
    for step, cost in zip(steps, work, strict=True):
        if step is not steps[0]:
            size = step.content.shape[2:]
            detail = step.stylized - resize(before, size)
            picture = resize(picture, size) + DETAIL * detail
        before = step.stylized
        total = count_iterations(max(step.content.shape[2:]), iterations)

        def report(iteration: int, start: float = done, cost: float = cost, total: int = total) -> None:
            if progress is not None:
                progress((start + cost * iteration / total) / sum(work))

        picture = _optimize(picture, step, style_weights, network, total, report)
        done += cost
    return soft_clip(_match_color_statistics(picture, steps[-1].styles, style_weights))


def resize(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """Resample pictures [B, 3, H, W] to a size (bicubic, antialiased)."""
    if tuple(pictures.shape[2:]) == tuple(size):
        return pictures
    return F.interpolate(pictures, tuple(size), mode="bicubic", antialias=True)


def _optimize(
    start: Tensor,
    step: RefinementStep,
    style_weights: Sequence[float],
    network: VGG19,
    iterations: int,
    report: Callable[[int], None],
) -> Tensor:
    """Optimize a picture of one size."""
    deep = max(start.shape[2:]) <= COARSE_EDGE
    layers = REFINE_LAYERS if deep else REFINE_LAYERS[:-1]
    with torch.no_grad():
        content = network(step.content)[GRID_LAYER]
        bank = build_bank([network(style) for style in step.styles], style_weights, layers)
        matched = bank.match(network((0.5 * step.stylized + 0.5 * start).clamp(0, 1)))
        moments = [[network(o) for o in _octaves(style)] for style in step.styles]
    pyramid = [level.clone().requires_grad_() for level in build_laplacian(start, LEVELS)]
    groups = [
        {"params": [level], "rate": LEARNING_RATE * rate}
        for level, rate in zip(pyramid, LEVEL_RATES, strict=False)
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    for iteration in range(iterations):
        factor = schedule_rate(iteration, iterations)
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        raw = collapse_laplacian(pyramid)
        picture = soft_clip(raw)
        octaves = [network(octave) for octave in _octaves(picture)]
        loss = MATCH_WEIGHT * bank.distance(octaves[0], matched)
        for weight, styles in zip(style_weights, moments, strict=True):
            terms = [
                moments_distance(a[layer].flatten(2), b[layer].flatten(2))
                for a, b in zip(octaves, styles, strict=False)
                for layer in MOMENT_LAYERS
            ]
            loss = loss + MOMENTS_WEIGHT * weight * torch.stack(terms).mean()
        for weight, style in zip(style_weights, step.styles, strict=True):
            loss = loss + COLOR_WEIGHT * weight * color_distance(picture, style)
        loss = loss + CONTENT_WEIGHT * content_distance(octaves[0][GRID_LAYER], content)
        loss = loss + RANGE_WEIGHT * ((raw - 0.5).abs() - 0.5).relu().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        report(iteration + 1)
    return collapse_laplacian([level.detach() for level in pyramid])


def _octaves(pictures: Tensor) -> list[Tensor]:
    """Halve pictures while both sides keep at least 32 pixels, at most OCTAVES - 1 times."""
    octaves = [pictures]
    while len(octaves) < OCTAVES and min(octaves[-1].shape[2:]) >= 64:
        octaves.append(F.avg_pool2d(octaves[-1], 2))
    return octaves


def schedule_rate(iteration: int, iterations: int) -> float:
    """Return the learning rate relative to its highest: a linear warm-up, then a cosine."""
    if iteration < WARMUP:
        return (iteration + 1) / (WARMUP + 1)
    done = (iteration - WARMUP) / max(1, iterations - WARMUP)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))


class StyleBank:
    """Hypercolumns of styles: at every place of the grid of relu3_1, the features of several layers.

    Args:
        columns: Normalized hypercolumns of all styles, [places, C].
        scales: Factor per channel that gives every layer the same weight, [C, 1].
        layers: Names of the layers.
    """

    def __init__(self, columns: Tensor, scales: Mapping[str, float], layers: Sequence[str]) -> None:
        self.columns, self.scales, self.layers = columns, scales, layers

    def hypercolumns(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return normalized hypercolumns [places, C] of a picture's features."""
        size = features[GRID_LAYER].shape[2:]
        parts = [F.adaptive_avg_pool2d(features[n], size) * self.scales[n] for n in self.layers]
        return F.normalize(torch.cat(parts, 1)[0].flatten(1).T, dim=1)

    def match(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the hypercolumn of the style that is nearest to each place of a picture, [places, C]."""
        queries = self.hypercolumns(features)
        nearest = [(block @ self.columns.T).argmax(1) for block in queries.split(BLOCK)]
        return self.columns[torch.cat(nearest)]

    def distance(self, features: Mapping[str, Tensor], matched: Tensor) -> Tensor:
        """Return the mean cosine distance of a picture's hypercolumns to their matches."""
        return 1 - (self.hypercolumns(features) * matched).sum(1).mean()


def build_bank(
    styles: Sequence[Mapping[str, Tensor]], weights: Sequence[float], layers: Sequence[str]
) -> StyleBank:
    """Build the bank of one or several styles, which share its places in proportion to their weights."""
    scales = {}
    for name in layers:
        power = sum(w * style[name].square().mean() for style, w in zip(styles, weights, strict=True))
        scales[name] = float(1 / (torch.as_tensor(power) * styles[0][name].shape[1]).sqrt())
    empty = StyleBank(torch.empty(0), scales, layers)
    columns = []
    for style, weight in zip(styles, weights, strict=True):
        each = empty.hypercolumns(style)
        keep = min(len(each), max(1, round(weight * STYLE_PLACES)))
        order = torch.randperm(len(each), generator=torch.Generator().manual_seed(0))[:keep]
        columns.append(each[order.sort().values.to(each.device)])
    return StyleBank(torch.cat(columns), scales, layers)


def build_laplacian(pictures: Tensor, levels: int) -> list[Tensor]:
    """Return the Laplacian pyramid of pictures [B, 3, H, W], finest level first; its last level is a copy."""
    pyramid = []
    for _ in range(levels - 1):
        if min(pictures.shape[2:]) < 4:
            break
        small = F.avg_pool2d(pictures, 2, ceil_mode=True, count_include_pad=False)
        pyramid.append(pictures - _enlarge(small, pictures.shape[2:]))
        pictures = small
    return [*pyramid, pictures]


def collapse_laplacian(pyramid: Sequence[Tensor]) -> Tensor:
    """Return the pictures of a Laplacian pyramid."""
    pictures = pyramid[-1]
    for level in reversed(pyramid[:-1]):
        pictures = level + _enlarge(pictures, level.shape[2:])
    return pictures


def _enlarge(pictures: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(pictures, tuple(size), mode="bilinear", align_corners=False)


def _match_color_statistics(picture: Tensor, styles: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Give a picture the mean and the covariance of the styles' colors by optimal transport."""
    target = wasserstein_barycenter([compute_statistics(style.flatten(2)) for style in styles], weights)
    matrix, offset = transfer_map(compute_statistics(picture.flatten(2)), target, eps=1e-5, method="monge")
    mapped = matrix.float() @ picture.flatten(2) + offset.float().unsqueeze(-1)
    return mapped.view_as(picture)
