"""Color spaces that are described by primaries and a transfer function, and their conversion to sRGB.

HDR pictures (PQ, HLG) are tone-mapped: their diffuse white becomes the white of sRGB, and highlights are
compressed below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from .pil_tensor import STRIP_PIXELS

LEVELS = 2**16
Point = tuple[float, float]  # a chromaticity, CIE x and y


class Primaries(NamedTuple):
    """The chromaticities of the primary colors and of white."""

    red: Point
    green: Point
    blue: Point
    white: Point


class ColorEncoding(NamedTuple):
    """How the samples of a file encode colors.

    Attributes:
        curves: Linear light of each 16-bit sample, [1, 65536] or [3, 65536], float64, in 0..1. For "PQ", 1
            stands for 10,000 cd/m²; for "HLG" it is light of the scene.
        matrix: Matrix from linear RGB to linear sRGB, [3, 3], float64; white becomes white.
        hdr: "PQ" or "HLG" for pictures with highlights brighter than white; None for others.
    """

    curves: Tensor
    matrix: Tensor
    hdr: str | None = None


D65, ILLUMINANT_C = (0.3127, 0.3290), (0.310, 0.316)
SRGB_PRIMARIES = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
ADOBE_RGB_PRIMARIES = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
ADOBE_RGB_GAMMA = 563 / 256
# H.273 (2024), table 2, by code point.
CICP_PRIMARIES = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,  # unspecified
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), ILLUMINANT_C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), ILLUMINANT_C),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    10: Primaries((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
MAX_MATRIX = 100.0  # entries of usual matrices are below 10
BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

DIFFUSE_WHITE = 203.0  # cd/m² of white paper in an HDR picture (ITU-R BT.2408)
PQ_PEAK, HLG_PEAK = 10_000.0, 1_000.0  # cd/m²
HLG_GAMMA = 1.2  # of the system at a peak of 1,000 cd/m² (ITU-R BT.2100, table 5)
BT2020_LUMINANCE = (0.2627, 0.6780, 0.0593)


def encode_srgb(linear: Tensor) -> Tensor:
    """Apply the sRGB transfer function to linear light in 0..1 of any shape.

    Source: IEC 61966-2-1:1999, equations 5 and 6.
    """
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.pow(1 / 2.4) - 0.055)


def decode_srgb(encoded: Tensor) -> Tensor:
    """Return the linear light in 0..1 of sRGB values in 0..1; the inverse of `encode_srgb`."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).pow(2.4))


