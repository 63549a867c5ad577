"""The symbol (spectral density matrix) of a convolution: its action on a plane wave.

Without borders, a convolution maps the wave `a exp(-i w.x)` to `F(w) a exp(-i w.x)`, where F(w) is a complex
matrix [out, in]. With stride s, the output lives on a grid that is s times coarser, and s waves of the input
look the same on it. The s pixels between two outputs are therefore treated as additional channels (polyphase
components): F(w) is [out, in * s_h * s_w], and w is the frequency per *output* pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TAU = 2 * torch.pi


@dataclass(frozen=True)
class Taps:
    """The filter taps of one axis, sorted by polyphase component.

    Tap k of output p reads pixel `stride * (p + offset[k]) + residue[k]`.

    Attributes:
        residue: Polyphase component of each tap, 0..stride-1.
        offset: Position of each tap within its component, in output pixels.
        stride: Input pixels between two neighboring outputs.
    """

    residue: tuple[int, ...]
    offset: tuple[int, ...]
    stride: int

    @classmethod
    def from_kernel(cls, kernel: int, stride: int, dilation: int, left: int = 0) -> Taps:
        """Sort the taps of a kernel whose first tap lies `left` pixels before the first output."""
        positions = [dilation * k - left for k in range(kernel)]
        return cls(tuple(p % stride for p in positions), tuple(p // stride for p in positions), stride)

    def waves(self, frequencies: Tensor) -> Tensor:
        """Return exp(-i w offset) for each tap, in the column of its component: [P, kernel, stride]."""
        offset = torch.tensor(self.offset, dtype=frequencies.dtype, device=frequencies.device)
        residue = torch.tensor(self.residue, device=frequencies.device)
        phases = torch.outer(frequencies, offset)
        waves = torch.polar(torch.ones_like(phases), -phases)
        return waves.unsqueeze(-1) * torch.nn.functional.one_hot(residue, self.stride)


def group_symbols(weight: Tensor, groups: int, taps: tuple[Taps, Taps], frequencies: Tensor) -> Tensor:
    """Compute the symbol of every group at a list of frequencies.

    Args:
        weight: Kernel, [out, in / groups, kh, kw].
        groups: Number of channel groups.
        taps: Taps of the rows and of the columns.
        frequencies: [P, 2], radians per output row and column.

    Returns:
        [P, groups, out / groups, in / groups * s_h * s_w], complex.
    """
    out, inputs = weight.shape[:2]
    rows, columns = (tap.waves(f) for tap, f in zip(taps, frequencies.unbind(1), strict=True))
    waves = torch.einsum("pkr,pls->prskl", rows, columns).flatten(3).flatten(1, 2)  # [P, s_h*s_w, kh*kw]
    kernels = weight.flatten(2).flatten(0, 1).T  # [kh*kw, out*in]
    symbol = torch.complex(waves.real @ kernels, waves.imag @ kernels)
    symbol = symbol.view(len(frequencies), -1, groups, out // groups, inputs)
    return symbol.permute(0, 2, 3, 4, 1).flatten(3)


def frequency_grid(grid: Sequence[int], phase: Sequence[float] = (0.0, 0.0)) -> Tensor:
    """List the frequencies (2 pi j + phase) / grid of a twisted circulant: [m1 * m2, 2], row by row."""
    rows, columns = (
        (TAU * torch.arange(size, dtype=torch.float64) + shift) / size
        for size, shift in zip(grid, phase, strict=True)
    )
    return torch.cartesian_prod(rows, columns)


def conv_symbol(
    weight: Tensor,
    frequencies: Tensor | None = None,
    *,
    grid: tuple[int, int] | None = None,
    phase: tuple[float, float] = (0.0, 0.0),
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    transposed: bool = False,
) -> Tensor:
    """Compute the symbol (spectral density matrix) of a convolution.

        F(w1, w2) = sum_kl weight[:, :, k, l] exp(-i (k w1 + l w2))

    The singular values of F over all frequencies are those of the convolution of an infinite image. The phase
    of single entries depends on the position of the image's origin; the singular values do not.

    Args:
        weight: Real kernel, [out, in / groups, kh, kw], or [in, out / groups, kh, kw] if transposed.
        frequencies: [..., 2], radians per row and per column of the coarser one of input and output.
        grid: Size (m1, m2) of a grid of frequencies w = (2 pi j + phase) / m, instead of `frequencies`.
        phase: Twist theta of the grid, in radians; 0 gives the grid of the discrete Fourier transform.
        stride: Stride of rows and columns.
        dilation: Dilation of rows and columns.
        groups: Number of channel groups; F is block diagonal.
        transposed: Whether the weight belongs to a transposed convolution.

    Returns:
        [..., out, in * s_h * s_w], or [..., out * s_h * s_w, in] if transposed; [m1, m2, ...] for a grid.
        Complex, in the precision of the weight, and differentiable with respect to it.

    Raises:
        ValueError: Neither or both of `frequencies` and `grid` are given, or the shapes do not fit.

    Source: Yi 2020 (arXiv 2006.07117), spectral density matrix; Sedghi et al. 2019 (arXiv 1805.10408) for the
    grid at phase 0. Differs: adds phases, strides (by polyphase components), groups and transposed
    convolutions.
    """
    if (frequencies is None) == (grid is None):
        raise ValueError("give either frequencies or a grid")
    if weight.ndim != 4 or weight.shape[0] % groups:
        raise ValueError(
            f"a weight of shape {tuple(weight.shape)} does not fit {groups} groups of a 2-d convolution"
        )
    if grid is not None:
        frequencies = frequency_grid(grid, phase)
    assert frequencies is not None
    if frequencies.shape[-1:] != (2,):
        raise ValueError(
            f"frequencies have shape {list(frequencies.shape)}; the last axis must hold a row and a column"
        )
    leading = grid if grid is not None else frequencies.shape[:-1]
    strides, dilations = as_pair(stride), as_pair(dilation)
    rows, columns = (
        Taps.from_kernel(size, s, d) for size, s, d in zip(weight.shape[2:], strides, dilations, strict=True)
    )
    real = weight if weight.is_floating_point() else weight.double()
    points = frequencies.reshape(-1, 2).to(real)
    blocks = group_symbols(real, groups, (rows, columns), points)
    symbol = _block_diagonal(blocks)
    symbol = symbol.mH if transposed else symbol
    return symbol.reshape(*leading, *symbol.shape[-2:])


def gram_eigenvalues(matrices: Tensor) -> Tensor:
    """Return the eigenvalues of A* A or A A*, whichever is smaller, ascending: [..., min(rows, columns)]."""
    if matrices.shape[-2] < matrices.shape[-1]:
        matrices = matrices.mH
    if matrices.shape[-1] == 1:
        return matrices.abs().square().sum(-2)
    eigenvalues: Tensor = torch.linalg.eigvalsh(matrices.mH @ matrices)
    return eigenvalues


def as_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return a number for rows and columns as a pair of both."""
    return (value, value) if isinstance(value, int) else value


def _block_diagonal(blocks: Tensor) -> Tensor:
    """Place blocks [P, G, r, c] on the diagonal of [P, G * r, G * c]."""
    count, groups, rows, columns = blocks.shape
    if groups == 1:
        return blocks[:, 0]
    diagonal = torch.diag_embed(blocks.permute(0, 2, 3, 1))  # [P, r, c, G, G]
    return diagonal.permute(0, 3, 1, 4, 2).reshape(count, groups * rows, groups * columns)
