"""Draw a photograph in the light of others: `python -m examples.photo_gallery -o FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from styletransfer import Stylizer
from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet

CONTENTS = Path(__file__).parent / "content"
CONTENT, STYLES = "china", ("rocket", "coffee")
CELL = 300  # long edge of every picture in pixels


def paint_photographs() -> Picture:
    """Lay out the content, and every style beside what it makes of the content."""
    stylizer = Stylizer("photo")
    content = read_picture(CONTENTS / f"{CONTENT}.jpg")
    row = [Tile(content.to_float(), CONTENT)]
    for name in STYLES:
        style = read_picture(CONTENTS / f"{name}.jpg")
        result = stylizer.stylize(content, style)
        row += [Tile(style.to_float(), name), Tile(result.to_float(), f"in the light of {name}")]
    return Picture.from_float(draw_contact_sheet([row], CELL))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    write_picture(paint_photographs(), parser.parse_args().output, quality=88)
