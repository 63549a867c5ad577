"""Maps of colors as 3D lookup tables: tetrahedral interpolation, smooth fits, and bounded slopes.

A table [N, N, N, 3] holds the new color of every node (red, green, blue) of a regular grid over 0..1. Between
the nodes it is interpolated in tetrahedra, which keep the gray axis as straight as the table has it and are
what photo and video editors do. The interpolation is continuous and linear inside every tetrahedron, so that
the differences of neighboring nodes are all the slopes there are.

Source: Kasson et al. 1995 (Journal of Electronic Imaging 4(3)), tetrahedral interpolation.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import torch
from torch import Tensor

# Nodes along each edge, the usual size for color grading.
LUT_SIZE = 33
# Share of the proximal term in a fit. It only decides where neither colors nor smoothness do.
PROXIMITY = 1e-6
# Bounding slopes ends once all are within this factor of the bound.
SLOPE_TOLERANCE = 1.01


def identity_lut(size: int = LUT_SIZE) -> Tensor:
    """Return the table that changes nothing, [N, N, N, 3], float32.

    Args:
        size: N, at least 2.
    """
    steps = torch.linspace(0, 1, size)
    return torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1)


def apply_lut(lut: Tensor, colors: Tensor) -> Tensor:
    """Map colors by a table with tetrahedral interpolation.

    Args:
        lut: [N, N, N, 3], float32.
        colors: RGB, [M, 3], float32. Values outside 0..1 count as 0 or 1.

    Returns:
        [M, 3], float32.
    """
    corners, weights = _tetrahedral_weights(colors, lut.shape[0])
    return _interpolate(lut.reshape(-1, 3), corners, weights)


def fit_lut(
    lut: Tensor, colors: Tensor, weights: Tensor, targets: Tensor, *, smoothness: float, steps: int
) -> Tensor:
    """Change a table so that it maps colors near their targets and bends little.

    It minimizes the weighted mean of the squared errors plus the smoothness times the integral of the squared
    second derivatives, which any affine map has none of. Beyond the colors it therefore goes on straight.

    Args:
        lut: The table to start from, [N, N, N, 3], float32.
        colors: RGB in 0..1, [M, 3].
        weights: Weights of the colors, [M]; they add up to 1.
        targets: RGB, [M, 3].
        smoothness: Weight of the second derivatives, above 0.
        steps: Steps of conjugate gradients. A few suffice where the table is near its best already.

    Returns:
        [N, N, N, 3], float32. It may leave 0..1.

    Source: Duchon 1977, thin-plate splines, discretized on the grid.
    """
    size = lut.shape[0]
    corners, shares = _tetrahedral_weights(colors, size)
    bending = smoothness * (size - 1)

    def gather(residuals: Tensor) -> Tensor:
        """Return the adjoint of the interpolation, applied to weighted residuals [M, 3]."""
        parts = (residuals * weights[:, None])[:, None] * shares[..., None]  # [M, 4, 3]
        nodes = torch.zeros(size**3, 3).index_add_(0, corners.flatten(), parts.flatten(0, 1))
        return nodes.view_as(lut)

    def apply(change: Tensor) -> Tensor:
        data = gather(_interpolate(change.reshape(-1, 3), corners, shares))
        return data + bending * _differentiate_bending(change) + PROXIMITY / size**3 * change

    residual = gather(targets - _interpolate(lut.reshape(-1, 3), corners, shares))
    residual -= bending * _differentiate_bending(lut)
    change, direction = torch.zeros_like(lut), residual
    energy = residual.square().sum((0, 1, 2))  # [3], the channels are independent
    for _ in range(steps):
        product_ = apply(direction)
        length = energy / (direction * product_).sum((0, 1, 2)).clamp_min(1e-30)
        change += length * direction
        residual = residual - length * product_
        previous, energy = energy, residual.square().sum((0, 1, 2))
        direction = residual + energy / previous.clamp_min(1e-30) * direction
    return lut + change


def bound_slopes(lut: Tensor, largest: float, sweeps: int) -> Tensor:
    """Change a table so that no color changes faster than a bound, which would show noise and bands.

    Where two neighboring nodes differ by more, both move towards each other. Neighbors are those along the
    axes and the diagonals from black to white, so that the bound holds for ramps of one channel, of two and
    of gray: where the input of some channels rises by one level, each output changes by at most `largest`.

    Args:
        lut: [N, N, N, 3], float32.
        largest: Bound of the change of every output channel relative to the input's, above 0.
        sweeps: Most passes over all edges. The bound is met by then unless the table is far beyond it.

    Returns:
        [N, N, N, 3].

    Source: Müller et al. 2007 (Journal of Visual Communication 18), projection of constraints one by one.
    """
    bounded, limit = lut.clone(), largest / (lut.shape[0] - 1)
    for _ in range(sweeps):
        worst = 0.0
        for low, high in _list_edges(bounded):
            difference = high - low
            size = difference.abs()
            worst = max(worst, float(size.max()))
            correction = difference.mul_(0.5 - 0.5 * limit / size.clamp_min(limit))
            low += correction
            high -= correction
        if worst <= SLOPE_TOLERANCE * limit:
            break
    return bounded


def _list_edges(lut: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield views of the two ends of edges of the grid; no node is part of two edges of one pair of views."""
    size = lut.shape[0]
    for steps in product((0, 1), repeat=3):
        if not any(steps):
            continue
        first = steps.index(1)
        for parity in (0, 1):
            starts = [slice(0, size - step) for step in steps]
            starts[first] = slice(parity, size - 1, 2)
            ends = [slice(step, size) for step in steps]
            ends[first] = slice(parity + 1, size, 2)
            yield lut[tuple(starts)], lut[tuple(ends)]


