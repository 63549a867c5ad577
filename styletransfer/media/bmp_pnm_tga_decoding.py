"""BMP, PNM and TGA files that Pillow reads not at all, with fewer bits or with a wrong opacity."""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO

import torch
from PIL import Image
from torch import Tensor

from ..errors import ImageError
from .formats import check_pixel_count
from .high_bit_depth import DecodedSamples, scale_counts, scale_unknown_range, separate_alpha

BIT_FIELDS, ALPHA_BIT_FIELDS = 3, 6  # values of biCompression
WHITESPACE, DIGITS = b" \t\n\v\f\r", b"0123456789"
PNM_CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}
MAX_PAM_HEADER_LINES = 100
TGA_FOOTER_SIZE, TGA_ATTRIBUTES_TYPE = 26, 494  # bytes, and the position of a field in the extension area
UNDEFINED_ALPHA, PREMULTIPLIED_ALPHA = {0, 1, 2}, 4  # values of this field


def decode_bmp(file: BinaryIO, name: str, max_pixels: int) -> DecodedSamples | None:
    """Decode a BMP whose pixels are bit fields of 16 or 32 bits, or indices of 2 bits.

    Opacity that is 0 everywhere is ignored, because many programs leave those bytes empty.

    Args:
        file: The file, seekable.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Returns:
        The samples; None if the file is of another kind, all of which Pillow reads.

    Raises:
        ImageError: The picture is too large.
        ValueError: The file is damaged.

    Source: BITMAPINFOHEADER and BITMAPV5HEADER of the Windows API.
    """
    file.seek(0)
    start = file.read(14 + 124)
    if len(start) < 14 + 40:
        return None
    (offset,), (header_size,) = struct.unpack_from("<I", start, 10), struct.unpack_from("<I", start, 14)
    if header_size < 40:
        return None
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", start, 18)
    fields = compression in {BIT_FIELDS, ALPHA_BIT_FIELDS} and bits in {16, 32}
    if not fields and bits != 2:
        return None
    if width <= 0 or height == 0:
        raise ValueError("the size makes no sense")
    check_pixel_count(name, width, abs(height), max_pixels)
    row_size = (width * bits + 31) // 32 * 4
    if fields:
        has_alpha = compression == ALPHA_BIT_FIELDS or header_size >= 56
        masks = struct.unpack_from(f"<{3 + has_alpha}I", start, 54)
        rows = _read_rows(file, offset, abs(height), row_size)
        words = rows.view(torch.int16 if bits == 16 else torch.int32)[:, :width]
        samples = _extract_fields(words, masks)
    else:
        (color_count,) = struct.unpack_from("<I", start, 46)
        file.seek(14 + header_size)
        palette = torch.zeros(4, 4, dtype=torch.uint8)
        stored = torch.frombuffer(bytearray(file.read(4 * min(color_count or 4, 4))), dtype=torch.uint8)
        palette.view(-1)[: len(stored)] = stored
        packed = _read_rows(file, offset, abs(height), row_size)
        shifts = torch.tensor([6, 4, 2, 0], dtype=torch.uint8)
        indices = (packed.unsqueeze(2) >> shifts & 3).flatten(1)[:, :width]
        samples = palette[:, [2, 1, 0]].T[:, indices.long()]
    samples = samples.flip(1) if height > 0 else samples
    colors, alpha, profile = separate_alpha(samples, None)
    return DecodedSamples(colors, alpha if alpha is not None and bool((alpha != 0).any()) else None, profile)


def correct_tga_opacity(image: Image.Image, file: BinaryIO) -> None:
    """Give a loaded TGA the opacity that it is meant to have.

    Opacity that is 0 everywhere, in the pixels or in all used colors of a palette, is ignored, because many
    programs leave those bytes empty. So is what the file itself calls undefined.

    Args:
        image: A loaded TGA of any mode; it is changed in place.
        file: Its file, seekable.

    Source: Truevision TGA file format specification, version 2.0, fields 24 and C.9 (attributes type).
    """
    if not image.has_transparency_data:
        return
    if image.mode == "P":
        if not any(image.convert("RGBA").getchannel("A").getextrema()):
            image.putpalette(image.getpalette("RGB") or [], "RGB")
        return
    kind = _read_tga_attributes_type(file)
    if not any(image.getchannel("A").getextrema()) or kind in UNDEFINED_ALPHA:
        image.putalpha(255)
    elif kind == PREMULTIPLIED_ALPHA and image.mode == "RGBA":
        image.paste(Image.merge("RGBa", image.split()).convert("RGBA"))


def _read_tga_attributes_type(file: BinaryIO) -> int | None:
    """Return what a TGA of version 2 says about its opacity; None if it says nothing."""
    file.seek(0, io.SEEK_END)
    if file.tell() < TGA_FOOTER_SIZE:
        return None
    file.seek(-TGA_FOOTER_SIZE, io.SEEK_END)
    footer = file.read(TGA_FOOTER_SIZE)
    (extension,) = struct.unpack_from("<I", footer)
    if not footer.endswith(b"TRUEVISION-XFILE.\0") or not extension:
        return None
    file.seek(extension + TGA_ATTRIBUTES_TYPE)
    return int.from_bytes(file.read(1) or b"\3", "little")


def _read_rows(file: BinaryIO, offset: int, height: int, row_size: int) -> Tensor:
    """Return the bytes of the rows, [H, row_size], as they are stored.

    Raises:
        ValueError: The file ends too early.
    """
    file.seek(offset)
    data = bytearray(file.read(height * row_size))
    if len(data) < height * row_size:
        raise ValueError("the file ends too early")
    return torch.frombuffer(data, dtype=torch.uint8).view(height, row_size)


