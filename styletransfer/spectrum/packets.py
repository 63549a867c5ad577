"""Wave packets: nearly the right singular vectors of a finite convolution, from the peaks of its symbol."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .krylov import lanczos
from .survey import Peak
from .torus import Torus

STEPS = 24
SETTLED = 2e-3  # relative residual of a Ritz value; the value itself is wrong by its square over the gap


def wave_packet(torus: Torus, peak: Peak) -> Tensor:
    """Build the image that a convolution stretches nearly most: window x wave x singular vector.

    On a zero-padded axis the window is half a sine wave: near a peak the operator acts on the envelope of a
    wave like a Laplacian on a box, of which this is the ground state. A circular axis needs none.

    Returns:
        [in, H, W], real, of norm 1.
    """
    operator = torus.operator
    channels, *sizes = operator.input_shape
    strides = [circle.taps.stride for circle in torus.circles]
    rows, columns = (torch.arange(size) % stride for size, stride in zip(sizes, strides, strict=True))
    per_group = channels // operator.groups
    vectors = peak.vector.cpu().view(per_group, *strides)[:, rows[:, None], columns]  # [in / groups, H, W]
    down, across = (
        circle.wave(size, frequency) * (_half_sine(size) if circle.twisted else 1.0)
        for circle, size, frequency in zip(torus.circles, sizes, peak.frequency, strict=True)
    )
    packet = vectors * down[:, None] * across
    # Of a wave and its complex conjugate a real image holds either sum; at frequency 0 or pi one is zero.
    real = packet.real if packet.real.norm() >= packet.imag.norm() else packet.imag
    image = real.new_zeros(channels, *sizes)
    image[peak.group * per_group : (peak.group + 1) * per_group] = real / real.norm()
    return image.to(operator.weight)


def climb(
    torus: Torus, peaks: Sequence[Peak], steps: int = STEPS, settled: float = SETTLED
) -> list[tuple[float, Tensor]]:
    """Improve the wave packets of competing peaks by Lanczos.

    Args:
        torus: The wrapped convolution.
        peaks: Highest first.
        steps: At most, for each peak.
        settled: Relative residual at which a peak is left.

    Returns:
        Lower bounds of the norm, ||A x||, and the unit images x that reach them, [in, H, W]; highest first.
    """
    climbed: list[tuple[float, Tensor]] = []
    for peak in peaks:
        if any(peak.gain <= value for value, _ in climbed):
            break  # what a finite image makes of a peak stays below it
        start = wave_packet(torus, peak)
        for space in lanczos(torus.operator, start, steps):
            if space.residual < settled:
                break
        vector = space.top()[1]
        image = (vector / vector.norm()).view(start.shape)
        climbed.append((torus.operator.apply(image[None]).norm().item(), image))
    return sorted(climbed, key=lambda pair: -pair[0])


def _half_sine(size: int) -> Tensor:
    return torch.sin(torch.pi * torch.arange(1, size + 1, dtype=torch.float64) / (size + 1))
