"""HDR to SDR: linear light of PQ and HLG, a curve that keeps highlights apart, and BT.709 primaries."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

PQ, HLG = 16, 18  # transfer characteristics, ITU-T H.273 table 3
WHITE = 203.0  # cd/m2 of diffuse white in HDR; ITU-R BT.2408, section 2.1
PEAK = 1000.0  # cd/m2 that become SDR white; brighter ones clip
KNEE = 0.6  # share of SDR white below which light keeps its proportions
# Linear BT.2020 to linear BT.709; ITU-R BT.2087, section 2.
BT2020_TO_BT709 = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
LUMA_2020 = (0.2627, 0.6780, 0.0593)


def is_hdr(transfer: int) -> bool:
    """Tell whether a transfer characteristic is PQ or HLG."""
    return transfer in {PQ, HLG}


def map_tones(samples: Tensor, transfer: int) -> Tensor:
    """Convert an HDR picture to SDR.

    Args:
        samples: Samples of BT.2020 primaries, [3, H, W], uint16.
        transfer: `PQ` or `HLG`.

    Returns:
        Values of BT.709 primaries and sRGB's transfer, [3, H, W], float32 in 0..1.

    Source: ITU-R BT.2100-2, tables 4 and 5 (transfer functions), BT.2087 (primaries). Differs: the curve is
    linear up to `KNEE` and then a logarithm up to `PEAK`, on the largest channel, so that hues stay.
    """
    light = _linear_table(transfer)[samples.to(torch.int64)]  # [3, H, W], 1 is diffuse white
    if transfer == HLG:  # the system gamma of a display of 1000 cd/m2
        luma = sum(weight * channel for weight, channel in zip(LUMA_2020, light, strict=True))
        light = light * torch.as_tensor(luma).clamp_(min=1e-6).pow(0.2) * (PEAK / WHITE)
    brightest = light.amax(0, keepdim=True).clamp_(min=1e-6)
    light = light * (_compress(brightest) / brightest)
    mixed = torch.tensordot(torch.tensor(BT2020_TO_BT709), light, dims=1).clamp_(0, 1)
    return torch.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed.pow(1 / 2.4) - 0.055)


def _compress(light: Tensor) -> Tensor:
    """Bring 0..PEAK/WHITE to 0..1: the identity times a slope, then a logarithm that continues it."""
    peak = PEAK / WHITE
    # The logarithm KNEE + k log(1 + (x - KNEE) / k) has the slope 1 at the knee; k brings the peak to 1.
    low, high = 1e-3, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        reached = KNEE + middle * torch.log1p(torch.tensor((peak - KNEE) / middle)).item()
        low, high = (low, middle) if reached > 1 else (middle, high)
    return torch.where(light <= KNEE, light, KNEE + low * torch.log1p((light - KNEE).clamp_(min=0) / low))


@lru_cache(maxsize=2)
def _linear_table(transfer: int) -> Tensor:
    """Return linear light for every sample of 16 bits: for PQ relative to `WHITE`, for HLG the scene's."""
    signal = torch.linspace(0, 1, 65536, dtype=torch.float64)
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal.pow(1 / m2)
        light = ((root - c1).clamp(min=0) / (c2 - c3 * root)).pow(1 / m1) * 10_000 / WHITE
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = torch.where(signal <= 0.5, signal.square() / 3, (((signal - c) / a).exp() + b) / 12)
    return light.to(torch.float32)
