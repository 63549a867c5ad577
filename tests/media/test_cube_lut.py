"""Tables of colors as .cube files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from styletransfer.errors import ImageError, StyleTransferError
from styletransfer.media.cube_lut import CubeLut


@pytest.fixture
def lut() -> CubeLut:
    table = torch.rand(4, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    return CubeLut(table, "evening")


def test_what_is_written_is_read_again(lut: CubeLut, tmp_path: Path) -> None:
    lut.save(tmp_path / "look.cube")
    again = CubeLut.load(tmp_path / "look.cube")
    assert again.title == "evening"
    torch.testing.assert_close(again.table, lut.table, atol=1e-6, rtol=0)


def test_the_file_is_what_editors_expect(lut: CubeLut, tmp_path: Path) -> None:
    lut.save(tmp_path / "look.cube")
    lines = (tmp_path / "look.cube").read_text(encoding="ascii").splitlines()
    assert lines[:2] == ['TITLE "evening"', "LUT_3D_SIZE 4"]
    assert lines[2:5] == ["DOMAIN_MIN 0.0 0.0 0.0", "DOMAIN_MAX 1.0 1.0 1.0", ""]
    rows = [[float(word) for word in line.split()] for line in lines[5:]]
    assert len(rows) == 64
    assert rows[1] == pytest.approx(lut.table[1, 0, 0].tolist(), abs=1e-6)  # red first
    assert rows[4] == pytest.approx(lut.table[0, 1, 0].tolist(), abs=1e-6)
    assert rows[16] == pytest.approx(lut.table[0, 0, 1].tolist(), abs=1e-6)


def test_no_title_breaks_the_file(lut: CubeLut, tmp_path: Path) -> None:
    CubeLut(lut.table, 'a "b"\nLUT_3D_SIZE 2\u2028é').save(tmp_path / "look.cube")
    again = CubeLut.load(tmp_path / "look.cube")
    assert again.title == "a 'b' LUT_3D_SIZE 2 é"
    assert again.table.shape == (4, 4, 4, 3)


def test_files_of_other_programs(lut: CubeLut, tmp_path: Path) -> None:
    lut.save(tmp_path / "look.cube")
    lines = (tmp_path / "look.cube").read_text(encoding="utf-8").splitlines()
    text = "\r\n".join(["# a comment", "LUT_3D_INPUT_RANGE 0.0 1.0", *lines[1:2], "", *lines[5:]])
    (tmp_path / "other.cube").write_bytes(b"\xef\xbb\xbf" + text.encode())
    torch.testing.assert_close(CubeLut.load(tmp_path / "other.cube").table, lut.table, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 colors are no 3D table of size 0"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 7, "7 colors are no 3D table of size 2"),
        ("LUT_1D_SIZE 2\n" + "0 0 0\n" * 2, "2 colors are no 3D table"),
        ("LUT_3D_SIZE x\n", "not a readable"),
        ("LUT_3D_SIZE\n", "not a readable"),
        ("LUT_3D_SIZE 2\n" + "0 0\n" * 8, "not a readable"),
        ("LUT_3D_SIZE 2\n-inf 0 0\n" + "0 0 0\n" * 7, "not finite"),
        ("LUT_3D_SIZE 2\nDOMAIN_MAX 2 2 2\n" + "0 0 0\n" * 8, "domain is not 0..1"),
        ("\udcff", "not a readable"),
    ],
)
def test_broken_files_are_one_line_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.cube"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ImageError, match=message) as caught:
        CubeLut.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_missing(lut: CubeLut, tmp_path: Path) -> None:
    with pytest.raises(StyleTransferError, match="cannot write"):
        lut.save(tmp_path / "missing" / "look.cube")
    with pytest.raises(ImageError, match=r"look\.cube"):
        CubeLut.load(tmp_path / "look.cube")
