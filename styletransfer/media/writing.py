"""Writing of pictures to files, streams and Pillow images."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from ..files import open_atomic
from .color_profiles import srgb_profile
from .formats import ImageFormat, check_writable_format, explain_writing, printable_name, resolve_format
from .high_bit_depth import PNG_SIGNATURE
from .picture import PhotoMetadata, Picture
from .pil_tensor import LITTLE_ENDIAN, STRIP_PIXELS, image_from_channels
from .reading import preserve_text

OPAQUE_FORMATS = {"JPEG", "BMP"}
FULL_CHROMA_QUALITY = 90  # from this quality on, JPEG keeps colors at full resolution
TIFF_PREDICTOR, HORIZONTAL_DIFFERENCES = 317, 2  # TIFF 6.0, section 14; halves the file
INCH = 2  # a value of ResolutionUnit; TIFF 6.0, section 8
METERS_PER_INCH = 0.0254
CLASSIC_TIFF, MAX_CLASSIC_TIFF = 42, 2**32 - 2**16  # version number, and bytes below 4 GB
EXIF_DIRECTORIES = {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}
PNG_COLOR_TYPES = {3: 2, 4: 6}  # by number of channels: RGB, RGBA
PNG_PAETH_FILTER = 4
# Searching for runs but not for repeated strings is 5 times faster, and files differ by less than 3 %.
PNG_STRATEGY = zlib.Z_RLE


def write_picture(
    picture: Picture,
    target: str | Path | BinaryIO,
    *,
    format: str | None = None,
    bit_depth: int | None = None,
    quality: int = 95,
    metadata: Mapping[str, str] | None = None,
    photo: PhotoMetadata | None = None,
) -> None:
    """Write a picture with an sRGB profile; the file appears whole or not at all.

    JPEG and BMP cannot hold alpha, so a picture with alpha is laid on white there.

    Args:
        picture: The picture.
        target: A path, or a binary stream, which need not be seekable.
        format: "png", "jpeg", ...; None takes it from the file name.
        bit_depth: Bits per sample, 8 or 16; None keeps those of the picture if the format can hold them.
        quality: Quality of JPEG, WebP and AVIF, 1..100.
        metadata: Short keys with their texts. PNG gets a text chunk for each; JPEG, TIFF, WebP and AVIF get
            all of them as JSON in the image description; BMP cannot hold them.
        photo: EXIF data and pixels per inch to write; BMP holds only the latter.

    Raises:
        ImageError: The format cannot hold the picture, or the file cannot be written.
        MemoryLimitError: Encoding does not fit into memory.
    """
    path = Path(target) if isinstance(target, str | Path) else None
    form = resolve_format(path, format)
    if bit_depth is None:
        bit_depth = picture.bit_depth if picture.bit_depth in form.bit_depths else 8
    check_writable_format(path, format=format, bit_depth=bit_depth, size=(picture.width, picture.height))
    name = printable_name(target)
    try:
        picture = picture.with_bit_depth(bit_depth)
        if isinstance(target, str | Path):
            with open_atomic(Path(target)) as file:
                _encode(picture, file, form, quality, metadata or {}, photo or PhotoMetadata())
        else:
            # Encoders seek and pipes cannot. And if encoding fails, nothing has been written yet.
            buffer = io.BytesIO()
            _encode(picture, buffer, form, quality, metadata or {}, photo or PhotoMetadata())
            target.write(buffer.getbuffer())
    except Exception as error:
        raise explain_writing(error, name) from error


def picture_to_pil(picture: Picture) -> Image.Image:
    """Return a Pillow image, RGB or RGBA, rounded to 8 bits, because Pillow has no more for color."""
    narrow = picture.with_bit_depth(8)
    if narrow.alpha is None:
        return image_from_channels(narrow.pixels)
    return image_from_channels(torch.cat((narrow.pixels, narrow.alpha)))


def _encode(
    picture: Picture,
    file: BinaryIO,
    form: ImageFormat,
    quality: int,
    metadata: Mapping[str, str],
    photo: PhotoMetadata,
) -> None:
    if picture.bit_depth == 8:
        image = picture_to_pil(picture)
        if picture.alpha is not None and form.name in OPAQUE_FORMATS:
            paper = Image.new("RGB", image.size, "white")
            paper.paste(image, mask=image.getchannel("A"))
            image = paper
        image.save(file, form.name, **_encoder_options(form.name, quality, metadata, photo))
    elif form.name == "PNG":
        _write_16_bit_png(picture, file, metadata, photo)
    else:
        _write_16_bit_tiff(picture, file, metadata, photo)
    if form.name == "TIFF" and photo.exif and file.readable():  # not a device
        _append_exif_to_tiff(file, photo.exif)


def _encoder_options(
    name: str, quality: int, metadata: Mapping[str, str], photo: PhotoMetadata
) -> dict[str, Any]:
    """Return the keyword arguments of Pillow's encoder."""
    options: dict[str, Any] = {} if photo.dpi is None else {"dpi": photo.dpi}
    if name == "BMP":
        return options
    options["icc_profile"] = srgb_profile()
    if name == "PNG":
        options["compress_type"] = PNG_STRATEGY
        options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
        for keyword, text in metadata.items():
            chunks.add_itxt(keyword, text)
        return options | ({"exif": photo.exif} if photo.exif else {})
    tags: dict[int, Any] = {ExifTags.Base.ImageDescription: json.dumps(dict(metadata))} if metadata else {}
    if name == "TIFF":
        return {
            **options,
            "compression": "tiff_adobe_deflate",
            "tiffinfo": {**tags, TIFF_PREDICTOR: HORIZONTAL_DIFFERENCES},
        }
    if photo.dpi is not None and name != "JPEG":  # which has a field of its own
        across, down = photo.dpi
        tags |= {ExifTags.Base.XResolution: across, ExifTags.Base.YResolution: down}
        tags[ExifTags.Base.ResolutionUnit] = INCH
    if tags or photo.exif:
        options["exif"] = exif = Image.Exif()
        exif.load(photo.exif)
        preserve_text(exif)
        exif.update(tags)
    if name == "JPEG" and quality >= FULL_CHROMA_QUALITY:
        options["subsampling"] = "4:4:4"
    return {**options, "quality": quality}


