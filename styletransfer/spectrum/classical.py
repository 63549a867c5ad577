"""Bounds of the norm of a convolution from the literature, for comparison and as cheap regularisers.

Each is differentiable in the weight. Those of the kernel alone hold for an image of any size, any stride and
dilation, with zero or circular padding; other paddings multiply them by the norm of the extension.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .operator import ConvOperator
from .symbol import frequency_grid
from .torus import wrap_operator

GRAM_CHUNK = 64  # frequencies whose symbols are held at once


def unfolding_bound(operator: ConvOperator) -> Tensor:
    """Return sqrt(kh kw) times the least norm of the four unfoldings of the kernel.

    Source: Singla & Feizi 2021 (arXiv 1911.10258), theorem 1; Yi 2020 (arXiv 2006.07117).
    """
    kernel = _grouped(operator)  # [groups, out, in, kh, kw]
    unfoldings = (
        kernel.flatten(2),  # [out, in kh kw]
        kernel.transpose(1, 2).flatten(2),  # [in, out kh kw]
        kernel.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2),  # [out kh, in kw]
        kernel.permute(0, 1, 4, 2, 3).flatten(3).flatten(1, 2),  # [out kw, in kh]
    )
    norms = torch.stack([_norm(unfolding) for unfolding in unfoldings])  # [4, groups]
    return math.sqrt(kernel.shape[3] * kernel.shape[4]) * norms.amin(0).amax()


def tap_bound(operator: ConvOperator) -> Tensor:
    """Return the sum over taps of the norms of their channel matrices.

    Source: the triangle inequality; Yi 2020 (arXiv 2006.07117).
    """
    taps = _grouped(operator).flatten(3).movedim(3, 1)  # [groups, kh kw, out, in]
    return _norm(taps).sum(1).amax()


def hoelder_bound(operator: ConvOperator) -> Tensor:
    """Return the root of the largest row sum times the largest column sum of absolute values.

    Exact sums of the matrix, so it holds for every padding as it is.

    Source: the interpolation of ||T||_1 and ||T||_inf; Yi 2020 (arXiv 2006.07117).
    """
    absolute = replace(operator, weight=operator.weight.abs())
    rows = absolute.apply(operator.weight.new_ones(1, *operator.input_shape))
    columns = absolute.adjoint(operator.weight.new_ones(1, *operator.output_shape))
    return (rows.amax() * columns.amax()).sqrt()


def gram_bound(operator: ConvOperator, iterations: int = 6) -> Tensor:
    """Return the largest Frobenius norm of (F* F)^(2^(iterations - 1)), rooted, on the circulant's grid.

    Source: Delattre et al. 2023 (arXiv 2305.16173), Gram iteration. Differs: the grid is of a circulant that
    contains the convolution, so that it holds for zero padding; where F = 0 it gives 0, not NaN.
    """
    torus = wrap_operator(operator)
    frequencies = frequency_grid([circle.period for circle in torus.circles])
    with torch.no_grad():
        parts = torch.split(frequencies, GRAM_CHUNK)
        bounds = [_iterate_gram(torus.symbols(part), iterations) for part in parts]
    # The gradient of a maximum is that of the winner; keeping all for it would take tens of gigabytes.
    highest = int(torch.cat(bounds).argmax())
    return _iterate_gram(torus.symbols(frequencies[highest][None]), iterations)[0]


def _iterate_gram(symbols: Tensor, iterations: int) -> Tensor:
    """Return the bound at each frequency, the largest over groups: [P]."""
    gram = symbols.mH if symbols.shape[-2] < symbols.shape[-1] else symbols
    logarithm = gram.real.new_zeros(gram.shape[:2])
    tiny = torch.finfo(logarithm.dtype).tiny
    for step in range(iterations):
        size = torch.linalg.matrix_norm(gram).clamp_min(tiny)
        gram = gram / size[..., None, None]
        gram = gram.mH @ gram
        logarithm = logarithm + size.log() / 2**step
    logarithm = logarithm + torch.linalg.matrix_norm(gram).clamp_min(tiny).log() / 2**iterations
    bounds: Tensor = logarithm.amax(1).exp()
    return bounds


def tensor_bound(operator: ConvOperator, iterations: int = 100) -> Tensor:
    """Return sqrt(kh kw) times the spectral norm of the kernel as a tensor of order four.

    Not certified: the power iteration, from one start as published, may end in a local maximum.

    Source: Grishina et al. 2024 (arXiv 2409.11859).
    """
    kernel = _grouped(operator)
    generator = torch.Generator().manual_seed(0)
    factors = [
        torch.randn(kernel.shape[0], size, generator=generator, dtype=torch.float64).to(kernel)
        for size in kernel.shape[1:]
    ]
    contractions = ("gi,gk,gl->go", "go,gk,gl->gi", "go,gi,gl->gk", "go,gi,gk->gl")
    detached = kernel.detach()
    for _ in range(iterations):
        for i, contraction in enumerate(contractions):
            others = factors[:i] + factors[i + 1 :]
            factor = torch.einsum(f"goikl,{contraction}", detached, *others)
            factors[i] = factor / factor.norm(dim=1, keepdim=True).clamp_min(torch.finfo(factor.dtype).tiny)
    value = torch.einsum("goikl,go,gi,gk,gl->g", kernel, *factors)
    return math.sqrt(kernel.shape[3] * kernel.shape[4]) * value.amax()


def _grouped(operator: ConvOperator) -> Tensor:
    return operator.weight.view(operator.groups, -1, *operator.weight.shape[1:])


def _norm(matrices: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.matrix_norm(matrices, ord=2)
    return norms
