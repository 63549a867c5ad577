"""`style-stats`, and its files given as STYLE."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from styletransfer.media import read_picture

from .conftest import Run
from .pictures import write_content

pytestmark = pytest.mark.usefixtures("content", "style")


def test_statistics_stand_for_their_picture(run: Run) -> None:
    assert run("style-stats", "waves.png", "--style-size", "16").stdout == "waves.safetensors\n"
    # Statistics of files are always measured in float32.
    fp32 = "--precision", "fp32", "--no-metadata"
    run("stylize", "cat.png", "waves.png", "--style-size", "16", "-o", "picture.png", *fp32)
    run("stylize", "cat.png", "waves.safetensors", "-o", "statistics.png", *fp32)
    assert Path("picture.png").read_bytes() == Path("statistics.png").read_bytes()
    result = run("stylize", "cat.png", "waves.safetensors", "--style-size", "8", "-o", "again.png", *fp32)
    assert "--style-size does not change statistics" in result.stderr
    assert Path("again.png").read_bytes() == Path("statistics.png").read_bytes()


@pytest.mark.parametrize("size", [64, 1024, 1600])
def test_one_file_serves_contents_of_every_size(run: Run, size: int) -> None:
    """Strokes are chosen by the size of the content, as they are for the picture of the style."""
    run("style-stats", "waves.png")
    looks = "--size", str(size), "--precision", "fp32", "--no-metadata"
    for style, output in (("waves.png", "a.png"), ("waves.safetensors", "b.png")):
        result = run("stylize", "cat.png", style, "-o", output, *looks)
        assert result.exit_code == 0, result.stderr
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_one_file_serves_explicit_strokes_and_blends(run: Run) -> None:
    write_content(Path("ink.png"), (20, 20), seed=2)
    run("style-stats", "waves.png", "ink.png")
    looks = "--stroke-scale", "3", "--precision", "fp32", "--no-metadata", "--style-weights", "2,1"
    run("stylize", "cat.png", "waves.png", "ink.png", "-o", "a.png", *looks)
    run("stylize", "cat.png", "waves.safetensors", "ink.safetensors", "-o", "b.png", *looks)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    refused = run("stylize", "cat.png", "waves.safetensors", "--stroke-scale", "9", "-q", "-o", "d.png")
    assert refused.exit_code == 2
    assert "was measured for stroke scale 1, 2, 3, 4, 5, 6, 7, 8, not 9" in refused.stderr


def test_statistics_for_one_stroke_scale_alone(run: Run) -> None:
    fp32 = "--precision", "fp32", "--no-metadata"
    run("style-stats", "waves.png", "--stroke-scale", "2")
    for style, output in (("waves.png", "a.png"), ("waves.safetensors", "b.png")):
        result = run("stylize", "cat.png", style, "--stroke-scale", "2", "-o", output, *fp32)
        assert result.exit_code == 0, result.stderr
    run("stylize", "cat.png", "waves.safetensors", "-o", "c.png", *fp32)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() == Path("c.png").read_bytes()
    refused = run("stylize", "cat.png", "waves.safetensors", "--stroke-scale", "1", "-q", "-o", "d.png")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        "error: waves.safetensors: the style was measured for stroke scale 2, not 1;"
    )


def test_statistics_and_pictures_blend(run: Run) -> None:
    run("style-stats", "waves.png")
    write_content(Path("ink.png"), (20, 20), seed=2)
    result = run("stylize", "cat.png", "waves.safetensors", "ink.png", "--style-weights", "1,1")
    assert result.stdout == "cat_waves+ink.png\n"
    run("stylize", "cat.png", "waves.png", "ink.png")
    blend, waves, ink = map(read_picture, ("cat_waves+ink.png", "cat_waves.png", "cat_ink.png"))
    assert not blend.pixels.equal(waves.pixels)
    assert not blend.pixels.equal(ink.pixels)


def test_a_field_holds_the_folder_of_a_pattern(run: Run) -> None:
    for name in ("art/a/1.png", "art/b/1.png"):
        write_content(Path(name), (20, 20))
    result = run("style-stats", "art/**/*.png", "-o", "{folder}/{style}.safetensors")
    assert result.stdout == "a/1.safetensors\nb/1.safetensors\n"


def test_an_interrupt_of_a_forced_run_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styletransfer.model.StyleStatistics.save", _interrupt)
    assert "without -f makes those that are missing" in run("style-stats", "waves.png", "-f").stderr


def _interrupt(*words: object) -> None:
    raise KeyboardInterrupt


def test_statistics_of_another_model_are_one_line(run: Run, other_model: str) -> None:
    run("style-stats", "waves.png", "-m", other_model)
    result = run("stylize", "cat.png", "waves.safetensors", "-q")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: waves.safetensors was measured by another model")


def test_a_file_that_holds_no_statistics(run: Run, model: str) -> None:
    result = run("stylize", "cat.png", model, "-q")
    assert result.exit_code == 3
    assert "holds no style statistics; make them with `styletransfer style-stats`" in result.stderr


def test_many_go_on_after_a_failure_and_resume(run: Run) -> None:
    write_content(Path("art/ink.png"), (20, 20))
    Path("art/empty.png").touch()
    result = run("style-stats", "waves.png", "art", "-o", "stats/", "--json")
    assert result.exit_code == 1
    waves, empty, ink = (json.loads(line) for line in result.stdout.splitlines())
    assert waves["output"] == "stats/waves.safetensors"
    assert ink["output"] == "stats/ink.safetensors"
    assert "the file is empty" in empty["error"]
    write_content(Path("art/empty.png"), (20, 20))
    assert run("style-stats", "waves.png", "art", "-o", "stats/").stdout == "stats/empty.safetensors\n"
    assert (
        run("style-stats", "waves.png", "art", "-o", "stats/").stderr
        == "all of these statistics exist already\n"
    )


def test_an_existing_file_is_an_error(run: Run) -> None:
    Path("waves.safetensors").write_text("precious")
    assert run("style-stats", "waves.png").exit_code == 1
    assert Path("waves.safetensors").read_text() == "precious"
    assert run("style-stats", "waves.png", "-f").exit_code == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["waves.png", "-o", "waves.npz"], "statistics are .safetensors files"),
        (["waves.png", "-o", "{content}.safetensors"], "the fields are {folder} {style}"),
        (["waves.png", "waves.png"], "tell them apart by the fields {folder} {style}"),
        (["-"], "a STYLE cannot be -"),
        (["absent.png"], "absent.png: no such file"),
    ],
)
def test_usage(run: Run, words: list[str], problem: str) -> None:
    result = run("style-stats", *words, "-m", "absent.safetensors")
    assert result.exit_code == 2
    assert problem in result.stderr


def test_pictures_that_cannot_be_read_are_named_at_the_end(run: Run) -> None:
    write_content(Path("in/cat.png"), (24, 16))
    Path("in/a.nef").touch()
    result = run("style-stats", "in", "-o", "out/")
    assert result.exit_code == 0
    assert result.stderr.endswith("1 NEF file cannot be read: export it as TIFF or JPEG\n")
