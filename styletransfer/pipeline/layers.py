"""The layers of the network, each a map that computes its rows from those of the maps before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .rows import FeatureMap, Shape

# Numbers that this processor's convolutions work on at once.
LANES = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)
# Numbers up to which PyTorch gives an input to a convolution that is slower and rounds otherwise: strips
# would show in the last bits, which bfloat16 makes visible.
SMALL = 20480


class Kernel(NamedTuple):
    """A convolution: weight [out, in, 3, 3 or more] and bias [out], of the type and device it computes in."""

    weight: Tensor
    bias: Tensor


class PictureMap(FeatureMap):
    """The samples of a picture, 0..255 whatever their depth: bytes are exact even in bfloat16.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        dtype: Of the map.
        device: Of the map; rows are moved as they are asked for.
    """

    def __init__(self, samples: Tensor, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(Shape(samples.shape[1], samples.shape[2], 3, dtype, device))
        self.samples = samples

    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Copy rows, channels last."""
        rows = self.samples[:, start:stop].permute(1, 2, 0).to(self.shape.device)
        if self.samples.dtype == torch.uint16:
            rows = rows.float() / 257
        elif self.samples.is_floating_point():
            rows = rows * 255
        return (self.shape.allocate(stop - start) if out is None else out).copy_(rows)