def _tetrahedral_weights(colors: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the four nodes around each color as indices of the flattened grid, and their weights, [M, 4].

    From the lowest corner of a cell to its highest, the path steps along the channel with the largest
    fraction first. Where fractions are equal, the node that depends on their order has no weight.
    """
    strides = torch.tensor([size * size, size, 1], device=colors.device)
    position = colors.clamp(0, 1) * (size - 1)
    cell = position.floor().clamp_(max=size - 2)
    fraction = position - cell
    lowest = (cell.long() * strides).sum(1)
    highest = lowest + int(strides.sum())
    large, small = fraction.amax(1), fraction.amin(1)
    middle = fraction.sum(1) - large - small
    second = lowest + strides[fraction.argmax(1)]
    third = highest - strides[fraction.argmin(1)]
    corners = torch.stack([lowest, second, third, highest], 1)
    return corners, torch.stack([1 - large, large - middle, middle - small, small], 1)


def _interpolate(nodes: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums of nodes [K, 3] at corners [M, 4]."""
    result = nodes[corners[:, 0]] * weights[:, :1]
    for index in range(1, 4):
        result.addcmul_(nodes[corners[:, index]], weights[:, index : index + 1])
    return result


def _differentiate_bending(lut: Tensor) -> Tensor:
    """Return half of the gradient of the sum of squared second differences, mixed ones twice."""
    gradient = torch.zeros_like(lut)
    size = lut.shape[0]
    if size > 2:
        for axis in range(3):
            low, middle, high = (lut.narrow(axis, start, size - 2) for start in range(3))
            second = low - 2 * middle + high
            for start, factor in enumerate((1, -2, 1)):
                gradient.narrow(axis, start, size - 2).add_(second, alpha=factor)
    for first, other in combinations(range(3), 2):
        mixed = 2 * lut.diff(dim=first).diff(dim=other)
        for start, below in product((0, 1), repeat=2):
            part = gradient.narrow(first, start, size - 1).narrow(other, below, size - 1)
            part.add_(mixed, alpha=1 if start == below else -1)
    return gradient