def encode_pq(light: Tensor) -> Tensor:
    """Return the PQ values in 0..1 of light in 0..1, where 1 stands for 10,000 cd/m² (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    power = light.pow(m1)
    return ((c1 + c2 * power) / (1 + c3 * power)).pow(m2)


def decode_pq(encoded: Tensor) -> Tensor:
    """Return the light in 0..1 of PQ values in 0..1; the inverse of `encode_pq`."""
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    power = encoded.pow(1 / m2)
    return ((power - c1).clamp(min=0) / (c2 - c3 * power)).pow(1 / m1)


def _decode_hlg(encoded: Tensor) -> Tensor:
    """Return the light of the scene in 0..1 of HLG values (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return torch.where(encoded <= 0.5, encoded.square() / 3, (((encoded - c) / a).exp() + b) / 12)


def _decode_smpte_240(encoded: Tensor) -> Tensor:
    return torch.where(encoded < 0.0912, encoded / 4, ((encoded + 0.1115) / 1.1115).pow(1 / 0.45))


# H.273 (2024), table 3, by code point. Differs: the curves of television cameras (1, 6, 11, 12, 14, 15) are
# taken for that of sRGB, as browsers and players do.
CICP_TRANSFERS: dict[int, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys((1, 2, 6, 11, 12, 13, 14, 15), decode_srgb),
    4: lambda x: x.pow(2.2),
    5: lambda x: x.pow(2.8),
    7: _decode_smpte_240,
    8: lambda x: x,
    9: lambda x: torch.where(x > 0, 10 ** (2 * (x - 1)), 0),
    10: lambda x: torch.where(x > 0, 10 ** (2.5 * (x - 1)), 0),
    16: decode_pq,
    17: lambda x: x.pow(2.6) * 52.37 / 48,
    18: _decode_hlg,
}
PQ_TRANSFER, HLG_TRANSFER = 16, 18


def encoding_from_cicp(primaries: int, transfer: int, *, full_range: bool = True) -> ColorEncoding | None:
    """Return the encoding that code points of H.273 describe; None if they are reserved.

    Args:
        primaries: Code point of the primaries.
        transfer: Code point of the transfer function.
        full_range: Whether black and white are the smallest and the largest sample, not 16 and 235 of 255.
    """
    if primaries not in CICP_PRIMARIES or transfer not in CICP_TRANSFERS:
        return None
    x = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    if not full_range:
        x = ((x * 65535 - 16 * 256) / (219 * 256)).clamp(0, 1)
    curves = CICP_TRANSFERS[transfer](x).clamp(0, 1).unsqueeze(0)
    hdr = {PQ_TRANSFER: "PQ", HLG_TRANSFER: "HLG"}.get(transfer)
    return ColorEncoding(curves, matrix_to_srgb(CICP_PRIMARIES[primaries]), hdr)


def encoding_from_gamma(gamma: float | None, primaries: Primaries) -> ColorEncoding | None:
    """Return the encoding of a power law, linear light = sample ** gamma.

    Args:
        gamma: The exponent, above 0; None for the curve of sRGB.
        primaries: The primaries.

    Returns:
        None if the primaries are degenerate or the exponent is not in 0.1..10.
    """
    x = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    if gamma is not None and not 0.1 <= gamma <= 10:
        return None
    curve = decode_srgb(x) if gamma is None else x.pow(gamma)
    try:
        return ColorEncoding(curve.unsqueeze(0), matrix_to_srgb(primaries))
    except (ZeroDivisionError, RuntimeError):
        return None


def matrix_to_srgb(primaries: Primaries) -> Tensor:
    """Return the matrix from linear RGB to linear sRGB, [3, 3], float64, such that white becomes white.

    Raises:
        ZeroDivisionError: The y coordinate of white is 0, or the primaries lie nearly on one line.
        RuntimeError: The primaries lie on one line.

    Source: SMPTE RP 177 (the matrix to CIE XYZ) and the Bradford adaptation (ICC.1:2022, annex E).
    """
    white, srgb_white = _xyz(primaries.white), _xyz(D65)
    bradford = torch.tensor(BRADFORD, dtype=torch.float64)
    gains = torch.diag(bradford @ srgb_white / (bradford @ white))
    adaptation = torch.linalg.solve(bradford, gains @ bradford)
    to_xyz = adaptation @ _matrix_to_xyz(primaries)
    matrix: Tensor = torch.linalg.solve(_matrix_to_xyz(SRGB_PRIMARIES), to_xyz)
    if not matrix.abs().max() < MAX_MATRIX:
        raise ZeroDivisionError("the primaries lie on one line")
    return matrix


def _xyz(point: Point) -> Tensor:
    x, y = point
    return torch.tensor([x / y, 1, (1 - x - y) / y], dtype=torch.float64)


def _matrix_to_xyz(primaries: Primaries) -> Tensor:
    points = (primaries.red, primaries.green, primaries.blue)
    columns = torch.tensor([(x, y, 1 - x - y) for x, y in points], dtype=torch.float64).T
    gains: Tensor = torch.linalg.solve(columns, _xyz(primaries.white))
    return columns * gains


def convert_encoding(
    pixels: Tensor, encoding: ColorEncoding, *, gray: bool = False, peak: float | None = None
) -> Tensor:
    """Convert samples to sRGB.

    Args:
        pixels: Samples [3, H, W], uint8 or uint16; they may be overwritten.
        encoding: How they encode colors.
        gray: Whether the picture is gray, so that its three channels are equal and stay so.
        peak: Light in cd/m² that becomes white in HDR, more of which clips; None for the brightest of the
            picture, which changes from frame to frame of a video.

    Returns:
        The converted samples; unchanged if no color would change by more than 1 of 255.
    """
    if encoding.hdr is not None:
        return _tone_map(pixels, encoding, peak)
    matrix = torch.eye(3, dtype=torch.float64) if gray else encoding.matrix
    lattice = torch.tensor(list(product(range(0, 256, 51), repeat=3)), dtype=torch.uint8).T.unsqueeze(1)
    converted = convert_by_matrix(lattice.clone(), encoding.curves, matrix)
    if (converted.to(torch.int32) - lattice.to(torch.int32)).abs().max() <= 1:
        return pixels
    return convert_by_matrix(pixels, encoding.curves, matrix)


def convert_by_matrix(pixels: Tensor, curves: Tensor, matrix: Tensor) -> Tensor:
    """Convert samples to sRGB by a table for each channel and a matrix, in place.

    Args:
        pixels: Samples [3, H, W], uint8 or uint16.
        curves: Linear light of each 16-bit sample, [1, 65536] or [3, 65536].
        matrix: Matrix from linear RGB to linear sRGB, [3, 3].
    """
    tables, matrix = _tables(curves, pixels.dtype), matrix.float()
    white = tables.shape[1] - 1
    for strip in _strips(pixels):
        linear = _look_up(tables, strip)
        encoded = encode_srgb((matrix @ linear.flatten(1)).clamp_(0, 1)).mul_(white).round_()
        strip.copy_(encoded.view(strip.shape).to(pixels.dtype))
    return pixels


def _tone_map(pixels: Tensor, encoding: ColorEncoding, peak: float | None) -> Tensor:
    """Convert samples of HDR to sRGB, in place; the brightest channel of each pixel sets its compression.

    Source: ITU-R BT.2390-11, 5.4.1 (EETF), from the peak of the picture to diffuse white.
    """
    tables, matrix = _tables(encoding.curves, pixels.dtype), encoding.matrix.float()
    white = tables.shape[1] - 1
    strips = _strips(pixels)
    if peak is None:
        peak = max(_display_light(_look_up(tables, strip), encoding.hdr).max().item() for strip in strips)
    for strip in strips:
        light = _display_light(_look_up(tables, strip), encoding.hdr).flatten(1).clamp_(max=peak)  # [3, N]
        brightest = light.amax(0, keepdim=True)
        compressed = compress_highlights(brightest, peak)
        light = light * (compressed / brightest.clamp(min=1e-9)) / DIFFUSE_WHITE
        encoded = encode_srgb((matrix @ light).clamp_(0, 1)).mul_(white).round_()
        strip.copy_(encoded.view(strip.shape).to(pixels.dtype))
    return pixels


def compress_highlights(light: Tensor, peak: float) -> Tensor:
    """Map light in 0..peak to 0..203 cd/m²; shadows and midtones stay as they are.

    Source: ITU-R BT.2390-11, 5.4.1, with a black level of 0.
    """
    if peak <= DIFFUSE_WHITE:
        return light
    levels = torch.tensor((peak, DIFFUSE_WHITE), dtype=torch.float64)
    source, target = encode_pq(levels / PQ_PEAK).tolist()
    largest = target / source
    knee = 1.5 * largest - 0.5
    x = encode_pq(light / PQ_PEAK) / source
    t = ((x - knee) / (1 - knee)).clamp(0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * largest
    )
    return torch.where(x < knee, light, decode_pq(spline * source) * PQ_PEAK)


def _display_light(linear: Tensor, hdr: str | None) -> Tensor:
    """Return the light [3, ...] that a reference display emits, in cd/m²."""
    if hdr == "PQ":
        return linear * PQ_PEAK
    weights = torch.tensor(BT2020_LUMINANCE).view(3, *[1] * (linear.ndim - 1))
    luminance = (weights * linear).sum(0, keepdim=True)
    return linear * luminance.pow(HLG_GAMMA - 1) * HLG_PEAK


def _tables(curves: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the curves at the levels of the samples, [3, 256] or [3, 65536], float32."""
    step = 257 if dtype == torch.uint8 else 1
    return curves[:, ::step].float().expand(3, -1)


def _look_up(tables: Tensor, samples: Tensor) -> Tensor:
    return torch.stack([table[channel.long()] for table, channel in zip(tables, samples, strict=True)])


def _strips(pixels: Tensor) -> Sequence[Tensor]:
    """Return views of the rows of pixels [3, H, W], `STRIP_PIXELS` pixels at a time."""
    return torch.split(pixels, max(1, STRIP_PIXELS // pixels.shape[2]), dim=1)
