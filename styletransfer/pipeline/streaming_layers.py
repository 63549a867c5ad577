"""The layers of the network as streamed maps, and their weights with the transfer folded in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..linalg.device_placement import SMALL_INPUT, limit_convolution_threads
from .regions import AffineMap, RegionWeights, mix_maps
from .streamed_maps import FeatureMap, MapShape

# float32 values that one instruction of this processor handles.
SIMD_WIDTH = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)


class ConvParameters(NamedTuple):
    """Weight [out, in, 3, 3 or more] and bias [out] of a convolution, on its device and in its dtype."""

    weight: Tensor
    bias: Tensor

    def to(self, dtype: torch.dtype, device: torch.device) -> ConvParameters:
        """Return the parameters in a dtype on a device, channels last."""
        weight = self.weight.to(dtype).to(device).contiguous(memory_format=torch.channels_last)
        return ConvParameters(weight, self.bias.to(dtype).to(device))

    def scale_inputs(self, factor: float) -> ConvParameters:
        """Return parameters that give the same output for an input that is multiplied by a factor."""
        return ConvParameters(self.weight / factor, self.bias)

    def scale_outputs(self, factor: float) -> ConvParameters:
        """Return parameters whose output is multiplied by a factor."""
        return ConvParameters(self.weight * factor, self.bias * factor)

    def fold_map(self, matrix: Tensor, offset: Tensor) -> ConvParameters:
        """Fold the per-pixel map y = matrix x + offset before the convolution into its parameters.

        This is exact at the borders too, because replicating pixels and mapping each of them commute.

        Args:
            matrix: [in, in].
            offset: [in].
        """
        weight = self.weight.permute(0, 2, 3, 1)  # [out, 3, 3, in], as it lies in memory
        bias = self.bias + (weight @ offset).sum((1, 2))
        return ConvParameters((weight @ matrix).permute(0, 3, 1, 2), bias)

    def group_pixels(self, count: int) -> ConvParameters:
        """Return a convolution that computes neighboring pixels of a row as channels of one pixel.

        Args:
            count: Number of pixels.

        Returns:
            Weight [count * out, in, 3, count + 2], for a stride of `count` pixels, and bias [count * out].
        """
        if count == 1:
            return self
        padded = [F.pad(self.weight, (index, count - 1 - index)) for index in range(count)]
        weight = torch.cat(padded).contiguous(memory_format=torch.channels_last)
        return ConvParameters(weight, self.bias.repeat(count))


def read_parameters(layers: nn.Module) -> list[ConvParameters]:
    """Return the parameters of all convolutions among some layers, in float64 on the CPU."""
    return [
        ConvParameters(layer.weight.detach(), bias.detach()).to(torch.float64, torch.device("cpu"))
        for layer in layers.children()
        if isinstance(layer, nn.Conv2d) and (bias := layer.bias) is not None
    ]


class PictureMap(FeatureMap):
    """The samples of a picture as a map with values in 0..255, in which bytes are exact even in bfloat16.

    Args:
        samples: [3, H, W], or an alpha channel [1, H, W]; uint8, uint16 or float in 0..1.
        dtype: Type of the map.
        device: Device of the map; rows are moved to it when they are requested.
    """

    def __init__(self, samples: Tensor, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(MapShape(samples.shape[1], samples.shape[2], len(samples), dtype, device))
        self.samples = samples

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Copy rows, channels last."""
        rows = self.samples[:, start:stop].permute(1, 2, 0).to(self.shape.device)
        if self.samples.dtype == torch.uint16:
            rows = rows.float() / 257
        elif self.samples.is_floating_point():
            rows = rows * 255
        return (self.shape.allocate(stop - start) if out is None else out).copy_(rows)


