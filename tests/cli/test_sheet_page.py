"""`sheet -o sheet.html`: one HTML file that is complete in itself, and commands that make its pictures."""

from __future__ import annotations

import base64
import io
import json
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from styletransfer.cli import sheet_page
from styletransfer.media import Picture, read_picture, write_picture

from .conftest import Run
from .pictures import write_content

VOID = {"meta", "img", "link", "br", "input", "hr"}
# A name that ends every kind of text and attribute, if it is not escaped.
HOSTILE = "a<b>&\"'$x `y` </script><script>alert(1)</script>".replace("/", "\u2215") + ".png"


class Page(HTMLParser):
    """The elements of a page in order, after a check that every one of them is closed."""

    def __init__(self, path: str = "sheet.html") -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []  # of the innermost elements
        self._open: list[str] = []
        self.source = Path(path).read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute is given twice"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def all(self, tag: str, name: str = "") -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind, or of those of a class."""
        return [
            each for kind, each in self.elements if kind == tag and (not name or each.get("class") == name)
        ]

    def text(self, tag: str) -> list[str]:
        return [data for kind, data in self.texts if kind == tag]

    @property
    def results(self) -> list[dict[str, str]]:
        """The pictures in buttons."""
        return [
            after
            for (_, before), (_, after) in zip(self.elements, self.elements[1:], strict=False)
            if before.get("class") == "picture"
        ]

    @property
    def commands(self) -> list[str]:
        return [data for data in self.text("code") if data.startswith("styletransfer ")]


def decode(source: str) -> Picture:
    kind, _, data = source.partition(",")
    assert kind == "data:image/jpeg;base64"
    return read_picture(io.BytesIO(base64.b64decode(data)))


def write_smooth(path: str, size: tuple[int, int], slope: float, *, alpha: bool = False) -> Path:
    """Write a picture that JPEG hardly changes; with alpha, its left half is invisible."""
    width, height = size
    across = torch.linspace(0, 1, width).expand(height, width)
    down = torch.linspace(0, 1, height)[:, None].expand(height, width)
    pixels = torch.stack((across, down, slope * across + (1 - slope) * down))
    opacity = (across >= 0.5).to(torch.uint8)[None] * 255 if alpha else None
    Path(path).parent.mkdir(exist_ok=True)
    write_picture(Picture.from_float(pixels, opacity), path)
    return Path(path)


@pytest.fixture(autouse=True)
def pictures() -> None:
    write_smooth("in/0.png", (64, 40), 0.2)
    write_smooth("in/1.png", (30, 40), 0.7)
    for seed in range(2):
        write_content(Path(f"art/{seed}.png"), (40, 40), seed=10 + seed)


