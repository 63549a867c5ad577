"""The convolutions of a network as nodes of a graph, with the weights of the loaded `Autoencoder`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from ..model import Autoencoder
from ..model.autoencoder import KNEE
from .graph_builder import GraphBuilder, Value


class NetworkNodes:
    """Adds the parts of a network to a graph.

    Args:
        graph: The graph.
        network: The network, on the CPU.
    """

    def __init__(self, graph: GraphBuilder, network: Autoencoder) -> None:
        self.graph, self.network = graph, network
        self.architecture = network.architecture

    def encode(self, picture: Value) -> list[Value]:
        """Encode a picture [1, 3, H, W]: the picture, then the features of every scale, finest first."""
        levels = [picture]
        for index, scale in enumerate(self.network.encoder.scales):
            inputs = self._pool(levels[-1]) if index else picture
            levels.append(self._convolve_all(inputs, scale))
        return levels

    def merge(self, decoded: Value | None, features: Sequence[Value], scale: int) -> Value:
        """Upsample what the coarser scale has decoded and add the encoder's features of this scale."""
        encoded = features[scale + 1]
        if decoded is None:
            return encoded
        graph = self.graph
        scales = graph.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        empty = graph.constant(np.empty(0, dtype=np.float32))
        upsampled = graph.add("Resize", decoded, empty, scales, mode="linear")
        edges = graph.join(encoded.size(2), encoded.size(3))
        cropped = graph.add("Slice", upsampled, graph.integers(0, 0), edges, graph.integers(2, 3))
        return cropped + encoded * self._parameter(self.network.decoder.skips[scale])

    def decode(self, maps: Value, scale: int) -> Value:
        """Run the decoder's convolutions of a scale on maps with the statistics of the style."""
        return self._convolve_all(maps, self.network.decoder.scales[scale])

    def find_queries(self, white: Value, scale: int) -> Value:
        """Find the keys of all patches of a white map, [N, D], not normalized."""
        keys = self._convolve(white, self.network.decoder.key_weight(scale), None)
        width = self.architecture.key_widths[scale]
        return keys.reshape(width, -1).transpose(1, 0)

    def find_keys(self, pieces: Value, scale: int) -> Value:
        """Find the keys [M, D] of white pieces [M, 9 * C], not normalized."""
        weight = self._parameter(self.network.decoder.key_weight(scale))  # stored once for both
        return pieces @ weight.transpose(2, 3, 1, 0).reshape(-1, self.architecture.key_widths[scale])

    def _pool(self, maps: Value) -> Value:
        size = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}
        if self.architecture.pooling == "max":
            return self.graph.add("MaxPool", maps, **size)
        return self.graph.add("AveragePool", maps, count_include_pad=0, **size)

    def _convolve_all(self, maps: Value, layers: nn.Module) -> Value:
        for layer in layers.children():
            if isinstance(layer, nn.Conv2d):
                maps = self._convolve(maps, layer.weight, layer.bias)
            else:
                maps = self.graph.add("LeakyRelu", maps, alpha=self.architecture.negative_slope)
        return maps

    def _convolve(self, maps: Value, weight: Tensor, bias: Tensor | None) -> Value:
        """Convolve by 3x3 pixels; beyond the border, the border repeats."""
        padded = self.graph.add("Pad", maps, self.graph.integers(0, 0, 1, 1, 0, 0, 1, 1), mode="edge")
        parameters = [self._parameter(each) for each in (weight, bias) if each is not None]
        return self.graph.add("Conv", padded, *parameters)

    def _parameter(self, tensor: Tensor) -> Value:
        return self.graph.constant(tensor.detach().cpu().float().numpy())


def clip_softly(picture: Value) -> Value:
    """Clip a picture softly to 0..1; see `model.soft_clip`."""
    graph = picture.graph
    knee, low, high = (graph.constant(number) for number in (KNEE, KNEE, 1 - KNEE))
    below = graph.add("Div", KNEE**2, graph.add("Max", 2 * KNEE - picture, knee))
    above = graph.add("Div", KNEE**2, graph.add("Max", picture - (1 - 2 * KNEE), knee))
    return graph.add("Clip", picture, low, high) + below - above