class ConvolvedMap(FeatureMap):
    """A 3x3 convolution with replicated borders, followed by a leaky ReLU.

    Padding, bias and activation take no pass of their own: the source holds its margin, and the activation
    writes the result to its place.

    Args:
        source: The map to convolve.
        parameters: Weight and bias.
        negative_slope: Slope of the activation below zero: 0 for a ReLU, 1 for no activation.
    """

    def __init__(self, source: FeatureMap, parameters: ConvParameters, negative_slope: float) -> None:
        shape = source.shape._replace(channels=len(parameters.weight), dtype=parameters.weight.dtype)
        super().__init__(shape, [source.reader(margin=1)])
        self.negative_slope = negative_slope
        row = (source.shape.width + 2) * source.shape.channels
        # Small inputs differ in the last bits, which bfloat16 makes visible. An input has two more rows.
        self.step = max(1, SMALL_INPUT // row - 1)
        self.grouped = count_grouped_pixels(self.shape)
        self.parameters = parameters.group_pixels(self.grouped)

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Convolve rows."""
        rows = self.sources[0].read(start, stop).to(self.shape.dtype)
        result = convolve_rows(rows, self.parameters, stride=self.grouped)
        result = result.view(stop - start, self.shape.width, self.shape.channels)
        if self.negative_slope == 1:
            return result if out is None else out.copy_(result)
        # PyTorch's public functions write either to new memory or to their input.
        torch.ops.aten.leaky_relu.out(result, self.negative_slope, out=result if out is None else out)
        return result if out is None else out


def count_grouped_pixels(shape: MapShape) -> int:
    """Return how many neighboring pixels a convolution to a map should compute as channels of one pixel.

    Processors with AVX-512 compute 16 channels at a time even where only three are needed, so the colors of
    four pixels together take half the time. A row has at least two groups, because oneDNN reads uninitialized
    memory for bfloat16 convolutions of this kind whose result is one pixel wide.
    """
    most = SIMD_WIDTH // shape.channels if shape.device.type == "cpu" else 1
    counts = range(min(most, 4, shape.width // 2), 1, -1)
    return next((count for count in counts if shape.width % count == 0), 1)


class PooledMap(FeatureMap):
    """Averages or maxima of 2x2 pixels; at odd borders, of the pixels that exist.

    Args:
        source: The map to pool.
        pooling: "average" or "max".
        dtype: Type of the result and of the computation.
    """

    def __init__(self, source: FeatureMap, pooling: str, dtype: torch.dtype) -> None:
        height, width = -(-source.shape.height // 2), -(-source.shape.width // 2)
        super().__init__(source.shape._replace(height=height, width=width, dtype=dtype), [source.reader()])
        self.source_height = source.shape.height
        self.pooling = pooling

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Pool pairs of rows, then pairs of columns."""
        rows = self.sources[0].read(2 * start, min(2 * stop, self.source_height)).to(self.shape.dtype)
        narrow = self.shape.allocate(len(rows))
        self._pool(rows.transpose(0, 1), narrow.transpose(0, 1))
        out = self.shape.allocate(stop - start) if out is None else out
        self._pool(narrow, out)
        return out

    def _pool(self, values: Tensor, out: Tensor) -> None:
        """Pool pairs along the first dimension; the last of an odd number is copied."""
        even, odd = values[::2], values[1::2]
        pairs = len(odd)
        if self.pooling == "average":
            torch.lerp(even[:pairs], odd, 0.5, out=out[:pairs])
        else:
            torch.maximum(even[:pairs], odd, out=out[:pairs])
        out[pairs:] = even[pairs:]


class MergedMap(FeatureMap):
    """The decoder's features, upsampled bilinearly, plus the encoder's features, weighted per channel.

    Args:
        decoded: The decoder's features of the next coarser scale [ceil(H / 2), ceil(W / 2), C].
        encoded: The encoder's features [H, W, C].
        skip: Weights of the encoder's channels [C].
        dtype: Type of the result, which is computed in float32 and rounded once.
    """

    step = 2

    def __init__(self, decoded: FeatureMap, encoded: FeatureMap, skip: Tensor, dtype: torch.dtype) -> None:
        super().__init__(encoded.shape._replace(dtype=dtype), [decoded.reader(margin=1), encoded.reader()])
        # Repeated for a row of pixels, because long runs are added several times faster.
        self.weights = skip.to(self.shape.device, torch.float32).repeat(self.shape.width)

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Upsample rows of the decoder and add those of the encoder."""
        decoded = self.sources[0].read(start // 2, -(-stop // 2)).float()
        # Rounded in any case, whether they come from a store or not.
        encoded = self.sources[1].read(start, stop).to(self.shape.dtype).float()
        tall = decoded.new_empty(stop - start, *decoded.shape[1:])
        upsample(decoded, tall)
        rounds = self.shape.dtype != torch.float32
        out = self.shape.allocate(stop - start) if out is None else out
        sums = encoded.new_empty(encoded.shape) if rounds else out
        upsample(tall.transpose(0, 1), sums.transpose(0, 1))
        sums.flatten(1).addcmul_(encoded.flatten(1), self.weights)
        return out.copy_(sums) if rounds else out


def upsample(values: Tensor, out: Tensor) -> None:
    """Interpolate linearly along the first dimension, as `F.interpolate` does with a scale factor of 2.

    Args:
        values: [N + 2, ...], with one neighbor before and one behind.
        out: [2 N, ...], or [2 N - 1, ...] without the last row.
    """
    for index, neighbors in enumerate((values[:-2], values[2:])):
        rows = out[index::2]
        count = len(rows)
        torch.lerp(values[1 : 1 + count], neighbors[:count], 0.25, out=rows)


class RegionTransferMap(FeatureMap):
    """The transfers of several regions, mixed by their shares.

    Args:
        source: The map to transfer, [H, W, C].
        transfers: The map of each region.
        shares: Shares of the regions.
        scale: Scale of the map.
        dtype: Type of the result, which is computed in float32 and rounded once.
    """

    def __init__(
        self,
        source: FeatureMap,
        transfers: Sequence[AffineMap],
        shares: RegionWeights,
        scale: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(source.shape._replace(dtype=dtype), [source.reader()])
        self.transfers, self.shares, self.scale = transfers, shares, scale

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Transfer rows."""
        rows = self.sources[0].read(start, stop).float()
        target = out if out is not None and out.dtype == torch.float32 else None
        mixed = mix_maps(rows, self.transfers, self.shares, self.scale, start, target)
        if out is None:
            return mixed.to(self.shape.dtype)
        return mixed if target is not None else out.copy_(mixed)


def to_batch(rows: Tensor) -> Tensor:
    """View rows [h, W, C] as [1, C, h, W], which torch recognizes as channels-last."""
    return rows.unsqueeze(0).permute(0, 3, 1, 2)


def from_batch(features: Tensor) -> Tensor:
    """View [1, C, h, W] as rows [h, W, C]; this copies only on devices without channels-last layers."""
    return features.permute(0, 2, 3, 1)[0].contiguous()


def convolve_rows(rows: Tensor, parameters: ConvParameters, stride: int = 1) -> Tensor:
    """Convolve rows [h, W, C] that hold their margin, with steps of `stride` pixels along a row.

    Small inputs are convolved in float64, because PyTorch's algorithm for them rounds by their size on some
    processors: strips would differ, by more than a level where a bfloat16 tips over.
    """
    maps = to_batch(rows)
    with limit_convolution_threads(maps):
        if maps.device.type == "cpu" and maps.dtype == torch.float32 and maps.numel() <= SMALL_INPUT:
            maps, parameters = maps.double(), parameters.to(torch.float64, maps.device)
        return from_batch(F.conv2d(maps, *parameters, stride=(1, stride))).to(rows.dtype)


def chain_convolutions(
    source: FeatureMap,
    parameters: Sequence[ConvParameters],
    negative_slope: float,
    *,
    activate_last: bool = True,
) -> FeatureMap:
    """Chain convolutions, with an activation after each of them or after all but the last."""
    for index, each in enumerate(parameters):
        linear = index == len(parameters) - 1 and not activate_last
        source = ConvolvedMap(source, each, 1 if linear else negative_slope)
    return source