class ConvolvedMap(FeatureMap):
    """A 3x3 convolution with replicated borders and an activation.

    Padding, bias and activation take no pass of their own: the source holds its margin, and the activation
    is what moves the result to its place.

    Args:
        source: What is convolved.
        kernel: By what.
        slope: Of the activation below zero: 0 for a ReLU, 1 for none.
    """

    def __init__(self, source: FeatureMap, kernel: Kernel, slope: float) -> None:
        shape = source.shape._replace(channels=len(kernel.weight), dtype=kernel.weight.dtype)
        super().__init__(shape, [source.read(margin=1)])
        self.slope = slope
        row = (source.shape.width + 2) * source.shape.channels
        self.step = max(1, SMALL // row - 1)  # with one more above and below
        self.together = count_together(self.shape)
        self.kernel = put_side_by_side(kernel, self.together)

    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Convolve rows."""
        rows = to_batch(self.sources[0].take(start, stop).to(self.shape.dtype))
        result = from_batch(F.conv2d(rows, *self.kernel, stride=(1, self.together)))
        result = result.view(stop - start, self.shape.width, self.shape.channels)
        if self.slope == 1:
            return result if out is None else out.copy_(result)
        # PyTorch's functions of this name write to new memory or to their input only.
        torch.ops.aten.leaky_relu.out(result, self.slope, out=result if out is None else out)
        return result if out is None else out


def count_together(shape: Shape) -> int:
    """Return how many pixels beside each other a convolution to a map should compute as if they were one.

    Processors with AVX-512 compute 16 channels at a time, also where only three are wanted: the colours of
    four pixels take half as long together.
    """
    most = LANES // shape.channels if shape.device.type == "cpu" else 1
    return next((count for count in range(min(most, 4), 1, -1) if shape.width % count == 0), 1)


def put_side_by_side(kernel: Kernel, count: int) -> Kernel:
    """Return a convolution that computes pixels beside each other as the channels of one.

    Args:
        kernel: Weight [out, in, 3, 3] and bias [out].
        count: Of the pixels.

    Returns:
        Weight [count * out, in, 3, count + 2], for steps of `count` pixels, and bias [count * out].
    """
    if count == 1:
        return kernel
    padded = [F.pad(kernel.weight, (index, count - 1 - index)) for index in range(count)]
    weight = torch.cat(padded).contiguous(memory_format=torch.channels_last)
    return Kernel(weight, kernel.bias.repeat(count))


class PooledMap(FeatureMap):
    """Averages or maxima of 2 x 2 pixels, of what there is of them at odd borders.

    Args:
        source: The map to be halved.
        pooling: "average" or "max".
        dtype: Of the result, and of what it is computed in.
    """

    def __init__(self, source: FeatureMap, pooling: str, dtype: torch.dtype) -> None:
        height, width = -(-source.shape.height // 2), -(-source.shape.width // 2)
        super().__init__(source.shape._replace(height=height, width=width, dtype=dtype), [source.read()])
        self.fine_height = source.shape.height
        self.pooling = pooling

    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Pool pairs of rows."""
        rows = self.sources[0].take(2 * start, min(2 * stop, self.fine_height)).to(self.shape.dtype)
        narrow = self.shape.allocate(len(rows))
        self._pool(rows.transpose(0, 1), narrow.transpose(0, 1))
        out = self.shape.allocate(stop - start) if out is None else out
        self._pool(narrow, out)
        return out

    def _pool(self, values: Tensor, out: Tensor) -> None:
        """Pool pairs along the first dimension; the last of an odd number stays."""
        even, odd = values[::2], values[1::2]
        pairs = len(odd)
        if self.pooling == "average":
            torch.lerp(even[:pairs], odd, 0.5, out=out[:pairs])
        else:
            torch.maximum(even[:pairs], odd, out=out[:pairs])
        out[pairs:] = even[pairs:]


class MergedMap(FeatureMap):
    """Features from below, doubled bilinearly, plus the encoder's own, weighted per channel.

    Args:
        upper: Features [ceil(H / 2), ceil(W / 2), C].
        features: The encoder's [H, W, C].
        skip: Weights of the encoder's channels, C numbers.
        dtype: Of the result, computed in float32 and rounded once.
    """

    step = 2

    def __init__(self, upper: FeatureMap, features: FeatureMap, skip: Tensor, dtype: torch.dtype) -> None:
        super().__init__(features.shape._replace(dtype=dtype), [upper.read(margin=1), features.read()])
        # Repeated for a row of pixels: long runs are added several times faster.
        self.weights = skip.to(self.shape.device, torch.float32).repeat(self.shape.width)

    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Double rows and add to them."""
        upper = self.sources[0].take(start // 2, -(-stop // 2)).float()
        # Rounded whether they come from a store or not.
        features = self.sources[1].take(start, stop).to(self.shape.dtype).float()
        high = upper.new_empty(stop - start, *upper.shape[1:])
        double(upper, high)
        rounds = self.shape.dtype != torch.float32
        out = self.shape.allocate(stop - start) if out is None else out
        sums = features.new_empty(features.shape) if rounds else out
        double(high.transpose(0, 1), sums.transpose(0, 1))
        sums.flatten(1).addcmul_(features.flatten(1), self.weights)
        return out.copy_(sums) if rounds else out


def double(values: Tensor, out: Tensor) -> None:
    """Interpolate linearly along the first dimension, as `F.interpolate` does with a scale factor of 2.

    Args:
        values: [N + 2, ...], with what lies before and behind them.
        out: [2 N, ...], or [2 N - 1, ...] without the last.
    """
    for index, neighbours in enumerate((values[:-2], values[2:])):
        doubled = out[index::2]
        count = len(doubled)
        torch.lerp(values[1 : 1 + count], neighbours[:count], 0.25, out=doubled)


def to_batch(rows: Tensor) -> Tensor:
    """View rows [h, W, C] as [1, C, h, W], which torch recognises as channels-last."""
    return rows.unsqueeze(0).permute(0, 3, 1, 2)


def from_batch(features: Tensor) -> Tensor:
    """View [1, C, h, W] as rows [h, W, C]; a copy only where a device has no channels-last layers."""
    return features.permute(0, 2, 3, 1)[0].contiguous()


def chain_convolutions(
    source: FeatureMap, kernels: Sequence[Kernel], slope: float, *, activate_last: bool = True
) -> FeatureMap:
    """Put convolutions in a row, with an activation after each, or after each but the last."""
    for index, kernel in enumerate(kernels):
        linear = index == len(kernels) - 1 and not activate_last
        source = ConvolvedMap(source, kernel, 1 if linear else slope)
    return source
