"""Intervals that contain the norm of a convolution, by the methods of this package and of the literature.

The bounds of the literature are differentiable in the weight, and serve for comparison and as cheap
regularizers. Those computed from the kernel alone hold for images of every size, every stride and dilation,
with zero or circular padding; for other paddings they are multiplied by the norm of the extension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .circulant_embedding import embed_in_circulant, has_circulant, split_padding
from .conv_operator import ConvOperator, conv_operator
from .lanczos import lanczos
from .symbol import frequency_grid, gram_eigenvalues
from .symbol_peaks import circulant_bound, find_peaks, refine

NormMethod = Literal[
    "auto", "dense", "twisted", "lanczos", "extension", "unfoldings", "taps", "hoelder", "gram", "tensor"
]

# "auto" takes the dense matrix where that is cheap, or as cheap as the symbols at a few dozen frequencies.
DENSE_SIDE = 512
DENSE_PIXELS = 4
DENSE_ENTRIES = 2**24
FAILURE_PROBABILITY = 1e-12  # probability that the random start of "lanczos" misses the singular vector
RANDOM_STEPS = 400
CHECK_EVERY = 5  # steps between two looks at the bounds, which cost little, but more than nothing
GRAM_CHUNK = 64  # frequencies whose symbols are held at once


@dataclass(frozen=True)
class NormBounds:
    """An interval that contains ||T||_2, the largest singular value of a convolution.

    Attributes:
        lower: Rayleigh quotient of the convolution itself; 0 if the method gives none.
        upper: Upper bound of the norm; if not certified, an estimate of it.
        certified: Whether `upper` is a theorem about this layer at this size.
        method: Method that gave `upper`.
        failure_probability: 0 for a deterministic theorem. Otherwise the theorem is that, whatever the layer,
            `upper` is too small for at most this share of random starts.
    """

    lower: float
    upper: float
    certified: bool
    method: NormMethod
    failure_probability: float = 0.0

    @property
    def width(self) -> float:
        """Width relative to the upper end, 0..1; 0 for a zero layer."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


def norm_bounds(
    module: nn.Module,
    input_size: Sequence[int],
    method: NormMethod = "auto",
    *,
    tolerance: float = 0.01,
    seed: int = 0,
) -> NormBounds:
    """Bound the largest singular value of a convolutional layer from both sides.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of padding modules and a `Conv2d`, with any
            stride, dilation, groups and padding; the bias is ignored.
        input_size: Rows and columns of the layer's input.
        method: How the upper bound is computed.

            * "auto": "dense" for small layers, "twisted" where the padding allows it, otherwise "lanczos".
            * "dense": the singular values of the matrix.
            * "twisted": the symbol on the grid of a twisted circulant; for zero padding, and for circular
              padding by whole outputs.
            * "lanczos": Lanczos from a random start; for every padding; fails with `FAILURE_PROBABILITY`.
            * "extension": "twisted" of the extended image, times the norm of the extension; for every
              padding, deterministic and loose.
            * "unfoldings", "taps", "hoelder", "gram", "tensor": the bounds of the literature, see
              `unfolding_bound` to `tensor_bound`; they give no lower bound.

        tolerance: Relative width at which "lanczos" stops, above 0.
        seed: Seed of the random start.

    Returns:
        The interval.

    Raises:
        TypeError: The module is not a two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs, the weight is not finite, the
            method is unknown or does not apply to the padding.

    Source: the theorems in `symbol_peaks` (compression, pruning) and `lanczos` (random start). Margins for
    rounding errors are included.
    """
    if method not in get_args(NormMethod):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(NormMethod))}")
    operator = conv_operator(module, input_size).double()
    broken = int((~operator.weight.isfinite()).sum())
    if broken:
        raise ValueError(f"{broken} of {operator.weight.numel()} weights are NaN or infinite")
    chosen = _choose_method(operator) if method == "auto" else method
    largest = operator.weight.abs().max().item()
    if largest == 0:
        return NormBounds(0.0, 0.0, certified=True, method=chosen)
    # Dividing by a power of two changes no digit, and keeps squares of tiny and huge weights in range.
    scale = 2.0 ** math.frexp(largest)[1]
    scaled = replace(operator, weight=operator.weight / scale)
    bounds = _random_lanczos(scaled, tolerance, seed) if chosen == "lanczos" else METHODS[chosen](scaled)
    margin = operator.rounding_margin
    return replace(
        bounds, lower=bounds.lower * scale * (1 - margin), upper=bounds.upper * scale * (1 + margin)
    )


