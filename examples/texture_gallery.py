"""Draw a sheet of textures in example styles: `python -m examples.texture_gallery -o FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from styletransfer import Stylizer, synthesize_texture
from styletransfer.media import Picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet
from styletransfer.options import TextureOptions

STYLES = Path(__file__).parent / "style"
ROWS = (("marbling", "mosaic", "watercolor"), ("facets", "stained_glass", "nocturne"))
SIZE, CELL = 512, 300  # pixels of a texture, and of its picture on the sheet
SEED = 3


def paint_textures(model: str = "default") -> Picture:
    """Make six textures that tile, and lay them out in two rows."""
    stylizer = Stylizer(model)
    options = TextureOptions(size=(SIZE, SIZE), seed=SEED, tileable=True)
    rows = [
        [
            Tile(synthesize_texture(stylizer, STYLES / f"{name}.jpg", options).to_float(), name)
            for name in names
        ]
        for names in ROWS
    ]
    return Picture.from_float(draw_contact_sheet(rows, CELL))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="Picture file to write.")
    parser.add_argument("-m", "--model", default="default", help="Name of a model or path of its weights.")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_picture(paint_textures(arguments.model), arguments.output, quality=85)
