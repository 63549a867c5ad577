"""Draw a sheet of example photographs in example styles: `python -m examples.gallery -o FILE`.

With `--refine 40`, the sheet shows four pairs in four rows: without matching (`--match 0`), as the program
does it by default, painted twice (`--passes 2`), and refined.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from styletransfer import Stylizer
from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.media.contact_sheet import Tile, draw_contact_sheet
from styletransfer.options import StylizeOptions

EXAMPLES = Path(__file__).parent
CONTENTS = ("astronaut", "chelsea", "china", "coffee")
STYLES = ("portrait", "harbor", "facets", "nocturne", "woodcut")
CELL = 300  # long edge of every picture on the sheet in pixels
REFINED_PAIRS = {
    "astronaut": "portrait",
    "chelsea": "nocturne",
    "china": "harbor",
    "coffee": "facets",
}
REFINED_CELL = 420


def paint_gallery(model: str = "default", passes: int = 1) -> Picture:
    """Stylize each photograph in each style and lay the results out, one column per style."""
    stylizer = Stylizer(model)
    contents = {name: read_picture(EXAMPLES / "content" / f"{name}.jpg") for name in CONTENTS}
    styles = {name: read_picture(EXAMPLES / "style" / f"{name}.jpg") for name in STYLES}
    rows: list[list[Tile | None]] = [
        [None, *(Tile(style.to_float(), name) for name, style in styles.items())]
    ]
    for name, content in contents.items():
        results = (stylizer.stylize(content, style, passes=passes).to_float() for style in styles.values())
        rows.append([Tile(content.to_float(), name), *(Tile(result, "") for result in results)])
    return Picture.from_float(draw_contact_sheet(rows, CELL))


def paint_refined(iterations: int, model: str = "default") -> Picture:
    """Stylize some pairs, one per column: without matching, with it, painted twice, and refined."""
    stylizer = Stylizer(model)
    pairs = [
        (read_picture(EXAMPLES / "content" / f"{content}.jpg"), EXAMPLES / "style" / f"{style}.jpg")
        for content, style in REFINED_PAIRS.items()
    ]
    rows = [
        [Tile(stylizer.stylize(content, style, options).to_float(), "") for content, style in pairs]
        for options in (
            StylizeOptions(size=512, match=0),
            StylizeOptions(size=512),
            StylizeOptions(size=512, passes=2),
            StylizeOptions(size=512, refine=iterations),
        )
    ]
    return Picture.from_float(draw_contact_sheet(rows, REFINED_CELL))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="Picture file to write.")
    parser.add_argument("-m", "--model", default="default", help="Name of a model or path of its weights.")
    parser.add_argument("--passes", type=int, default=1, help="Number of times each picture is painted.")
    parser.add_argument("--refine", type=int, default=0, help="Iterations of refinement.")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    refine, model = arguments.refine, arguments.model
    sheet = paint_refined(refine, model) if refine else paint_gallery(model, arguments.passes)
    write_picture(sheet, arguments.output, quality=88)
