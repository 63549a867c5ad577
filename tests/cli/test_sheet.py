"""`sheet`: contents in styles on one contact sheet, and no other file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from styletransfer import Stylizer
from styletransfer.media import read_picture
from styletransfer.options import RuntimeOptions

from .conftest import Run
from .pictures import read_info, write_content

MARGIN, CAPTION = 8, 20  # of a contact sheet


@pytest.fixture(autouse=True)
def pictures() -> None:
    for seed in range(2):
        write_content(Path(f"in/{seed}.png"), (48, 32), seed=seed)
    for seed in range(3):
        write_content(Path(f"art/{seed}.png"), (40, 40), seed=10 + seed)


def test_rows_are_contents_and_columns_are_styles(run: Run, model: str) -> None:
    before = set(Path().rglob("*"))
    result = run("sheet", "in", "art", "-o", "sheet.png", "--device", "cpu", "--precision", "fp32")
    assert (result.exit_code, result.stdout) == (0, "sheet.png\n")
    assert set(Path().rglob("*")) - before == {Path("sheet.png")}
    sheet = read_picture("sheet.png")
    assert (sheet.width, sheet.height) == (
        MARGIN + 4 * (48 + MARGIN),
        MARGIN + 40 + 2 * 32 + 3 * (CAPTION + MARGIN),
    )
    stylizer = Stylizer(model, runtime=RuntimeOptions(device="cpu", precision="fp32"))
    expected = stylizer.stylize(read_picture("in/1.png"), "art/2.png")
    top = MARGIN + 40 + 32 + 2 * (CAPTION + MARGIN)
    left = MARGIN + 3 * (48 + MARGIN)
    shown = sheet.pixels[:, top : top + 32, left : left + 48]
    assert (shown.int() - expected.pixels.int()).abs().max() <= 1
    assert read_info("sheet.png")["alpha"] == "1.0"


def test_no_perceptual_network_is_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styletransfer.model.vgg._load", lambda *_: 1 / 0)
    assert run("sheet", "in/0.png", "art/*.png", "-q").exit_code == 0
    assert Path("sheet.png").exists()


def test_options_change_the_pictures(run: Run) -> None:
    def sheet(*options: str) -> torch.Tensor:
        assert run("sheet", "in/0.png", "art/0.png", "-f", *options).exit_code == 0
        return read_picture("sheet.png").pixels

    plain = sheet()
    for options in (["-a", "0.3"], ["--transform", "adain"], ["--preserve-color", "luma"], ["--size", "24"]):
        assert not torch.equal(sheet(*options), plain)
    assert sheet("--cell", "24").shape[2] == MARGIN + 2 * (24 + MARGIN)


def test_styles_may_be_statistics(run: Run) -> None:
    assert run("style-stats", "art/0.png", "-o", "0.safetensors").exit_code == 0
    assert run("sheet", "in", "0.safetensors", "art/1.png").exit_code == 0


def test_json_describes_the_sheet(run: Run) -> None:
    facts = json.loads(run("sheet", "in", "art", "--json").stdout)
    picture = read_picture("sheet.png")
    assert facts["output"] == "sheet.png"
    assert (facts["width"], facts["height"]) == (picture.width, picture.height)


def test_a_damaged_picture_leaves_its_cells_empty(run: Run) -> None:
    Path("in/0.png").write_bytes(b"nothing")
    Path("art/1.png").write_bytes(b"nothing")
    Path("in/x.cr2").touch()
    result = run("sheet", "in", "art")
    assert (result.exit_code, result.stdout) == (1, "sheet.png\n")
    assert "in/0.png: this is not a picture in a known format" in result.stderr
    assert "4 of 6 results failed" in result.stderr
    assert "1 CR2 file cannot be read" in result.stderr
    Path("in/1.png").unlink()
    Path("sheet.png").unlink()
    assert run("sheet", "in", "art").exit_code == 1
    assert not Path("sheet.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["in", "art", "-o", "sheet.txt"], 2, "sheet.txt"),
        (["in", "art", "-o", "in/0.png", "-f"], 2, "is an input and would be overwritten"),
        (["in", "art", "-o", "old.png"], 1, "old.png exists already"),
        (["in", "absent.png"], 2, "absent.png: no such file"),
        (["-", "art"], 2, "cannot read standard input"),
        (["in"], 2, "Missing argument"),
        (["in", "art", "--cell", "0"], 2, "'--cell'"),
        (["in", "art", "--size", "x"], 2, "'--size'"),
        (["in", *["art"] * 20, "--cell", "4096"], 2, "are too many for one sheet"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, words: list[str], code: int, problem: str) -> None:
    write_content(Path("old.png"), (8, 8))
    result = run("sheet", *words)
    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
