"""Local affine models of color: how well windows of one picture explain another, and guided upsampling.

In a window a result is a photograph of the same things as its content if its colors are an affine function of
the content's. What the best such function leaves is the energy of the matting Laplacian. The functions
themselves are smooth, so they can be found on small copies and applied to the full picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class LocalAffineModel(NamedTuple):
    """The affine functions of the content's colors that come nearest to a result, one per window.

    Attributes:
        matrix: [B, 3, 3, H, W], result channel by content channel.
        offset: [B, 3, H, W].
        residual: Mean square that the function leaves in its window, plus the price of the ridge, [B, H, W].
    """

    matrix: Tensor
    offset: Tensor
    residual: Tensor


def fit_local_affine(content: Tensor, result: Tensor, radius: int, ridge: float) -> LocalAffineModel:
    """Fit an affine function of the content's colors in the window around every pixel.

    Args:
        content: [B, 3, H, W] in 0..1.
        result: [B, 3, H, W] in 0..1.
        radius: The windows have 2 * radius + 1 pixels on either side. At the border they are smaller.
        ridge: Added to the variance of the content, so that flat windows get flat functions.

    Source: Levin et al. 2008 (TPAMI 30(2)), the matting Laplacian; He et al. 2013 (TPAMI 35(6)), guided
    filter. Differs: both by box means, so that any radius takes the same time and there is no sparse matrix.
    """
    content, result = content.double(), result.double()  # differences of squares of flat windows
    mean = box_mean(content, radius)
    result_mean = box_mean(result, radius)
    covariance = box_mean(_products(content, content), radius) - _products(mean, mean)
    mixed = box_mean(_products(result, content), radius) - _products(result_mean, mean)
    mixed = _as_matrices(mixed)
    variance = box_mean(result.square(), radius) - result_mean.square()
    matrix = torch.einsum("bijhw,bjkhw->bikhw", mixed, _invert(_as_matrices(covariance), ridge))
    offset = result_mean - torch.einsum("bijhw,bjhw->bihw", matrix, mean)
    residual = (variance - (matrix * mixed).sum(2)).sum(1)
    return LocalAffineModel(matrix.float(), offset.float(), residual.float())


def matting_energy(content: Tensor, result: Tensor, radius: int, ridge: float = 1e-5) -> Tensor:
    """Compute the mean square per channel that local affine functions of the content leave, [B].

    Arguments are those of `fit_local_affine`.
    """
    return fit_local_affine(content, result, radius, ridge).residual.mean((1, 2)) / 3


def average_windows(model: LocalAffineModel, radius: int) -> Tensor:
    """Average the functions of all windows that hold a pixel, as a guided filter does.

    Returns:
        [B, 12, H, W]: the matrix, row by row, then the offset.
    """
    return box_mean(torch.cat([model.matrix.flatten(1, 2), model.offset], 1), radius)


def box_mean(maps: Tensor, radius: int) -> Tensor:
    """Average maps [B, C, H, W] over windows, which are smaller at the border."""
    size = 2 * radius + 1
    for kernel, padding in (((size, 1), (radius, 0)), ((1, size), (0, radius))):
        maps = F.avg_pool2d(maps, kernel, stride=1, padding=padding, count_include_pad=False)
    return maps


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Multiply every channel of a by every channel of b, [B, 9, H, W]."""
    return (a.unsqueeze(2) * b.unsqueeze(1)).flatten(1, 2)


def _invert(covariance: Tensor, ridge: float) -> Tensor:
    """Invert symmetric matrices [B, 3, 3, H, W] plus a ridge, by cofactors."""
    (a, b, c), (_, d, e), (_, _, f) = ([covariance[:, i, j] for j in range(3)] for i in range(3))
    a, d, f = a + ridge, d + ridge, f + ridge
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    rows = (first, second, third, second, a * f - c * c, b * c - a * e, third, b * c - a * e, a * d - b * b)
    return _as_matrices(torch.stack(rows, 1) / determinant.unsqueeze(1))


def _as_matrices(maps: Tensor) -> Tensor:
    """View maps [B, 9, H, W] as matrices [B, 3, 3, H, W]."""
    return maps.view(len(maps), 3, 3, *maps.shape[2:])