def _append_exif_to_tiff(file: BinaryIO, exif: bytes) -> None:
    """Add EXIF data to a finished TIFF: Pillow and tifffile write no directory of EXIF tags.

    The tags, and then a copy of the file's directory that names them, go to the end of the file. A BigTIFF,
    which is larger than 4 GB, is left as it is.

    Source: TIFF 6.0, section 2 (a directory is a count, entries of 12 bytes in the order of their tags, and
    the offset of the next one); EXIF 2.32, 4.6.3.
    """
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    version, start = struct.unpack(f"{order}HI", file.read(6))
    if version != CLASSIC_TIFF:
        return
    parsed = Image.Exif()
    parsed.load(exif)
    preserve_text(parsed)
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0")
    for tag, value in parsed.items():
        tags[tag] = parsed.get_ifd(tag) if tag in EXIF_DIRECTORIES else value
    end = _seek_even_end(file)
    block = bytes(tags.tobytes(end))
    if end + len(block) > MAX_CLASSIC_TIFF:
        return
    file.write(block)
    directory = _seek_even_end(file)
    entries = [*_read_directory(file, start, order), *_split_directory(block, order)]
    entries.sort(key=lambda entry: struct.unpack(f"{order}H", entry[:2]))
    file.seek(directory)
    file.write(struct.pack(f"{order}H", len(entries)))
    file.write(b"".join(entries))
    file.write(bytes(4))  # no further page
    file.seek(4)
    file.write(struct.pack(f"{order}I", directory))


def _read_directory(file: BinaryIO, start: int, order: str) -> list[bytes]:
    """Return the entries of the TIFF directory at an offset, each as its 12 bytes."""
    file.seek(start)
    head = file.read(2)
    (count,) = struct.unpack(f"{order}H", head)
    return _split_directory(head + file.read(12 * count), order)


def _split_directory(data: bytes, order: str) -> list[bytes]:
    (count,) = struct.unpack(f"{order}H", data[:2])
    return [data[2 + 12 * index : 14 + 12 * index] for index in range(count)]


def _seek_even_end(file: BinaryIO) -> int:
    """Go to the end of a file, made even by a byte if necessary, and return its offset."""
    if file.seek(0, io.SEEK_END) % 2:
        file.write(b"\0")
    return file.tell()


