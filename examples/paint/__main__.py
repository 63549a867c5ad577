"""`python -m examples.paint NAME|all`: paint style images into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import STYLES, render

QUALITY = 80  # of the JPEG files: 80-180 KB a picture at 640 pixels
SMALLEST = 64  # pixels; the finest stroke would vanish below


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < SMALLEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give {SMALLEST} pixels or more")
    return int(text)


def main() -> None:
    """Paint what the command line asks for and print the path of each picture."""
    parser = argparse.ArgumentParser(prog="python -m examples.paint", description="Paint the style images.")
    parser.add_argument("style", choices=("all", *STYLES), nargs="?", default="all")
    parser.add_argument("-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to (here)")
    parser.add_argument("--size", type=_size, default=640, metavar="N", help="pixels a side (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which picture (%(default)s)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for style in STYLES if arguments.style == "all" else (arguments.style,):
        path = arguments.output / f"{style}.jpg"
        picture = render(style, arguments.size, arguments.seed)
        picture.save(path, quality=QUALITY, optimize=True, progressive=True)
        print(path, flush=True)


if __name__ == "__main__":
    main()