def _choose_method(operator: ConvOperator) -> NormMethod:
    shapes = (operator.input_shape, operator.output_shape)
    smaller = min(shapes, key=math.prod)
    few = math.prod(smaller) <= DENSE_SIDE or math.prod(smaller[1:]) <= DENSE_PIXELS
    if few and math.prod(map(math.prod, shapes)) <= DENSE_ENTRIES:
        return "dense"
    return "twisted" if has_circulant(operator) else "lanczos"


def _dense(operator: ConvOperator) -> NormBounds:
    matrix = operator.dense()
    norm = gram_eigenvalues(matrix)[-1].clamp_min(0).sqrt().item()
    margin = 4 * min(matrix.shape) ** 2 * torch.finfo(matrix.dtype).eps  # of a Gram matrix, in the worst case
    return NormBounds(norm * (1 - margin), norm * (1 + margin), certified=True, method="dense")


def _twisted(operator: ConvOperator) -> NormBounds:
    circulant = embed_in_circulant(operator)
    peaks = find_peaks(circulant)
    upper = circulant_bound(circulant, peaks)
    exact = all(axis.exact for axis in circulant.axes)
    lower = upper if exact else refine(circulant, peaks.peaks)[0][0]
    return NormBounds(lower, upper, certified=True, method="twisted")


def _extension(operator: ConvOperator) -> NormBounds:
    unpadded, extension_norm = split_padding(operator)
    circulant = embed_in_circulant(unpadded)
    upper = extension_norm * circulant_bound(circulant, find_peaks(circulant))
    return NormBounds(0.0, upper, certified=True, method="extension")


def _random_lanczos(operator: ConvOperator, tolerance: float, seed: int) -> NormBounds:
    shape = min(operator.input_shape, operator.output_shape, key=math.prod)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.weight)
    # The density of a coordinate t of a random direction in R^N is at most sqrt(N / 2 pi), so that
    # P(t^2 < w) <= sqrt(2 N w / pi).
    overlap = math.pi * FAILURE_PROBABILITY**2 / (2 * start.numel())
    lower, upper = 0.0, math.inf
    for step, space in enumerate(lanczos(operator, start, RANDOM_STEPS), start=1):
        if step % CHECK_EVERY == 0 or space.complete:
            lower, upper = math.sqrt(space.largest_ritz_pair()[0]), math.sqrt(space.upper_bound(overlap))
            if upper - lower <= tolerance * upper:
                break
    return NormBounds(lower, upper, certified=True, method="lanczos", failure_probability=FAILURE_PROBABILITY)


def unfolding_bound(operator: ConvOperator) -> Tensor:
    """Return sqrt(kh kw) times the least norm of the four unfoldings of the kernel.

    Source: Singla & Feizi 2021 (arXiv 1911.10258), theorem 1; Yi 2020 (arXiv 2006.07117).
    """
    kernel = _kernels_by_group(operator)  # [groups, out, in, kh, kw]
    unfoldings = (
        kernel.flatten(2),  # [out, in kh kw]
        kernel.transpose(1, 2).flatten(2),  # [in, out kh kw]
        kernel.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2),  # [out kh, in kw]
        kernel.permute(0, 1, 4, 2, 3).flatten(3).flatten(1, 2),  # [out kw, in kh]
    )
    norms = torch.stack([_matrix_norms(unfolding) for unfolding in unfoldings])  # [4, groups]
    return math.sqrt(kernel.shape[3] * kernel.shape[4]) * norms.amin(0).amax()


