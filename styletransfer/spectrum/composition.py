"""Products of convolutions: chains of them as one kernel, and one kernel as a chain of two cheaper ones.

Without a nonlinearity between them, two convolutions are one convolution, whose taps are all sums of a tap of
the first and a tap of the second. Its norm is that of the chain, where the product of the two norms is only
an upper bound: it assumes that the second amplifies most just what the first amplifies most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .symbol import as_pair

Unfolding = Literal["separable", "channels"]


def compose(
    first: Tensor,
    second: Tensor,
    *,
    stride: int | tuple[int, int] = 1,
    dilations: tuple[int | tuple[int, int], int | tuple[int, int]] = (1, 1),
    groups: tuple[int, int] = (1, 1),
) -> Tensor:
    """Return the kernel of the one convolution that equals a second convolution after a first.

    The equality is exact without padding, and with circular padding where the first stride divides the image.
    The stride of the product is the product of the strides, its dilation is 1, and its groups are the
    greatest common divisor of `groups`. Its padding is `first padding + first stride * second padding`.

    Args:
        first: Kernel of the first convolution, [mid, in / groups, h1, w1].
        second: Kernel of the second convolution, [out, mid / groups, h2, w2].
        stride: Stride of the first convolution; that of the second does not change the kernel.
        dilations: Dilations of the first and of the second convolution.
        groups: Groups of channels of the first and of the second convolution.

    Returns:
        [out, in / groups, d1 (h1 - 1) + s1 d2 (h2 - 1) + 1, and the same of the widths]; differentiable.

    Raises:
        ValueError: The shapes or the groups of the two kernels do not fit each other.
    """
    if first.ndim != 4 or second.ndim != 4 or first.shape[0] != second.shape[1] * groups[1]:
        raise ValueError(
            f"a kernel {list(second.shape)} of {groups[1]} groups cannot follow one of {list(first.shape)}"
        )
    if first.shape[0] % groups[0] or second.shape[0] % groups[1]:
        raise ValueError(f"groups {groups} do not divide {first.shape[0]} and {second.shape[0]} channels")
    common = math.gcd(*groups)
    first, second = _merge_groups(first, groups[0], common), _merge_groups(second, groups[1], common)
    # A transposed convolution places one copy of its kernel per pixel of its image, at distances of its
    # stride, with dilated taps. Here the second kernel is that image, one for each output channel.
    outputs, _, *taps = second.shape
    images = second.reshape(common, outputs // common, -1, *taps).transpose(0, 1)
    images = images.flatten(1, 2)  # [out / common, mid, h2, w2]
    step = tuple(s * d for s, d in zip(as_pair(stride), as_pair(dilations[1]), strict=True))
    product = functional.conv_transpose2d(
        images, first, stride=step, dilation=as_pair(dilations[0]), groups=common
    )
    size = product.shape[2:]
    grouped = product.view(outputs // common, common, -1, *size).transpose(0, 1)
    return grouped.reshape(outputs, -1, *size)


def compose_layers(layers: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """Build the one convolution that equals a chain of convolutions, with their padding and biases.

    Args:
        layers: Convolutions in the order in which they are applied, all without padding or all with circular
            padding. With circular padding, every stride has to divide the rows and columns that it meets.

    Returns:
        A new layer with the product of the kernels, in their precision. With circular padding, an image may
        not be smaller than the sum of the paddings, as for any layer of torch.

    Raises:
        ValueError: There is no layer, or a padding is neither 0 nor circular; zeros between two layers, or
            reflections, are no padding of one layer.
    """
    if not layers:
        raise ValueError("there is no layer to compose")
    paddings = [_padding_of(layer) for layer in layers]
    if any(map(any, paddings)) and not all(layer.padding_mode == "circular" for layer in layers):
        raise ValueError("only convolutions without padding, or all with circular padding, are one layer")
    kernel, bias, groups = layers[0].weight, layers[0].bias, layers[0].groups
    dilation = cast(tuple[int, int], layers[0].dilation)
    stride, padding = cast(tuple[int, int], layers[0].stride), paddings[0]
    for layer, amounts in zip(layers[1:], paddings[1:], strict=True):
        dilations = (dilation, cast(tuple[int, int], layer.dilation))
        kernel = compose(
            kernel, layer.weight, stride=stride, dilations=dilations, groups=(groups, layer.groups)
        )
        if bias is not None:  # a constant image goes through the second layer like one pixel
            constant = bias[:, None, None].expand(-1, *layer.weight.shape[2:])
            bias = functional.conv2d(constant[None], layer.weight, layer.bias, groups=layer.groups).flatten()
        else:
            bias = layer.bias
        groups, dilation = math.gcd(groups, layer.groups), (1, 1)
        padding = padding[0] + stride[0] * amounts[0], padding[1] + stride[1] * amounts[1]
        stride = stride[0] * layer.stride[0], stride[1] * layer.stride[1]
    with torch.device("meta"):  # draws no random numbers
        whole = nn.Conv2d(
            kernel.shape[1] * groups,
            kernel.shape[0],
            cast(tuple[int, int], tuple(kernel.shape[2:])),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias is not None,
            padding_mode=layers[0].padding_mode,
        )
    whole.weight = nn.Parameter(kernel.detach().clone())
    if bias is not None:
        whole.bias = nn.Parameter(bias.detach().clone())
    return whole


def factorize(kernel: Tensor, rank: int, unfolding: Unfolding = "separable") -> tuple[Tensor, Tensor]:
    """Approximate a kernel by the product of two cheaper ones, by the SVD of its unfolding.

    `compose` of the two kernels is the best approximation of this form in the sum of squares of the kernel's
    entries. Its error as a map of images is the norm of the convolution with the difference of both, as
    `spectral_norm` computes it. At full rank there is none.

    Args:
        kernel: Kernel of a convolution in one group, [out, in, h, w].
        rank: Channels between the two, at least 1; at most the rank of the unfolding are used.
        unfolding: "separable" for a column of taps before a row of taps (unfolded to [in * h, out * w]),
            "channels" for all taps before a mixture of channels (unfolded to [in * h * w, out]).

    Returns:
        The first kernel, [rank, in, h, 1] or [rank, in, h, w], and the second, [out, rank, 1, w] or
        [out, rank, 1, 1]; differentiable where the singular values differ. The second takes the stride and
        dilation of the columns, the first those of the rows; of "channels" the first takes both.

    Raises:
        ValueError: The rank is below 1, the unfolding is unknown, or the kernel does not have 4 axes.

    Source: Jaderberg et al. 2014 (arXiv 1405.3866), separable filters; Tai et al. 2016 (arXiv 1511.06067),
    the global optimum by one SVD.
    """
    if rank < 1 or unfolding not in {"separable", "channels"} or kernel.ndim != 4:
        raise ValueError(f"no factorization {unfolding!r} of rank {rank} of a kernel {list(kernel.shape)}")
    outputs, inputs, height, width = kernel.shape
    split = 1 if unfolding == "separable" else width  # columns of the first kernel
    matrix = kernel.permute(1, 2, 3, 0).reshape(inputs * height * split, -1)  # [in h split, (w / split) out]
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    share = values[:rank].sqrt()
    first = (left[:, :rank] * share).T.reshape(-1, inputs, height, split)
    second = (share[:, None] * right[:rank]).reshape(len(share), 1, width // split, outputs)
    return first, second.permute(3, 0, 1, 2)


def _merge_groups(kernel: Tensor, groups: int, fewer: int) -> Tensor:
    """Write a kernel of many groups as one of fewer, with zeros between channels of different groups.

    Args:
        kernel: [out, in / groups, h, w].
        groups: Its groups.
        fewer: A divisor of them.

    Returns:
        [out, in / fewer, h, w].
    """
    merged = groups // fewer
    if merged == 1:
        return kernel
    outputs, inputs = kernel.shape[:2]
    within = torch.arange(outputs, device=kernel.device) // (outputs // groups) % merged
    own = functional.one_hot(within, merged).to(kernel)  # [out, merged]
    return torch.einsum("om,oihw->omihw", own, kernel).reshape(outputs, merged * inputs, *kernel.shape[2:])


def _padding_of(layer: nn.Conv2d) -> tuple[int, int]:
    if isinstance(layer.padding, str):
        spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        if layer.padding == "same" and any(span % 2 for span in spans):
            raise ValueError("the padding 'same' of an even kernel differs on the two sides")
        return (spans[0] // 2, spans[1] // 2) if layer.padding == "same" else (0, 0)
    rows, columns = layer.padding
    return rows, columns
