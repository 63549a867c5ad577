"""Picture files of kinds that no installed library writes, made byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from PIL import Image
from torch import Tensor

# How EXIF orients: what a viewer does to the stored samples [C, H, W].
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored.flip(2),
    3: lambda stored: stored.flip(1, 2),
    4: lambda stored: stored.flip(1),
    5: lambda stored: stored.transpose(1, 2),
    6: lambda stored: stored.rot90(-1, (1, 2)),
    7: lambda stored: stored.flip(1, 2).transpose(1, 2),
    8: lambda stored: stored.rot90(1, (1, 2)),
}


def random_samples(channels: int, height: int, width: int, depth: int = 8, seed: int = 0) -> Tensor:
    """Integers of 8 or 16 bits, [C, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 2**depth, (channels, height, width), generator=generator, dtype=torch.int32)
    return values.to(torch.uint8 if depth == 8 else torch.uint16)


def image_of(samples: Tensor, mode: str) -> Image.Image:
    """A Pillow image of uint8 samples [C, H, W]."""
    _, height, width = samples.shape
    return Image.frombytes(mode, (width, height), samples.permute(1, 2, 0).contiguous().numpy().tobytes())


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """The file that Pillow makes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def orientation_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(samples: Tensor, chunks: Sequence[tuple[bytes, bytes]] = (), interlaced: bool = False) -> bytes:
    """A PNG of 16-bit samples [C, H, W]; 1 to 4 channels are gray, gray and alpha, RGB, RGBA."""
    count, height, width = samples.shape
    pixels = samples.permute(1, 2, 0).numpy().astype(">u2")
    # Adam7: the first pixel, the step, down and across.
    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in (adam7 if interlaced else [(0, 0, 1, 1)])
        for row in pixels[top::down, left::across]
        if row.size
    )
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, data)
        for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def with_png_chunks(file: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """The PNG with further chunks after IHDR."""
    return file[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + file[33:]


def decode_png(file: bytes) -> Tensor:
    """Decode a 16-bit PNG as its specification says; samples [C, H, W]."""
    position, data, header = 8, b"", b""
    while position < len(file):
        length, kind = struct.unpack_from(">I4s", file, position)
        body = file[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", file, position + 8 + length) == (zlib.crc32(kind + body),)
        header = body if kind == b"IHDR" else header
        data += body if kind == b"IDAT" else b""
        position += 12 + length
    width, height, depth, color_type = struct.unpack_from(">IIBB", header)
    assert depth == 16
    count = {2: 3, 6: 4}[color_type]
    step, stride = 2 * count, 2 * count * width
    raw = zlib.decompress(data)
    rows = [bytearray(stride)]
    for start in range(0, len(raw), stride + 1):
        assert raw[start] == 4  # Paeth, the only filter that the writer uses
        above, row = rows[-1], bytearray(stride)
        for i, difference in enumerate(raw[start + 1 : start + 1 + stride]):
            left, up = (row[i - step] if i >= step else 0), above[i]
            up_left = above[i - step] if i >= step else 0
            estimate = left + up - up_left
            best = min((left, up, up_left), key=lambda value: abs(estimate - value))
            row[i] = (difference + best) % 256
        rows.append(row)
    assert len(rows) == height + 1
    values = [value for row in rows[1:] for (value,) in struct.iter_unpack(">H", row)]
    return torch.tensor(values).view(height, width, count).permute(2, 0, 1).to(torch.uint16)


def edit_tiff_tags(file: bytes, changes: Mapping[int, int]) -> bytes:
    """Change tags in the first directory of a little-endian TIFF, whose values are stored inside of it."""
    data = bytearray(file)
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    left = dict(changes)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from("<HHI", data, entry)
        if tag in left:
            struct.pack_into("<H" if kind == 3 else "<I", data, entry + 8, left.pop(tag))
    assert not left, f"no tags {left}"
    return bytes(data)


def lzw_tiff_file(samples: Tensor) -> bytes:
    """A 16-bit RGB TIFF with LZW: Pillow's 8-bit one of twice the width, its tags then corrected."""
    _, _, width = samples.shape
    parts = samples.permute(1, 2, 0).contiguous().view(torch.uint8)  # [H, W, 6]
    wide = image_of(parts.reshape(parts.shape[0], 2 * width, 3).permute(2, 0, 1), "RGB")
    file = encoded(wide, "TIFF", compression="tiff_lzw")
    # BitsPerSample lies outside the directory.
    narrow, deep = struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 16, 16, 16)
    assert file.count(narrow) == 1
    return edit_tiff_tags(file.replace(narrow, deep), {256: width})


def matrix_profile(primaries: Sequence[Sequence[float]], gamma: float) -> bytes:
    """An ICC profile with these columns of XYZ (D50) for red, green and blue, and one gamma."""
    return curve_profile(primaries, gamma_tag(gamma))


def curve_profile(primaries: Sequence[Sequence[float]], curve: bytes) -> bytes:
    """An ICC profile with these columns of XYZ (D50) for red, green and blue, and one curve for all."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz_tag, primaries), strict=True)
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc_profile(b"RGB ", {**dict(columns), **curves})


def gray_profile(gamma: float) -> bytes:
    """An ICC profile of gray with a gamma."""
    return icc_profile(b"GRAY", {b"kTRC": gamma_tag(gamma)})


def table_profile(space: bytes, inks: int) -> bytes:
    """An ICC profile with a table, not a matrix, in which each ink removes an equal share of lightness."""
    corners = product((0, 1), repeat=inks)
    table = b"".join(bytes((round(255 - 255 * sum(corner) / inks), 128, 128)) for corner in corners)  # CIELAB
    ramps = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if index % 4 == 0 else 0 for index in range(9)))
    lut = b"mft1\0\0\0\0" + bytes((inks, 3, 2, 0)) + identity + ramps * inks + table + ramps * 3
    return icc_profile(space, {b"A2B0": lut + bytes(-len(lut) % 4)}, connection=b"Lab ")


def parametric_tag(kind: int, *numbers: float) -> bytes:
    fixed = struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed


def gamma_tag(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def xyz_tag(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def icc_profile(space: bytes, tags: Mapping[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """Assemble a version 2 display profile."""
    tags = {**tags, b"wtpt": xyz_tag((0.9642, 1, 0.8249))}
    table, body, offset = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data
    header = bytearray(128)
    start = struct.pack(">I4sI4s4s4s", offset + len(body), b"test", 0x02400000, b"mntr", space, connection)
    header[: len(start)] = start
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + struct.pack(">I", len(tags)) + table + body
