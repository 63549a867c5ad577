"""Paint style images into a folder: `python -m examples.paint NAME|all`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import STYLES, render

QUALITY = 80  # JPEG quality, which gives 80 to 180 KB per picture of 640 pixels
MIN_SIZE = 64  # pixels; in smaller pictures the finest strokes would vanish


def _parse_size(text: str) -> int:
    """Parse the value of --size."""
    if not text.isdecimal() or int(text) < MIN_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; give {MIN_SIZE} pixels or more")
    return int(text)


def main() -> None:
    """Paint the styles that the command line names and print the path of each picture."""
    parser = argparse.ArgumentParser(prog="python -m examples.paint", description="Paint the style images.")
    parser.add_argument("style", choices=("all", *STYLES), nargs="?", default="all")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="Output folder (this one)."
    )
    parser.add_argument(
        "--size", type=_parse_size, default=640, metavar="N", help="Pixels on each side (%(default)s)."
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="Seed of the picture (%(default)s).")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for style in STYLES if arguments.style == "all" else (arguments.style,):
        path = arguments.output / f"{style}.jpg"
        picture = render(style, arguments.size, arguments.seed)
        picture.save(path, quality=QUALITY, optimize=True, progressive=True)
        print(path, flush=True)


if __name__ == "__main__":
    main()
