"""Features whose covariance has a chosen spectrum. Every kind is a column of the accuracy table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Spectrum = Callable[[int], Tensor]


class Case(NamedTuple):
    """A kind of features, and the regularization that it is whitened with."""

    make: Callable[[int, int, torch.Generator], Tensor]  # channels, samples, generator -> [C, N] float64
    eps: float


def features_with_spectrum(eigenvalues: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Return features [C, N], float64, whose covariance has these eigenvalues in a random basis.

    The means are standard normal.
    """
    channels = len(eigenvalues)
    noise = torch.randn(samples, channels, generator=generator, dtype=torch.float64)
    white = (
        torch.linalg.qr(noise - noise.mean(0)).Q * samples**0.5
    )  # The columns have mean 0 and covariance I.
    basis = torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64)).Q
    mean = torch.randn(channels, 1, generator=generator, dtype=torch.float64)
    features: Tensor = basis @ (eigenvalues.sqrt()[:, None] * white.T) + mean
    return features


def separated(channels: int) -> Tensor:
    """Return eigenvalues 1 to 2 in equal steps."""
    return torch.linspace(1, 2, channels, dtype=torch.float64)


def geometric(channels: int) -> Tensor:
    """Return eigenvalues 1 down to 1e-6 in equal ratios."""
    return torch.logspace(0, -6, channels, dtype=torch.float64)


def clusters(channels: int) -> Tensor:
    """Return four eigenvalues, each of multiplicity C / 4."""
    return torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=torch.float64).repeat_interleave(channels // 4)


def rank_deficient(channels: int) -> Tensor:
    """Return eigenvalues 1 to 2, every fourth of them 0."""
    eigenvalues = separated(channels)
    eigenvalues[::4] = 0
    return eigenvalues


def deep_relu(channels: int, samples: int, generator: torch.Generator) -> Tensor:
    """Return the output of three random ReLU layers for smooth inputs. One channel in twenty is dead."""
    width = max(8, channels // 4)
    signal = torch.randn(width, samples, generator=generator, dtype=torch.float64).cumsum(1)
    signal = signal / signal.std(1, keepdim=True)
    for _ in range(3):
        weight = torch.randn(channels, signal.shape[0], generator=generator, dtype=torch.float64)
        signal = torch.relu(weight @ signal * (2 / signal.shape[0]) ** 0.5)
    signal[::20] = 0
    return signal


def _spectrum_case(spectrum: Spectrum, eps: float) -> Case:
    return Case(lambda c, n, g: features_with_spectrum(spectrum(c), n, g), eps)


CASES: dict[str, Case] = {
    "separated": _spectrum_case(separated, 0.0),
    "geometric": _spectrum_case(geometric, 0.0),
    "geometric+eps": _spectrum_case(geometric, 1e-5),
    "clusters": _spectrum_case(clusters, 0.0),
    "deficient+eps": _spectrum_case(rank_deficient, 1e-5),
    "deep relu+eps": Case(deep_relu, 1e-5),
}


def make_pair(name: str, channels: int, samples: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return content, style and a gradient of the result, [1, C, N] float32 each."""
    generator = torch.Generator().manual_seed(seed)
    case = CASES[name]
    content, style = (case.make(channels, samples, generator).float()[None] for _ in range(2))
    return content, style, torch.randn(content.shape, generator=generator)
