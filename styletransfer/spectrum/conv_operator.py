"""A convolutional layer as a linear map: how a torch module is read, the map, and its adjoint.

Every layer is described in the same way. It first *extends* its input, each axis separately: every position
of the extended image reads one input pixel, or nothing (zero). Then it correlates the extended image with its
kernel, without padding. Zero, circular, reflect and replicate padding, chains of them, and cropping differ
only in which pixel each position reads.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Convolution = nn.Conv2d | nn.ConvTranspose2d
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]  # as `nn.Conv2d` names them
AxisPadding = Literal["zero", "circular", "general"]

ZERO = -1  # in `Axis.source`: the position reads no pixel

# Padding modules with the mode of torch.nn.functional.pad that they apply. A constant other than 0 only adds
# to the bias, which is ignored.
PADDING_MODULES: dict[type[nn.Module], str] = {
    nn.ZeroPad2d: "constant",
    nn.ConstantPad2d: "constant",
    nn.ReflectionPad2d: "reflect",
    nn.ReplicationPad2d: "replicate",
    nn.CircularPad2d: "circular",
}


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        size: Number of input pixels.
        source: Pixel that each position of the extended axis reads, or ZERO.
        kernel: Number of taps.
        stride: Input pixels between two neighboring outputs.
        dilation: Input pixels between two neighboring taps.
    """

    size: int
    source: tuple[int, ...]
    kernel: int
    stride: int
    dilation: int

    @property
    def kernel_span(self) -> int:
        """Number of extended positions from an output's first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output(self) -> int:
        """Number of output pixels."""
        return (len(self.source) - self.kernel_span) // self.stride + 1

    @cached_property
    def left(self) -> int:
        """Distance of the first output's first tap from pixel 0, counted to the left."""
        first = next(i for i, pixel in enumerate(self.source) if pixel != ZERO)
        return first - self.source[first]

    @cached_property
    def padding(self) -> AxisPadding:
        """How the axis is extended: by zeros ("zero"), periodically ("circular") or otherwise ("general")."""
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
        """Largest number of extended positions that read the same pixel; the extension's norm squared."""
        return max(Counter(pixel for pixel in self.source if pixel != ZERO).values())


@dataclass(frozen=True)
class ConvOperator:
    """A convolution without its bias, on images of one size.

    A transposed convolution is represented by the convolution whose adjoint it is. Both have the same
    singular values and the same weight: [in, out / groups, kh, kw] of the one is [out, in / groups, kh, kw]
    of the other.

    Attributes:
        weight: Kernel, [out, in / groups, kh, kw].
        groups: Number of channel groups.
        axes: Rows and columns.
    """

    weight: Tensor
    groups: int
    axes: tuple[Axis, Axis]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the input."""
        return self.weight.shape[1] * self.groups, self.axes[0].size, self.axes[1].size

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the output."""
        return self.weight.shape[0], self.axes[0].output, self.axes[1].output

    @property
    def strides(self) -> tuple[int, int]:
        """Strides of rows and columns."""
        return self.axes[0].stride, self.axes[1].stride

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
        # A stride may leave positions beyond the last output's last tap, which are never read.
        unread = [len(axis.source) - (axis.output - 1) * axis.stride - axis.kernel_span for axis in self.axes]
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

    def double(self) -> ConvOperator:
        """Return the map with its weight detached and in float64."""
        return ConvOperator(self.weight.detach().double(), self.groups, self.axes)

    @property
    def rounding_margin(self) -> float:
        """Relative margin that covers rounding errors in a bound of the norm.

        All bounds are computed in float64. The error of a sum of `terms` products is at most `terms` ulps of
        the sum of their absolute values, that of a Gram matrix of n channels at most n^2 ulps of its norm.
        The margin is 1e-10 at 256 channels.
        """
        outputs, inputs = self.weight.shape[0] // self.groups, self.weight.shape[1]
        terms = max(self.weight[0].numel(), self.weight[:, 0].numel())
        return (64 * terms + 4 * min(outputs, inputs) ** 2) * torch.finfo(torch.float64).eps


def conv_operator(module: nn.Module, input_size: Sequence[int]) -> ConvOperator:
    """Read a layer as a linear map; its bias is ignored.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of 2-d padding modules that ends in a
            `Conv2d`.
        input_size: Rows and columns of the layer's input (before any padding module).

    Returns:
        The map; for a transposed convolution its adjoint, which has the same singular values.

    Raises:
        TypeError: The module is none of these.
        ValueError: The image is smaller than the padding or the kernel needs.
    """
    height, width = input_size
    if height < 1 or width < 1:
        raise ValueError(f"an image of {_pixels(input_size)} is empty")
    if isinstance(module, nn.ConvTranspose2d):
        return _adjoint_of_transposed(module, (height, width))
    *pads, conv = module if isinstance(module, nn.Sequential) else (module,)
    if not isinstance(conv, nn.Conv2d):
        raise TypeError(f"{type(conv).__name__} is not a two-dimensional convolution")
    rows, columns = list(range(height)), list(range(width))
    for pad in pads:
        mode = next((mode for kind, mode in PADDING_MODULES.items() if isinstance(pad, kind)), None)
        if mode is None:
            raise TypeError(f"{type(pad).__name__} before a convolution is not a two-dimensional padding")
        left, right, top, bottom = cast(tuple[int, int, int, int], pad.padding)
        rows, columns = _pad(rows, top, bottom, mode), _pad(columns, left, right, mode)
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    extended = []
    for dim, source in enumerate((rows, columns)):
        before, after = _conv_padding(conv, dim)
        extended.append(_pad(source, before, after, mode))
    axes = tuple(
        Axis(size, tuple(source), conv.kernel_size[dim], conv.stride[dim], conv.dilation[dim])
        for dim, (size, source) in enumerate(zip((height, width), extended, strict=True))
    )
    _check_sizes(axes, input_size)
    return ConvOperator(conv.weight, conv.groups, cast(tuple[Axis, Axis], axes))


