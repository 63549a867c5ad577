"""Uncompressed files of every sample type that TIFF, PNG, BMP and PNM can hold, made byte by byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

from image_files import png_chunk


def pack_rows(rows: Sequence[Sequence[int]], bits: int, order: str = "big") -> bytes:
    """Pack integers of any number of bits into rows of whole bytes."""
    packed = b""
    for row in rows:
        if bits > 8 and bits % 8 == 0:
            packed += b"".join(value.to_bytes(bits // 8, order) for value in row)  # type: ignore[arg-type]
            continue
        number, length = 0, len(row) * bits
        for value in row:
            number = number << bits | value
        padding = -length % 8
        packed += (number << padding).to_bytes((length + padding) // 8, "big")
    return packed


def tiff_bytes(tags: Mapping[int, Sequence[int] | int], data: bytes) -> bytes:
    """A little-endian TIFF of one strip; all given tags are SHORT."""
    entries: dict[int, Sequence[int]] = {
        tag: [value] if isinstance(value, int) else value for tag, value in tags.items()
    }
    directory_size = 2 + 12 * (len(entries) + 3) + 4
    extra_start = 8 + directory_size
    extra = b""
    records = {}
    for tag, values in entries.items():
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            records[tag] = struct.pack("<HHII", tag, 3, len(values), extra_start + len(extra))
            extra += packed
        else:
            records[tag] = struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    height = entries[257][0]
    for tag, value in ((273, extra_start + len(extra)), (278, height), (279, len(data))):
        records[tag] = struct.pack("<HHII", tag, 4, 1, value)
    directory = struct.pack("<H", len(records)) + b"".join(records[tag] for tag in sorted(records))
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + extra + data


def png_bytes(
    rows: Sequence[Sequence[int]],
    width: int,
    bits: int,
    color_type: int,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of any color type and bit depth; a row has all samples of its pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + pack_rows([row], bits) for row in rows))
    all_chunks = ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in all_chunks)


def bmp_bytes(
    width: int,
    height: int,
    bits: int,
    data: bytes,
    *,
    header_size: int = 40,
    compression: int = 0,
    palette: bytes = b"",
    masks: Sequence[int] = (),
) -> bytes:
    """A BMP; rows in `data` run upward and are padded to 4 bytes."""
    if header_size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        colors = len(palette) // 4
        header = struct.pack(
            "<IiiHHIIiiII", header_size, width, height, 1, bits, compression, len(data), 0, 0, colors, 0
        )
    fields = struct.pack(f"<{len(masks)}I", *masks)
    header = (header + fields).ljust(header_size, b"\0") if header_size > 40 else header + fields
    if header_size >= 108:
        header = header[:56] + struct.pack("<I", 0x73524742) + header[60:]  # sRGB
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + palette + data
