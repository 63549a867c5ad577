"""Tests that need a new process: which packages are imported, and what is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from image_files import encoded, image_of, lzw_tiff_file, random_samples

PROGRAM = """
import sys
from styletransfer.errors import ImageError
from styletransfer.media import read_picture, write_picture

photograph, damaged, result = sys.argv[1:]
write_picture(read_picture(photograph), result)
print(*sys.modules)
try:
    read_picture(damaged)
except ImageError as error:
    print(error, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("pictures")
    photograph, damaged, result = (folder / name for name in ("photograph.jpg", "damaged.tif", "result.png"))
    photograph.write_bytes(encoded(image_of(random_samples(3, 20, 30), "RGB"), "JPEG"))
    damaged.write_bytes(lzw_tiff_file(random_samples(3, 20, 30, depth=16))[:60])
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, (photograph, damaged, result))]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)


def test_an_ordinary_photograph_loads_no_special_decoders(
    process: subprocess.CompletedProcess[str],
) -> None:
    modules = process.stdout.split()
    assert "PIL.JpegImagePlugin" in modules
    assert not {"torchvision", "tifffile", "imagecodecs", "pillow_heif", "pillow_jxl"} & set(modules)


def test_decoders_print_nothing(process: subprocess.CompletedProcess[str]) -> None:
    """tifffile logs its errors, and Python prints log records that have no handler."""
    (line,) = process.stderr.splitlines()
    assert "damaged.tif: this TIFF holds no picture" in line