def test_the_page_is_whole_and_loads_nothing(run: Run) -> None:
    before = set(Path().rglob("*"))
    result = run("sheet", "in", "art", "-o", "sheet.html", "--cell", "32", "--size", "48")
    assert (result.exit_code, result.stdout) == (0, "sheet.html\n")
    assert set(Path().rglob("*")) - before == {Path("sheet.html")}
    page = Page()
    assert page.source.startswith("<!DOCTYPE html>")
    ids = [each["id"] for _, each in page.elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert all("src" not in each and "href" not in each for tag, each in page.elements if tag != "img")
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert page.source.count("url(") == 0
    assert [each.get("scope") for each in page.all("th")] == ["col", "col", "row", "row"]
    assert page.text("title") == ["2 contents in 2 styles"]
    for each in page.all("button", "picture"):
        assert each["data-content"] in ids
    for each in page.all("button", "copy"):
        assert each["data-command"] in ids


def test_pictures_are_embedded_in_two_sizes(run: Run) -> None:
    assert run("sheet", "in", "art", "-o", "sheet.html", "--cell", "32", "--size", "48").exit_code == 0
    results = Page().results
    assert [each["alt"] for each in results] == ["0 in 0", "0 in 1", "1 in 0", "1 in 1"]
    large = [decode(each["data-full"]) for each in results]
    shown = [decode(each["src"]) for each in results]
    assert [(each.width, each.height) for each in large] == [(48, 30)] * 2 + [(30, 40)] * 2
    assert [(each.width, each.height) for each in shown] == [(32, 20)] * 2 + [(24, 32)] * 2
    assert [(each["width"], each["height"]) for each in results] == [("32", "20")] * 2 + [("24", "32")] * 2
    assert run("sheet", "in", "art", "-o", "sheet.html", "-f").exit_code == 0
    assert all("data-full" not in each for each in Page().results)  # 64 pixels fit into the cells


def test_commands_make_the_pictures(run: Run) -> None:
    words = ("in/0.png", "art/0.png", "--alpha", "0.1,1", "--stroke-scale", "1,2", "--size", "48")
    assert run("sheet", *words, "-o", "sheet.html", "--transform", "adain").exit_code == 0
    page = Page()
    assert [data for data in page.text("span") if " 0.1" in data or " 2" in data][:2] == [
        "stroke scale 2",
        "alpha 0.1",
    ]
    assert [each.split(" --alpha ")[1].split()[0] for each in page.commands] == ["0.1", "0.1", "1", "1"]
    made = []
    for command in page.commands:
        result = run(*shlex.split(command)[1:])
        assert result.exit_code == 0, result.stderr
        made.append(read_picture(result.stdout.strip()).pixels.float())
    assert Path("0_0_alpha-0.1_stroke-scale-2.png").exists()
    for index, each in enumerate(page.results):
        shown = decode(each.get("data-full", each["src"])).pixels.float()
        errors = [(shown - other).abs().mean().item() for other in made]
        assert min(errors) == errors[index]
        assert errors[index] < 5  # of 255, which JPEG may change


def test_commands_name_what_differs_from_the_defaults(run: Run, model: str) -> None:
    write_content(Path("-odd name.png"), (20, 20))
    words = ("-o", "sheet.html", "--size", "48", "--precision", "fp32", "--style-weights", "2,1")
    assert (
        run("sheet", *words, "--", "-odd name.png", "art/0.png", "art/1.png").exit_code == 2
    )  # -m is a STYLE
    result = run("sheet", *words, "-m", model, "--", "-odd name.png", "art/0.png", "art/1.png")
    assert result.exit_code == 0, result.stderr
    (command,) = Page().commands
    files = ["./-odd name.png", "art/0.png", "art/1.png"]
    options = ["--style-weights", "2,1", "--precision", "fp32", "--model", model]
    assert shlex.split(command) == ["styletransfer", "stylize", *files, *options]


def test_names_are_escaped(run: Run) -> None:
    write_content(Path(HOSTILE), (24, 16))
    write_content(Path("art/\udcff.png"), (24, 16))  # a byte that is no UTF-8
    assert run("sheet", HOSTILE, "art", "-o", "sheet.html").exit_code == 0
    page = Page()
    assert page.text("title") == [f"{Path(HOSTILE).stem} in 3 styles"]
    assert page.results[0]["alt"] == f"{Path(HOSTILE).stem} in 0"
    assert page.commands[0].startswith(f"styletransfer stylize {shlex.quote(HOSTILE)} ")
    assert len(page.all("script")) == 1
    assert page.results[2]["alt"].endswith("\ufffd")


def test_invisible_pixels_are_white_paper(run: Run) -> None:
    write_smooth("glass.png", (64, 40), 0.5, alpha=True)
    assert run("sheet", "glass.png", "art/0.png", "-o", "sheet.html").exit_code == 0
    page = Page()
    for each in (page.results[0], next(each for each in page.all("img") if each.get("id") == "content-0")):
        pixels = decode(each["src"]).pixels
        assert pixels[:, :, :20].min() > 235
        assert pixels[:, :, 44:].float().mean() < 235


def test_a_file_may_be_content_and_style(run: Run) -> None:
    assert run("sheet", "in/0.png", "in/0.png", "art/0.png", "-o", "sheet.html").exit_code == 0
    page = Page()
    assert [each["id"] for each in page.all("img") if "id" in each and each["id"].startswith("c")] == [
        "content-0"
    ]


def test_failures_leave_cells_without_a_result(run: Run) -> None:
    Path("in/0.png").write_bytes(b"nothing")
    result = run("sheet", "in", "art", "-o", "sheet.html", "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout.splitlines()[-1])
    assert facts["output"] == "sheet.html"
    assert (facts["rows"], facts["columns"], facts["width"]) == (2, 2, None)
    page = Page()
    assert (page.text("td"), len(page.results)) == (["No result"] * 2, 2)


def test_a_page_that_becomes_too_large_keeps_what_fits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("sheet", "in/0.png", "art", "--match", "0,1", "-o", "sheet.html").exit_code == 0
    sizes = [len(each["src"]) for each in Page().results]
    monkeypatch.setattr(sheet_page, "MAX_PAGE_BYTES", sum(sizes))  # without the content
    result = run("sheet", "in/0.png", "art", "--match", "0,1", "-o", "sheet.html", "-f")
    assert result.exit_code == 1
    assert "would be larger than" in result.stderr
    assert "choose a smaller --size" in result.stderr
    assert "1 of 4 results failed" in result.stderr
    assert len(Page().results) == 3
    monkeypatch.setattr(sheet_page, "MAX_PAGE_BYTES", 1)
    Path("sheet.html").unlink()
    assert run("sheet", "in", "art", "-o", "sheet.html").exit_code == 1
    assert not Path("sheet.html").exists()
