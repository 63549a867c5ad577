"""Refine a stylized picture by optimization, so that its strokes and planes are those of the style.

The network knows a style by means and covariances, which cannot say which piece of paint belongs where. Here
every place of the picture is matched with a place of the style in the features of VGG-19, and the picture is
optimized until its features are those of the matched places, at several sizes, the smallest first.

Source: Kolkin et al. 2022 (arXiv 2203.13215), Neural Neighbor Style Transfer: hypercolumns matched by cosine
distance, and a Laplacian pyramid as the parameters. Differs: starts from the network's result, which also
guides the matching; VGG-19 to relu3_4 only; moments of features and colors are part of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .linalg import Statistics, compute_statistics, wasserstein_barycenter
from .model import soft_clip
from .model.vgg import VGG19
from .transfer import TransferTarget
from .transfer.losses import color_distance, content_distance, moments_distance

REFINE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
MOMENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
GRID_LAYER = "relu3_1"
# Long edges of the pictures that are optimized, coarse to fine; one of at most LAST_EDGE pixels comes last.
# Up to COARSE_EDGE all iterations are spent and the deepest layer is matched. Larger pictures start nearer to
# their end and get FINE_SHARE of the iterations.
EDGES, LAST_EDGE = (128, 256, 512), 768
COARSE_EDGE, FINE_SHARE = 256, 0.3
# Memory that the last picture takes at most, in bytes and in bytes per pixel, as measured.
BYTES, BYTES_PER_PIXEL = 2**26, 5500
# Share of the network's own detail that is added when a result is enlarged to the next size.
DETAIL = 0.6
# Most places of the style that are candidates for a match, and places of the picture matched at a time.
STYLE_PLACES, BLOCK = 8192, 2048
LEVELS = 5  # of the Laplacian pyramid
LEVEL_RATES = (0.5, 0.8, 1.0, 1.0, 1.0)  # relative learning rates, finest level first
LEARNING_RATE, FINAL_RATE, WARMUP = 0.02, 0.03, 3
OCTAVES = 3
MATCH_WEIGHT, MOMENTS_WEIGHT, CONTENT_WEIGHT, COLOR_WEIGHT, RANGE_WEIGHT = 1.0, 0.5, 0.06, 1.0, 5.0
# Number of times that places are matched at each size: first those of a guide, then those of the picture.
MATCHES = 4


class PerceptualNetwork:
    """VGG-19 in one precision, with its features in float32.

    Args:
        network: VGG-19 that returns REFINE_LAYERS.
        bfloat16: Whether the convolutions are computed in bfloat16, which takes about half of the time on
            processors that have it.
    """

    def __init__(self, network: VGG19, *, bfloat16: bool = False) -> None:
        self.network, self.bfloat16 = network, bfloat16
        self.device = next(network.parameters()).device

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of pictures [B, 3, H, W] in 0..1 by layer."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            features = self.network(pictures)
        return {name: feature.float() for name, feature in features.items()}


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


class Refiner:
    """Refines results of one style or blend.

    Args:
        styles: The styles at the size for which the network's strokes are right, each [1, 3, h, w] in 0..1.
        style_weights: One weight per style, adding up to 1.
        network: The perceptual network.
        iterations: Iterations at the coarse sizes.
        stylize: Stylizes a content [1, 3, H, W] with styles of any size, both in 0..1, at full strength.
    """

    def __init__(
        self,
        styles: Sequence[Tensor],
        style_weights: Sequence[float],
        network: PerceptualNetwork,
        iterations: int,
        stylize: Callable[[Tensor, Sequence[Tensor]], Tensor],
    ) -> None:
        self.styles, self.style_weights, self.network = styles, style_weights, network
        self.iterations, self.stylize = iterations, stylize

    def refine(self, content: Tensor, progress: Callable[[float], None] | None = None) -> Tensor:
        """Stylize a content [1, 3, H, W] in 0..1 and refine the result, [1, 3, H, W] in 0..1, on the CPU."""
        edge = max(content.shape[2:])
        edges = list_edges(edge)
        if edges[-1] < edge:
            edges.append(edge)
        device = self.network.device
        steps = []
        for each in edges:
            smaller = resize_to_edge(content.float(), each)
            styles = [resize_to_edge(s, max(1, round(max(s.shape[2:]) * each / edge))) for s in self.styles]
            stylized = self.stylize(smaller, styles).to(device)
            steps.append(RefinementStep(smaller.to(device), stylized, [style.to(device) for style in styles]))
        with torch.enable_grad():
            return refine(steps, self.style_weights, self.network, self.iterations, progress).cpu()

    def estimate_bytes(self, height: int, width: int) -> int:
        """Return the bytes that refining a picture of some size takes."""
        share = min(1.0, LAST_EDGE / max(height, width)) ** 2
        return round(BYTES + BYTES_PER_PIXEL * height * width * share)


def list_edges(edge: int) -> list[int]:
    """Return the long edges at which a picture of some long edge is optimized, coarse to fine."""
    last = min(edge, LAST_EDGE)
    return [*(each for each in EDGES if each < 0.75 * last), last]


def count_iterations(edge: int, iterations: int) -> int:
    """Return how many iterations a picture of some long edge gets."""
    return iterations if edge <= COARSE_EDGE else max(1, round(FINE_SHARE * iterations))


def refine(
    steps: Sequence[RefinementStep],
    style_weights: Sequence[float],
    network: PerceptualNetwork,
    iterations: int,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Refine a stylized picture.

    Args:
        steps: The sizes, smallest first. The result has the size of the last one. If that is larger than
            LAST_EDGE, it is not optimized: the result before is enlarged and gets the network's detail.
        style_weights: One per style, adding up to 1.
        network: The perceptual network.
        iterations: Iterations at the coarse sizes.
        progress: Called after every iteration with the share of the work that is done, 0..1.

    Returns:
        [1, 3, H, W] in 0..1.
    """
    counts = [count_iterations(max(step.content.shape[2:]), iterations) for step in steps]
    counts = [n if max(s.content.shape[2:]) <= LAST_EDGE else 0 for n, s in zip(counts, steps, strict=True)]
    work = [n * step.content[0, 0].numel() for n, step in zip(counts, steps, strict=True)]
    picture = before = steps[0].stylized
    for index, (step, count) in enumerate(zip(steps, counts, strict=True)):
        if index:
            size = step.content.shape[2:]
            # Without iterations that could add detail, all of the network's detail is needed.
            share = DETAIL if count else 1.0
            picture = resize(picture, size) + share * (step.stylized - resize(before, size))
        before = step.stylized

        def report(share: float, start: int = sum(work[:index]), cost: int = work[index]) -> None:
            if progress is not None:
                progress((start + cost * share) / sum(work))

        if count:
            picture = _optimize(picture, step, style_weights, network, count, report)
    return soft_clip(_match_color_statistics(picture, steps[-1].styles, style_weights))


