"""`--model photo` from the command line, and in the renderer of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from styletransfer import Stylizer
from styletransfer.media import read_picture

from .conftest import Run
from .pictures import read_size, write_content

pytestmark = pytest.mark.usefixtures("content", "style")


def test_contents_of_every_size_and_statistics(run: Run) -> None:
    write_content(Path("large.png"), (1100, 40))
    assert run("style-stats", "waves.png", "-m", "photo").exit_code == 0
    for name in ("cat.png", "large.png"):
        for style, output in (("waves.png", "a.png"), ("waves.safetensors", "b.png")):
            result = run(
                "stylize", name, style, "-m", "photo", "-o", output, "-f", "--precision", "fp32", "--json"
            )
            assert result.exit_code == 0, result.stderr
            assert json.loads(result.stdout)["output"] == output
        assert read_size("a.png") == read_size(name)
        assert read_picture("a.png").pixels.equal(read_picture("b.png").pixels)


@pytest.mark.parametrize("words", [("--refine", "4"), ("--stroke-scale", "2"), ("--passes", "2")])
def test_what_paints_is_a_usage_error(run: Run, words: tuple[str, str]) -> None:
    result = run("stylize", "cat.png", "waves.png", "-m", "photo", "-q", *words)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line == f"error: cat.png: this model paints no strokes; leave out {words[0]}"


def test_statistics_of_the_other_model_are_refused(run: Run) -> None:
    run("style-stats", "waves.png", "-m", "photo")
    result = run("stylize", "cat.png", "waves.safetensors", "-q")
    assert result.exit_code == 2
    assert "measured by another model" in result.stderr


def test_frames_of_a_video_share_their_moments() -> None:
    stylizer = Stylizer("photo", device="cpu")
    style = read_picture("waves.png")
    frames = [read_picture("cat.png")] * 3
    first, *others = stylizer.stylize_frames(frames, style, fps=10)
    assert all(each.pixels.equal(first.pixels) for each in others)  # type: ignore[union-attr]
