"""A writer of PNG with 16 bits per channel, which Pillow has for grey only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

import torch
from torch import Tensor

from .channels import LITTLE_ENDIAN, STRIP_PIXELS
from .color_profiles import srgb_profile
from .picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {3: 2, 4: 6}  # RGB, RGBA
PAETH = 4
# Only runs are sought, no repeated strings: 5 times faster on photographs, and no larger (within 3 %).
PNG_STRATEGY = zlib.Z_RLE


def write_sixteen_bit_png(picture: Picture, file: BinaryIO, metadata: Mapping[str, str]) -> None:
    """Write a 16-bit picture as PNG, compressed strip by strip.

    Args:
        picture: Of bit depth 16; with alpha it becomes RGBA.
        file: Need not be seekable.
        metadata: Keyword (1..79 characters of Latin-1) and text of the iTXt chunks.

    Source: PNG specification, third edition (W3C 2025): 5.3 chunks, 9.2 filters, 11.2.1 IHDR, 11.3.2.3 iCCP,
    11.3.3.4 iTXt. Differs from common writers: one filter, Paeth, for all rows, where they try five.
    """
    samples = picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))
    count, height, width = samples.shape
    file.write(SIGNATURE)
    write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[count], 0, 0, 0))
    write_chunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))
    for keyword, text in metadata.items():
        write_chunk(file, b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8"))
    compressor = zlib.compressobj(strategy=PNG_STRATEGY)
    above = torch.zeros(1, width * count * 2, dtype=torch.uint8)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = big_endian_rows(samples[:, top : top + step])
        filtered = filter_paeth(rows, above, 2 * count)
        above = rows[-1:]
        write_chunk(file, b"IDAT", compressor.compress(filtered.numpy().data))
    write_chunk(file, b"IDAT", compressor.flush())
    write_chunk(file, b"IEND", b"")


def write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    """Write one chunk: length, type, data and their checksum."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def big_endian_rows(samples: Tensor) -> Tensor:
    """Return samples [C, h, W], uint16, as rows of pixels: [h, W*C*2], uint8, the high byte first."""
    interleaved = samples.permute(1, 2, 0).contiguous()  # [h, W, C]
    parts = interleaved.view(torch.uint8).view(*interleaved.shape, 2)  # [h, W, C, 2]
    return (parts.flip(3) if LITTLE_ENDIAN else parts).flatten(1)


def filter_paeth(rows: Tensor, above: Tensor, pixel_bytes: int) -> Tensor:
    """Replace every byte by its difference to the best of its left, upper and upper left neighbours.

    Args:
        rows: [h, N], uint8.
        above: The row before the first, [1, N]; zeros at the top of the picture.
        pixel_bytes: Distance to the left neighbour.

    Returns:
        [h, 1 + N], uint8: each row after the number of its filter.
    """
    padded = torch.nn.functional.pad(torch.cat((above, rows)).to(torch.int16), (pixel_bytes, 0))
    current, left = padded[1:, pixel_bytes:], padded[1:, :-pixel_bytes]
    up, up_left = padded[:-1, pixel_bytes:], padded[:-1, :-pixel_bytes]
    estimate = left + up - up_left
    far_left, far_up, far_up_left = ((estimate - other).abs_() for other in (left, up, up_left))
    best = torch.where(far_up <= far_up_left, up, up_left)
    best = torch.where((far_left <= far_up) & (far_left <= far_up_left), left, best)
    filtered = torch.empty(rows.shape[0], rows.shape[1] + 1, dtype=torch.uint8)
    filtered[:, 0] = PAETH
    torch.bitwise_and(current - best, 0xFF, out=best)
    filtered[:, 1:].copy_(best)
    return filtered
