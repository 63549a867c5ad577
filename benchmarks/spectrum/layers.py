"""The layers that are measured, and their exact norms."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from styletransfer.spectrum import ConvOperator, build_convolution, build_convolutions, conv_operator
from styletransfer.spectrum.conv_operator import PaddingMode

DEFAULT = Path(__file__).parents[2] / "weights" / "default.safetensors"
PAIRS = 2  # singular pairs computed; the gap to the second tells how well the first is defined
BASIS = 32  # vectors that ARPACK keeps: 64 MB of float64 for 256 channels on 32 x 32 pixels
TOLERANCE = 1e-13  # relative tolerance of squared singular values


class Layer(NamedTuple):
    """A kernel of a network."""

    name: str
    weight: Tensor

    def conv(self, padding: PaddingMode = "zeros") -> nn.Conv2d:
        """Build a convolution of stride 1 that keeps the size."""
        return build_convolution(self.weight, padding)


def read_layers(files: Iterable[Path], *, most: int) -> Iterator[Layer]:
    """Yield the kernels of weights files in float64, without those of more than `most` channels."""
    for file in files:
        for name, convolution in build_convolutions(load_file(file)).items():
            weight = convolution.weight.detach()
            if max(weight.shape[:2]) <= most:
                yield Layer(name, weight.double())


class ExactNorms:
    """Exact norms by ARPACK, or from a file of earlier results."""

    def __init__(self, cache: Path | None) -> None:
        self.cache = cache
        self.known: dict[str, float] = json.loads(cache.read_text()) if cache and cache.exists() else {}

    def __call__(self, layer: Layer, size: int, padding: PaddingMode = "zeros") -> float:
        """Return the norm of a layer on a square image."""
        digest = hashlib.sha256(layer.weight.contiguous().numpy().tobytes()).hexdigest()[:16]
        key = f"{digest}:{size}:{padding}"
        if key not in self.known:
            self.known[key] = _converged_norm(layer.conv(padding), size)
            if self.cache:
                self.cache.write_text(json.dumps(self.known))
        return self.known[key]


def _converged_norm(conv: nn.Conv2d, size: int) -> float:
    return leading_pairs(conv_operator(conv, (size, size)))[0][0].item()


def leading_pairs(operator: ConvOperator) -> tuple[Tensor, Tensor]:
    """Compute the largest singular values and their right singular vectors, without the matrix.

    ARPACK computes them, so that the reference and the measured methods share no code except the products
    with the layer and its transpose.

    Returns:
        [2] descending, and unit images [2, in, H, W]; fewer if the layer has fewer inputs.
    """
    operator = operator.double()
    shape = operator.input_shape
    size = math.prod(shape)
    if size <= BASIS:
        _, values, vectors = torch.linalg.svd(operator.dense(), full_matrices=False)
        return values[:PAIRS], vectors[:PAIRS].view(-1, *shape)

    def product(image: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(image).view(1, *shape)
        return operator.adjoint(operator.apply(images)).flatten().numpy()

    normal = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    squares, vectors = eigsh(normal, PAIRS, ncv=BASIS, v0=start, tol=TOLERANCE, maxiter=10_000)
    norms = torch.from_numpy(squares).flip(0).sqrt()
    return norms, torch.from_numpy(vectors.T.copy()).flip(0).view(-1, *shape)
