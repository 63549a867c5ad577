"""The layers that are measured, and their exact norms."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from styletransfer.spectrum import ConvOperator, conv_operator
from styletransfer.spectrum.krylov import Krylov, lanczos

Padding = Literal["zeros", "circular", "reflect", "replicate"]

DEFAULT = Path(__file__).parents[2] / "weights" / "default.safetensors"
STEPS = 600
RESIDUAL = 1e-6  # relative; the norm is then exact to about its square over the gap


class Layer(NamedTuple):
    """A kernel of a network."""

    name: str
    weight: Tensor

    def conv(self, padding: Padding = "zeros") -> nn.Conv2d:
        """Build a convolution of stride 1 that keeps the size."""
        outputs, inputs, height, width = self.weight.shape
        module = nn.Conv2d(
            inputs,
            outputs,
            (height, width),
            padding=(height // 2, width // 2),
            padding_mode=padding,
            bias=False,
        )
        module.weight.data = self.weight
        return module


def read_layers(files: Iterable[Path], *, most: int) -> Iterator[Layer]:
    """Yield the kernels of files in float64, without those of more than `most` channels."""
    for file in files:
        for name, weight in load_file(file).items():
            if weight.ndim == 4 and max(weight.shape[:2]) <= most:
                yield Layer(name.removesuffix(".weight"), weight.double())


class ExactNorms:
    """Norms by Lanczos run to convergence, or from a file of earlier results."""

    def __init__(self, cache: Path | None) -> None:
        self.cache = cache
        self.known: dict[str, float] = json.loads(cache.read_text()) if cache and cache.exists() else {}

    def __call__(self, layer: Layer, size: int, padding: Padding = "zeros") -> float:
        """Return the norm of a layer on a square image."""
        digest = hashlib.sha256(layer.weight.contiguous().numpy().tobytes()).hexdigest()[:16]
        key = f"{digest}:{size}:{padding}"
        if key not in self.known:
            self.known[key] = _converged_norm(layer.conv(padding), size)
            if self.cache:
                self.cache.write_text(json.dumps(self.known))
        return self.known[key]


def _converged_norm(conv: nn.Conv2d, size: int) -> float:
    return math.sqrt(top_space(conv_operator(conv, (size, size)).double()).top()[0])


def top_space(operator: ConvOperator) -> Krylov:
    """Run Lanczos until its largest singular pair has converged."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(operator.input_shape, generator=generator, dtype=torch.float64)
    for step, space in enumerate(lanczos(operator, start, STEPS), start=1):
        krylov = space
        if step % 10 == 0 and space.residual < RESIDUAL:
            break
    return krylov
