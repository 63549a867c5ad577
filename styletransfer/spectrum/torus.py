"""Wrap the axes around: the circulants whose compression a convolution is.

A zero-padded convolution on n pixels is a block of a convolution on a circle of m >= n + (what its taps
reach beyond the image) positions. On the circle a wave that returns with a *twist* is as good as a periodic
one: outputs inside the image never read across the seam. The frequencies are then (2 pi j + theta) / m, and
the largest singular value of the symbol there bounds the convolution, for every phase theta.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .operator import Axis, ConvOperator
from .symbol import Taps, group_symbols

CHUNK = 2**22  # complex numbers held at once


@dataclass(frozen=True)
class Circle:
    """One axis wrapped around.

    The symbol's singular values depend on the frequency only through `step * w`: a dilation or a stride
    that shares a factor with it splits the axis into interleaved copies. Frequencies of a circle are
    those of one copy, v = step * w.

    Attributes:
        taps: Of one copy, each polyphase component's first tap at offset 0.
        origin: What was subtracted from the offsets of each component, in output pixels.
        step: Output pixels between neighbours of a copy.
        period: Positions around the circle, of one copy; 1 if the symbol does not depend on the frequency.
        twisted: Whether any phase is allowed; a circular padding leaves none.
        exact: Whether input and output fill the circle, so that the convolution *is* the circulant.
    """

    taps: Taps
    origin: tuple[int, ...]
    step: int
    period: int
    twisted: bool
    exact: bool

    @property
    def degree(self) -> float:
        """Of the symbol as a trigonometric polynomial, each component centred."""
        return max(self.taps.offset) / 2

    def wave(self, size: int, frequency: float) -> Tensor:
        """Return the wave of a frequency of this circle, exp(-i w x), over pixels: [size], complex."""
        pixel = torch.arange(size)
        origin = torch.tensor(self.origin)[pixel % self.taps.stride]
        position = (pixel // self.taps.stride - origin).double()
        phase = -frequency / self.step * position
        return torch.polar(torch.ones_like(phase), phase)


@dataclass(frozen=True)
class Torus:
    """A convolution with both axes wrapped around.

    Attributes:
        operator: In float64.
        circles: Of rows and columns.
    """

    operator: ConvOperator
    circles: tuple[Circle, Circle]

    def symbols(self, frequencies: Tensor) -> Tensor:
        """Return the symbol of every group at frequencies [P, 2]: [P, G, rows, columns]."""
        taps = (self.circles[0].taps, self.circles[1].taps)
        frequencies = frequencies.to(self.operator.weight.device)
        return group_symbols(self.operator.weight, self.operator.groups, taps, frequencies)

    def gains(self, frequencies: Tensor) -> Tensor:
        """Return ||F|| at frequencies [P, 2], the largest over groups: [P]."""
        values = [gram_eigenvalues(symbols).amax((1, 2)) for symbols in self._chunks(frequencies)]
        return torch.cat(values).clamp_min(0).sqrt().cpu()

    def _chunks(self, frequencies: Tensor) -> Iterator[Tensor]:
        strides = math.prod(circle.taps.stride for circle in self.circles)
        size = self.operator.weight[:, :, 0, 0].numel() * strides
        step = max(1, CHUNK // size)
        for start in range(0, len(frequencies), step):
            yield self.symbols(frequencies[start : start + step])


def wrap(axis: Axis) -> Circle | None:
    """Wrap an axis around, or return None if its padding is no shift and no rotation by whole outputs."""
    taps = Taps.of(axis.kernel, axis.stride, axis.dilation, axis.left)
    by_residue: dict[int, list[int]] = {}
    for residue, offset in zip(taps.residue, taps.offset, strict=True):
        by_residue.setdefault(residue, []).append(offset)
    first = {residue: min(offsets) for residue, offsets in by_residue.items()}
    step = math.gcd(*(o - first[r] for r, offsets in by_residue.items() for o in offsets)) or 1
    reduced = tuple((o - first[r]) // step for r, o in zip(taps.residue, taps.offset, strict=True))
    around, rest = divmod(axis.size, axis.stride)
    if axis.padding == "zero":
        period = math.ceil(_least_period(axis, taps) / step)
    elif axis.padding == "circular" and rest == 0 and axis.output <= around:
        period = around // math.gcd(step, around)
    else:
        return None
    return Circle(
        taps=Taps(taps.residue, reduced, taps.stride),
        origin=tuple(first.get(residue, 0) for residue in range(axis.stride)),
        step=step,
        period=period if any(reduced) else 1,
        twisted=axis.padding == "zero",
        exact=axis.padding == "circular" and axis.output == around,
    )


def _least_period(axis: Axis, taps: Taps) -> int:
    """Return the size of the smallest circle on which no output reads a pixel across the seam."""
    period = axis.output
    for residue, offset in zip(taps.residue, taps.offset, strict=True):
        pixels = math.ceil((axis.size - residue) / axis.stride)  # of this component
        period = max(period, pixels)
        if offset < 0:
            period = max(period, pixels - offset)
        if axis.output - 1 + offset >= pixels:
            period = max(period, axis.output + offset)
    return period


def wrap_operator(operator: ConvOperator) -> Torus:
    """Wrap both axes around.

    Raises:
        ValueError: The padding of one cannot be.
    """
    rows, columns = map(wrap, operator.axes)
    if rows is None or columns is None:
        raise ValueError('this padding cannot be wrapped around; use the method "lanczos" or "extension"')
    return Torus(operator, (rows, columns))


def unpad(operator: ConvOperator) -> tuple[ConvOperator, float]:
    """Split off the paddings that cannot be wrapped around.

    Returns:
        The convolution of the extended image, and the norm of the extension: the root of how often the
        most used pixel is read.
    """
    axes, gain = [], 1.0
    for axis in operator.axes:
        if wrap(axis) is None:
            gain *= math.sqrt(axis.multiplicity)
            axis = replace(axis, size=len(axis.source), source=tuple(range(len(axis.source))))
        axes.append(axis)
    return replace(operator, axes=(axes[0], axes[1])), gain


def gram_eigenvalues(matrices: Tensor) -> Tensor:
    """Return the eigenvalues of A* A or A A*, whichever is smaller, ascending: [..., min(rows, columns)]."""
    if matrices.shape[-2] < matrices.shape[-1]:
        matrices = matrices.mH
    if matrices.shape[-1] == 1:
        return matrices.abs().square().sum(-2)
    eigenvalues: Tensor = torch.linalg.eigvalsh(matrices.mH @ matrices)
    return eigenvalues
