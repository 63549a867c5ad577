"""Any small picture, through the real command: the result has its size and its alpha, and nothing breaks."""

from __future__ import annotations

import tempfile
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from styletransfer.cli import program
from styletransfer.media import read_picture, write_picture
from styletransfer.media.picture import with_bit_depth

from .pictures import make_picture

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "RGB 16", "RGBA 16")

sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))


def write_mode(mode: str, size: tuple[int, int], seed: int, folder: Path) -> Path:
    """Write random pixels in a mode of Pillow, or in colors of 16 bits, which Pillow has not."""
    path = folder / ("content.tif" if mode == "CMYK" else "content.png")
    if mode.endswith(" 16"):
        write_picture(make_picture(size, alpha="A" in mode, bit_depth=16, seed=seed), path)
        return path
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.png"
        write_picture(make_picture(size, alpha=True, seed=seed), plain)
        with Image.open(plain) as image:
            if mode == "I;16":
                grey = image.convert("L").tobytes()
                Image.frombytes("I;16", size, b"".join(bytes((value, 255 - value)) for value in grey)).save(
                    path
                )
            else:
                opaque = image if mode in {"LA", "RGBA"} else image.convert("RGB")
                opaque.convert(mode).save(path)
    return path


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    content_size=sizes,
    style_size=sizes,
    extension=st.sampled_from(["png", "tiff", "webp", "jpg", "bmp"]),
    deep=st.booleans(),
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
    transform=st.sampled_from(["wct", "monge", "adain"]),
    color=st.sampled_from(["none", "luma", "palette"]),
    strokes=st.sampled_from([1, 1, 3]),
    seed=st.integers(0, 9),
)
def test_size_and_alpha_are_the_contents(
    model: str,
    mode: str,
    content_size: tuple[int, int],
    style_size: tuple[int, int],
    extension: str,
    deep: bool,
    alpha: float,
    transform: str,
    color: str,
    strokes: int,
    seed: int,
) -> None:
    depth = 16 if deep and extension in {"png", "tiff"} else 8
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = write_mode(mode, content_size, seed, folder)
        style, output = folder / "style.png", folder / f"result.{extension}"
        write_picture(make_picture(style_size, seed=seed + 1), style)
        words = ["stylize", content, style, "-o", output, "-m", model, "-a", alpha, "--bit-depth", depth]
        words += ["--transform", transform, "--preserve-color", color, "--stroke-scale", strokes]
        result = CliRunner(catch_exceptions=False).invoke(program, list(map(str, words)))
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{output}\n"
        picture = read_picture(output)
        assert (picture.width, picture.height) == content_size
        assert picture.bit_depth == depth
        transparent = read_picture(content).alpha
        assert (picture.alpha is not None) == (transparent is not None and extension not in {"jpg", "bmp"})
        if picture.alpha is not None and transparent is not None:
            assert picture.alpha.equal(with_bit_depth(transparent, depth))