def resize_to_edge(pictures: Tensor, edge: int) -> Tensor:
    """Resample pictures [B, 3, H, W] so that the long edge has a number of pixels; 0..1 in and out."""
    height, width = pictures.shape[2:]
    size = [max(1, round(each * edge / max(height, width))) for each in (height, width)]
    return resize(pictures, size).clamp(0, 1)


def resize(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """Resample pictures [B, 3, H, W] to a size (bicubic, antialiased)."""
    if tuple(pictures.shape[2:]) == tuple(size):
        return pictures
    return F.interpolate(pictures, tuple(size), mode="bicubic", antialias=True)


def _optimize(
    start: Tensor,
    step: RefinementStep,
    style_weights: Sequence[float],
    network: PerceptualNetwork,
    iterations: int,
    report: Callable[[float], None],
) -> Tensor:
    """Optimize a picture of one size."""
    deep = max(start.shape[2:]) <= COARSE_EDGE
    layers = REFINE_LAYERS if deep else REFINE_LAYERS[:-1]
    with torch.no_grad():
        content = network(step.content)[GRID_LAYER]
        bank = build_bank([network(style) for style in step.styles], style_weights, layers)
        matched = bank.match(network((0.5 * step.stylized + 0.5 * start).clamp(0, 1)))
        moments = [_measure_moments(network, style) for style in step.styles]
    pyramid = [level.clone().requires_grad_() for level in build_laplacian(start, LEVELS)]
    groups = [
        {"params": [level], "rate": LEARNING_RATE * rate}
        for level, rate in zip(pyramid, LEVEL_RATES, strict=False)
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    match_every = max(1, iterations // MATCHES)
    for iteration in range(iterations):
        factor = schedule_rate(iteration, iterations)
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        raw = collapse_laplacian(pyramid)
        picture = soft_clip(raw)
        octaves = [network(octave) for octave in _octaves(picture)]
        if iteration and iteration % match_every == 0:
            with torch.no_grad():
                matched = bank.match(octaves[0])
        loss = MATCH_WEIGHT * bank.distance(octaves[0], matched)
        for weight, styles in zip(style_weights, moments, strict=True):
            terms = [
                moments_distance(features[layer].flatten(2), target[layer])
                for features, target in zip(octaves, styles, strict=False)
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
        report((iteration + 1) / iterations)
    return collapse_laplacian([level.detach() for level in pyramid])


def _measure_moments(network: PerceptualNetwork, style: Tensor) -> list[dict[str, Statistics]]:
    """Return the statistics of a style's features, by octave and layer."""
    octaves = (network(octave) for octave in _octaves(style))
    return [{name: compute_statistics(each[name].flatten(2)) for name in MOMENT_LAYERS} for each in octaves]


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
        size = features[GRID_LAYER].shape[2], features[GRID_LAYER].shape[3]
        parts = [F.adaptive_avg_pool2d(features[n], size) * self.scales[n] for n in self.layers]
        return F.normalize(torch.cat(parts, 1)[0].flatten(1).T, dim=1)

    def match(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the hypercolumn of the style that is nearest to each place of a picture, [places, C]."""
        queries = self.hypercolumns(features)
        blocks = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
        return self.columns[torch.cat([(block @ self.columns.T).argmax(1) for block in blocks])]

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
    matrix, offset = TransferTarget([target], "monge").find_map(compute_statistics(picture.flatten(2)), 0)
    mapped = matrix.float() @ picture.flatten(2) + offset.float()[:, None]
    return mapped.view_as(picture)