def _write_16_bit_tiff(
    picture: Picture, file: BinaryIO, metadata: Mapping[str, str], photo: PhotoMetadata
) -> None:
    from tifffile import TiffWriter

    samples = picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))
    with TiffWriter(file, bigtiff=samples.nbytes > 2**32 - 2**25) as tiff:
        tiff.write(
            samples.permute(1, 2, 0).contiguous().numpy(),
            photometric="rgb",
            extrasamples=() if picture.alpha is None else ("unassalpha",),
            compression="zlib",
            compressionargs={"level": 1},  # 7 times faster and 1 % larger: noise of 16 bits hardly shrinks
            predictor=True,
            iccprofile=srgb_profile(),
            description=json.dumps(dict(metadata)) if metadata else None,
            software=False,
            resolution=photo.dpi,
            resolutionunit=None if photo.dpi is None else INCH,
            metadata=None,
        )


def _write_16_bit_png(
    picture: Picture, file: BinaryIO, metadata: Mapping[str, str], photo: PhotoMetadata
) -> None:
    """Write a 16-bit picture as RGB or RGBA, filtered and compressed in strips.

    Source: PNG specification, third edition (W3C 2025): 5.3 chunks, 9.2 filters, 11.2.1 IHDR, 11.3.2.3 iCCP,
    11.3.3.4 iTXt, 11.3.4.3 pHYs, 11.3.4.5 eXIf. Differs: other encoders choose among five
    filters per row; all rows here use Paeth.
    """
    samples = picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))
    count, height, width = samples.shape
    file.write(PNG_SIGNATURE)
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOR_TYPES[count], 0, 0, 0)
    _write_png_chunk(file, b"IHDR", header)
    _write_png_chunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))
    for keyword, text in metadata.items():
        data = keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
        _write_png_chunk(file, b"iTXt", data)
    if photo.dpi is not None:
        across, down = (round(dpi / METERS_PER_INCH) for dpi in photo.dpi)
        _write_png_chunk(file, b"pHYs", struct.pack(">IIB", across, down, 1))
    if photo.exif:
        _write_png_chunk(file, b"eXIf", photo.exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(strategy=PNG_STRATEGY)
    above = torch.zeros(1, width * count * 2, dtype=torch.uint8)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = _big_endian_rows(samples[:, top : top + step])
        filtered = _filter_paeth(rows, above, 2 * count)
        above = rows[-1:]
        _write_png_chunk(file, b"IDAT", compressor.compress(filtered.numpy().data))
    _write_png_chunk(file, b"IDAT", compressor.flush())
    _write_png_chunk(file, b"IEND", b"")


def _write_png_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    """Write one chunk: its length, its type, its data and a checksum of both."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def _big_endian_rows(samples: Tensor) -> Tensor:
    """Return uint16 samples [C, h, W] as rows of bytes [h, W*C*2], the high byte of each sample first."""
    interleaved = samples.permute(1, 2, 0).contiguous()  # [h, W, C]
    parts = interleaved.view(torch.uint8).view(*interleaved.shape, 2)  # [h, W, C, 2]
    return (parts.flip(3) if LITTLE_ENDIAN else parts).flatten(1)


def _filter_paeth(rows: Tensor, above: Tensor, pixel_bytes: int) -> Tensor:
    """Subtract from every byte the best predictor among its left, upper and upper left neighbors.

    Args:
        rows: Bytes of the strip, [h, N], uint8.
        above: The row above the strip, [1, N]; zeros at the top of the picture.
        pixel_bytes: Distance to the left neighbor in bytes.

    Returns:
        [h, 1 + N], uint8: the number of the filter followed by the filtered row.
    """
    padded = torch.nn.functional.pad(torch.cat((above, rows)).to(torch.int16), (pixel_bytes, 0))
    current, left = padded[1:, pixel_bytes:], padded[1:, :-pixel_bytes]
    up, up_left = padded[:-1, pixel_bytes:], padded[:-1, :-pixel_bytes]
    estimate = left + up - up_left
    to_left, to_up, to_up_left = ((estimate - other).abs_() for other in (left, up, up_left))
    best = torch.where(to_up <= to_up_left, up, up_left)
    best = torch.where((to_left <= to_up) & (to_left <= to_up_left), left, best)
    filtered = torch.empty(rows.shape[0], rows.shape[1] + 1, dtype=torch.uint8)
    filtered[:, 0] = PNG_PAETH_FILTER
    torch.bitwise_and(current - best, 0xFF, out=best)
    filtered[:, 1:].copy_(best)
    return filtered
