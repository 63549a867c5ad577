"""Read damaged copies of picture files until the time is up; anything but a StyleTransferError is a failure.

    PYTHONPATH=.:tests/media python tests/fuzz/read_picture.py MINUTES [SEED]

The corpus is `FILES` of tests/media/test_broken_files.py, with HEIC and JPEG XL where their plugins are
installed. A file that fails is saved as fuzz-failure-N.bin in the current folder.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import io
import random
import sys
import time
import warnings
from pathlib import Path

from image_files import encoded
from test_broken_files import FILES, PHOTOGRAPH

from styletransfer.errors import StyleTransferError
from styletransfer.media import read_picture

MAX_PIXELS = 100_000
SLOW = 5  # seconds for a file of a few kilobytes


def corpus() -> dict[str, bytes]:
    files = dict(FILES)
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["HEIC"] = encoded(PHOTOGRAPH, "HEIF")
    if importlib.util.find_spec("pillow_jxl") is not None:
        import pillow_jxl  # noqa: F401

        files["JPEG XL"] = encoded(PHOTOGRAPH, "JXL")
    return files


def damaged(file: bytes, numbers: random.Random) -> bytes:
    """Change, remove or insert a few bytes, more of them in the header than elsewhere."""
    data = bytearray(file)
    for _ in range(numbers.randint(1, 6)):
        position = numbers.randrange(min(400, len(data)) if numbers.random() < 0.7 else len(data))
        kind, length = numbers.random(), numbers.randint(1, 8)
        if kind < 0.6:
            data[position] = numbers.choice((0, 1, 2, 127, 128, 255, numbers.randrange(256)))
        elif kind < 0.8:
            data[position] ^= 1 << numbers.randrange(8)
        elif kind < 0.9:
            del data[position : position + length]
        else:
            data[position:position] = numbers.randbytes(length)
    return bytes(data)


def main(minutes: float, seed: int = 0) -> int:
    """Return the number of failures."""
    faulthandler.enable()
    warnings.simplefilter("error")
    numbers, files = random.Random(seed), corpus()
    kinds = sorted(files)
    end, count, failures = time.monotonic() + 60 * minutes, 0, 0
    while time.monotonic() < end:
        kind = numbers.choice(kinds)
        data = damaged(files[kind], numbers)
        start, problem = time.monotonic(), ""
        try:
            read_picture(io.BytesIO(data), max_pixels=MAX_PIXELS)
        except StyleTransferError as error:
            problem = "a message of several lines" if "\n" in str(error) else ""
        except BaseException as error:
            problem = repr(error)
        if time.monotonic() - start > SLOW:
            problem = problem or f"{time.monotonic() - start:.0f} seconds"
        count += 1
        if problem:
            failures += 1
            Path(f"fuzz-failure-{failures}.bin").write_bytes(data)
            print(f"{kind}: {problem} (fuzz-failure-{failures}.bin)")
    print(f"{count} files, {failures} failures")
    return failures


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]), *map(int, sys.argv[2:3]))))
