"""Twisted circulants: convolutions on a torus that contain a convolution with borders as a block.

A zero-padded convolution on n pixels is a block of a convolution on a circle of m positions, where m is at
least n plus what the taps reach beyond the image. No output inside the image reads across the seam of the
circle. The seam may therefore carry any phase theta (a *twist*), and the frequencies of the circulant are
(2 pi j + theta) / m. The largest singular value of the symbol at these frequencies bounds the norm of the
convolution, for every theta.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .conv_operator import Axis, ConvOperator
from .symbol import Taps, gram_eigenvalues, group_symbols

CHUNK = 2**22  # complex numbers held at once


@dataclass(frozen=True)
class CirculantAxis:
    """One axis, closed to a circle.

    The symbol's singular values depend on the frequency w only through `step * w`: a dilation, or a stride
    that shares a factor with it, splits the axis into interleaved copies of one smaller circle. Frequencies
    of this class are those of one copy, v = step * w.

    Attributes:
        taps: Taps on one copy; the first tap of each polyphase component has offset 0.
        origin: What was subtracted from the offsets of each component, in output pixels.
        step: Output pixels between neighbors within a copy.
        period: Positions around the circle of one copy; 1 if the symbol does not depend on the frequency.
        twisted: Whether any phase is allowed; circular padding allows only phase 0.
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
        """Degree of the symbol as a trigonometric polynomial, with each component centered."""
        return max(self.taps.offset) / 2

    def wave(self, size: int, frequency: float) -> Tensor:
        """Return the wave exp(-i w x) of a frequency of this circle at the input pixels: [size], complex."""
        pixel = torch.arange(size)
        origin = torch.tensor(self.origin)[pixel % self.taps.stride]
        position = (pixel // self.taps.stride - origin).double()
        phase = -frequency / self.step * position
        return torch.polar(torch.ones_like(phase), phase)


@dataclass(frozen=True)
class Circulant:
    """A convolution on a torus: both axes closed to circles.

    Attributes:
        operator: The convolution with borders that the circulant contains, in float64.
        axes: Rows and columns.
    """

    operator: ConvOperator
    axes: tuple[CirculantAxis, CirculantAxis]

    def symbols(self, frequencies: Tensor) -> Tensor:
        """Return the symbol of every group at frequencies [P, 2]: [P, G, rows, columns]."""
        taps = (self.axes[0].taps, self.axes[1].taps)
        frequencies = frequencies.to(self.operator.weight.device)
        return group_symbols(self.operator.weight, self.operator.groups, taps, frequencies)

    def gains(self, frequencies: Tensor) -> Tensor:
        """Return ||F||, the largest over the groups, at frequencies [P, 2]: [P]."""
        values = [gram_eigenvalues(symbols).amax((1, 2)) for symbols in self._chunks(frequencies)]
        return torch.cat(values).clamp_min(0).sqrt().cpu()

    def _chunks(self, frequencies: Tensor) -> Iterator[Tensor]:
        strides = math.prod(axis.taps.stride for axis in self.axes)
        size = self.operator.weight[:, :, 0, 0].numel() * strides
        step = max(1, CHUNK // size)
        for start in range(0, len(frequencies), step):
            yield self.symbols(frequencies[start : start + step])


def close_axis(axis: Axis) -> CirculantAxis | None:
    """Close an axis to a circle.

    Returns:
        The circle, or None if the padding is neither zero nor circular by whole outputs.
    """
    taps = Taps.from_kernel(axis.kernel, axis.stride, axis.dilation, axis.left)
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
    return CirculantAxis(
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


def has_circulant(operator: ConvOperator) -> bool:
    """Tell whether the padding of both axes allows `embed_in_circulant`."""
    return None not in map(close_axis, operator.axes)


def embed_in_circulant(operator: ConvOperator) -> Circulant:
    """Return a circulant that contains a convolution as a block.

    Raises:
        ValueError: The padding of an axis is neither zero nor circular by whole outputs.
    """
    rows, columns = map(close_axis, operator.axes)
    if rows is None or columns is None:
        raise ValueError(
            'no circulant contains a convolution with this padding; use the method "lanczos" or "extension"'
        )
    return Circulant(operator, (rows, columns))


def split_padding(operator: ConvOperator) -> tuple[ConvOperator, float]:
    """Split a convolution into an extension of the image and a convolution that a circulant contains.

    Returns:
        The convolution of the extended image, and the norm of the extension: the root of how often the
        most used pixel is read. Axes that can be closed to a circle stay as they are.
    """
    axes, extension_norm = [], 1.0
    for axis in operator.axes:
        if close_axis(axis) is None:
            extension_norm *= math.sqrt(axis.multiplicity)
            axis = replace(axis, size=len(axis.source), source=tuple(range(len(axis.source))))
        axes.append(axis)
    return replace(operator, axes=(axes[0], axes[1])), extension_norm
