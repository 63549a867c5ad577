"""Draw what maps of regions change: `python -m examples.regions --photos DIR --art DIR -o FILE`.

The photographs and the paintings are not part of this repository; the lists in the folders of the training
data name their sources. The maps are polygons that were drawn by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from styletransfer import Stylizer
from styletransfer.media import Picture, picture_from_pil, read_picture, resize_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet

CELL = 280  # long edge of every picture on the sheet in pixels
SIZE = 512
SKY, SEA, LAND, BOAT = "#80c0ff", "#0040a0", "#40a020", "#c02020"

Polygon = Sequence[tuple[float, float]]
# For every picture the color of the rest, and polygons in shares of the width and the height.
MAPS: Mapping[str, tuple[str, Sequence[tuple[str, Polygon]]]] = {
    "photos_hd_0085": (
        LAND,
        [
            (
                SKY,
                [(0, 0), (1, 0), (1, 0.18), (0.9, 0.22), (0.75, 0.24), (0.62, 0.32), (0.35, 0.31), (0, 0.3)],
            ),
            (
                SEA,
                [
                    *[(0, 0.3), (0.35, 0.31), (0.6, 0.33), (0.62, 0.42), (0.45, 0.6), (0.3, 0.75)],
                    *[(0.24, 0.72), (0.12, 0.53), (0, 0.51)],
                ],
            ),
        ],
    ),
    "photos_hd_0092": (
        SEA,
        [
            (SKY, [(0, 0), (1, 0), (1, 0.63), (0, 0.63)]),
            (
                LAND,
                [
                    *[(0, 0.62), (0.05, 0.52), (0.2, 0.45), (0.45, 0.36), (0.55, 0.36), (0.75, 0.42)],
                    *[(0.9, 0.5), (1, 0.62), (1, 0.65), (0, 0.65)],
                ],
            ),
        ],
    ),
    "photos_hd_0002": (
        SKY,
        [
            (
                LAND,
                [
                    *[(0, 0.24), (0.05, 0.3), (0.16, 0.36), (0.28, 0.25), (0.4, 0.34), (0.5, 0.38)],
                    *[(0.62, 0.34), (0.7, 0.38), (0.8, 0.48), (1, 0.53), (1, 0.76), (0, 0.76)],
                ],
            ),
            (SEA, [(0, 0.76), (1, 0.76), (1, 1), (0, 1)]),
        ],
    ),
    "photos_hd_0083": (
        SEA,
        [
            (SKY, [(0, 0), (1, 0), (1, 0.5), (0, 0.5)]),
            (
                BOAT,
                [
                    *[(0.6, 0.62), (0.63, 0.59), (0.72, 0.65), (0.8, 0.72), (0.86, 0.85), (0.84, 0.9)],
                    *[(0.65, 0.78), (0.6, 0.7)],
                ],
            ),
        ],
    ),
    "art_hd_0037": (
        LAND,
        [
            (SKY, [(0, 0), (1, 0), (1, 0.2), (0.9, 0.3), (0.88, 0.37), (0, 0.37)]),
            (
                SEA,
                [
                    *[(0, 0.37), (0.88, 0.37), (0.88, 0.45), (0.6, 0.42), (0.45, 0.42), (0.41, 0.5)],
                    *[(0.42, 0.72), (0.2, 0.76), (0, 0.85)],
                ],
            ),
        ],
    ),
    "art_hd_0036": (
        LAND,
        [
            (SKY, [(0, 0), (1, 0), (1, 0.61), (0.35, 0.6), (0.2, 0.58), (0.1, 0.52), (0, 0.48)]),
            (SEA, [(0.3, 0.62), (1, 0.61), (1, 0.88), (0.75, 0.85), (0.55, 0.8), (0.45, 0.68), (0.3, 0.64)]),
        ],
    ),
    "photos_hd_0011": (
        SEA,
        [(SKY, [(0, 0), (1, 0), (1, 0.2), (0.8, 0.2), (0.7, 0.32), (0.5, 0.3), (0, 0.28)])],
    ),
}
PAIRS = (
    ("photos_hd_0085", "art_hd_0037"),
    ("photos_hd_0002", "art_hd_0037"),
    ("photos_hd_0092", "art_hd_0036"),
    ("photos_hd_0083", "photos_hd_0011"),
)
COLUMNS = ("content", "style", "regions of both", "", "without", "with")


def draw_map(name: str, picture: Picture) -> Picture:
    """Draw the map of a picture at its size."""
    rest, polygons = MAPS[name]
    image = Image.new("RGB", (picture.width, picture.height), rest)
    for color, polygon in polygons:
        corners = [(x * picture.width, y * picture.height) for x, y in polygon]
        ImageDraw.Draw(image).polygon(corners, fill=color)
    return picture_from_pil(image)


def paint_regions(folders: Sequence[Path], model: str = "default") -> Picture:
    """Stylize the pairs without and with their maps, one row per pair."""
    stylizer = Stylizer(model)

    def read(name: str) -> Picture:
        path = next(folder / f"{name}.jpg" for folder in folders if (folder / f"{name}.jpg").exists())
        return resize_picture(read_picture(path), SIZE)

    rows: list[list[Tile | None]] = []
    for names in PAIRS:
        content, style = map(read, names)
        maps = tuple(draw_map(name, picture) for name, picture in zip(names, (content, style), strict=True))
        without = stylizer.stylize(content, style)
        within = stylizer.stylize(content, style, regions=(maps[0], maps[1]))
        captions = [""] * len(COLUMNS) if rows else COLUMNS
        pictures = (content, style, *maps, without, within)
        rows.append(
            [Tile(picture.to_float(), text) for picture, text in zip(pictures, captions, strict=True)]
        )
    return Picture.from_float(draw_contact_sheet(rows, CELL))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photographs")
    parser.add_argument("--art", type=Path, required=True, help="folder of the paintings")
    parser.add_argument("-o", "--output", type=Path, default=Path("regions.jpg"), help="file of the sheet")
    parser.add_argument("-m", "--model", default="default", help="model, or path of its weights")
    arguments = parser.parse_args()
    sheet = paint_regions([arguments.photos, arguments.art], arguments.model)
    write_picture(sheet, arguments.output, quality=88)