def _extract_fields(words: Tensor, masks: tuple[int, ...]) -> Tensor:
    """Return the samples that masks select from words [H, W], uint16 if one has more than 8 bits."""
    used = masks if len(masks) == 4 and masks[3] else masks[:3]
    widths = [mask.bit_count() for mask in used]
    if not all(widths[:3]):
        raise ValueError("a color has no bits")
    dtype = torch.uint8 if max(widths) <= 8 else torch.uint16
    channels = []
    for mask, width in zip(used, widths, strict=True):
        shift = (mask & -mask).bit_length() - 1
        if mask != (2**width - 1) << shift:
            raise ValueError("the bits of a color are not adjacent")
        values = (words.to(torch.int64) >> shift) & (2**width - 1)
        channels.append(scale_counts(values.unsqueeze(0), 2**width - 1, dtype))
    return torch.cat(channels)


def decode_pnm(file: BinaryIO, name: str, max_pixels: int) -> DecodedSamples:
    """Decode a PBM, PGM, PPM, PAM or PFM file.

    Args:
        file: The file, seekable.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Raises:
        ImageError: The picture is too large, or has more than four channels.
        ValueError: The file is damaged.

    Source: the manual pages pbm(5), pgm(5), ppm(5) and pam(5) of Netpbm; PFM by P. Debevec.
    """
    file.seek(0)
    kind = file.read(2)
    if kind == b"P7":
        width, height, count, largest, content = _read_pam_header(file)
        if not 1 <= count <= 4 or content.startswith(b"CMYK"):  # as ImageMagick writes it
            described = "CMYK" if content.startswith(b"CMYK") else f"{count} channels"
            raise ImageError(f"{name}: a PAM of {described} cannot be read", hint="save it as PNG")
    else:
        count = PNM_CHANNELS[kind]
        width, height = int(_read_token(file)), int(_read_token(file))
        if kind in {b"Pf", b"PF"}:
            little_endian, largest = _read_token(file).startswith(b"-"), 0
        else:
            largest = 1 if kind in {b"P1", b"P4"} else int(_read_token(file))
    if width < 1 or height < 1 or not (0 < largest < 2**16 or kind in {b"Pf", b"PF"}):
        raise ValueError("its header makes no sense")
    check_pixel_count(name, width, height, max_pixels)
    shape = (height, width, count)
    if kind in {b"P1", b"P2", b"P3"}:
        samples = _read_text(file, shape, spaced=kind != b"P1")
    elif kind == b"P4":
        packed = _read_bytes(file, height * ((width + 7) // 8)).view(height, -1, 1)
        bits = packed >> torch.tensor([7, 6, 5, 4, 3, 2, 1, 0], dtype=torch.uint8) & 1
        samples = bits.flatten(1)[:, :width].unsqueeze(2)
    elif kind in {b"Pf", b"PF"}:
        data = _read_bytes(file, 4 * height * width * count).view(-1, 4)
        values = (data if little_endian else data.flip(1)).contiguous().view(torch.float32).view(shape)
        return DecodedSamples(scale_unknown_range(values.permute(2, 0, 1).flip(1), None), None, None)
    elif largest > 255:
        pairs = _read_bytes(file, 2 * height * width * count).view(-1, 2)  # the high byte first
        samples = pairs.flip(1).contiguous().view(torch.uint16).view(shape)
    else:
        samples = _read_bytes(file, height * width * count).view(shape)
    if kind in {b"P1", b"P4"}:
        samples = 1 - samples  # 1 is black
    dtype = torch.uint8 if largest <= 255 else torch.uint16
    return separate_alpha(scale_counts(samples.permute(2, 0, 1).contiguous(), largest, dtype), None)


def _read_token(file: BinaryIO) -> bytes:
    """Read a number of the header and the one character of white space behind it; comments are skipped."""
    token = b""
    while len(token) < 30:
        character = file.read(1)
        if character == b"#":
            while character not in {b"\n", b"\r", b""}:
                character = file.read(1)
        if character == b"" or (token and character in WHITESPACE):
            return token
        if character not in WHITESPACE:
            token += character
    raise ValueError("its header makes no sense")


def _read_pam_header(file: BinaryIO) -> tuple[int, int, int, int, bytes]:
    """Return width, height, number of channels, the value of white, and what the channels are."""
    fields = {}
    for _ in range(MAX_PAM_HEADER_LINES):
        key, *values = file.readline(1000).split(maxsplit=1) or [b""]
        if key == b"ENDHDR":
            break
        fields[key] = values[0].strip() if values else b""
    width, height, count, largest = (int(fields[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    return width, height, count, largest, fields.get(b"TUPLTYPE", b"")


def _read_bytes(file: BinaryIO, count: int) -> Tensor:
    data = bytearray(file.read(count))
    if len(data) < count:
        raise ValueError("the file ends too early")
    return torch.frombuffer(data, dtype=torch.uint8)


def _read_text(file: BinaryIO, shape: tuple[int, int, int], *, spaced: bool) -> Tensor:
    """Read decimal numbers, [H, W, C], int32; digits of PBM need no space between them."""
    import numpy as np

    count = shape[0] * shape[1] * shape[2]
    data = re.sub(rb"#[^\r\n]*", b"", file.read())  # Netpbm allows comments between samples, too
    if data.translate(None, WHITESPACE + DIGITS):
        raise ValueError("there are other characters than digits between the samples")
    if spaced:
        numbers = np.fromstring(data.decode("ascii"), dtype=np.int64, sep=" ", count=-1).clip(0, 2**16 - 1)
    else:
        numbers = np.frombuffer(data.translate(None, WHITESPACE), dtype=np.uint8) - ord("0")
    if len(numbers) < count:
        raise ValueError("the file ends too early")
    return torch.from_numpy(numbers[:count].astype(np.int32)).view(shape)
