"""`sheet`: contents in styles, or values of options, on one contact sheet, and no other file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from styletransfer import StyleStatistics, Stylizer
from styletransfer.media import Picture, read_picture
from styletransfer.options import DEFAULT_MATCH, RuntimeOptions
from styletransfer.style_measurer import StyleMeasurer

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


def cut(sheet: Picture, model: str, content: str, styles: list[str], **options: Any) -> tuple[int, int]:
    """Return left and top of the place of a sheet that shows a result exactly."""
    stylizer = Stylizer(model, runtime=RuntimeOptions(device="cpu", precision="fp32"))
    expected = stylizer.stylize(read_picture(content), styles, **options).pixels.int()
    _, height, width = expected.shape
    windows = sheet.pixels.int().unfold(1, height, 1).unfold(2, width, 1)  # [3, H, W, height, width]
    differences = (windows - expected[:, None, None]).abs().amax((0, 3, 4))
    ((top, left),) = (differences <= 1).nonzero().tolist()
    return left, top


EXACT = ("--device", "cpu", "--precision", "fp32", "-o", "sheet.png", "-f")


def test_two_lists_are_rows_and_columns_of_one_pair(run: Run, model: str) -> None:
    pair = ("in/0.png", "art/0.png")
    assert run("sheet", *pair, "--alpha", "0.4,1", "--stroke-scale", "1,2", *EXACT).exit_code == 0
    sheet = read_picture("sheet.png")
    places = {
        (alpha, scale): cut(sheet, model, pair[0], [pair[1]], alpha=alpha, stroke_scale=scale)
        for alpha in (0.4, 1.0)
        for scale in (1, 2)
    }
    (left, top), (right, bottom) = places[0.4, 1], places[1.0, 2]
    assert left < right
    assert top < bottom
    assert places[0.4, 2] == (right, top)
    assert places[1.0, 1] == (left, bottom)
    info = read_info("sheet.png")
    assert (info["alpha"], info["stroke_scale"], info["match"]) == ("0.4, 1", "1, 2", str(DEFAULT_MATCH))


def test_one_list_makes_columns_or_with_several_styles_rows(run: Run, model: str) -> None:
    assert run("sheet", "in", "art/0.png", "--alpha", "0.4,1", *EXACT).exit_code == 0
    sheet = read_picture("sheet.png")
    left, top = cut(sheet, model, "in/0.png", ["art/0.png"], alpha=0.4)
    right, bottom = cut(sheet, model, "in/1.png", ["art/0.png"], alpha=1.0)
    assert left < right
    assert top < bottom
    assert run("sheet", "in/0.png", "art/0.png", "art/1.png", "--alpha", "0.4,1", *EXACT).exit_code == 0
    sheet = read_picture("sheet.png")
    left, top = cut(sheet, model, "in/0.png", ["art/0.png"], alpha=0.4)
    assert cut(sheet, model, "in/0.png", ["art/1.png"], alpha=0.4)[1] == top
    assert cut(sheet, model, "in/0.png", ["art/0.png"], alpha=1.0)[0] == left


@pytest.mark.parametrize("name", ["new/folder/sheet.png", "new/folder/sheet.html"])
def test_the_folder_of_the_sheet_is_made(run: Run, name: str) -> None:
    assert run("sheet", "in/0.png", "art/0.png", "-o", name).exit_code == 0
    assert Path(name).exists()


def test_a_blend_is_one_column(run: Run, model: str) -> None:
    styles = ["art/0.png", "art/1.png"]
    words = ("in/0.png", *styles, "--style-weights", "2,1", "--alpha", "0.4,1")
    assert run("sheet", *words, *EXACT).exit_code == 0
    sheet = read_picture("sheet.png")
    left, top = cut(sheet, model, "in/0.png", styles, style_weights=(2, 1), alpha=0.4)
    right, beside = cut(sheet, model, "in/0.png", styles, style_weights=(2, 1), alpha=1.0)
    assert left < right
    assert beside == top


def test_further_contents_are_further_rows(run: Run) -> None:
    write_content(Path("2.png"), (48, 32), seed=2)
    more = ("--content", "in", "--content", "in/0.png", "--content", "2.png")  # two of them twice
    facts = json.loads(run("sheet", "2.png", "art", *more, "--json").stdout)
    assert (facts["rows"], facts["columns"]) == (3, 3)


def test_each_style_is_measured_once_per_stroke_scale(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    measure = StyleMeasurer._measure

    def count(
        self: StyleMeasurer, style: Path, size: int, scales: tuple[int, ...], *others: Any
    ) -> StyleStatistics:
        measured.append((style, *scales))
        return measure(self, style, size, scales, *others)

    monkeypatch.setattr(StyleMeasurer, "_measure", count)
    result = run("sheet", "in/0.png", "art/0.png", "--stroke-scale", "1,2", "--alpha", "0.2,0.6,1")
    assert result.exit_code == 0
    assert sorted(measured) == [(Path("art/0.png"), 1), (Path("art/0.png"), 2)]
    assert "strokes of scale 2 suit pictures of 1024 pixels" in result.stderr
    assert "suit" not in run("sheet", "in/0.png", "art/0.png", "--stroke-scale", "2", "-f").stderr


def test_lists_in_toml_and_variables(run: Run) -> None:
    Path("mine.toml").write_text('[sheet]\nalpha = [0.2, 1]\nmatch = 0.5\ncontent = ["in/1.png"]\n')
    words = ("sheet", "in/0.png", "art/0.png", "--json", "-f", "--config", "mine.toml")
    facts = json.loads(run(*words).stdout)
    assert (facts["rows"], facts["columns"]) == (2, 2)
    assert read_info("sheet.png")["match"] == "0.5"
    facts = json.loads(run(*words, STYLETRANSFER_ALPHA="0.1,0.2,0.3").stdout)
    assert (facts["rows"], facts["columns"]) == (2, 3)


def test_a_failure_says_in_json_which_values_it_had(run: Run) -> None:
    Path("art/0.png").write_bytes(b"nothing")
    result = run("sheet", "in/0.png", "art/0.png", "--alpha", "0.2,1", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["alpha"], second["alpha"]) == (0.2, 1.0)
    assert "not a picture" in first["error"]


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
        (["in", *["art"] * 20, "--size", "4096", "-o", "s.html"], 2, "choose fewer, or a smaller --size"),
        (["in", "art", "--alpha", "0.2,1"], 2, "contents, styles and alpha vary"),
        (["in/0.png", "art", "--alpha", "0,1", "--match", "0,1"], 2, "styles, alpha and match vary"),
        (["in/0.png", "art", "--alpha", "0.2,x"], 2, "'--alpha'"),
        (["in/0.png", "art", "--alpha", "0.2,"], 2, "'--alpha'"),
        (["in/0.png", "art", "--match", "0.2,1.5"], 2, "'--match'"),
        (["in/0.png", "art", "--stroke-scale", "auto,0"], 2, "'--stroke-scale'"),
        (["in/0.png", "art", "--style-weights", "1,2"], 2, "2 style weights for 3 styles"),
        (["in/0.png", "art", "--content", "absent"], 2, "absent: no such file"),
        (["in", "art", "-o", "old.png/x.html"], 1, "old.png is not a folder"),
        (["in", "art", "-o", "old.html"], 1, "old.html exists already"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, words: list[str], code: int, problem: str) -> None:
    write_content(Path("old.png"), (8, 8))
    Path("old.html").touch()
    result = run("sheet", *words)
    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
