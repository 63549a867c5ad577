"""Contact sheets: many pictures with captions, laid out on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import ceil
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

MARGIN = 8  # pixels around every tile
FONT_SIZE = 15  # pixels
CAPTION_HEIGHT = 20  # pixels, one line of text and the space below it
PAPER, INK = 0.96, 0.1  # gray levels


class Tile(NamedTuple):
    """A picture [3, H, W] or [1, 3, H, W] in 0..1 and the line of text below it."""

    picture: Tensor
    caption: str


def draw_contact_sheet(rows: Sequence[Sequence[Tile | None]], cell_size: int | None = 256) -> Tensor:
    """Draw rows of captioned pictures on one sheet.

    Args:
        rows: Tiles from top to bottom and left to right. None leaves a cell empty; rows may differ in length.
        cell_size: Length in pixels to which the longer edge of a larger picture is reduced. Smaller pictures
            keep their size, and None keeps the size of all.

    Returns:
        The sheet, RGB in 0..1, float32, [3, H, W] on the CPU.

    Raises:
        ValueError: There is no tile.
    """
    if not any(tile is not None for row in rows for tile in row):
        raise ValueError("a contact sheet needs at least one picture")
    grid = [[tile and Tile(_fit(tile.picture, cell_size), tile.caption) for tile in row] for row in rows]
    heights = [max((tile.picture.shape[1] for tile in row if tile), default=0) for row in grid]
    columns = zip_longest(*grid)
    widths = [max((tile.picture.shape[2] for tile in column if tile), default=0) for column in columns]
    below = CAPTION_HEIGHT + MARGIN
    sheet = torch.full(
        (3, MARGIN + sum(heights) + below * len(heights), MARGIN + sum(widths) + MARGIN * len(widths)), PAPER
    )
    top = MARGIN
    for row, row_height in zip(grid, heights, strict=True):
        left = MARGIN
        for tile, column_width in zip(row, widths, strict=False):
            if tile is not None:
                _, height, width = tile.picture.shape
                sheet[:, top : top + height, left : left + width] = tile.picture
                text = _draw_text(tile.caption, column_width)
                caption = sheet[:, top + height : top + height + CAPTION_HEIGHT, left : left + column_width]
                caption.lerp_(torch.tensor(INK), text)
            left += column_width + MARGIN
        top += row_height + below
    return sheet


def draw_label(text: str, width: int | None = None) -> Tile:
    """Return a tile of text alone, as wide as the text or as given in pixels."""
    if width is None:
        width = ceil(ImageFont.load_default(FONT_SIZE).getlength(text)) + 1
    return Tile(torch.full((3, 1, width), PAPER), text)


def _fit(picture: Tensor, cell_size: int | None) -> Tensor:
    """Reduce a picture to the cell and keep its aspect ratio; [3, H, W] on the CPU."""
    picture = picture.detach().to("cpu", torch.float32).reshape(3, *picture.shape[-2:]).clamp(0, 1)
    long_edge = max(picture.shape[1:])
    if cell_size is None or long_edge <= cell_size:
        return picture
    size = [max(1, round(edge * cell_size / long_edge)) for edge in picture.shape[1:]]
    reduced = interpolate(picture[None], size, mode="bicubic", antialias=True)
    return reduced[0].clamp(0, 1)


def _draw_text(text: str, width: int) -> Tensor:
    """Draw one line of text, shortened to the width; returns coverage in 0..1, [CAPTION_HEIGHT, width]."""
    font = ImageFont.load_default(FONT_SIZE)
    line = text
    while len(line) > 1 and font.getlength(line) > width:
        line = line.rstrip("…")[:-1] + "…"
    mask = Image.new("L", (width, CAPTION_HEIGHT))
    ImageDraw.Draw(mask).text((0, 0), line, fill=255, font=font)
    pixels = torch.frombuffer(bytearray(mask.tobytes()), dtype=torch.uint8)
    return pixels.view(CAPTION_HEIGHT, width) / 255
