"""How far the output of a whole network can move: a certified product, a local lower bound, and the gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from .jacobian import largest_local_gain
from .propagation import LayerGain, Propagation


@dataclass(frozen=True)
class LipschitzReport:
    """What is known of the Lipschitz constant of a network at one size of input, in the Euclidean norm.

    Attributes:
        layers: In the order of computation.
        upper: Certified, from the layers' bounds; usually far above the truth, since no input excites the
            worst case of every layer at once.
        lower: The largest local stretch that was found, ||J(x) v|| / ||v||.
        failure_probability: The layers' together, see `Interval`.
    """

    layers: tuple[LayerGain, ...]
    upper: float
    lower: float
    failure_probability: float

    @property
    def gap(self) -> float:
        """The factor between the bounds; the constant lies somewhere in between."""
        return self.upper / self.lower if self.lower > 0 else math.inf


def lipschitz(
    model: nn.Module,
    input_size: Sequence[int],
    *,
    inputs: Tensor | None = None,
    tolerance: float = 0.01,
    seed: int = 0,
) -> LipschitzReport:
    """Bound the Lipschitz constant of a network from both sides.

    Constants multiply along a chain and add in a sum; a concatenation has the root of the sum of squares.
    Padding modules and batch normalisation are bounded together with their convolution.

    Args:
        model: In evaluation mode, traceable by `torch.fx`, of one image.
        input_size: Rows and columns of the image.
        inputs: [B, C, H, W], images at which the local stretch is measured; two of noise in 0..1 by default.
        tolerance: Of bounds that come from Lanczos, see `norm_bounds`.
        seed: Of everything random.

    Returns:
        The report, with a row per layer.

    Raises:
        ValueError: The network cannot be traced, or holds an operation without a known bound.

    Source: Szegedy et al. 2014 (arXiv 1312.6199), section 4.3, the product of the layers' norms.
    """
    generator = torch.Generator().manual_seed(seed)
    if inputs is None:
        inputs = torch.rand(2, _input_channels(model), *input_size, generator=generator)
    inputs = inputs.to(next(iter(model.parameters()), inputs))
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # torch.fx lets through whatever the traced code raises
        raise ValueError(f"{type(model).__name__} cannot be traced: {error}") from error
    propagation = Propagation(graph, tolerance, seed)
    with torch.no_grad():
        propagation.run(inputs[:1])
    lower = max(largest_local_gain(model, image[None], generator) for image in inputs)
    failure = sum(layer.failure_probability for layer in propagation.layers)
    return LipschitzReport(tuple(propagation.layers), propagation.constant, lower, failure)


def _input_channels(model: nn.Module) -> int:
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return module.in_channels
    raise ValueError("the network has no convolution to tell its input channels; give inputs")