def tap_bound(operator: ConvOperator) -> Tensor:
    """Return the sum over the taps of the norms of their channel matrices.

    Source: the triangle inequality; Yi 2020 (arXiv 2006.07117).
    """
    taps = _kernels_by_group(operator).flatten(3).movedim(3, 1)  # [groups, kh kw, out, in]
    return _matrix_norms(taps).sum(1).amax()


def hoelder_bound(operator: ConvOperator) -> Tensor:
    """Return the root of the largest row sum times the largest column sum of absolute values.

    The sums are those of the matrix itself, so the bound holds for every padding as it is.

    Source: interpolation between ||T||_1 and ||T||_inf; Yi 2020 (arXiv 2006.07117).
    """
    absolute = replace(operator, weight=operator.weight.abs())
    rows = absolute.apply(operator.weight.new_ones(1, *operator.input_shape))
    columns = absolute.adjoint(operator.weight.new_ones(1, *operator.output_shape))
    return (rows.amax() * columns.amax()).sqrt()


def gram_bound(operator: ConvOperator, iterations: int = 6) -> Tensor:
    """Return the largest Frobenius norm of (F* F)^(2^(iterations - 1)), rooted, on the circulant's grid.

    Source: Delattre et al. 2023 (arXiv 2305.16173), Gram iteration. Differs: uses the grid of a circulant
    that contains the convolution, so that the bound holds for zero padding; gives 0 where F = 0, not NaN.
    """
    circulant = embed_in_circulant(operator)
    frequencies = frequency_grid([axis.period for axis in circulant.axes])
    with torch.no_grad():
        parts = torch.split(frequencies, GRAM_CHUNK)
        bounds = [_iterate_gram(circulant.symbols(part), iterations) for part in parts]
    # The gradient of a maximum is that of its largest entry; keeping all graphs would take tens of gigabytes.
    highest = int(torch.cat(bounds).argmax())
    return _iterate_gram(circulant.symbols(frequencies[highest][None]), iterations)[0]


def _iterate_gram(symbols: Tensor, iterations: int) -> Tensor:
    """Return the bound at each frequency, the largest over the groups: [P]."""
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

    This is an estimate, not a certified bound: the power iteration, from one start as published, may end in a
    local maximum.

    Source: Grishina et al. 2024 (arXiv 2409.11859).
    """
    kernel = _kernels_by_group(operator)
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


def _kernels_by_group(operator: ConvOperator) -> Tensor:
    return operator.weight.view(operator.groups, -1, *operator.weight.shape[1:])


def _matrix_norms(matrices: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.matrix_norm(matrices, ord=2)
    return norms


def _kernel_method(
    method: NormMethod, bound: Callable[[ConvOperator], Tensor]
) -> Callable[[ConvOperator], NormBounds]:
    def compute(operator: ConvOperator) -> NormBounds:
        unpadded, extension_norm = split_padding(operator)
        upper = extension_norm * bound(unpadded).item()
        return NormBounds(0.0, upper, certified=method != "tensor", method=method)

    return compute


def _hoelder(operator: ConvOperator) -> NormBounds:
    return NormBounds(0.0, hoelder_bound(operator).item(), certified=True, method="hoelder")


METHODS: dict[NormMethod, Callable[[ConvOperator], NormBounds]] = {
    "dense": _dense,
    "twisted": _twisted,
    "extension": _extension,
    "hoelder": _hoelder,
    "unfoldings": _kernel_method("unfoldings", unfolding_bound),
    "taps": _kernel_method("taps", tap_bound),
    "gram": _kernel_method("gram", gram_bound),
    "tensor": _kernel_method("tensor", tensor_bound),
}
