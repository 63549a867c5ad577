"""Pictures of more than 8 bits per sample are read at full depth from every kind of file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from image_files import (
    UPRIGHT,
    edit_tiff_tags,
    encoded,
    lzw_tiff_file,
    orientation_exif,
    png_chunk,
    png_file,
    random_samples,
)
from PIL import Image

from styletransfer.errors import ImageError
from styletransfer.media import Picture, picture_from_pil, read_picture

SIZE = (9, 13)


def read(file: bytes) -> torch.Tensor:
    picture = read_picture(io.BytesIO(file))
    assert picture.bit_depth == 16
    return picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))


def tiff_file(samples: torch.Tensor, **options: Any) -> bytes:
    """A TIFF that tifffile writes of samples [C, H, W]."""
    buffer = io.BytesIO()
    if samples.shape[0] == 1:
        samples = samples[0]
    elif options.get("planarconfig") != "separate":
        samples = samples.permute(1, 2, 0)
    tifffile.imwrite(buffer, samples.contiguous().numpy(), metadata=None, **options)
    return buffer.getvalue()


def as_read(samples: torch.Tensor) -> torch.Tensor:
    """Gray as three channels."""
    return samples[{1: [0, 0, 0], 2: [0, 0, 0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[samples.shape[0]]]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels: int, interlaced: bool) -> None:
    samples = random_samples(channels, *SIZE, depth=16)
    assert torch.equal(read(png_file(samples, interlaced=interlaced)), as_read(samples))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_color_of_a_png_is_compared_at_16_bits(channels: int) -> None:
    samples = random_samples(channels, 1, 3, depth=16)
    samples[:, 0, 1] = samples[:, 0, 0]
    # Equal in the high byte only.
    samples.view(torch.int16)[0, 0, 1] ^= 1
    color = b"".join(value.to_bytes(2, "big") for value in samples[:, 0, 0].tolist())
    pixels = read(png_file(samples, [(b"tRNS", color)]))
    assert pixels[3].tolist() == [[0, 65535, 65535]]
    assert torch.equal(pixels[:3], as_read(samples))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_orientation(channels: int, orientation: int) -> None:
    samples = random_samples(channels, *SIZE, depth=16)
    upright = UPRIGHT[orientation](as_read(samples))
    exif = orientation_exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    assert torch.equal(read(png_file(samples, [(b"eXIf", exif)])), upright)
    options = {"photometric": "rgb" if channels > 2 else "minisblack"}
    if channels in {2, 4}:
        options["extrasamples"] = "unassalpha"
    tags = [(274, "H", 1, orientation, True)]
    assert torch.equal(read(tiff_file(samples, extratags=tags, **options)), upright)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packing", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": 2}])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_colors(channels: int, packing: dict[str, object], order: str, planes: str) -> None:
    samples = random_samples(channels, *SIZE, depth=16)
    alpha = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    file = tiff_file(samples, photometric="rgb", byteorder=order, planarconfig=planes, **alpha, **packing)
    assert torch.equal(read(file), samples)


@pytest.mark.parametrize("layout", [{"tile": (16, 32)}, {"rowsperstrip": 2}, {"bigtiff": True}])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_layouts(channels: int, layout: dict[str, object]) -> None:
    samples = random_samples(channels, 37, 45, depth=16)
    photometric = "rgb" if channels == 3 else "minisblack"
    assert torch.equal(read(tiff_file(samples, photometric=photometric, **layout)), as_read(samples))


def test_tiff_with_lzw() -> None:
    samples = random_samples(3, *SIZE, depth=16)
    assert torch.equal(read(lzw_tiff_file(samples)), samples)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("packing", ["lzw", "packbits", "zstd", "lzma"])
def test_tiff_compressions(packing: str, planes: str) -> None:
    """Photoshop writes LZW."""
    samples = random_samples(3, *SIZE, depth=16)
    file = tiff_file(samples, photometric="rgb", compression=packing, planarconfig=planes)
    assert torch.equal(read(file), samples)


def test_a_png_without_its_last_chunk() -> None:
    samples = random_samples(3, *SIZE, depth=16)
    assert torch.equal(read(png_file(samples)[:-12]), samples)


def test_exif_behind_the_pixels_of_a_png() -> None:
    samples = random_samples(3, *SIZE, depth=16)
    exif = orientation_exif(6).tobytes().removeprefix(b"Exif\0\0")
    file = png_file(samples)
    file = file[:-12] + png_chunk(b"eXIf", exif) + file[-12:]
    assert torch.equal(read(file), UPRIGHT[6](samples))


@pytest.mark.parametrize("chunk", [(b"iCCP", b"x\0\0no zlib"), (b"abCd", b"private"), (b"gAMA", b"short")])
def test_odd_metadata_of_a_png_are_ignored(chunk: tuple[bytes, bytes], capfd: Any) -> None:
    samples = random_samples(3, *SIZE, depth=16)
    assert torch.equal(read(png_file(samples, [chunk], interlaced=True)), samples)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_grays(compression: str | None, order: str) -> None:
    samples = random_samples(1, *SIZE, depth=16)
    options = {"compression": compression, "byteorder": order}
    assert torch.equal(read(tiff_file(samples, photometric="minisblack", **options)), as_read(samples))
    inverted = (65535 - samples.int()).to(torch.uint16)
    assert torch.equal(read(tiff_file(samples, photometric="miniswhite", **options)), as_read(inverted))


def test_tiff_gray_with_alpha() -> None:
    samples = random_samples(2, *SIZE, depth=16)
    file = tiff_file(samples, photometric="minisblack", extrasamples=["unassalpha"])
    assert torch.equal(read(file), as_read(samples))


@pytest.mark.parametrize("channels", [2, 4])
def test_premultiplied_tiff(channels: int) -> None:
    straight = random_samples(channels, *SIZE, depth=16).numpy().astype(np.int64)
    straight[-1].clip(1000, None, out=straight[-1])
    straight[-1, 0, 0] = 0
    stored = straight.copy()
    stored[:-1] = np.round(straight[:-1] * straight[-1:] / 65535)
    photometric = "rgb" if channels == 4 else "minisblack"
    samples = torch.from_numpy(stored.astype(np.uint16))
    pixels = read(tiff_file(samples, photometric=photometric, extrasamples=["assocalpha"])).int()
    expected = as_read(torch.from_numpy(straight.astype(np.int32)))
    expected[:3, 0, 0] = 0
    # Half a step of the stored color, divided by the smallest alpha.
    assert (pixels - expected).abs().max() <= 0.5 * 65535 / 1000 + 1
    assert torch.equal(pixels[3], expected[3])


@pytest.mark.parametrize("channels", [2, 4])
def test_an_unspecified_last_channel_is_not_alpha(channels: int) -> None:
    samples = random_samples(channels, *SIZE, depth=16)
    photometric = "rgb" if channels == 4 else "minisblack"
    file = tiff_file(samples, photometric=photometric, extrasamples=["unspecified"])
    assert torch.equal(read(file), as_read(samples[:-1]))


def test_floats_in_0_to_1() -> None:
    values = torch.tensor([[[0.0, 0.25, 1.0, -3.0, float("nan")]]])
    expected = [0, 16384, 65535, 0, 0]
    assert read(tiff_file(values, photometric="minisblack"))[0, 0].tolist() == expected
    colors = values.repeat(3, 1, 1)
    assert read(tiff_file(colors, photometric="rgb"))[:, 0].tolist() == [expected] * 3


@pytest.mark.parametrize(
    ("values", "white"),
    [
        ([0.5] * 99 + [50.0], 1),  # one hot pixel
        ([0.5] * 99 + [float("inf")], 1),
        ([0.5] * 50 + [2.5] * 50, 1),  # highlights of linear light
        ([0.0, 127.5] * 50, 255),
        ([3.0] * 99 + [7.0], 255),  # whole numbers
        ([0.0, 127.5] * 49 + [0.0, 1e9], 255),
        ([0.0, 30000.5] * 50, 65535),
        ([0.0, 1e6] * 50, 1e6),
    ],
)
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_white_of_floats(values: list[float], white: float, photometric: str) -> None:
    samples = torch.tensor(values).view(1, -1, 10)
    expected = samples.div(white).clamp(0, 1).mul(65535).round()[0]
    if photometric == "rgb":
        samples = torch.cat((samples, samples / 2, samples / 4))
    assert (read(tiff_file(samples, photometric=photometric))[0] - expected).abs().max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 51, 255], [0, 13107, 65535]),
        ([0, 256, 65535], [0, 256, 65535]),
        ([0, 80_000, 100_000], [0, 52428, 65535]),
        ([0, 2**30, 2**30], [0, 32768, 32768]),
    ],
)
def test_white_of_32_bit_integers(values: list[int], expected: list[int]) -> None:
    image = Image.new("I", (3, 1))
    image.putdata(values)
    assert picture_from_pil(image).pixels[0, 0].tolist() == expected
    assert read(encoded(image, "TIFF"))[0, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_the_sixteen_bit_modes_of_pillow(mode: str) -> None:
    samples = random_samples(1, *SIZE, depth=16)
    stored = samples.numpy().astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    image = Image.frombytes(mode, SIZE[::-1], stored)
    assert torch.equal(picture_from_pil(image).pixels, as_read(samples))


def test_gray_is_not_clipped_to_white() -> None:
    """Pillow itself converts everything above 255 to white."""
    ramp = torch.linspace(0, 65535, 1000).to(torch.uint16).view(1, 1, -1)
    picture: Picture = read_picture(io.BytesIO(png_file(ramp)))
    assert len(set(picture.pixels[0, 0].tolist())) == 1000


def test_a_tiff_of_an_unknown_kind_is_refused() -> None:
    file = tiff_file(random_samples(3, *SIZE, depth=16), photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageError, match="kind of TIFF"):
        read_picture(io.BytesIO(edit_tiff_tags(file, {262: 4})))  # a mask
