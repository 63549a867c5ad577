from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.media.contact_sheet import CAPTION_HEIGHT, MARGIN, PAPER, Tile, draw_contact_sheet


def plain(red: float, green: float, blue: float, height: int, width: int) -> Tensor:
    return torch.tensor([red, green, blue], dtype=torch.float32)[:, None, None].expand(3, height, width)


def test_positions_of_the_pictures() -> None:
    red, green, blue = plain(1, 0, 0, 20, 30), plain(0, 1, 0, 10, 40), plain(0, 0, 1, 25, 30)
    sheet = draw_contact_sheet([[Tile(red, ""), Tile(green[None], "")], [None, Tile(blue, "")]])
    step = CAPTION_HEIGHT + MARGIN
    assert sheet.shape == (3, MARGIN + 20 + step + 25 + step, 30 + 40 + 3 * MARGIN)
    second_row, second_column = MARGIN + 20 + step, 2 * MARGIN + 30
    torch.testing.assert_close(sheet[:, MARGIN : MARGIN + 20, MARGIN : MARGIN + 30], red)
    torch.testing.assert_close(sheet[:, MARGIN : MARGIN + 10, second_column : second_column + 40], green)
    lower = sheet[:, second_row : second_row + 25, second_column : second_column + 30]
    torch.testing.assert_close(lower, blue)
    assert (sheet[:, second_row:, :second_column] == torch.tensor(PAPER)).all()


def test_large_pictures_are_reduced_in_proportion_and_small_ones_kept() -> None:
    large, small = plain(1, 0, 0, 100, 50), plain(0, 0, 1, 8, 8)
    reduced = draw_contact_sheet([[Tile(large, ""), Tile(small, "")]], cell_size=40)
    assert reduced.shape == (3, 40 + CAPTION_HEIGHT + 2 * MARGIN, 20 + 8 + 3 * MARGIN)
    torch.testing.assert_close(reduced[:, MARGIN : MARGIN + 40, MARGIN : MARGIN + 20], plain(1, 0, 0, 40, 20))
    lying = draw_contact_sheet([[Tile(plain(1, 0, 0, 30, 120), "")]], cell_size=40)
    assert lying.shape == (3, 10 + CAPTION_HEIGHT + 2 * MARGIN, 40 + 2 * MARGIN)
    whole = draw_contact_sheet([[Tile(large, "")]], cell_size=None)
    assert whole.shape[1] == 100 + CAPTION_HEIGHT + 2 * MARGIN


@pytest.mark.parametrize("caption", ["ours .060", "風景 – Überblick", "longer than the picture is wide " * 9])
def test_captions_are_drawn_beneath_and_within_their_picture(caption: str) -> None:
    picture = plain(0.5, 0.5, 0.5, 30, 120)
    sheet = draw_contact_sheet([[Tile(picture, caption), Tile(picture, "")]])
    inked = (sheet < PAPER - 0.1).all(dim=0)
    below = inked[MARGIN + 30 :]
    assert below[:, MARGIN : MARGIN + 120].any()
    assert not below[:, MARGIN + 120 :].any()


def test_a_caption_too_long_is_shortened_visibly() -> None:
    picture, caption = plain(0.5, 0.5, 0.5, 30, 120), "longer than the picture is wide"
    sheet = draw_contact_sheet([[Tile(picture, caption)]])
    shortened = (caption[:length] + "…" for length in range(18))  # 120 pixels hold no more
    assert any(torch.equal(sheet, draw_contact_sheet([[Tile(picture, text)]])) for text in shortened)


def test_values_out_of_range_are_clipped() -> None:
    sheet = draw_contact_sheet([[Tile(plain(3, 3, 3, 16, 16), ""), Tile(plain(-1, -1, -1, 16, 16), "")]])
    assert sheet.min() == 0
    assert sheet.max() == 1


@pytest.mark.parametrize("rows", [[], [[]], [[None]]])
def test_an_empty_sheet_is_refused(rows: list[list[Tile | None]]) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        draw_contact_sheet(rows)
