"""A convolutional layer as the linear map that it is: sizes, padding, the map and its adjoint.

Everything here reduces to one picture. A layer first *extends* its input, each axis on its own: every
position of the extended image reads one input pixel, or nothing (zero). Then it correlates without padding.
Zero, circular, reflect, replicate padding, their chains and cropping differ only in which pixel is read.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Padding = Literal["zero", "circular", "general"]

ZERO = -1  # in `Axis.source`: the position reads no pixel


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        size: Input pixels.
        source: For each position of the extended axis the pixel that it reads, or ZERO.
        kernel: Taps.
        stride: Of the output.
        dilation: Of the taps.
    """

    size: int
    source: tuple[int, ...]
    kernel: int
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        """Extended positions that one output reads across, from its first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output(self) -> int:
        """Output pixels."""
        return (len(self.source) - self.reach) // self.stride + 1

    @cached_property
    def left(self) -> int:
        """Position of the first output's first tap relative to pixel 0, counted to the left."""
        first = next(i for i, pixel in enumerate(self.source) if pixel != ZERO)
        return first - self.source[first]

    @cached_property
    def padding(self) -> Padding:
        """How the axis is extended: a shift ("zero"), a rotation ("circular"), or anything else."""
        places = range(-self.left, len(self.source) - self.left)
        if self.source == tuple(i if 0 <= i < self.size else ZERO for i in places):
            return "zero"
        if self.source == tuple(i % self.size for i in places):
            return "circular"
        return "general"

    def coincidences(self, like: Tensor) -> Tensor:
        """Count, for each pair of taps, the outputs at which both read the same pixel: [kernel, kernel]."""
        source = torch.tensor(self.source)
        first = torch.arange(self.output) * self.stride
        read = source[first[:, None] + torch.arange(self.kernel) * self.dilation]  # [output, kernel]
        same = (read[:, :, None] == read[:, None, :]) & (read != ZERO)[:, None, :]
        return same.sum(0).to(like)

    @property
    def multiplicity(self) -> int:
        """How often the most used pixel is read into the extended axis; the extension's norm squared."""
        return max(Counter(pixel for pixel in self.source if pixel != ZERO).values())


@dataclass(frozen=True)
class ConvOperator:
    """A bias-free convolution on images of one size.

    A transposed convolution is held as the convolution that it is the adjoint of: their singular values are
    the same, and so are their weights, [in, out / groups, kh, kw] of the one being [out, in / groups, kh, kw]
    of the other.

    Attributes:
        weight: [out, in / groups, kh, kw].
        groups: Of channels.
        axes: Rows, columns.
    """

    weight: Tensor
    groups: int
    axes: tuple[Axis, Axis]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of the input."""
        return self.weight.shape[1] * self.groups, self.axes[0].size, self.axes[1].size

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of the output."""
        return self.weight.shape[0], self.axes[0].output, self.axes[1].output

    def apply(self, images: Tensor) -> Tensor:
        """Map images [B, in, H, W] to [B, out, H', W']."""
        for dim, axis in enumerate(self.axes, start=2):
            images = _extend(images, axis, dim)
        dilation = (self.axes[0].dilation, self.axes[1].dilation)
        return functional.conv2d(
            images, self.weight, stride=self.strides, dilation=dilation, groups=self.groups
        )

    def adjoint(self, images: Tensor) -> Tensor:
        """Map [B, out, H', W'] to [B, in, H, W] with the transpose of `apply`."""
        dilation = (self.axes[0].dilation, self.axes[1].dilation)
        images = functional.conv_transpose2d(
            images, self.weight, stride=self.strides, dilation=dilation, groups=self.groups
        )
        # Positions beyond the last output's last tap, which a stride leaves over, are never read.
        unread = [len(axis.source) - (axis.output - 1) * axis.stride - axis.reach for axis in self.axes]
        images = functional.pad(images, (0, unread[1], 0, unread[0]))
        for dim, axis in enumerate(self.axes, start=2):
            images = _fold(images, axis, dim)
        return images

    def dense(self) -> Tensor:
        """Return the matrix of the map, [out * H' * W', in * H * W]."""
        inputs, outputs = math.prod(self.input_shape), math.prod(self.output_shape)
        units = torch.eye(min(inputs, outputs), dtype=self.weight.dtype, device=self.weight.device)
        if outputs < inputs:
            return self.adjoint(units.view(-1, *self.output_shape)).flatten(1)
        return self.apply(units.view(-1, *self.input_shape)).flatten(1).T

    def frobenius_norm(self) -> Tensor:
        """Return the root of the sum of all squared singular values, in closed form."""
        rows, columns = (axis.coincidences(self.weight) for axis in self.axes)
        taps = self.weight.flatten(0, 1)  # [out * in / groups, kh, kw]
        return torch.einsum("nkl,km,lp,nmp->", taps, rows, columns, taps).clamp_min(0).sqrt()

    @property
    def strides(self) -> tuple[int, int]:
        """Of rows and columns."""
        return self.axes[0].stride, self.axes[1].stride

    def double(self) -> ConvOperator:
        """Return the map with its weights detached and in float64."""
        return ConvOperator(self.weight.detach().double(), self.groups, self.axes)

    @property
    def rounding(self) -> float:
        """Relative allowance for rounding in a bound of the norm.

        Everything is float64. Sums of `terms` products are wrong by at most `terms` ulps of the sum of their
        absolute values, Gram matrices of n channels by n^2 ulps of their norm; 1e-10 at 256 channels.
        """
        outputs, inputs = self.weight.shape[0] // self.groups, self.weight.shape[1]
        terms = max(self.weight[0].numel(), self.weight[:, 0].numel())
        return (64 * terms + 4 * min(outputs, inputs) ** 2) * torch.finfo(torch.float64).eps


def _index(axis: Axis, device: torch.device) -> tuple[Tensor, Tensor]:
    source = torch.tensor(axis.source, device=device)
    return source.clamp_min(0), source != ZERO


def _extend(images: Tensor, axis: Axis, dim: int) -> Tensor:
    if axis.padding == "zero":
        amounts = [axis.left, len(axis.source) - axis.left - axis.size]
        return functional.pad(images, amounts if dim == 3 else [0, 0, *amounts])
    index, kept = _index(axis, images.device)
    extended = images.index_select(dim, index)
    if kept.all():
        return extended
    return extended * kept.view(-1, *(1,) * (images.ndim - 1 - dim))


def _fold(images: Tensor, axis: Axis, dim: int) -> Tensor:
    """Apply the transpose of `_extend`: add each extended position to the pixel that it reads."""
    if axis.padding == "zero":
        amounts = [-axis.left, axis.left + axis.size - len(axis.source)]
        return functional.pad(images, amounts if dim == 3 else [0, 0, *amounts])
    index, kept = _index(axis, images.device)
    shape = list(images.shape)
    shape[dim] = axis.size
    if not kept.all():
        images = images * kept.view(-1, *(1,) * (images.ndim - 1 - dim))
    return images.new_zeros(shape).index_add(dim, index, images)