def find_convolutions(network: nn.Module) -> dict[str, Convolution]:
    """Return the two-dimensional convolutions of a network by name, in the order in which it holds them."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Convolution)}


def build_convolution(weight: Tensor, padding: PaddingMode = "zeros") -> nn.Conv2d:
    """Build the convolution of stride 1 and without bias that has a given kernel.

    Args:
        weight: Kernel, [out, in, h, w]; the layer holds it without a copy.
        padding: How the image is padded, by half a kernel on each side: an odd kernel keeps the size.
    """
    outputs, inputs, height, width = weight.shape
    half = height // 2, width // 2
    with torch.device("meta"):  # draws no random numbers
        layer = nn.Conv2d(inputs, outputs, (height, width), padding=half, padding_mode=padding, bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


def build_convolutions(weights: Mapping[str, Tensor], padding: PaddingMode = "zeros") -> dict[str, nn.Conv2d]:
    """Build a convolution of stride 1 from every kernel among loose weights, such as those of a file.

    Args:
        weights: Tensors by name. Floating-point tensors of four dimensions are kernels [out, in, h, w];
            others are left out.
        padding: How the image is padded, see `build_convolution`.

    Returns:
        The convolutions, in the order of the weights; a name loses its suffix ".weight".
    """
    return {
        name.removesuffix(".weight"): build_convolution(weight, padding)
        for name, weight in weights.items()
        if weight.ndim == 4 and weight.is_floating_point()
    }


def _adjoint_of_transposed(module: nn.ConvTranspose2d, input_size: tuple[int, int]) -> ConvOperator:
    axes = []
    for dim, size in enumerate(input_size):
        kernel, stride, dilation = module.kernel_size[dim], module.stride[dim], module.dilation[dim]
        padding, extra = module.padding[dim], module.output_padding[dim]
        assert isinstance(padding, int)
        # The transposed convolution writes these positions, then crops `padding` on either side and appends
        # `extra` on the right. Its adjoint reads exactly the same positions.
        written = (size - 1) * stride + dilation * (kernel - 1) + 1
        output = written - 2 * padding + extra
        if output < 1:
            raise ValueError(f"an image of {_pixels(input_size)} leaves no output at padding {padding}")
        source = [i if 0 <= i < output else ZERO for i in range(-padding, written - padding)]
        axes.append(Axis(output, tuple(source), kernel, stride, dilation))
    return ConvOperator(module.weight, module.groups, (axes[0], axes[1]))


def _conv_padding(conv: nn.Conv2d, dim: int) -> tuple[int, int]:
    if conv.padding == "valid":
        return 0, 0
    if conv.padding == "same":
        total = conv.dilation[dim] * (conv.kernel_size[dim] - 1)
        return total // 2, total - total // 2
    amount = cast(tuple[int, int], conv.padding)[dim]
    return amount, amount


def _pad(source: list[int], before: int, after: int, mode: str) -> list[int]:
    """Extend (or, where negative, crop) a list of pixels the way `torch.nn.functional.pad` does."""
    size = len(source)
    widest = max(before, after)
    limit = {"reflect": size - 1, "circular": size}.get(mode, widest)
    if widest > limit or before + size + after < 1:
        raise ValueError(f"{mode} padding of {before} and {after} needs a larger image than {size} pixels")
    positions = range(-before, size + after)
    if mode == "constant":
        return [source[i] if 0 <= i < size else ZERO for i in positions]
    if mode == "circular":
        return [source[i % size] for i in positions]
    if mode == "replicate":
        return [source[min(max(i, 0), size - 1)] for i in positions]
    if mode == "reflect":
        return [source[(size - 1) - abs((size - 1) - abs(i))] for i in positions]
    raise TypeError(f"unknown padding mode {mode!r}")


def _check_sizes(axes: tuple[Axis, ...], input_size: Sequence[int]) -> None:
    for axis in axes:
        if axis.output < 1:
            raise ValueError(
                f"an image of {_pixels(input_size)}, padded to {len(axis.source)}, is smaller than the "
                f"kernel, which spans {axis.kernel_span}"
            )
        if all(pixel == ZERO for pixel in axis.source):
            raise ValueError("the padding crops the whole image away")


def _pixels(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def _extend(images: Tensor, axis: Axis, dim: int) -> Tensor:
    if axis.padding == "zero":
        amounts = [axis.left, len(axis.source) - axis.left - axis.size]
        return functional.pad(images, amounts if dim == 3 else [0, 0, *amounts])
    index, kept = _source_index(axis, images.device)
    extended = images.index_select(dim, index)
    if kept.all():
        return extended
    return extended * kept.view(-1, *(1,) * (images.ndim - 1 - dim))


def _fold(images: Tensor, axis: Axis, dim: int) -> Tensor:
    """Apply the transpose of `_extend`: add each extended position to the pixel that it reads."""
    if axis.padding == "zero":
        amounts = [-axis.left, axis.left + axis.size - len(axis.source)]
        return functional.pad(images, amounts if dim == 3 else [0, 0, *amounts])
    index, kept = _source_index(axis, images.device)
    shape = list(images.shape)
    shape[dim] = axis.size
    if not kept.all():
        images = images * kept.view(-1, *(1,) * (images.ndim - 1 - dim))
    return images.new_zeros(shape).index_add(dim, index, images)


def _source_index(axis: Axis, device: torch.device) -> tuple[Tensor, Tensor]:
    source = torch.tensor(axis.source, device=device)
    return source.clamp_min(0), source != ZERO
