"""Read modules of torch as linear maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from .operator import ZERO, Axis, ConvOperator

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]  # of nn.Conv2d

# Padding modules by the mode of torch.nn.functional.pad; a constant other than 0 only adds to the bias.
MODES: dict[type[nn.Module], str] = {
    nn.ZeroPad2d: "constant",
    nn.ConstantPad2d: "constant",
    nn.ReflectionPad2d: "reflect",
    nn.ReplicationPad2d: "replicate",
    nn.CircularPad2d: "circular",
}


def build_convolution(weight: Tensor, padding: PaddingMode = "zeros") -> nn.Conv2d:
    """Build the convolution of stride 1 that a loose kernel [out, in, h, w] stands for.

    Padding of half a kernel: the size stays if the kernel is odd. No bias.
    """
    outputs, inputs, height, width = weight.shape
    half = height // 2, width // 2
    with torch.device("meta"):  # draws no random numbers
        layer = nn.Conv2d(inputs, outputs, (height, width), padding=half, padding_mode=padding, bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


def conv_operator(module: nn.Module, input_size: Sequence[int]) -> ConvOperator:
    """Read a layer as a linear map; its bias is ignored.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of 2-d padding modules that ends in a
            `Conv2d`.
        input_size: Rows and columns of the layer's input (before any padding module).

    Returns:
        The map; for a transposed convolution, its adjoint, which has the same singular values.

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
        mode = next((mode for kind, mode in MODES.items() if isinstance(pad, kind)), None)
        if mode is None:
            raise TypeError(f"{type(pad).__name__} before a convolution is no two-dimensional padding")
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


def _adjoint_of_transposed(module: nn.ConvTranspose2d, input_size: tuple[int, int]) -> ConvOperator:
    axes = []
    for dim, size in enumerate(input_size):
        kernel, stride, dilation = module.kernel_size[dim], module.stride[dim], module.dilation[dim]
        padding, extra = module.padding[dim], module.output_padding[dim]
        assert isinstance(padding, int)
        # The adjoint reads exactly the positions that the transposed convolution writes before it crops
        # `padding` on either side and appends `extra` on the right.
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
    raise TypeError(f"padding mode {mode!r} is not known")


def _check_sizes(axes: tuple[Axis, ...], input_size: Sequence[int]) -> None:
    for axis in axes:
        if axis.output < 1:
            raise ValueError(
                f"an image of {_pixels(input_size)}, padded to {len(axis.source)}, is smaller than the "
                f"kernel, which spans {axis.reach}"
            )
        if all(pixel == ZERO for pixel in axis.source):
            raise ValueError("the padding crops the whole image away")


def _pixels(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
